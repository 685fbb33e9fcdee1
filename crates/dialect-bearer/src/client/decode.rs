//! Responses and server frames, from the wire to answers and events.

use crate::routes::Operation;
use crate::wire::{self, MOBILE_STOP_TYPING, Object, RoomKind, STOP_TYPING, TYPING};
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use tolmach_dialect::{Event, InvalidReply};
use tolmach_domain::{
    Answer, Command, Content, EventKind, Flow, FlowId, FlowKind, FlowSummary, Grant, GrantKind,
    Message, MessagePage, Photo, Secret, Timestamp, Tokens, User, UserSummary,
};

/// A server's frame in a WebSocket.
#[derive(Debug)]
pub(super) enum ServerFrame {
    History(Box<MessagePage>),
    Event(Box<Event>),
    Error(String),
}

/// Decodes a frame in `room`. In the WebSocket of all rooms there is none, and messages do not name
/// the kind of theirs.
pub(super) fn server_frame(
    frame: &[u8],
    now: Timestamp,
    room: Option<(FlowId, FlowKind)>,
    depth: usize,
) -> Result<ServerFrame, InvalidReply> {
    let wire::FrameType { kind } = wire::read(frame, depth)?;
    let flow_kind = room.map_or(FlowKind::Group, |(_, kind)| kind);
    let event = |at, kind| ServerFrame::Event(Box::new(Event::new(at, kind)));
    Ok(match (kind.as_str(), room) {
        ("message" | "last_message", _) => {
            let message = message(wire::read(frame, depth)?, flow_kind)?;
            event(message.posted_at, EventKind::Posted(message))
        }
        (TYPING | STOP_TYPING | MOBILE_STOP_TYPING, Some((flow, _))) => {
            let typing: wire::Typing<'_> = wire::read(frame, depth)?;
            let (user, active) = (author(typing.author.0), kind == TYPING);
            event(now, EventKind::Typing { flow, user, active })
        }
        ("history", Some((flow, _))) => {
            let history: wire::History<'_> = wire::read(frame, depth)?;
            // The wire has the newest message first, the domain the oldest.
            let oldest_first = history.messages.into_iter().rev();
            let messages: Result<_, _> =
                oldest_first.map(|posted| message(posted.0, flow_kind)).collect();
            ServerFrame::History(Box::new(MessagePage::new(flow, messages?)))
        }
        ("error", _) => {
            ServerFrame::Error(wire::read::<wire::ErrorFrame<'_>>(frame, depth)?.error.into())
        }
        _ => return Err(InvalidReply::SHAPE),
    })
}

/// Decodes a successful response. The command has what the wire leaves out.
pub(super) fn answer(
    operation: Operation,
    command: &Command,
    response: &Response<Bytes>,
    depth: usize,
) -> Result<Answer, InvalidReply> {
    let body = response.body();
    Ok(match (operation, command) {
        (Operation::Register | Operation::Login | Operation::Refresh, command) => {
            let tokens = tokens(command, wire::read(body, depth)?);
            Answer::Granted(Box::new(Grant { user: None, tokens }))
        }
        (Operation::Logout, _) => {
            wire::read::<wire::LoggedOut<'_>>(body, depth)?;
            Answer::LoggedOut
        }
        (Operation::CreateUser, _) => {
            read_status(body, depth)?;
            Answer::ProfileCreated
        }
        (Operation::GetMe | Operation::GetUser, _) => {
            Answer::User(Box::new(user(wire::read(body, depth)?)))
        }
        (Operation::GetUserPhoto | Operation::GetGroupPhoto, _) => {
            let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = header.ok_or(InvalidReply::SHAPE)?.to_owned();
            Answer::Photo(Photo { media_type, content: body.clone() })
        }
        (Operation::OpenChat, _) => {
            let opened: wire::ChatOpened<'_> = wire::read(body, depth)?;
            Answer::ChatOpened { flow: opened.chat.0.id.0, with: None, created: false }
        }
        (Operation::GetChat, _) => {
            let info: wire::ChatInfo<'_> = wire::read(body, depth)?;
            let flow = Flow::new(info.id.0, FlowKind::Chat, "");
            Answer::Flow(Box::new(with_members(flow, info.users)))
        }
        (Operation::CreateGroup, _) => {
            let created: wire::GroupCreated<'_> = wire::read(body, depth)?;
            Answer::FlowCreated { flow: created.group.0.id.0, title: created.group.0.name.into() }
        }
        (Operation::DeleteGroup, Command::DeleteFlow { flow, .. }) => {
            read_status(body, depth)?;
            Answer::FlowDeleted { flow: *flow }
        }
        (Operation::GetGroup, _) => {
            let info: wire::GroupInfo<'_> = wire::read(body, depth)?;
            let flow = Flow::new(info.id.0, FlowKind::Group, info.name);
            let flow = Flow { info: info.description.into(), ..flow };
            Answer::Flow(Box::new(FlowSummary::new(flow)))
        }
        (Operation::GetGroupUsers, Command::GetFlow { flow, .. }) => {
            let users: wire::Users<wire::Author<'_>> = wire::read(body, depth)?;
            let flow = Flow::new(*flow, FlowKind::Group, "");
            Answer::Flow(Box::new(with_members(flow, users.users)))
        }
        (Operation::AddUsers, Command::AddMembers { flow, users }) => {
            read_status(body, depth)?;
            Answer::MembersAdded { flow: *flow, users: users.clone() }
        }
        (Operation::RemoveUsers, Command::RemoveMembers { flow, users }) => {
            read_status(body, depth)?;
            Answer::MembersRemoved { flow: *flow, users: users.clone() }
        }
        (Operation::ListChats, _) => {
            let chats: wire::Chats<'_> = wire::read(body, depth)?;
            let rooms = chats.rooms.into_iter().map(|listed| room(listed.0));
            Answer::Flows(rooms.collect::<Result<_, _>>()?)
        }
        _ => return Err(InvalidReply::SHAPE),
    })
}

/// The tokens of a grant. Where one opaque token was asked for, it is the access token.
fn tokens(command: &Command, pair: wire::TokenPair<'_>) -> Tokens {
    let grant = match command {
        Command::Register(registration) => registration.grant,
        Command::Login { grant, .. } => *grant,
        _ => GrantKind::Pair,
    };
    let access = Secret::new(pair.access_token);
    match grant {
        GrantKind::Token => Tokens::Token(access),
        _ => Tokens::Pair { access, refresh: Secret::new(pair.refresh_token) },
    }
}

fn read_status(body: &[u8], depth: usize) -> Result<(), InvalidReply> {
    wire::read::<wire::Status<'_>>(body, depth)?;
    Ok(())
}

fn user(user: wire::User<'_>) -> User {
    let (username, login) = (user.username.clone().into(), user.username.into());
    User { username, login, bio: user.description.into(), ..User::named(user.id.0, user.name) }
}

fn author(author: wire::Author<'_>) -> UserSummary {
    UserSummary::named(author.id.0, author.name)
}

fn with_members(flow: Flow, users: Vec<Object<wire::Author<'_>>>) -> FlowSummary {
    let members = users.into_iter().map(|user| User::named(user.0.id.0, user.0.name)).collect();
    FlowSummary { members, ..FlowSummary::new(flow) }
}

fn room(room: wire::Room<'_>) -> Result<FlowSummary, InvalidReply> {
    let kind = match room.kind {
        RoomKind::Private => FlowKind::Chat,
        RoomKind::Group => FlowKind::Group,
    };
    let last = room.last_message.map(|last| message(last.0, kind)).transpose()?;
    Ok(FlowSummary { last, ..FlowSummary::new(Flow::new(room.id.0, kind, room.name)) })
}

fn message(message: wire::Message<'_>, kind: FlowKind) -> Result<Message, InvalidReply> {
    let posted_at = Timestamp::parse_rfc3339(&message.time).ok_or(InvalidReply::SHAPE)?;
    let (flow, content) = ((message.chat_id.0, kind), Content::text(message.text));
    Ok(Message::new(message.id.0, flow, author(message.author.0), content, posted_at))
}
