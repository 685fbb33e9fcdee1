//! The client's side of a dialect: requests, and whatever a server sends in reply.

use crate::input::{self, kind};
use crate::subject::{Subject, material};
use http::request::Parts;
use tolmach_dialect::{ClientSession, Frame, Handshake};
use tolmach_dialect_kit::fixtures;
use tolmach_domain::ConnectionId;

/// The number of the connection.
const CONNECTION: ConnectionId = ConnectionId(1);

/// Feeds an input to client sessions of a dialect.
pub(crate) fn run(subject: &Subject, input: &[u8]) {
    let mut connection: Option<Connection> = None;
    for (kind, content) in input::records(input) {
        if kind == kind::REQUEST {
            connection = request(subject, connection, input::number(content));
            continue;
        }
        let frame = match kind {
            kind::RESPONSE => Some(Frame::response(input::response(content))),
            kind => input::message(kind, content),
        };
        if let (Some(frame), Some(connection)) = (frame, &mut connection) {
            connection.receive(&frame);
        }
    }
}

/// One connection of a client.
struct Connection {
    opening: Parts,
    session: Box<dyn ClientSession>,
    /// The number of requests that were made.
    requests: usize,
}

/// Makes the request of an exchange, on the connection if it serves for that, and on a new one
/// otherwise.
fn request(subject: &Subject, connection: Option<Connection>, number: usize) -> Option<Connection> {
    let request = subject.request(material().exchange(number));
    let Ok(opening) = subject.client().dial(&request) else { return connection };
    let is_same = |open: &Connection| {
        (&open.opening.method, &open.opening.uri, &open.opening.headers)
            == (&opening.method, &opening.uri, &opening.headers)
            && Handshake::new(CONNECTION).local(true).request(&opening).websocket
    };
    let mut connection = match connection.filter(is_same) {
        Some(connection) => connection,
        None => {
            let handshake = Handshake::new(CONNECTION).local(true).request(&opening);
            let session = subject.client().connect(&handshake).ok()?;
            Connection { opening, session, requests: 0 }
        }
    };
    let mut frames = Vec::new();
    match connection.session.request(fixtures::time(1), &request, &mut frames) {
        Ok(()) => connection.requests += 1,
        Err(error) => assert!(frames.is_empty(), "{error} leaves frames: {frames:?}"),
    }
    Some(connection)
}

impl Connection {
    fn receive(&mut self, frame: &Frame) {
        let mut values = Vec::new();
        let decoded = self.session.decode(fixtures::time(2), frame, &mut values);
        if decoded.is_err() {
            assert!(values.is_empty(), "an error leaves values: {values:?}");
        }
        let most = frame.payload().len() + self.requests + 1;
        assert!(values.len() <= most, "{} values of one frame", values.len());
    }
}
