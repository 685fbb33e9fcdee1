//! Requests and client frames, from the wire to commands.

use crate::errors::{RequestError, frame_violation};
use crate::form;
use crate::head::{RequestHead, content_type};
use crate::routes::{Body, Operation, RouteError};
use crate::wire::{
    self, DESCRIPTION_LIMIT, EMAIL_LIMIT, FORM_LIMIT, FRAME_LIMIT, JSON_LIMIT, LOGIN_LIMIT,
    MOBILE_STOP_TYPING, NAME_LIMIT, Object, PASSWORD_LIMIT, STOP_TYPING, TOO_LARGE, TYPING,
    USERS_LIMIT, is_text,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::ops::RangeInclusive;
use tolmach_dialect::{Close, Correlation, Frame, Request, Violation, ViolationKind};
use tolmach_domain::{
    Command, Content, FlowId, FlowKind, FlowKindFilter, GrantKind, LoginIdentifier, NewFlow,
    NewMessage, Photo, PhotoOf, Profile, Registration, Secret, UserId, UserRef,
};

/// Any length but zero, for texts that are only compared.
const NOT_EMPTY: RangeInclusive<usize> = 1..=usize::MAX;

/// Decodes an HTTP request. Its operation becomes the correlation.
pub(super) fn request(frame: &Frame, depth: usize) -> Result<Request, RequestError> {
    let Frame::Request(request) = frame else { return Err(RequestError::no_request()) };
    let headers = request.headers();
    let mut head = RequestHead::read(request.method(), request.uri(), headers, false)?;
    let command = command(&head, headers, request.body(), depth)?;
    let correlation = Correlation::new(head.route.operation);
    Ok(Request::new(correlation, head.take_credentials(), command))
}

/// Decodes a frame of a WebSocket, whatever its type.
pub(super) fn client_frame(frame: &Frame, depth: usize) -> Result<wire::ClientFrame, Violation> {
    match frame {
        Frame::Text(text) if text.len() > FRAME_LIMIT => {
            let text = format!("a frame has at most {FRAME_LIMIT} bytes");
            let close = Some(Close::new(TOO_LARGE, "the frame is too large"));
            Err(Violation { close, ..frame_violation(ViolationKind::Shape, &text) })
        }
        Frame::Text(text) => wire::read(text, depth)
            .map_err(|error| frame_violation(error.violation_kind(), &error.to_string())),
        _ => Err(frame_violation(ViolationKind::FrameKind, "a text frame is expected")),
    }
}

/// The command of a frame in the room of `flow`. An author that the frame names is ignored.
pub(super) fn room_command(
    frame: wire::ClientFrame,
    flow: FlowId,
    kinds: FlowKindFilter,
) -> Result<Command, Violation> {
    const TYPES: &str = "the type of a frame is message, typing or stop_typing";
    let Value::String(kind) = frame.kind else {
        return Err(frame_violation(ViolationKind::Shape, TYPES));
    };
    match (kind.as_str(), frame.text) {
        ("message", Value::String(text)) if !text.is_empty() => {
            let content = Content::text(text);
            Ok(Command::Send(Box::new(NewMessage { flow, kinds, content, key: None })))
        }
        ("message", _) => {
            let text = "text: a string that is not empty is expected";
            Err(frame_violation(ViolationKind::Shape, text))
        }
        (TYPING, _) => Ok(Command::ShowTyping { flow, active: true }),
        (STOP_TYPING | MOBILE_STOP_TYPING, _) => Ok(Command::ShowTyping { flow, active: false }),
        _ => Err(frame_violation(ViolationKind::UnknownMethod, TYPES)),
    }
}

fn command(
    head: &RequestHead,
    headers: &HeaderMap,
    body: &Bytes,
    depth: usize,
) -> Result<Command, RequestError> {
    let (json, photo) = parts(head.route.body, headers, body)?;
    Ok(match head.route.operation {
        Operation::Register => register(wire::read(&json, depth)?)?,
        Operation::Login => login(wire::read(&json, depth)?)?,
        Operation::Refresh => {
            let body: wire::Refresh<'_> = wire::read(&json, depth)?;
            check("refresh_token", &body.refresh_token, NOT_EMPTY, |_| true)?;
            Command::Refresh { token: Secret::new(body.refresh_token) }
        }
        Operation::Logout => Command::Logout { login: None },
        Operation::CreateUser => create_profile(wire::read(&json, depth)?, photo)?,
        Operation::GetMe => Command::GetUser { user: UserRef::Me },
        Operation::GetUser => Command::GetUser { user: UserRef::Id(head.id()?) },
        Operation::GetUserPhoto => Command::GetPhoto { of: PhotoOf::User(head.id()?) },
        Operation::OpenChat => Command::OpenChat { with: UserRef::Id(head.id()?) },
        Operation::GetChat => get_flow(head, FlowKindFilter::Chat, true)?,
        Operation::GetMessages => Command::History {
            flow: head.id()?,
            kinds: head.kinds(),
            range: head.range(),
            mark_read: false,
        },
        Operation::CreateGroup => create_group(wire::read(&json, depth)?, photo, head.key.clone())?,
        Operation::DeleteGroup => {
            Command::DeleteFlow { flow: head.id()?, kinds: FlowKindFilter::Shared }
        }
        Operation::GetGroup => get_flow(head, FlowKindFilter::Shared, false)?,
        Operation::GetGroupUsers => get_flow(head, FlowKindFilter::Shared, true)?,
        Operation::GetGroupPhoto => Command::GetPhoto { of: PhotoOf::Flow(head.id()?) },
        Operation::AddUsers => {
            Command::AddMembers { flow: head.id()?, users: members(wire::read(&json, depth)?)? }
        }
        Operation::RemoveUsers => {
            Command::RemoveMembers { flow: head.id()?, users: members(wire::read(&json, depth)?)? }
        }
        Operation::ListChats => {
            Command::ListFlows { limit: head.limit, offset: head.offset, members: false }
        }
        // The router gives these to WebSockets only.
        Operation::ChatRoom | Operation::GroupRoom | Operation::Main => {
            return Err(RouteError::UpgradeRequired.into());
        }
    })
}

/// The JSON and the photo of a request, whose content type is the expected one.
fn parts(
    expected: Body,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Bytes, Option<Photo>), RequestError> {
    match expected {
        Body::Nothing => Ok((Bytes::new(), None)),
        Body::Json(_) if body.len() > JSON_LIMIT => {
            Err(RequestError::too_large("the body", JSON_LIMIT))
        }
        Body::Json(_) => Ok((body.clone(), None)),
        Body::Form(_) if body.len() > FORM_LIMIT => {
            Err(RequestError::too_large("the body", FORM_LIMIT))
        }
        Body::Form(_) => {
            form::read(content_type(headers), body).map(|form| (form.json, form.photo))
        }
    }
}

fn register(body: wire::Register<'_>) -> Result<Command, RequestError> {
    // The address stands in for a login that is left out.
    let limit = if body.username.is_some() { EMAIL_LIMIT } else { LOGIN_LIMIT };
    check("email", &body.email, 1..=limit, |_| true)?;
    if !is_plausible_email(&body.email) {
        return Err(RequestError::bad("email: not an address"));
    }
    check("password", &body.password, 1..=PASSWORD_LIMIT, |_| true)?;
    if let Some(username) = &body.username {
        check_name("username", username, LOGIN_LIMIT)?;
    }
    if let Some(number) = &body.number {
        check("number", number, 0..=LOGIN_LIMIT, is_in_line)?;
    }
    Ok(Command::Register(Box::new(Registration {
        login: body.username.map(String::from),
        password: Secret::new(body.password),
        username: None,
        email: Some(body.email.into()),
        phone: body.number.map(String::from),
        bot: false,
        bio: None,
        avatar: None,
        profile: false,
        grant: GrantKind::Pair,
    })))
}

fn login(body: wire::Login<'_>) -> Result<Command, RequestError> {
    let (field, identifier) = match (body.email, body.username) {
        (Some(email), None) => ("email", LoginIdentifier::Email(email.into())),
        (None, Some(username)) => ("username", LoginIdentifier::Any(username.into())),
        _ => return Err(RequestError::bad("exactly one of email and username is expected")),
    };
    check(field, identifier.as_str(), NOT_EMPTY, |_| true)?;
    check("password", &body.password, NOT_EMPTY, |_| true)?;
    let password = Secret::new(body.password);
    Ok(Command::Login { identifier, password, grant: GrantKind::Pair })
}

fn create_profile(body: wire::NewUser<'_>, photo: Option<Photo>) -> Result<Command, RequestError> {
    let bio = body.description.unwrap_or_default();
    check_name("username", &body.username, LOGIN_LIMIT)?;
    check_name("name", &body.name, NAME_LIMIT)?;
    check("description", &bio, 0..=DESCRIPTION_LIMIT, is_text)?;
    let (username, name) = (body.username.into(), body.name.into());
    Ok(Command::CreateProfile(Box::new(Profile { username, name, bio: bio.into(), photo })))
}

fn create_group(
    body: wire::NewGroup<'_>,
    photo: Option<Photo>,
    key: Option<String>,
) -> Result<Command, RequestError> {
    let info = body.description.unwrap_or_default();
    check_name("name", &body.name, NAME_LIMIT)?;
    check("description", &info, 0..=DESCRIPTION_LIMIT, is_text)?;
    Ok(Command::CreateFlow(Box::new(NewFlow {
        kind: FlowKind::Group,
        title: body.name.into(),
        info: info.into(),
        members: user_ids(body.users, 0)?,
        photo,
        key,
    })))
}

fn get_flow(
    head: &RequestHead,
    kinds: FlowKindFilter,
    members: bool,
) -> Result<Command, RequestError> {
    Ok(Command::GetFlow { flow: head.id()?, kinds, members })
}

fn members(body: wire::Users<wire::NamedUser<'_>>) -> Result<Vec<UserId>, RequestError> {
    user_ids(body.users, 1)
}

/// The ids of at least `least` and at most [`USERS_LIMIT`] users.
fn user_ids(
    users: Vec<Object<wire::NamedUser<'_>>>,
    least: usize,
) -> Result<Vec<UserId>, RequestError> {
    if !(least..=USERS_LIMIT).contains(&users.len()) {
        return Err(RequestError::bad(format!("users: {least} to {USERS_LIMIT} are expected")));
    }
    Ok(users.into_iter().map(|user| user.0.id.0).collect())
}

/// Checks the length, in characters, and the characters of a field.
fn check(
    field: &str,
    text: &str,
    length: RangeInclusive<usize>,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), RequestError> {
    let count = text.chars().count();
    let mistake = if count < *length.start() {
        format!("{field}: empty")
    } else if count > *length.end() {
        format!("{field}: longer than {} characters", length.end())
    } else if !text.chars().all(is_allowed) {
        format!("{field}: holds a control character")
    } else {
        return Ok(());
    };
    Err(RequestError::bad(mistake))
}

/// Checks a name: one line that is not blank.
fn check_name(field: &str, text: &str, limit: usize) -> Result<(), RequestError> {
    if text.trim().is_empty() {
        return Err(RequestError::bad(format!("{field}: empty")));
    }
    check(field, text, 1..=limit, is_in_line)
}

/// True if a text of one line can hold the character.
fn is_in_line(character: char) -> bool {
    !character.is_control()
}

/// True if there is one `@` between two parts of visible characters. Errs towards yes.
fn is_plausible_email(text: &str) -> bool {
    let is_hidden = |character: char| character.is_whitespace() || character.is_control();
    let is_part = |part: &str| !part.is_empty() && !part.contains(|c| c == '@' || is_hidden(c));
    text.split_once('@').is_some_and(|(name, host)| is_part(name) && is_part(host))
}
