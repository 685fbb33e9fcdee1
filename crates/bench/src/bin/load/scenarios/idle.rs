//! Authenticated connections without traffic.

use crate::concurrent::map_concurrently;
use crate::connection::Connection;
use crate::databases::sqlite_url;
use crate::file_limit::file_limit;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Subject, data_folder};
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::{WebSocket, connect_to_path, next_text, source_address};
use crate::wire::Wire;
use futures_util::SinkExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tolmach_domain::FlowId;

/// Connections that are made at once.
const CONCURRENCY: usize = 64;
/// Members of one group.
const GROUP_SIZE: usize = 100;
/// The most files that a server opens beside its connections.
const OTHER_FILES: usize = 500;

/// Connections without traffic.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The server under test
    #[arg(long)]
    subject: Subject,
    /// The dialect of the connections
    #[arg(long, default_value = "mode")]
    wire: Wire,
    /// The connections, each of another user
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The connections that are added after that, as far as the limit of open files allows
    #[arg(long, default_value_t = 0)]
    more: usize,
}

/// Measures the server's resident memory per connection, in bytes, and the connections that are
/// made in a second.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { subject, wire, connections, more } = arguments;
    if connections == 0 {
        return Err("one connection or more is expected".into());
    }
    let all = (connections + more).min(file_limit().saturating_sub(OTHER_FILES)).max(connections);
    let data = data_folder()?;
    let population = Arc::new(match subject {
        Subject::Floor => Population::default(),
        Subject::Tolmach => Population::seed(data.path(), wire, all).await?,
    });
    let server = Server::start(subject, data.path(), &[])?;
    let address = server.address;
    let connect = move |index: usize| {
        let population = population.clone();
        async move {
            match subject {
                Subject::Floor => connect_to_floor(address, index).await,
                Subject::Tolmach => population.connect(address, wire, index).await,
            }
        }
    };
    // Each comes and goes once before the measurement: the caches of the process and of its
    // database, which are bounded, are no connection's memory.
    let visit = connect.clone();
    let visit = move |index| {
        let connected = visit(index);
        async move { connected.await.map(drop) }
    };
    map_concurrently(connections, CONCURRENCY, visit).await?;
    let (before, cpu, started) = (server.resident()?, server.cpu()?, Instant::now());
    let mut sockets = map_concurrently(connections, CONCURRENCY, connect.clone()).await?;
    let (after, cpu, elapsed) = (server.resident()?, server.cpu()? - cpu, started.elapsed());
    let bytes_each = |after: u64, count: usize| after.saturating_sub(before) as f64 / count as f64;
    let mut measured = json!({
        "connections": connections,
        "bytes_per_connection": bytes_each(after, connections),
        "connections_per_second": connections as f64 / elapsed.as_secs_f64(),
        "cpu_us_per_connection": cpu.as_secs_f64() * 1e6 / connections as f64,
    });
    if all > connections {
        let connect_more = move |index| connect(connections + index);
        sockets.extend(map_concurrently(all - connections, CONCURRENCY, connect_more).await?);
        measured["more"] = json!({
            "connections": all,
            "bytes_per_connection": bytes_each(server.resident()?, all),
        });
    }
    let mut open = JoinSet::new();
    for mut socket in sockets {
        open.spawn(async move { next_text(&mut socket).await });
    }
    // One poll of each: a connection that is closed by now must not count.
    tokio::task::yield_now().await;
    if let Some(ended) = open.try_join_next() {
        return Err(format!("a connection ended or received a message: {ended:?}").into());
    }
    Ok(measured)
}

/// A connection to the floor, complete: a message has come back.
async fn connect_to_floor(server: SocketAddr, index: usize) -> BenchResult<WebSocket> {
    let mut socket = connect_to_path(server, source_address(index), "/echo").await?;
    socket.send(Message::text("hello")).await?;
    next_text(&mut socket).await?.ok_or("the server closed the connection")?;
    Ok(socket)
}

/// The users, and the groups that they are in.
#[derive(Default)]
struct Population {
    users: Vec<BenchUser>,
    groups: Vec<FlowId>,
}

impl Population {
    async fn seed(data: &Path, wire: Wire, count: usize) -> BenchResult<Self> {
        let seeder = Seeder::open(&sqlite_url(data)).await?;
        let users = seeder.users("member", count, LOWEST_COST).await?;
        let groups = if wire.subscribes_to_one_flow() {
            seeder.groups(&users, count.div_ceil(GROUP_SIZE), GROUP_SIZE).await?
        } else {
            Vec::new()
        };
        seeder.close().await;
        Ok(Self { users, groups })
    }

    async fn connect(
        &self,
        server: SocketAddr,
        wire: Wire,
        index: usize,
    ) -> BenchResult<WebSocket> {
        let (source, user) = (source_address(index), &self.users[index]);
        let flow = self.groups.get(index / GROUP_SIZE).copied();
        Ok(Connection::subscribe(server, source, wire, user, flow).await?.into_parts().0)
    }
}
