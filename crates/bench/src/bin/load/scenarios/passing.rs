//! Messages to a gateway, directly and through a program between.

use crate::closed_loop::Sender;
use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::sqlite_url;
use crate::intermediary::Intermediary;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, memory_folder};
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::source_address;
use crate::wire::Wire;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tolmach_domain::FlowId;

/// The parts of a measurement of times, in each of which both ways are taken.
const PARTS: usize = 20;

/// Messages to a gateway, directly and through a program between.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The program between
    #[arg(long)]
    through: Intermediary,
    /// The dialect of the gateway, and of clients that are not before a bridge
    #[arg(long)]
    upstream: Wire,
    /// The dialect of clients before a bridge
    #[arg(long, default_value = "mode")]
    wire: Wire,
    /// The connections whose CPU is measured, each with one message in flight
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The messages of each, after a tenth as many that are not measured
    #[arg(long, default_value_t = 500)]
    requests: usize,
    /// The messages of one connection alone whose times are measured, on each way
    #[arg(long, default_value_t = 2_000)]
    single: usize,
}

/// Measures the CPU of the program between for a message and its acknowledgement, and the time that
/// it adds at the median, in microseconds.
///
/// The gateway's store is in memory, so that the times of a disk hide nothing. Every sender posts
/// to a group of its own.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { through, upstream, wire, connections, requests, single } = arguments;
    if connections == 0 || requests == 0 || single < PARTS {
        return Err(format!("one connection, one request, {PARTS} times or more").into());
    }
    let data = memory_folder()?;
    let seeder = Seeder::open(&sqlite_url(data.path())).await?;
    let users = seeder.users("member", connections + 1, LOWEST_COST).await?;
    let flows = seeder.groups(&users, connections + 1, 1).await?;
    seeder.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
    let folder = memory_folder()?;
    let between = through.start(server.address, upstream, folder.path())?;
    let direct = Way { address: server.address, wire: upstream, logs_in: false };
    let is_bridge = through == Intermediary::Bridge;
    let wire = if is_bridge { wire } else { upstream };
    let passing = Way { address: between.address, wire, logs_in: is_bridge };
    let mut first = direct.sender(0, users[connections].clone(), flows[connections]).await?;
    let users = Arc::new(users);
    let mut senders = map_concurrently(connections, connections, move |index| {
        passing.sender(index, users[index].clone(), flows[index])
    })
    .await?;
    let (mut of_direct, mut of_passing) = (Histogram::<u64>::new(2)?, Histogram::<u64>::new(2)?);
    for _ in 0..PARTS {
        send(&mut first, single / PARTS, &mut of_direct).await?;
        send(&mut senders[0], single / PARTS, &mut of_passing).await?;
    }
    senders = send_all(senders, requests.div_ceil(10)).await?;
    let (cpu, started) = (between.cpu()?, Instant::now());
    let _senders = send_all(senders, requests).await?;
    let (cpu, elapsed) = (between.cpu()? - cpu, started.elapsed());
    let count = (connections * requests) as f64;
    let median = |times: &Histogram<u64>| times.value_at_quantile(0.5) as f64;
    Ok(json!({
        "direct_us_p50": median(&of_direct),
        "passing_us_p50": median(&of_passing),
        "added_us_p50": median(&of_passing) - median(&of_direct),
        "cpu_us_each": cpu.as_secs_f64() * 1e6 / count,
        "per_second": count / elapsed.as_secs_f64(),
    }))
}

/// A way to the gateway.
#[derive(Debug, Clone, Copy)]
struct Way {
    address: SocketAddr,
    wire: Wire,
    /// True if the users have to log in: a bridge may not know the gateway's tokens.
    logs_in: bool,
}

impl Way {
    /// A connected user who has sent one message.
    async fn sender(self, number: usize, user: BenchUser, flow: FlowId) -> BenchResult<Sender> {
        let Self { address, wire, logs_in } = self;
        let source = source_address(number);
        let (connection, user) = if logs_in {
            Connection::log_in(address, source, wire, user, flow).await?
        } else {
            let flow = Some(flow);
            (Connection::subscribe(address, source, wire, &user, flow).await?, user)
        };
        let mut sender = Sender { connection, wire, user, flow };
        sender.send_and_wait().await?;
        Ok(sender)
    }
}

/// Sends messages, one after the other.
async fn send(sender: &mut Sender, count: usize, times: &mut Histogram<u64>) -> BenchResult<()> {
    for _ in 0..count {
        let sent = Instant::now();
        sender.send_and_wait().await?;
        times.record(u64::try_from(sent.elapsed().as_micros())?)?;
    }
    Ok(())
}

/// Sends so many messages on each connection, all at once.
async fn send_all(senders: Vec<Sender>, count: usize) -> BenchResult<Vec<Sender>> {
    let mut loops = JoinSet::new();
    for mut sender in senders {
        loops.spawn(async move {
            for _ in 0..count {
                sender.send_and_wait().await?;
            }
            BenchResult::Ok(sender)
        });
    }
    let mut senders = Vec::new();
    while let Some(sender) = loops.join_next().await {
        senders.push(sender??);
    }
    Ok(senders)
}
