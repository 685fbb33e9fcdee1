//! From the domain to the wire: how a command is asked, how it is answered, how a notice is told.

use crate::ID;
use crate::faults::Refusal;
use crate::lift::Expected;
use crate::rooms::{Participant, Room};
use crate::wire::{self, Envelope, Method, Utterance};
use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashSet;
use tolmach_dialect::{Ask, Frame, Loss, Notice};
use tolmach_domain::{
    Answer, Authority, Command, Content, EventKind, FlowId, FlowSummary, Message, MessageId,
    UserId, Version,
};

/// The most participants that are named around a message.
const NESTED: usize = 64;

/// How a command is asked.
pub(crate) struct Request<'a> {
    /// Which method says it.
    pub(crate) method: Method,
    /// What its reply will give.
    pub(crate) expected: Expected,
    /// The room that it is about.
    pub(crate) room: Option<FlowId>,
    /// What is said, but for the request id.
    pub(crate) utterance: Utterance<'a>,
}

/// How an ask is said, if it can be.
pub(crate) fn ask(ask: &Ask) -> Result<Request<'_>, Loss> {
    let loss = Loss { dialect: ID, what: ask.command.name() };
    let (method, expected, room, utterance) = match &ask.command {
        Command::ListFlows { limit, offset, members: _ } => (
            Method::List,
            Expected::Flows { limit: *limit, offset: *offset },
            None,
            Utterance::default(),
        ),
        Command::GetFlow { flow, kinds: _, members: _ } => (
            Method::JoinRoom,
            Expected::Flow,
            Some(*flow),
            Utterance { room_pk: Some(flow.get()), ..Utterance::default() },
        ),
        Command::Send(draft) => {
            let text = text(&draft.content).ok_or(loss)?;
            (
                Method::CreateMessage,
                Expected::Sent,
                Some(draft.flow),
                Utterance { msg_text: Some(text), ..Utterance::default() },
            )
        }
        Command::Edit { message, flow: Some(flow), text } => (
            Method::EditMessage,
            Expected::Edited,
            Some(*flow),
            Utterance {
                msg_id: Some(message.get()),
                edited_msg_text: Some(text),
                ..Utterance::default()
            },
        ),
        Command::Delete { messages, flow: Some(flow) } => (
            Method::DeleteMessages,
            Expected::Deleted(messages.clone()),
            Some(*flow),
            Utterance {
                msg_id_list: Some(messages.iter().map(|id| id.get()).collect()),
                ..Utterance::default()
            },
        ),
        // Only what is in the joined room can be changed, so that it has to be known which one to
        // join.
        Command::Edit { flow: None, .. } | Command::Delete { flow: None, .. } => return Err(loss),
        Command::Register(_)
        | Command::Login { .. }
        | Command::Refresh { .. }
        | Command::Logout { .. }
        | Command::Recover { .. }
        | Command::ResetPassword { .. }
        | Command::DeleteAccount { .. }
        | Command::CreateProfile(_)
        | Command::GetUser { .. }
        | Command::SearchUsers { .. }
        | Command::GetPhoto { .. }
        | Command::OpenChat { .. }
        | Command::CreateFlow(_)
        | Command::DeleteFlow { .. }
        | Command::AddMembers { .. }
        | Command::RemoveMembers { .. }
        | Command::History { .. }
        | Command::GetChanges { .. }
        | Command::ShowTyping { .. } => return Err(loss),
    };
    Ok(Request {
        method,
        expected,
        room,
        utterance: Utterance { action: method.action(), ..utterance },
    })
}

/// `None` where nothing of the content would be left.
fn text(content: &Content) -> Option<&str> {
    let lost = !content.attachments.is_empty() || content.emoji.is_some();
    (!content.text.is_empty() || !lost).then_some(content.text.as_str())
}

/// A frame that refuses.
pub(crate) fn refusal(action: Option<Cow<'_, str>>, request_id: &Bytes, refusal: Refusal) -> Frame {
    Frame::Text(wire::write(&Envelope::<()> {
        errors: vec![refusal.text],
        data: None,
        action,
        response_status: refusal.status,
        request_id: wire::request_id(Some(request_id)),
    }))
}

fn granted<D: Serialize>(
    method: Method,
    status: u16,
    errors: Vec<Cow<'_, str>>,
    data: D,
    request_id: Option<&Bytes>,
) -> Frame {
    Frame::Text(wire::write(&Envelope {
        errors,
        data: Some(data),
        action: Some(Cow::Borrowed(method.action())),
        response_status: status,
        request_id: wire::request_id(request_id),
    }))
}

/// The answer to `list`.
pub(crate) fn rooms(request_id: &Bytes, flows: &[FlowSummary]) -> Frame {
    granted(
        Method::List,
        200,
        Vec::new(),
        flows.iter().map(overview).collect::<Vec<_>>(),
        Some(request_id),
    )
}

/// The answer to `join_room` and `current_room_info`.
pub(crate) fn room(method: Method, request_id: &Bytes, flow: &FlowSummary) -> Frame {
    granted(method, 200, Vec::new(), overview(flow), Some(request_id))
}

/// The answer to `leave_room`.
pub(crate) fn left_room(request_id: &Bytes, flow: FlowId) -> Frame {
    let response = format!("leaved room {} successfully!", flow.get());
    granted(Method::LeaveRoom, 200, Vec::new(), wire::Left { response }, Some(request_id))
}

/// The frame of an answer whose event its asker does not hear: what everybody else was told. `None`
/// where the answer does not say enough.
pub(crate) fn answer(
    request_id: &Bytes,
    answer: &Answer,
    asked: &[MessageId],
    flow: FlowId,
    room: Option<&Room>,
) -> Option<Frame> {
    match answer {
        Answer::Sent { message: Some(message), .. } => {
            Some(posted(message, room?, Some(request_id)))
        }
        Answer::Edited(message) => Some(edited(message, Some(request_id))),
        Answer::Deleted { deleted: ids, .. } => {
            let ids: Vec<(MessageId, Version)> =
                ids.iter().map(|id| (*id, Version::default())).collect();
            Some(deleted(flow, &ids, &left(asked, &ids), Some(request_id)))
        }
        _ => None,
    }
}

/// What a notice says beside what everybody hears: to the one connection whose request it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) request_id: Bytes,
    /// What was to be deleted and was not.
    pub(crate) left: Vec<MessageId>,
}

/// How a notice is told. A message needs to be known with its room.
pub(crate) fn notice(
    notice: &Notice,
    room: Option<&Room>,
    aside: Option<&Aside>,
) -> Result<Frame, Loss> {
    let loss = Loss { dialect: ID, what: notice.name() };
    let tag = notice
        .origin
        .as_ref()
        .filter(|origin| origin.dialect == ID)
        .and_then(|origin| origin.tag.as_ref());
    let request_id = aside.map(|aside| &aside.request_id).or(tag);
    match &notice.kind {
        EventKind::Posted(message) => Ok(posted(message, room.ok_or(loss)?, request_id)),
        EventKind::Edited(message) => Ok(edited(message, request_id)),
        EventKind::Deleted { flow, by: _, messages } => Ok(deleted(
            *flow,
            messages,
            aside.map_or(&[], |aside| aside.left.as_slice()),
            request_id,
        )),
        EventKind::FlowCreated { .. }
        | EventKind::FlowDeleted { .. }
        | EventKind::MembersAdded { .. }
        | EventKind::MembersRemoved { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => Err(loss),
    }
}

/// Those that were asked to be deleted and are not among the deleted, in the order asked.
pub(crate) fn left(asked: &[MessageId], deleted: &[(MessageId, Version)]) -> Vec<MessageId> {
    let deleted: HashSet<MessageId> = deleted.iter().map(|(id, _)| *id).collect();
    asked.iter().copied().filter(|id| !deleted.contains(id)).collect()
}

fn posted(message: &Message, room: &Room, request_id: Option<&Bytes>) -> Frame {
    let around = wire::Room {
        pk: message.flow.get(),
        id: message.flow.get(),
        participants: nested(room, message.author.id).map(participant).collect(),
        has_business: room.has_business(),
        last_message: None,
    };
    let data = wire::Message { room: Some(around), ..self::message(room, message) };
    granted(Method::CreateMessage, 201, Vec::new(), data, request_id)
}

/// Those who are named around a message: the author, and as many more as there is room for.
fn nested(room: &Room, author: UserId) -> impl Iterator<Item = &Participant> {
    let mut others = NESTED - usize::from(room.participant(author).is_some());
    room.participants().iter().filter(move |participant| {
        let named = participant.id == author || others > 0;
        if participant.id != author {
            others = others.saturating_sub(1);
        }
        named
    })
}

fn edited(message: &Message, request_id: Option<&Bytes>) -> Frame {
    let data = wire::Edited {
        room_id: message.flow.get(),
        message_id: message.id.get(),
        message_text: Cow::Borrowed(&message.content.text),
    };
    granted(Method::EditMessage, 200, Vec::new(), data, request_id)
}

fn deleted(
    flow: FlowId,
    messages: &[(MessageId, Version)],
    left: &[MessageId],
    request_id: Option<&Bytes>,
) -> Frame {
    let data = wire::Deleted {
        room_id: flow.get(),
        messages_ids: messages.iter().map(|(id, _)| id.get()).collect(),
    };
    let mut errors = Vec::new();
    if !left.is_empty() {
        let names = left.iter().map(|id| id.get().to_string()).collect::<Vec<_>>().join(", ");
        errors.push(Cow::Owned(format!(
            "Not all of the requested messages were deleted! Left: {names}"
        )));
    }
    granted(Method::DeleteMessages, 200, errors, data, request_id)
}

fn overview(overview: &FlowSummary) -> wire::Room<'_> {
    let id = overview.flow.id.get();
    let members = overview.members.iter().map(|member| wire::Participant {
        id: member.id.get(),
        fullname: Cow::Borrowed(&member.name),
        user: wire::Account {
            id: member.id.get(),
            email: member.email.as_deref().map(Cow::Borrowed),
            phone: member.phone.as_deref().map(Cow::Borrowed),
        },
    });
    let last = overview.last.as_ref().map(|last| {
        let author = overview.members.iter().find(|member| member.id == last.author.id);
        let user = wire::Account {
            id: last.author.id.get(),
            email: author.and_then(|author| author.email.as_deref()).map(Cow::Borrowed),
            phone: author.and_then(|author| author.phone.as_deref()).map(Cow::Borrowed),
        };
        Box::new(row(last, user))
    });
    wire::Room {
        pk: id,
        id,
        participants: members.collect(),
        has_business: overview.has_business(),
        last_message: Some(last),
    }
}

fn participant(participant: &Participant) -> wire::Participant<'_> {
    wire::Participant {
        id: participant.id.get(),
        fullname: Cow::Borrowed(&participant.fullname),
        user: account(participant),
    }
}

fn account(participant: &Participant) -> wire::Account<'_> {
    wire::Account {
        id: participant.id.get(),
        email: participant.email.as_deref().map(Cow::Borrowed),
        phone: participant.phone.as_deref().map(Cow::Borrowed),
    }
}

/// How to reach an author is known of participants only: not of an administrator, nor of somebody
/// who has left.
fn message<'a>(room: &'a Room, message: &'a Message) -> wire::Message<'a> {
    let unknown = wire::Account { id: message.author.id.get(), email: None, phone: None };
    row(message, room.participant(message.author.id).map_or(unknown, account))
}

fn row<'a>(message: &'a Message, user: wire::Account<'a>) -> wire::Message<'a> {
    wire::Message {
        id: message.id.get(),
        text: Cow::Borrowed(&message.content.text),
        user,
        created_at: Cow::Owned(message.posted_at.rfc3339_millis()),
        room: None,
    }
}

/// What our own client says.
pub(crate) fn said(utterance: Utterance<'_>, request_id: u64) -> Frame {
    Frame::Text(wire::write(&Utterance { request_id, ..utterance }))
}

/// The right that every ask of a connection has to have.
pub(crate) fn check_authority(ask: &Ask, authority: Authority) -> Result<(), Loss> {
    if ask.authority == authority {
        Ok(())
    } else {
        Err(Loss { dialect: ID, what: "an ask in another right than the door's" })
    }
}
