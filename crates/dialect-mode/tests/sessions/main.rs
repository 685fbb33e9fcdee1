//! Both ends of a connection, through the public boundary alone.

mod client;
mod pushes;
mod recognition;
mod server;
mod specification;

use serde_json::Value;
use std::sync::LazyLock;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Opening, Reply, Session, Settings, Side};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, ConnectionId, Content, ContentType, Fault, Flow, FlowId, FlowKind, FlowSummary,
    Identity, Message, MessageId, SessionId, Timestamp, User, UserId, UserSummary, Version,
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
    Mode.open(&opening(), side).expect("this dialect refuses no opening")
}

fn server() -> Box<dyn Session> {
    session(Side::Server)
}

fn client() -> Box<dyn Session> {
    session(Side::Client)
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

/// The one ask of a frame.
fn ask(session: &mut dyn Session, frame: &Frame) -> Ask {
    let mut lines = Vec::new();
    session.decode(*NOW, frame, &mut lines).expect("the frame is an ask");
    match lines.pop() {
        Some(Line::Ask(ask)) if lines.is_empty() => ask,
        other => panic!("{other:?} was heard"),
    }
}

/// The one ask of a text.
fn ask_text(session: &mut dyn Session, text: &str) -> Ask {
    ask(session, &Frame::text(text.to_owned()))
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

fn reply(echo: &Echo, identity: Option<Identity>, outcome: Result<Answer, Fault>) -> Line {
    Line::Reply(Reply { echo: echo.clone(), identity, outcome })
}

fn user_id(number: i64) -> UserId {
    UserId::new(number).expect("the numbers of these tests are ids")
}

fn flow_id(number: i64) -> FlowId {
    FlowId::new(number).expect("the numbers of these tests are ids")
}

/// User `number`, in the session with the hundredfold number.
fn identity(number: i64) -> Identity {
    Identity { user: user_id(number), session: Some(session_id(number * 100)) }
}

fn session_id(number: i64) -> SessionId {
    SessionId::new(number).expect("the numbers of these tests are ids")
}

fn user(number: i64) -> User {
    User {
        id: user_id(number),
        login: format!("login{number}"),
        username: format!("user{number}"),
        name: format!("Name {number}"),
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        created_at: *NOW,
        changed_at: *NOW,
        deleted_at: None,
    }
}

fn flow(number: i64, kind: FlowKind, title: &str) -> Flow {
    Flow {
        id: flow_id(number),
        kind,
        title: title.to_owned(),
        info: String::new(),
        owner: None,
        photo: None,
        version: Version(1),
        created_at: *NOW,
        changed_at: *NOW,
    }
}

fn overview(flow: Flow, members: &[i64]) -> FlowSummary {
    FlowSummary {
        flow,
        members: members.iter().copied().map(user).collect(),
        last: None,
        first: None,
        read: Version(0),
    }
}

/// A message as the client's end reads it: what the wire does not carry is at its least.
fn message(number: i64, text: &str) -> Message {
    let username: std::sync::Arc<str> = "user2".into();
    Message {
        id: MessageId::new(number).expect("the numbers of these tests are ids"),
        flow: flow_id(5),
        flow_kind: FlowKind::Chat,
        author: UserSummary {
            id: user_id(2),
            login: username.clone(),
            username: username.clone(),
            name: username,
        },
        content: Content { content_type: ContentType::Text, ..Content::text(text) },
        posted: Version(0),
        version: Version(0),
        posted_at: *NOW,
        edited_at: None,
        deleted_at: None,
        changed_at: *NOW,
    }
}
