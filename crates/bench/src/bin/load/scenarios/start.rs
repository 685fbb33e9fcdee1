//! A start of the gateway on a store with many messages.

use crate::databases::{Database, DatabaseKind};
use crate::message_table::{MessageTable, connect};
use crate::result::BenchResult;
use crate::server::{Server, Setting, Subject, data_folder};
use serde_json::{Value, json};
use std::time::Instant;

/// The number of starts, of which the median is taken.
const STARTS: usize = 3;

/// A start on a store with many messages.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The messages of the store
    #[arg(long, default_value_t = 1_000_000)]
    messages: i64,
}

/// Measures the time until the gateway is ready, in milliseconds.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { messages } = arguments;
    let data = data_folder()?;
    let database = Database::start(DatabaseKind::Sqlite, data.path())?;
    let table = MessageTable::create(&database.url()).await?;
    let connection = connect(database.url()).await?;
    table.fill(&connection, messages).await?;
    connection.close().await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let settings = [Setting::store(database.url())];
        let server = Server::start(Subject::Tolmach, data.path(), &settings)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        drop(server);
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({ "messages": messages, "ready_ms": times[STARTS / 2] }))
}
