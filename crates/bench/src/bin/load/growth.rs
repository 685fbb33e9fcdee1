//! Rooms among many others, whose members are connected too.

use crate::Outcome;
use crate::room::{Attendee, Rooms};
use crate::server::{Server, Setting, Subject, data_folder};
use crate::wire::{Wire, source};
use crate::world::{CHEAP, World, many, sqlite};
use serde_json::{Value, json};
use std::sync::Arc;

/// Connections that are made at once.
const AT_ONCE: usize = 64;
/// Messages that every room hears before it is measured: what a system sends over a young
/// connection, it acknowledges at once.
const WARM: usize = 32;
/// Members of a flow in which nothing is said.
const QUIET: usize = 10;

/// Rooms among many others.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// How many are in a room
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// How many are connected; all are in one room each
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// How many flows there are, with the rooms
    #[arg(long, default_value_t = 1)]
    flows: usize,
    /// How many messages are measured, in the rooms in turn
    #[arg(long, default_value_t = 300)]
    messages: usize,
}

/// Measures the server's CPU per delivered frame, in microseconds, one message in flight.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let Arguments { members: size, connections, flows, messages } = arguments;
    if size == 0 || connections < size || flows < connections / size {
        return Err("as many connections as members of a room or more are expected, and as many \
            flows as rooms".into());
    }
    let data = data_folder()?;
    let world = World::open(&sqlite(data.path())).await?;
    let members = world.members("member", connections / size * size, CHEAP).await?;
    let rooms = world.groups(&members, connections / size, size).await?;
    world.groups(&members, flows - rooms.len(), QUIET.min(members.len())).await?;
    world.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
    let (address, members, wire) = (server.address, Arc::new(members), Wire::Mode);
    let mut attendees = many(members.len(), AT_ONCE, move |index| {
        let (member, flow) = (members[index].clone(), rooms[index / size]);
        async move {
            Ok(Attendee::Speaking {
                peer: wire.enter(address, source(index), &member, Some(flow)).await?,
                wire,
                member,
                flow,
            })
        }
    })
    .await?;
    let mut filled = Vec::new();
    while !attendees.is_empty() {
        let rest = attendees.split_off(size);
        filled.push(std::mem::replace(&mut attendees, rest));
    }
    let warm = WARM * filled.len();
    let mut rooms = Rooms::open(filled, 1)?;
    rooms.flight(1, warm, || server.cpu()).await?;
    rooms
        .flight(1, messages, || server.cpu())
        .await
        .map(|measured| json!({ "flows": flows, "single": measured }))
}
