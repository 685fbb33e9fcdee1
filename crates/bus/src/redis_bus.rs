//! The bus of several nodes, by the Pub/Sub of Redis.
//!
//! What this node publishes goes to its own listeners as in [`InProcess`], and beside that to a
//! backlog, from which one task hands it to Redis. What Redis has for this node goes to another
//! backlog, from which a second task takes it to the listeners. Whoever publishes never waits for
//! Redis, and Redis never waits for a listener: a backlog that is full loses its oldest, and
//! whoever must not miss anything finds it in the store.

use crate::backlog::Backlog;
use crate::channels::{Channels, Place, places};
use crate::envelope::{decode, encode, mark};
use crate::in_process::InProcess;
use crate::interest::Interest;
use crate::link::{Broken, Link, OpenError, Target};
use async_trait::async_trait;
use redis::{PushInfo, PushKind, Value};
use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tolmach_domain::Event;
use tolmach_engine::ports::{Bus, BusReceiver, Topic};

/// How often Redis is asked whether it is there.
const PULSE: Duration = Duration::from_millis(500);

/// How long to wait before connecting again: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long closing waits for what was published before.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much Redis is handed at once, in bytes and in events.
const SPOKEN_AT_ONCE: (usize, usize) = (256 << 10, 512);

/// How much listeners are handed at once, in bytes and in events. Less: it is multiplied by the
/// room that they have.
const HEARD_AT_ONCE: (usize, usize) = (64 << 10, 64);

/// What an envelope costs beside its bytes.
const OVERHEAD: usize = 64;

/// How many events that may come twice are remembered.
const REMEMBERED: usize = 4_096;

/// How a [`RedisBus`] goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the names of all channels begin with: worlds that share a Redis differ in it.
    pub prefix: String,
    /// Whether to use the sharded channels of a Redis Cluster.
    pub sharded: bool,
    /// How many bytes of events wait for Redis, and how many wait for this node's listeners, before
    /// the oldest are lost.
    pub queue_bytes: usize,
    /// How many parts of them wait for each listener meanwhile; see [`InProcess::new`].
    pub capacity: usize,
    /// This node: random, so that no two nodes are the same.
    pub node: u64,
    /// The ids of the dialects that the origin of an event may name.
    pub dialects: Vec<&'static str>,
}

/// What a [`RedisBus`] has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that Redis took.
    pub published: u64,
    /// Events that may never have reached Redis: too many were waiting, or the connection broke
    /// meanwhile.
    pub dropped: u64,
    /// Events of other nodes that this node's listeners got.
    pub received: u64,
    /// Events of other nodes that were lost here, because the listeners lag.
    pub overflowed: u64,
    /// What was heard and could not be read.
    pub undecodable: u64,
    /// How often Redis was connected to.
    pub connections: u64,
}

/// A bus for several nodes.
///
/// It begins, and goes on, without Redis too: this node's listeners hear this node, and
/// [`Bus::last_error`] says what is wrong. The connection is made, and made again, beside that;
/// each time that it stands, every subscription is told that something may have been missed.
///
/// A node hears other nodes on the topics that it listens to; an event that concerns a crowd is
/// heard by every node.
pub struct RedisBus {
    local: Arc<InProcess>,
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    target: Target,
    channels: Channels,
    node: u64,
    /// How many events this node has said so far.
    sequence: AtomicU64,
    mark: String,
    dialects: Vec<&'static str>,
    outgoing: Backlog<Arc<Event>>,
    incoming: Backlog<Vec<u8>>,
    interest: Interest,
    last_error: Mutex<Option<String>>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    dropped: AtomicU64,
    received: AtomicU64,
    overflowed: AtomicU64,
    undecodable: AtomicU64,
    connections: AtomicU64,
}

impl RedisBus {
    /// A bus by the Redis at `url`, such as `redis://user:password@host:6379/0`, or where channels
    /// are sharded by the Redis Cluster of which it names nodes, separated by commas. Connects in
    /// the background, on the runtime that this is called in.
    ///
    /// # Errors
    /// [`OpenError`]: the URL is wrong.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let target = Target::parse(url, options.sharded)?;
        let shared = Arc::new(Shared {
            last_error: Mutex::new(Some(format!("the Redis at {target} has not been reached yet"))),
            target,
            channels: Channels::new(options.prefix, options.sharded),
            node: options.node,
            sequence: AtomicU64::new(0),
            mark: mark(options.node),
            dialects: options.dialects,
            outgoing: Backlog::new(options.queue_bytes),
            incoming: Backlog::new(options.queue_bytes),
            interest: Interest::default(),
            counters: Counters::default(),
        });
        let local = Arc::new(InProcess::new(options.capacity));
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.clone().stay_linked(local.clone()));
        tasks.spawn(shared.clone().hear(local.clone()));
        Ok(Self { local, shared, tasks: Mutex::new(tasks) })
    }

    /// The addresses at which [`Self::open`] would look for Redis, in words, without users and
    /// passwords.
    ///
    /// # Errors
    /// [`OpenError`]: the URL is wrong.
    pub fn servers(url: &str, sharded: bool) -> Result<String, OpenError> {
        Target::parse(url, sharded).map(|target| target.to_string())
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            published: read(&counters.published),
            dropped: read(&counters.dropped),
            received: read(&counters.received),
            overflowed: read(&counters.overflowed),
            undecodable: read(&counters.undecodable),
            connections: read(&counters.connections),
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, events: &[Arc<Event>]) {
        let lost =
            self.shared.outgoing.add(events.iter().map(|event| (event.clone(), event.size())));
        count(&self.shared.counters.dropped, lost);
        self.local.publish(events).await;
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        self.local.receivers(shards)
    }

    fn subscribe(&self, topics: &[Topic]) {
        self.shared.interest.set(topics, true);
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.shared.interest.set(topics, false);
    }

    fn last_error(&self) -> Option<String> {
        self.shared.error_slot().clone()
    }

    async fn close(&self) {
        // The connection may be about to stand: an operator's command publishes as soon as it has
        // begun.
        let _ = tokio::time::timeout(FAREWELL, self.shared.outgoing.emptied()).await;
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        *self.shared.error_slot() = Some("the bus is closed".into());
    }
}

impl Shared {
    /// Connects, and again whenever the connection is lost.
    async fn stay_linked(self: Arc<Self>, local: Arc<InProcess>) {
        let mut wait = BACKOFF.0;
        loop {
            let lost = Arc::new(Lost::default());
            let connected = self.target.connect({
                let (shared, lost) = (self.clone(), lost.clone());
                move |push| shared.take_in(push, &lost)
            });
            let error = match connected.await {
                Ok(link) => {
                    count(&self.counters.connections, 1);
                    let since = Instant::now();
                    let Err(error) = self.use_link(link, &lost, &local).await;
                    // Whether Redis got what it was being handed cannot be known.
                    count(&self.counters.dropped, self.outgoing.settle());
                    if since.elapsed() > BACKOFF.1 {
                        wait = BACKOFF.0;
                    }
                    error
                }
                Err(error) => error,
            };
            self.tell(format!("the Redis at {}: {error}", self.target));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    /// Does everything that is done by one connection, until it is lost.
    async fn use_link(
        &self,
        link: Link,
        lost: &Lost,
        local: &InProcess,
    ) -> Result<Infallible, Broken> {
        tokio::select! {
            error = lost.wait() => error,
            error = self.speak(&link) => error,
            error = self.follow(link.clone(), lost, local) => error,
            error = watch(link.clone()) => error,
        }
    }

    /// Hands Redis what was published.
    async fn speak(&self, link: &Link) -> Result<Infallible, Broken> {
        loop {
            let events = self.outgoing.take(SPOKEN_AT_ONCE.0, SPOKEN_AT_ONCE.1).await.items;
            let mut envelopes = Vec::with_capacity(events.len());
            for event in events {
                let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
                match encode(self.node, sequence, &event) {
                    Ok(bytes) => envelopes.push((bytes, places(&event))),
                    Err(error) => {
                        let event = event.name();
                        tracing::error!(%error, event, "an event cannot be encoded for other nodes")
                    }
                }
            }
            link.publish(&self.channels, &envelopes).await?;
            count(&self.counters.published, self.outgoing.settle());
        }
    }

    /// Has Redis send what is wanted, and no more.
    async fn follow(
        &self,
        mut link: Link,
        lost: &Lost,
        local: &InProcess,
    ) -> Result<Infallible, Broken> {
        let mut followed: HashSet<Topic> = HashSet::new();
        let mut wanted = self.interest.all();
        let mut unwanted = Vec::new();
        for batch in self.channels.batches([Place::Everyone]) {
            link.subscribe(&batch).await?;
        }
        let mut first = true;
        loop {
            wanted.retain(|topic| followed.insert(*topic));
            unwanted.retain(|topic| followed.remove(topic));
            for batch in self.channels.batches(unwanted.iter().copied().map(Place::Topic)) {
                lost.leave(&batch);
                link.unsubscribe(&batch).await?;
                lost.left();
            }
            for batch in self.channels.batches(wanted.iter().copied().map(Place::Topic)) {
                link.subscribe(&batch).await?;
            }
            if first {
                first = false;
                self.recovered();
                local.missed();
            } else if !wanted.is_empty() {
                local.missed();
            }
            let changes = self.interest.changes().await;
            (wanted, unwanted) = (changes.wanted, changes.unwanted);
        }
    }

    /// Takes in what Redis says of its own accord. Called where Redis is read: must not wait.
    fn take_in(&self, push: PushInfo, lost: &Lost) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                // The channel, then what was published there.
                if let Some(Value::BulkString(payload)) = push.data.into_iter().nth(1)
                    && !payload.starts_with(self.mark.as_bytes())
                {
                    let weight = payload.len() + OVERHEAD;
                    count(&self.counters.overflowed, self.incoming.add([(payload, weight)]));
                }
            }
            PushKind::Disconnection => lost.tell(),
            // A cluster's node that no longer holds a slot says so; unasked, it means that nothing
            // will be heard any more.
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = push.data.first()
                    && !lost.is_left(channel)
                {
                    lost.tell();
                }
            }
            _ => {}
        }
    }

    /// Takes what was heard to this node's listeners, who may let it wait.
    async fn hear(self: Arc<Self>, local: Arc<InProcess>) {
        let mut repeated = Repeated::default();
        loop {
            let batch = self.incoming.take(HEARD_AT_ONCE.0, HEARD_AT_ONCE.1).await;
            let mut missed = batch.lost;
            let mut events = Vec::with_capacity(batch.items.len());
            for payload in batch.items {
                match decode(&payload, &self.dialects) {
                    Ok(envelope)
                        if repeated.is(envelope.node, envelope.sequence, &envelope.event) => {}
                    Ok(envelope) => events.push(Arc::new(envelope.event)),
                    Err(error) => {
                        missed = true;
                        if self.counters.undecodable.fetch_add(1, Ordering::Relaxed) == 0 {
                            tracing::warn!(
                                %error,
                                "an event of another node cannot be decoded, read from the store"
                            );
                        }
                    }
                }
            }
            self.incoming.settle();
            count(&self.counters.received, events.len());
            if !events.is_empty() {
                local.publish(&events).await;
            }
            if missed {
                local.missed();
            }
        }
    }

    fn tell(&self, error: String) {
        let before = self.error_slot().replace(error.clone());
        if before.as_ref() != Some(&error) {
            tracing::warn!(error, "bus disconnected");
        }
    }

    fn recovered(&self) {
        self.error_slot().take();
        tracing::info!(redis = %self.target, "bus connected");
    }

    fn error_slot(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notices a Redis that has fallen silent.
async fn watch(mut link: Link) -> Result<Infallible, Broken> {
    loop {
        tokio::time::sleep(PULSE).await;
        link.ping().await?;
    }
}

/// That a connection is of no more use, as its reader finds out.
#[derive(Default)]
struct Lost {
    told: Notify,
    /// The channels that are being left at the moment.
    leaving: Mutex<HashSet<Vec<u8>>>,
}

impl Lost {
    fn tell(&self) {
        self.told.notify_one();
    }

    async fn wait(&self) -> Result<Infallible, Broken> {
        self.told.notified().await;
        Err(Broken::Lost)
    }

    fn leave(&self, channels: &[String]) {
        self.leaving().extend(channels.iter().map(|channel| channel.clone().into_bytes()));
    }

    fn left(&self) {
        self.leaving().clear();
    }

    fn is_left(&self, channel: &[u8]) -> bool {
        self.leaving().contains(channel)
    }

    fn leaving(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells events that come a second time, by another topic.
#[derive(Default)]
struct Repeated {
    known: HashSet<(u64, u64)>,
    order: VecDeque<(u64, u64)>,
}

impl Repeated {
    fn is(&mut self, node: u64, sequence: u64, event: &Event) -> bool {
        if places(event).len() < 2 {
            return false;
        }
        let which = (node, sequence);
        if !self.known.insert(which) {
            return true;
        }
        self.order.push_back(which);
        if self.order.len() > REMEMBERED {
            self.order.pop_front().inspect(|oldest| {
                self.known.remove(oldest);
            });
        }
        false
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
