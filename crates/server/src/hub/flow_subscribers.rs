//! The subscribers of one flow, and how far it was delivered to them.

use super::coalescing::Coalescing;
use super::fan_out::fan_out;
use super::subscriber::Subscriber;
use super::summary_cache::SummaryCache;
use crate::backlog::{Backlogs, FlowBacklog};
use crate::broadcast::Broadcast;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;
use tolmach_domain::{ConnectionId, Event, FlowSummary, Message, Version};
use tolmach_engine::event_from_message;

/// The most events that are held behind a gap. Later ones are dropped, and read from the store with
/// the missing ones.
const MAX_HELD_EVENTS: usize = 1024;
/// The most bytes that they may have.
const MAX_HELD_BYTES: usize = 1 << 20;
/// The most events that are gathered into one batch.
const MAX_PENDING: usize = 256;

/// The subscribers of one flow, and how far it was delivered to them. Every change to a message
/// takes the next version of its flow, so whatever does not follow on the position is a repetition
/// or lies behind a gap.
pub(super) struct FlowSubscribers {
    subscribers: Vec<Arc<Subscriber>>,
    /// The last version that was taken for delivery.
    position: Version,
    /// Events that came too early, by their first version.
    held: BTreeMap<Version, Arc<Event>>,
    held_bytes: usize,
    /// True if the store is to be read once more: since it was last read, an event was dropped, or
    /// found missing.
    read_again: bool,
    /// True while the gap is being filled from the store.
    filling: bool,
    /// Events up to the position that the subscribers were not sent yet.
    pending: Vec<Arc<Broadcast>>,
    pending_bytes: usize,
    coalescing: Coalescing,
    /// True if a task is going to flush what is pending.
    flush_scheduled: bool,
    backlog: Arc<FlowBacklog>,
    /// For the subscribers whose dialect needs summaries, while there are some.
    summary: Option<Box<SummaryCache>>,
}

impl FlowSubscribers {
    /// No subscribers yet, of a flow that is known up to a version.
    pub(super) fn new(position: Version, backlogs: &Arc<Backlogs>) -> Self {
        Self {
            subscribers: Vec::new(),
            position,
            held: BTreeMap::new(),
            held_bytes: 0,
            read_again: false,
            filling: false,
            pending: Vec::new(),
            pending_bytes: 0,
            coalescing: Coalescing::new(),
            flush_scheduled: false,
            backlog: FlowBacklog::new(backlogs.clone()),
            summary: None,
        }
    }

    /// Adds a subscriber, which is sent what comes from now on.
    pub(super) fn add(&mut self, subscriber: Arc<Subscriber>) {
        // Pending events came before it.
        self.flush();
        self.subscribers.push(subscriber);
    }

    /// Removes a subscriber. Returns whether none is left.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        self.flush();
        if let Some(index) = self.subscribers.iter().position(|subscriber| subscriber.id == id) {
            self.subscribers.swap_remove(index);
        }
        self.summary.take_if(|summary| summary.remove_reader(id));
        self.subscribers.is_empty()
    }

    /// The subscribers, when the flow is gone.
    pub(super) fn into_subscribers(self) -> Vec<Arc<Subscriber>> {
        self.subscribers
    }

    /// The version up to which the subscribers were sent everything.
    pub(super) fn sent(&self) -> Version {
        let pending = self.pending.first().and_then(|broadcast| broadcast.event().versions());
        pending.map_or(self.position, |(first, _)| Version(first.0 - 1))
    }

    /// The last version that was taken for delivery.
    pub(super) fn position(&self) -> Version {
        self.position
    }

    pub(super) fn backlog(&self) -> &Arc<FlowBacklog> {
        &self.backlog
    }

    /// The summary of the flow, where a subscriber needs it and it could be read.
    pub(super) fn summary(&self) -> Option<&Arc<FlowSummary>> {
        self.summary_cache()?.get()
    }

    pub(super) fn summary_cache(&self) -> Option<&SummaryCache> {
        self.summary.as_deref()
    }

    pub(super) fn summary_cache_mut(&mut self) -> Option<&mut SummaryCache> {
        self.summary.as_deref_mut()
    }

    /// The cache of the summary, for one more subscriber that needs it.
    pub(super) fn add_summary_reader(&mut self, id: ConnectionId) -> &mut SummaryCache {
        let summary = self.summary.get_or_insert_default();
        summary.add_reader(id);
        summary
    }

    /// Sends an event that changed no message.
    pub(super) fn send(&mut self, event: &Arc<Event>) {
        self.flush();
        fan_out(&self.subscribers, &[self.broadcast(event.clone())]);
    }

    /// Takes those of the events that follow on the position, and with them those that were held
    /// for it. The events ascend. Returns whether a gap has opened that is not being filled yet:
    /// then the caller must see to it.
    pub(super) fn receive(&mut self, events: &[Arc<Event>]) -> bool {
        let mut ready = Vec::with_capacity(events.len());
        let mut gap = false;
        for event in events {
            gap |= !self.take(event, &mut ready);
        }
        self.enqueue(ready);
        gap && self.begin_filling()
    }

    /// Takes an event. Returns false if it has to wait for others, or for room in the backlog.
    fn take(&mut self, event: &Arc<Event>, ready: &mut Vec<Arc<Broadcast>>) -> bool {
        let Some((first, last)) = event.versions() else { return true };
        if last <= self.position {
            return true;
        }
        let full = self.backlog.is_full();
        if !full {
            self.release(ready);
        }
        if first.0 > self.position.0 + 1 || full {
            if self.held.len() < MAX_HELD_EVENTS && self.held_bytes + event.size() <= MAX_HELD_BYTES
            {
                self.held_bytes += event.size();
                self.held.insert(first, event.clone());
            } else {
                self.read_again = true;
            }
            return false;
        }
        self.position = last;
        ready.push(self.broadcast(event.clone()));
        self.release(ready);
        true
    }

    /// Takes what was held for the position.
    fn release(&mut self, ready: &mut Vec<Arc<Broadcast>>) {
        while let Some(first) =
            self.held.first_entry().filter(|first| first.key().0 <= self.position.0 + 1)
        {
            let event = first.remove();
            self.held_bytes -= event.size();
            if let Some((_, last)) = event.versions().filter(|(_, last)| *last > self.position) {
                self.position = last;
                ready.push(self.broadcast(event));
            }
        }
    }

    /// Notes that the caller begins to fill the gap. Returns false if it is being filled already.
    pub(super) fn begin_filling(&mut self) -> bool {
        !std::mem::replace(&mut self.filling, true)
    }

    /// The same where the store is known to have more than the position: if the gap is being filled
    /// already, it is read once more, because the read under way may have begun before that.
    pub(super) fn begin_another_read(&mut self) -> bool {
        self.read_again |= self.filling;
        self.begin_filling()
    }

    /// The position after which the store is read next.
    pub(super) fn begin_read(&mut self) -> Version {
        self.read_again = false;
        self.position
    }

    /// Takes what the store has after the position, in order: an event that was held is sent as it
    /// came, with its origin; the others as the store has them. `complete` is true if the store has
    /// nothing after the last of the messages. Returns whether the gap is filled.
    pub(super) fn fill_gap(&mut self, messages: Vec<Message>, complete: bool) -> bool {
        let until = messages.last().map_or(self.position, |message| message.version);
        let covers = |event: &Arc<Event>, version: Version| {
            event.versions().is_some_and(|(first, last)| first <= version && version <= last)
        };
        let mut events: BTreeMap<Version, Arc<Event>> = BTreeMap::new();
        for message in messages {
            let held = |version| {
                self.held
                    .range(..=version)
                    .next_back()
                    .is_some_and(|(_, event)| covers(event, version))
            };
            if message.version <= self.position || held(message.version) {
                continue;
            }
            let (version, known) =
                (message.version, message.posted <= self.position || held(message.posted));
            if let Some(event) = event_from_message(message, known) {
                crate::metrics::event_recovered(event.name());
                events.insert(version, Arc::new(event));
            }
        }
        let mut ready = Vec::new();
        let mut after = self.held.split_off(&Version(until.0 + 1));
        events.append(&mut self.held);
        for event in events.into_values() {
            if event.versions().is_some_and(|(_, last)| last > self.position) {
                ready.push(self.broadcast(event));
            }
        }
        self.position = self.position.max(until);
        self.held_bytes = after.values().map(|event| event.size()).sum();
        self.held.append(&mut after);
        self.release(&mut ready);
        self.enqueue(ready);
        let filled = complete && self.held.is_empty() && !self.read_again;
        self.filling = !filled;
        filled
    }

    fn broadcast(&self, event: Arc<Event>) -> Arc<Broadcast> {
        Arc::new(Broadcast::of_flow(event, self.summary().cloned(), &self.backlog))
    }

    fn enqueue(&mut self, mut ready: Vec<Arc<Broadcast>>) {
        self.pending_bytes += ready.iter().map(|broadcast| broadcast.event().size()).sum::<usize>();
        self.pending.append(&mut ready);
        // Pending events are part of the backlog, and must not make the flow lag by themselves.
        if self.pending.len() >= MAX_PENDING
            || self.pending_bytes > self.backlog.limit() / 2
            || self.coalescing.is_over()
        {
            self.flush();
        }
    }

    /// Sends what is pending.
    pub(super) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        fan_out(&self.subscribers, &self.pending);
        let frame_bytes = self.backlog.last_frame_bytes();
        self.coalescing.begin(self.subscribers.len(), self.pending.len(), frame_bytes);
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// The time at which what is pending has to be flushed, unless a task is going to do so
    /// already.
    pub(super) fn schedule_flush(&mut self) -> Option<Instant> {
        (!self.pending.is_empty() && !std::mem::replace(&mut self.flush_scheduled, true))
            .then_some(self.coalescing.until())
    }

    /// Sends what is pending at the scheduled time.
    pub(super) fn flush_scheduled(&mut self) {
        self.flush_scheduled = false;
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tolmach_domain::{
        Content, EventKind, FlowId, FlowKind, MessageId, Timestamp, UserId, UserSummary,
    };

    /// A message that was posted at `posted`, at its version `version`.
    fn message(posted: i64, version: i64) -> Message {
        let at = Timestamp::from_micros(version);
        Message {
            id: MessageId::new(posted).unwrap(),
            flow: FlowId::new(1).unwrap(),
            flow_kind: FlowKind::Group,
            author: UserSummary {
                id: UserId::new(1).unwrap(),
                login: "ann".into(),
                username: "ann".into(),
                name: "Ann".into(),
            },
            content: Content::text("hello"),
            posted: Version(posted),
            version: Version(version),
            posted_at: at,
            edited_at: (posted != version).then_some(at),
            deleted_at: None,
            changed_at: at,
        }
    }

    fn posted(version: i64) -> Arc<Event> {
        let message = message(version, version);
        Arc::new(Event {
            occurred_at: message.posted_at,
            committed_at: Some(message.changed_at),
            origin: None,
            kind: EventKind::Posted(message),
        })
    }

    fn deleted(first: i64, last: i64) -> Arc<Event> {
        let message = message(1, last);
        let messages = (first..=last).map(|version| (message.id, Version(version))).collect();
        let kind = EventKind::Deleted { flow: message.flow, by: message.author.id, messages };
        Arc::new(Event {
            occurred_at: message.changed_at,
            committed_at: Some(message.changed_at),
            origin: None,
            kind,
        })
    }

    fn flow_at(position: i64) -> (FlowSubscribers, Arc<Subscriber>) {
        flow_with_limit(position, 1 << 30)
    }

    /// A flow with one subscriber, which lags past so many bytes.
    fn flow_with_limit(position: i64, limit: usize) -> (FlowSubscribers, Arc<Subscriber>) {
        let subscriber = Arc::new(Subscriber::new(ConnectionId(1)));
        let mut flow = FlowSubscribers::new(Version(position), &Backlogs::new(limit));
        flow.add(subscriber.clone());
        (flow, subscriber)
    }

    /// The events that the subscriber was sent since the last call: name and last version.
    fn sent(subscriber: &Subscriber) -> Vec<(&'static str, i64)> {
        let mut taken = Vec::new();
        subscriber.queue.try_take(&mut taken);
        taken
            .iter()
            .map(|broadcast| (broadcast.event().name(), broadcast.event().versions().unwrap().1.0))
            .collect()
    }

    #[test]
    fn events_that_follow_are_sent_and_repetitions_are_not() {
        let (mut flow, subscriber) = flow_at(2);
        assert!(!flow.receive(&[
            posted(1),
            posted(2),
            posted(3),
            posted(3),
            deleted(4, 6),
            posted(7)
        ]));
        assert_eq!(sent(&subscriber), [("posted", 3), ("deleted", 6), ("posted", 7)]);
        assert!(!flow.receive(&[deleted(4, 6), posted(8)]));
        assert_eq!(sent(&subscriber), [("posted", 8)]);
    }

    #[test]
    fn events_that_came_too_early_wait_for_the_missing_ones() {
        let (mut flow, subscriber) = flow_at(0);
        assert!(flow.receive(&[posted(1), posted(3)]), "a gap has opened");
        assert!(!flow.receive(&[deleted(5, 6)]), "it is being filled already");
        assert_eq!(sent(&subscriber), [("posted", 1)]);
        flow.receive(&[posted(2)]);
        assert_eq!(sent(&subscriber), [("posted", 2), ("posted", 3)]);
        flow.receive(&[posted(4)]);
        assert_eq!(sent(&subscriber), [("posted", 4), ("deleted", 6)]);
    }

    #[test]
    fn a_gap_is_filled_from_the_store_in_one_order_with_the_held_events() {
        let edited = |posted, version| message(posted, version);
        let gone = |posted, version| Message {
            deleted_at: Some(Timestamp::from_micros(version)),
            ..message(posted, version)
        };
        for (name, position, held, stored, complete, expected, done) in [
            ("nothing is missing", 3, vec![], vec![], true, vec![], true),
            (
                "one is missing",
                1,
                vec![posted(3)],
                vec![message(2, 2), message(3, 3)],
                true,
                vec![("posted", 2), ("posted", 3)],
                true,
            ),
            (
                "nothing was held",
                0,
                vec![],
                vec![message(1, 1), message(2, 2)],
                true,
                vec![("posted", 1), ("posted", 2)],
                true,
            ),
            (
                "edited since, and known",
                2,
                vec![],
                vec![edited(1, 3)],
                true,
                vec![("edited", 3)],
                true,
            ),
            (
                "edited since, and never received",
                2,
                vec![],
                vec![edited(3, 4)],
                true,
                vec![("posted", 4)],
                true,
            ),
            (
                "edited since it was held",
                1,
                vec![posted(3)],
                vec![message(2, 2), edited(3, 4)],
                true,
                vec![("posted", 2), ("posted", 3), ("edited", 4)],
                true,
            ),
            ("deleted, and never received", 2, vec![], vec![gone(3, 4)], true, vec![], true),
            ("deleted, and known", 2, vec![], vec![gone(1, 3)], true, vec![("deleted", 3)], true),
            (
                "held deletions",
                2,
                vec![deleted(4, 5)],
                vec![message(3, 3), gone(1, 4), gone(2, 5)],
                true,
                vec![("posted", 3), ("deleted", 5)],
                true,
            ),
            (
                "a page of more",
                0,
                vec![posted(4)],
                vec![message(1, 1), message(2, 2)],
                false,
                vec![("posted", 1), ("posted", 2)],
                false,
            ),
            (
                "the last page before a held one",
                0,
                vec![posted(3)],
                vec![message(1, 1), message(2, 2)],
                true,
                vec![("posted", 1), ("posted", 2), ("posted", 3)],
                true,
            ),
            (
                "still a gap",
                0,
                vec![posted(5)],
                vec![message(1, 1)],
                true,
                vec![("posted", 1)],
                false,
            ),
        ] {
            let (mut flow, subscriber) = flow_at(position);
            flow.receive(&held);
            assert_eq!(sent(&subscriber), [], "{name}");
            let until = stored.last().map_or(position, |message: &Message| message.version.0);
            assert_eq!(flow.fill_gap(stored, complete), done, "{name}");
            assert_eq!(sent(&subscriber), expected, "{name}");
            assert!(flow.position() >= Version(until), "{name}");
        }
    }

    #[test]
    fn events_that_come_during_the_delay_are_sent_together() {
        const MANY: usize = 100;
        let hour = Duration::from_secs(3600);
        let (mut flow, subscriber) = flow_at(0);
        flow.subscribers = vec![subscriber.clone(); MANY];
        let before = Instant::now();
        flow.receive(&[posted(1)]);
        assert_eq!(
            (sent(&subscriber).len(), flow.sent(), flow.schedule_flush()),
            (MANY, Version(1), None)
        );
        assert!(flow.coalescing.until() > before);
        flow.coalescing.end_at(before + hour);
        flow.receive(&[posted(2), posted(3)]);
        flow.receive(&[posted(4)]);
        assert_eq!(
            (sent(&subscriber), flow.sent(), flow.position()),
            (vec![], Version(1), Version(4))
        );
        assert_eq!(
            (flow.schedule_flush(), flow.schedule_flush()),
            (Some(before + hour), None),
            "one task is scheduled, and no other"
        );
        flow.flush_scheduled();
        assert_eq!((sent(&subscriber).len(), flow.sent()), (3 * MANY, Version(4)));
        flow.coalescing.end_at(before);
        flow.receive(&[posted(5)]);
        assert_eq!(
            (sent(&subscriber).len(), flow.schedule_flush()),
            (MANY, None),
            "the delay is over"
        );
        flow.coalescing.end_at(before + hour);
        for version in 6..=i64::try_from(MAX_PENDING).unwrap() + 5 {
            assert_eq!(sent(&subscriber), []);
            flow.receive(&[posted(version)]);
        }
        assert_eq!(sent(&subscriber).len(), MAX_PENDING * MANY, "the most that are pending");
    }

    #[test]
    fn pending_events_never_make_the_flow_lag() {
        let size = posted(1).size();
        let (mut flow, subscriber) = flow_with_limit(0, 8 * size);
        flow.coalescing.end_at(Instant::now() + Duration::from_secs(3600));
        for version in 1..=4 {
            flow.receive(&[posted(version)]);
            assert_eq!(sent(&subscriber), []);
        }
        flow.receive(&[posted(5)]);
        assert_eq!(sent(&subscriber).len(), 5, "more than half of the limit is pending");
    }

    #[test]
    fn events_past_a_full_backlog_are_read_from_the_store_once_there_is_room() {
        let (mut flow, subscriber) = flow_with_limit(0, 1);
        let mut version = 0;
        while !flow.backlog().is_full() {
            version += 1;
            assert!(!flow.receive(&[posted(version)]), "{version}");
        }
        let (last, next) = (version, posted(version + 1));
        assert!(flow.receive(&[next]), "the gap has to be filled");
        assert!(!flow.receive(&[posted(version + 2)]), "it is being filled");
        assert_eq!(flow.position(), Version(last));
        assert_eq!(sent(&subscriber).len(), usize::try_from(last).unwrap());
        assert!(!flow.backlog().is_lagging(), "the subscriber has processed everything");
        let stored = vec![message(last + 1, last + 1), message(last + 2, last + 2)];
        assert_eq!(flow.begin_read(), Version(last));
        assert!(flow.fill_gap(stored, true));
        assert_eq!(sent(&subscriber), [("posted", last + 1), ("posted", last + 2)]);
        assert!(!flow.receive(&[posted(last + 3)]));
        assert_eq!(sent(&subscriber), [("posted", last + 3)]);
    }

    #[test]
    fn a_gap_is_not_filled_while_events_are_dropped() {
        let large = |version| {
            let mut message = message(version, version);
            message.content = Content::text("x".repeat(MAX_HELD_BYTES));
            Arc::new(Event::new(message.posted_at, EventKind::Posted(message)))
        };
        let (mut flow, subscriber) = flow_at(0);
        assert!(flow.receive(&[large(2)]), "it is too large to be held");
        assert_eq!(flow.begin_read(), Version(0));
        assert!(!flow.receive(&[large(3)]));
        assert!(!flow.fill_gap(vec![message(1, 1), message(2, 2)], true), "one came later");
        assert_eq!(flow.begin_read(), Version(2));
        assert!(flow.fill_gap(vec![message(3, 3)], true));
        assert_eq!(sent(&subscriber).len(), 3);
    }

    #[test]
    fn a_change_found_during_a_read_is_read_after_it() {
        let (mut flow, subscriber) = flow_at(0);
        assert!(flow.begin_another_read(), "no read is under way");
        assert_eq!(flow.begin_read(), Version(0));
        assert!(!flow.begin_another_read(), "one is, which may have begun before the change");
        assert!(!flow.fill_gap(vec![message(1, 1)], true), "one was found later");
        assert_eq!(flow.begin_read(), Version(1));
        assert!(flow.fill_gap(vec![message(2, 2)], true));
        assert_eq!(sent(&subscriber), [("posted", 1), ("posted", 2)]);
        assert!(flow.begin_another_read(), "the next change is read again");
    }

    #[test]
    fn a_broadcast_has_the_summary_as_it_was_when_the_event_came() {
        let (mut flow, subscriber) = flow_at(0);
        flow.receive(&[posted(1)]);
        let summary = |title: &str| {
            let (id, kind) = (FlowId::new(1).unwrap(), FlowKind::Group);
            Arc::new(FlowSummary::new(tolmach_domain::Flow::new(id, kind, title)))
        };
        flow.add_summary_reader(subscriber.id).put(0, summary("first"));
        flow.receive(&[posted(2)]);
        flow.summary_cache_mut().unwrap().put(0, summary("second"));
        flow.receive(&[posted(3)]);
        let mut taken = Vec::new();
        subscriber.queue.try_take(&mut taken);
        let dialect =
            crate::test_support::served(crate::test_support::toy().needs_flow_summaries());
        let titles: Vec<_> = taken
            .iter()
            .map(|broadcast| {
                broadcast.form(&dialect).unwrap().context.flow.map(|it| it.flow.title.clone())
            })
            .collect();
        assert_eq!(titles, [None, Some("first".into()), Some("second".into())]);
        assert!(flow.remove(subscriber.id), "no subscriber is left");
        assert!(flow.summary().is_none(), "no subscriber needs it any more");
    }

    #[test]
    fn held_events_are_bounded_and_the_others_come_from_the_store() {
        let last = i64::try_from(2 * MAX_HELD_EVENTS).unwrap();
        let (mut flow, subscriber) = flow_at(0);
        let early: Vec<_> = (2..=last).map(posted).collect();
        flow.receive(&early);
        assert!(flow.held.len() <= MAX_HELD_EVENTS && flow.held_bytes <= MAX_HELD_BYTES);
        assert_eq!(flow.begin_read(), Version(0));
        assert!(flow.fill_gap((1..=last).map(|version| message(version, version)).collect(), true));
        assert!(sent(&subscriber).into_iter().map(|(_, version)| version).eq(1..=last));
        assert_eq!(flow.held_bytes, 0);
    }
}
