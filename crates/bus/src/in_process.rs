//! The bus of one process.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tolmach_domain::Event;
use tolmach_engine::ports::{Bus, BusReceiver, Signal, Topic};

/// How many commits' events each part of a subscription holds before publishing waits, unless
/// chosen otherwise.
pub const DEFAULT_CAPACITY: usize = 1024;

/// A bus for one process.
///
/// Each part of each subscription is a bounded channel. A publisher waits while any of them is
/// full, so a listener that lags slows its publishers down and loses nothing. A dropped part no
/// longer hears; a subscription of which every part was dropped is forgotten.
pub struct InProcess {
    capacity: usize,
    listeners: Mutex<Arc<[Listener]>>,
}

type Listener = Arc<[Ear]>;

/// One part of a subscription, as the bus sees it.
struct Ear {
    events: mpsc::Sender<Vec<Arc<Event>>>,
    /// Holds one permit from the time that something was missed until the part was told.
    missed: Arc<Notify>,
}

impl InProcess {
    /// A bus whose channels hold the events of `capacity` commits each, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), listeners: Mutex::default() }
    }

    /// How many subscriptions are alive.
    pub fn subscriptions(&self) -> usize {
        let listeners = self.listeners();
        listeners.iter().filter(|parts| !is_gone(parts)).count()
    }

    /// Tells every part that something may have been missed; once, however often it is said before
    /// the part looks.
    pub(crate) fn missed(&self) {
        for part in self.listeners().iter().flat_map(|parts| parts.iter()) {
            part.missed.notify_one();
        }
    }

    fn listeners(&self) -> Arc<[Listener]> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another list in place of the present one.
    fn replace(&self, change: impl FnOnce(&[Listener]) -> Arc<[Listener]>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        *listeners = change(&listeners);
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
        let mut gone = false;
        for parts in self.listeners().iter() {
            let mut shares: Vec<Vec<Arc<Event>>> = vec![Vec::new(); parts.len()];
            for event in events {
                shares[part_of(event, parts.len())].push(event.clone());
            }
            for (part, share) in parts.iter().zip(shares) {
                // A closed channel is a part that was dropped: nobody listens there.
                if !share.is_empty() && part.events.send(share).await.is_err() {
                    gone |= is_gone(parts);
                }
            }
        }
        if gone {
            self.replace(|listeners| {
                listeners.iter().filter(|parts| !is_gone(parts)).cloned().collect()
            });
        }
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        let (ears, parts): (Vec<_>, Vec<_>) =
            (0..shards.max(1)).map(|_| part(self.capacity)).unzip();
        let listener: Listener = ears.into();
        self.replace(|listeners| {
            listeners.iter().filter(|parts| !is_gone(parts)).cloned().chain([listener]).collect()
        });
        parts.into_iter().map(|part| Box::new(part) as Box<dyn BusReceiver>).collect()
    }

    /// There are no other nodes.
    fn subscribe(&self, _: &[Topic]) {}

    fn unsubscribe(&self, _: &[Topic]) {}

    fn last_error(&self) -> Option<String> {
        None
    }

    async fn close(&self) {}
}

fn is_gone(parts: &Listener) -> bool {
    parts.iter().all(|part| part.events.is_closed())
}

/// The part that hears an event: by its flow, so that the events of a flow stay in order.
fn part_of(event: &Event, parts: usize) -> usize {
    // Ids are dense, so the remainder spreads them evenly; it is below `parts`, which fits.
    event.flow().map_or(0, |flow| flow.get().unsigned_abs() as usize % parts)
}

/// Both ends of a part.
fn part(capacity: usize) -> (Ear, Part) {
    let (sender, events) = mpsc::channel(capacity);
    let missed = Arc::new(Notify::new());
    (Ear { events: sender, missed: missed.clone() }, Part { events, missed })
}

struct Part {
    events: mpsc::Receiver<Vec<Arc<Event>>>,
    missed: Arc<Notify>,
}

#[async_trait]
impl BusReceiver for Part {
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            () = self.missed.notified() => Some(Signal::Missed),
            events = self.events.recv() => events.map(Signal::Events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{EventKind, Timestamp, UserId};

    #[tokio::test]
    async fn what_was_missed_is_told_once_to_every_part() {
        let bus = InProcess::new(2);
        let mut parts = bus.receivers(2);
        let kind = EventKind::SessionsEnded { user: UserId::new(1).unwrap(), session: None };
        let event = Arc::new(Event::new(Timestamp::default(), kind));
        bus.publish(std::slice::from_ref(&event)).await;
        bus.missed();
        bus.missed();
        assert_eq!(parts[0].next().await, Some(Signal::Missed));
        assert_eq!(parts[0].next().await, Some(Signal::Events(vec![event])));
        bus.missed();
        drop(bus);
        for part in &mut parts {
            assert_eq!(part.next().await, Some(Signal::Missed));
            assert_eq!(part.next().await, None);
        }
    }
}
