//! Events between nodes.

use async_trait::async_trait;
use std::sync::Arc;
use tolmach_domain::{Event, FlowId, UserId};

/// Carries events to every node.
///
/// - Events that this node publishes arrive at each of its receivers, those of one flow in the
///   order in which they were published. Publishing waits while a receiver's buffer is full:
///   nothing is dropped within a node.
/// - Events of other nodes arrive if this node subscribed to one of their topics, at most once, and
///   may be lost or reordered. Receivers notice by versions, commit times and [`Signal::Missed`],
///   and read the [`Store`](super::Store).
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes the events of one commit, in this order. Other nodes are not waited for.
    async fn publish(&self, events: &[Arc<Event>]);

    /// A stream of all events from now on, split into `shards` receivers: the events of a flow
    /// always arrive at the same receiver, those without a flow at the first.
    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>>;

    /// Subscribes to events of other nodes on these topics; [`Signal::Missed`] arrives once they
    /// will be received. Never waits.
    fn subscribe(&self, topics: &[Topic]);

    /// Ends subscriptions. Never waits.
    fn unsubscribe(&self, topics: &[Topic]);

    /// The reason why events of other nodes do not arrive at present, for operators; `None` while
    /// they do.
    fn last_error(&self) -> Option<String>;

    /// Sends what was published, as far as that takes little time, and closes.
    async fn close(&self);
}

/// Subject of events that a node may subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Events of a flow.
    Flow(FlowId),
    /// Events of a user: the end of their sessions, their joining and leaving of flows.
    User(UserId),
}

/// Item of a [`BusReceiver`].
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Events, in order; at least one.
    Events(Vec<Arc<Event>>),
    /// Events may have been lost: a receiver that needs all of them reads the store.
    Missed,
}

/// One shard of a stream of events.
#[async_trait]
pub trait BusReceiver: Send {
    /// The next item; `None` once the bus is gone. Safe to cancel.
    async fn next(&mut self) -> Option<Signal>;
}
