//! Both ends of a connection, through the public boundary alone.

mod client;
mod handshake;
mod recognition;
mod rooms;
mod server;
mod specification;

use http::request::Parts;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use tolmach_dialect::{
    Ask, Delivery, Dialect, Echo, Frame, Line, Notice, Opening, Reply, Session, Settings, Side,
    Violation,
};
use tolmach_dialect_action::Action;
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, EventKind, Fault, Flow, FlowId, FlowKind, FlowSummary,
    Identity, Message, MessageId, Origin, SessionId, Timestamp, User, UserId, Version,
};

const TOKEN: &str = "Bearer a.b.c";
const MEMBERS: &str = "/ws/chat/";
const ADMINISTRATORS: &str = "/ws/admin-chat/";

/// The moment at which everything here happens.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_micros(1_718_647_200_000_000));

fn request(path: &str, headers: &[(&str, &str)]) -> Parts {
    let request = headers
        .iter()
        .fold(http::Request::get(path), |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("the parts are valid").into_parts().0
}

fn at(path: &str) -> Parts {
    request(path, &[("authorization", TOKEN), ("origin", "http://localhost")])
}

fn opening(request: &Parts) -> Opening<'_> {
    Opening {
        request: Some(request),
        first: None,
        connection: ConnectionId(1),
        websocket: true,
        settings: Settings::default(),
    }
}

/// A connection of user `number`, numbered alike, whose handshake was proven.
fn connected(dialect: &Action, path: &str, number: i64) -> Box<dyn Session> {
    let parts = at(path);
    let opening = Opening { connection: ConnectionId(number.unsigned_abs()), ..opening(&parts) };
    let mut session = dialect.open(&opening, Side::Server).expect("the handshake is good");
    let mut lines = Vec::new();
    session.greet(*NOW, &mut lines);
    let Some(Line::Ask(ask)) = lines.pop() else { panic!("the handshake asks nothing") };
    session.identified(identity(number));
    let granted = reply(&ask.echo, Ok(Answer::User(Box::new(user(number)))));
    assert_eq!(said(&mut *session, &granted), [], "a granted handshake is not answered");
    session
}

/// The same in room 1 already.
fn joined(dialect: &Action, path: &str, number: i64) -> Box<dyn Session> {
    let mut session = connected(dialect, path, number);
    join(&mut *session, 1, &[1, 2]);
    session
}

fn join(session: &mut dyn Session, room: i64, members: &[i64]) -> Vec<Frame> {
    let ask = ask(session, &format!(r#"{{"action":"join_room","room_pk":{room},"request_id":0}}"#));
    said(session, &reply(&ask.echo, Ok(Answer::Flow(Box::new(overview(room, members))))))
}

fn client(path: &str) -> Box<dyn Session> {
    Action::default().open(&opening(&at(path)), Side::Client).expect("a client refuses nothing")
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).expect("a text frame is UTF-8"),
        other => panic!("a {} frame was said", other.kind()),
    }
}

fn json(frame: &Frame) -> Value {
    serde_json::from_str(text(frame)).expect("a frame is JSON")
}

/// The one ask of a text.
fn ask(session: &mut dyn Session, text: &str) -> Ask {
    let mut lines = Vec::new();
    session.decode(*NOW, &Frame::text(text.to_owned()), &mut lines).expect(text);
    match lines.pop() {
        Some(Line::Ask(ask)) if lines.is_empty() => ask,
        other => panic!("{other:?} was heard"),
    }
}

fn refused(session: &mut dyn Session, frame: &Frame) -> Violation {
    let mut lines = Vec::new();
    let violation = session.decode(*NOW, frame, &mut lines).expect_err("the frame is no ask");
    assert!(lines.is_empty());
    violation
}

/// The frames of a line.
fn said(session: &mut dyn Session, line: &Line) -> Vec<Frame> {
    let mut frames = Vec::new();
    session.encode(*NOW, line, &mut frames).expect("the wire can say it");
    frames
}

/// The frame that a connection gets of a notice, and whether it is the one that all share.
fn told(dialect: &Action, session: &mut dyn Session, notice: &Notice) -> Option<(Frame, bool)> {
    match session.delivery(notice) {
        Delivery::Skip => None,
        Delivery::Shared(variant) => {
            let shared =
                dialect.render(notice, variant).expect("what is delivered can be rendered");
            assert_eq!(
                said(session, &Line::Notice(Arc::new(notice.clone()))),
                std::slice::from_ref(&shared)
            );
            Some((shared, true))
        }
        Delivery::Private => {
            said(session, &Line::Notice(Arc::new(notice.clone()))).pop().map(|frame| (frame, false))
        }
        Delivery::Close(close) => panic!("the connection is closed: {close:?}"),
    }
}

fn reply(echo: &Echo, outcome: Result<Answer, Fault>) -> Line {
    Line::Reply(Reply { echo: echo.clone(), identity: None, outcome })
}

fn notice(kind: EventKind) -> Notice {
    Event::new(*NOW, kind)
}

/// What happened because of an ask of the connection of user `number`.
fn caused(number: i64, ask: &Ask, kind: EventKind) -> Notice {
    let origin = Origin {
        connection: ConnectionId(number.unsigned_abs()),
        dialect: "action",
        tag: ask.tag.clone(),
    };
    Event { origin: Some(origin), ..notice(kind) }
}

fn user_id(number: i64) -> UserId {
    UserId::new(number).expect("the numbers of these tests are ids")
}

fn flow_id(number: i64) -> FlowId {
    FlowId::new(number).expect("the numbers of these tests are ids")
}

fn message_id(number: i64) -> MessageId {
    MessageId::new(number).expect("the numbers of these tests are ids")
}

/// User `number`, in the session with the hundredfold number.
fn identity(number: i64) -> Identity {
    Identity { user: user_id(number), session: Some(session_id(number * 100)) }
}

fn session_id(number: i64) -> SessionId {
    SessionId::new(number).expect("the numbers of these tests are ids")
}

/// Ann, Bob who has the business tariff and a telephone, and others.
fn user(number: i64) -> User {
    let (login, name) = match number {
        1 => ("ann".to_owned(), "Ann Archer".to_owned()),
        2 => ("bob".to_owned(), "Bob Baker".to_owned()),
        _ => (format!("user{number}"), format!("User {number}")),
    };
    User {
        id: user_id(number),
        username: login.clone(),
        name,
        email: Some(format!("{login}@example.org")),
        phone: (number == 2).then(|| "+15550002".to_owned()),
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: number == 2,
        profile: true,
        created_at: *NOW,
        changed_at: *NOW,
        deleted_at: None,
        login,
    }
}

fn overview(room: i64, members: &[i64]) -> FlowSummary {
    let flow = Flow {
        id: flow_id(room),
        kind: if members.len() > 2 { FlowKind::Group } else { FlowKind::Chat },
        title: String::new(),
        info: String::new(),
        owner: None,
        photo: None,
        version: Version(1),
        created_at: *NOW,
        changed_at: *NOW,
    };
    FlowSummary {
        flow,
        members: members.iter().copied().map(user).collect(),
        last: None,
        first: None,
        read: Version(0),
    }
}

/// A message of room 1.
fn message(number: i64, author: i64, text: &str) -> Message {
    Message {
        id: message_id(number),
        flow: flow_id(1),
        flow_kind: FlowKind::Chat,
        author: user(author).summary(),
        content: Content::text(text),
        posted: Version(number),
        version: Version(number),
        posted_at: *NOW,
        edited_at: None,
        deleted_at: None,
        changed_at: *NOW,
    }
}

fn posted(number: i64, author: i64, text: &str) -> EventKind {
    EventKind::Posted(message(number, author, text))
}

/// What a change of user `number` in room 1 is answered with, and what is told of it; the message
/// is number 18.
fn outcome(number: i64, command: &Command) -> (Answer, EventKind) {
    match command {
        Command::Send(draft) => {
            let message = message(18, number, &draft.content.text);
            (
                Answer::Sent { message: Some(Box::new(message.clone())), repeated: false },
                EventKind::Posted(message),
            )
        }
        Command::Edit { message: id, text, .. } => {
            let message = Message { id: *id, ..message(18, number, text) };
            (Answer::Edited(Box::new(message.clone())), EventKind::Edited(message))
        }
        Command::Delete { messages, .. } => {
            let (deleted, left): (Vec<_>, Vec<_>) =
                messages.iter().copied().partition(|id| *id == message_id(18));
            let told = deleted.iter().map(|id| (*id, Version(20))).collect();
            (
                Answer::Deleted { deleted, left },
                EventKind::Deleted { flow: flow_id(1), by: user_id(number), messages: told },
            )
        }
        other => panic!("{} changes nothing", other.name()),
    }
}
