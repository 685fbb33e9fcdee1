//! One connection of a model, with both sides.

use super::identity::ConnectionIdentity;
use crate::subject::Subject;
use http::request::Parts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tolmach_dialect::{ClientSession, Correlation, Frame, Incoming, ServerSession, Subscription};
use tolmach_domain::{
    ConnectionId, Event, EventKind, FlowId, FlowSummary, Timestamp, UserId, Version,
};

/// One connection with both sides.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The place of its user in the list of users.
    pub(super) user: usize,
    pub(super) subject: &'static Subject,
    pub(super) opening: Parts,
    pub(super) websocket: bool,
    pub(super) client: Box<dyn ClientSession>,
    pub(super) server: Box<dyn ServerSession>,
    pub(super) identity: ConnectionIdentity,
    /// The users whose credentials were proven on it.
    pub(super) proven: BTreeSet<UserId>,
    /// The events that the session wants.
    pub(super) subscription: Subscription,
    /// The events that are queued for the connection.
    pub(super) receives: Subscription,
    pub(super) queue: VecDeque<Queued>,
    /// The version up to which each flow was delivered.
    pub(super) delivered: BTreeMap<FlowId, Version>,
    /// True once the server received frames that the client did not make.
    pub(super) has_foreign_frames: bool,
    pub(super) closed: bool,
}

/// An event that waits for its delivery.
pub(super) struct Queued {
    pub(super) event: Arc<Event>,
    /// The flow as it was then, where the dialect needs it.
    pub(super) summary: Option<Arc<FlowSummary>>,
}

/// The correlation of a client's request.
pub(super) struct RequestNumber(pub(super) u64);

impl Connection {
    /// Announces the identity to the session, if it has changed.
    pub(super) fn announce(&mut self) {
        if let Some(identity) = self.identity.take_change() {
            self.server.authenticated(identity);
        }
    }

    /// Has the client read a frame of the server.
    ///
    /// # Panics
    ///
    /// If the client cannot read it, or if a request is answered twice.
    pub(super) fn read_by_client(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        answered: &mut Vec<u64>,
    ) -> Vec<Arc<Event>> {
        if self.has_foreign_frames {
            return Vec::new();
        }
        let mut incoming = Vec::new();
        if let Err(error) = self.client.decode(now, frame, &mut incoming) {
            panic!("the client of {} cannot read {frame:?}: {error}", self.subject.id());
        }
        let mut events = Vec::new();
        for value in incoming {
            match value {
                Incoming::Event(event) => events.push(event),
                Incoming::Response(response) => {
                    let number = number_of(&response.correlation);
                    assert!(!answered.contains(&number), "a request is answered twice");
                    answered.push(number);
                }
            }
        }
        events
    }

    /// Notes the delivery of an event.
    ///
    /// # Panics
    ///
    /// If it or a later one of its flow was delivered before.
    pub(super) fn note_delivery(&mut self, event: &Event) {
        if let (Some(flow), Some((first, last))) = (event.flow(), event.versions()) {
            let before = self.delivered.insert(flow, last);
            assert!(before < Some(first), "an event is delivered out of order: {event:?}");
        }
    }
}

/// Checks that the events that a client read are the one that was delivered.
///
/// # Panics
///
/// If a message is read that is not the event's.
pub(super) fn check_read(event: &Event, read: &[Arc<Event>]) {
    for read in read {
        let (EventKind::Posted(message) | EventKind::Edited(message)) = &read.kind else {
            continue;
        };
        let (EventKind::Posted(sent) | EventKind::Edited(sent)) = &event.kind else {
            panic!("a client reads a message where {event:?} was delivered");
        };
        assert_eq!((message.id, message.flow), (sent.id, sent.flow), "{event:?}");
        assert!(message.content.text.contains(&sent.content.text), "{event:?}");
    }
}

fn number_of(correlation: &Correlation) -> u64 {
    let RequestNumber(number) =
        correlation.get().expect("a client hands back the correlation of a request");
    *number
}
