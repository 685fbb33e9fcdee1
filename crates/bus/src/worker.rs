//! The tasks of a bus by Redis, and the state that they share.

use crate::channels::{Channels, Destination, destinations};
use crate::connection::{Connection, ConnectionError};
use crate::disconnect::Disconnect;
use crate::duplicates::Duplicates;
use crate::envelope::{decode, encode, prefix_of};
use crate::in_process::InProcess;
use crate::options::{Counters, Options, Stats};
use crate::queue::DroppingQueue;
use crate::subscriptions::Subscriptions;
use crate::target::Target;
use redis::{PushInfo, PushKind, Value};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tolmach_domain::Event;
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::{Bus, Topic};

/// Interval of the pings that detect a Redis that stopped answering.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// The first wait before reconnecting; it doubles with each attempt.
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// The longest wait before reconnecting.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The size in bytes at which a batch to Redis takes no further event.
const PUBLISH_BATCH_BYTES: usize = 256 << 10;

/// The largest number of events in a batch to Redis.
const PUBLISH_BATCH_EVENTS: usize = 512;

/// The shortest time between two batches to Redis, unless one is full. A batch costs this node,
/// Redis and each receiving node several wakeups and system calls, whatever its size: as much as
/// some ten events. An event that comes after a longer silence is not delayed.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(1);

/// The size in bytes at which a batch to the receivers takes no further event: smaller, because
/// their channels hold several batches.
const RECEIVE_BATCH_BYTES: usize = 64 << 10;

/// The largest number of events in a batch to the receivers.
const RECEIVE_BATCH_EVENTS: usize = 64;

/// The size of a queued envelope beside its bytes.
const ENVELOPE_OVERHEAD: usize = 64;

/// The state of the tasks.
pub(crate) struct Worker {
    target: Target,
    channels: Channels,
    node: u64,
    /// The sequence number of the next event of this node.
    sequence: AtomicU64,
    /// The bytes that every envelope of this node begins with.
    own_prefix: String,
    dialects: Vec<&'static str>,
    /// Events to publish to Redis.
    outgoing: DroppingQueue<Arc<Event>>,
    /// Envelopes received from Redis.
    incoming: DroppingQueue<Vec<u8>>,
    subscriptions: Subscriptions,
    last_error: Mutex<Option<String>>,
    counters: Counters,
}

impl Worker {
    pub(crate) fn new(target: Target, options: Options) -> Self {
        let error = format!("the Redis at {target} has not been reached yet");
        Self {
            last_error: Mutex::new(Some(error)),
            target,
            channels: Channels::new(options.prefix, options.sharded),
            node: options.node,
            sequence: AtomicU64::new(0),
            own_prefix: prefix_of(options.node),
            dialects: options.dialects,
            outgoing: DroppingQueue::new(options.queue_bytes),
            incoming: DroppingQueue::new(options.queue_bytes),
            subscriptions: Subscriptions::default(),
            counters: Counters::default(),
        }
    }

    /// Queues events for Redis.
    pub(crate) fn publish(&self, events: &[Arc<Event>]) {
        let dropped = self.outgoing.push(events.iter().map(|event| (event.clone(), event.size())));
        count(&self.counters.dropped, dropped);
    }

    /// Waits until Redis has all queued events.
    pub(crate) async fn published(&self) {
        self.outgoing.drained().await;
    }

    pub(crate) fn subscribe(&self, topics: &[Topic]) {
        self.subscriptions.add(topics);
    }

    pub(crate) fn unsubscribe(&self, topics: &[Topic]) {
        self.subscriptions.remove(topics);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.stats()
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.error_slot().clone()
    }

    pub(crate) fn set_closed(&self) {
        *self.error_slot() = Some("the bus is closed".into());
    }

    /// Connects, and again whenever the connection is lost.
    pub(crate) async fn reconnect_loop(self: Arc<Self>, local: Arc<InProcess>) {
        let mut backoff = MIN_BACKOFF;
        loop {
            let disconnect = Arc::new(Disconnect::default());
            let connected = Connection::open(&self.target, {
                let (worker, disconnect) = (self.clone(), disconnect.clone());
                move |push| worker.on_push(push, &disconnect)
            });
            let error = match connected.await {
                Ok(connection) => {
                    count(&self.counters.connections, 1);
                    let since = Instant::now();
                    let Err(error) = self.run(connection, &disconnect, &local).await;
                    // Of the batch under way it is unknown if Redis has it.
                    count(&self.counters.dropped, self.outgoing.acknowledge());
                    if since.elapsed() > MAX_BACKOFF {
                        backoff = MIN_BACKOFF;
                    }
                    error
                }
                Err(error) => error,
            };
            self.disconnected(format!("the Redis at {}: {}", self.target, ErrorChain(&error)));
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Passes received events to this node's receivers, waiting while their channels are full.
    pub(crate) async fn receive_loop(self: Arc<Self>, local: Arc<InProcess>) {
        let mut duplicates = Duplicates::default();
        loop {
            let batch = self.incoming.pop(RECEIVE_BATCH_BYTES, RECEIVE_BATCH_EVENTS).await;
            let mut missed = batch.dropped;
            let mut events = Vec::with_capacity(batch.items.len());
            for payload in batch.items {
                match decode(&payload, &self.dialects) {
                    Ok(envelope) if duplicates.contains(&envelope) => {}
                    Ok(envelope) => events.push(Arc::new(envelope.event)),
                    Err(error) => {
                        missed = true;
                        if self.counters.undecodable.fetch_add(1, Ordering::Relaxed) == 0 {
                            tracing::warn!(
                                error = %ErrorChain(&error),
                                "an event of another node cannot be decoded; it is read from the \
                                 store, as will be later ones"
                            );
                        }
                    }
                }
            }
            self.incoming.acknowledge();
            count(&self.counters.received, events.len());
            if !events.is_empty() {
                local.publish(&events).await;
            }
            if missed {
                local.missed();
            }
        }
    }

    /// Uses a connection until it is lost.
    async fn run(
        &self,
        connection: Connection,
        disconnect: &Disconnect,
        local: &InProcess,
    ) -> Result<Infallible, ConnectionError> {
        tokio::select! {
            error = disconnect.wait() => error,
            error = self.publish_loop(&connection) => error,
            error = self.subscribe_loop(connection.clone(), disconnect, local) => error,
            error = ping_loop(connection.clone()) => error,
        }
    }

    /// Publishes queued events to Redis.
    async fn publish_loop(&self, connection: &Connection) -> Result<Infallible, ConnectionError> {
        let mut next = Instant::now();
        loop {
            self.outgoing.filled().await;
            tokio::time::sleep_until(next).await;
            let batch = self.outgoing.pop(PUBLISH_BATCH_BYTES, PUBLISH_BATCH_EVENTS).await;
            next = Instant::now();
            if !self.outgoing.is_filled() {
                next += PUBLISH_INTERVAL;
            }
            let mut envelopes = Vec::with_capacity(batch.items.len());
            for event in batch.items {
                let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
                match encode(self.node, sequence, &event) {
                    Ok(bytes) => envelopes.push((bytes, destinations(&event))),
                    Err(error) => {
                        let event = event.name();
                        tracing::error!(%error, event, "an event cannot be encoded for other nodes")
                    }
                }
            }
            connection.publish(&self.channels, &envelopes).await?;
            count(&self.counters.published, self.outgoing.acknowledge());
        }
    }

    /// Subscribes to the channels of the wanted topics, and unsubscribes from others.
    async fn subscribe_loop(
        &self,
        mut connection: Connection,
        disconnect: &Disconnect,
        local: &InProcess,
    ) -> Result<Infallible, ConnectionError> {
        let mut subscribed: HashSet<Topic> = HashSet::new();
        let mut added = self.subscriptions.all();
        let mut removed = Vec::new();
        for batch in self.channels.batches([Destination::AllNodes]) {
            connection.subscribe(&batch).await?;
        }
        let mut first = true;
        loop {
            added.retain(|topic| subscribed.insert(*topic));
            removed.retain(|topic| subscribed.remove(topic));
            for batch in self.channels.batches(removed.iter().copied().map(Destination::Topic)) {
                disconnect.unsubscribing(&batch);
                connection.unsubscribe(&batch).await?;
                disconnect.unsubscribed();
            }
            for batch in self.channels.batches(added.iter().copied().map(Destination::Topic)) {
                connection.subscribe(&batch).await?;
            }
            if first {
                first = false;
                self.connected();
                local.missed();
            } else if !added.is_empty() {
                local.missed();
            }
            let changes = self.subscriptions.changes().await;
            (added, removed) = (changes.added, changes.removed);
        }
    }

    /// Handles a push message of Redis. Called by the task that reads the connection, so it must
    /// not wait.
    fn on_push(&self, push: PushInfo, disconnect: &Disconnect) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                // The data is the channel and the payload.
                if let Some(Value::BulkString(payload)) = push.data.into_iter().nth(1)
                    && !payload.starts_with(self.own_prefix.as_bytes())
                {
                    let size = payload.len() + ENVELOPE_OVERHEAD;
                    count(&self.counters.overflowed, self.incoming.push([(payload, size)]));
                }
            }
            PushKind::Disconnection => disconnect.notify(),
            // A cluster's node that no longer has a slot ends the subscriptions to its channels, so
            // that no messages arrive any more.
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = push.data.first()
                    && !disconnect.is_unsubscribing(channel)
                {
                    disconnect.notify();
                }
            }
            _ => {}
        }
    }

    fn disconnected(&self, error: String) {
        let before = self.error_slot().replace(error.clone());
        if before.as_ref() != Some(&error) {
            tracing::warn!(error, "bus disconnected");
        }
    }

    fn connected(&self) {
        self.error_slot().take();
        tracing::info!(redis = %self.target, "bus connected");
    }

    fn error_slot(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pings Redis until it does not answer.
async fn ping_loop(mut connection: Connection) -> Result<Infallible, ConnectionError> {
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        connection.ping().await?;
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
