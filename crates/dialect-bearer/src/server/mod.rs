//! The server's side: HTTP exchanges, and the WebSockets of a room and of all rooms.

mod decode;
mod encode;
mod exchange;
mod main_socket;
mod room_socket;

pub(crate) use encode::render;

use crate::errors::RequestError;
use crate::head::RequestHead;
use crate::routes::Operation;
use exchange::Exchange;
use main_socket::MainSocket;
use room_socket::RoomSocket;
use tolmach_dialect::{Handshake, ServerSession};

/// Starts the session that the route of the handshake's request names.
pub(crate) fn accept(handshake: &Handshake<'_>) -> Result<Box<dyn ServerSession>, RequestError> {
    let request = handshake.request.ok_or_else(RequestError::no_request)?;
    let (method, uri, headers) = (&request.method, &request.uri, &request.headers);
    let head = RequestHead::read(method, uri, headers, handshake.websocket)?;
    Ok(match head.route.operation {
        Operation::ChatRoom | Operation::GroupRoom => Box::new(RoomSocket::new(head, handshake)?),
        Operation::Main => Box::new(MainSocket::new(head, handshake)),
        _ => Box::new(Exchange::new(head, handshake)),
    })
}
