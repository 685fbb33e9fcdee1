//! From the domain to the wire: how a command is asked, how it is answered, how a notice is pushed.

use crate::faults::{self, Refusal};
use crate::lift::Expected;
use crate::wire::{self, ChatNumber, ChatType, Field, Moment, Operation, Times};
use crate::{ID, session::Asked};
use std::borrow::Cow;
use tolmach_dialect::{Ask, Loss, Notice, Reply};
use tolmach_domain::{
    Answer, Authority, Command, Content, ContentType, Credentials, Event, EventKind, FlowId,
    FlowKind, FlowKindFilter, FlowSummary, GrantKind, HistoryRange, Message, RecoveryIdentifier,
    Registration, Secret, Timestamp, Tokens, UserId,
};

/// How a command is asked.
pub(crate) struct Request<'a> {
    /// Which operation says it.
    pub(crate) operation: Operation,
    /// What its reply will give.
    pub(crate) expected: Expected,
    frame: wire::Request<'a>,
}

impl<'a> Request<'a> {
    /// The frame, signed where its operation is.
    pub(crate) fn frame(
        self,
        now: Timestamp,
        proof: &'a Credentials,
        bound: Option<&'a Secret>,
    ) -> wire::Request<'a> {
        let token = self.operation.is_signed().then(|| Field::from(token(proof, bound)));
        wire::Request {
            mode: self.operation.mode().into(),
            // As a number it keeps the microseconds.
            timestamp: Moment::new(now, Times::Number).into(),
            token: token.unwrap_or_default(),
            ..self.frame
        }
    }
}

/// The token of a proof. Without one the request says `null`, which is refused as it should be.
fn token<'a>(proof: &'a Credentials, bound: Option<&'a Secret>) -> Option<Cow<'a, str>> {
    let secret = match proof {
        Credentials::Token(token) | Credentials::TokenOf(_, token) | Credentials::Bearer(token) => {
            Some(token)
        }
        Credentials::Connection => bound,
        Credentials::Nothing => None,
    };
    secret.map(|secret| secret.expose().into())
}

/// How an ask is said, if it can be.
pub(crate) fn ask(ask: &Ask) -> Result<Request<'_>, Loss> {
    let loss = Loss { dialect: ID, what: ask.command.name() };
    if ask.authority == Authority::Administrator {
        return Err(loss);
    }
    let (operation, expected, frame) = match &ask.command {
        Command::Register(registration) => {
            let (expected, frame) = register(registration).ok_or(loss)?;
            (Operation::Register, expected, frame)
        }
        Command::Login { grant: GrantKind::Pair, .. } => return Err(loss),
        Command::Login { identifier, password, grant } => (
            Operation::Auth,
            Expected::Grant(*grant),
            wire::Request {
                username: identifier.as_str().into(),
                password: password.expose().into(),
                ..wire::Request::default()
            },
        ),
        Command::Logout { login } => (
            Operation::Logout,
            Expected::LoggedOut,
            wire::Request {
                username: login.as_deref().map(Field::from).unwrap_or_default(),
                ..wire::Request::default()
            },
        ),
        Command::Recover { known } => {
            (Operation::Recovery, Expected::RecoveryAccepted, recovery(known))
        }
        Command::ListFlows { limit, offset, members: _ } => (
            Operation::GetChats,
            Expected::Flows { limit: *limit, offset: *offset },
            wire::Request::default(),
        ),
        Command::History { window: HistoryRange::Unread, .. } => return Err(loss),
        Command::History { flow, kinds, window } => (
            Operation::GetMessages,
            Expected::History { flow: *flow, kinds: *kinds, window: *window },
            wire::Request { chat_id: ChatNumber::Id(*flow).into(), ..wire::Request::default() },
        ),
        Command::Send(draft) => {
            let operation = match draft.kinds {
                FlowKindFilter::Any | FlowKindFilter::Chat => Operation::SendMessage,
                FlowKindFilter::Shared => Operation::SendGroupMessage,
            };
            (operation, Expected::Sent, message_request(draft.flow, &draft.content).ok_or(loss)?)
        }
        Command::Refresh { .. }
        | Command::ResetPassword { .. }
        | Command::DeleteAccount { .. }
        | Command::CreateProfile(_)
        | Command::GetUser { .. }
        | Command::SearchUsers { .. }
        | Command::GetPhoto { .. }
        | Command::OpenChat { .. }
        | Command::CreateFlow(_)
        | Command::DeleteFlow { .. }
        | Command::GetFlow { .. }
        | Command::AddMembers { .. }
        | Command::RemoveMembers { .. }
        | Command::Edit { .. }
        | Command::Delete { .. }
        | Command::GetChanges { .. }
        | Command::ShowTyping { .. } => return Err(loss),
    };
    Ok(Request { operation, expected, frame })
}

fn register(registration: &Registration) -> Option<(Expected, wire::Request<'_>)> {
    if registration.grant == GrantKind::Pair {
        return None;
    }
    let username = registration.login.as_ref().or(registration.email.as_ref())?;
    let frame = wire::Request {
        username: username.as_str().into(),
        password: registration.password.expose().into(),
        email: registration.email.as_deref().map(Cow::Borrowed).into(),
        ..wire::Request::default()
    };
    Some((Expected::Grant(registration.grant), frame))
}

fn recovery(known: &RecoveryIdentifier) -> wire::Request<'_> {
    let (known_data, known_data_type) = match known {
        RecoveryIdentifier::Email(email) => (email, "email"),
        RecoveryIdentifier::Login(login) => (login, "username"),
    };
    wire::Request {
        known_data: known_data.as_str().into(),
        known_data_type: known_data_type.into(),
        ..wire::Request::default()
    }
}

/// `None` where nothing of the content would be left.
fn message_request(flow: FlowId, content: &Content) -> Option<wire::Request<'_>> {
    let lost = !content.attachments.is_empty() || content.emoji.is_some();
    if content.text.is_empty() && lost {
        return None;
    }
    Some(wire::Request {
        chat_id: ChatNumber::Id(flow).into(),
        content: content.text.as_str().into(),
        content_type: content_type(&content.content_type).into(),
        ..wire::Request::default()
    })
}

/// How an ask is answered.
pub(crate) fn reply<'a>(
    now: Timestamp,
    asked: &Asked,
    reply: &'a Reply,
) -> Result<wire::Reply<'a>, Loss> {
    let Asked { operation, times } = *asked;
    let answer = match &reply.outcome {
        Ok(answer) => answer,
        Err(fault) => {
            return Ok(refusal(
                now,
                Some(Cow::Borrowed(operation.mode())),
                Some(operation),
                times,
                faults::lower(fault),
            ));
        }
    };
    let base = base(now, times, operation);
    Ok(match (operation, answer) {
        (Operation::Register | Operation::Auth, Answer::Granted(grant)) => match &grant.tokens {
            Tokens::Token(token) => {
                wire::Reply { token: Some(Some(token.expose().into())), ..base }
            }
            Tokens::Nothing | Tokens::Connection | Tokens::Pair { .. } => {
                return Err(unsaid(operation));
            }
        },
        (Operation::Recovery, Answer::RecoveryAccepted) => wire::Reply { status: 202, ..base },
        (Operation::Logout, Answer::LoggedOut) => base,
        (Operation::GetChats, Answer::Flows(flows)) => {
            let viewer = reply.identity.map(|identity| identity.user);
            wire::Reply {
                chats: Some(flows.iter().map(|overview| chat(viewer, overview)).collect()),
                ..base
            }
        }
        (Operation::GetMessages, Answer::History(page)) => wire::Reply {
            messages: Some(page.messages.iter().map(|message| row(times, message)).collect()),
            ..base
        },
        (Operation::SendMessage | Operation::SendGroupMessage, Answer::Sent { .. }) => base,
        _ => return Err(unsaid(operation)),
    })
}

/// An answer that is not one to this operation, or more than its reply can say.
fn unsaid(operation: Operation) -> Loss {
    Loss { dialect: ID, what: operation.mode() }
}

/// A refusal: of a request, or of a frame that is none.
pub(crate) fn refusal<'a>(
    now: Timestamp,
    mode: Option<Cow<'a, str>>,
    operation: Option<Operation>,
    times: Times,
    refusal: Refusal,
) -> wire::Reply<'a> {
    wire::Reply {
        mode,
        timestamp: Moment::new(now, times),
        status: refusal.status,
        error_msg: Some(refusal.text),
        token: operation.filter(|operation| operation.hands_out_token()).map(|_| None),
        chat_id: None,
        chats: None,
        messages: None,
    }
}

/// How a notice is pushed.
pub(crate) fn push(notice: &Notice, times: Times) -> Result<wire::Reply<'_>, Loss> {
    match &notice.kind {
        EventKind::Posted(message) => Ok(wire::Reply {
            chat_id: Some(message.flow.get()),
            messages: Some(vec![row(times, message)]),
            ..base(notice.occurred_at, times, Operation::GetMessages)
        }),
        EventKind::Edited(_)
        | EventKind::Deleted { .. }
        | EventKind::FlowCreated { .. }
        | EventKind::FlowDeleted { .. }
        | EventKind::MembersAdded { .. }
        | EventKind::MembersRemoved { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => Err(Loss { dialect: ID, what: Event::name(notice) }),
    }
}

fn base<'a>(now: Timestamp, times: Times, operation: Operation) -> wire::Reply<'a> {
    wire::Reply {
        mode: Some(Cow::Borrowed(operation.mode())),
        timestamp: Moment::new(now, times),
        status: 200,
        error_msg: None,
        token: None,
        chat_id: None,
        chats: None,
        messages: None,
    }
}

fn chat(viewer: Option<UserId>, overview: &FlowSummary) -> wire::Chat<'_> {
    let flow = &overview.flow;
    let chat_name = match viewer {
        Some(viewer) => overview.title_for(viewer, |member| &member.username).into(),
        // Translated from a wire that does not say who asks: which member is the other one is not
        // known.
        None if flow.title.is_empty() => overview
            .members
            .iter()
            .map(|member| member.username.as_str())
            .collect::<Vec<_>>()
            .join(", ")
            .into(),
        None => Cow::Borrowed(flow.title.as_str()),
    };
    let chat_type = match flow.kind {
        FlowKind::Chat => ChatType::Personal,
        FlowKind::Group | FlowKind::Channel => ChatType::Group,
    };
    wire::Chat { chat_id: flow.id.get(), chat_name, chat_type }
}

fn row(times: Times, message: &Message) -> wire::Message<'_> {
    wire::Message {
        message_id: message.id.get(),
        from_id: message.author.id.get(),
        from_name: Cow::Borrowed(&message.author.username),
        content: Cow::Borrowed(&message.content.text),
        content_type: Cow::Borrowed(content_type(&message.content.content_type)),
        content_time: Moment::new(message.posted_at, times),
    }
}

fn content_type(content_type: &ContentType) -> &str {
    match content_type {
        ContentType::Text => "text",
        ContentType::Image => "picture",
        ContentType::File => "file",
        ContentType::Sticker => "sticker",
        ContentType::Other(name) => name,
    }
}
