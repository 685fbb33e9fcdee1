//! Both ends of a connection, through the public boundary alone.

mod client;
mod examples;
mod pushes;
mod recognition;
mod server;
mod specification;

use serde_json::Value;
use std::sync::LazyLock;
use tolmach_dialect::{
    Ask, Dialect, Echo, Frame, Line, Opening, Reply, Session, Settings, Side, Violation,
};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{
    Answer, ConnectionId, Content, Fault, FlowId, FlowKind, Identity, Message, MessageId,
    SessionId, Timestamp, UserId, UserSummary, Version,
};

/// The moment at which everything here happens.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_micros(1_594_492_370_522_599));

fn opening() -> Opening<'static> {
    Opening {
        request: None,
        first: None,
        connection: ConnectionId(7),
        websocket: true,
        settings: Settings::default(),
    }
}

fn session(side: Side) -> Box<dyn Session> {
    Morelia.open(&opening(), side).expect("this dialect refuses no opening")
}

fn server() -> Box<dyn Session> {
    session(Side::Server)
}

fn client() -> Box<dyn Session> {
    session(Side::Client)
}

fn json(frame: &Frame) -> Value {
    serde_json::from_slice(frame.payload()).expect("a frame is JSON")
}

/// A request of user 1, in a text frame.
fn signed(kind: &str, data: Value) -> Frame {
    let mut data = data;
    data["user"] = serde_json::json!({"id": 1, "auth_id": "t"});
    Frame::text(
        serde_json::json!({"type": kind, "data": data, "jsonapi": {"version": 1.0}, "meta": null})
            .to_string(),
    )
}

/// The one ask of a frame.
fn ask(session: &mut dyn Session, frame: &Frame) -> Ask {
    let mut lines = Vec::new();
    session.decode(*NOW, frame, &mut lines).expect("the frame is an ask");
    match lines.pop() {
        Some(Line::Ask(ask)) if lines.is_empty() => ask,
        other => panic!("{other:?} was heard"),
    }
}

fn refused(session: &mut dyn Session, frame: &Frame) -> Violation {
    let mut lines = Vec::new();
    let violation = session.decode(*NOW, frame, &mut lines).expect_err("the frame is no request");
    assert!(lines.is_empty());
    violation
}

/// The one frame of a line.
fn say(session: &mut dyn Session, line: &Line) -> Frame {
    let mut frames = Vec::new();
    session.encode(*NOW, line, &mut frames).expect("the wire can say it");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The one reply of a frame.
fn heard_reply(session: &mut dyn Session, frame: &Frame) -> Reply {
    let mut lines = Vec::new();
    session.decode(*NOW, frame, &mut lines).expect("the frame is a reply");
    match lines.pop() {
        Some(Line::Reply(reply)) if lines.is_empty() => reply,
        other => panic!("{other:?} was heard"),
    }
}

fn reply(echo: &Echo, outcome: Result<Answer, Fault>) -> Line {
    Line::Reply(Reply { echo: echo.clone(), identity: Some(identity(1)), outcome })
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
    Identity { user: user_id(number), session: SessionId::new(number * 100).ok() }
}

/// A message as the client's end reads it: what the wire does not carry is at its least.
fn message(number: i64, text: &str) -> Message {
    let username: std::sync::Arc<str> = "user2".into();
    Message {
        id: message_id(number),
        flow: flow_id(5),
        flow_kind: FlowKind::Group,
        author: UserSummary {
            id: user_id(2),
            login: username.clone(),
            username: username.clone(),
            name: username,
        },
        content: Content::text(text),
        posted: Version(0),
        version: Version(0),
        posted_at: *NOW,
        edited_at: None,
        deleted_at: None,
        changed_at: *NOW,
    }
}
