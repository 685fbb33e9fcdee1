//! Messages in one room: one in flight, many in flight, and at a fixed pace.

use crate::Outcome;
use crate::room::{Attendee, Rooms};
use crate::server::{Server, Setting, Subject, data_folder};
use crate::wire::{Wire, plain, source};
use crate::world::{CHEAP, Member, World, many, sqlite};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tolmach_domain::FlowId;

/// Connections that are made at once.
const AT_ONCE: usize = 32;

/// Messages in one room.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Which server
    #[arg(long)]
    subject: Subject,
    /// Which dialects the members speak, in turn
    #[arg(long, value_delimiter = ',', default_value = "mode")]
    wire: Vec<Wire>,
    /// The frame that the floor carries: one that a run with Tolmach gave as its sample
    #[arg(long, required_if_eq("subject", "floor"))]
    frame: Option<String>,
    /// How many are in the room
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// How many messages are measured with one in flight
    #[arg(long, default_value_t = 150)]
    single: usize,
    /// How many messages are measured with many in flight
    #[arg(long, default_value_t = 2_000)]
    many: usize,
    /// How many are in flight then, each of a member of its own
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// Deliveries a second at the fixed pace
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// For how many seconds that is kept up
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures the server's CPU per delivered frame, in microseconds, and the time from posting to
/// delivery.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let data = data_folder()?;
    let (server, room) = match arguments.subject {
        Subject::Floor => {
            let server = Server::start(Subject::Floor, data.path(), &[])?;
            let room = bare_room(
                server.address,
                arguments.frame.unwrap_or_default().into(),
                arguments.members,
            )
            .await?;
            (server, room)
        }
        Subject::Tolmach => {
            let (members, flow) = world(data.path(), arguments.members).await?;
            let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
            let room = room(server.address, arguments.wire, members, flow).await?;
            (server, room)
        }
    };
    let mut rooms = Rooms::open(vec![room], arguments.in_flight)?;
    let single = rooms.flight(1, arguments.single, || server.cpu()).await?;
    let many = rooms.flight(arguments.in_flight, arguments.many, || server.cpu()).await?;
    let paced = rooms
        .pace(arguments.rate, Duration::try_from_secs_f64(arguments.seconds)?, || server.cpu())
        .await?;
    let sample = rooms.sample().ok_or("nobody heard anything")?;
    Ok(
        json!({ "frame_bytes": sample.len(), "sample": sample, "single": single, "many": many, "paced": paced }),
    )
}

/// The users of one room, and the room.
pub(crate) async fn world(data: &Path, members: usize) -> Outcome<(Vec<Member>, FlowId)> {
    let world = World::open(&sqlite(data)).await?;
    let members = world.members("member", members, CHEAP).await?;
    let flow = world.group(&members).await?;
    world.close().await;
    Ok((members, flow))
}

/// These users in one room of Tolmach, speaking these dialects in turn.
pub(crate) async fn room(
    server: SocketAddr,
    wires: Vec<Wire>,
    members: Vec<Member>,
    flow: FlowId,
) -> Outcome<Vec<Attendee>> {
    let members = Arc::new(members);
    many(members.len(), AT_ONCE, move |index| {
        let (member, wire) = (members[index].clone(), wires[index % wires.len()]);
        async move {
            Ok(Attendee::Speaking {
                peer: wire.enter(server, source(index), &member, Some(flow)).await?,
                wire,
                member,
                flow,
            })
        }
    })
    .await
}

/// So many connections in the room of the floor.
async fn bare_room(server: SocketAddr, frame: Utf8Bytes, members: usize) -> Outcome<Vec<Attendee>> {
    many(members, AT_ONCE, move |index| {
        let frame = frame.clone();
        async move { Ok(Attendee::Plain(plain(server, source(index), "/room").await?, frame)) }
    })
    .await
}
