//! A queue that drops its oldest items.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A queue of many producers and one consumer, bounded in bytes. Producers never wait: beyond the
/// limit the oldest items are dropped, because the versions of newer events show receivers that
/// something is missing.
pub(crate) struct DroppingQueue<T> {
    limit: usize,
    state: Mutex<State<T>>,
    filled: Notify,
    drained: Notify,
}

struct State<T> {
    /// Items with their sizes.
    items: VecDeque<(T, usize)>,
    size: usize,
    /// The number of items popped and not yet acknowledged.
    unacknowledged: usize,
    /// True if items were dropped since the last pop.
    dropped: bool,
}

/// Items popped together.
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<T>,
    /// True if items before them were dropped.
    pub(crate) dropped: bool,
}

impl<T> DroppingQueue<T> {
    /// An empty queue for items of `limit` bytes together.
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { items: VecDeque::new(), size: 0, unacknowledged: 0, dropped: false };
        Self { limit, state: Mutex::new(state), filled: Notify::new(), drained: Notify::new() }
    }

    /// Pushes items, each with its size in bytes, and returns the number of items dropped.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = (T, usize)>) -> usize {
        let mut dropped = 0;
        let mut state = self.state();
        for (item, size) in items {
            state.items.push_back((item, size));
            state.size += size;
            while state.size > self.limit {
                let Some((_, size)) = state.items.pop_front() else { break };
                state.size -= size;
                dropped += 1;
            }
        }
        state.dropped |= dropped > 0;
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// True if there is an item.
    pub(crate) fn is_filled(&self) -> bool {
        !self.state().items.is_empty()
    }

    /// Waits until there is an item. Safe to cancel.
    pub(crate) async fn filled(&self) {
        while !self.is_filled() {
            self.filled.notified().await;
        }
    }

    /// Waits for items and pops the oldest ones: until they have `size` bytes together, at most
    /// `count` of them. Safe to cancel.
    pub(crate) async fn pop(&self, size: usize, count: usize) -> Batch<T> {
        loop {
            let batch = self.try_pop(size, count);
            if !batch.items.is_empty() {
                return batch;
            }
            self.filled().await;
        }
    }

    fn try_pop(&self, size: usize, count: usize) -> Batch<T> {
        let mut state = self.state();
        let mut batch = Batch { items: Vec::new(), dropped: false };
        let mut popped = 0;
        while popped < size && batch.items.len() < count {
            let Some((item, size)) = state.items.pop_front() else { break };
            state.size -= size;
            popped += size;
            batch.items.push(item);
        }
        if !batch.items.is_empty() {
            batch.dropped = std::mem::take(&mut state.dropped);
            state.unacknowledged = batch.items.len();
        }
        batch
    }

    /// Acknowledges the last batch, processed or lost, and returns its number of items.
    pub(crate) fn acknowledge(&self) -> usize {
        let count = std::mem::take(&mut self.state().unacknowledged);
        self.drained.notify_waiters();
        count
    }

    /// Waits until the queue is empty and the last batch acknowledged.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_drained() {
                return;
            }
            drained.await;
        }
    }

    fn is_drained(&self) -> bool {
        let state = self.state();
        state.items.is_empty() && state.unacknowledged == 0
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn the_newest_items_stay_within_the_limit() {
        let queue = DroppingQueue::new(10);
        assert_eq!(queue.push([(1, 4), (2, 4)]), 0);
        assert_eq!(queue.push([(3, 4)]), 1);
        assert_eq!(queue.push([(4, 11)]), 3, "an item beyond the limit drops all");
        assert_eq!(queue.push([(5, 4), (6, 6)]), 0);
        let batch = queue.pop(1, 9).await;
        assert!(batch.dropped);
        assert_eq!(batch.items, [5]);
        let batch = queue.pop(100, 9).await;
        assert!(!batch.dropped);
        assert_eq!(batch.items, [6]);
    }

    #[tokio::test]
    async fn an_item_is_waited_for_and_stays() {
        let queue = DroppingQueue::new(10);
        let mut filled = Box::pin(queue.filled());
        assert!((&mut filled).now_or_never().is_none());
        queue.push([(1, 1)]);
        filled.await;
        queue.filled().await;
        assert_eq!(queue.pop(9, 2).await.items, [1]);
        assert!(queue.filled().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_queue_is_drained_when_all_batches_are_acknowledged() {
        let queue = DroppingQueue::new(10);
        queue.drained().await;
        queue.push([(1, 1), (2, 1), (3, 1)]);
        assert_eq!(queue.pop(9, 2).await.items, [1, 2]);
        assert_eq!(queue.acknowledge(), 2);
        assert!(!queue.is_drained());
        assert_eq!(queue.pop(9, 2).await.items, [3]);
        assert!(!queue.is_drained());
        assert_eq!(queue.acknowledge(), 1);
        assert_eq!(queue.acknowledge(), 0);
        queue.drained().await;
    }
}
