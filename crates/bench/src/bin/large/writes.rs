//! The rows about gateways that write to one PostgreSQL, whose flush takes 4 ms or which is 1 ms
//! away.

use crate::measure::{Aim, Cost, Measured, Meter, Row};
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
    let server = Postgres::start(Durability::Full);
    let senders = seed(&server.url()).await?;
    let proxy = Proxy::to(&server.address());
    proxy.delay(WAY);
    let (far, near) = (server.url_at(&proxy.address()), server.url());
    let meter = Meter { server: Some(&server) };
    let lone = load(meter, &far, 1, &senders[..1], length).await?;
    let all = load(meter, &far, 1, &senders[..SENDERS], length).await?;
    slow_flushes(&server).await?;
    let one = load(meter, &near, 1, &senders, length).await?;
    let two = load(meter, &near, 2, &senders, length).await?;
    let four = load(meter, &near, 4, &senders, length).await?;
    let lone = Cost { time: lone.median, ..lone.each };
    let row = |name, cost, micros| {
        let aim = Aim::Time(Duration::from_micros(micros));
        Row { name, measured: Measured::Cost(cost), aim }
    };
    let ratio = |name, part: Duration, whole: Duration, aim| {
        let ratio = part.as_secs_f64() / whole.as_secs_f64();
        Row { name, measured: Measured::Ratio(ratio), aim: Aim::Ratio(aim) }
    };
    let (of_one, of_two, of_four) = (one.each.time, two.each.time, four.each.time);
    Ok(vec![
        row("writes: a lone send at 1 ms", lone, 3_500),
        row("writes: a message of 64 at 1 ms", all.each, 67),
        row("writes: a message, flush of 4 ms", one.each, 318),
        Row {
            name: "writes: a message of 4 gateways, flush of 4 ms",
            measured: Measured::Cost(four.each),
            aim: Aim::None,
        },
        ratio("writes: rate of 1 gateway in that of 2", of_two, of_one, 1.0 / 1.7),
        ratio("writes: rate of 1 gateway in that of 4", of_four, of_one, 1.0 / 2.8),
        ratio("writes: p50 of 4 gateways in that of 1", four.median, one.median, 1.5),
    ])
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
    /// The cost of a message; its time is that of the load, shared by all messages.
    each: Cost,
    /// The median time from sending a message to its commit.
    median: Duration,
}

/// Sends from each of some gateways for a time: each has as many of the senders, at most 64.
async fn load(
    meter: Meter<'_>,
    url: &str,
    gateways: usize,
    senders: &[Sender],
    length: Duration,
) -> LargeResult<Load> {
    let stores = try_join_all((0..gateways).map(|_| open(url))).await?;
    let each = SENDERS.min(senders.len() / gateways);
    let (beginning, began) = (meter.begin(), Instant::now());
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
    let each = meter.cost_of_each(&beginning, times.len());
    for store in stores {
        store.close().await;
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().ok_or("nothing was sent")?;
    Ok(Load { each, median })
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
