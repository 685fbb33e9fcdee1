//! Connections that are authenticated and say nothing.

use crate::server::{Server, Subject, data_folder};
use crate::wire::{Socket, Wire, next_text, plain, source};
use crate::world::{self, Member, many};
use crate::{Outcome, Target};
use futures_util::SinkExt;
use serde_json::json;
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

/// Connections that say nothing.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How many, each of a user of its own
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// Measures the server's resident memory for each connection, in bytes, and how many are made in a second.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<serde_json::Value> {
    let Arguments { target: Target { subject, wire }, connections } = arguments;
    if connections == 0 {
        return Err("one connection or more is expected".into());
    }
    let data = data_folder()?;
    let world = Arc::new(match subject {
        Subject::Floor => World::default(),
        Subject::Tolmach => World::make(data.path(), wire, connections).await?,
    });
    // A fresh server: one that made the world has memory to give away.
    let server = Server::start(subject, data.path())?;
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
    let (before, started) = (server.resident()?, Instant::now());
    let sockets = many(connections, AT_ONCE, enter).await?;
    let (after, elapsed) = (server.resident()?, started.elapsed());
    let mut open = JoinSet::new();
    for mut socket in sockets {
        open.spawn(async move { next_text(&mut socket).await });
    }
    // A connection that the server has given up by now was none.
    tokio::task::yield_now().await;
    if let Some(ended) = open.try_join_next() {
        return Err(format!("a connection ended or was told something: {ended:?}").into());
    }
    Ok(json!({
        "connections": connections,
        "bytes_per_connection": after.saturating_sub(before) as f64 / connections as f64,
        "connections_per_second": connections as f64 / elapsed.as_secs_f64(),
        "resident_before": before,
        "resident_after": after,
    }))
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
struct World {
    members: Vec<Member>,
    rooms: Vec<FlowId>,
}

impl World {
    /// Made by a server of its own, which leaves it in `data`.
    async fn make(data: &Path, wire: Wire, count: usize) -> Outcome<Self> {
        let server = Server::start(Subject::Tolmach, data)?;
        let members = world::members(server.address, wire, count).await?;
        let mut rooms = Vec::new();
        if wire == Wire::Bearer {
            for members in members.chunks(ROOM) {
                rooms.push(world::group(server.address, members).await?);
            }
        }
        Ok(Self { members, rooms })
    }

    async fn enter(&self, server: SocketAddr, wire: Wire, index: usize) -> Outcome<Socket> {
        wire.enter(server, source(index), &self.members[index], self.rooms.get(index / ROOM).copied()).await
    }
}
