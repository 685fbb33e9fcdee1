//! From the wire to the domain: what a request asks, what a reply answers, what a push tells.

use crate::faults::{self, Refusal};
use crate::memory::{Memory, nowhere, person, same_login};
use crate::session::Caller;
use crate::wire::{self, Field, FieldType, Ids, MessageType, Number, Operation, Reply};
use std::borrow::Cow;
use std::collections::BTreeSet;
use tolmach_domain::{
    Answer, Command, Content, ContentType, Credentials, EventKind, Fault, Flow, FlowId, FlowKind,
    FlowKindFilter, FlowSummary, Grant, GrantKind, HistoryRange, Message, MessageId, MessagePage,
    NewMessage, Registration, Secret, Timestamp, Tokens, User, UserRef, Version,
};

/// How many users one search finds at most.
const SEARCH_LIMIT: u32 = 50;

/// What a request asks, and how it proves who asks.
pub(crate) fn ask(
    operation: Operation,
    request: wire::Request<'_>,
    caller: Option<&Caller>,
) -> Result<(Credentials, Command), Refusal> {
    let command = match operation {
        Operation::Login => Command::Login {
            identifier: required("login", request.login)?.into_owned(),
            password: Secret::new(required("pass", request.pass)?),
            grant: GrantKind::Connection,
        },
        Operation::Signup => {
            let login = required("login", request.login)?.into_owned();
            Command::Register(Box::new(Registration {
                login: Some(login.clone()),
                password: Secret::new(required("pass", request.pass)?),
                username: Some(login),
                email: None,
                phone: None,
                bot: false,
                bio: None,
                avatar: None,
                profile: true,
                grant: GrantKind::Nothing,
            }))
        }
        Operation::CreateRoom => {
            own("username", request.username, caller)?;
            Command::OpenChat {
                with: UserRef::Login(required("customer", request.customer)?.into_owned()),
            }
        }
        Operation::SendMessage => {
            own("username", request.username, caller)?;
            let flow = room(operation, "room_id", request.room_id)?;
            let text = required("message", request.message)?;
            let content_type = message_type(request.msg_type)?;
            Command::Send(Box::new(NewMessage {
                flow,
                kinds: FlowKindFilter::Any,
                content: Content { content_type, ..Content::text(text) },
                key: None,
            }))
        }
        Operation::ReadMessage => {
            let window = window(request.read)?;
            Command::History {
                flow: room(operation, "room_id", request.room_id)?,
                kinds: FlowKindFilter::Any,
                window,
            }
        }
        Operation::SearchUser => Command::SearchUsers {
            query: required("user", request.user)?.into_owned(),
            limit: SEARCH_LIMIT,
        },
        Operation::DeleteRoom => Command::DeleteFlow {
            flow: room(operation, "id", request.id)?,
            kinds: FlowKindFilter::Any,
        },
        Operation::DeleteMessage => {
            Command::Delete { messages: vec![message_id(operation, request.id)?], flow: None }
        }
        Operation::EditMessage => Command::Edit {
            message: message_id(operation, request.id)?,
            flow: None,
            text: required("new_msg", request.new_msg)?.into_owned(),
        },
        Operation::OldDialogs => {
            own("username", request.username, caller)?;
            Command::ListFlows { limit: None, offset: 0, members: false }
        }
    };
    Ok((
        if operation.needs_login() { Credentials::Connection } else { Credentials::Nothing },
        command,
    ))
}

/// A name that must be the caller's. Before a login nobody's is, and the engine refuses the
/// request.
fn own(name: &str, field: Field<Cow<'_, str>>, caller: Option<&Caller>) -> Result<(), Refusal> {
    let login = required(name, field)?;
    match caller {
        Some(caller) if !caller.is_called(&login) => {
            Err(Refusal::field(name, "your own login is expected"))
        }
        _ => Ok(()),
    }
}

fn room(operation: Operation, name: &str, field: Field<Number>) -> Result<FlowId, Refusal> {
    let Number(number) = required(name, field)?;
    number
        .and_then(|number| FlowId::new(number).ok())
        .ok_or_else(|| faults::lower(operation, &Fault::NoSuchFlow, false))
}

fn message_id(operation: Operation, field: Field<Number>) -> Result<MessageId, Refusal> {
    let Number(number) = required("id", field)?;
    number
        .and_then(|number| MessageId::new(number).ok())
        .ok_or_else(|| faults::lower(operation, &Fault::NoSuchMessage, false))
}

fn message_type(field: Field<Cow<'_, str>>) -> Result<ContentType, Refusal> {
    match optional("msg_type", field)?.as_deref() {
        None | Some("TEXT") => Ok(ContentType::Text),
        Some("FILE") => Ok(ContentType::File),
        Some("IMAGE") => Ok(ContentType::Image),
        Some(_) => Err(Refusal::field("msg_type", "\"TEXT\", \"FILE\" or \"IMAGE\" is expected")),
    }
}

fn window(field: Field<Cow<'_, str>>) -> Result<HistoryRange, Refusal> {
    match optional("read", field)?.as_deref() {
        None | Some("RESENT" | "RECENT") => Ok(HistoryRange::Unread),
        Some("ALL") => Ok(HistoryRange::All),
        Some(_) => Err(Refusal::field("read", "\"ALL\" or \"RESENT\" is expected")),
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

/// A value that may be left out.
fn optional<'a, T: FieldType<'a>>(name: &str, field: Field<T>) -> Result<Option<T>, Refusal> {
    match field {
        Field::Missing | Field::Null => Ok(None),
        field => required(name, field).map(Some),
    }
}

/// What an ask that waits for its reply wants out of it, and what the reply will not repeat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    Registered,
    LoggedIn {
        identifier: String,
    },
    Opened {
        with: String,
    },
    Sent {
        flow: FlowId,
        kinds: FlowKindFilter,
        content: Content,
    },
    /// A part of a room's messages, which come in a frame each.
    History {
        flow: FlowId,
        kinds: FlowKindFilter,
        window: HistoryRange,
    },
    /// Nothing: its reply only shows that the one before it is whole.
    Fence,
    Users {
        limit: u32,
    },
    RoomDeleted {
        flow: FlowId,
    },
    MessageDeleted {
        message: MessageId,
    },
    Edited {
        message: MessageId,
        flow: Option<FlowId>,
    },
    /// A part of the caller's flows; the wire gives all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
}

impl Expected {
    /// Whether a granted reply can be for this, and is no push or reply about something else.
    pub(crate) fn fits(&self, reply: &Reply<'_>) -> bool {
        let one = match reply.id {
            Some(Ids::One(id)) => Some(id),
            _ => None,
        };
        match self {
            Expected::Opened { with } => {
                reply.customer.as_deref().is_some_and(|customer| same_login(customer, with))
            }
            Expected::History { flow, .. } => reply.room_id == Some(flow.get()),
            Expected::RoomDeleted { flow } => one == Some(flow.get()),
            Expected::MessageDeleted { message } | Expected::Edited { message, .. } => {
                one == Some(message.get())
            }
            Expected::Registered
            | Expected::LoggedIn { .. }
            | Expected::Sent { .. }
            | Expected::Fence
            | Expected::Users { .. }
            | Expected::Flows { .. } => true,
        }
    }
}

/// A frame of the other side that does not say what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// What a granted reply answers; a history by [`history`]. `own` is the login of the connection.
pub(crate) fn answer(
    now: Timestamp,
    expected: &Expected,
    reply: Reply<'_>,
    own: &str,
    memory: &Memory,
) -> Result<Answer, Nonsense> {
    Ok(match expected {
        Expected::Registered => granted(Tokens::Nothing),
        Expected::LoggedIn { .. } => granted(Tokens::Connection),
        Expected::Opened { .. } => Answer::ChatOpened {
            flow: one_flow(&reply)?,
            with: Some(person(&reply.customer.ok_or(Nonsense)?)),
            created: false,
        },
        Expected::Sent { flow, kinds, content } => {
            let message = match reply.message_id {
                Some(id) => {
                    let posted_at =
                        reply.date.as_deref().and_then(Timestamp::parse_rfc3339).ok_or(Nonsense)?;
                    let id = MessageId::new(id).map_err(|_| Nonsense)?;
                    Some(Box::new(written(
                        id,
                        *flow,
                        kind_of(*kinds),
                        own,
                        content.clone(),
                        posted_at,
                    )))
                }
                None => None,
            };
            Answer::Sent { message, repeated: false }
        }
        Expected::Users { limit } => {
            let logins = reply.user.ok_or(Nonsense)?.into_iter().take(length(*limit));
            Answer::Users(logins.map(|login| user(&login)).collect())
        }
        Expected::RoomDeleted { flow } => Answer::FlowDeleted { flow: *flow },
        Expected::MessageDeleted { message } => {
            Answer::Deleted { deleted: vec![*message], left: Vec::new() }
        }
        Expected::Edited { message, flow } => {
            let mut edited = edited(now, *message, &reply.new_msg.ok_or(Nonsense)?, memory);
            if edited.flow == nowhere() {
                // One's own message that was written on another connection.
                (edited.flow, edited.author) = (flow.unwrap_or(edited.flow), person(own));
            }
            Answer::Edited(Box::new(edited))
        }
        Expected::Flows { limit, offset } => {
            let all = overviews(reply)?;
            Answer::Flows(
                all.into_iter()
                    .skip(length(*offset))
                    .take(limit.map_or(usize::MAX, length))
                    .collect(),
            )
        }
        Expected::Fence => Answer::Users(Vec::new()),
        Expected::History { .. } => return Err(Nonsense),
    })
}

/// The part of a history that was wanted, out of the messages that came while it was read: a
/// message that was pushed in between may come twice.
pub(crate) fn history(
    flow: FlowId,
    kinds: FlowKindFilter,
    window: HistoryRange,
    messages: Vec<Message>,
) -> Answer {
    let mut seen = BTreeSet::new();
    let mut messages: Vec<Message> = messages
        .into_iter()
        .rev()
        .filter(|message| seen.insert((message.id, message.posted_at)))
        .collect();
    messages.reverse();
    messages.iter_mut().for_each(|message| message.flow_kind = kind_of(kinds));
    if let HistoryRange::Newest { limit, offset } = window {
        messages.truncate(messages.len().saturating_sub(length(offset)));
        messages.drain(..messages.len().saturating_sub(length(limit)));
    }
    Answer::History(Box::new(MessagePage { flow, messages, version: Version::default() }))
}

/// The message that a `READ_MSG` frame carries; `None` for one that says that there is nothing to
/// read.
pub(crate) fn message(reply: &Reply<'_>) -> Result<Option<Message>, Nonsense> {
    let Some(id) = reply.message_id else { return Ok(None) };
    let content_type = match reply.msg_type.ok_or(Nonsense)? {
        MessageType::Text => ContentType::Text,
        MessageType::File => ContentType::File,
        MessageType::Image => ContentType::Image,
    };
    let content =
        Content { content_type, ..Content::text(reply.message.as_deref().ok_or(Nonsense)?) };
    let posted_at = reply.date.as_deref().and_then(Timestamp::parse_rfc3339).ok_or(Nonsense)?;
    let id = MessageId::new(id).map_err(|_| Nonsense)?;
    let flow = reply.room_id.and_then(|room| FlowId::new(room).ok()).ok_or(Nonsense)?;
    Ok(Some(written(
        id,
        flow,
        FlowKind::Chat,
        reply.sender.as_deref().ok_or(Nonsense)?,
        content,
        posted_at,
    )))
}

/// What a push tells, but for a new message.
pub(crate) fn push(
    now: Timestamp,
    operation: Operation,
    reply: Reply<'_>,
    own: &str,
    memory: &Memory,
) -> Result<EventKind, Nonsense> {
    Ok(match operation {
        Operation::CreateRoom => {
            let flow =
                Flow { created_at: now, changed_at: now, ..chat(one_flow(&reply)?, String::new()) };
            let customer = person(&reply.customer.ok_or(Nonsense)?);
            EventKind::FlowCreated { flow, members: vec![customer, person(own)] }
        }
        Operation::DeleteRoom => {
            EventKind::FlowDeleted { flow: one_flow(&reply)?, by: person("").id }
        }
        Operation::DeleteMessage => {
            let id = one_message(&reply)?;
            let known = memory.recall(id);
            EventKind::Deleted {
                flow: known.flow,
                by: known.author.id,
                messages: vec![(id, Version::default())],
            }
        }
        Operation::EditMessage => {
            let id = one_message(&reply)?;
            EventKind::Edited(edited(now, id, &reply.new_msg.ok_or(Nonsense)?, memory))
        }
        Operation::Login
        | Operation::Signup
        | Operation::SendMessage
        | Operation::ReadMessage
        | Operation::SearchUser
        | Operation::OldDialogs => return Err(Nonsense),
    })
}

fn granted(tokens: Tokens) -> Answer {
    Answer::Granted(Box::new(Grant { user: None, tokens }))
}

fn one(reply: &Reply<'_>) -> Result<i64, Nonsense> {
    match reply.id {
        Some(Ids::One(id)) => Ok(id),
        Some(Ids::Each(_)) | None => Err(Nonsense),
    }
}

fn one_flow(reply: &Reply<'_>) -> Result<FlowId, Nonsense> {
    FlowId::new(one(reply)?).map_err(|_| Nonsense)
}

fn one_message(reply: &Reply<'_>) -> Result<MessageId, Nonsense> {
    MessageId::new(one(reply)?).map_err(|_| Nonsense)
}

/// A request that means chats or groups only would have been refused for another kind.
fn kind_of(kinds: FlowKindFilter) -> FlowKind {
    if kinds == FlowKindFilter::Shared { FlowKind::Group } else { FlowKind::Chat }
}

fn written(
    id: MessageId,
    flow: FlowId,
    flow_kind: FlowKind,
    author: &str,
    content: Content,
    posted_at: Timestamp,
) -> Message {
    Message {
        id,
        flow,
        flow_kind,
        author: person(author),
        content,
        posted: Version::default(),
        version: Version::default(),
        posted_at,
        edited_at: None,
        deleted_at: None,
        changed_at: posted_at,
    }
}

fn edited(now: Timestamp, id: MessageId, text: &str, memory: &Memory) -> Message {
    let known = memory.recall(id);
    let content = Content { content_type: known.content_type, ..Content::text(text) };
    Message {
        author: known.author,
        edited_at: Some(now),
        changed_at: now,
        ..written(id, known.flow, FlowKind::Chat, "", content, known.posted_at)
    }
}

fn overviews(reply: Reply<'_>) -> Result<Vec<FlowSummary>, Nonsense> {
    let (Some(names), Some(Ids::Each(ids)), Some(firsts)) =
        (reply.dialogs, reply.id, reply.first_massage_id)
    else {
        return Err(Nonsense);
    };
    if names.len() != ids.len() || ids.len() != firsts.len() {
        return Err(Nonsense);
    }
    names
        .into_iter()
        .zip(ids.into_iter().zip(firsts))
        .map(|(name, (id, first))| {
            let first =
                if first == 0 { None } else { Some(MessageId::new(first).map_err(|_| Nonsense)?) };
            let flow = chat(FlowId::new(id).map_err(|_| Nonsense)?, name.into_owned());
            Ok(FlowSummary {
                flow,
                members: Vec::new(),
                last: None,
                first,
                read: Version::default(),
            })
        })
        .collect()
}

fn chat(id: FlowId, title: String) -> Flow {
    Flow {
        id,
        kind: FlowKind::Chat,
        title,
        info: String::new(),
        owner: None,
        photo: None,
        version: Version::default(),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    }
}

fn user(login: &str) -> User {
    User {
        id: person(login).id,
        login: login.to_owned(),
        username: login.to_owned(),
        name: login.to_owned(),
        email: None,
        phone: None,
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
    }
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
