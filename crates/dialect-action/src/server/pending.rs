//! Changes that wait for their events: a change is answered by the frame of its event, which the
//! whole room receives.

use crate::wire::{ID, MessageNumber, Method};
use bytes::Bytes;
use tolmach_dialect::Event;
use tolmach_dialect::pending::PendingRequests;
use tolmach_domain::{Answer, ConnectionId, EventKind, MessageId, Version};

/// The changes of one connection that wait for their events.
#[derive(Default)]
pub(super) struct PendingChanges {
    /// The number of the newest change.
    last_number: u64,
    changes: PendingRequests<PendingChange>,
}

/// A change that waits for its event.
pub(super) struct PendingChange {
    number: u64,
    method: Method,
    pub(super) request_id: Bytes,
    /// The messages to delete, as requested.
    pub(super) requested: Vec<MessageNumber>,
    /// Set once the change is granted.
    pub(super) answer: Option<Answer>,
}

impl PendingChanges {
    /// Adds a change and gives its number. The oldest change is dropped where too many wait: their
    /// events were lost.
    pub(super) fn add(
        &mut self,
        method: Method,
        request_id: Bytes,
        requested: Vec<MessageNumber>,
    ) -> u64 {
        if self.changes.reserve(ID, 1).is_err() {
            self.changes.take(0);
        }
        self.last_number += 1;
        let number = self.last_number;
        self.changes.push(PendingChange { number, method, request_id, requested, answer: None });
        number
    }

    /// The change with this number was granted.
    pub(super) fn grant(&mut self, number: Option<u64>, answer: &Answer) {
        // A repeated message has no event. Messages of this wire have no key to be repeated by.
        if matches!(answer, Answer::Sent { repeated: true, .. }) {
            self.refuse(number);
        } else if let Some(change) = self.changes.find_mut(|change| Some(change.number) == number) {
            change.answer = Some(answer.clone());
        }
    }

    /// The change with this number has no event.
    pub(super) fn refuse(&mut self, number: Option<u64>) {
        self.changes.take_first(|change| Some(change.number) == number);
    }

    /// Takes the change that caused an event, if it is one of this connection.
    pub(super) fn take_caused(
        &mut self,
        event: &Event,
        connection: ConnectionId,
    ) -> Option<PendingChange> {
        self.changes.take_first(|change| change.has_caused(event, connection))
    }

    /// Takes all changes.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = PendingChange> + '_ {
        self.changes.drain()
    }
}

impl PendingChange {
    fn has_caused(&self, event: &Event, connection: ConnectionId) -> bool {
        let version = match (self.method, &event.kind) {
            (Method::CreateMessage, EventKind::Posted(message))
            | (Method::EditMessage, EventKind::Edited(message)) => {
                Some((message.id, message.version))
            }
            (Method::DeleteMessages, EventKind::Deleted { .. }) => None,
            _ => return false,
        };
        match &event.origin {
            Some(origin) => {
                origin.connection == connection
                    && origin.dialect == ID
                    && origin.client_tag.as_ref() == Some(&self.request_id)
            }
            // An event that the bus lost is read from the store, which keeps no origin.
            None => version.is_some() && version == self.granted_version(),
        }
    }

    /// The message and version that the change made, once it is granted.
    fn granted_version(&self) -> Option<(MessageId, Version)> {
        match self.answer.as_ref()? {
            Answer::Sent { message: Some(message), .. } | Answer::Edited(message) => {
                Some((message.id, message.version))
            }
            _ => None,
        }
    }
}
