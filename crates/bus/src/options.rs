//! Settings and statistics of a bus by Redis.

use std::sync::atomic::{AtomicU64, Ordering};

/// Settings of a [`RedisBus`](crate::RedisBus).
#[derive(Debug, Clone)]
pub struct Options {
    /// The prefix of all channel names: installations that share a Redis have different ones.
    pub prefix: String,
    /// True to use the sharded channels of a Redis Cluster.
    pub sharded: bool,
    /// The size in bytes of the queue of events to Redis, and of the queue of received events;
    /// beyond it the oldest are dropped.
    pub queue_bytes: usize,
    /// The capacity of a receiver's channel; see [`InProcess::new`](crate::InProcess::new).
    pub capacity: usize,
    /// The id of this node: random, so that all nodes have different ones.
    pub node: u64,
    /// The ids of the dialects that the origin of an event may name.
    pub dialects: Vec<&'static str>,
}

/// Statistics of a [`RedisBus`](crate::RedisBus) since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that Redis accepted.
    pub published: u64,
    /// Events that may not have reached Redis: the queue was full, or the connection broke.
    pub dropped: u64,
    /// Events of other nodes that were passed to this node's receivers.
    pub received: u64,
    /// Events of other nodes that were dropped here, because the receivers lag.
    pub overflowed: u64,
    /// Messages from Redis that could not be decoded.
    pub undecodable: u64,
    /// Connections made to Redis.
    pub connections: u64,
}

/// The counters that [`Stats`] are read from.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) overflowed: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            published: read(&self.published),
            dropped: read(&self.dropped),
            received: read(&self.received),
            overflowed: read(&self.overflowed),
            undecodable: read(&self.undecodable),
            connections: read(&self.connections),
        }
    }
}
