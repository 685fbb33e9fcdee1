//! A bus without bounds.

use crate::ports::{Bus, BusReceiver, Signal, Topic};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use tolmach_domain::Event;

/// A bus in memory: there is always room, so publishing never waits.
#[derive(Default)]
pub struct MemoryBus {
    listeners: Mutex<Vec<Vec<Weak<Mutex<Part>>>>>,
}

#[derive(Default)]
struct Part {
    events: VecDeque<Arc<Event>>,
    closed: bool,
    waker: Option<Waker>,
}

impl MemoryBus {
    /// A bus that nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, events: &[Arc<Event>]) {
        let mut listeners = lock(&self.listeners);
        for (parts, event) in
            listeners.iter().flat_map(|parts| events.iter().map(move |event| (parts, event)))
        {
            let part =
                event.flow().map_or(0, |flow| flow.get().unsigned_abs() as usize % parts.len());
            if let Some(part) = parts[part].upgrade() {
                lock(&part).hear(|part| part.events.push_back(event.clone()));
            }
        }
        listeners.retain(|parts| parts.iter().any(|part| part.strong_count() > 0));
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        let parts: Vec<Arc<Mutex<Part>>> = (0..shards.max(1)).map(|_| Arc::default()).collect();
        lock(&self.listeners).push(parts.iter().map(Arc::downgrade).collect());
        parts
            .into_iter()
            .map(|part| Box::new(MemorySubscription(part)) as Box<dyn BusReceiver>)
            .collect()
    }

    /// There are no other nodes.
    fn subscribe(&self, _: &[Topic]) {}

    fn unsubscribe(&self, _: &[Topic]) {}

    fn last_error(&self) -> Option<String> {
        None
    }

    async fn close(&self) {}
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        for part in lock(&self.listeners).iter().flatten().filter_map(Weak::upgrade) {
            lock(&part).hear(|part| part.closed = true);
        }
    }
}

impl Part {
    fn hear(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct MemorySubscription(Arc<Mutex<Part>>);

#[async_trait]
impl BusReceiver for MemorySubscription {
    async fn next(&mut self) -> Option<Signal> {
        poll_fn(|context| {
            let mut part = lock(&self.0);
            if !part.events.is_empty() {
                return Poll::Ready(Some(Signal::Events(part.events.drain(..).collect())));
            }
            if part.closed {
                return Poll::Ready(None);
            }
            part.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
