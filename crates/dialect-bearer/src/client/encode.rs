//! Requests, from the domain to HTTP requests, handshakes and frames.

use crate::errors::unsupported;
use crate::form;
use crate::head::{IDEMPOTENCY_KEY, is_key, is_token};
use crate::routes::{Body, Operation};
use crate::wire::{self, HISTORY_LIMIT, Id, Object, is_text, typing_kind};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Uri};
use serde::Serialize;
use serde_json::Value;
use tolmach_dialect::{Credentials, Frame, Request, Unsupported, json, websocket_request};
use tolmach_domain::{
    Authority, Command, FlowId, FlowKind, FlowKindFilter, GrantKind, HistoryRange, LoginIdentifier,
    NewMessage, Photo, PhotoOf, UserId, UserRef,
};

/// Encodes a request as an HTTP request, and names its operation.
pub(super) fn request(request: &Request) -> Result<(Operation, http::Request<Bytes>), Unsupported> {
    let has_no_form = || unsupported(request.command.name());
    let form = is_member(request).then(|| RequestForm::new(&request.command)).flatten();
    let RequestForm { operation, id, query, json, photo, key } = form.ok_or_else(has_no_form)?;
    let route = operation.route();
    let mut builder =
        http::Request::builder().method(route.method.clone()).uri(target(operation, id, &query));
    let body = match route.body {
        Body::Nothing => Bytes::new(),
        Body::Json(_) => {
            builder = builder.header(CONTENT_TYPE, "application/json");
            json
        }
        Body::Form(_) => {
            let (content_type, body) = form::write(&json, photo);
            builder = builder.header(CONTENT_TYPE, content_type);
            body
        }
    };
    if let Some(key) = key {
        let escaped = key.replace('\\', r"\\").replace('"', r#"\""#);
        builder = builder.header(IDEMPOTENCY_KEY, format!("\"{escaped}\""));
    }
    if route.secured {
        let value = authorization(&request.credentials).ok_or_else(has_no_form)?;
        builder = builder.header(AUTHORIZATION, value);
    }
    builder.body(body).map(|request| (operation, request)).map_err(|_| has_no_form())
}

/// Encodes the handshake with the room in which a request is made.
pub(super) fn handshake(request: &Request) -> Result<Parts, Unsupported> {
    let has_no_form = || unsupported(request.command.name());
    let (flow, kinds, limit, offset) = match &request.command {
        _ if !is_member(request) => return Err(has_no_form()),
        // Sending needs no history.
        Command::Send(message) => (message.flow, message.kinds, 0, 0),
        Command::ShowTyping { flow, .. } => (*flow, FlowKindFilter::Any, 0, 0),
        Command::History {
            flow,
            kinds,
            range: HistoryRange::Newest { limit: limit @ ..=HISTORY_LIMIT, offset },
            mark_read: false,
        } => (*flow, *kinds, *limit, *offset),
        _ => return Err(has_no_form()),
    };
    let operation = match kinds {
        FlowKindFilter::Any | FlowKindFilter::Chat => Operation::ChatRoom,
        FlowKindFilter::Shared => Operation::GroupRoom,
    };
    let query = format!("?limit={limit}&offset={offset}");
    let uri: Result<Uri, _> = target(operation, Some(flow.get()), &query).parse();
    let mut parts = websocket_request("/");
    parts.uri = uri.map_err(|_| has_no_form())?;
    let value = authorization(&request.credentials).ok_or_else(has_no_form)?;
    parts.headers.insert(AUTHORIZATION, value);
    Ok(parts)
}

/// Encodes the handshake with all rooms; `None` for credentials without a form on this wire.
pub(super) fn main(credentials: &Credentials) -> Option<Parts> {
    let mut parts = websocket_request(Operation::Main.route().path);
    parts.headers.insert(AUTHORIZATION, authorization(credentials)?);
    Some(parts)
}

/// The range of a history of this room, for [`Command::History`] only.
pub(super) fn history_range(
    command: &Command,
    room: FlowId,
    kinds: FlowKindFilter,
) -> Option<HistoryRange> {
    match command {
        Command::History { flow, kinds: asked, range, mark_read: false }
            if *flow == room && matches(*asked, kinds) =>
        {
            Some(*range)
        }
        _ => None,
    }
}

/// Encodes a request as a frame in a room.
pub(super) fn frame(
    request: &Request,
    room: FlowId,
    kinds: FlowKindFilter,
) -> Result<Frame, Unsupported> {
    let (kind, text) = match &request.command {
        _ if !is_member(request) => return Err(unsupported(request.command.name())),
        Command::Send(message)
            if message.flow == room && matches(message.kinds, kinds) && is_plain(message) =>
        {
            ("message", Value::from(message.content.text.as_str()))
        }
        Command::ShowTyping { flow, active } if *flow == room => {
            (typing_kind(*active), Value::Null)
        }
        command => return Err(unsupported(command.name())),
    };
    Ok(wire::text_frame(&wire::ClientFrame { kind: kind.into(), text }))
}

/// True if the request claims the right of an ordinary user, the only one on this wire.
fn is_member(request: &Request) -> bool {
    request.authority == Authority::Member
}

fn matches(asked: FlowKindFilter, kinds: FlowKindFilter) -> bool {
    asked == kinds || asked == FlowKindFilter::Any
}

/// True if a message is text and no more. Its content type and key have no form on this wire.
fn is_plain(message: &NewMessage) -> bool {
    let content = &message.content;
    !content.text.is_empty()
        && content.attachments.is_empty()
        && content.emoji.is_none()
        && content.reply_to.is_none()
}

fn target(operation: Operation, id: Option<i64>, query: &str) -> String {
    let path = operation.route().path;
    let path = id.map_or_else(|| path.to_owned(), |id| path.replace("{id}", &id.to_string()));
    path + query
}

/// The header of a token of either kind. A token of a named user, and a connection's own identity,
/// have no form on this wire.
fn authorization(credentials: &Credentials) -> Option<HeaderValue> {
    let (Credentials::Bearer(token) | Credentials::Token(token)) = credentials else { return None };
    let token = token.expose();
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    is_token(token).then_some(value)
}

/// The variable parts of an HTTP request.
struct RequestForm<'a> {
    operation: Operation,
    /// The value of `{id}` in the path.
    id: Option<i64>,
    /// Empty, or with its question mark.
    query: String,
    json: Bytes,
    photo: Option<&'a Photo>,
    key: Option<&'a str>,
}

impl<'a> RequestForm<'a> {
    /// The form of a command; `None` if this wire has none.
    fn new(command: &'a Command) -> Option<Self> {
        Some(match command {
            // The profile is another request of this wire.
            Command::Register(registration)
                if matches!(registration.grant, GrantKind::Token | GrantKind::Pair) =>
            {
                Self::of(Operation::Register).json(&wire::Register {
                    email: registration.email.as_deref()?.into(),
                    password: registration.password.expose().into(),
                    number: registration.phone.as_deref().map(Into::into),
                    username: registration.login.as_deref().map(Into::into),
                })
            }
            Command::Login { identifier, password, grant: GrantKind::Pair | GrantKind::Token } => {
                let (email, username) = match identifier {
                    LoginIdentifier::Email(email) => (Some(email.into()), None),
                    LoginIdentifier::Any(login) => (None, Some(login.into())),
                };
                Self::of(Operation::Login).json(&wire::Login {
                    email,
                    username,
                    password: password.expose().into(),
                })
            }
            Command::Refresh { token } => Self::of(Operation::Refresh)
                .json(&wire::Refresh { refresh_token: token.expose().into() }),
            Command::Logout { login: None } => Self::of(Operation::Logout),
            Command::CreateProfile(profile) if profile.bio.chars().all(is_text) => {
                let form = Self::of(Operation::CreateUser).json(&wire::NewUser {
                    username: profile.username.as_str().into(),
                    name: profile.name.as_str().into(),
                    description: Some(profile.bio.as_str().into()),
                });
                Self { photo: profile.photo.as_ref(), ..form }
            }
            Command::GetUser { user: UserRef::Me } => Self::of(Operation::GetMe),
            Command::GetUser { user: UserRef::Id(user) } => Self::user(Operation::GetUser, *user),
            Command::GetPhoto { of: PhotoOf::User(user) } => {
                Self::user(Operation::GetUserPhoto, *user)
            }
            Command::GetPhoto { of: PhotoOf::Flow(flow) } => {
                Self::flow(Operation::GetGroupPhoto, *flow)
            }
            Command::OpenChat { with: UserRef::Id(user) } => Self::user(Operation::OpenChat, *user),
            Command::CreateFlow(flow)
                if flow.kind == FlowKind::Group
                    && flow.info.chars().all(is_text)
                    && flow.key.as_deref().is_none_or(is_key) =>
            {
                let form = Self::of(Operation::CreateGroup).json(&wire::NewGroup {
                    name: flow.title.as_str().into(),
                    description: Some(flow.info.as_str().into()),
                    users: named_users(&flow.members),
                });
                Self { photo: flow.photo.as_ref(), key: flow.key.as_deref(), ..form }
            }
            // Only groups can be deleted, which is what any kind amounts to.
            Command::DeleteFlow { flow, kinds: FlowKindFilter::Shared | FlowKindFilter::Any } => {
                Self::flow(Operation::DeleteGroup, *flow)
            }
            Command::GetFlow {
                flow, kinds: FlowKindFilter::Chat | FlowKindFilter::Any, ..
            } => Self::flow(Operation::GetChat, *flow),
            Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: false } => {
                Self::flow(Operation::GetGroup, *flow)
            }
            Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: true } => {
                Self::flow(Operation::GetGroupUsers, *flow)
            }
            Command::AddMembers { flow, users } => Self::flow(Operation::AddUsers, *flow)
                .json(&wire::Users { users: named_users(users) }),
            Command::RemoveMembers { flow, users } => Self::flow(Operation::RemoveUsers, *flow)
                .json(&wire::Users { users: named_users(users) }),
            Command::ListFlows { limit, offset, members: false } => {
                let limit = limit.map(|limit| format!("limit={limit}&")).unwrap_or_default();
                Self { query: format!("?{limit}offset={offset}"), ..Self::of(Operation::ListChats) }
            }
            _ => return None,
        })
    }

    fn of(operation: Operation) -> Self {
        let (json, query) = (Bytes::new(), String::new());
        Self { operation, id: None, query, json, photo: None, key: None }
    }

    fn user(operation: Operation, user: UserId) -> Self {
        Self { id: Some(user.get()), ..Self::of(operation) }
    }

    fn flow(operation: Operation, flow: FlowId) -> Self {
        Self { id: Some(flow.get()), ..Self::of(operation) }
    }

    fn json(self, body: &impl Serialize) -> Self {
        Self { json: json::write(body), ..self }
    }
}

fn named_users(users: &[UserId]) -> Vec<Object<wire::NamedUser<'static>>> {
    users.iter().map(|user| Object(wire::NamedUser { id: Id(*user), name: None })).collect()
}
