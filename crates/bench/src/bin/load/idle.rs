//! Connections that are authenticated and say nothing.

use crate::Outcome;
use crate::server::{Server, Subject, data_folder, files_allowed};
use crate::wire::{Socket, Wire, next_text, plain, source};
use crate::world::{CHEAP, Member, World, many, sqlite};
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
const AT_ONCE: usize = 64;
/// Members of one room.
const ROOM: usize = 100;
/// Files that a server opens beside its connections, at most.
const OTHER_FILES: usize = 500;

/// Connections that say nothing.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// Which server
    #[arg(long)]
    subject: Subject,
    /// Which dialect's connections
    #[arg(long, default_value = "mode")]
    wire: Wire,
    /// How many, each of a user of its own
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How many more are made after that, as far as the limit of open files allows
    #[arg(long, default_value_t = 0)]
    more: usize,
}

/// Measures the server's resident memory for each connection, in bytes, and how many are made in a
/// second.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let Arguments { subject, wire, connections, more } = arguments;
    if connections == 0 {
        return Err("one connection or more is expected".into());
    }
    let all =
        (connections + more).min(files_allowed().saturating_sub(OTHER_FILES)).max(connections);
    let data = data_folder()?;
    let world = Arc::new(match subject {
        Subject::Floor => Crowd::default(),
        Subject::Tolmach => Crowd::make(data.path(), wire, all).await?,
    });
    let server = Server::start(subject, data.path(), &[])?;
    let address = server.address;
    let enter = move |index: usize| {
        let world = world.clone();
        async move {
            match subject {
                Subject::Floor => echoed(address, index).await,
                Subject::Tolmach => world.enter(address, wire, index).await,
            }
        }
    };
    // What the first connections set up once and for all is not theirs.
    drop(many(connections.min(AT_ONCE), AT_ONCE, enter.clone()).await?);
    let (before, cpu, started) = (server.resident()?, server.cpu()?, Instant::now());
    let mut sockets = many(connections, AT_ONCE, enter.clone()).await?;
    let (after, cpu, elapsed) = (server.resident()?, server.cpu()? - cpu, started.elapsed());
    let of_each = |after: u64, count: usize| after.saturating_sub(before) as f64 / count as f64;
    let mut measured = json!({
        "connections": connections,
        "bytes_per_connection": of_each(after, connections),
        "connections_per_second": connections as f64 / elapsed.as_secs_f64(),
        "cpu_us_per_connection": cpu.as_secs_f64() * 1e6 / connections as f64,
    });
    if all > connections {
        sockets.extend(
            many(all - connections, AT_ONCE, move |index| enter(connections + index)).await?,
        );
        measured["more"] =
            json!({ "connections": all, "bytes_per_connection": of_each(server.resident()?, all) });
    }
    let mut open = JoinSet::new();
    for mut socket in sockets {
        open.spawn(async move { next_text(&mut socket).await });
    }
    // A connection that the server has given up by now was none.
    tokio::task::yield_now().await;
    if let Some(ended) = open.try_join_next() {
        return Err(format!("a connection ended or was told something: {ended:?}").into());
    }
    Ok(measured)
}

/// A connection to the floor, complete: what was said on it has come back.
async fn echoed(server: SocketAddr, index: usize) -> Outcome<Socket> {
    let mut socket = plain(server, source(index), "/echo").await?;
    socket.send(Message::text("hello")).await?;
    next_text(&mut socket).await?.ok_or("the server closed the connection")?;
    Ok(socket)
}

/// The users, and the room that each of them enters.
#[derive(Default)]
struct Crowd {
    members: Vec<Member>,
    rooms: Vec<FlowId>,
}

impl Crowd {
    async fn make(data: &Path, wire: Wire, count: usize) -> Outcome<Self> {
        let world = World::open(&sqlite(data)).await?;
        let members = world.members("member", count, CHEAP).await?;
        let rooms = if wire.is_in_a_room() {
            world.groups(&members, count.div_ceil(ROOM), ROOM).await?
        } else {
            Vec::new()
        };
        world.close().await;
        Ok(Self { members, rooms })
    }

    async fn enter(&self, server: SocketAddr, wire: Wire, index: usize) -> Outcome<Socket> {
        Ok(wire
            .enter(
                server,
                source(index),
                &self.members[index],
                self.rooms.get(index / ROOM).copied(),
            )
            .await?
            .into_parts()
            .0)
    }
}
