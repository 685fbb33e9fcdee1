//! The HTTP request that a client connects with.

use super::requests::{Proof, can_say};
use crate::plan::{Compiled, CredentialsPlace};
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Uri};
use tolmach_dialect::{Request, Unsupported, websocket_request};

/// The first subprotocol of a wire that carries the token in the last one.
const SUBPROTOCOL: &str = "chat";

/// The request of the WebSocket handshake in order to make `request`.
pub(crate) fn dial(
    file: &Compiled,
    id: &'static str,
    path: &'static str,
    request: &Request,
) -> Result<http::request::Parts, Unsupported> {
    if !can_say(file, request) {
        return Err(Unsupported { dialect: id, what: request.command.name() });
    }
    let mut parts = websocket_request(path);
    let Some(token) = Proof::of(&request.credentials, None).token else { return Ok(parts) };
    let token = token.expose();
    let unsupported = |_| Unsupported { dialect: id, what: "a token of other characters" };
    match file.credentials.first() {
        None | Some(CredentialsPlace::Connection | CredentialsPlace::Field) => {}
        Some(CredentialsPlace::Header) => {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(unsupported)?;
            parts.headers.insert(AUTHORIZATION, value);
        }
        Some(CredentialsPlace::Subprotocol) => {
            let value = format!("{SUBPROTOCOL}, {token}");
            let value = HeaderValue::from_str(&value).map_err(unsupported)?;
            parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        Some(CredentialsPlace::Query) => {
            let what = "a token of other characters";
            let uri = format!("{path}?token={token}").parse::<Uri>();
            parts.uri = uri.map_err(|_| Unsupported { dialect: id, what })?;
        }
    }
    Ok(parts)
}
