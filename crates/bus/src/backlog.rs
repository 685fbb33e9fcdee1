//! What waits to be handed on, within a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A queue between many who add, without ever waiting, and one who takes. Past its bound the oldest
/// is lost: what is newer shows whoever hears it that something is missing.
pub(crate) struct Backlog<T> {
    limit: usize,
    state: Mutex<State<T>>,
    filled: Notify,
    emptied: Notify,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    /// Taken, and not known to be handed on.
    taken: usize,
    /// Lost since the last time that something was taken.
    lost: bool,
}

/// What was taken at once.
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<T>,
    /// Whether something before them was lost.
    pub(crate) lost: bool,
}

impl<T> Backlog<T> {
    /// An empty one, for items of `limit` bytes together.
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { waiting: VecDeque::new(), weight: 0, taken: 0, lost: false };
        Self { limit, state: Mutex::new(state), filled: Notify::new(), emptied: Notify::new() }
    }

    /// Adds items, each with its bytes, and tells how many were lost by that.
    pub(crate) fn add(&self, items: impl IntoIterator<Item = (T, usize)>) -> usize {
        let mut lost = 0;
        let mut state = self.state();
        for (item, weight) in items {
            state.waiting.push_back((item, weight));
            state.weight += weight;
            while state.weight > self.limit {
                let Some((_, weight)) = state.waiting.pop_front() else { break };
                state.weight -= weight;
                lost += 1;
            }
        }
        state.lost |= lost > 0;
        drop(state);
        self.filled.notify_one();
        lost
    }

    /// Waits for items and takes them, oldest first: of `weight` bytes together or a little more,
    /// at most `count` of them. Safe to cancel.
    pub(crate) async fn take(&self, weight: usize, count: usize) -> Batch<T> {
        loop {
            let batch = self.take_now(weight, count);
            if !batch.items.is_empty() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    fn take_now(&self, weight: usize, count: usize) -> Batch<T> {
        let mut state = self.state();
        let mut batch = Batch { items: Vec::new(), lost: false };
        let mut taken = 0;
        while taken < weight && batch.items.len() < count {
            let Some((item, weight)) = state.waiting.pop_front() else { break };
            state.weight -= weight;
            taken += weight;
            batch.items.push(item);
        }
        if !batch.items.is_empty() {
            batch.lost = std::mem::take(&mut state.lost);
            state.taken = batch.items.len();
        }
        batch
    }

    /// What was taken has been handed on, or never will be. Tells how much it was.
    pub(crate) fn settle(&self) -> usize {
        let taken = std::mem::take(&mut self.state().taken);
        self.emptied.notify_waiters();
        taken
    }

    /// Waits until nothing waits and all that was taken is settled.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn is_empty(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.taken == 0
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_are_kept_within_the_bound() {
        let backlog = Backlog::new(10);
        assert_eq!(backlog.add([(1, 4), (2, 4)]), 0);
        assert_eq!(backlog.add([(3, 4)]), 1);
        assert_eq!(
            backlog.add([(4, 11)]),
            3,
            "what is larger than everything takes everything with it"
        );
        assert_eq!(backlog.add([(5, 4), (6, 6)]), 0);
        let batch = backlog.take(1, 9).await;
        assert!(batch.lost);
        assert_eq!(batch.items, [5]);
        let batch = backlog.take(100, 9).await;
        assert!(!batch.lost);
        assert_eq!(batch.items, [6]);
    }

    #[tokio::test]
    async fn it_is_empty_when_all_is_settled() {
        let backlog = Backlog::new(10);
        backlog.emptied().await;
        backlog.add([(1, 1), (2, 1), (3, 1)]);
        assert_eq!(backlog.take(9, 2).await.items, [1, 2]);
        assert_eq!(backlog.settle(), 2);
        assert!(!backlog.is_empty());
        assert_eq!(backlog.take(9, 2).await.items, [3]);
        assert!(!backlog.is_empty());
        assert_eq!(backlog.settle(), 1);
        assert_eq!(backlog.settle(), 0);
        backlog.emptied().await;
    }
}
