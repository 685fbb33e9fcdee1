//! Handshakes, frames and responses for the tests.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, DialectClient, Event, Frame, Handshake,
    HandshakeRejection, Incoming, RenderContext, ServerSession, Unsupported,
};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{Answer, ConnectionId, EventKind, Fault, Origin, Timestamp};

/// The connection of every session here.
pub(crate) const OWN: ConnectionId = ConnectionId(7);

pub(crate) fn now() -> Timestamp {
    fixtures::time(0)
}

/// Starts the server's side, or gives the response that rejects the handshake.
pub(crate) fn accept(
    request: &Request<()>,
) -> Result<Box<dyn ServerSession>, Box<Response<Bytes>>> {
    let (parts, ()) = request.clone().into_parts();
    let accepted = Bearer.accept(&Handshake::new(OWN).request(&parts));
    accepted.map_err(|HandshakeRejection { response }| response)
}

/// Starts the client's side.
pub(crate) fn connect(request: Request<()>) -> Box<dyn ClientSession> {
    let (parts, ()) = request.into_parts();
    Bearer.connect(&Handshake::new(OWN).request(&parts)).expect("the handshake is our own")
}

pub(crate) fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("the parts are valid")
}

/// The handshake of a WebSocket with ANN's token.
pub(crate) fn socket(uri: &str) -> Request<()> {
    let authorization = format!("Bearer {}", ANN.token);
    request("GET", uri, &[("upgrade", "websocket"), ("authorization", &authorization)])
}

/// The one request that a handshake makes.
pub(crate) fn initial_request(session: &mut dyn ServerSession) -> tolmach_dialect::Request {
    let mut requests = Vec::new();
    session.initial_requests(now(), &mut requests);
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

/// A room whose history was sent, up to version 2.
pub(crate) fn entered(uri: &str, flow: i64) -> Box<dyn ServerSession> {
    let mut room = accept(&socket(uri)).expect("the handshake is accepted");
    let initial = initial_request(room.as_mut());
    room.authenticated(Some(ANN.identity()));
    let history = Answer::History(Box::new(fixtures::message_page(flow)));
    assert_eq!(respond(room.as_mut(), &initial, Ok(history)).len(), 1);
    room
}

pub(crate) fn decode(
    session: &mut dyn ServerSession,
    frame: &Frame,
) -> Vec<tolmach_dialect::Request> {
    let mut requests = Vec::new();
    session.decode(now(), frame, &mut requests).expect("the frame is well-formed");
    requests
}

/// The frames of a response to a request of ANN.
pub(crate) fn respond(
    session: &mut dyn ServerSession,
    request: &tolmach_dialect::Request,
    outcome: Result<Answer, Fault>,
) -> Vec<Frame> {
    respond_with(session, &request.correlation, outcome)
}

/// The frames of a response with this correlation.
pub(crate) fn respond_with(
    session: &mut dyn ServerSession,
    correlation: &Correlation,
    outcome: Result<Answer, Fault>,
) -> Vec<Frame> {
    let identity = outcome.is_ok().then(|| ANN.identity());
    let correlation = correlation.clone();
    let response = tolmach_dialect::Response { correlation, identity, outcome };
    let mut frames = Vec::new();
    session
        .respond(now(), &response, &RenderContext::EMPTY, &mut frames)
        .expect("the wire has a form for the response");
    frames
}

/// The frames of a client's request.
pub(crate) fn encode(
    session: &mut dyn ClientSession,
    request: &tolmach_dialect::Request,
) -> Result<Vec<Frame>, Unsupported> {
    let mut frames = Vec::new();
    session.request(now(), request, &mut frames).map(|()| frames)
}

pub(crate) fn receive(session: &mut dyn ClientSession, frame: &Frame) -> Vec<Incoming> {
    let mut incoming = Vec::new();
    session.decode(now(), frame, &mut incoming).expect("the frame is well-formed");
    incoming
}

pub(crate) fn json_of(frame: &Frame) -> Value {
    serde_json::from_slice(frame.payload()).expect("the payload is JSON")
}

pub(crate) fn http_response(frame: &Frame) -> &Response<Bytes> {
    match frame {
        Frame::Response(response) => response,
        other => panic!("not an HTTP response: {other:?}"),
    }
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event::new(now(), kind)
}

pub(crate) fn caused_by(connection: ConnectionId, kind: EventKind) -> Event {
    let origin = Origin { connection, dialect: "bearer", client_tag: None };
    Event { origin: Some(origin), ..event(kind) }
}
