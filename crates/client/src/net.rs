//! Frames on sockets.

use crate::endpoint::Endpoint;
use crate::error::Cause;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_KEY};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tolmach_dialect::Frame;

/// The largest body of a response, in bytes.
pub(crate) const BODY_LIMIT: usize = 16 << 20;

/// A frame as a WebSocket message; `None` where it is of another transport.
pub(crate) fn message(frame: &Frame) -> Option<Message> {
    match frame {
        Frame::Text(text) => Some(Message::Text(text.clone().try_into().ok()?)),
        Frame::Binary(bytes) => Some(Message::Binary(bytes.clone())),
        Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => None,
    }
}

/// The request of a handshake with what the WebSocket needs, RFC 6455 section 4.1. The origin is
/// the server's own.
pub(crate) fn handshake(
    endpoint: &Endpoint,
    mut request: http::request::Parts,
) -> Result<http::Request<()>, http::Error> {
    let (authority, is_secure) = (endpoint.authority(), endpoint.is_secure());
    let (scheme, page) = if is_secure { ("wss", "https") } else { ("ws", "http") };
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    request.uri = format!("{scheme}://{authority}{path}").parse()?;
    let mut handshake = http::Request::from_parts(request, ());
    let headers = handshake.headers_mut();
    headers.insert(HOST, authority.try_into()?);
    headers.insert(SEC_WEBSOCKET_KEY, generate_key().try_into()?);
    if !headers.contains_key(ORIGIN) {
        headers.insert(ORIGIN, format!("{page}://{authority}").try_into()?);
    }
    Ok(handshake)
}

/// Sends a request over a connection of its own, and reads the whole response.
pub(crate) async fn fetch(
    address: SocketAddr,
    mut request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, Cause> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let host = HeaderValue::try_from(address.to_string()).map_err(http::Error::from)?;
    request.headers_mut().insert(HOST, host);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(Cause::Body)?.to_bytes();
    driver.abort();
    Ok(http::Response::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_names_host_and_origin_and_keeps_the_headers_of_the_dialect() {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        for (own, origin) in [
            (None, "http://127.0.0.1:8080"),
            (Some("https://chat.example"), "https://chat.example"),
        ] {
            let mut request =
                http::Request::get("/room?limit=1").header("Authorization", "Bearer x");
            if let Some(own) = own {
                request = request.header(ORIGIN, own);
            }
            let request = request.body(()).unwrap().into_parts().0;
            let handshake = handshake(&address.into(), request).unwrap();
            assert_eq!(handshake.uri(), "ws://127.0.0.1:8080/room?limit=1");
            for (name, value) in
                [("host", "127.0.0.1:8080"), ("origin", origin), ("authorization", "Bearer x")]
            {
                assert_eq!(handshake.headers()[name], value, "{name}");
            }
            assert!(handshake.headers().contains_key(SEC_WEBSOCKET_KEY));
        }
    }

    #[test]
    fn only_messages_of_a_websocket_become_messages() {
        assert_eq!(message(&Frame::text("a")), Some(Message::text("a")));
        assert_eq!(
            message(&Frame::Binary(Bytes::from_static(b"a"))),
            Some(Message::binary(&b"a"[..]))
        );
        assert_eq!(message(&Frame::Text(Bytes::from_static(b"\xFF"))), None);
        assert_eq!(message(&Frame::Value(Bytes::from_static(b"{}"))), None);
    }
}
