//! The events that changed no message, by the time of their commit: which of them were received.

use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, FlowId, Timestamp, UserId};

/// The events that changed no message, by the time of their commit: which of them were received.
pub(super) struct EventTracker {
    /// Everything that was committed up to this time was received.
    reconciled_until: Timestamp,
    /// The time after which the store is read next.
    read_after: Timestamp,
    /// The later events that were received.
    received: BTreeMap<Timestamp, Arc<Event>>,
    reconciliations: u64,
}

impl EventTracker {
    /// A tracker of what is committed after `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            reconciled_until: now,
            read_after: now,
            received: BTreeMap::new(),
            reconciliations: 0,
        }
    }

    /// The number of reconciliations with the store so far.
    pub(super) fn reconciliations(&self) -> u64 {
        self.reconciliations
    }

    /// The time after which the store is read next: not after the one up to which everything was
    /// received.
    pub(super) fn read_after(&self) -> Timestamp {
        self.read_after
    }

    /// True if the event that was committed at this time was not received yet.
    pub(super) fn is_new(&self, committed_at: Timestamp) -> bool {
        committed_at > self.reconciled_until && !self.received.contains_key(&committed_at)
    }

    /// Notes an event that was received.
    pub(super) fn insert(&mut self, committed_at: Timestamp, event: Arc<Event>) {
        self.received.insert(committed_at, event);
    }

    /// Notes that everything up to a time was received. `of_all_flows` is false if the store was
    /// read for the flows only that had subscribers then: those that have got some meanwhile were
    /// left out, and the next read begins where this one did. A flow that got its first subscriber
    /// before this read began is not among them: its version was read after the last
    /// reconciliation ended, or is read again.
    pub(super) fn reconciled(&mut self, until: Timestamp, of_all_flows: bool) {
        self.reconciliations += 1;
        let read_after = if of_all_flows { until } else { self.reconciled_until };
        self.read_after = self.read_after.max(read_after);
        self.reconciled_until = self.reconciled_until.max(until);
        self.received.retain(|committed_at, _| *committed_at > until);
    }

    /// True if no event that was committed after this time made the user a member of the flow or
    /// ended that.
    pub(super) fn is_latest_change(
        &self,
        committed_at: Timestamp,
        user: UserId,
        flow: FlowId,
    ) -> bool {
        !self
            .received
            .iter()
            .rev()
            .take_while(|(later, _)| **later > committed_at)
            .any(|(_, event)| changes_membership(event, user, flow))
    }
}

fn changes_membership(event: &Event, user: UserId, flow: FlowId) -> bool {
    match &event.kind {
        EventKind::FlowCreated { flow: created, members } => {
            created.id == flow && members.iter().any(|member| member.id == user)
        }
        EventKind::MembersAdded { flow: changed, users, .. } => {
            *changed == flow && users.iter().any(|added| added.id == user)
        }
        EventKind::MembersRemoved { flow: changed, users } => {
            *changed == flow && users.contains(&user)
        }
        EventKind::FlowDeleted { flow: deleted, .. } => *deleted == flow,
        EventKind::Posted(_)
        | EventKind::Edited(_)
        | EventKind::Deleted { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::SessionId;

    fn time(number: i64) -> Timestamp {
        Timestamp::from_micros(number)
    }

    fn event(kind: EventKind) -> Arc<Event> {
        Arc::new(Event::new(time(0), kind))
    }

    fn user(number: i64) -> UserId {
        UserId::new(number).unwrap()
    }

    fn flow(number: i64) -> FlowId {
        FlowId::new(number).unwrap()
    }

    #[test]
    fn an_event_that_was_received_or_reconciled_is_not_new() {
        let mut tracker = EventTracker::new(time(10));
        let ended =
            event(EventKind::SessionsEnded { user: user(1), session: SessionId::new(1).ok() });
        for (number, new) in [(9, false), (10, false), (11, true), (12, true)] {
            assert_eq!(tracker.is_new(time(number)), new, "{number}");
        }
        tracker.insert(time(12), ended);
        assert!(tracker.is_new(time(11)) && !tracker.is_new(time(12)));
        tracker.reconciled(time(12), true);
        for (number, new) in [(11, false), (12, false), (13, true)] {
            assert_eq!(tracker.is_new(time(number)), new, "{number}");
        }
        assert!(tracker.received.is_empty());
    }

    #[test]
    fn a_read_of_some_flows_is_followed_by_one_from_where_it_began() {
        let mut tracker = EventTracker::new(time(10));
        for (until, of_all_flows, read_after, received_until) in [
            (20, true, 20, 20),
            (30, false, 20, 30),
            (40, false, 30, 40),
            // A page that was cut before the end of the last one.
            (35, true, 35, 40),
            (50, true, 50, 50),
            (50, false, 50, 50),
        ] {
            tracker.reconciled(time(until), of_all_flows);
            assert_eq!(tracker.read_after(), time(read_after), "{until}");
            assert!(!tracker.is_new(time(received_until)), "{until}");
            assert!(tracker.is_new(time(received_until + 1)), "{until}");
        }
    }

    #[test]
    fn a_late_membership_change_does_not_undo_a_later_one() {
        let mut tracker = EventTracker::new(time(0));
        tracker.insert(
            time(5),
            event(EventKind::MembersRemoved { flow: flow(1), users: vec![user(1)] }),
        );
        for (when, member, place, latest) in
            [(4, 1, 1, false), (6, 1, 1, true), (4, 2, 1, true), (4, 1, 2, true)]
        {
            assert_eq!(
                tracker.is_latest_change(time(when), user(member), flow(place)),
                latest,
                "{when} {member} {place}"
            );
        }
        tracker.insert(time(7), event(EventKind::FlowDeleted { flow: flow(2), by: user(9) }));
        assert!(!tracker.is_latest_change(time(6), user(3), flow(2)));
    }
}
