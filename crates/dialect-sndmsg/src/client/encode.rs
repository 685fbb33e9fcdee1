//! Requests for the wire: protocols/sndmsg/SPEC.md, section "Operations".

use super::expected::Expected;
use crate::wire::{self, ID, MessageType, Operation};
use tolmach_dialect::{Request, Unsupported, WireNames};
use tolmach_domain::{Authority, Command, Content, Credentials, GrantKind, HistoryRange, UserRef};

/// One frame of a request.
pub(super) struct EncodedRequest<'a> {
    pub(super) operation: Operation,
    pub(super) expected: Expected,
    pub(super) frame: wire::Request<'a>,
}

impl<'a> EncodedRequest<'a> {
    fn new(operation: Operation, expected: Expected, fields: wire::Request<'a>) -> Self {
        let frame = wire::Request { kind: operation.name().into(), ..fields };
        Self { operation, expected, frame }
    }

    /// A search that finds no user. Its reply shows that all messages of the history before it have
    /// come.
    pub(super) fn fence() -> Self {
        let fields = wire::Request { user: "".into(), ..wire::Request::default() };
        Self::new(Operation::SearchUser, Expected::Fence, fields)
    }
}

/// Encodes a request of a connection with this login. A history also needs a fence after it.
pub(super) fn request<'a>(
    request: &'a Request,
    login: &'a str,
) -> Result<EncodedRequest<'a>, Unsupported> {
    let encoded = (request.authority == Authority::Member)
        .then(|| command(&request.command, login))
        .flatten()
        .ok_or(Unsupported { dialect: ID, what: request.command.name() })?;
    match request.credentials {
        Credentials::Token(_) | Credentials::TokenOf(..) | Credentials::Bearer(_)
            if encoded.operation.needs_login() =>
        {
            Err(Unsupported { dialect: ID, what: "a token" })
        }
        _ => Ok(encoded),
    }
}

fn command<'a>(command: &'a Command, login: &'a str) -> Option<EncodedRequest<'a>> {
    let empty = wire::Request::default();
    let (operation, expected, fields) = match command {
        Command::Register(registration) => {
            let login = registration.login.as_ref().or(registration.email.as_ref())?;
            let pass = registration.password.expose().into();
            let fields = wire::Request { login: login.as_str().into(), pass, ..empty };
            (Operation::Signup, Expected::Registered, fields)
        }
        // The wire cannot try a password without logging in.
        Command::Login { identifier, password, grant } if *grant != GrantKind::Nothing => {
            let pass = password.expose().into();
            let fields = wire::Request { login: identifier.as_str().into(), pass, ..empty };
            let identifier = identifier.as_str().to_owned();
            (Operation::Login, Expected::LoggedIn { identifier }, fields)
        }
        Command::OpenChat { with: UserRef::Login(with) } => {
            let customer = with.as_str().into();
            let fields = wire::Request { username: login.into(), customer, ..empty };
            (Operation::CreateRoom, Expected::Opened { with: with.clone() }, fields)
        }
        Command::Send(message) => {
            let (message_type, content) = reduced(&message.content)?;
            let fields = wire::Request {
                username: login.into(),
                room_id: message.flow.get().into(),
                message: message.content.text.as_str().into(),
                msg_type: message_type.name().into(),
                ..empty
            };
            let expected = Expected::Sent { flow: message.flow, kinds: message.kinds, content };
            (Operation::SendMessage, expected, fields)
        }
        // The wire always moves the read mark.
        Command::History { flow, kinds, range, mark_read: _ } => {
            let read = match range {
                HistoryRange::Unread => "RESENT",
                HistoryRange::All | HistoryRange::Newest { .. } => "ALL",
            };
            let room_id = flow.get().into();
            let fields = wire::Request { read: read.into(), room_id, ..empty };
            let expected = Expected::History { flow: *flow, kinds: *kinds, range: *range };
            (Operation::ReadMessage, expected, fields)
        }
        Command::SearchUsers { query, limit } => {
            let fields = wire::Request { user: query.as_str().into(), ..empty };
            (Operation::SearchUser, Expected::Users { limit: *limit }, fields)
        }
        Command::DeleteFlow { flow, kinds: _ } => {
            let fields = wire::Request { id: flow.get().into(), ..empty };
            (Operation::DeleteRoom, Expected::RoomDeleted { flow: *flow }, fields)
        }
        Command::Delete { messages, flow: _, all_or_none: _ } => {
            // Several messages would take several requests, of which some could be refused.
            let [message] = messages[..] else { return None };
            let fields = wire::Request { id: message.get().into(), ..empty };
            (Operation::DeleteMessage, Expected::MessageDeleted { message }, fields)
        }
        Command::Edit { message, flow, text } => {
            let new_msg = text.as_str().into();
            let fields = wire::Request { id: message.get().into(), new_msg, ..empty };
            let expected = Expected::Edited { message: *message, flow: *flow };
            (Operation::EditMessage, expected, fields)
        }
        Command::ListFlows { limit, offset, members: _ } => {
            let fields = wire::Request { username: login.into(), ..empty };
            let expected = Expected::Flows { limit: *limit, offset: *offset };
            (Operation::OldDialogs, expected, fields)
        }
        _ => return None,
    };
    Some(EncodedRequest::new(operation, expected, fields))
}

/// The part of a content that the wire carries. `None` if it carries nothing of it.
fn reduced(content: &Content) -> Option<(MessageType, Content)> {
    let is_reduced = !content.attachments.is_empty() || content.emoji.is_some();
    if content.text.is_empty() && is_reduced {
        return None;
    }
    let message_type = MessageType::nearest(&content.content_type);
    let content_type = message_type.content_type();
    Some((message_type, Content { content_type, ..Content::text(content.text.as_str()) }))
}
