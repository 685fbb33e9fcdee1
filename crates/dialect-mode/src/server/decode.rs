//! From the wire to the domain: what a request asks, what a reply answers, what a push tells.

use crate::faults::{self, Refusal};
use crate::wire::{self, ChatNumber, ChatType, Field, FieldType, Operation};
use std::borrow::Cow;
use std::sync::Arc;
use tolmach_dialect::Notice;
use tolmach_domain::{
    Answer, Command, Content, ContentType, Credentials, EventKind, Fault, Flow, FlowId, FlowKind,
    FlowKindFilter, FlowSummary, Grant, GrantKind, HistoryRange, Message, MessageId, MessagePage,
    NewMessage, RecoveryIdentifier, Registration, Secret, Timestamp, Tokens, UserId, UserSummary,
    Version,
};

/// The longest name of a content type, in characters.
const CONTENT_TYPE_LIMIT: usize = 64;

/// What a request asks, and how it proves who asks.
pub(crate) fn ask(
    operation: Operation,
    mut request: wire::Request<'_>,
) -> Result<(Credentials, Command), Refusal> {
    let proof = if operation.is_signed() {
        Credentials::Token(token(std::mem::take(&mut request.token))?)
    } else {
        Credentials::Nothing
    };
    let command = match operation {
        Operation::Register => {
            let username = required("username", request.username)?.into_owned();
            Command::Register(Box::new(Registration {
                login: Some(username.clone()),
                password: Secret::new(required("password", request.password)?),
                username: Some(username),
                email: nullable("email", request.email)?.map(Cow::into_owned),
                phone: None,
                bot: false,
                bio: None,
                avatar: None,
                profile: true,
                grant: GrantKind::Token,
            }))
        }
        Operation::Auth => Command::Login {
            identifier: required("username", request.username)?.into_owned(),
            password: Secret::new(required("password", request.password)?),
            grant: GrantKind::Token,
        },
        Operation::Recovery => {
            optional("username", request.username)?;
            let known_data = required("known_data", request.known_data)?.into_owned();
            let known = match required("known_data_type", request.known_data_type)?.as_ref() {
                "email" => RecoveryIdentifier::Email(known_data),
                "username" => RecoveryIdentifier::Login(known_data),
                _ => {
                    return Err(Refusal::field(
                        "known_data_type",
                        "\"email\" or \"username\" is expected",
                    ));
                }
            };
            Command::Recover { known }
        }
        Operation::Logout => {
            Command::Logout { login: optional("username", request.username)?.map(Cow::into_owned) }
        }
        Operation::GetChats => Command::ListFlows { limit: None, offset: 0, members: false },
        Operation::GetMessages => Command::History {
            flow: flow(request.chat_id)?,
            kinds: FlowKindFilter::Any,
            window: HistoryRange::All,
        },
        Operation::SendMessage => draft(request, FlowKindFilter::Any)?,
        Operation::SendGroupMessage => draft(request, FlowKindFilter::Shared)?,
    };
    Ok((proof, command))
}

fn draft(request: wire::Request<'_>, kinds: FlowKindFilter) -> Result<Command, Refusal> {
    let flow = flow(request.chat_id)?;
    let text = required("content", request.content)?;
    let content_type = optional("content_type", request.content_type)?
        .map_or(Some(ContentType::Text), |name| content_type(&name));
    let content_type = content_type
        .ok_or_else(|| Refusal::field("content_type", "1 to 64 characters are expected"))?;
    Ok(Command::Send(Box::new(NewMessage {
        flow,
        kinds,
        content: Content { content_type, ..Content::text(text) },
        key: None,
    })))
}

fn content_type(name: &str) -> Option<ContentType> {
    Some(match name {
        "text" => ContentType::Text,
        "picture" => ContentType::Image,
        "file" => ContentType::File,
        "sticker" => ContentType::Sticker,
        "" => return None,
        _ if name.chars().count() > CONTENT_TYPE_LIMIT || name.chars().any(char::is_control) => {
            return None;
        }
        _ => ContentType::Other(name.into()),
    })
}

fn token(field: Field<Cow<'_, str>>) -> Result<Secret, Refusal> {
    match field {
        Field::Null => Err(faults::lower(&Fault::Unauthenticated)),
        field => required("token", field).map(Secret::new),
    }
}

fn flow(field: Field<ChatNumber>) -> Result<FlowId, Refusal> {
    match required("chat_id", field)? {
        ChatNumber::Id(flow) => Ok(flow),
        ChatNumber::OutOfRange => Err(faults::lower(&Fault::NoSuchFlow)),
    }
}

/// A value that must be there.
fn required<'a, T: FieldType<'a>>(name: &str, field: Field<T>) -> Result<T, Refusal> {
    match field {
        Field::Value(value) => Ok(value),
        Field::Missing => Err(Refusal::field(name, "missing")),
        Field::Null | Field::Mistyped => Err(Refusal::field(name, T::EXPECTED)),
    }
}

/// A value whose key must be there.
fn nullable<'a, T: FieldType<'a>>(name: &str, field: Field<T>) -> Result<Option<T>, Refusal> {
    match field {
        Field::Null => Ok(None),
        field => required(name, field).map(Some),
    }
}

/// A value that may be left out.
fn optional<'a, T: FieldType<'a>>(name: &str, field: Field<T>) -> Result<Option<T>, Refusal> {
    match field {
        Field::Missing | Field::Null => Ok(None),
        field => required(name, field).map(Some),
    }
}

/// What an ask that waits for its reply wants out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A token, to hand out or to bind the connection with.
    Grant(GrantKind),
    /// Nothing but its end.
    LoggedOut,
    RecoveryAccepted,
    /// A part of the caller's flows; the wire gives all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
    /// A part of a flow's history; the wire gives all of it.
    History {
        flow: FlowId,
        kinds: FlowKindFilter,
        window: HistoryRange,
    },
    Sent,
}

/// A frame of the other side that does not say what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// What a reply answers.
pub(crate) fn outcome(
    operation: Operation,
    expected: Expected,
    reply: wire::Reply<'_>,
) -> Result<Result<Answer, Fault>, Nonsense> {
    if !(200..=299).contains(&reply.status) {
        return Ok(Err(faults::lift(
            operation,
            reply.status,
            reply.error_msg.as_deref().unwrap_or_default(),
        )));
    }
    Ok(Ok(match expected {
        Expected::Grant(kind) => {
            let token = reply.token.flatten().ok_or(Nonsense)?;
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token | GrantKind::Pair => Tokens::Token(Secret::new(token)),
            };
            Answer::Granted(Box::new(Grant { user: None, tokens }))
        }
        Expected::LoggedOut => Answer::LoggedOut,
        Expected::RecoveryAccepted => Answer::RecoveryAccepted,
        Expected::Flows { limit, offset } => {
            let chats = reply
                .chats
                .ok_or(Nonsense)?
                .into_iter()
                .skip(length(offset))
                .take(limit.map_or(usize::MAX, length));
            Answer::Flows(chats.map(overview).collect::<Result<_, _>>()?)
        }
        Expected::History { flow, kinds, window } => {
            // A request that means chats or groups only would have been refused for another kind.
            let flow_kind =
                if kinds == FlowKindFilter::Shared { FlowKind::Group } else { FlowKind::Chat };
            let rows = reply.messages.ok_or(Nonsense)?;
            let mut messages = rows
                .into_iter()
                .map(|row| message(flow, flow_kind, row))
                .collect::<Result<Vec<_>, _>>()?;
            if let HistoryRange::Newest { limit, offset } = window {
                messages.truncate(messages.len().saturating_sub(length(offset)));
                messages.drain(..messages.len().saturating_sub(length(limit)));
            }
            Answer::History(Box::new(MessagePage { flow, messages, version: Version::default() }))
        }
        Expected::Sent => Answer::Sent { message: None, repeated: false },
    }))
}

/// What a push tells: one notice a message.
pub(crate) fn push(chat: i64, reply: wire::Reply<'_>) -> Result<Vec<Notice>, Nonsense> {
    let flow = FlowId::new(chat).map_err(|_| Nonsense)?;
    let at = reply.timestamp.timestamp().ok_or(Nonsense)?;
    let notice = |row| Ok(Event::new(at, EventKind::Posted(message(flow, FlowKind::Chat, row)?)));
    reply.messages.ok_or(Nonsense)?.into_iter().map(notice).collect()
}

fn overview(chat: wire::Chat<'_>) -> Result<FlowSummary, Nonsense> {
    let kind = match chat.chat_type {
        ChatType::Personal => FlowKind::Chat,
        ChatType::Group => FlowKind::Group,
    };
    let flow = Flow {
        id: FlowId::new(chat.chat_id).map_err(|_| Nonsense)?,
        kind,
        title: chat.chat_name.into_owned(),
        info: String::new(),
        owner: None,
        photo: None,
        version: Version::default(),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    };
    Ok(FlowSummary { flow, members: Vec::new(), last: None, first: None, read: Version::default() })
}

fn message(flow: FlowId, flow_kind: FlowKind, row: wire::Message<'_>) -> Result<Message, Nonsense> {
    let posted_at = row.content_time.timestamp().ok_or(Nonsense)?;
    let username: Arc<str> = row.from_name.into();
    Ok(Message {
        id: MessageId::new(row.message_id).map_err(|_| Nonsense)?,
        flow,
        flow_kind,
        author: UserSummary {
            id: UserId::new(row.from_id).map_err(|_| Nonsense)?,
            login: username.clone(),
            username: username.clone(),
            name: username,
        },
        content: Content {
            content_type: content_type(&row.content_type).ok_or(Nonsense)?,
            ..Content::text(row.content)
        },
        posted: Version::default(),
        version: Version::default(),
        posted_at,
        edited_at: None,
        deleted_at: None,
        changed_at: posted_at,
    })
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
