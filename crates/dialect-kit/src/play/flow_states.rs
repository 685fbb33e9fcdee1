//! The members of flows, as the events of a story change them.

use crate::fixtures::flow_summary;
use std::collections::BTreeMap;
use tolmach_domain::{EventKind, FlowId, FlowSummary, User, UserSummary};

/// The flows whose members differ from the fixtures'.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlowStates {
    members: BTreeMap<FlowId, Vec<User>>,
}

impl FlowStates {
    /// A flow with all its members, ordered by id, without their contact data: the summary of a
    /// [`RenderContext`](tolmach_dialect::RenderContext).
    pub(crate) fn summary(&self, flow: FlowId) -> FlowSummary {
        let mut summary = flow_summary(flow.get(), true);
        if let Some(members) = self.members.get(&flow) {
            summary.members.clone_from(members);
        }
        summary.members.iter_mut().for_each(User::remove_contacts);
        summary
    }

    /// Takes over the members of a flow, if they are known.
    pub(crate) fn learn(&mut self, summary: &FlowSummary) {
        if !summary.members.is_empty() {
            self.members.insert(summary.flow.id, summary.members.clone());
        }
    }

    /// Applies an event.
    pub(crate) fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::MembersAdded { flow, users, .. } => {
                let members = self.members_mut(*flow);
                members.retain(|member| users.iter().all(|user| user.id != member.id));
                members.extend(users.iter().map(member));
                members.sort_by_key(|member| member.id);
            }
            EventKind::MembersRemoved { flow, users } => {
                self.members_mut(*flow).retain(|member| !users.contains(&member.id));
            }
            _ => {}
        }
    }

    fn members_mut(&mut self, flow: FlowId) -> &mut Vec<User> {
        self.members.entry(flow).or_insert_with(|| flow_summary(flow.get(), true).members)
    }
}

/// A member of whom only the event is known.
fn member(user: &UserSummary) -> User {
    User {
        login: user.login.to_string(),
        username: user.username.to_string(),
        name: user.name.to_string(),
        ..User::named(user.id, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{GROUP, flow_id, user, user_id};
    use tolmach_domain::Version;

    #[test]
    fn members_follow_the_events_and_stay_ordered() {
        let flow = flow_id(GROUP);
        let mut states = FlowStates::default();
        let numbers = |states: &FlowStates| -> Vec<i64> {
            states.summary(flow).members.iter().map(|member| member.id.get()).collect()
        };
        assert_eq!(numbers(&states), [1, 2, 3]);
        states.apply(&EventKind::MembersRemoved { flow, users: vec![user_id(2)] });
        let users = vec![user(7).summary(), user(2).summary(), user(3).summary()];
        states.apply(&EventKind::MembersAdded { flow, users, version: Version(1) });
        assert_eq!(numbers(&states), [1, 2, 3, 7]);
    }
}
