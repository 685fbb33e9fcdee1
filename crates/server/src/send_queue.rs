//! The events that wait for one connection.
//!
//! The queue holds references to broadcasts that all subscribers share. Its length says nothing
//! about the peer: events wait here only until the connection's task, or a publisher in its place,
//! has had a turn. What bounds it is the backlog of each flow ([`crate::backlog`]), which slows the
//! writers down. A peer is slow by what waits encoded for its socket ([`crate::write_buffer`]).

use crate::broadcast::Broadcast;
use crate::send_half::SendHalf;
use crate::sync::lock;
use futures_util::task::AtomicWaker;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use tokio::task::coop::poll_proceed;

/// The most entries that an empty queue keeps memory for.
const KEPT_CAPACITY: usize = 256;

/// The events that wait for one connection. Filled by the hub; emptied by the connection's task, or
/// by [`SendQueue::flush_inline`] while that waits.
#[derive(Default)]
pub(crate) struct SendQueue {
    inner: Mutex<Inner>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Inner {
    events: Vec<Arc<Broadcast>>,
    state: State,
    /// The connection's sending half, while its task waits.
    parked: Option<Box<SendHalf>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The server asks the connection to close once what waits has been written.
    GoingAway,
    /// The connection takes no more events.
    Closed,
}

/// The result of taking from a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Events.
    Events,
    /// Maybe events, and the order to close after them.
    GoingAway,
}

impl SendQueue {
    /// Adds events. Returns whether the caller must see to it that [`SendQueue::flush_inline`] is
    /// called soon.
    #[must_use]
    pub(crate) fn push(&self, events: &[Arc<Broadcast>]) -> bool {
        let mut inner = self.lock();
        if inner.state == State::Closed {
            return false;
        }
        // Everything is taken at once, so that only the first event has to call for it.
        let first = inner.events.is_empty();
        inner.events.extend_from_slice(events);
        let inline = first && inner.parked.is_some() && inner.state == State::Open;
        drop(inner);
        if first && !inline {
            self.waker.wake();
        }
        inline
    }

    /// Delivers what waits, if the connection's task waits too. What is left then, the task does.
    pub(crate) fn flush_inline(&self) {
        let mut inner = self.lock();
        let Inner { events, state, parked } = &mut *inner;
        // A task that does not wait looks here before it does.
        let Some(send_half) = parked else { return };
        // The end of a session changes more than the sending half.
        if *state == State::Open
            && send_half.is_idle()
            && !events.iter().any(|broadcast| broadcast.ends_sessions())
            && send_half.flush_inline(events)
        {
            shrink(events);
            return;
        }
        drop(inner);
        self.waker.wake();
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Polls `wait`; while it is pending and `parks` is true, parks the sending half here, so that
    /// publishers can write to the socket directly. Resolves to `None` if a publisher left
    /// something for the connection's task.
    pub(crate) fn park_while<T>(
        &self,
        send_half: &mut Option<Box<SendHalf>>,
        parks: bool,
        mut wait: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> impl Future<Output = Option<T>> {
        poll_fn(move |context| {
            // No publisher may write to the socket while it is polled, because polling may write to
            // it as well.
            if send_half.is_none() {
                *send_half = self.lock().parked.take();
                if send_half.as_ref().is_some_and(|send_half| !send_half.is_idle()) {
                    return Poll::Ready(None);
                }
            }
            // Yields now and then, however much there is to do here.
            let budget = ready!(poll_proceed(context));
            let done = wait(context);
            if done.is_ready() {
                budget.made_progress();
            }
            if parks && done.is_pending() {
                let mut inner = self.lock();
                // Events that came since `wait` looked have woken the task again.
                if inner.events.is_empty() && inner.state == State::Open {
                    inner.parked = send_half.take();
                }
            }
            done.map(Some)
        })
    }

    /// Asks the connection to close once what waits has been written.
    pub(crate) fn go_away(&self) {
        let mut inner = self.lock();
        if inner.state == State::Open {
            inner.state = State::GoingAway;
        }
        drop(inner);
        self.waker.wake();
    }

    /// Drops what waits, and whatever is pushed from now on: a connection that is being closed must
    /// not hold the backlog of a flow.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.state = State::Closed;
        inner.events = Vec::new();
    }

    /// Drops the events that wait, except the ends of sessions: the subscription that they were of
    /// is over.
    pub(crate) fn discard_flow_events(&self) {
        self.lock().events.retain(|broadcast| broadcast.ends_sessions());
    }

    /// Waits for events or the order to close, and moves the events into `taken`, which must be
    /// empty.
    pub(crate) async fn take(&self, taken: &mut Vec<Arc<Broadcast>>) -> Taken {
        poll_fn(|context| self.poll_take(context, taken)).await
    }

    /// The same as [`SendQueue::take`], to be polled beside other things.
    pub(crate) fn poll_take(
        &self,
        context: &mut Context<'_>,
        taken: &mut Vec<Arc<Broadcast>>,
    ) -> Poll<Taken> {
        if let Some(result) = self.try_take(taken) {
            return Poll::Ready(result);
        }
        self.waker.register(context.waker());
        // Something may have come between the look and the registration.
        self.try_take(taken).map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for events, whether or not the connection is to close, and moves them into `taken`,
    /// which must be empty.
    pub(crate) async fn take_events(&self, taken: &mut Vec<Arc<Broadcast>>) {
        poll_fn(|context| self.poll_take_events(context, taken)).await
    }

    /// The same as [`SendQueue::take_events`], to be polled beside other things.
    pub(crate) fn poll_take_events(
        &self,
        context: &mut Context<'_>,
        taken: &mut Vec<Arc<Broadcast>>,
    ) -> Poll<()> {
        self.waker.register(context.waker());
        let mut inner = self.lock();
        if inner.events.is_empty() {
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.events, taken);
        shrink(&mut inner.events);
        Poll::Ready(())
    }

    /// Moves what waits into `taken`, which must be empty.
    pub(crate) fn try_take(&self, taken: &mut Vec<Arc<Broadcast>>) -> Option<Taken> {
        let mut inner = self.lock();
        if inner.events.is_empty() && inner.state == State::Open {
            return None;
        }
        std::mem::swap(&mut inner.events, taken);
        shrink(&mut inner.events);
        Some(if inner.state == State::Open { Taken::Events } else { Taken::GoingAway })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

/// Gives back the memory of an empty queue that was long.
fn shrink(events: &mut Vec<Arc<Broadcast>>) {
    if events.is_empty() && events.capacity() > KEPT_CAPACITY {
        *events = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Event, EventKind, Timestamp, UserId};

    fn broadcast() -> Arc<Broadcast> {
        let user = UserId::new(1).unwrap();
        let kind = EventKind::SessionsEnded { user, session: None };
        Arc::new(Broadcast::of_user(Arc::new(Event::new(Timestamp::default(), kind))))
    }

    #[tokio::test]
    async fn events_are_taken_in_order_and_at_once() {
        let queue = SendQueue::default();
        let pushed = [broadcast(), broadcast(), broadcast()];
        pushed.chunks(2).for_each(|events| assert!(!queue.push(events)));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken).await, Taken::Events);
        assert!(pushed.iter().zip(&taken).all(|(a, b)| Arc::ptr_eq(a, b)) && taken.len() == 3);
    }

    #[tokio::test]
    async fn any_number_of_events_may_wait_for_a_task_that_had_no_turn() {
        let queue = SendQueue::default();
        let event = broadcast();
        for _ in 0..100_000 {
            assert!(!queue.push(std::slice::from_ref(&event)), "no sending half is parked");
        }
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken).await, Taken::Events);
        assert_eq!(taken.len(), 100_000);
        taken.clear();
        assert!(!queue.push(&[event]));
        assert_eq!(queue.take(&mut taken).await, Taken::Events);
        assert!(queue.lock().events.capacity() <= KEPT_CAPACITY, "its memory is given back");
    }

    #[tokio::test]
    async fn after_the_order_to_close_events_that_wait_and_still_come_are_taken() {
        let queue = SendQueue::default();
        assert!(!queue.push(&[broadcast()]));
        queue.go_away();
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken).await, Taken::GoingAway);
        assert_eq!(taken.len(), 1);
        assert!(!queue.push(&[broadcast(), broadcast()]));
        taken.clear();
        queue.take_events(&mut taken).await;
        assert_eq!(taken.len(), 2);
        taken.clear();
        assert_eq!(queue.take(&mut taken).await, Taken::GoingAway);
        assert!(taken.is_empty());
    }

    #[test]
    fn a_closed_queue_holds_nothing() {
        let queue = SendQueue::default();
        let event = broadcast();
        assert!(!queue.push(std::slice::from_ref(&event)));
        queue.close();
        queue.go_away();
        assert!(!queue.push(std::slice::from_ref(&event)));
        assert_eq!(Arc::strong_count(&event), 1);
    }

    #[tokio::test]
    async fn the_first_event_wakes_a_waiting_task() {
        let queue = Arc::new(SendQueue::default());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move {
                let mut taken = Vec::new();
                queue.take(&mut taken).await;
                taken.len()
            }
        });
        tokio::task::yield_now().await;
        assert!(!queue.push(&[broadcast()]));
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
