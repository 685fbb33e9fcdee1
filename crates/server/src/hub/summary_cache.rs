//! The summary of one flow, for the subscribers whose dialect needs it.

use std::collections::HashSet;
use std::sync::Arc;
use tolmach_domain::{ConnectionId, FlowSummary, User, UserId, UserSummary};

/// The summary of one flow, for the subscribers whose dialect needs it.
#[derive(Default)]
pub(super) struct SummaryCache {
    summary: Option<Arc<FlowSummary>>,
    /// The number of membership changes so far: a summary that was read before one is outdated.
    generation: u64,
    /// The subscribers that need it.
    readers: HashSet<ConnectionId>,
}

impl SummaryCache {
    pub(super) fn get(&self) -> Option<&Arc<FlowSummary>> {
        self.summary.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn add_reader(&mut self, reader: ConnectionId) {
        self.readers.insert(reader);
    }

    /// Removes a reader. Returns whether none is left.
    pub(super) fn remove_reader(&mut self, reader: ConnectionId) -> bool {
        self.readers.remove(&reader);
        self.readers.is_empty()
    }

    /// Keeps a summary that was read when the cache had this generation. Returns false if the
    /// members have changed meanwhile, so that it has to be read again.
    pub(super) fn put(&mut self, generation: u64, summary: Arc<FlowSummary>) -> bool {
        let current = generation == self.generation;
        if current {
            self.summary = Some(summary);
        }
        current
    }

    /// Adds members of which only the summaries in an event are known yet.
    pub(super) fn add_members(&mut self, users: &[UserSummary]) {
        self.generation += 1;
        let Some(summary) = &mut self.summary else { return };
        let members = &mut Arc::make_mut(summary).members;
        for user in users {
            if let Err(index) = members.binary_search_by_key(&user.id, |member| member.id) {
                members.insert(index, partial_user(user));
            }
        }
    }

    pub(super) fn remove_members(&mut self, users: &[UserId]) {
        self.generation += 1;
        if let Some(summary) = &mut self.summary {
            Arc::make_mut(summary).members.retain(|member| !users.contains(&member.id));
        }
    }
}

fn partial_user(user: &UserSummary) -> User {
    User {
        username: user.username.to_string(),
        name: user.name.to_string(),
        ..User::named(user.id, &*user.login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Flow, FlowId, FlowKind};

    fn user(number: i64) -> UserSummary {
        UserSummary::named(UserId::new(number).unwrap(), format!("user{number}"))
    }

    fn summary(members: &[i64]) -> Arc<FlowSummary> {
        let flow = Flow::new(FlowId::new(1).unwrap(), FlowKind::Group, "group");
        let members = members.iter().map(|number| partial_user(&user(*number))).collect();
        Arc::new(FlowSummary { members, ..FlowSummary::new(flow) })
    }

    fn members(cache: &SummaryCache) -> Option<Vec<i64>> {
        let summary = cache.get()?;
        Some(summary.members.iter().map(|member| member.id.get()).collect())
    }

    #[test]
    fn members_come_and_go_once_in_order_of_their_ids() {
        let mut cache = SummaryCache::default();
        cache.add_members(&[user(9)]);
        assert_eq!(members(&cache), None, "nothing was read yet");
        assert!(cache.put(cache.generation(), summary(&[2, 5])));
        for _ in 0..2 {
            cache.add_members(&[user(3)]);
            assert_eq!(members(&cache), Some(vec![2, 3, 5]));
        }
        for _ in 0..2 {
            cache.remove_members(&[UserId::new(2).unwrap()]);
            assert_eq!(members(&cache), Some(vec![3, 5]));
        }
    }

    #[test]
    fn a_summary_that_was_read_before_a_change_is_not_kept() {
        let mut cache = SummaryCache::default();
        let before = cache.generation();
        assert!(cache.put(before, summary(&[1])));
        cache.add_members(&[user(2)]);
        assert!(!cache.put(before, summary(&[1])));
        assert_eq!(members(&cache), Some(vec![1, 2]));
        assert!(cache.put(cache.generation(), summary(&[1, 2, 3])));
        assert_eq!(members(&cache), Some(vec![1, 2, 3]));
    }

    #[test]
    fn the_last_reader_is_known() {
        let mut cache = SummaryCache::default();
        cache.add_reader(ConnectionId(1));
        cache.add_reader(ConnectionId(2));
        assert!(!cache.remove_reader(ConnectionId(1)));
        assert!(!cache.remove_reader(ConnectionId(3)));
        assert!(cache.remove_reader(ConnectionId(2)));
    }
}
