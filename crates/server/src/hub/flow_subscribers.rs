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

/// The subscribers of one flow, and how far it was delivered to them. Every change to a message takes
/// the next version of its flow, so whatever does not follow on the position is a repetition or lies
/// behind a gap.
pub(super) struct FlowSubscribers {
    subscribers: Vec<Arc<Subscriber>>,
    /// The last version that was taken for delivery.
    position: Version,
    /// Events that came too early, by their first version.
    held: BTreeMap<Version, Arc<Event>>,
    held_bytes: usize,
    /// True if an event was dropped since the store was last read.
    dropped: bool,
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
            dropped: false,
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
        // What is pending came before it.
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

    /// Takes those of the events that follow on the position, and with them those that were held for
    /// it. The events ascend. Returns whether a gap has opened that is not being filled yet: then
    /// the caller must see to it.
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
                self.dropped = true;
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

    /// The position after which the store is read next.
    pub(super) fn begin_read(&mut self) -> Version {
        self.dropped = false;
        self.position
    }

    /// Takes what the store has after the position, in order: an event that was held is sent as it
    /// came, with its origin; the others as the store has them. `complete` says that the store has
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
        let filled = complete && self.held.is_empty() && !self.dropped;
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

    /// The time at which what is pending has to be flushed, unless a task is going to do so already.
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
    use crate::send_queue::Taken;
    use std::time::Duration;
    use tolmach_domain::{
        Content, EventKind, FlowId, FlowKind, MessageId, Timestamp, UserId, UserSummary,
    };

    /// What a message was when it had taken `version`; it was posted at `posted`.
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

    fn audience(position: i64) -> (Audience, Arc<Listener>) {
        let listener = Arc::new(Listener {
            id: ConnectionId(1),
            outbox: Outbox::new(1 << 30),
            flows: Default::default(),
        });
        let mut audience = Audience::new(Version(position));
        audience.listeners.push(listener.clone());
        (audience, listener)
    }

    /// What the listener was told since the last call: which kind, at which last version.
    async fn told(listener: &Listener) -> Vec<(&'static str, i64)> {
        let mut taken = Vec::new();
        tokio::select! {
            biased;
            _ = listener.outbox.take(&mut taken) => {}
            () = std::future::ready(()) => {}
        }
        taken
            .iter()
            .map(|broadcast| {
                (broadcast.notice().name(), broadcast.notice().versions().unwrap().1.0)
            })
            .collect()
    }

    #[tokio::test]
    async fn what_follows_is_told_and_what_repeats_is_not() {
        let (mut audience, listener) = audience(2);
        assert!(!audience.hear(&[
            posted(1),
            posted(2),
            posted(3),
            posted(3),
            deleted(4, 6),
            posted(7)
        ]));
        assert_eq!(told(&listener).await, [("posted", 3), ("deleted", 6), ("posted", 7)]);
        assert!(!audience.hear(&[deleted(4, 6), posted(8)]));
        assert_eq!(told(&listener).await, [("posted", 8)]);
    }

    #[tokio::test]
    async fn what_came_too_early_waits_for_what_is_missing() {
        let (mut audience, listener) = audience(0);
        assert!(audience.hear(&[posted(1), posted(3)]), "a gap has opened");
        assert!(!audience.hear(&[deleted(5, 6)]), "it is being repaired already");
        assert_eq!(told(&listener).await, [("posted", 1)]);
        audience.hear(&[posted(2)]);
        assert_eq!(told(&listener).await, [("posted", 2), ("posted", 3)]);
        audience.hear(&[posted(4)]);
        assert_eq!(told(&listener).await, [("posted", 4), ("deleted", 6)]);
    }

    #[tokio::test]
    async fn a_gap_is_filled_from_the_store_in_one_order_with_what_was_held() {
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
                "edited since, and never heard of",
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
            ("deleted, and never heard of", 2, vec![], vec![gone(3, 4)], true, vec![], true),
            ("deleted, and known", 2, vec![], vec![gone(1, 3)], true, vec![("deleted", 3)], true),
            (
                "deletions were held together",
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
            let (mut audience, listener) = audience(position);
            audience.hear(&held);
            assert_eq!(told(&listener).await, [], "{name}");
            let until = stored.last().map_or(position, |message: &Message| message.version.0);
            assert_eq!(audience.mend(stored, complete), done, "{name}");
            assert_eq!(told(&listener).await, expected, "{name}");
            assert!(audience.position() >= Version(until), "{name}");
        }
    }

    #[tokio::test]
    async fn what_comes_while_a_crowd_is_written_to_is_told_together() {
        let hour = Duration::from_secs(3600);
        let (mut audience, listener) = audience(0);
        flow.subscribers = vec![subscriber.clone(); MANY];
        let before = Instant::now();
        audience.hear(&[posted(1)]);
        assert_eq!(
            (told(&listener).await.len(), audience.told(), audience.appoint()),
            (FEW, Version(1), None)
        );
        assert!(audience.rests_until > before);
        audience.rests_until = before + hour;
        audience.hear(&[posted(2), posted(3)]);
        audience.hear(&[posted(4)]);
        assert_eq!(
            (told(&listener).await, audience.told(), audience.position()),
            (vec![], Version(1), Version(4))
        );
        assert_eq!(
            (audience.appoint(), audience.appoint()),
            (Some(before + hour), None),
            "somebody must come, and nobody else"
        );
        audience.come();
        assert_eq!((told(&listener).await.len(), audience.told()), (3 * FEW, Version(4)));
        audience.rests_until = before;
        audience.hear(&[posted(5)]);
        assert_eq!(
            (told(&listener).await.len(), audience.appoint()),
            (FEW, None),
            "nobody is written to any more"
        );
        audience.rests_until = before + hour;
        for version in 6..=i64::try_from(TOGETHER).unwrap() + 5 {
            assert_eq!(told(&listener).await, []);
            audience.hear(&[posted(version)]);
        }
        assert_eq!(told(&listener).await.len(), TOGETHER * FEW, "as many as wait at most");
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_and_the_rest_comes_from_the_store() {
        let last = i64::try_from(2 * HELD_EVENTS).unwrap();
        let (mut audience, listener) = audience(0);
        let early: Vec<_> = (2..=last).map(posted).collect();
        audience.hear(&early);
        assert!(audience.held.len() <= HELD_EVENTS && audience.held_bytes <= HELD_BYTES);
        assert!(audience.mend((1..=last).map(|version| message(version, version)).collect(), true));
        assert!(told(&listener).await.into_iter().map(|(_, version)| version).eq(1..=last));
        assert_eq!(audience.held_bytes, 0);
    }

    #[test]
    fn a_crowd_rests_by_how_much_it_was_told_and_never_long() {
        let base = rest(100, 1, 0);
        for (name, listeners, events, size, expected) in [
            ("one event, however large", 100, 1, 1 << 20, base),
            ("several", 100, 4, 0, base * 4),
            ("more than count", 100, 1000, 0, base * 10),
            ("more listeners", 300, 4, 0, base * 12),
            ("large ones", 100, 4, LARGE, base * 7),
            ("a great deal", 1_000_000, 1000, 1 << 20, LONGEST),
        ] {
            let apart = rest(listeners, events, size).abs_diff(expected);
            assert!(apart < Duration::from_nanos(100), "{name}: {apart:?} apart");
        }
    }

    #[test]
    fn a_broadcast_is_as_large_as_the_largest_frame_that_it_was_turned_into() {
        let broadcast = Broadcast::new(posted(1));
        let mut largest = 0;
        for dialect in crate::dialects::all() {
            assert_eq!(broadcast.rendered(), largest);
            let frame = broadcast.frame(
                &*dialect,
                Default::default(),
                &DialectMetrics::new(dialect.manifest().id),
            );
            largest = largest.max(frame.map_or(0, |frame| frame.len()));
        }
        assert!(largest > 0);
    }
}
