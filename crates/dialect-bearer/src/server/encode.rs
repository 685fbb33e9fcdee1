//! Answers and events, from the domain to responses and frames.

use crate::errors::unsupported;
use crate::routes::Operation;
use crate::wire::{self, Id, MOBILE_STOP_TYPING, MessageKind, Object, RoomKind, typing_kind};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tolmach_dialect::{Event, Frame, Unsupported, Variant, WireNames};
use tolmach_domain::{
    Answer, EventKind, FlowKind, FlowSummary, Message, MessagePage, Photo, Tokens, User, UserId,
    UserSummary,
};

/// A message in its room.
pub(super) const MESSAGE: Variant = Variant(0);
/// Typing in a room.
pub(super) const TYPING: Variant = Variant(1);
/// A message in the WebSocket of all rooms.
pub(super) const LAST_MESSAGE: Variant = Variant(2);
/// A message in its room, of the revision `swiftly-mobile`.
pub(super) const MOBILE_MESSAGE: Variant = Variant(3);
/// Typing in a room, of the revision `swiftly-mobile`.
pub(super) const MOBILE_TYPING: Variant = Variant(4);

/// Renders an event as a frame.
pub(crate) fn render(event: &Event, variant: Variant) -> Result<Frame, Unsupported> {
    match (variant, &event.kind) {
        (MESSAGE, EventKind::Posted(message)) => Ok(message_frame(message, MessageKind::Message)),
        (LAST_MESSAGE, EventKind::Posted(message)) => {
            Ok(message_frame(message, MessageKind::LastMessage))
        }
        (MOBILE_MESSAGE, EventKind::Posted(posted)) => {
            let Object(document) = message(posted, MessageKind::Message);
            let created_at = document.time.clone();
            let from_id = document.author.0.id;
            Ok(wire::text_frame(&wire::MobileMessage { document, created_at, from_id }))
        }
        (TYPING | MOBILE_TYPING, EventKind::Typing { user, active, .. }) => {
            let kind = match (variant, active) {
                (MOBILE_TYPING, false) => MOBILE_STOP_TYPING,
                _ => typing_kind(*active),
            };
            let kind = kind.into();
            Ok(wire::text_frame(&wire::Typing { kind, author: author(user) }))
        }
        _ => Err(unsupported(event.name())),
    }
}

/// Encodes a message as a frame.
pub(super) fn message_frame(posted: &Message, kind: MessageKind) -> Frame {
    wire::text_frame(&message(posted, kind))
}

/// Encodes the first frame in a room.
pub(super) fn history_frame(page: &MessagePage) -> Frame {
    let newest_first = page.messages.iter().rev();
    let messages: Vec<_> =
        newest_first.map(|posted| message(posted, MessageKind::Message)).collect();
    let error = messages.is_empty().then_some("no messages".into());
    wire::text_frame(&wire::History { kind: "history".into(), messages, error })
}

/// Encodes the response to a request that was carried out. A chat is named after its member who is
/// not `viewer`.
pub(super) fn response(
    operation: Operation,
    answer: &Answer,
    viewer: Option<UserId>,
) -> Result<Response<Bytes>, Unsupported> {
    Ok(match (operation, answer) {
        (Operation::Register | Operation::Login | Operation::Refresh, Answer::Granted(grant)) => {
            let Tokens::Pair { access, refresh } = &grant.tokens else {
                return Err(unsupported(operation.name()));
            };
            ok(&wire::TokenPair {
                access_token: access.expose().into(),
                refresh_token: refresh.expose().into(),
            })
        }
        (Operation::Logout, Answer::LoggedOut) => ok(&wire::LoggedOut { logout: "success".into() }),
        (Operation::CreateUser, Answer::ProfileCreated)
        | (Operation::DeleteGroup, Answer::FlowDeleted { .. })
        | (Operation::AddUsers, Answer::MembersAdded { .. })
        | (Operation::RemoveUsers, Answer::MembersRemoved { .. }) => {
            ok(&wire::Status { status: "ok".into() })
        }
        (Operation::GetMe | Operation::GetUser, Answer::User(user)) => ok(&wire::User {
            id: Id(user.id),
            name: user.name.as_str().into(),
            username: user.username.as_str().into(),
            description: user.bio.as_str().into(),
        }),
        (Operation::GetUserPhoto | Operation::GetGroupPhoto, Answer::Photo(photo)) => image(photo),
        (Operation::OpenChat, Answer::ChatOpened { flow, .. }) => ok(&wire::ChatOpened {
            status: "ok".into(),
            chat: Object(wire::ChatReference { id: Id(*flow) }),
        }),
        (Operation::GetChat, Answer::Flow(summary)) => ok(&wire::ChatInfo {
            id: Id(summary.flow.id),
            name: title(summary, viewer).into(),
            kind: RoomKind::Private,
            users: members(summary),
        }),
        (Operation::GetMessages, Answer::History(page)) => {
            let newest_first = page.messages.iter().rev();
            ok(&newest_first.map(stored_message).collect::<Vec<_>>())
        }
        (Operation::CreateGroup, Answer::FlowCreated { flow, title }) => ok(&wire::GroupCreated {
            status: "ok".into(),
            group: Object(wire::GroupReference { id: Id(*flow), name: title.as_str().into() }),
        }),
        (Operation::GetGroup, Answer::Flow(summary)) => ok(&wire::GroupInfo {
            id: Id(summary.flow.id),
            name: title(summary, viewer).into(),
            description: summary.flow.info.as_str().into(),
        }),
        (Operation::GetGroupUsers, Answer::Flow(summary)) => {
            ok(&wire::Users { users: members(summary) })
        }
        (Operation::ListChats, Answer::Flows(flows)) => {
            ok(&wire::Chats { rooms: flows.iter().map(|summary| room(summary, viewer)).collect() })
        }
        _ => return Err(unsupported(operation.name())),
    })
}

fn ok(body: &impl Serialize) -> Response<Bytes> {
    wire::json_response(StatusCode::OK, body)
}

/// A photo, with headers that keep a browser from running it as a page, whatever was uploaded.
fn image(photo: &Photo) -> Response<Bytes> {
    let unknown = HeaderValue::from_static("application/octet-stream");
    let media_type = HeaderValue::from_str(&photo.media_type).unwrap_or(unknown);
    let sandbox = HeaderValue::from_static("default-src 'none'; sandbox");
    let mut response = Response::new(photo.content.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
    response
}

/// The title of a flow: of a chat the name of its other member, or its own title where the wire
/// that it was read from names no members.
fn title(summary: &FlowSummary, viewer: Option<UserId>) -> &str {
    let other = summary.members.iter().find(|member| Some(member.id) != viewer);
    match (summary.flow.kind, other.or(summary.members.first())) {
        (FlowKind::Chat, Some(member)) => user_name(member),
        _ => &summary.flow.title,
    }
}

fn user_name(user: &User) -> &str {
    display_name([&user.name, &user.username, &user.login])
}

/// The full name, or else the username, or else the login.
fn display_name(names: [&str; 3]) -> &str {
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

fn members<'a>(summary: &'a FlowSummary) -> Vec<Object<wire::Author<'a>>> {
    let member = |user: &'a User| wire::Author { id: Id(user.id), name: user_name(user).into() };
    summary.members.iter().map(member).map(Object).collect()
}

fn author(user: &UserSummary) -> Object<wire::Author<'_>> {
    let name = display_name([&user.name, &user.username, &user.login]);
    Object(wire::Author { id: Id(user.id), name: name.into() })
}

fn room(summary: &FlowSummary, viewer: Option<UserId>) -> Object<wire::Room<'_>> {
    let is_chat = summary.flow.kind == FlowKind::Chat;
    Object(wire::Room {
        id: Id(summary.flow.id),
        name: title(summary, viewer).into(),
        kind: if is_chat { RoomKind::Private } else { RoomKind::Group },
        last_message: summary.last.as_ref().map(|last| message(last, MessageKind::Message)),
    })
}

fn stored_message(message: &Message) -> wire::StoredMessage<'_> {
    wire::StoredMessage {
        id: Id(message.id),
        text: message.content.text_naming_files(),
        created_at: message.posted_at.rfc3339().into(),
        from_id: Id(message.author.id),
    }
}

fn message(message: &Message, kind: MessageKind) -> Object<wire::Message<'_>> {
    Object(wire::Message {
        id: Id(message.id),
        chat_id: Id(message.flow),
        kind,
        text: message.content.text_naming_files(),
        author: author(&message.author),
        time: message.posted_at.rfc3339().into(),
    })
}
