//! Durable messages: acknowledged means committed.
//!
//! Every sender posts to a group of its own, so that storing is measured, and not fan-out.

use crate::closed_loop::{Sender, Throughput, repeat};
use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::{Database, DatabaseKind};
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::users::LOWEST_COST;
use crate::websocket::source_address;
use crate::wire::Wire;
use hdrhistogram::Histogram;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are made at once.
const CONCURRENCY: usize = 64;

/// Durable messages.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The database
    #[arg(long)]
    pub(crate) store: DatabaseKind,
    /// The connections, each with one message in flight; of several numbers, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "1,64,512")]
    connections: Vec<usize>,
    /// The messages in flight on the one connection that pipelines
    #[arg(long, default_value_t = 256)]
    pipelined: usize,
    /// The seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures the messages that the gateway acknowledges in a second, sent by `mode`.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { store, connections, pipelined, seconds } = arguments;
    let most = connections.iter().copied().max().filter(|most| *most > 0);
    let most = most.ok_or("one connection or more is expected")?;
    let data = data_folder()?;
    let database = Database::start(store, data.path())?;
    let seeder = Seeder::open(&database.url()).await?;
    let users = seeder.users("member", most, LOWEST_COST).await?;
    let flows = seeder.groups(&users, most, 1).await?;
    seeder.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::store(database.url())])?;
    let (address, users) = (server.address, Arc::new(users));
    let connect = move |index: usize| {
        let (user, flow, source) = (users[index].clone(), flows[index], source_address(index));
        async move {
            let connection =
                Connection::subscribe(address, source, Wire::MODE, &user, None).await?;
            let mut sender = Sender { connection, wire: Wire::MODE, user, flow };
            sender.send_and_wait().await?;
            Ok(sender)
        }
    };
    let mut measured = Map::new();
    for count in connections {
        let senders = map_concurrently(count, CONCURRENCY, connect.clone()).await?;
        let cpu = server.cpu()?;
        let send =
            |mut sender: Sender| async move { sender.send_and_wait().await.map(|()| sender) };
        let sent = repeat(senders, seconds, send).await?;
        measured.insert(format!("from_{count}"), sent.figures(server.cpu()? - cpu));
    }
    let sender = connect(0).await?;
    let cpu = server.cpu()?;
    let sent = pipeline(sender, pipelined, Duration::try_from_secs_f64(seconds)?).await?;
    measured.insert("pipelined".to_owned(), sent.figures(server.cpu()? - cpu));
    Ok(measured.into())
}

/// Sends for this long, with up to `max_in_flight` messages that are not acknowledged.
async fn pipeline(
    mut sender: Sender,
    max_in_flight: usize,
    duration: Duration,
) -> BenchResult<Throughput> {
    let (mut times, mut in_flight) = (Histogram::<u64>::new(2)?, VecDeque::new());
    let started = Instant::now();
    loop {
        while in_flight.len() < max_in_flight && started.elapsed() < duration {
            sender.send().await?;
            in_flight.push_back(Instant::now());
        }
        let Some(sent_at) = in_flight.pop_front() else {
            return Throughput::new(times, started.elapsed());
        };
        sender.receive_acknowledgement().await?;
        times.record(u64::try_from(sent_at.elapsed().as_micros())?)?;
    }
}
