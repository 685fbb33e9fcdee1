//! The rows about gateways that write to one PostgreSQL, whose flush takes 4 ms or which is 1 ms
//! away.

use crate::measure::{Row, millis};
use crate::result::LargeResult;
use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait, Database};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tolmach_bus::InProcess;
use tolmach_domain::{Content, FlowId, FlowKind, FlowKindFilter, Timestamp, UserSummary};
use tolmach_engine::ports::{
    CreateFlow, FlowLimits, FlowStore, MessageStore, NewUser, PostMessage, Store, UserStore,
};
use tolmach_store::{Options, SqlStore};
use tolmach_test_servers::{Durability, Postgres, Proxy};

/// The senders of each gateway, each with one message under way in a flow of its own.
const SENDERS: usize = 64;

/// The largest number of gateways.
const GATEWAYS: usize = 4;

/// The time that passes until what a proxy reads goes on: half of a round trip of 1 ms.
const WAY: Duration = Duration::from_micros(500);

/// The bytes of a message's text.
const TEXT_BYTES: usize = 200;

/// Measures the rows, each load for this time.
pub(crate) async fn measure(length: Duration) -> LargeResult<Vec<Row>> {
    let mut rows = Vec::new();
    let server = Postgres::start(Durability::Full);
    let senders = seed(&server.url()).await?;
    let proxy = Proxy::to(&server.address());
    proxy.delay(WAY);
    let far = server.url_at(&proxy.address());
    let lone = load(&far, 1, &senders[..1], length).await?;
    let all = load(&far, 1, &senders[..SENDERS], length).await?;
    rows.push(Row {
        name: "writes: a lone send at 1 ms",
        value: lone.median,
        unit: "ms",
        aim: 3.5,
    });
    let each = 1e6 / all.rate;
    rows.push(Row { name: "writes: a message of 64 at 1 ms", value: each, unit: "µs", aim: 66.7 });
    slow_flushes(&server).await?;
    let one = load(&server.url(), 1, &senders, length).await?;
    let two = load(&server.url(), 2, &senders, length).await?;
    let four = load(&server.url(), 4, &senders, length).await?;
    let ratio = |name, value, aim| Row { name, value, unit: "×", aim };
    let each = 1e6 / one.rate;
    rows.push(Row {
        name: "writes: a message, flush of 4 ms",
        value: each,
        unit: "µs",
        aim: 318.0,
    });
    rows.push(ratio("writes: rate of 1 gateway in that of 2", one.rate / two.rate, 1.0 / 1.7));
    rows.push(ratio("writes: rate of 1 gateway in that of 4", one.rate / four.rate, 1.0 / 2.8));
    rows.push(ratio("writes: p50 of 4 gateways in that of 1", four.median / one.median, 1.5));
    Ok(rows)
}

/// Makes every flush of the server take 4 ms longer, as on a slower disk. Commits that wait
/// meanwhile share it, as they do there.
async fn slow_flushes(server: &Postgres) -> LargeResult<()> {
    let url = format!("postgres://postgres@{}/tolmach", server.address());
    let administrator = Database::connect(url).await?;
    for setting in ["commit_delay = 4000", "commit_siblings = 0"] {
        let statement = format!("ALTER DATABASE tolmach SET {setting}");
        administrator.execute_unprepared(&statement).await?;
    }
    administrator.close().await?;
    Ok(())
}

/// A user who sends, and their flow.
#[derive(Clone)]
struct Sender {
    author: UserSummary,
    flow: FlowId,
}

async fn open(url: &str) -> LargeResult<Arc<SqlStore>> {
    let options = Options { timeout: Duration::from_secs(30), ..Options::default() };
    Ok(SqlStore::open(url, Arc::new(InProcess::default()), options).await?)
}

/// Creates the senders of all gateways.
async fn seed(url: &str) -> LargeResult<Vec<Sender>> {
    let store = open(url).await?;
    let now = Timestamp::from_micros(1_600_000_000_000_000);
    let mut senders = Vec::new();
    for number in 0..SENDERS * GATEWAYS {
        let user = NewUser::named(format!("sender{number}"));
        let user = store.create_user(user, now).await?;
        let flow = CreateFlow {
            kind: FlowKind::Group,
            title: "writes".into(),
            info: String::new(),
            owner: user.id,
            photo: None,
            members: Vec::new(),
            key: None,
        };
        let flow = store.create_flow(flow, FlowLimits::NONE, None, now).await?.into_flow();
        senders.push(Sender { author: user.summary(), flow: flow.id });
    }
    store.close().await;
    Ok(senders)
}

/// The result of a load.
struct Load {
    /// Messages per second.
    rate: f64,
    /// The median time of a message, in milliseconds.
    median: f64,
}

/// Sends from each of some gateways for a time: each has as many of the senders, at most 64.
async fn load(
    url: &str,
    gateways: usize,
    senders: &[Sender],
    length: Duration,
) -> LargeResult<Load> {
    let stores = try_join_all((0..gateways).map(|_| open(url))).await?;
    let each = SENDERS.min(senders.len() / gateways);
    let began = Instant::now();
    let mut tasks = Vec::new();
    for (store, senders) in stores.iter().zip(senders.chunks(each)) {
        for sender in senders {
            let (store, sender) = (store.clone(), sender.clone());
            tasks.push(tokio::spawn(async move { send(&store, &sender, began + length).await }));
        }
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    for store in stores {
        store.close().await;
    }
    times.sort_unstable();
    let middle = times.get(times.len() / 2).ok_or("nothing was sent")?;
    Ok(Load { rate: times.len() as f64 / elapsed, median: millis(*middle) })
}

/// Sends one message after another, and returns the time of each.
async fn send(store: &SqlStore, sender: &Sender, until: Instant) -> LargeResult<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let message = PostMessage {
            flow: sender.flow,
            kinds: FlowKindFilter::Any,
            author: sender.author.clone(),
            administrator: false,
            content: Content::text("x".repeat(TEXT_BYTES)),
            key: None,
            origin: None,
        };
        let began = Instant::now();
        store.post(message, Timestamp::from_micros(1_600_000_000_000_000)).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}
