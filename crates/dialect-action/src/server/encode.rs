//! Responses and events to frames: protocols/action/SPEC.md, sections "Frames" and "Actions".

use crate::errors::{self, ErrorBody};
use crate::wire::{self, ID, MessageNumber, Method, Reply};
use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashSet;
use tolmach_dialect::{Event, Frame, RenderContext, Unsupported, Variant, WireNames, json};
use tolmach_domain::{
    Answer, Authority, EventKind, Fault, FlowId, FlowSummary, Message, MessageId, User, UserId,
};

/// The only variant: a whole room receives the same frame.
pub(super) const SHARED: Variant = Variant(0);

/// The most participants that a message's room names.
const MAX_NESTED: usize = 64;

/// The frame of an event for the whole room.
pub(crate) fn render(
    event: &Event,
    context: &RenderContext<'_>,
    variant: Variant,
) -> Result<Frame, Unsupported> {
    let origin = event.origin.as_ref().filter(|origin| origin.dialect == ID);
    let request_id = origin.and_then(|origin| origin.client_tag.as_ref());
    (variant == SHARED)
        .then(|| change(&event.kind, &[], request_id, context))
        .flatten()
        .ok_or(Unsupported { dialect: ID, what: event.name() })
}

/// The frame of a change to messages; `None` for any other event. `left` are the numbers that its
/// author had asked to delete and that were not deleted.
pub(super) fn change(
    kind: &EventKind,
    left: &[&MessageNumber],
    request_id: Option<&Bytes>,
    context: &RenderContext<'_>,
) -> Option<Frame> {
    match kind {
        EventKind::Posted(message) => Some(posted(message, request_id, context)),
        EventKind::Edited(message) => Some(edited(message, request_id)),
        EventKind::Deleted { flow, by: _, messages } => {
            let ids = messages.iter().map(|(id, _)| id.get()).collect();
            Some(deleted(*flow, ids, left, request_id))
        }
        EventKind::FlowCreated { .. }
        | EventKind::FlowDeleted { .. }
        | EventKind::MembersAdded { .. }
        | EventKind::MembersRemoved { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => None,
    }
}

/// The frame of a granted change whose event is not delivered: the same as the event's. `None`
/// where the answer does not have the message.
pub(super) fn answer(
    answer: &Answer,
    flow: FlowId,
    requested: &[MessageNumber],
    request_id: &Bytes,
    context: &RenderContext<'_>,
) -> Option<Frame> {
    match answer {
        Answer::Sent { message: Some(message), .. } => {
            Some(posted(message, Some(request_id), context))
        }
        Answer::Edited(message) => Some(edited(message, Some(request_id))),
        Answer::Deleted { deleted: ids, .. } => {
            let left = left(requested, ids);
            let ids = ids.iter().map(|id| id.get()).collect();
            Some(deleted(flow, ids, &left, Some(request_id)))
        }
        _ => None,
    }
}

/// The numbers that were requested and are not among the deleted, in the order of the request.
pub(super) fn left<'a>(
    requested: &'a [MessageNumber],
    deleted: &[MessageId],
) -> Vec<&'a MessageNumber> {
    let deleted: HashSet<MessageId> = deleted.iter().copied().collect();
    let is_left = |number: &&MessageNumber| number.id().is_none_or(|id| !deleted.contains(&id));
    requested.iter().filter(is_left).collect()
}

/// The response to `list`.
pub(super) fn rooms(flows: &[FlowSummary], request_id: &Bytes) -> Frame {
    let rooms: Vec<wire::Room<'_>> = flows.iter().map(summary).collect();
    granted(Method::List, 200, Vec::new(), rooms, Some(request_id))
}

/// The response to `join_room` and `current_room_info`.
pub(super) fn room(method: Method, flow: &FlowSummary, request_id: &Bytes) -> Frame {
    granted(method, 200, Vec::new(), summary(flow), Some(request_id))
}

/// The response to `leave_room`.
pub(super) fn left_room(flow: FlowId, request_id: &Bytes) -> Frame {
    let response = format!("leaved room {} successfully!", flow.get());
    granted(Method::LeaveRoom, 200, Vec::new(), wire::Left { response }, Some(request_id))
}

/// The response to a request that the engine refused.
pub(super) fn fault(
    method: Method,
    authority: Authority,
    fault: &Fault,
    request_id: &Bytes,
) -> Frame {
    let body = errors::encode(method, authority, fault);
    error(Some(method.name()), Some(request_id), body)
}

/// The response to a request that is not acceptable.
pub(super) fn error(action: Option<&str>, request_id: Option<&Bytes>, body: ErrorBody) -> Frame {
    Frame::Text(json::write(&Reply::<()> {
        errors: vec![body.text],
        data: None,
        action: action.map(Cow::Borrowed),
        response_status: body.code,
        request_id: request_id.and_then(wire::request_id),
    }))
}

fn granted<D: Serialize>(
    method: Method,
    status: u16,
    errors: Vec<Cow<'_, str>>,
    data: D,
    request_id: Option<&Bytes>,
) -> Frame {
    Frame::Text(json::write(&Reply {
        errors,
        data: Some(data),
        action: Some(Cow::Borrowed(method.name())),
        response_status: status,
        request_id: request_id.and_then(wire::request_id),
    }))
}

/// The frame of a message. Its room has no participants where the context has none.
fn posted(message: &Message, request_id: Option<&Bytes>, context: &RenderContext<'_>) -> Frame {
    let flow = context.flow.filter(|flow| flow.flow.id == message.flow);
    let members = flow.map_or(&[][..], |flow| &flow.members);
    let room = wire::Room {
        pk: message.flow.get(),
        id: message.flow.get(),
        participants: nested(members, message.author.id).map(participant).collect(),
        has_business: flow.is_some_and(FlowSummary::has_business),
        last_message: None,
    };
    let data = wire::Message { room: Some(room), ..self::message(message, members) };
    granted(Method::CreateMessage, 201, Vec::new(), data, request_id)
}

/// The first members up to the bound, the author among them.
fn nested(members: &[User], author: UserId) -> impl Iterator<Item = &User> {
    let is_member = members.iter().any(|member| member.id == author);
    let mut others = MAX_NESTED - usize::from(is_member);
    members.iter().filter(move |member| {
        let is_named = member.id == author || others > 0;
        if member.id != author {
            others = others.saturating_sub(1);
        }
        is_named
    })
}

fn edited(message: &Message, request_id: Option<&Bytes>) -> Frame {
    let data = wire::Edited {
        room_id: message.flow.get(),
        message_id: message.id.get(),
        message_text: message.content.text_naming_files(),
    };
    granted(Method::EditMessage, 200, Vec::new(), data, request_id)
}

fn deleted(
    flow: FlowId,
    messages_ids: Vec<i64>,
    left: &[&MessageNumber],
    request_id: Option<&Bytes>,
) -> Frame {
    let data = wire::Deleted { room_id: flow.get(), messages_ids };
    let mut errors = Vec::new();
    if !left.is_empty() {
        let names = left.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("Not all of the requested messages were deleted! Left: {names}");
        errors.push(Cow::Owned(text));
    }
    granted(Method::DeleteMessages, 200, errors, data, request_id)
}

fn summary(summary: &FlowSummary) -> wire::Room<'_> {
    let id = summary.flow.id.get();
    let last = summary.last.as_ref().map(|last| Box::new(message(last, &summary.members)));
    wire::Room {
        pk: id,
        id,
        participants: summary.members.iter().map(participant).collect(),
        has_business: summary.has_business(),
        last_message: Some(last),
    }
}

fn participant(member: &User) -> wire::Participant<'_> {
    wire::Participant {
        id: member.id.get(),
        fullname: Cow::Borrowed(&member.name),
        user: account(member.id, Some(member)),
    }
}

/// A message without its room. Contact addresses are known of members only: neither of an
/// administrator nor of an author who has left.
fn message<'a>(message: &'a Message, members: &'a [User]) -> wire::Message<'a> {
    let author = members.iter().find(|member| member.id == message.author.id);
    wire::Message {
        id: message.id.get(),
        text: message.content.text_naming_files(),
        user: account(message.author.id, author),
        created_at: Cow::Owned(message.posted_at.rfc3339_millis()),
        room: None,
    }
}

fn account(id: UserId, user: Option<&User>) -> wire::Account<'_> {
    wire::Account {
        id: id.get(),
        email: user.and_then(|user| user.email.as_deref()).map(Cow::Borrowed),
        phone: user.and_then(|user| user.phone.as_deref()).map(Cow::Borrowed),
    }
}
