//! Plain inserts into the store's table of messages, without Tolmach: the speed of the same disk
//! and database by themselves.

use crate::databases::{Database, DatabaseKind};
use crate::message_table::{MessageTable, connect};
use crate::result::BenchResult;
use crate::server::data_folder;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Plain inserts.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The database
    #[arg(long)]
    pub(crate) store: DatabaseKind,
    /// The rows of a transaction in the loop that shares transactions
    #[arg(long, default_value_t = 100)]
    rows: i64,
    /// The seconds of each measurement
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
}

/// Measures the rows that a loop of inserts writes in a second, with many and with one in a
/// transaction.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { store, rows, seconds } = arguments;
    let duration = Duration::try_from_secs_f64(seconds)?;
    let data = data_folder()?;
    let database = Database::start(store, data.path())?;
    let table = MessageTable::create(&database.url()).await?;
    let connection = connect(database.url()).await?;
    let (mut next, mut per_second) = (1, Vec::new());
    for rows in [rows, 1] {
        let (first, started) = (next, Instant::now());
        while started.elapsed() < duration {
            table.insert(&connection, next..next + rows).await?;
            next += rows;
        }
        per_second.push((next - first) as f64 / started.elapsed().as_secs_f64());
    }
    connection.close().await?;
    Ok(json!({ "many_a_transaction": per_second[0], "one_a_transaction": per_second[1] }))
}
