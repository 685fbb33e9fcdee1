//! Back-pressure: the events of a flow that its subscribers have not processed yet, and the writers
//! that wait for that.
//!
//! A committed event becomes one broadcast, which the send queues of all subscribers share. It
//! counts in the backlog of its flow from then on until the last queue has let go of it, because
//! every subscriber has encoded it for its own socket or has skipped it. The backlog therefore
//! measures the server's own work and nothing else: a peer that does not read costs its own encoded
//! send buffer, never the backlog.
//!
//! While the backlog of a flow exceeds its limit, the flow lags. A writer of that flow gets its
//! response only once the flow no longer lags, and nothing more is read from the writer's
//! connection meanwhile. Writers pass in the order in which they came, one response each, so that
//! they share what the server can deliver. A response waits a bounded time: a server that is stuck
//! must not stop its writers for ever.
//!
//! The alternative would be to take a permit for every message before it is committed, and to give
//! it back after the last delivery. It bounds the backlog exactly, but has to follow each message
//! through the store and the bus, and leaks permits where an event is lost, comes from another node
//! or has no subscriber. Counting broadcasts while they exist needs no bookkeeping: dropping one is
//! its end, whatever became of it. The price is that the messages which are being committed when a
//! flow begins to lag are added on top; each connection bounds those in bytes.
//!
//! Past a multiple of the limit the backlog is full: events of other nodes may arrive faster than
//! this node can deliver, and their writers cannot know. The flow then takes no further event from
//! the bus, and reads what it left out from the store once it has caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, Notify};

/// The backlog that is full, as a multiple of the one that makes a flow lag.
const FULL: usize = 64;

/// The backlogs of all flows of a server.
pub(crate) struct Backlogs {
    /// The bytes of a flow's events past which it lags.
    limit: usize,
    /// The number of flows that lag, so that writers elsewhere need not look up their flow.
    lagging: AtomicUsize,
}

impl Backlogs {
    /// Backlogs with a limit of `limit` bytes of events for each flow.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, lagging: AtomicUsize::new(0) })
    }

    pub(crate) fn is_any_lagging(&self) -> bool {
        self.lagging.load(Ordering::Acquire) > 0
    }
}

/// The events of one flow that its subscribers have not processed yet.
pub(crate) struct FlowBacklog {
    backlogs: Arc<Backlogs>,
    bytes: AtomicUsize,
    /// The size of the largest frame that the last processed event was rendered to, in bytes.
    last_frame_bytes: AtomicUsize,
    /// Held by the first of the writers that wait. Its lock is fair.
    turn: Mutex<()>,
    /// Notified when the flow no longer lags.
    drained: Notify,
}

impl FlowBacklog {
    pub(crate) fn new(backlogs: Arc<Backlogs>) -> Arc<Self> {
        Arc::new(Self {
            backlogs,
            bytes: AtomicUsize::new(0),
            last_frame_bytes: AtomicUsize::new(0),
            turn: Mutex::new(()),
            drained: Notify::new(),
        })
    }

    /// Counts an event of so many bytes for as long as the result exists.
    pub(crate) fn track(self: &Arc<Self>, bytes: usize) -> Tracked {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let limit = self.backlogs.limit;
        if before <= limit && before + bytes > limit {
            self.backlogs.lagging.fetch_add(1, Ordering::AcqRel);
        }
        Tracked { backlog: self.clone(), bytes }
    }

    pub(crate) fn is_lagging(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > self.backlogs.limit
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > self.backlogs.limit.saturating_mul(FULL)
    }

    /// The bytes of events past which the flow lags.
    pub(crate) fn limit(&self) -> usize {
        self.backlogs.limit
    }

    /// The size of the largest frame that the last processed event was rendered to, in bytes.
    pub(crate) fn last_frame_bytes(&self) -> usize {
        self.last_frame_bytes.load(Ordering::Relaxed)
    }

    /// Waits until the flow does not lag. Several callers pass in the order in which they came.
    pub(crate) async fn wait_until_drained(&self) {
        let _first = self.turn.lock().await;
        loop {
            // Created before the look, because it receives only what is notified afterwards.
            let drained = self.drained.notified();
            if !self.is_lagging() {
                return;
            }
            drained.await;
        }
    }
}

/// One event in a backlog, until it is dropped.
pub(crate) struct Tracked {
    backlog: Arc<FlowBacklog>,
    bytes: usize,
}

impl Tracked {
    /// Notes the size of the largest frame that the event was rendered to, in bytes.
    pub(crate) fn rendered(&self, frame_bytes: usize) {
        self.backlog.last_frame_bytes.store(frame_bytes, Ordering::Relaxed);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let before = self.backlog.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        let limit = self.backlog.backlogs.limit;
        if before > limit && before - self.bytes <= limit {
            self.backlog.backlogs.lagging.fetch_sub(1, Ordering::AcqRel);
            self.backlog.drained.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::pin;

    #[test]
    fn a_flow_lags_past_the_limit_and_is_full_past_its_multiple() {
        let backlogs = Backlogs::new(100);
        let backlog = FlowBacklog::new(backlogs.clone());
        let at_the_limit = backlog.track(100);
        assert!(!backlog.is_lagging() && !backlogs.is_any_lagging());
        let past_it = backlog.track(1);
        assert!(backlog.is_lagging() && backlogs.is_any_lagging() && !backlog.is_full());
        let much = backlog.track(100 * FULL - 101);
        assert!(!backlog.is_full());
        let more = backlog.track(1);
        assert!(backlog.is_full());
        drop((much, more, at_the_limit));
        assert!(!backlog.is_lagging() && !backlogs.is_any_lagging());
        drop(past_it);
        assert!(!backlog.is_lagging() && !backlogs.is_any_lagging());
    }

    #[test]
    fn every_lagging_flow_counts_once() {
        let backlogs = Backlogs::new(10);
        let (one, other) = (FlowBacklog::new(backlogs.clone()), FlowBacklog::new(backlogs.clone()));
        let tracked = [one.track(11), one.track(11), other.track(50)];
        assert_eq!(backlogs.lagging.load(Ordering::Relaxed), 2);
        let [first, second, third] = tracked;
        drop(first);
        assert_eq!(backlogs.lagging.load(Ordering::Relaxed), 2);
        drop((second, third));
        assert_eq!(backlogs.lagging.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn writers_pass_in_order_once_the_flow_no_longer_lags() {
        let backlog = FlowBacklog::new(Backlogs::new(10));
        assert_eq!(backlog.wait_until_drained().now_or_never(), Some(()));
        let (first_event, second_event) = (backlog.track(6), backlog.track(6));
        let (mut first, mut second) =
            (pin!(backlog.wait_until_drained()), pin!(backlog.wait_until_drained()));
        assert_eq!(first.as_mut().now_or_never(), None);
        assert_eq!(second.as_mut().now_or_never(), None);
        drop(first_event);
        assert_eq!(second.as_mut().now_or_never(), None, "another came before");
        assert_eq!(first.as_mut().now_or_never(), Some(()));
        let third_event = backlog.track(6);
        assert_eq!(second.as_mut().now_or_never(), None, "the flow lags again");
        drop((second_event, third_event));
        assert_eq!(second.as_mut().now_or_never(), Some(()));
    }
}
