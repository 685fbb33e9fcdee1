//! What breaks, and how.

use crate::load::Load;
use crate::people::Trouble;
use crate::stand::{Cluster, Stand, get};
use futures_util::StreamExt;
use sea_orm::{
    ConnectOptions, Database, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tolmach_domain::FlowId;
use tolmach_test_servers::Proxy;

/// One way in which things break.
pub(crate) struct Scenario {
    /// As people call it on the command line.
    pub(crate) name: &'static str,
    /// Whether two nodes stand on PostgreSQL and Redis, or one on SQLite.
    pub(crate) cluster: bool,
    pub(crate) trouble: Trial,
}

impl Scenario {
    /// What is said meanwhile: some hundreds of messages a second, from every dialect; before a
    /// crowd fewer, so that what is said to all of them is as much, but larger ones, so that it
    /// soon is too much for who does not read.
    pub(crate) fn load(&self) -> Result<Load, Trouble> {
        match self.trouble {
            Trial::ReadersStalled => Ok(Load { pace: PACE_A_READER * crowd()?, ballast: 8 << 10 }),
            _ => Ok(Load { pace: PACE, ballast: 0 }),
        }
    }

    /// How the gateways of a cluster are configured.
    pub(crate) fn options(&self) -> &'static [(&'static str, &'static str)] {
        match self.trouble {
            // So that a message to all is soon one too many for who does not read.
            Trial::ReadersStalled => &[("LIMITS__SEND_QUEUE_BYTES", "256KiB")],
            _ => &[],
        }
    }
}

/// What is done to a stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
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

/// In the order in which they are run.
pub(crate) const SCENARIOS: [Scenario; 12] = [
    Scenario { name: "gateway-killed-on-sqlite", cluster: false, trouble: Trial::GatewayKilled },
    Scenario { name: "sqlite-slow", cluster: false, trouble: Trial::SqliteLocked },
    Scenario { name: "gateway-killed", cluster: true, trouble: Trial::GatewayKilled },
    Scenario { name: "postgres-stopped", cluster: true, trouble: Trial::PostgresStopped },
    Scenario { name: "postgres-slow", cluster: true, trouble: Trial::PostgresSlow },
    Scenario { name: "postgres-partitioned", cluster: true, trouble: Trial::PostgresPartitioned },
    Scenario { name: "redis-killed", cluster: true, trouble: Trial::RedisKilled },
    Scenario { name: "redis-paused", cluster: true, trouble: Trial::RedisPaused },
    Scenario { name: "redis-partitioned", cluster: true, trouble: Trial::RedisPartitioned },
    Scenario { name: "clocks-apart", cluster: true, trouble: Trial::ClocksApart },
    Scenario { name: "rolling-restart", cluster: true, trouble: Trial::RollingRestart },
    Scenario { name: "readers-stalled", cluster: true, trouble: Trial::ReadersStalled },
];

/// Between two messages of one writer, and the same for each reader of a crowd.
const PACE: Duration = Duration::from_millis(5);
const PACE_A_READER: Duration = Duration::from_micros(250);

/// How far clocks are apart, in seconds.
const SKEW: i64 = 600;

/// Readers who come to one node beside those of every round: in this variable, or else few.
pub(crate) const CROWD: &str = "TOLMACH_CHAOS_CROWD";
const SMALL_CROWD: u32 = 200;
/// One in so many of them stalls.
const STALLS: u32 = 20;

/// How long the gateway may take to let go of those. Only ever reached by a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// Readers that come in at once.
const DOOR: usize = 16;

/// Does it to the stand, for the time that this round's number chooses, and heals it.
pub(crate) async fn strike(
    trial: Trial,
    stand: &Stand,
    flow: FlowId,
    round: u64,
) -> Result<(), Trouble> {
    // Rounds differ, and each can be had again: from some tenths of a second to some seconds.
    let wait = |shortest: u64, longest: u64| {
        let mixed = (round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        tokio::time::sleep(Duration::from_millis(shortest + mixed % (longest - shortest)))
    };
    let chosen = usize::try_from(round).unwrap_or(usize::MAX) % stand.nodes.len();
    let node = &stand.nodes[chosen];
    // Broken at another moment of the load each time.
    wait(300, 1_500).await;
    match trial {
        Trial::GatewayKilled => {
            node.kill().await?;
            wait(0, 500).await;
            node.start().await
        }
        Trial::SqliteLocked => {
            // Somebody else writes, for longer than a request may wait: that is what a disk which
            // does not keep up looks like.
            let database = Database::connect(ConnectOptions::new(format!(
                "sqlite://{}",
                stand.sqlite().display()
            )));
            let database = database.await.map_err(text)?;
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            };
            let writing = database.begin_with_options(options).await.map_err(text)?;
            wait(300, 4_000).await;
            writing.rollback().await.map_err(text)?;
            database.close().await.map_err(text)
        }
        Trial::PostgresStopped => {
            let postgres = &cluster(stand)?.postgres;
            blocking(|| postgres.stop_immediately());
            wait(0, 3_000).await;
            blocking(|| postgres.start_again());
            Ok(())
        }
        Trial::PostgresSlow => {
            // It stands still again and again, as on a disk that does not keep up.
            for _ in 0..6 {
                cluster(stand)?.postgres.pause();
                wait(100, 600).await;
                cluster(stand)?.postgres.resume();
                wait(10, 60).await;
            }
            Ok(())
        }
        Trial::PostgresPartitioned => {
            let network = node.to_postgres.as_ref().ok_or("no network to PostgreSQL")?;
            if round % 4 < 2 {
                network.cut()
            } else {
                network.reset()
            }
            wait(200, 4_000).await;
            network.heal();
            Ok(())
        }
        Trial::RedisKilled => {
            let redis = &cluster(stand)?.redis;
            blocking(|| redis.kill());
            wait(0, 3_000).await;
            blocking(|| redis.start_again());
            Ok(())
        }
        Trial::RedisPaused => {
            cluster(stand)?.redis.pause();
            wait(200, 6_000).await;
            cluster(stand)?.redis.resume();
            Ok(())
        }
        Trial::RedisPartitioned => {
            let network = node.to_redis.as_ref().ok_or("no network to Redis")?;
            if round % 4 < 2 {
                network.cut()
            } else {
                network.reset()
            }
            wait(200, 6_000).await;
            network.heal();
            Ok(())
        }
        Trial::ClocksApart => {
            // One node after the other lives ten minutes ahead or behind.
            node.terminate().await?;
            node.skew(if round % 4 < 2 { SKEW } else { -SKEW });
            node.start().await?;
            wait(500, 1_500).await;
            Ok(())
        }
        Trial::RollingRestart => {
            for node in &stand.nodes {
                node.terminate().await?;
                node.start().await?;
                wait(200, 800).await;
            }
            Ok(())
        }
        Trial::ReadersStalled => stall(stand, flow).await,
    }
}

/// Has a crowd come to a node, of whom some stop reading. The gateway has to let go of just those.
async fn stall(stand: &Stand, flow: FlowId) -> Result<(), Trouble> {
    let node = stand.nodes[0].address()?;
    // Behind it a client reads no more: what is said to it fills the buffers of the system, and
    // then the gateway's.
    let network = Proxy::narrow(&node.to_string());
    let behind: SocketAddr = network.address().parse().map_err(text)?;
    let entering = (0..crowd()?).zip(stand.readers.iter().cycle()).map(|(number, reader)| {
        let stalls = number % STALLS == 0;
        async move {
            reader
                .watch(if stalls { behind } else { node }, flow)
                .await
                .map(|client| (stalls, client))
        }
    });
    let mut entering = futures_util::stream::iter(entering).buffer_unordered(DOOR);
    let (mut stalled, mut reading) = (Vec::new(), JoinSet::new());
    while let Some(entered) = entering.next().await {
        match entered? {
            (true, client) => stalled.push(client),
            (false, mut client) => {
                reading.spawn(async move { client.discard().await });
            }
        }
    }
    drop(entering);
    let before = let_go(node).await?;
    network.cut();
    // Those who read stay; that they are still there is what ends this scene.
    let all_let_go = async {
        while let_go(node).await? < before + stalled.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, Trouble>(())
    };
    tokio::select! {
        gone = tokio::time::timeout(PATIENCE, all_let_go) => gone.map_err(|_| "readers who do not \
            read are not let go")??,
        Some(ended) = reading.join_next() => return Err(format!("a reader who reads was let go: \
            {ended:?}")),
    }
    network.heal();
    Ok(())
}

/// How many readers this node has let go because they did not read.
async fn let_go(node: SocketAddr) -> Result<usize, Trouble> {
    let page = get(node, "/metrics").await?;
    let counted = page.lines().filter(|line| {
        line.starts_with("tolmach_connections_closed_total{") && line.contains("reason=\"slow_reader\"")
    });
    Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum())
}

fn crowd() -> Result<u32, Trouble> {
    match std::env::var(CROWD) {
        Ok(crowd) => {
            crowd.parse().map_err(|_| format!("{CROWD}={crowd}: a number of readers is expected"))
        }
        Err(_) => Ok(SMALL_CROWD),
    }
}

fn cluster(stand: &Stand) -> Result<&Cluster, Trouble> {
    stand.cluster.as_ref().ok_or_else(|| "this scenario is of a cluster".to_owned())
}

/// Servers are started and ended by whoever waits for it.
fn blocking<T>(act: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(act)
}

fn text(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}
