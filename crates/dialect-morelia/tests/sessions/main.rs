//! Sessions of both sides, through the public boundary.

mod client;
mod examples;
mod pushes;
mod recognition;
mod server;

use serde_json::Value;
use std::sync::LazyLock;
use tolmach_dialect::{
    ClientSession, Configure, Correlation, Dialect, Frame, Handshake, Incoming, RenderContext,
    Request, Response, ServerSession, Violation,
};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{
    Answer, ConnectionId, Content, Fault, FlowId, FlowKind, Identity, Message, MessageId,
    SessionId, Timestamp, UserId, UserSummary,
};

/// The time of every request, reply and event.
static NOW: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_micros(1_594_492_370_522_599));

const CONNECTION: ConnectionId = ConnectionId(7);

fn handshake() -> Handshake<'static> {
    Handshake::new(CONNECTION).websocket(true)
}

/// The dialect with the option `push`.
fn morelia(push: bool) -> Morelia {
    let options = [("push".to_owned(), push.into())].into_iter().collect();
    Morelia::configure(options).expect("the dialect has this option")
}

fn server() -> Box<dyn ServerSession> {
    morelia(true).accept(&handshake()).expect("this dialect accepts every handshake")
}

fn client() -> Box<dyn ClientSession> {
    let dialect = Morelia::default();
    let client = dialect.client().expect("this dialect has a client");
    client.connect(&handshake()).expect("this dialect accepts every handshake")
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

/// The one request of a frame.
fn decode(server: &mut dyn ServerSession, frame: &Frame) -> Request {
    let mut requests = Vec::new();
    server.decode(*NOW, frame, &mut requests).expect("the frame is a request");
    let [request] = &requests[..] else { panic!("{requests:?} instead of one request") };
    request.clone()
}

/// The violation of a frame that is no request.
fn violation(server: &mut dyn ServerSession, frame: &Frame) -> Violation {
    let mut requests = Vec::new();
    let violation = server.decode(*NOW, frame, &mut requests).expect_err("the frame is no request");
    assert!(requests.is_empty());
    violation
}

/// The one frame of a request.
fn encode(client: &mut dyn ClientSession, request: &Request) -> Frame {
    let mut frames = Vec::new();
    client.request(*NOW, request, &mut frames).expect("the wire has a frame for it");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The one frame of a response of user 1.
fn respond(
    server: &mut dyn ServerSession,
    correlation: &Correlation,
    outcome: Result<Answer, Fault>,
) -> Frame {
    let identity = Some(identity(1));
    let response = Response { identity, ..Response::new(correlation.clone(), outcome) };
    let mut frames = Vec::new();
    let responded = server.respond(*NOW, &response, &RenderContext::EMPTY, &mut frames);
    responded.expect("the wire has a frame for it");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

/// The one response of a frame.
fn response(client: &mut dyn ClientSession, frame: &Frame) -> Response {
    let mut incoming = Vec::new();
    client.decode(*NOW, frame, &mut incoming).expect("the frame is a reply");
    let [Incoming::Response(response)] = &incoming[..] else {
        panic!("{incoming:?} instead of one response")
    };
    response.clone()
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

/// A message of user 2 in flow 5, with what the wire carries of it.
fn message(number: i64, text: &str) -> Message {
    let author = UserSummary::named(user_id(2), "user2");
    let flow = (flow_id(5), FlowKind::Group);
    Message::new(message_id(number), flow, author, Content::text(text), *NOW)
}
