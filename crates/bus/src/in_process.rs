//! The bus of one process.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tolmach_domain::Event;
use tolmach_engine::ports::{Bus, BusReceiver, Signal, Topic};

/// Default capacity of a receiver's channel, in commits.
pub const DEFAULT_CAPACITY: usize = 1024;

/// A bus for one process.
///
/// Each receiver has a bounded channel. A publisher waits while one of them is full, so that a
/// lagging receiver slows its publishers down and loses nothing. A dropped receiver gets no more
/// events; a stream is removed when all its receivers were dropped.
///
/// ```
/// use std::sync::Arc;
/// use tolmach_bus::InProcess;
/// use tolmach_domain::{Event, EventKind, Timestamp, UserId};
/// use tolmach_engine::ports::{Bus, Signal};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tolmach_domain::InvalidId> {
/// let bus = InProcess::default();
/// let mut receiver = bus.receivers(1).remove(0);
/// let kind = EventKind::SessionsEnded { user: UserId::new(1)?, session: None };
/// let event = Arc::new(Event::new(Timestamp::default(), kind));
/// bus.publish(&[event.clone()]).await;
/// assert_eq!(receiver.next().await, Some(Signal::Events(vec![event])));
/// # Ok(())
/// # }
/// ```
pub struct InProcess {
    capacity: usize,
    streams: Mutex<Arc<[Stream]>>,
}

/// The sending halves of a stream's receivers.
type Stream = Arc<[ShardSender]>;

struct ShardSender {
    events: mpsc::Sender<Vec<Arc<Event>>>,
    /// Holds one permit from the loss of an event until the receiver has returned
    /// [`Signal::Missed`].
    missed: Arc<Notify>,
}

struct ShardReceiver {
    events: mpsc::Receiver<Vec<Arc<Event>>>,
    missed: Arc<Notify>,
}

impl InProcess {
    /// A bus whose channels hold the events of `capacity` commits each, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), streams: Mutex::default() }
    }

    /// The number of streams with a receiver.
    pub fn subscriptions(&self) -> usize {
        self.streams().iter().filter(|shards| !is_closed(shards)).count()
    }

    /// Sends [`Signal::Missed`] to every receiver, once until it returns it.
    pub(crate) fn missed(&self) {
        for shard in self.streams().iter().flat_map(|shards| shards.iter()) {
            shard.missed.notify_one();
        }
    }

    fn streams(&self) -> Arc<[Stream]> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the list of streams.
    fn replace(&self, change: impl FnOnce(&[Stream]) -> Arc<[Stream]>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        *streams = change(&streams);
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

#[async_trait]
impl Bus for InProcess {
    async fn publish(&self, events: &[Arc<Event>]) {
        let mut closed = false;
        for shards in self.streams().iter() {
            let mut batches: Vec<Vec<Arc<Event>>> = vec![Vec::new(); shards.len()];
            for event in events {
                batches[shard_of(event, shards.len())].push(event.clone());
            }
            for (shard, batch) in shards.iter().zip(batches) {
                // Sending fails if the receiver was dropped.
                if !batch.is_empty() && shard.events.send(batch).await.is_err() {
                    closed |= is_closed(shards);
                }
            }
        }
        if closed {
            self.replace(|streams| {
                streams.iter().filter(|shards| !is_closed(shards)).cloned().collect()
            });
        }
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..shards.max(1)).map(|_| channel(self.capacity)).unzip();
        let stream: Stream = senders.into();
        self.replace(|streams| {
            streams.iter().filter(|shards| !is_closed(shards)).cloned().chain([stream]).collect()
        });
        receivers.into_iter().map(|shard| Box::new(shard) as Box<dyn BusReceiver>).collect()
    }

    /// Does nothing: there are no other nodes.
    fn subscribe(&self, _: &[Topic]) {}

    fn unsubscribe(&self, _: &[Topic]) {}

    fn last_error(&self) -> Option<String> {
        None
    }

    async fn close(&self) {}
}

#[async_trait]
impl BusReceiver for ShardReceiver {
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            () = self.missed.notified() => Some(Signal::Missed),
            events = self.events.recv() => events.map(Signal::Events),
        }
    }
}

/// True if all receivers of a stream were dropped.
fn is_closed(shards: &Stream) -> bool {
    shards.iter().all(|shard| shard.events.is_closed())
}

/// The shard of an event: by its flow, so that the events of a flow stay in order.
fn shard_of(event: &Event, shards: usize) -> usize {
    // Ids are dense, so that the remainder spreads them evenly; it is below `shards`, which fits.
    event.flow().map_or(0, |flow| flow.get().unsigned_abs() as usize % shards)
}

fn channel(capacity: usize) -> (ShardSender, ShardReceiver) {
    let (sender, events) = mpsc::channel(capacity);
    let missed = Arc::new(Notify::new());
    (ShardSender { events: sender, missed: missed.clone() }, ShardReceiver { events, missed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{EventKind, Timestamp, UserId};

    #[tokio::test]
    async fn a_loss_is_signalled_once_to_every_receiver() {
        let bus = InProcess::new(2);
        let mut receivers = bus.receivers(2);
        let kind = EventKind::SessionsEnded { user: UserId::new(1).unwrap(), session: None };
        let event = Arc::new(Event::new(Timestamp::default(), kind));
        bus.publish(std::slice::from_ref(&event)).await;
        bus.missed();
        bus.missed();
        assert_eq!(receivers[0].next().await, Some(Signal::Missed));
        assert_eq!(receivers[0].next().await, Some(Signal::Events(vec![event])));
        bus.missed();
        drop(bus);
        for receiver in &mut receivers {
            assert_eq!(receiver.next().await, Some(Signal::Missed));
            assert_eq!(receiver.next().await, None);
        }
    }
}
