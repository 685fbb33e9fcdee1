//! The answers to many who open one room at once, as after a node was lost: they are read once for
//! all of them. The right of each to read them is looked up in any case.

use crate::answer_budget::{flow_summary_size, message_size};
use moka::sync::Cache;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tolmach_domain::{Flow, FlowId, FlowSummary, MessagePage, Version};

/// The time for which an answer is kept. A flow's version tells its changes, and [`UsersAt`] those
/// of users at this node. Changes of users at other nodes and the removal of messages for their age
/// show when this time is over.
const LIFETIME: Duration = Duration::from_millis(250);

/// The size of all answers of one kind in bytes.
const CAPACITY: u64 = 16 << 20;

/// The size in bytes past which an answer is not kept: copying it saves little.
const MAX_BYTES: usize = 64 << 10;

/// The answers to those who opened a room a moment ago.
pub(crate) struct Openings {
    /// The newest messages of a flow, at most so many.
    pages: Cache<(FlowId, u32), Arc<Kept<MessagePage>>>,
    /// Flows with all their members.
    summaries: Cache<FlowId, Arc<Kept<FlowSummary>>>,
    /// The number of changes of users.
    changes: AtomicU64,
}

/// An answer.
struct Kept<T> {
    answer: T,
    users: UsersAt,
}

/// The users as they are after a number of changes. An answer that was read before a change is not
/// given after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsersAt(u64);

impl Openings {
    pub(crate) fn new() -> Self {
        let (pages, summaries) = (cache(page_size), cache(flow_summary_size));
        Self { pages, summaries, changes: AtomicU64::new(0) }
    }

    /// The users as they are now, for an answer that is read next.
    pub(crate) fn users(&self) -> UsersAt {
        UsersAt(self.changes.load(Ordering::Acquire))
    }

    /// Forgets all answers, because a user has changed, who may be named in any of them.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The newest messages of a flow that has this version, at most `limit`.
    pub(crate) fn page(&self, flow: FlowId, limit: u32, version: Version) -> Option<MessagePage> {
        let kept = self.pages.get(&(flow, limit))?;
        let is_current = kept.answer.version == version && kept.users == self.users();
        is_current.then(|| kept.answer.clone())
    }

    /// Keeps a page of the newest messages that was read with this limit after `users`.
    pub(crate) fn keep_page(&self, limit: u32, page: &MessagePage, users: UsersAt) {
        if page_size(page) <= MAX_BYTES {
            let kept = Kept { answer: page.clone(), users };
            self.pages.insert((page.flow, limit), Arc::new(kept));
        }
    }

    /// A flow with all its members, if it has not changed since. Its read mark is that of another
    /// reader.
    pub(crate) fn summary(&self, flow: &Flow) -> Option<FlowSummary> {
        let kept = self.summaries.get(&flow.id)?;
        let (then, now) = (&kept.answer.flow, flow);
        let is_unchanged = (then.version, then.changed_at) == (now.version, now.changed_at);
        (is_unchanged && kept.users == self.users()).then(|| kept.answer.clone())
    }

    /// Keeps a flow that was read with all its members after `users`.
    pub(crate) fn keep_summary(&self, summary: &FlowSummary, users: UsersAt) {
        if flow_summary_size(summary) <= MAX_BYTES {
            let kept = Kept { answer: summary.clone(), users };
            self.summaries.insert(summary.flow.id, Arc::new(kept));
        }
    }

    /// Frees the memory of expired answers.
    pub(crate) fn tidy(&self) {
        self.pages.run_pending_tasks();
        self.summaries.run_pending_tasks();
    }
}

fn cache<K, V>(size: impl Fn(&V) -> usize + Send + Sync + 'static) -> Cache<K, Arc<Kept<V>>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let weight =
        move |_: &K, kept: &Arc<Kept<V>>| u32::try_from(size(&kept.answer)).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(CAPACITY).weigher(weight).time_to_live(LIFETIME).build()
}

/// The size of a page in bytes.
fn page_size(page: &MessagePage) -> usize {
    size_of::<MessagePage>() + page.messages.iter().map(message_size).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_read_before_a_user_changed_is_not_given_after_it() {
        let openings = Openings::new();
        let flow = FlowId::new(1).unwrap();
        let page = MessagePage { version: Version(3), ..MessagePage::new(flow, Vec::new()) };
        let before = openings.users();
        openings.forget();
        // The read has ended after the change.
        openings.keep_page(50, &page, before);
        assert_eq!(openings.page(flow, 50, Version(3)), None);
        openings.keep_page(50, &page, openings.users());
        assert_eq!(openings.page(flow, 50, Version(3)), Some(page));
        openings.forget();
        assert_eq!(openings.page(flow, 50, Version(3)), None);
    }
}
