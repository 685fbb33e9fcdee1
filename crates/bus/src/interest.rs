//! What this node wants to hear of other nodes.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tolmach_engine::ports::Topic;

/// The topics that are wanted now, and which of them changed since somebody last looked.
#[derive(Default)]
pub(crate) struct Interest {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    wanted: HashSet<Topic>,
    touched: HashSet<Topic>,
}

/// Topics whose wish changed, perhaps there and back.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) wanted: Vec<Topic>,
    pub(crate) unwanted: Vec<Topic>,
}

impl Interest {
    /// From now on these are wanted, or no longer.
    pub(crate) fn set(&self, topics: &[Topic], wanted: bool) {
        let mut state = self.state();
        for topic in topics {
            if if wanted { state.wanted.insert(*topic) } else { state.wanted.remove(topic) } {
                state.touched.insert(*topic);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// All that is wanted now, to begin with.
    pub(crate) fn all(&self) -> Vec<Topic> {
        let mut state = self.state();
        state.touched.clear();
        state.wanted.iter().copied().collect()
    }

    /// Waits for changes since the last look. Safe to cancel.
    pub(crate) async fn changes(&self) -> Changes {
        loop {
            {
                let mut state = self.state();
                let touched = std::mem::take(&mut state.touched);
                if !touched.is_empty() {
                    let (wanted, unwanted) =
                        touched.into_iter().partition(|topic| state.wanted.contains(topic));
                    return Changes { wanted, unwanted };
                }
            }
            self.changed.notified().await;
        }
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
    async fn changes_are_gathered_until_somebody_looks() {
        let interest = Interest::default();
        interest.set(&[topic(1), topic(2)], true);
        assert_eq!(interest.all().len(), 2);
        interest.set(&[topic(1)], true);
        interest.set(&[topic(3)], true);
        interest.set(&[topic(2)], false);
        interest.set(&[topic(4)], true);
        interest.set(&[topic(4)], false);
        let Changes { wanted, mut unwanted } = interest.changes().await;
        unwanted.sort();
        assert_eq!((wanted, unwanted), (vec![topic(3)], vec![topic(2), topic(4)]));
        let mut all = interest.all();
        all.sort();
        assert_eq!(all, [topic(1), topic(3)]);
    }
}
