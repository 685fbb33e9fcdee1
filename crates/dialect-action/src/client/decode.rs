//! Frames of a server to answers and events: protocols/action/SPEC.md, section "Frames".

use crate::wire::{self, Method};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;
use tolmach_dialect::{Event, InvalidReply};
use tolmach_domain::{
    Answer, Content, EventKind, Flow, FlowId, FlowKind, FlowSummary, Message, MessageId, Timestamp,
    User, UserId, UserSummary, Version,
};

/// The answer that a request of a client expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// A part of the caller's flows; the wire gives all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
    Flow,
    Sent,
    Edited,
    /// The messages to delete.
    Deleted(Vec<MessageId>),
}

/// The event of a frame that a whole room receives; `None` for a response to one client.
pub(super) fn event(
    method: Method,
    now: Timestamp,
    data: &RawValue,
) -> Result<Option<Event>, InvalidReply> {
    let (occurred_at, kind) = match method {
        Method::CreateMessage => {
            let message: wire::Message<'_> = serde_json::from_str(data.get())?;
            let room = message.room.as_ref().ok_or(InvalidReply::SHAPE)?;
            let message = self::message(room, &message)?;
            (message.posted_at, EventKind::Posted(message))
        }
        Method::EditMessage => {
            let edited: wire::Edited<'_> = serde_json::from_str(data.get())?;
            (now, EventKind::Edited(edited_message(now, edited)?))
        }
        Method::DeleteMessages => {
            let deleted: wire::Deleted = serde_json::from_str(data.get())?;
            let id = |id| Ok((MessageId::new(id)?, Version::default()));
            let messages = deleted.messages_ids.into_iter().map(id);
            let kind = EventKind::Deleted {
                flow: FlowId::new(deleted.room_id)?,
                by: unknown_user().id,
                messages: messages.collect::<Result<_, InvalidReply>>()?,
            };
            (now, kind)
        }
        Method::List | Method::JoinRoom | Method::LeaveRoom | Method::CurrentRoomInfo => {
            return Ok(None);
        }
    };
    Ok(Some(Event::new(occurred_at, kind)))
}

/// The answer to a granted request: the event of its frame, or else the frame's data.
pub(super) fn answer(
    expected: &Expected,
    event: Option<&EventKind>,
    data: &RawValue,
) -> Result<Answer, InvalidReply> {
    Ok(match (expected, event) {
        (Expected::Flows { limit, offset }, None) => {
            let rooms: Vec<wire::Room<'_>> = serde_json::from_str(data.get())?;
            let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            let wanted = rooms.iter().skip(length(*offset)).take(limit.map_or(usize::MAX, length));
            Answer::Flows(wanted.map(summary).collect::<Result<_, _>>()?)
        }
        (Expected::Flow, None) => {
            Answer::Flow(Box::new(summary(&serde_json::from_str(data.get())?)?))
        }
        (Expected::Sent, Some(EventKind::Posted(message))) => {
            Answer::Sent { message: Some(Box::new(message.clone())), repeated: false }
        }
        (Expected::Edited, Some(EventKind::Edited(message))) => {
            Answer::Edited(Box::new(message.clone()))
        }
        (Expected::Deleted(requested), Some(EventKind::Deleted { messages, .. })) => {
            let deleted: Vec<MessageId> = messages.iter().map(|(id, _)| *id).collect();
            let is_deleted: HashSet<MessageId> = deleted.iter().copied().collect();
            let left = requested.iter().copied().filter(|id| !is_deleted.contains(id)).collect();
            Answer::Deleted { deleted, left }
        }
        _ => return Err(InvalidReply::SHAPE),
    })
}

fn summary(room: &wire::Room<'_>) -> Result<FlowSummary, InvalidReply> {
    let last = room.last_message.iter().flatten().next();
    let mut members = room.participants.iter().map(member).collect::<Result<Vec<_>, _>>()?;
    // The tariff is a property of the room on this wire; the first member stands for its owner.
    if let Some(first) = members.first_mut() {
        first.business = room.has_business;
    }
    Ok(FlowSummary {
        members,
        last: last.map(|last| message(room, last)).transpose()?,
        ..FlowSummary::new(Flow::new(FlowId::new(room.pk)?, kind(room), ""))
    })
}

/// The kind of a room, which is not on the wire: a chat has no more than two members.
fn kind(room: &wire::Room<'_>) -> FlowKind {
    if room.participants.len() > 2 { FlowKind::Group } else { FlowKind::Chat }
}

fn member(participant: &wire::Participant<'_>) -> Result<User, InvalidReply> {
    Ok(User {
        email: participant.user.email.clone().map(Into::into),
        phone: participant.user.phone.clone().map(Into::into),
        ..User::named(UserId::new(participant.user.id)?, participant.fullname.as_ref())
    })
}

fn message(room: &wire::Room<'_>, message: &wire::Message<'_>) -> Result<Message, InvalidReply> {
    // Only participants have a name.
    let author = room.participants.iter().find(|member| member.user.id == message.user.id);
    let name = match author {
        Some(author) => author.fullname.as_ref(),
        None => message.user.email.as_deref().unwrap_or_default(),
    };
    Ok(Message::new(
        MessageId::new(message.id)?,
        (FlowId::new(room.pk)?, kind(room)),
        UserSummary::named(UserId::new(message.user.id)?, name),
        Content::text(message.text.as_ref()),
        Timestamp::parse_rfc3339(&message.created_at).ok_or(InvalidReply::SHAPE)?,
    ))
}

fn edited_message(now: Timestamp, edited: wire::Edited<'_>) -> Result<Message, InvalidReply> {
    let message = Message::new(
        MessageId::new(edited.message_id)?,
        (FlowId::new(edited.room_id)?, FlowKind::Chat),
        unknown_user(),
        Content::text(edited.message_text),
        Timestamp::default(),
    );
    Ok(Message { edited_at: Some(now), changed_at: now, ..message })
}

/// The author of an edit or a deletion, which the wire does not name: the least id and no name.
fn unknown_user() -> UserSummary {
    UserSummary::named(UserId::new(1).expect("1 is the least id"), Arc::default())
}
