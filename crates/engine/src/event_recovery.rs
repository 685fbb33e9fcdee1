//! Events made from stored messages, for receivers that missed the published ones.

use tolmach_domain::{Event, EventKind, Message};

/// The last change to a message as an event, for a receiver that missed it. `known` is true if the
/// receiver got the event that the message was posted. `None` if there is nothing to deliver: the
/// message was posted and deleted unseen.
///
/// The stored message does not name the user who deleted it; the event names its author, who always
/// may.
pub fn event_from_message(message: Message, known: bool) -> Option<Event> {
    let committed_at = Some(message.changed_at);
    let (occurred_at, kind) = match (message.deleted_at, known) {
        (Some(_), false) => return None,
        (Some(deleted_at), true) => {
            let messages = vec![(message.id, message.version)];
            let (flow, by) = (message.flow, message.author.id);
            (deleted_at, EventKind::Deleted { flow, by, messages })
        }
        (None, false) => (message.posted_at, EventKind::Posted(message)),
        (None, true) => {
            (message.edited_at.unwrap_or(message.posted_at), EventKind::Edited(message))
        }
    };
    Some(Event { occurred_at, committed_at, origin: None, kind })
}
