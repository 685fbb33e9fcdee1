//! Latency of posts while housekeeping removes expired sessions.
//!
//! `cargo run --release -p tolmach-store --example housekeeping [sessions] [expired] [seconds]`
//!
//! A new SQLite file has this many sessions, of which some have expired. Eight tasks post, each
//! message after the one before: first without housekeeping, then beside it, for this many seconds
//! each. What is left is removed at the end, without posts.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tolmach_domain::{Content, Flow, FlowKind, FlowKindFilter, Timestamp, User};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    CreateFlow, FlowLimits, FlowStore, MessageStore, NewUser, PostMessage, Store, StoreError,
    UserStore,
};
use tolmach_store::{Options, SqlStore};

/// Tasks that post.
const TASKS: usize = 8;

/// The time of the first posts, before any session has expired.
const EARLY: Timestamp = Timestamp::from_micros(1_000_000);

/// The time of the later ones, after the sessions have expired.
const LATE: Timestamp = Timestamp::from_micros(1_600_000_000_000_000);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (sessions, expired) = (number(3_000_000)?, number(1_000_000)?);
    let length = Duration::from_secs(number(30)?);
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("housekeeping.db").display());
    let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
    let store = SqlStore::open(&url, Arc::new(MemoryBus::new()), options).await?;
    let anna = store.create_user(NewUser::named("anna"), EARLY).await?;
    let new = CreateFlow {
        kind: FlowKind::Group,
        title: "housekeeping".to_owned(),
        info: String::new(),
        owner: anna.id,
        photo: None,
        members: Vec::new(),
        key: None,
    };
    let flow = store.create_flow(new, FlowLimits::NONE, None, EARLY).await?.into_flow();
    let database = Database::connect(&url).await?;
    fill(&database, sessions, expired).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{:24} {:>9} {:>9} {:>9} {:>9}", "", "posts/s", "p50 ms", "p99 ms", "removed")?;
    for (name, now) in [("without housekeeping", EARLY), ("beside housekeeping", LATE)] {
        let before = count(&database).await?;
        let mut latencies = post(&store, &flow, &anna, now, length).await?;
        latencies.sort_unstable();
        let at = |percent: usize| {
            let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(0.0, Duration::as_secs_f64) * 1e3
        };
        let rate = latencies.len() as f64 / length.as_secs_f64();
        let removed = before - count(&database).await?;
        writeln!(out, "{name:24} {rate:9.0} {:9.2} {:9.2} {removed:9}", at(50), at(99))?;
    }
    let (started, before) = (Instant::now(), count(&database).await?);
    while count(&database).await? > i64::try_from(sessions - expired)? {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let left = before - count(&database).await?;
    writeln!(out, "without posts, the other {left} are removed in {seconds:.1} s")?;
    store.close().await;
    Ok(())
}

/// Adds sessions with tokens, as logins leave them: in no order of their tokens.
async fn fill(
    database: &DatabaseConnection,
    sessions: u64,
    expired: u64,
) -> Result<(), Box<dyn Error>> {
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {sessions}) \
         INSERT INTO session (user_id, token_hash, created_at, expires_at) \
         SELECT 1, randomblob(32), i, CASE WHEN i <= {expired} THEN i ELSE {} + i END FROM n",
        i64::MAX / 2
    );
    database.execute_unprepared(&insert).await?;
    Ok(())
}

async fn count(database: &DatabaseConnection) -> Result<i64, Box<dyn Error>> {
    let sql = "SELECT count(*) AS number FROM session";
    let counted = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(counted).await?.ok_or("a count without a row")?;
    Ok(row.try_get("", "number")?)
}

/// Posts for a while, and returns how long each post took.
async fn post(
    store: &Arc<SqlStore>,
    flow: &Flow,
    author: &User,
    now: Timestamp,
    length: Duration,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let started = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, flow, author) = (store.clone(), flow.id, author.summary());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < length {
                    let message = PostMessage {
                        flow,
                        kinds: FlowKindFilter::Any,
                        author: author.clone(),
                        administrator: false,
                        content: Content::text("x".repeat(200)),
                        key: None,
                        origin: None,
                    };
                    let posted = Instant::now();
                    store.post(message, now).await?;
                    latencies.push(posted.elapsed());
                }
                Ok::<_, StoreError>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(latencies)
}
