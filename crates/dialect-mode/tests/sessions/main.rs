//! Both sides of a connection, through the public boundary alone.

mod client;
mod errors;
mod events;
mod options;
mod recognition;
mod server;

use serde_json::Value;
use std::sync::LazyLock;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, Frame, Handshake, Incoming, RenderContext, Request,
    Response, ServerSession, Violation,
};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, ConnectionId, Content, Fault, Flow, FlowId, FlowKind, FlowSummary, Identity, Message,
    MessageId, SessionId, Timestamp, User, UserId, UserSummary,
};

/// The time at which everything here happens.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_micros(1_594_492_370_522_599));

const CONNECTION: ConnectionId = ConnectionId(7);

fn server() -> Box<dyn ServerSession> {
    server_of(&Mode::default())
}

fn server_of(dialect: &Mode) -> Box<dyn ServerSession> {
    dialect.accept(&Handshake::new(CONNECTION)).expect("every handshake is accepted")
}

fn client() -> Box<dyn ClientSession> {
    let dialect = Mode::default();
    let client = dialect.client().expect("the dialect has a client's side");
    client.connect(&Handshake::new(CONNECTION)).expect("every handshake is accepted")
}

fn text(frame: &Frame) -> &str {
    match frame {
        Frame::Text(text) => std::str::from_utf8(text).expect("a text frame is UTF-8"),
        other => panic!("a {} frame instead of text", other.kind()),
    }
}

fn json(frame: &Frame) -> Value {
    serde_json::from_str(text(frame)).expect("a frame is JSON")
}

/// The one request of a frame.
fn decode(server: &mut dyn ServerSession, frame: &str) -> Request {
    let mut requests = Vec::new();
    server.decode(*NOW, &Frame::text(frame.to_owned()), &mut requests).expect(frame);
    assert_eq!(requests.len(), 1, "{frame}");
    requests.remove(0)
}

/// The kind of a violation and the error that it is answered with.
fn violation(server: &mut dyn ServerSession, frame: &Frame) -> (Violation, Value) {
    let mut requests = Vec::new();
    let violation = server.decode(*NOW, frame, &mut requests).expect_err("a violation");
    assert!(requests.is_empty() && violation.close.is_none(), "{violation:?}");
    let answer = json(violation.answer.as_ref().expect("a violation is answered"));
    (violation, answer)
}

/// The one frame of the response to a request.
fn respond(
    server: &mut dyn ServerSession,
    correlation: &Correlation,
    identity: Option<Identity>,
    outcome: Result<Answer, Fault>,
) -> Frame {
    let response = Response { correlation: correlation.clone(), identity, outcome };
    let mut frames = Vec::new();
    server
        .respond(*NOW, &response, &RenderContext::EMPTY, &mut frames)
        .expect("the wire has a frame for it");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The one frame of a request.
fn encode(client: &mut dyn ClientSession, request: &Request) -> Frame {
    let mut frames = Vec::new();
    client.request(*NOW, request, &mut frames).expect("the wire has a frame for it");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The one response of a frame.
fn response(client: &mut dyn ClientSession, frame: &str) -> Response {
    let mut incoming = Vec::new();
    client.decode(*NOW, &Frame::text(frame.to_owned()), &mut incoming).expect(frame);
    match incoming.pop() {
        Some(Incoming::Response(response)) if incoming.is_empty() => response,
        other => panic!("{other:?} instead of one response"),
    }
}

fn user_id(number: i64) -> UserId {
    UserId::new(number).expect("the numbers of these tests are ids")
}

fn flow_id(number: i64) -> FlowId {
    FlowId::new(number).expect("the numbers of these tests are ids")
}

/// User `number`, in the session with the hundredfold number.
fn identity(number: i64) -> Identity {
    let session = SessionId::new(number * 100).expect("the numbers of these tests are ids");
    Identity { user: user_id(number), session: Some(session) }
}

fn user(number: i64) -> User {
    User {
        username: format!("user{number}"),
        name: format!("Name {number}"),
        ..User::named(user_id(number), format!("login{number}"))
    }
}

fn flow_summary(number: i64, kind: FlowKind, title: &str, members: &[i64]) -> FlowSummary {
    let members = members.iter().copied().map(user).collect();
    FlowSummary { members, ..FlowSummary::new(Flow::new(flow_id(number), kind, title)) }
}

/// A message as the client reads it, without what the wire does not carry.
fn message(number: i64, text: &str) -> Message {
    Message::new(
        MessageId::new(number).expect("the numbers of these tests are ids"),
        (flow_id(5), FlowKind::Chat),
        UserSummary::named(user_id(2), "user2"),
        Content::text(text),
        *NOW,
    )
}
