//! Groups among many others, whose members are connected too.

use crate::concurrent::map_concurrently;
use crate::databases::sqlite_url;
use crate::group_load::GroupLoad;
use crate::participant::Participant;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, Setting, Subject, data_folder};
use crate::users::LOWEST_COST;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::sync::Arc;

/// Connections that are made at once.
const CONCURRENCY: usize = 64;
/// Messages in every group before the measurement: on a young connection the kernel acknowledges
/// every segment at once.
const WARM_UP: usize = 32;
/// Members of a flow without messages.
const QUIET_MEMBERS: usize = 10;

/// Groups among many others.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The members of a group
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// The connections; each is in one group
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// The flows, with the groups
    #[arg(long, default_value_t = 1)]
    flows: usize,
    /// The messages that are measured, in the groups in turn
    #[arg(long, default_value_t = 300)]
    messages: usize,
}

/// Measures the server's CPU per delivered frame, in microseconds, with one message in flight.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { members: size, connections, flows, messages } = arguments;
    if size == 0 || connections < size || flows < connections / size {
        return Err("at least as many connections as members of a group are expected, and at \
            least as many flows as groups"
            .into());
    }
    let count = connections / size;
    let data = data_folder()?;
    let seeder = Seeder::open(&sqlite_url(data.path())).await?;
    let users = seeder.users("member", count * size, LOWEST_COST).await?;
    let groups = seeder.groups(&users, count, size).await?;
    seeder.groups(&users, flows - groups.len(), QUIET_MEMBERS.min(users.len())).await?;
    seeder.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[Setting::PUSH])?;
    let (address, users) = (server.address, Arc::new(users));
    let mut participants = map_concurrently(users.len(), CONCURRENCY, move |index| {
        Participant::connect(address, index, Wire::MODE, users[index].clone(), groups[index / size])
    })
    .await?;
    let mut connected = Vec::new();
    while !participants.is_empty() {
        let rest = participants.split_off(size);
        connected.push(std::mem::replace(&mut participants, rest));
    }
    let mut load = GroupLoad::start(connected, 1)?;
    load.post_in_flight(1, WARM_UP * count, || server.cpu()).await?;
    let single = load.post_in_flight(1, messages, || server.cpu()).await?;
    Ok(json!({ "flows": flows, "single": single }))
}
