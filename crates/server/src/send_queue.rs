//! What waits for one connection: a queue bounded in bytes, and the order to close.

use crate::broadcast::Broadcast;
use crate::voice::Voice;
use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::task::coop::poll_proceed;

/// What waits for one connection. Filled by the hub; emptied by the connection's task, or by
/// [`Outbox::speak`] while that waits.
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    waker: AtomicWaker,
    /// The most bytes that may wait.
    bound: usize,
}

#[derive(Default)]
struct Inner {
    queue: Vec<Arc<Broadcast>>,
    bytes: usize,
    order: Option<Order>,
    /// The connection's, while its task waits.
    voice: Option<Box<Voice>>,
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The gateway shuts down.
    GoAway,
    /// More waited than the bound allows: the peer reads too slowly.
    SlowReader,
}

impl Outbox {
    pub(crate) fn new(bound: usize) -> Self {
        Self { inner: Mutex::default(), waker: AtomicWaker::new(), bound }
    }

    /// Adds broadcasts. Past the bound everything that waits is dropped and the connection is told
    /// to end: what it missed is in the history. Returns whether the caller must see to it that
    /// [`Outbox::speak`] is called soon.
    #[must_use]
    pub(crate) fn push(&self, broadcasts: &[Arc<Broadcast>]) -> bool {
        let mut inner = self.lock();
        // Everything is taken at once, so that somebody has to come only when there was nothing.
        let mut wake = inner.queue.is_empty();
        for broadcast in broadcasts {
            if inner.order == Some(Order::SlowReader) {
                break;
            }
            inner.bytes += broadcast.size();
            if inner.bytes > self.bound && !inner.queue.is_empty() {
                inner.queue = Vec::new();
                inner.order = Some(Order::SlowReader);
                wake = true;
            } else {
                inner.queue.push(broadcast.clone());
            }
        }
        let speak = wake && inner.voice.is_some() && inner.order.is_none();
        drop(inner);
        if wake && !speak {
            self.waker.wake();
        }
        speak
    }

    /// Says what waits, if the connection's task waits too. What is left then, the task does.
    pub(crate) fn speak(&self) {
        let mut inner = self.lock();
        let Inner { queue, bytes, order, voice } = &mut *inner;
        // A task that does not wait looks here before it does.
        let Some(voice) = voice else { return };
        // What ends sessions concerns more than the voice.
        if order.is_none()
            && voice.is_free()
            && !queue.iter().any(|broadcast| broadcast.ends_sessions())
        {
            *bytes = 0;
            if voice.speak(queue.drain(..)) {
                return;
            }
        }
        drop(inner);
        self.waker.wake();
    }

    /// Lets the connection's task look for itself.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Waits, and `lends` the connection's voice for as long. Nothing, when somebody has spoken by
    /// it and something was left to do.
    pub(crate) fn lend_while<T>(
        &self,
        voice: &mut Option<Box<Voice>>,
        lends: bool,
        mut wait: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> impl Future<Output = Option<T>> {
        poll_fn(move |context| {
            // Nobody else may write to the socket while it is looked at, since it may have
            // something to write itself.
            if voice.is_none() {
                *voice = self.lock().voice.take();
                if voice.as_ref().is_some_and(|voice| !voice.is_free()) {
                    return Poll::Ready(None);
                }
            }
            // Others have a turn, however much there is to do here.
            let turn = ready!(poll_proceed(context));
            let done = wait(context);
            if done.is_ready() {
                turn.made_progress();
            }
            if lends && done.is_pending() {
                let mut inner = self.lock();
                // What came since the task looked has woken it again.
                if inner.queue.is_empty() && inner.order.is_none() {
                    inner.voice = voice.take();
                }
            }
            done.map(Some)
        })
    }

    /// Tells the connection to end once what waits has been written. The first order stands, until
    /// the bound is passed.
    pub(crate) fn order(&self, order: Order) {
        self.lock().order.get_or_insert(order);
        self.waker.wake();
    }

    /// Waits until something waits or an order stands, and moves what waits into `taken`, which
    /// must be empty.
    pub(crate) async fn take(&self, taken: &mut Vec<Arc<Broadcast>>) -> Option<Order> {
        poll_fn(|context| self.poll_take(context, taken)).await
    }

    /// The same, for whoever waits for other things too.
    pub(crate) fn poll_take(
        &self,
        context: &mut Context<'_>,
        taken: &mut Vec<Arc<Broadcast>>,
    ) -> Poll<Option<Order>> {
        if let Poll::Ready(order) = self.try_take(taken) {
            return Poll::Ready(order);
        }
        self.waker.register(context.waker());
        // Something may have come between the look and the registration.
        self.try_take(taken)
    }

    /// Waits until something waits, whatever order stands, and moves it into `taken`, which must be
    /// empty.
    pub(crate) async fn take_more(&self, taken: &mut Vec<Arc<Broadcast>>) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            let mut inner = self.lock();
            if inner.queue.is_empty() {
                return Poll::Pending;
            }
            std::mem::swap(&mut inner.queue, taken);
            inner.bytes = 0;
            Poll::Ready(())
        })
        .await;
    }

    /// Waits until the bound was passed. What waits stays.
    pub(crate) async fn overflow(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.lock().order == Some(Order::SlowReader) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn try_take(&self, taken: &mut Vec<Arc<Broadcast>>) -> Poll<Option<Order>> {
        let mut inner = self.lock();
        if inner.queue.is_empty() && inner.order.is_none() {
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.queue, taken);
        inner.bytes = 0;
        Poll::Ready(inner.order)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics halfway through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Event, EventKind, Timestamp, UserId};

    fn broadcast() -> Arc<Broadcast> {
        let user = UserId::new(1).unwrap();
        Arc::new(Broadcast::new(Arc::new(Event::new(
            Timestamp::default(),
            EventKind::SessionsEnded { user, session: None },
        ))))
    }

    #[tokio::test]
    async fn what_was_pushed_is_taken_in_order_and_at_once() {
        let outbox = Outbox::new(10_000);
        let pushed = [broadcast(), broadcast(), broadcast()];
        pushed.chunks(2).for_each(|broadcasts| assert!(!outbox.push(broadcasts)));
        let mut taken = Vec::new();
        assert_eq!(outbox.take(&mut taken).await, None);
        assert!(pushed.iter().zip(&taken).all(|(a, b)| Arc::ptr_eq(a, b)) && taken.len() == 3);
    }

    #[tokio::test]
    async fn past_the_bound_the_reader_is_slow_and_nothing_is_held() {
        let outbox = Outbox::new(3 * broadcast().size());
        for _ in 0..10 {
            assert!(!outbox.push(&[broadcast()]), "nobody lent it a voice");
        }
        let mut taken = Vec::new();
        assert_eq!(outbox.take(&mut taken).await, Some(Order::SlowReader));
        assert!(taken.is_empty());
        outbox.overflow().await;
    }

    #[tokio::test]
    async fn one_broadcast_larger_than_the_bound_still_passes() {
        let outbox = Outbox::new(1);
        assert!(!outbox.push(&[broadcast()]));
        let mut taken = Vec::new();
        assert_eq!(outbox.take(&mut taken).await, None);
        assert_eq!(taken.len(), 1);
    }

    #[tokio::test]
    async fn after_an_order_what_waits_and_still_comes_is_let_out_and_the_first_order_stands() {
        let outbox = Outbox::new(10_000);
        assert!(!outbox.push(&[broadcast()]));
        outbox.order(Order::GoAway);
        outbox.order(Order::SlowReader);
        let mut taken = Vec::new();
        assert_eq!(outbox.take(&mut taken).await, Some(Order::GoAway));
        assert_eq!(taken.len(), 1);
        assert!(!outbox.push(&[broadcast(), broadcast()]));
        taken.clear();
        outbox.take_more(&mut taken).await;
        assert_eq!(taken.len(), 2);
        taken.clear();
        assert_eq!(outbox.take(&mut taken).await, Some(Order::GoAway));
        assert!(taken.is_empty());
    }

    #[tokio::test]
    async fn who_reads_slowly_to_the_last_is_a_slow_reader() {
        let outbox = Outbox::new(3 * broadcast().size());
        outbox.order(Order::GoAway);
        for _ in 0..10 {
            assert!(!outbox.push(&[broadcast()]));
        }
        let mut taken = Vec::new();
        assert_eq!(outbox.take(&mut taken).await, Some(Order::SlowReader));
        assert!(taken.is_empty());
    }

    #[tokio::test]
    async fn a_waiting_task_is_woken_by_the_first_push() {
        let outbox = Arc::new(Outbox::new(10_000));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move {
                let mut taken = Vec::new();
                outbox.take(&mut taken).await;
                taken.len()
            }
        });
        tokio::task::yield_now().await;
        assert!(!outbox.push(&[broadcast()]));
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
