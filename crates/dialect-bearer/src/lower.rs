//! From the domain to the wire: answers and events to responses and frames, asks to requests and
//! frames.

use crate::DIALECT;
use crate::faults;
use crate::form;
use crate::lift::{HISTORY_LIMIT, IDEMPOTENCY_KEY, in_text, is_key, is_token};
use crate::routes::{Body, Operation};
use crate::wire::{self, MessageKind, Object, RoomKind};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Request, Response, StatusCode};
use tolmach_dialect::{Ask, Frame, Loss, Notice};
use tolmach_domain::{
    Answer, Authority, Command, Credentials, EventKind, FlowId, FlowKind, FlowKindFilter,
    FlowSummary, GrantKind, HistoryRange, Message, MessagePage, NewMessage, Photo, PhotoOf, Secret,
    Tokens, User, UserId, UserRef, UserSummary,
};

/// The subprotocol after which a browser names its token.
pub(crate) const WEBSOCKET_PROTOCOL: &str = "bearer";

/// The `type` of a frame that tells that somebody types.
pub(crate) const TYPING: &str = "typing";
/// The `type` of a frame that tells that somebody has stopped typing.
pub(crate) const STOP_TYPING: &str = "stop_typing";

/// What this wire cannot say.
pub(crate) fn loss(what: &'static str) -> Loss {
    Loss { dialect: DIALECT, what }
}

/// The response to a request that was granted.
pub(crate) fn response(
    operation: Operation,
    answer: &Answer,
    viewer: Option<UserId>,
) -> Result<Response<Bytes>, Loss> {
    let body = match (operation, answer) {
        (Operation::Register | Operation::Login | Operation::Refresh, Answer::Granted(grant)) => {
            match &grant.tokens {
                Tokens::Pair { access, refresh } => wire::write(&wire::TokenPair {
                    access_token: access.expose().into(),
                    refresh_token: refresh.expose().into(),
                }),
                Tokens::Nothing | Tokens::Connection | Tokens::Token(_) => {
                    return Err(loss(operation.name()));
                }
            }
        }
        (Operation::Logout, Answer::LoggedOut) => {
            wire::write(&wire::LoggedOut { logout: "success".into() })
        }
        (Operation::CreateUser, Answer::ProfileCreated)
        | (Operation::DeleteGroup, Answer::FlowDeleted { .. })
        | (Operation::AddUsers, Answer::MembersAdded { .. })
        | (Operation::RemoveUsers, Answer::MembersRemoved { .. }) => {
            wire::write(&wire::Status { status: "ok".into() })
        }
        (Operation::GetMe | Operation::GetUser, Answer::User(user)) => wire::write(&wire::User {
            id: user.id,
            name: user.name.as_str().into(),
            username: user.username.as_str().into(),
            description: user.bio.as_str().into(),
        }),
        (Operation::GetUserPhoto | Operation::GetGroupPhoto, Answer::Photo(photo)) => {
            return Ok(image(photo));
        }
        (Operation::OpenChat, Answer::ChatOpened { flow, .. }) => wire::write(&wire::ChatOpened {
            status: "ok".into(),
            chat: Object(wire::ChatReference { id: *flow }),
        }),
        (Operation::GetChat, Answer::Flow(overview)) => wire::write(&wire::ChatInfo {
            id: overview.flow.id,
            name: title(overview, viewer).into(),
            kind: RoomKind::Private,
            users: overview.members.iter().map(member).collect(),
        }),
        (Operation::CreateGroup, Answer::FlowCreated { flow, title }) => {
            let group = wire::GroupReference { id: *flow, name: title.as_str().into() };
            wire::write(&wire::GroupCreated { status: "ok".into(), group: Object(group) })
        }
        (Operation::GetGroup, Answer::Flow(overview)) => wire::write(&wire::GroupInfo {
            id: overview.flow.id,
            name: title(overview, viewer).into(),
            description: overview.flow.info.as_str().into(),
        }),
        (Operation::GetGroupUsers, Answer::Flow(overview)) => {
            wire::write(&wire::GroupUsers { users: overview.members.iter().map(member).collect() })
        }
        (Operation::ListChats, Answer::Flows(flows)) => wire::write(&wire::Chats {
            rooms: flows.iter().map(|overview| room(overview, viewer)).collect(),
        }),
        _ => return Err(loss(operation.name())),
    };
    Ok(faults::json_response(StatusCode::OK, body))
}

/// A photo as a response that no browser takes for a page, whatever was uploaded.
fn image(photo: &Photo) -> Response<Bytes> {
    let mut response = Response::new(photo.content.clone());
    let media_type = HeaderValue::from_str(&photo.media_type);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
    response
}

/// What a flow is called: a chat after its other member, or as the wire that it was read from
/// called it.
fn title(overview: &FlowSummary, viewer: Option<UserId>) -> &str {
    let other = overview
        .members
        .iter()
        .find(|member| Some(member.id) != viewer)
        .or(overview.members.first());
    match (overview.flow.kind, other) {
        (FlowKind::Chat, Some(member)) => user_name(member),
        _ => &overview.flow.title,
    }
}

fn user_name(user: &User) -> &str {
    first_said([&user.name, &user.username, &user.login])
}

fn person_name(person: &UserSummary) -> &str {
    first_said([&person.name, &person.username, &person.login])
}

fn first_said(names: [&str; 3]) -> &str {
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

fn member(user: &User) -> Object<wire::Author<'_>> {
    Object(wire::Author { id: user.id, name: user_name(user).into() })
}

fn author(person: &UserSummary) -> Object<wire::Author<'_>> {
    Object(wire::Author { id: person.id, name: person_name(person).into() })
}

fn room(overview: &FlowSummary, viewer: Option<UserId>) -> Object<wire::Room<'_>> {
    Object(wire::Room {
        id: overview.flow.id,
        name: title(overview, viewer).into(),
        kind: if overview.flow.kind == FlowKind::Chat {
            RoomKind::Private
        } else {
            RoomKind::Group
        },
        last_message: overview.last.as_ref().map(|last| message(last, MessageKind::Message)),
    })
}

fn message(message: &Message, kind: MessageKind) -> Object<wire::Message<'_>> {
    Object(wire::Message {
        id: message.id,
        chat_id: message.flow,
        kind,
        text: message.content.text.as_str().into(),
        author: author(&message.author),
        time: message.posted_at.rfc3339().into(),
    })
}

/// A message as a frame.
pub(crate) fn message_frame(posted: &Message, kind: MessageKind) -> Frame {
    Frame::text(wire::write(&message(posted, kind)))
}

/// The first frame in a room.
pub(crate) fn history_frame(page: &MessagePage) -> Frame {
    let messages: Vec<_> =
        page.messages.iter().rev().map(|posted| message(posted, MessageKind::Message)).collect();
    let error = messages.is_empty().then_some("no messages".into());
    Frame::text(wire::write(&wire::History { kind: "history".into(), messages, error }))
}

/// An event as a frame: a message, as `kind` where that is said, or typing in a room.
pub(crate) fn notice_frame(notice: &Notice, kind: MessageKind) -> Result<Frame, Loss> {
    match (&notice.kind, kind) {
        (EventKind::Posted(posted), kind) => Ok(message_frame(posted, kind)),
        (EventKind::Typing { user, active, .. }, MessageKind::Message) => {
            let kind = if *active { TYPING } else { STOP_TYPING };
            Ok(Frame::text(wire::write(&wire::Typing { kind: kind.into(), author: author(user) })))
        }
        _ => Err(loss(notice.name())),
    }
}

/// The frame in which a client says this in the room of `flow`.
pub(crate) fn said(ask: &Ask, flow: FlowId, kinds: FlowKindFilter) -> Result<Frame, Loss> {
    let meant = |asked: FlowKindFilter| asked == kinds || asked == FlowKindFilter::Any;
    let said = match &ask.command {
        _ if ask.authority == Authority::Administrator => return Err(loss(ask.command.name())),
        Command::Send(draft) if draft.flow == flow && meant(draft.kinds) && sayable(draft) => {
            wire::Said { kind: "message", text: Some(&draft.content.text) }
        }
        Command::ShowTyping { flow: asked, active } if *asked == flow => {
            wire::Said { kind: if *active { TYPING } else { STOP_TYPING }, text: None }
        }
        command => return Err(loss(command.name())),
    };
    Ok(Frame::text(wire::write(&said)))
}

/// Whether a draft is text and no more. What kind of text, and its key, are left out: nothing that
/// is said depends on them.
fn sayable(draft: &NewMessage) -> bool {
    let content = &draft.content;
    !content.text.is_empty()
        && content.attachments.is_empty()
        && content.emoji.is_none()
        && content.reply_to.is_none()
}

/// The request with which a client asks this, and the operation that it is.
pub(crate) fn request(ask: &Ask) -> Result<(Operation, Request<Bytes>), Loss> {
    let lost = || loss(ask.command.name());
    if ask.authority == Authority::Administrator {
        return Err(lost());
    }
    let Parts { operation, id, query, json, photo, key } = parts(&ask.command).ok_or_else(lost)?;
    let route = operation.route();
    let (content_type, body) = match route.body {
        Body::Nothing => (None, Bytes::new()),
        Body::Json(_) => (Some("application/json".to_owned()), json.into()),
        Body::Form(_) => {
            let (content_type, body) = form::write(&json, photo);
            (Some(content_type), body)
        }
    };
    let mut request =
        Request::builder().method(route.method.clone()).uri(address(operation, id, &query));
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if let Some(key) = key {
        request = request.header(
            IDEMPOTENCY_KEY,
            format!("\"{}\"", key.replace('\\', r"\\").replace('"', r#"\""#)),
        );
    }
    if route.secured {
        request = request.header(AUTHORIZATION, authorization(&ask.proof).ok_or_else(lost)?);
    }
    request.body(body).map(|request| (operation, request)).map_err(|_| lost())
}

/// The request of the handshake with which a client enters the room that this is asked in.
pub(crate) fn handshake(ask: &Ask) -> Result<Request<()>, Loss> {
    let lost = || loss(ask.command.name());
    let (flow, kinds, limit, offset) = match &ask.command {
        _ if ask.authority == Authority::Administrator => return Err(lost()),
        // Whoever comes to speak needs no history.
        Command::Send(draft) => (draft.flow, draft.kinds, 0, 0),
        Command::ShowTyping { flow, .. } => (*flow, FlowKindFilter::Any, 0, 0),
        Command::History { flow, kinds, window: HistoryRange::Newest { limit, offset } }
            if *limit <= HISTORY_LIMIT =>
        {
            (*flow, *kinds, *limit, *offset)
        }
        _ => return Err(lost()),
    };
    let operation = match kinds {
        FlowKindFilter::Any | FlowKindFilter::Chat => Operation::ChatRoom,
        FlowKindFilter::Shared => Operation::GroupRoom,
    };
    Request::get(address(operation, Some(flow.get()), &format!("?limit={limit}&offset={offset}")))
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(AUTHORIZATION, authorization(&ask.proof).ok_or_else(lost)?)
        .body(())
        .map_err(|_| lost())
}

fn address(operation: Operation, id: Option<i64>, query: &str) -> String {
    let path = operation.route().path;
    let path = id.map_or_else(|| path.to_owned(), |id| path.replace("{id}", &id.to_string()));
    path + query
}

/// A token of any kind travels in the one header. What must belong to a named user, or to a
/// connection, is not said here.
fn authorization(proof: &Credentials) -> Option<HeaderValue> {
    let token: &Secret = match proof {
        Credentials::Bearer(token) | Credentials::Token(token) => token,
        Credentials::Nothing | Credentials::Connection | Credentials::TokenOf(..) => return None,
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .ok()
        .filter(|_| is_token(token.expose()))?;
    value.set_sensitive(true);
    Some(value)
}

/// What a request is made of.
struct Parts<'a> {
    operation: Operation,
    /// What stands for `{id}` in the path.
    id: Option<i64>,
    /// Empty, or with its question mark.
    query: String,
    json: Vec<u8>,
    photo: Option<&'a Photo>,
    key: Option<&'a str>,
}

/// The request of a command; `None` for what this wire cannot ask.
fn parts(command: &Command) -> Option<Parts<'_>> {
    let with_json = |operation, id, json| Parts {
        operation,
        id,
        query: String::new(),
        json,
        photo: None,
        key: None,
    };
    let plain = |operation, id| with_json(operation, id, Vec::new());
    Some(match command {
        // The profile is another request of this wire.
        Command::Register(registration)
            if matches!(registration.grant, GrantKind::Token | GrantKind::Pair) =>
        {
            let body = wire::Register {
                email: registration.email.as_deref()?.into(),
                password: registration.password.expose().into(),
                number: registration.phone.as_deref().map(Into::into),
                username: registration.login.as_deref().map(Into::into),
            };
            with_json(Operation::Register, None, wire::write(&body))
        }
        Command::Login { identifier, password, grant: GrantKind::Pair | GrantKind::Token } => {
            let (email, username) = if identifier.contains('@') {
                (Some(identifier.into()), None)
            } else {
                (None, Some(identifier.into()))
            };
            with_json(
                Operation::Login,
                None,
                wire::write(&wire::Login { email, username, password: password.expose().into() }),
            )
        }
        Command::Refresh { token } => with_json(
            Operation::Refresh,
            None,
            wire::write(&wire::Refresh { refresh_token: token.expose().into() }),
        ),
        Command::Logout { login: None } => plain(Operation::Logout, None),
        Command::CreateProfile(profile) if is_text(&profile.bio) => {
            let body = wire::NewUser {
                username: profile.username.as_str().into(),
                name: profile.name.as_str().into(),
                description: Some(profile.bio.as_str().into()),
            };
            Parts {
                photo: profile.photo.as_ref(),
                ..with_json(Operation::CreateUser, None, wire::write(&body))
            }
        }
        Command::GetUser { who: UserRef::Me } => plain(Operation::GetMe, None),
        Command::GetUser { who: UserRef::Id(user) } => plain(Operation::GetUser, Some(user.get())),
        Command::GetPhoto { of: PhotoOf::User(user) } => {
            plain(Operation::GetUserPhoto, Some(user.get()))
        }
        Command::GetPhoto { of: PhotoOf::Flow(flow) } => {
            plain(Operation::GetGroupPhoto, Some(flow.get()))
        }
        Command::OpenChat { with: UserRef::Id(user) } => {
            plain(Operation::OpenChat, Some(user.get()))
        }
        Command::CreateFlow(flow)
            if flow.kind == FlowKind::Group
                && is_text(&flow.info)
                && flow.key.as_deref().is_none_or(is_key) =>
        {
            let body = wire::NewGroup {
                name: flow.title.as_str().into(),
                description: Some(flow.info.as_str().into()),
                users: named(&flow.members),
            };
            let (photo, key) = (flow.photo.as_ref(), flow.key.as_deref());
            Parts { photo, key, ..with_json(Operation::CreateGroup, None, wire::write(&body)) }
        }
        // Only a group can be deleted, so that whoever means any kind means one.
        Command::DeleteFlow { flow, kinds: FlowKindFilter::Shared | FlowKindFilter::Any } => {
            plain(Operation::DeleteGroup, Some(flow.get()))
        }
        Command::GetFlow { flow, kinds: FlowKindFilter::Chat | FlowKindFilter::Any, .. } => {
            plain(Operation::GetChat, Some(flow.get()))
        }
        Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: false } => {
            plain(Operation::GetGroup, Some(flow.get()))
        }
        Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: true } => {
            plain(Operation::GetGroupUsers, Some(flow.get()))
        }
        Command::AddMembers { flow, users } => with_json(
            Operation::AddUsers,
            Some(flow.get()),
            wire::write(&wire::NamedUsers { users: named(users) }),
        ),
        Command::RemoveMembers { flow, users } => with_json(
            Operation::RemoveUsers,
            Some(flow.get()),
            wire::write(&wire::NamedUsers { users: named(users) }),
        ),
        Command::ListFlows { limit, offset, members: false } => {
            let query = match limit {
                Some(limit) => format!("?limit={limit}&offset={offset}"),
                None => format!("?offset={offset}"),
            };
            Parts { query, ..plain(Operation::ListChats, None) }
        }
        Command::Register(_)
        | Command::Login { .. }
        | Command::Logout { .. }
        | Command::Recover { .. }
        | Command::ResetPassword { .. }
        | Command::DeleteAccount { .. }
        | Command::CreateProfile(_)
        | Command::GetUser { .. }
        | Command::SearchUsers { .. }
        | Command::OpenChat { .. }
        | Command::CreateFlow(_)
        | Command::DeleteFlow { .. }
        | Command::ListFlows { .. }
        | Command::Send(_)
        | Command::Edit { .. }
        | Command::Delete { .. }
        | Command::History { .. }
        | Command::GetChanges { .. }
        | Command::ShowTyping { .. } => return None,
    })
}

/// Whether a server takes this for a description.
fn is_text(text: &str) -> bool {
    text.chars().all(in_text)
}

fn named(users: &[UserId]) -> Vec<Object<wire::Named<'static>>> {
    users.iter().map(|id| Object(wire::Named { id: *id, name: None })).collect()
}
