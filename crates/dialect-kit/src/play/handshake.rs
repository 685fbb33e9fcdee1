//! Openings of connections.

use http::request::Parts;
use tolmach_dialect::{Dialect, Frame, Handshake, HandshakeRejection, ServerSession};
use tolmach_domain::ConnectionId;

/// Starts the server's session of a connection from the same machine.
pub(crate) fn accept(
    dialect: &dyn Dialect,
    request: &Parts,
    first_frame: Option<&Frame>,
    connection: ConnectionId,
) -> Result<Box<dyn ServerSession>, Box<HandshakeRejection>> {
    let mut handshake = Handshake::new(connection).request(request).local(true);
    handshake.first_frame = first_frame;
    dialect.accept(&handshake).map_err(Box::new)
}

/// True for the request of a WebSocket handshake.
pub(crate) fn is_websocket(request: &Parts) -> bool {
    Handshake::new(ConnectionId(0)).request(request).websocket
}

/// True for two requests that open the same connection.
pub(crate) fn same_request(a: &Parts, b: &Parts) -> bool {
    a.method == b.method && a.uri == b.uri && a.headers == b.headers
}

/// The head of a request frame.
pub(crate) fn parts_of(request: &http::Request<bytes::Bytes>) -> Parts {
    request.clone().into_parts().0
}
