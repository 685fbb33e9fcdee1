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
    received: BTreeMap<Timestamp, Received>,
    /// The number of events that were received so far.
    events: u64,
    /// The number of reconciliations with the store so far.
    reconciliations: u64,
}

struct Received {
    event: Arc<Event>,
    /// The number of events that were received before it.
    before: u64,
}

/// The moment at which a read of a membership began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadStart {
    events: u64,
    reconciliations: u64,
}

impl EventTracker {
    /// A tracker of what is committed after `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            reconciled_until: now,
            read_after: now,
            received: BTreeMap::new(),
            events: 0,
            reconciliations: 0,
        }
    }

    /// The start of a read that begins now.
    pub(super) fn start_read(&self) -> ReadStart {
        ReadStart { events: self.events, reconciliations: self.reconciliations }
    }

    /// True if no reconciliation has ended since a read began. One in between may have passed over
    /// a flow without subscribers: what was read is outdated then.
    pub(super) fn is_unreconciled_since(&self, start: ReadStart) -> bool {
        self.reconciliations == start.reconciliations
    }

    /// True if what a read found of a user's membership in a flow is still so: no reconciliation
    /// has ended since it began, and no change of the membership was received. A change was
    /// delivered without effect on a subscription that is made only now.
    pub(super) fn is_current(&self, start: ReadStart, user: UserId, flow: FlowId) -> bool {
        self.is_unreconciled_since(start)
            && (self.events == start.events
                || !self.received.values().any(|received| {
                    received.before >= start.events
                        && changes_membership(&received.event, user, flow)
                }))
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
        self.received.insert(committed_at, Received { event, before: self.events });
        self.events += 1;
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
            .any(|(_, received)| changes_membership(&received.event, user, flow))
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

    #[test]
    fn a_read_of_a_membership_is_outdated_by_a_change_received_since_it_began() {
        let removal =
            || event(EventKind::MembersRemoved { flow: flow(1), users: vec![user(1), user(2)] });
        let mut tracker = EventTracker::new(time(0));
        tracker.insert(time(5), removal());
        let start = tracker.start_read();
        assert!(tracker.is_current(start, user(1), flow(1)), "the change was received before");
        // A change that is committed earlier may be received later.
        tracker.insert(time(4), removal());
        for (member, place, current) in [(1, 1, false), (2, 1, false), (3, 1, true), (1, 2, true)] {
            let (member, place) = (user(member), flow(place));
            assert_eq!(tracker.is_current(start, member, place), current, "{member} {place}");
        }
        let start = tracker.start_read();
        assert!(tracker.is_current(start, user(1), flow(1)));
        tracker.reconciled(time(1), true);
        assert!(!tracker.is_current(start, user(3), flow(2)));
    }
}
