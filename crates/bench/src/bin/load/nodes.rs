//! Two gateways that share a PostgreSQL and tell each other by Redis what happened.

use crate::Outcome;
use crate::sends::{Sender, race};
use crate::server::{Server, Setting, Subject, data_folder};
use crate::stores::{self, Database, Kind};
use crate::wire::{Socket, Wire, next_text, source};
use crate::world::{CHEAP, World, many};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Two gateways.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// How many send at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// For how many seconds, with one gateway and with two
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures the CPU of both gateways for a message that is sent at one and heard at the other, less
/// that of one gateway for a message that is sent and heard there; in microseconds.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let alone = run(arguments, false).await?;
    let both = run(arguments, true).await?;
    Ok(
        json!({ "alone_cpu_us_each": alone, "both_cpu_us_each": both, "added_cpu_us_each": both - alone }),
    )
}

async fn run(arguments: Arguments, remote: bool) -> Outcome<f64> {
    let Arguments { connections, seconds } = arguments;
    let data = data_folder()?;
    let database = Database::start(Kind::Postgres, data.path())?;
    let world = World::open(&database.url()).await?;
    let members = world.members("member", connections, CHEAP).await?;
    let listener = world.members("listener", 1, CHEAP).await?.remove(0);
    let mut flows = Vec::new();
    for member in &members {
        flows.push(world.group(&[member.clone(), listener.clone()]).await?);
    }
    world.close().await;
    let redis = if remote { Some(stores::redis()?) } else { None };
    let bus = redis.as_ref().map(|redis| Setting::bus(redis.url()));
    let settings: Vec<_> =
        [Some(Setting::store(database.url())), bus].into_iter().flatten().collect();
    let mut servers = vec![Server::start(Subject::Tolmach, data.path(), &settings)?];
    let other = data_folder()?;
    if remote {
        servers.push(Server::start(Subject::Tolmach, other.path(), &settings)?);
    }
    let cpu = || servers.iter().map(Server::cpu).sum::<Outcome<Duration>>();
    let (near, far) = (servers[0].address, servers[servers.len() - 1].address);
    let (heard, mut hearing) = watch::channel(0);
    let ears = Wire::Mode.enter(far, source(0), &listener, None).await?.into_parts().0;
    let listening = tokio::spawn(count(ears, heard));
    let members = Arc::new(members);
    let senders = many(connections, connections, move |index| {
        let (member, flow) = (members[index].clone(), flows[index]);
        async move {
            let mut sender = Sender {
                peer: Wire::Mode.enter(near, source(index), &member, None).await?,
                member,
                flow,
            };
            sender.send().await?;
            Ok(sender)
        }
    })
    .await?;
    let rehearsed = connections as u64;
    hearing.wait_for(|heard| *heard >= rehearsed).await?;
    let before = cpu()?;
    let sent =
        race(
            senders,
            seconds,
            |mut sender: Sender| async move { sender.send().await.map(|()| sender) },
        )
        .await?;
    hearing.wait_for(|heard| *heard >= rehearsed + sent.count).await?;
    let spent = cpu()? - before;
    listening.abort();
    Ok(spent.as_secs_f64() * 1e6 / sent.count as f64)
}

/// Counts the messages that come; the channel closes when the connection ends.
async fn count(mut socket: Socket, heard: watch::Sender<u64>) -> Outcome<()> {
    while next_text(&mut socket).await?.is_some() {
        heard.send_modify(|heard| *heard += 1);
    }
    Ok(())
}
