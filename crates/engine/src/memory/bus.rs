//! A bus with unbounded buffers.

use super::sync::lock;
use crate::ports::{Bus, BusReceiver, Signal, Topic};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use tolmach_domain::Event;

/// A bus in memory. Its buffers are unbounded, so that publishing never waits.
#[derive(Default)]
pub struct MemoryBus {
    /// The streams, each with its shards.
    streams: Mutex<Vec<Vec<Weak<Mutex<Shard>>>>>,
}

/// The buffer of one receiver.
#[derive(Default)]
struct Shard {
    events: VecDeque<Arc<Event>>,
    closed: bool,
    waker: Option<Waker>,
}

impl MemoryBus {
    /// A bus without receivers.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, events: &[Arc<Event>]) {
        let mut streams = lock(&self.streams);
        for (shards, event) in
            streams.iter().flat_map(|shards| events.iter().map(move |event| (shards, event)))
        {
            let shard =
                event.flow().map_or(0, |flow| flow.get().unsigned_abs() as usize % shards.len());
            if let Some(shard) = shards[shard].upgrade() {
                lock(&shard).update(|shard| shard.events.push_back(event.clone()));
            }
        }
        streams.retain(|shards| shards.iter().any(|shard| shard.strong_count() > 0));
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        let shards: Vec<Arc<Mutex<Shard>>> = (0..shards.max(1)).map(|_| Arc::default()).collect();
        lock(&self.streams).push(shards.iter().map(Arc::downgrade).collect());
        shards
            .into_iter()
            .map(|shard| Box::new(MemoryReceiver(shard)) as Box<dyn BusReceiver>)
            .collect()
    }

    /// Does nothing: there are no other nodes.
    fn subscribe(&self, _: &[Topic]) {}

    fn unsubscribe(&self, _: &[Topic]) {}

    fn last_error(&self) -> Option<String> {
        None
    }

    async fn close(&self) {}
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        for shard in lock(&self.streams).iter().flatten().filter_map(Weak::upgrade) {
            lock(&shard).update(|shard| shard.closed = true);
        }
    }
}

impl Shard {
    /// Changes the buffer and wakes its receiver.
    fn update(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct MemoryReceiver(Arc<Mutex<Shard>>);

#[async_trait]
impl BusReceiver for MemoryReceiver {
    async fn next(&mut self) -> Option<Signal> {
        poll_fn(|context| {
            let mut shard = lock(&self.0);
            if !shard.events.is_empty() {
                return Poll::Ready(Some(Signal::Events(shard.events.drain(..).collect())));
            }
            if shard.closed {
                return Poll::Ready(None);
            }
            shard.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
