//! A connection, as the hub sees it.

use crate::send_queue::SendQueue;
use crate::sync::lock;
use std::collections::BTreeSet;
use std::sync::Mutex;
use tolmach_domain::{ConnectionId, FlowId};

/// A connection, as the hub sees it.
pub(crate) struct Subscriber {
    pub(crate) id: ConnectionId,
    pub(crate) queue: SendQueue,
    /// The flows that it is subscribed to.
    flows: Mutex<BTreeSet<FlowId>>,
}

impl Subscriber {
    pub(super) fn new(id: ConnectionId) -> Self {
        Self { id, queue: SendQueue::default(), flows: Mutex::default() }
    }

    pub(super) fn is_subscribed(&self, flow: FlowId) -> bool {
        lock(&self.flows).contains(&flow)
    }

    /// Notes a subscription. Returns false if it was noted before.
    pub(super) fn insert_flow(&self, flow: FlowId) -> bool {
        lock(&self.flows).insert(flow)
    }

    /// Forgets a subscription. Returns false if there was none.
    pub(super) fn remove_flow(&self, flow: FlowId) -> bool {
        lock(&self.flows).remove(&flow)
    }

    /// Forgets every subscription.
    pub(super) fn take_flows(&self) -> BTreeSet<FlowId> {
        std::mem::take(&mut *lock(&self.flows))
    }
}
