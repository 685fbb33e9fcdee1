//! From the domain to the wire: how a command is asked, how it is answered, how a notice is pushed.

use crate::ID;
use crate::faults;
use crate::lift::Expected;
use crate::memory::same_login;
use crate::session::{Asked, Caller};
use crate::wire::{self, Field, Ids, MessageType, Operation, status};
use std::borrow::Cow;
use tolmach_dialect::{Ask, Loss, Notice};
use tolmach_domain::{
    Answer, Authority, Command, Content, ContentType, Credentials, Event, EventKind, Fault,
    FlowKind, FlowSummary, GrantKind, HistoryRange, Message, MessageId, UserRef,
};

/// One frame of an ask, with what its reply will give.
pub(crate) struct Request<'a> {
    /// Which operation says it.
    pub(crate) operation: Operation,
    /// What its reply will give.
    pub(crate) expected: Expected,
    frame: wire::Request<'a>,
}

impl<'a> Request<'a> {
    fn new(operation: Operation, expected: Expected, frame: wire::Request<'a>) -> Self {
        Self {
            operation,
            expected,
            frame: wire::Request { kind: operation.request().into(), ..frame },
        }
    }

    /// A search that finds nobody. Its reply shows that the frames of the history before it have
    /// all come.
    pub(crate) fn fence() -> Self {
        Self::new(
            Operation::SearchUser,
            Expected::Fence,
            wire::Request { user: "".into(), ..wire::Request::default() },
        )
    }

    /// The frame.
    pub(crate) fn frame(&self) -> &wire::Request<'a> {
        &self.frame
    }
}

/// How an ask is said by whoever is logged in as `own`, if it can be. A history also needs a
/// [`Request::fence`] after it.
pub(crate) fn ask<'a>(ask: &'a Ask, own: &'a str) -> Result<Request<'a>, Loss> {
    let loss = Loss { dialect: ID, what: ask.command.name() };
    if ask.authority == Authority::Administrator {
        return Err(loss);
    }
    let request = self::command(&ask.command, own).ok_or(loss)?;
    match ask.proof {
        Credentials::Token(_) | Credentials::TokenOf(..) | Credentials::Bearer(_)
            if request.operation.needs_login() =>
        {
            Err(Loss { dialect: ID, what: "a token" })
        }
        _ => Ok(request),
    }
}

fn command<'a>(command: &'a Command, own: &'a str) -> Option<Request<'a>> {
    let none = wire::Request::default;
    Some(match command {
        Command::Register(registration) => {
            let login = registration.login.as_ref().or(registration.email.as_ref())?;
            let frame = wire::Request {
                login: login.as_str().into(),
                pass: registration.password.expose().into(),
                ..none()
            };
            Request::new(Operation::Signup, Expected::Registered, frame)
        }
        // This wire cannot look at a password without logging in.
        Command::Login { grant: GrantKind::Nothing, .. } => return None,
        Command::Login {
            identifier,
            password,
            grant: GrantKind::Connection | GrantKind::Token | GrantKind::Pair,
        } => {
            let frame = wire::Request {
                login: identifier.as_str().into(),
                pass: password.expose().into(),
                ..none()
            };
            Request::new(
                Operation::Login,
                Expected::LoggedIn { identifier: identifier.clone() },
                frame,
            )
        }
        Command::OpenChat { with: UserRef::Login(login) } => {
            let frame =
                wire::Request { username: own.into(), customer: login.as_str().into(), ..none() };
            Request::new(Operation::CreateRoom, Expected::Opened { with: login.clone() }, frame)
        }
        Command::Send(draft) => {
            let (msg_type, content) = narrowed(&draft.content)?;
            let frame = wire::Request {
                username: own.into(),
                room_id: draft.flow.get().into(),
                // What the reply is read with keeps the content.
                message: Field::Value(content.text.clone().into()),
                msg_type: msg_type.into(),
                ..none()
            };
            Request::new(
                Operation::SendMessage,
                Expected::Sent { flow: draft.flow, kinds: draft.kinds, content },
                frame,
            )
        }
        Command::History { flow, kinds, window } => {
            let read = match window {
                HistoryRange::Unread => "RESENT",
                HistoryRange::All | HistoryRange::Newest { .. } => "ALL",
            };
            let frame = wire::Request { read: read.into(), room_id: flow.get().into(), ..none() };
            Request::new(
                Operation::ReadMessage,
                Expected::History { flow: *flow, kinds: *kinds, window: *window },
                frame,
            )
        }
        Command::SearchUsers { query, limit } => {
            let frame = wire::Request { user: query.as_str().into(), ..none() };
            Request::new(Operation::SearchUser, Expected::Users { limit: *limit }, frame)
        }
        Command::DeleteFlow { flow, kinds: _ } => {
            let frame = wire::Request { id: flow.get().into(), ..none() };
            Request::new(Operation::DeleteRoom, Expected::RoomDeleted { flow: *flow }, frame)
        }
        Command::Delete { messages, flow: _ } => {
            // Several are not one request here, and part of them could be refused.
            let [message] = messages[..] else { return None };
            let frame = wire::Request { id: message.get().into(), ..none() };
            Request::new(Operation::DeleteMessage, Expected::MessageDeleted { message }, frame)
        }
        Command::Edit { message, flow, text } => {
            let frame =
                wire::Request { id: message.get().into(), new_msg: text.as_str().into(), ..none() };
            Request::new(
                Operation::EditMessage,
                Expected::Edited { message: *message, flow: *flow },
                frame,
            )
        }
        Command::ListFlows { limit, offset, members: _ } => {
            let frame = wire::Request { username: own.into(), ..none() };
            Request::new(
                Operation::OldDialogs,
                Expected::Flows { limit: *limit, offset: *offset },
                frame,
            )
        }
        Command::OpenChat { with: UserRef::Me | UserRef::Id(_) }
        | Command::Refresh { .. }
        | Command::Logout { .. }
        | Command::Recover { .. }
        | Command::ResetPassword { .. }
        | Command::DeleteAccount { .. }
        | Command::CreateProfile(_)
        | Command::GetUser { .. }
        | Command::GetPhoto { .. }
        | Command::CreateFlow(_)
        | Command::GetFlow { .. }
        | Command::AddMembers { .. }
        | Command::RemoveMembers { .. }
        | Command::GetChanges { .. }
        | Command::ShowTyping { .. } => return None,
    })
}

/// What this wire carries of a content; `None` where nothing of it would be left.
fn narrowed(content: &Content) -> Option<(&'static str, Content)> {
    let lost = !content.attachments.is_empty() || content.emoji.is_some();
    if content.text.is_empty() && lost {
        return None;
    }
    let (name, content_type) = match message_type(&content.content_type) {
        MessageType::Text => ("TEXT", ContentType::Text),
        MessageType::File => ("FILE", ContentType::File),
        MessageType::Image => ("IMAGE", ContentType::Image),
    };
    Some((name, Content { content_type, ..Content::text(content.text.as_str()) }))
}

/// How an ask is answered: a history in a frame for each message, anything else in one.
pub(crate) fn reply<'a>(
    asked: &'a Asked,
    outcome: &'a Result<Answer, Fault>,
    caller: Option<&Caller>,
    reveal: bool,
) -> Result<Vec<wire::Reply<'a>>, Loss> {
    let operation = asked.operation;
    let answer = match outcome {
        Ok(answer) => answer,
        Err(fault) => return Ok(vec![faults::lower(operation, fault, reveal).frame(operation)]),
    };
    let base = || base(operation);
    let with_status = |status: &'static str| wire::Reply { status: Some(status.into()), ..base() };
    Ok(vec![match (operation, answer) {
        (Operation::Login, Answer::Granted(_)) => with_status(status::LOGIN_OK),
        (Operation::Signup, Answer::Granted(_)) => with_status(status::SIGNUP_OK),
        (Operation::CreateRoom, Answer::ChatOpened { flow, with, created: _ }) => {
            // As it was asked for: a client knows its request by it.
            let customer = asked.name.as_deref().or(with.as_ref().map(|with| &*with.login));
            wire::Reply {
                id: Some(Ids::One(flow.get())),
                customer: customer.map(Cow::Borrowed),
                ..base()
            }
        }
        (Operation::SendMessage, Answer::Sent { message, repeated: _ }) => wire::Reply {
            room_id: asked.flow.map(tolmach_domain::FlowId::get),
            message_id: message.as_ref().map(|message| message.id.get()),
            date: message.as_ref().map(|message| message.posted_at.rfc3339_micros().into()),
            ..with_status(status::SUCCESS)
        },
        (Operation::ReadMessage, Answer::History(page)) => {
            if page.messages.is_empty() {
                return Ok(vec![wire::Reply {
                    room_id: Some(page.flow.get()),
                    ..with_status(status::SUCCESS)
                }]);
            }
            return Ok(page.messages.iter().map(row).collect());
        }
        (Operation::SearchUser, Answer::Users(users)) => wire::Reply {
            user: Some(users.iter().map(|user| user.login.as_str().into()).collect()),
            ..base()
        },
        (Operation::DeleteRoom, Answer::FlowDeleted { flow }) => {
            wire::Reply { id: Some(Ids::One(flow.get())), ..base() }
        }
        (Operation::DeleteMessage, Answer::Deleted { deleted, left: _ }) => match deleted.first() {
            Some(message) => deletion(*message),
            None => faults::lower(operation, &Fault::NoSuchMessage, reveal).frame(operation),
        },
        (Operation::EditMessage, Answer::Edited(message)) => edit(message),
        (Operation::OldDialogs, Answer::Flows(flows)) => wire::Reply {
            dialogs: Some(flows.iter().map(|overview| dialog(caller, overview)).collect()),
            id: Some(Ids::Each(flows.iter().map(|overview| overview.flow.id.get()).collect())),
            first_massage_id: Some(
                flows.iter().map(|overview| overview.first.map_or(0, MessageId::get)).collect(),
            ),
            ..base()
        },
        // An answer that is not one to this operation.
        _ => return Err(Loss { dialect: ID, what: operation.reply() }),
    }])
}

/// How a notice is pushed to everybody who hears it alike.
pub(crate) fn shared(notice: &Notice) -> Result<wire::Reply<'_>, Loss> {
    match &notice.kind {
        EventKind::Posted(message) => Ok(row(message)),
        EventKind::Edited(message) => Ok(edit(message)),
        EventKind::Deleted { messages, .. } if messages.len() == 1 => Ok(deletion(messages[0].0)),
        EventKind::FlowDeleted { flow, .. } => {
            Ok(wire::Reply { id: Some(Ids::One(flow.get())), ..base(Operation::DeleteRoom) })
        }
        EventKind::Deleted { .. }
        | EventKind::FlowCreated { .. }
        | EventKind::MembersAdded { .. }
        | EventKind::MembersRemoved { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => Err(Loss { dialect: ID, what: Event::name(notice) }),
    }
}

/// How a notice is pushed to `caller`.
pub(crate) fn push<'a>(
    notice: &'a Notice,
    caller: Option<&Caller>,
) -> Result<Vec<wire::Reply<'a>>, Loss> {
    match &notice.kind {
        EventKind::Deleted { messages, .. } => {
            Ok(messages.iter().map(|(message, _)| deletion(*message)).collect())
        }
        EventKind::FlowCreated { flow, members } if flow.kind == FlowKind::Chat => {
            // For either member the other one is the customer.
            let customer = caller
                .and_then(|caller| members.iter().find(|member| !caller.is_called(&member.login)));
            let customer = customer.ok_or(Loss { dialect: ID, what: Event::name(notice) })?;
            let id = Some(Ids::One(flow.id.get()));
            Ok(vec![wire::Reply {
                id,
                customer: Some(Cow::Borrowed(&customer.login)),
                ..base(Operation::CreateRoom)
            }])
        }
        _ => shared(notice).map(|push| vec![push]),
    }
}

fn base<'a>(operation: Operation) -> wire::Reply<'a> {
    wire::Reply { kind: operation.reply().into(), ..wire::Reply::default() }
}

fn row(message: &Message) -> wire::Reply<'_> {
    wire::Reply {
        status: Some(status::SUCCESS.into()),
        room_id: Some(message.flow.get()),
        message_id: Some(message.id.get()),
        msg_type: Some(message_type(&message.content.content_type)),
        message: Some(Cow::Borrowed(&message.content.text)),
        date: Some(message.posted_at.rfc3339_micros().into()),
        sender: Some(Cow::Borrowed(&message.author.login)),
        ..base(Operation::ReadMessage)
    }
}

fn edit(message: &Message) -> wire::Reply<'_> {
    let new_msg = Some(Cow::Borrowed(message.content.text.as_str()));
    wire::Reply { id: Some(Ids::One(message.id.get())), new_msg, ..base(Operation::EditMessage) }
}

fn deletion<'a>(message: MessageId) -> wire::Reply<'a> {
    wire::Reply { id: Some(Ids::One(message.get())), ..base(Operation::DeleteMessage) }
}

/// What a room is called for `caller`: a chat is named after the other member, by the login.
fn dialog<'a>(caller: Option<&Caller>, overview: &'a FlowSummary) -> Cow<'a, str> {
    let other = match overview.flow.kind {
        FlowKind::Chat => overview
            .members
            .iter()
            .find(|member| !caller.is_some_and(|caller| same_login(caller.login(), &member.login)))
            .or(overview.members.first()),
        FlowKind::Group | FlowKind::Channel => None,
    };
    Cow::Borrowed(other.map_or(overview.flow.title.as_str(), |member| member.login.as_str()))
}

fn message_type(content_type: &ContentType) -> MessageType {
    match content_type {
        ContentType::Text | ContentType::Sticker | ContentType::Other(_) => MessageType::Text,
        ContentType::File => MessageType::File,
        ContentType::Image => MessageType::Image,
    }
}
