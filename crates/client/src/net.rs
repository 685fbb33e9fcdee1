//! Frames on sockets.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{HOST, InvalidHeaderValue, ORIGIN, SEC_WEBSOCKET_KEY};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tolmach_dialect::Frame;

/// The largest answer that is read, in bytes.
const BODY_LIMIT: usize = 16 << 20;

/// A frame as a WebSocket message; `None` where it is of another transport.
pub(crate) fn message(frame: &Frame) -> Option<Message> {
    match frame {
        Frame::Text(text) => Some(Message::Text(text.clone().try_into().ok()?)),
        Frame::Binary(bytes) => Some(Message::Binary(bytes.clone())),
        Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => None,
    }
}

/// The request of a handshake with what the WebSocket needs, RFC 6455 section 4.1. The origin is the gateway's own.
pub(crate) fn handshake(address: SocketAddr, mut request: http::request::Parts) -> Result<http::Request<()>, http::Error> {
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    request.uri = format!("ws://{address}{path}").parse()?;
    let mut handshake = http::Request::from_parts(request, ());
    let headers = handshake.headers_mut();
    headers.insert(HOST, address.to_string().try_into()?);
    headers.insert(SEC_WEBSOCKET_KEY, generate_key().try_into()?);
    if !headers.contains_key(ORIGIN) {
        headers.insert(ORIGIN, format!("http://{address}").try_into()?);
    }
    Ok(handshake)
}

/// Sends a request over a connection of its own; the whole response.
pub(crate) async fn fetch(address: SocketAddr, mut request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let host: HeaderValue = address.to_string().try_into().map_err(|error: InvalidHeaderValue| error.to_string())?;
    request.headers_mut().insert(HOST, host);
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| error.to_string())?.to_bytes();
    driving.abort();
    Ok(http::Response::from_parts(parts, body))
}
