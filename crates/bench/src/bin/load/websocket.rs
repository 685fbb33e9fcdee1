//! WebSocket connections to a server under test.

use crate::result::BenchResult;
use futures_util::{Stream, StreamExt};
use http::header::{HOST, SEC_WEBSOCKET_KEY};
use http::{HeaderValue, Request, Uri};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tolmach_dialect::websocket_request;

/// The read buffer of a connection, in bytes: small, as ten thousand connections have one each.
const READ_BUFFER: usize = 4 << 10;
/// Connections from one source address: fewer than there are ephemeral ports.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

pub(crate) type WebSocket = WebSocketStream<TcpStream>;

/// The loopback address that the connection with this number comes from.
pub(crate) fn source_address(number: usize) -> Ipv4Addr {
    let host = u8::try_from(number / CONNECTIONS_PER_SOURCE + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, host)
}

/// Connects to a path of the baseline server.
pub(crate) async fn connect_to_path(
    server: SocketAddr,
    source: Ipv4Addr,
    path: &'static str,
) -> BenchResult<WebSocket> {
    connect(server, source, websocket_request(path)).await
}

/// Connects with the request of a handshake.
pub(crate) async fn connect(
    server: SocketAddr,
    source: Ipv4Addr,
    request: http::request::Parts,
) -> BenchResult<WebSocket> {
    let mut request = Request::from_parts(request, ());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("ws://{server}{path}").parse::<Uri>()?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(&server.to_string())?);
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key())?);
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let stream = connect_tcp(server, source).await?;
    Ok(tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?.0)
}

/// The next text message; `None` when the connection has ended.
pub(crate) async fn next_text<S, E>(socket: &mut S) -> BenchResult<Option<Utf8Bytes>>
where
    S: Stream<Item = Result<Message, E>> + Unpin,
    E: Error + Send + Sync + 'static,
{
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Connects from an address.
pub(crate) async fn connect_tcp(server: SocketAddr, source: Ipv4Addr) -> BenchResult<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if source != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_a_source_address_with_free_ports() {
        for (number, expected) in [(0, 1), (19_999, 1), (20_000, 2), (usize::MAX, 255)] {
            assert_eq!(source_address(number), Ipv4Addr::new(127, 0, 0, expected), "{number}");
        }
    }
}
