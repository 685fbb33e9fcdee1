//! Handshakes, users, rooms and events of these tests.

use http::request::Parts;
use serde_json::Value;
use std::sync::LazyLock;
use tolmach_dialect::{Event, Frame, Handshake, Request};
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, EventKind, Flow, FlowId, FlowKind, FlowSummary,
    Identity, Message, MessageId, Origin, SessionId, Timestamp, User, UserId, Version,
};

pub(crate) const TOKEN: (&str, &str) = ("authorization", "Bearer a.b.c");
pub(crate) const ORIGIN: (&str, &str) = ("origin", "http://localhost:80");
pub(crate) const MEMBERS: &str = "/ws/chat/";
pub(crate) const ADMINISTRATORS: &str = "/ws/admin-chat/";

/// The time of every event.
pub(crate) static NOW: LazyLock<Timestamp> =
    LazyLock::new(|| Timestamp::from_micros(1_718_647_200_000_000));

pub(crate) fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
    let request = headers
        .iter()
        .fold(http::Request::get(path), |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("the parts are valid").into_parts().0
}

pub(crate) fn handshake(connection: u64, request: &Parts) -> Handshake<'_> {
    Handshake::new(ConnectionId(connection)).request(request).websocket(true).local(true)
}

pub(crate) fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).expect("a text frame is UTF-8"),
        other => panic!("a {} frame was encoded", other.kind()),
    }
}

pub(crate) fn json(frame: &Frame) -> Value {
    serde_json::from_str(text(frame)).expect("a frame is JSON")
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event::new(*NOW, kind)
}

/// The event that a request on the connection of user `number` causes.
pub(crate) fn caused(number: i64, request: &Request, kind: EventKind) -> Event {
    let client_tag = request.client_tag.clone();
    let connection = ConnectionId(number.unsigned_abs());
    Event { origin: Some(Origin { connection, dialect: "action", client_tag }), ..event(kind) }
}

pub(crate) fn user_id(number: i64) -> UserId {
    UserId::new(number).expect("the numbers of these tests are ids")
}

pub(crate) fn flow_id(number: i64) -> FlowId {
    FlowId::new(number).expect("the numbers of these tests are ids")
}

pub(crate) fn message_id(number: i64) -> MessageId {
    MessageId::new(number).expect("the numbers of these tests are ids")
}

/// User `number`, in the session of a hundred times that number.
pub(crate) fn identity(number: i64) -> Identity {
    let session = SessionId::new(number * 100).expect("the numbers of these tests are ids");
    Identity { user: user_id(number), session: Some(session) }
}

/// Ann, Bob who has the business tariff and a telephone, and others.
pub(crate) fn user(number: i64) -> User {
    let (login, name) = match number {
        1 => ("ann".to_owned(), "Ann Archer".to_owned()),
        2 => ("bob".to_owned(), "Bob Baker".to_owned()),
        _ => (format!("user{number}"), format!("User {number}")),
    };
    User {
        username: login.clone(),
        email: Some(format!("{login}@example.org")),
        phone: (number == 2).then(|| "+15550002".to_owned()),
        business: number == 2,
        login,
        ..User::named(user_id(number), name)
    }
}

pub(crate) fn summary(room: i64, members: &[i64]) -> FlowSummary {
    let kind = if members.len() > 2 { FlowKind::Group } else { FlowKind::Chat };
    let flow = Flow { version: Version(1), ..Flow::new(flow_id(room), kind, "") };
    let members = members.iter().copied().map(user).collect();
    FlowSummary { members, ..FlowSummary::new(flow) }
}

/// The answer to joining or reading a room.
pub(crate) fn room(number: i64, members: &[i64]) -> Answer {
    Answer::Flow(Box::new(summary(number, members)))
}

/// A message of room 1.
pub(crate) fn message(number: i64, author: i64, text: &str) -> Message {
    let author = user(author).summary();
    let chat = (flow_id(1), FlowKind::Chat);
    Message {
        posted: Version(number),
        version: Version(number),
        ..Message::new(message_id(number), chat, author, Content::text(text), *NOW)
    }
}

pub(crate) fn posted(number: i64, author: i64, text: &str) -> EventKind {
    EventKind::Posted(message(number, author, text))
}

/// The answer to a change of user `number` in room 1, and its event; the message is number 18.
pub(crate) fn outcome(number: i64, command: &Command) -> (Answer, EventKind) {
    match command {
        Command::Send(new) => {
            let message = message(18, number, &new.content.text);
            let answer = Answer::Sent { message: Some(Box::new(message.clone())), repeated: false };
            (answer, EventKind::Posted(message))
        }
        Command::Edit { message: id, text, .. } => {
            let message = Message { id: *id, ..message(18, number, text) };
            (Answer::Edited(Box::new(message.clone())), EventKind::Edited(message))
        }
        Command::Delete { messages, .. } => {
            let (deleted, left): (Vec<_>, Vec<_>) =
                messages.iter().copied().partition(|id| *id == message_id(18));
            let messages = deleted.iter().map(|id| (*id, Version(20))).collect();
            let (flow, by) = (flow_id(1), user_id(number));
            (Answer::Deleted { deleted, left }, EventKind::Deleted { flow, by, messages })
        }
        other => panic!("{} changes nothing", other.name()),
    }
}
