//! The topics whose events of other nodes are wanted.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tolmach_engine::ports::Topic;

/// The wanted topics, and those that changed since the last read.
#[derive(Default)]
pub(crate) struct Subscriptions {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    wanted: HashSet<Topic>,
    touched: HashSet<Topic>,
}

/// Changes since the last read. A topic that was added and removed again is in one of the lists
/// too.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) added: Vec<Topic>,
    pub(crate) removed: Vec<Topic>,
}

impl Subscriptions {
    /// Adds topics.
    pub(crate) fn add(&self, topics: &[Topic]) {
        self.change(topics, |wanted, topic| wanted.insert(topic));
    }

    /// Removes topics.
    pub(crate) fn remove(&self, topics: &[Topic]) {
        self.change(topics, |wanted, topic| wanted.remove(&topic));
    }

    /// All topics. [`Self::changes`] returns later changes.
    pub(crate) fn all(&self) -> Vec<Topic> {
        let mut state = self.state();
        state.touched.clear();
        state.wanted.iter().copied().collect()
    }

    /// Waits for changes since the last read. Safe to cancel.
    pub(crate) async fn changes(&self) -> Changes {
        loop {
            {
                let mut state = self.state();
                let touched = std::mem::take(&mut state.touched);
                if !touched.is_empty() {
                    let (added, removed) =
                        touched.into_iter().partition(|topic| state.wanted.contains(topic));
                    return Changes { added, removed };
                }
            }
            self.changed.notified().await;
        }
    }

    /// Applies a change, which returns true if the topic changed, to each of the topics.
    fn change(&self, topics: &[Topic], change: impl Fn(&mut HashSet<Topic>, Topic) -> bool) {
        let mut state = self.state();
        for topic in topics {
            if change(&mut state.wanted, *topic) {
                state.touched.insert(*topic);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::UserId;

    fn topic(number: i64) -> Topic {
        Topic::User(UserId::new(number).unwrap())
    }

    #[tokio::test]
    async fn changes_are_collected_until_they_are_read() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(&[topic(1), topic(2)]);
        assert_eq!(subscriptions.all().len(), 2);
        subscriptions.add(&[topic(1)]);
        subscriptions.add(&[topic(3)]);
        subscriptions.remove(&[topic(2)]);
        subscriptions.add(&[topic(4)]);
        subscriptions.remove(&[topic(4)]);
        let Changes { added, mut removed } = subscriptions.changes().await;
        removed.sort();
        assert_eq!((added, removed), (vec![topic(3)], vec![topic(2), topic(4)]));
        let mut all = subscriptions.all();
        all.sort();
        assert_eq!(all, [topic(1), topic(3)]);
    }
}
