//! Many logins at once, beside a room in which something is said.

use crate::Outcome;
use crate::fan_out::room;
use crate::room::Rooms;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::wire::{Peer, Wire, login, source};
use crate::world::{CHEAP, Member, World, many, sqlite};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tolmach_dialect::{Ask, Echo};
use tolmach_domain::{Credentials, GrantKind};

/// Many logins at once.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// How many are in the room
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// How many log in at once
    #[arg(long, default_value_t = 100)]
    logins: usize,
    /// The bcrypt cost of their passwords
    #[arg(long, default_value_t = 12)]
    cost: u32,
    /// Deliveries a second in the room
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// For how many seconds that is measured, without the logins and during them
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// Measures the time from posting to delivery without logins and during them.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let Arguments { members, logins, cost, rate, seconds } = arguments;
    let length = Duration::try_from_secs_f64(seconds)?;
    let data = data_folder()?;
    let world = World::open(&sqlite(data.path())).await?;
    let members = world.members("member", members, CHEAP).await?;
    let strangers = world.members("stranger", logins, cost).await?;
    let flow = world.group(&members).await?;
    world.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
    let mut rooms =
        Rooms::open(vec![room(server.address, vec![Wire::Mode], members, flow).await?], 1)?;
    rooms.flight(1, 10, || server.cpu()).await?;
    let calm = rooms.pace(rate, length, || server.cpu()).await?;
    let logged_in = Arc::new(AtomicUsize::new(0));
    let storm = tokio::spawn(storm(server.address, strangers, logged_in.clone()));
    let during = rooms.pace(rate, length, || server.cpu()).await?;
    let done = logged_in.load(Ordering::Relaxed);
    if storm.is_finished() {
        storm.await??;
    } else {
        storm.abort();
    }
    Ok(json!({ "calm": calm, "storm": during, "logged_in": done }))
}

async fn storm(
    server: SocketAddr,
    strangers: Vec<Member>,
    logged_in: Arc<AtomicUsize>,
) -> Outcome<()> {
    let strangers = Arc::new(strangers);
    many(strangers.len(), strangers.len(), move |index| {
        let (strangers, logged_in) = (strangers.clone(), logged_in.clone());
        async move {
            let ask = Ask::new(
                Echo::NONE,
                Credentials::Nothing,
                login(&strangers[index].login, GrantKind::Token),
            );
            Peer::dial(server, source(index), Wire::Mode, &ask).await?.ask(ask).await?;
            logged_in.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    })
    .await
    .map(drop)
}
