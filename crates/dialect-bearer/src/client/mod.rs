//! The client's side: HTTP exchanges and WebSockets.

mod decode;
mod encode;
mod exchange;
mod socket;

use crate::errors::RequestError;
use crate::head::RequestHead;
use exchange::ClientExchange;
use http::request::Parts;
use socket::ClientSocket;
use tolmach_dialect::{ClientSession, Credentials, Handshake, Request, Unsupported};
use tolmach_domain::Command;

/// The HTTP request, or the request of the handshake with a room, that makes `request`.
pub(crate) fn dial(request: &Request) -> Result<Parts, Unsupported> {
    match &request.command {
        Command::Send(_) | Command::ShowTyping { .. } | Command::History { .. } => {
            encode::handshake(request)
        }
        _ => Ok(encode::request(request)?.1.into_parts().0),
    }
}

/// The request of the handshake with all rooms.
pub(crate) fn listen(credentials: &Credentials) -> Option<Parts> {
    encode::main(credentials)
}

/// Starts the session of a connection that was opened with a request of [`dial`].
pub(crate) fn connect(handshake: &Handshake<'_>) -> Result<Box<dyn ClientSession>, RequestError> {
    let depth = handshake.max_json_depth;
    if !handshake.websocket {
        return Ok(Box::new(ClientExchange::new(depth)));
    }
    let request = handshake.request.ok_or_else(RequestError::no_request)?;
    let head = RequestHead::read(&request.method, &request.uri, &request.headers, true)?;
    Ok(Box::new(ClientSocket::new(head, depth)?))
}
