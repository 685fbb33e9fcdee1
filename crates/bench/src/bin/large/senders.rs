//! Users who send messages through stores in this process, as those of gateways do.

use crate::measure::{Cost, Meter};
use crate::result::LargeResult;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tolmach_bus::InProcess;
use tolmach_domain::{Content, FlowId, FlowKind, FlowKindFilter, Timestamp, UserId, UserSummary};
use tolmach_engine::ports::{
    CreateFlow, FlowLimits, FlowStore, MessageStore, NewUser, PostMessage, Store, UserStore,
};
use tolmach_store::{Options, SqlStore};

/// The most senders of each gateway, each with one message under way in a flow of its own.
pub(crate) const SENDERS: usize = 64;

/// The time of every message.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000)
}

/// The bytes of a message's text.
const TEXT_BYTES: usize = 200;

/// A user who sends, and their flow.
#[derive(Clone)]
pub(crate) struct Sender {
    author: UserSummary,
    flow: FlowId,
}

async fn open(url: &str) -> LargeResult<Arc<SqlStore>> {
    let options = Options { timeout: Duration::from_secs(30), ..Options::default() };
    Ok(SqlStore::open(url, Arc::new(InProcess::default()), options).await?)
}

/// Creates senders.
pub(crate) async fn seed(url: &str, count: usize) -> LargeResult<Vec<Sender>> {
    let store = open(url).await?;
    let mut senders = Vec::new();
    for number in 0..count {
        let user = NewUser::named(format!("sender{number}"));
        let user = store.create_user(user, now()).await?;
        let flow = create_flow(&store, user.id).await?;
        senders.push(Sender { author: user.summary(), flow });
    }
    store.close().await;
    Ok(senders)
}

async fn create_flow(store: &SqlStore, owner: UserId) -> LargeResult<FlowId> {
    let flow = CreateFlow {
        kind: FlowKind::Group,
        title: "sends".into(),
        info: String::new(),
        owner,
        photo: None,
        members: Vec::new(),
        key: None,
    };
    Ok(store.create_flow(flow, FlowLimits::NONE, None, now()).await?.into_flow().id)
}

/// The result of a load.
pub(crate) struct Load {
    /// The cost of a message; its time is that of the load, shared by all messages.
    pub(crate) each: Cost,
    /// The median time from sending a message to its commit.
    pub(crate) median: Duration,
    /// The time that a hundredth of the messages exceed.
    pub(crate) p99: Duration,
}

/// Sends from each of some gateways for a time: each has as many of the senders, at most 64.
pub(crate) async fn load(
    meter: Meter<'_>,
    url: &str,
    gateways: usize,
    senders: &[Sender],
    length: Duration,
) -> LargeResult<Load> {
    let stores = try_join_all((0..gateways).map(|_| open(url))).await?;
    let each = SENDERS.min(senders.len() / gateways);
    // Housekeeping is due after the first change that is no message.
    for (store, sender) in stores.iter().zip(senders) {
        create_flow(store, sender.author.id).await?;
    }
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
    let quantile = |percent| times.get(times.len() * percent / 100).copied();
    let (median, p99) = quantile(50).zip(quantile(99)).ok_or("nothing was sent")?;
    Ok(Load { each, median, p99 })
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
        store.post(message, now()).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}
