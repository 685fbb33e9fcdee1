//! The server's own responses.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode};

/// The time after which a client that has got no place or no memory may try again, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// `{"error": …}`, the form of every error of the server's own.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Bytes> {
    text(status, "application/json", serde_json::json!({ "error": message }).to_string())
}

pub(super) fn text(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The response to a request that is no handshake on a path for WebSockets. RFC 6455 section 4.4.
pub(super) fn upgrade_required() -> Response<Bytes> {
    let mut response =
        error(StatusCode::UPGRADE_REQUIRED, "this path takes WebSocket connections, version 13");
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// The response to a connection or a WebSocket that has got no place.
pub(super) fn no_place() -> Response<Bytes> {
    try_again("too many connections")
}

/// The response to a request for which no memory is left.
pub(super) fn busy() -> Response<Bytes> {
    try_again("too much is in progress, try again later")
}

fn try_again(message: &str) -> Response<Bytes> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

pub(super) fn going_away() -> Response<Bytes> {
    error(StatusCode::SERVICE_UNAVAILABLE, "the server is going away")
}
