//! The listeners of one flow, and how far they have heard it.

use super::{Listener, crowd};
use crate::broadcast::Broadcast;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::Instant;
use tolmach_domain::{Event, Message, Version};
use tolmach_engine::event_from_message;

/// Events that wait behind a gap, at most. What more comes is dropped, and read from the store with
/// the rest.
const HELD_EVENTS: usize = 1024;
/// And how many bytes they may hold.
const HELD_BYTES: usize = 1 << 20;

/// A crowd that is told several events together has a rest of so long for each frame, since a write
/// costs far more than one frame more in it: the more is said, the more is told together. Shared by
/// the cores.
const REST: Duration = Duration::from_micros(2);
/// Frames of so many bytes that are told together have twice that rest, since they keep sockets and
/// peers as long again; larger ones in proportion.
const LARGE: usize = 4096;
/// No rest is longer.
const LONGEST: Duration = Duration::from_millis(100);
/// Events that count for it, at most.
const RESTING: usize = 10;
/// So few listeners are told at once.
const FEW: usize = 100;
/// Events that wait to be told together, at most.
const TOGETHER: usize = 256;

/// How many there are to share the work.
static CORES: LazyLock<f64> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64));

/// The listeners of one flow, and how far they have heard it. Every change to a message takes the
/// next version of its flow, so whatever does not follow on the position is a repetition or lies
/// behind a gap.
pub(super) struct Audience {
    pub(super) listeners: Vec<Arc<Listener>>,
    /// The last version that was delivered.
    position: Version,
    /// Events that came too early, by their first version.
    held: BTreeMap<Version, Arc<Event>>,
    held_bytes: usize,
    /// Whether somebody is reading from the store what is missing.
    repairing: bool,
    /// Up to the position, but not told yet.
    untold: Vec<Arc<Broadcast>>,
    /// The last that a crowd was told: what comes next will be about as large.
    last: Option<Arc<Broadcast>>,
    /// What comes before then is told together.
    rests_until: Instant,
    /// Whether somebody will come to tell it.
    awaited: bool,
}

impl Audience {
    /// Nobody yet, who knows the flow up to a version.
    pub(super) fn new(position: Version) -> Self {
        Self {
            listeners: Vec::new(),
            position,
            held: BTreeMap::new(),
            held_bytes: 0,
            repairing: false,
            untold: Vec::new(),
            last: None,
            rests_until: Instant::now(),
            awaited: false,
        }
    }

    /// Up to where the listeners were told.
    pub(super) fn told(&self) -> Version {
        let untold = self.untold.first().and_then(|broadcast| broadcast.notice().versions());
        untold.map_or(self.position, |(first, _)| Version(first.0 - 1))
    }

    pub(super) fn position(&self) -> Version {
        self.position
    }

    /// Delivers those of the events that follow on what was delivered, and with them those that
    /// were held for it. The events ascend. Returns whether a gap has opened that nobody repairs
    /// yet: then the caller must.
    pub(super) fn hear(&mut self, events: &[Arc<Event>]) -> bool {
        let mut ready = Vec::with_capacity(events.len());
        for event in events {
            self.take(event, &mut ready);
        }
        self.tell(ready);
        !self.held.is_empty() && !std::mem::replace(&mut self.repairing, true)
    }

    fn take(&mut self, event: &Arc<Event>, ready: &mut Vec<Arc<Broadcast>>) {
        let Some((first, last)) = event.versions() else { return };
        if last <= self.position {
            return;
        }
        if first.0 > self.position.0 + 1 {
            if self.held.len() < HELD_EVENTS && self.held_bytes + event.size() <= HELD_BYTES {
                self.held_bytes += event.size();
                self.held.insert(first, event.clone());
            }
            return;
        }
        self.position = last;
        ready.push(Arc::new(Broadcast::new(event.clone())));
        self.release(ready);
    }

    /// Takes what was held for this position.
    fn release(&mut self, ready: &mut Vec<Arc<Broadcast>>) {
        while let Some(first) =
            self.held.first_entry().filter(|first| first.key().0 <= self.position.0 + 1)
        {
            let event = first.remove();
            self.held_bytes -= event.size();
            if let Some((_, last)) = event.versions().filter(|(_, last)| *last > self.position) {
                self.position = last;
                ready.push(Arc::new(Broadcast::new(event)));
            }
        }
    }

    /// Says that somebody begins to read what is missing; `false` if somebody does already.
    pub(super) fn begin_repair(&mut self) -> bool {
        !std::mem::replace(&mut self.repairing, true)
    }

    /// Delivers what the store has after the position, in order: what was held is told as it was,
    /// with its origin; the rest as the store has it. `complete` says that the store has nothing
    /// after the last of the messages. Returns whether there is nothing left to repair.
    pub(super) fn mend(&mut self, messages: Vec<Message>, complete: bool) -> bool {
        let until = messages.last().map_or(self.position, |message| message.version);
        let covers = |event: &Arc<Event>, version: Version| {
            event.versions().is_some_and(|(first, last)| first <= version && version <= last)
        };
        let mut told: BTreeMap<Version, Arc<Event>> = BTreeMap::new();
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
                crate::metrics::repaired(event.name());
                told.insert(version, Arc::new(event));
            }
        }
        let mut ready = Vec::new();
        let mut after = self.held.split_off(&Version(until.0 + 1));
        told.append(&mut self.held);
        for event in told.into_values() {
            if event.versions().is_some_and(|(_, last)| last > self.position) {
                ready.push(Arc::new(Broadcast::new(event)));
            }
        }
        self.position = self.position.max(until);
        self.held_bytes = after.values().map(|event| event.size()).sum();
        self.held.append(&mut after);
        self.release(&mut ready);
        self.tell(ready);
        let done = complete && self.held.is_empty();
        self.repairing = !done;
        done
    }

    fn tell(&mut self, mut ready: Vec<Arc<Broadcast>>) {
        self.untold.append(&mut ready);
        if self.untold.len() >= TOGETHER || self.rests_until <= Instant::now() {
            self.tell_all();
        }
    }

    /// Tells what is still untold.
    pub(super) fn tell_all(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        crowd::tell(&self.listeners, &self.untold);
        if self.listeners.len() >= FEW {
            let size = self.last.as_ref().map_or(0, |last| last.rendered());
            self.rests_until = Instant::now() + rest(self.listeners.len(), self.untold.len(), size);
            self.last = self.untold.last().cloned();
        }
        self.untold.clear();
    }

    /// When somebody has to come to tell what is untold, if nobody was told to come yet.
    pub(super) fn appoint(&mut self) -> Option<Instant> {
        (!self.untold.is_empty() && !std::mem::replace(&mut self.awaited, true))
            .then_some(self.rests_until)
    }

    /// Somebody has come.
    pub(super) fn come(&mut self) {
        self.awaited = false;
        self.tell_all();
    }
}

/// How long a crowd rests that was told so many events together, whose frames have about this size
/// in bytes.
fn rest(listeners: usize, events: usize, size: usize) -> Duration {
    let events = events.min(RESTING);
    let weight = events as f64 + events.saturating_sub(1) as f64 * size as f64 / LARGE as f64;
    REST.mul_f64(listeners as f64 * weight / *CORES).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DialectMetrics;
    use crate::outbox::Outbox;
    use tolmach_domain::{
        ConnectionId, Content, EventKind, FlowId, FlowKind, MessageId, Timestamp, UserId,
        UserSummary,
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
        audience.listeners = vec![listener.clone(); FEW];
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
