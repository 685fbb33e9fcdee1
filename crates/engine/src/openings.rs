//! The answers to many who open one room at once, as after a node was lost: they are read once for
//! all of them. The right of each to read them is looked up in any case.

use crate::answer_budget::{flow_summary_size, message_size};
use moka::sync::Cache;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{Flow, FlowId, FlowSummary, MessagePage, Version};

/// The time for which an answer is kept. It has all changes of its version; names of users, and the
/// removal of messages for their age, change nothing in a flow.
const LIFETIME: Duration = Duration::from_millis(250);

/// The size of all answers of one kind in bytes.
const CAPACITY: u64 = 16 << 20;

/// The size in bytes past which an answer is not kept: copying it saves little.
const MAX_BYTES: usize = 64 << 10;

/// The answers to those who opened a room a moment ago.
pub(crate) struct Openings {
    /// The newest messages of a flow, at most so many.
    pages: Cache<(FlowId, u32), Arc<MessagePage>>,
    /// Flows with all their members.
    summaries: Cache<FlowId, Arc<FlowSummary>>,
}

impl Openings {
    pub(crate) fn new() -> Self {
        Self { pages: cache(page_size), summaries: cache(flow_summary_size) }
    }

    /// The newest messages of a flow that has this version, at most `limit`.
    pub(crate) fn page(&self, flow: FlowId, limit: u32, version: Version) -> Option<MessagePage> {
        let page = self.pages.get(&(flow, limit))?;
        (page.version == version).then(|| MessagePage::clone(&page))
    }

    /// Keeps a page of the newest messages that was read with this limit.
    pub(crate) fn keep_page(&self, limit: u32, page: &MessagePage) {
        if page_size(page) <= MAX_BYTES {
            self.pages.insert((page.flow, limit), Arc::new(page.clone()));
        }
    }

    /// A flow with all its members, if it has not changed since. Its read mark is that of another
    /// reader.
    pub(crate) fn summary(&self, flow: &Flow) -> Option<FlowSummary> {
        let summary = self.summaries.get(&flow.id)?;
        let (kept, now) = (&summary.flow, flow);
        let is_current = (kept.version, kept.changed_at) == (now.version, now.changed_at);
        is_current.then(|| FlowSummary::clone(&summary))
    }

    /// Keeps a flow that was read with all its members.
    pub(crate) fn keep_summary(&self, summary: &FlowSummary) {
        if flow_summary_size(summary) <= MAX_BYTES {
            self.summaries.insert(summary.flow.id, Arc::new(summary.clone()));
        }
    }

    /// Frees the memory of expired answers.
    pub(crate) fn tidy(&self) {
        self.pages.run_pending_tasks();
        self.summaries.run_pending_tasks();
    }
}

fn cache<K, V>(size: impl Fn(&V) -> usize + Send + Sync + 'static) -> Cache<K, Arc<V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let weight = move |_: &K, answer: &Arc<V>| u32::try_from(size(answer)).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(CAPACITY).weigher(weight).time_to_live(LIFETIME).build()
}

/// The size of a page in bytes.
fn page_size(page: &MessagePage) -> usize {
    size_of::<MessagePage>() + page.messages.iter().map(message_size).sum::<usize>()
}
