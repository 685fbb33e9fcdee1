//! One attack on a gateway with its default limits, while other people use it.
//!
//! The attackers share the clients' CPUs with the people at the lowest priority, so that a delay of
//! the people is the gateway's.

mod arena;
mod attack;
mod attackers;
mod attacks;
mod guests;
mod logins;
mod memory;
mod people;
mod prize;
mod wire_frames;

use crate::databases::sqlite_url;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::server::{Server, data_folder};
use crate::users::LOWEST_COST;
use arena::{Arena, Tally, attacker_addresses};
use attack::Attack;
use attackers::Attackers;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use guests::Guests;
use logins::Logins;
use memory::{MemorySampler, settled};
use people::People;
use serde_json::{Value, json};
use std::fs::File;
use std::time::Duration;

/// The users of which each attacker's address has one.
const MOST_ATTACKERS: usize = 250;
/// The time for which people use the gateway before anything is measured, unless the attack is
/// shorter.
const WARM_UP: Duration = Duration::from_secs(2);
/// The time for which memory has to stay the same before it is measured.
const SETTLED_TIME: Duration = Duration::from_secs(5);
/// The memory after an attack, relative to that before it, at which it is over.
const RECOVERED: f64 = 1.2;

/// One attack.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// The attack
    #[arg(long)]
    attack: Attack,
    /// The sockets of attacks that use many
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// The addresses that those sockets come from
    #[arg(long, default_value_t = 100)]
    addresses: usize,
    /// The seconds of the attack, and of the measurement before it
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// Every attack: an object with its `name` and `about`, a line on it.
pub(crate) fn attacks() -> Value {
    let values = Attack::value_variants().iter().filter_map(Attack::to_possible_value);
    let about = |value: &PossibleValue| value.get_help().map(ToString::to_string);
    values.map(|value| json!({ "name": value.get_name(), "about": about(&value) })).collect()
}

/// Measures the gateway's memory and the people's deliveries before, during and after the attack.
/// If people are not served during the attack, `failed` is the reason, and there is nothing else.
pub(crate) async fn measure(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { attack, sockets, addresses, seconds } = arguments;
    if !(1..=MOST_ATTACKERS).contains(&addresses) || sockets == 0 {
        return Err(format!("1 to {MOST_ATTACKERS} addresses and a socket are expected").into());
    }
    let duration = Duration::try_from_secs_f64(seconds)?;
    let data = data_folder()?;
    let seeder = Seeder::open(&sqlite_url(data.path())).await?;
    let people = seeder.users("person", people::COUNT, LOWEST_COST).await?;
    let group = seeder.group(&people).await?;
    let users = seeder.users("attacker", addresses, LOWEST_COST).await?;
    let guests = seeder.users("guest", guests::USERS, LOWEST_COST).await?;
    let groups = guests::groups(&seeder, &guests).await?;
    let prize = attack.seed(&seeder, &users, &people).await?;
    let count = if attack.delays_logins() { logins::USERS } else { 0 };
    let others = seeder.users("other", count, logins::COST).await?;
    seeder.close().await;

    let log = data.path().join("stderr.log");
    let server = Server::start_at_defaults(data.path(), File::create(&log)?)?;
    let mut people = People::connect(server.address, people, group).await?;
    let mut guests = Guests::connect(server.address, &guests, &groups, sockets / 2).await?;
    let warm_up = WARM_UP.min(duration);
    people.use_for(warm_up).await?;
    let logins = Logins::time(server.address, others).await?;
    let (calm, calm_logins) =
        tokio::try_join!(people.use_for(duration), logins.log_in_for(duration))?;
    let before = settled(&server, SETTLED_TIME.min(duration)).await?;

    let memory = MemorySampler::start(&server)?;
    let arena = Arena {
        server: server.address,
        sockets,
        addresses: attacker_addresses(addresses),
        users,
        prize,
        tally: Tally::default(),
    };
    let tally = arena.tally.clone();
    let attackers = Attackers::start(attack, arena)?;
    let during = tokio::try_join!(people.use_for(duration), logins.log_in_for(duration));
    drop(attackers);
    let (disturbed, disturbed_logins) = match during {
        Ok(figures) => figures,
        Err(error) => return Ok(json!({ "failed": error.to_string() })),
    };
    let recovery = memory.wait_until_below(before as f64 * RECOVERED, duration * 3).await?;
    let after = people.use_for(warm_up).await?;
    // Before the gateway ends, and all connections with it.
    let guests_lost = guests.lost();
    drop(server);
    let log = std::fs::read_to_string(&log)?;
    Ok(json!({
        "before": calm.figures(),
        "during": disturbed.figures(),
        "after": after.figures(),
        "memory_mib_before": mebibytes(before),
        "memory_mib_peak_over_before": mebibytes(recovery.peak.saturating_sub(before)),
        "memory_after_over_before": recovery.last as f64 / before as f64,
        "recovered_after_s": recovery.elapsed.map(|elapsed| elapsed.as_secs_f64()),
        "panics": log.matches("panicked at").count(),
        "logins_before": calm_logins,
        "logins": disturbed_logins,
        "guests_lost": guests_lost,
        "one_address": attack.is_from_one_address(),
        "attack": tally.figures(),
    }))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
