//! Histories, each requested after the answer to the one before.

use crate::closed_loop::repeat;
use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::sqlite_url;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::source_address;
use crate::wire::Wire;
use serde_json::Value;
use std::sync::Arc;
use tolmach_domain::{Answer, FlowId};

/// The length of a message's text, in bytes.
const TEXT_BYTES: usize = 100;

/// Histories.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The connections, each with one request in flight
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The messages of a history
    #[arg(long, default_value_t = 50)]
    messages: usize,
    /// The seconds of the measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The time between two writes of the gateway's ledger
    #[arg(long)]
    ledger_interval: Option<String>,
    /// Without a ledger
    #[arg(long)]
    no_ledger: bool,
}

/// Measures the histories that are read in a second by `mode`.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { connections, messages, seconds, ledger_interval, no_ledger } = arguments;
    let data = data_folder()?;
    let seeder = Seeder::open(&sqlite_url(data.path())).await?;
    let users = seeder.users("member", connections, LOWEST_COST).await?;
    let author = users.first().ok_or("one connection or more is expected")?;
    let flow = seeder.group(&users).await?;
    seeder.post(author, flow, messages, TEXT_BYTES).await?;
    seeder.close().await;
    let interval = ledger_interval.map(Setting::ledger_interval);
    let settings: Vec<_> =
        interval.into_iter().chain(no_ledger.then_some(Setting::NO_LEDGER)).collect();
    let server = Server::start(Subject::Tolmach, data.path(), &settings)?;
    let (address, users) = (server.address, Arc::new(users));
    let readers = map_concurrently(connections, connections, move |index| {
        let (user, source) = (users[index].clone(), source_address(index));
        async move {
            let connection =
                Connection::subscribe(address, source, Wire::MODE, &user, None).await?;
            Ok(Reader { connection, user, flow, messages })
        }
    })
    .await?;
    let cpu = server.cpu()?;
    let read = |mut reader: Reader| async move { reader.read().await.map(|()| reader) };
    let histories = repeat(readers, seconds, read).await?;
    Ok(histories.figures(server.cpu()? - cpu))
}

/// A connection that reads the history of a group.
struct Reader {
    connection: Connection,
    user: BenchUser,
    flow: FlowId,
    messages: usize,
}

impl Reader {
    async fn read(&mut self) -> BenchResult<()> {
        let request = Wire::MODE.history_request(&self.user, self.flow);
        match self.connection.request(request).await? {
            Answer::History(page) if page.messages.len() == self.messages => Ok(()),
            answer => {
                Err(format!("a history of {} messages was expected, not {answer:?}", self.messages)
                    .into())
            }
        }
    }
}
