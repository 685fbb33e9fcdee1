//! From the wire to the domain: what a request asks, what a reply answers, what a frame tells.

use crate::faults::{self, Refusal};
use crate::wire::{self, Method};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use tolmach_dialect::Notice;
use tolmach_dialect::json::{self, JsonError};
use tolmach_domain::{
    Answer, Authority, Command, Content, EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter,
    FlowSummary, Message, MessageId, NewMessage, Timestamp, User, UserId, UserRef, UserSummary,
    Version,
};

/// The longest request id, in bytes of its JSON: it is told to everybody in the room.
const REQUEST_ID_LIMIT: usize = 1024;

/// The longest `action` that is echoed, in characters.
const ECHOED_ACTION: usize = 64;

/// The `action` of a request; `None` if it is no string.
pub(crate) fn action<'a>(request: &wire::Request<'a>) -> Option<Cow<'a, str>> {
    let action = json::text(request.action?.get())?;
    let cut =
        if action.len() <= ECHOED_ACTION { None } else { action.char_indices().nth(ECHOED_ACTION) };
    Some(match cut {
        Some((cut, _)) => Cow::Owned(action[..cut].to_owned()),
        None => action,
    })
}

/// The request id as its JSON text. One that many a parser would choke on is refused: others will
/// hear it.
pub(crate) fn request_id(request: &wire::Request<'_>) -> Result<Bytes, Refusal> {
    let Some(json) = request.request_id.map(RawValue::get) else {
        return Ok(Bytes::from_static(b"null"));
    };
    if json.len() > REQUEST_ID_LIMIT {
        return Err(Refusal::field(
            "request_id",
            &format!("at most {REQUEST_ID_LIMIT} bytes are expected"),
        ));
    }
    // Most are small numbers, which anybody can read.
    let is_sound =
        json.parse::<i64>().is_ok() || serde_json::from_str::<serde_json::Value>(json).is_ok();
    if !is_sound {
        return Err(Refusal::field("request_id", "numbers and characters in range are expected"));
    }
    Ok(Bytes::copy_from_slice(json.as_bytes()))
}

/// What a request asks, in this room if it is in one.
pub(crate) fn command(
    method: Method,
    authority: Authority,
    room: Option<FlowId>,
    request: &wire::Request<'_>,
) -> Result<Command, Box<Refusal>> {
    let room = || room.ok_or_else(|| Box::new(Refusal::outside(method)));
    let whole = |flow| Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
    let absent = |fault| Box::new(faults::lower(method, authority, &fault));
    Ok(match method {
        Method::List => Command::ListFlows { limit: None, offset: 0, members: true },
        Method::JoinRoom => {
            let number = integer("room_pk", request.room_pk)?;
            whole(FlowId::new(number.unwrap_or_default()).map_err(|_| absent(Fault::NoSuchFlow))?)
        }
        // Nothing is asked of the engine but whether the token still holds.
        Method::LeaveRoom => room().map(|_| Command::GetUser { who: UserRef::Me })?,
        Method::CurrentRoomInfo => whole(room()?),
        Method::CreateMessage => {
            let flow = room()?;
            let content = Content::text(text("msg_text", request.msg_text)?);
            Command::Send(Box::new(NewMessage {
                flow,
                kinds: FlowKindFilter::Any,
                content,
                key: None,
            }))
        }
        Method::EditMessage => {
            let flow = Some(room()?);
            let number = integer("msg_id", request.msg_id)?;
            let text = text("edited_msg_text", request.edited_msg_text)?;
            let message = MessageId::new(number.unwrap_or_default())
                .map_err(|_| absent(Fault::NoSuchMessage))?;
            Command::Edit { message, flow, text }
        }
        Method::DeleteMessages => {
            let flow = Some(room()?);
            Command::Delete { messages: message_ids("msg_id_list", request.msg_id_list)?, flow }
        }
    })
}

fn present<'a>(name: &str, field: Option<&'a RawValue>) -> Result<&'a str, Box<Refusal>> {
    field.map(RawValue::get).ok_or_else(|| Box::new(Refusal::field(name, "missing")))
}

fn text(name: &str, field: Option<&RawValue>) -> Result<String, Box<Refusal>> {
    let text = json::text(present(name, field)?).map(Cow::into_owned);
    text.ok_or_else(|| Box::new(Refusal::field(name, "a string is expected")))
}

/// An integer; `None` for one so large that nothing has it as its id.
fn integer(name: &str, field: Option<&RawValue>) -> Result<Option<i64>, Box<Refusal>> {
    let json = present(name, field)?;
    if is_integer(json) {
        Ok(json.parse().ok())
    } else {
        Err(Box::new(Refusal::field(name, "an integer is expected")))
    }
}

/// Without a fraction and an exponent.
fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn message_ids(name: &str, field: Option<&RawValue>) -> Result<Vec<MessageId>, Box<Refusal>> {
    let expected = || Box::new(Refusal::field(name, "a list of ids is expected, at least one"));
    let list: Vec<&RawValue> =
        serde_json::from_str(present(name, field)?).map_err(|_| expected())?;
    let id = |item: &RawValue| {
        is_integer(item.get())
            .then(|| item.get().parse().ok())
            .flatten()
            .and_then(|id| MessageId::new(id).ok())
    };
    let ids: Option<Vec<MessageId>> = list.into_iter().map(id).collect();
    ids.filter(|ids| !ids.is_empty()).ok_or_else(expected)
}

/// What an ask of a client wants out of its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A part of the caller's flows; the wire gives all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
    Flow,
    Sent,
    Edited,
    /// These were to be deleted.
    Deleted(Vec<MessageId>),
}

/// A frame of the other side that does not say what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

impl From<JsonError> for Nonsense {
    fn from(_: JsonError) -> Self {
        Nonsense
    }
}

impl From<serde_json::Error> for Nonsense {
    fn from(_: serde_json::Error) -> Self {
        Nonsense
    }
}

/// What a frame tells everybody in a room; `None` for one that answers its asker alone.
pub(crate) fn event(
    method: Method,
    now: Timestamp,
    data: &RawValue,
) -> Result<Option<Notice>, Nonsense> {
    let (at, kind) = match method {
        Method::CreateMessage => {
            let message: wire::Message<'_> = serde_json::from_str(data.get())?;
            let room = message.room.as_ref().ok_or(Nonsense)?;
            let message = self::message(room, &message)?;
            (message.posted_at, EventKind::Posted(message))
        }
        Method::EditMessage => {
            let edited: wire::Edited<'_> = serde_json::from_str(data.get())?;
            (now, EventKind::Edited(edited_message(now, edited)?))
        }
        Method::DeleteMessages => {
            let deleted: wire::Deleted = serde_json::from_str(data.get())?;
            let id = |id| MessageId::new(id).map(|id| (id, Version::default()));
            let messages = deleted
                .messages_ids
                .into_iter()
                .map(id)
                .collect::<Result<_, _>>()
                .map_err(|_| Nonsense)?;
            (now, EventKind::Deleted { flow: flow_id(deleted.room_id)?, by: nobody().id, messages })
        }
        Method::List | Method::JoinRoom | Method::LeaveRoom | Method::CurrentRoomInfo => {
            return Ok(None);
        }
    };
    Ok(Some(Event::new(at, kind)))
}

/// What a granted ask is answered with: by the event that its frame tells, or else by the frame's
/// data.
pub(crate) fn answer(
    expected: &Expected,
    event: Option<&EventKind>,
    data: &RawValue,
) -> Result<Answer, Nonsense> {
    Ok(match (expected, event) {
        (Expected::Flows { limit, offset }, None) => {
            let rooms: Vec<wire::Room<'_>> = serde_json::from_str(data.get())?;
            let wanted = rooms.iter().skip(length(*offset)).take(limit.map_or(usize::MAX, length));
            Answer::Flows(wanted.map(overview).collect::<Result<_, _>>()?)
        }
        (Expected::Flow, None) => {
            Answer::Flow(Box::new(overview(&serde_json::from_str(data.get())?)?))
        }
        (Expected::Sent, Some(EventKind::Posted(message))) => {
            Answer::Sent { message: Some(Box::new(message.clone())), repeated: false }
        }
        (Expected::Edited, Some(EventKind::Edited(message))) => {
            Answer::Edited(Box::new(message.clone()))
        }
        (Expected::Deleted(asked), Some(EventKind::Deleted { messages, .. })) => {
            let deleted: Vec<MessageId> = messages.iter().map(|(id, _)| *id).collect();
            let left = crate::lower::left(asked, messages);
            Answer::Deleted { deleted, left }
        }
        _ => return Err(Nonsense),
    })
}

fn overview(room: &wire::Room<'_>) -> Result<FlowSummary, Nonsense> {
    let flow = Flow {
        id: flow_id(room.pk)?,
        kind: kind(room),
        title: String::new(),
        info: String::new(),
        owner: None,
        photo: None,
        version: Version::default(),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    };
    let last =
        room.last_message.iter().flatten().next().map(|last| message(room, last)).transpose()?;
    let mut members = room.participants.iter().map(member).collect::<Result<Vec<_>, _>>()?;
    // The wire says that somebody has the tariff, not who: the first stands for whoever it is.
    if let Some(first) = members.first_mut() {
        first.business = room.has_business;
    }
    Ok(FlowSummary { flow, members, last, first: None, read: Version::default() })
}

/// The wire does not say what kind of flow a room is: more than two have no chat.
fn kind(room: &wire::Room<'_>) -> FlowKind {
    if room.participants.len() > 2 { FlowKind::Group } else { FlowKind::Chat }
}

fn member(participant: &wire::Participant<'_>) -> Result<User, Nonsense> {
    let name = participant.fullname.clone().into_owned();
    Ok(User {
        id: user_id(participant.user.id)?,
        login: name.clone(),
        username: name.clone(),
        name,
        email: participant.user.email.clone().map(Into::into),
        phone: participant.user.phone.clone().map(Into::into),
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
        deleted_at: None,
    })
}

fn message(room: &wire::Room<'_>, message: &wire::Message<'_>) -> Result<Message, Nonsense> {
    let posted_at = Timestamp::parse_rfc3339(&message.created_at).ok_or(Nonsense)?;
    // An author's name stands among the participants only.
    let participant =
        room.participants.iter().find(|participant| participant.user.id == message.user.id);
    let name: Arc<str> = match (participant, &message.user.email) {
        (Some(participant), _) => participant.fullname.as_ref().into(),
        (None, Some(email)) => email.as_ref().into(),
        (None, None) => "".into(),
    };
    Ok(Message {
        id: MessageId::new(message.id).map_err(|_| Nonsense)?,
        flow: flow_id(room.pk)?,
        flow_kind: kind(room),
        author: UserSummary {
            id: user_id(message.user.id)?,
            login: name.clone(),
            username: name.clone(),
            name,
        },
        content: Content::text(message.text.as_ref()),
        posted: Version::default(),
        version: Version::default(),
        posted_at,
        edited_at: None,
        deleted_at: None,
        changed_at: posted_at,
    })
}

fn edited_message(now: Timestamp, edited: wire::Edited<'_>) -> Result<Message, Nonsense> {
    Ok(Message {
        id: MessageId::new(edited.message_id).map_err(|_| Nonsense)?,
        flow: flow_id(edited.room_id)?,
        flow_kind: FlowKind::Chat,
        author: nobody(),
        content: Content::text(edited.message_text),
        posted: Version::default(),
        version: Version::default(),
        posted_at: Timestamp::default(),
        edited_at: Some(now),
        deleted_at: None,
        changed_at: now,
    })
}

/// Whoever edited or deleted: the wire does not say. The least id, and no name.
fn nobody() -> UserSummary {
    let nameless: Arc<str> = "".into();
    let id = UserId::new(1).expect("1 is the least id");
    UserSummary { id, login: nameless.clone(), username: nameless.clone(), name: nameless }
}

fn flow_id(id: i64) -> Result<FlowId, Nonsense> {
    FlowId::new(id).map_err(|_| Nonsense)
}

fn user_id(id: i64) -> Result<UserId, Nonsense> {
    UserId::new(id).map_err(|_| Nonsense)
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
