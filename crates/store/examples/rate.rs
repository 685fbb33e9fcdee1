//! How many posts a second are acknowledged: many tasks that share commits, against one transaction a message.
//!
//! `cargo run --release -p tolmach-store --example rate [tasks] [seconds] [url]`
//!
//! Without a URL it is a new SQLite file each time. Several at once on one PostgreSQL show what its nodes have together.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tolmach_domain::{Content, Flow, FlowKind, Kinds, Timestamp, User};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{NewFlow, NewMessage, NewUser, Store, StoreError};
use tolmach_store::{Options, SqlStore};

const FLOWS: usize = 8;
const TEXT_BYTES: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let tasks: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let url = arguments.next();
    let mut out = std::io::stdout();
    for (name, batch_jobs) in [("shared commits", Options::default().batch_jobs), ("one transaction a message", 1)] {
        let folder = tempfile::tempdir()?;
        let file = || format!("sqlite://{}?mode=rwc", folder.path().join("rate.db").display());
        let url = url.clone().unwrap_or_else(file);
        let options = Options { batch_jobs, timeout: Duration::from_secs(60), ..Options::default() };
        let store = SqlStore::open(&url, Arc::new(MemoryBus::new()), options).await?;
        let before = store.stats();
        let (posted, elapsed) = measure(&store, tasks, Duration::from_secs(seconds)).await?;
        let transactions = store.stats().transactions - before.transactions;
        let rate = posted as f64 / elapsed.as_secs_f64();
        writeln!(out, "{name}: {rate:.0} posts/s from {tasks} tasks, {:.1} a transaction", posted as f64 / transactions as f64)?;
        store.close().await;
    }
    Ok(())
}

async fn measure(store: &Arc<SqlStore>, tasks: usize, length: Duration) -> Result<(u64, Duration), Box<dyn std::error::Error>> {
    let now = Timestamp::from_micros(1_600_000_000_000_000);
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let user = store.create_user(author(&format!("rate {} {}", std::process::id(), started.as_nanos())), now).await?;
    let mut flows = Vec::with_capacity(FLOWS);
    for _ in 0..FLOWS {
        let (title, info) = ("rate".to_owned(), String::new());
        let flow = NewFlow { kind: FlowKind::Group, title, info, owner: user.id, photo: None, members: Vec::new(), key: None };
        flows.push(store.create_flow(flow, None, now).await?.0);
    }
    let (posted, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let running: Vec<_> = (0..tasks)
        .map(|number| {
            let (store, user, flow, posted) = (store.clone(), user.clone(), flows[number % FLOWS].clone(), posted.clone());
            tokio::spawn(async move {
                while started.elapsed() < length {
                    store.post(message(&flow, &user), now).await?;
                    posted.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    Ok((posted.load(Ordering::Relaxed), started.elapsed()))
}

fn message(flow: &Flow, user: &User) -> NewMessage {
    let content = Content::text("x".repeat(TEXT_BYTES));
    NewMessage { flow: flow.id, kinds: Kinds::Any, author: user.person(), administrator: false, content, key: None, origin: None }
}

fn author(login: &str) -> NewUser {
    NewUser {
        id: None,
        login: login.into(),
        username: "rate".into(),
        name: "rate".into(),
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        password_hash: None,
    }
}
