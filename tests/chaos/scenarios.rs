//! The scenarios: each injects one kind of fault.

use crate::environment::{Environment, GatewayOptions, Servers};
use crate::load::Load;
use crate::stalled_readers::{reader_count, stall};
use crate::subscribers::NO_PINGS;
use crate::users::{Failure, failure};
use sea_orm::{
    ConnectOptions, Database, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::time::Duration;
use tokio::task::block_in_place;
use tolmach_domain::FlowId;

/// One scenario.
pub(crate) struct Scenario {
    /// The name of its trial.
    pub(crate) name: &'static str,
    pub(crate) servers: ServerKind,
    pub(crate) fault: InjectedFault,
}

/// The gateways of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// One gateway on SQLite.
    Sqlite,
    /// Two gateways on PostgreSQL and Redis.
    Cluster,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InjectedFault {
    GatewayKilled,
    SqliteLocked,
    PostgresStopped,
    PostgresSlow,
    PostgresPartitioned,
    RedisKilled,
    RedisPaused,
    RedisPartitioned,
    ClocksApart,
    RollingRestart,
    ReadersStalled,
}

const fn scenario(name: &'static str, servers: ServerKind, fault: InjectedFault) -> Scenario {
    Scenario { name, servers, fault }
}

/// The scenarios, in the order in which they run.
pub(crate) const SCENARIOS: [Scenario; 12] = [
    scenario("gateway-killed-on-sqlite", ServerKind::Sqlite, InjectedFault::GatewayKilled),
    scenario("sqlite-slow", ServerKind::Sqlite, InjectedFault::SqliteLocked),
    scenario("gateway-killed", ServerKind::Cluster, InjectedFault::GatewayKilled),
    scenario("postgres-stopped", ServerKind::Cluster, InjectedFault::PostgresStopped),
    scenario("postgres-slow", ServerKind::Cluster, InjectedFault::PostgresSlow),
    scenario("postgres-partitioned", ServerKind::Cluster, InjectedFault::PostgresPartitioned),
    scenario("redis-killed", ServerKind::Cluster, InjectedFault::RedisKilled),
    scenario("redis-paused", ServerKind::Cluster, InjectedFault::RedisPaused),
    scenario("redis-partitioned", ServerKind::Cluster, InjectedFault::RedisPartitioned),
    scenario("clocks-apart", ServerKind::Cluster, InjectedFault::ClocksApart),
    scenario("rolling-restart", ServerKind::Cluster, InjectedFault::RollingRestart),
    scenario("readers-stalled", ServerKind::Cluster, InjectedFault::ReadersStalled),
];

/// The time between two messages of one writer.
const INTERVAL: Duration = Duration::from_millis(5);
/// The same for each of many readers, so that as many messages are delivered.
const INTERVAL_PER_READER: Duration = Duration::from_micros(250);
/// The padding of messages to many readers, in bytes: a stalled reader soon has too many waiting.
const PADDING_FOR_MANY: usize = 8 << 10;

/// The longest time after a fault in which an open reader may lack an earlier message.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(2);

/// The difference of two clocks, in seconds.
const CLOCK_SKEW: i64 = 600;

impl Scenario {
    /// The load of its rounds: some hundreds of messages a second from every dialect.
    pub(crate) fn load(&self) -> Result<Load, Failure> {
        let load = Load { interval: INTERVAL, padding: 0, catch_up_within: CATCH_UP_WITHIN };
        Ok(match self.fault {
            InjectedFault::ReadersStalled => {
                let interval = INTERVAL_PER_READER * reader_count()?;
                Load { interval, padding: PADDING_FOR_MANY, ..load }
            }
            _ => load,
        })
    }

    /// The options of its gateways.
    pub(crate) fn options(&self) -> GatewayOptions<'static> {
        match self.fault {
            // Few messages fill the queue of a stalled reader.
            InjectedFault::ReadersStalled => &[("LIMITS__SEND_QUEUE_BYTES", "256KiB"), NO_PINGS],
            _ => &[],
        }
    }
}

/// Injects the fault, for a time that the round's number chooses, and ends it.
pub(crate) async fn inject(
    fault: InjectedFault,
    environment: &Environment,
    flow: FlowId,
    round: u64,
) -> Result<(), Failure> {
    // Times differ by round and are reproducible.
    let wait = |shortest: u64, longest: u64| {
        let mixed = (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        tokio::time::sleep(Duration::from_millis(shortest + mixed % (longest - shortest)))
    };
    let chosen = usize::try_from(round).unwrap_or(usize::MAX) % environment.nodes.len();
    let node = &environment.nodes[chosen];
    wait(300, 1_500).await;
    match fault {
        InjectedFault::GatewayKilled => {
            node.kill().await?;
            wait(0, 500).await;
            node.start().await
        }
        InjectedFault::SqliteLocked => {
            // Another writer holds the lock for longer than a request may wait.
            let url = format!("sqlite://{}", environment.sqlite().display());
            let database = Database::connect(ConnectOptions::new(url)).await.map_err(failure)?;
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            };
            let writing = database.begin_with_options(options).await.map_err(failure)?;
            wait(300, 4_000).await;
            writing.rollback().await.map_err(failure)?;
            database.close().await.map_err(failure)
        }
        InjectedFault::PostgresStopped => {
            let postgres = &servers(environment)?.postgres;
            block_in_place(|| postgres.stop_immediately());
            wait(0, 3_000).await;
            block_in_place(|| postgres.start_again());
            Ok(())
        }
        InjectedFault::PostgresSlow => {
            // It pauses again and again, as on a disk that is too slow.
            for _ in 0..6 {
                servers(environment)?.postgres.pause();
                wait(100, 600).await;
                servers(environment)?.postgres.resume();
                wait(10, 60).await;
            }
            Ok(())
        }
        InjectedFault::PostgresPartitioned => {
            let network = node.to_postgres.as_ref().ok_or("there is no proxy to PostgreSQL")?;
            if round % 4 < 2 {
                network.cut();
            } else {
                network.reset();
            }
            wait(200, 4_000).await;
            network.heal();
            Ok(())
        }
        InjectedFault::RedisKilled => {
            let redis = &servers(environment)?.redis;
            block_in_place(|| redis.kill());
            wait(0, 3_000).await;
            block_in_place(|| redis.start_again());
            Ok(())
        }
        InjectedFault::RedisPaused => {
            servers(environment)?.redis.pause();
            wait(200, 6_000).await;
            servers(environment)?.redis.resume();
            Ok(())
        }
        InjectedFault::RedisPartitioned => {
            let network = node.to_redis.as_ref().ok_or("there is no proxy to Redis")?;
            if round % 4 < 2 {
                network.cut();
            } else {
                network.reset();
            }
            wait(200, 6_000).await;
            network.heal();
            Ok(())
        }
        InjectedFault::ClocksApart => {
            node.terminate().await?;
            node.set_clock_skew(if round % 4 < 2 { CLOCK_SKEW } else { -CLOCK_SKEW });
            node.start().await?;
            wait(500, 1_500).await;
            Ok(())
        }
        InjectedFault::RollingRestart => {
            for node in &environment.nodes {
                node.terminate().await?;
                node.start().await?;
                wait(200, 800).await;
            }
            Ok(())
        }
        InjectedFault::ReadersStalled => stall(environment, flow).await,
    }
}

fn servers(environment: &Environment) -> Result<&Servers, Failure> {
    environment.servers.as_ref().ok_or_else(|| "this scenario needs a cluster".to_owned())
}
