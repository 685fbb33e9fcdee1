//! Requests for the wire: protocols/mode/SPEC.md, section "Operations".

use super::decode::Expected;
use crate::wire::{self, ID, Operation};
use std::borrow::Cow;
use tolmach_dialect::field::Field;
use tolmach_dialect::time::{TimeFormat, WireTime};
use tolmach_dialect::{Request, Unsupported, WireNames};
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, FlowKindFilter, GrantKind, HistoryRange,
    RecoveryIdentifier, Registration, Secret, Timestamp,
};

/// A request in the words of the wire.
pub(super) struct EncodedRequest<'a> {
    pub(super) operation: Operation,
    pub(super) expected: Expected,
    /// The frame, but for the fields that [`frame`] adds.
    pub(super) fields: wire::Request<'a>,
}

/// Encodes a request.
pub(super) fn request(request: &Request) -> Result<EncodedRequest<'_>, Unsupported> {
    (request.authority == Authority::Member)
        .then(|| command(&request.command))
        .flatten()
        .ok_or(Unsupported { dialect: ID, what: request.command.name() })
}

/// The frame of a request, with a token where the operation needs one.
pub(super) fn frame<'a>(
    now: Timestamp,
    operation: Operation,
    fields: wire::Request<'a>,
    credentials: &'a Credentials,
    connection_token: Option<&'a Secret>,
) -> wire::Request<'a> {
    let token = match credentials {
        Credentials::Token(token) | Credentials::TokenOf(_, token) | Credentials::Bearer(token) => {
            Some(token)
        }
        Credentials::Connection => connection_token,
        Credentials::Nothing => None,
    };
    // Without a token the field is `null`, which the server answers with 401.
    let token = || Field::from(token.map(|token| Cow::Borrowed(token.expose())));
    wire::Request {
        mode: operation.name().into(),
        // Seconds keep the microseconds.
        timestamp: WireTime::new(now, TimeFormat::Seconds).into(),
        token: if operation.needs_token() { token() } else { Field::Missing },
        ..fields
    }
}

fn command(command: &Command) -> Option<EncodedRequest<'_>> {
    let (operation, expected, fields) = match command {
        Command::Register(registration) if registration.grant != GrantKind::Pair => {
            (Operation::Register, Expected::Grant(registration.grant), register(registration)?)
        }
        Command::Login { identifier, password, grant } if *grant != GrantKind::Pair => {
            let fields = wire::Request {
                username: identifier.as_str().into(),
                password: password.expose().into(),
                ..wire::Request::default()
            };
            (Operation::Auth, Expected::Grant(*grant), fields)
        }
        Command::Logout { login } => {
            let username = login.as_deref().map(Field::from).unwrap_or_default();
            let fields = wire::Request { username, ..wire::Request::default() };
            (Operation::Logout, Expected::Answer(Answer::LoggedOut), fields)
        }
        Command::Recover { identifier } => {
            let expected = Expected::Answer(Answer::RecoveryAccepted);
            (Operation::Recovery, expected, recovery(identifier))
        }
        Command::ListFlows { limit, offset, members: _ } => {
            let expected = Expected::Flows { limit: *limit, offset: *offset };
            (Operation::GetChats, expected, wire::Request::default())
        }
        // Reading leaves no mark on this wire.
        Command::History { flow, kinds, range, mark_read: _ } if *range != HistoryRange::Unread => {
            let fields = wire::Request { chat_id: flow.get().into(), ..wire::Request::default() };
            let expected = Expected::History { flow: *flow, kinds: *kinds, range: *range };
            (Operation::GetMessages, expected, fields)
        }
        Command::Send(message) => {
            let operation = match message.kinds {
                FlowKindFilter::Any | FlowKindFilter::Chat => Operation::SendMessage,
                FlowKindFilter::Shared => Operation::SendGroupMessage,
            };
            let fields =
                wire::Request { chat_id: message.flow.get().into(), ..content(&message.content)? };
            let sent = Answer::Sent { message: None, repeated: false };
            (operation, Expected::Answer(sent), fields)
        }
        _ => return None,
    };
    Some(EncodedRequest { operation, expected, fields })
}

fn register(registration: &Registration) -> Option<wire::Request<'_>> {
    let username = registration.login.as_ref().or(registration.email.as_ref())?;
    Some(wire::Request {
        username: username.as_str().into(),
        password: registration.password.expose().into(),
        email: registration.email.as_deref().map(Cow::Borrowed).into(),
        ..wire::Request::default()
    })
}

fn recovery(identifier: &RecoveryIdentifier) -> wire::Request<'_> {
    let (known_data, known_data_type) = match identifier {
        RecoveryIdentifier::Email(email) => (email, "email"),
        RecoveryIdentifier::Login(login) => (login, "username"),
    };
    wire::Request {
        known_data: known_data.as_str().into(),
        known_data_type: known_data_type.into(),
        ..wire::Request::default()
    }
}

/// `None` if the wire carries nothing of the content.
fn content(content: &Content) -> Option<wire::Request<'_>> {
    let is_reduced = !content.attachments.is_empty() || content.emoji.is_some();
    if content.text.is_empty() && is_reduced {
        return None;
    }
    Some(wire::Request {
        content: content.text.as_str().into(),
        content_type: wire::content_type_name(&content.content_type).into(),
        ..wire::Request::default()
    })
}
