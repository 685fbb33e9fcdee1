//! A WebSocket proxy that copies messages, and nothing else.

use futures_util::{SinkExt, StreamExt};
use http::header::{HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Request, Uri};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The read buffer of a connection to the server, in bytes.
const READ_BUFFER: usize = 1 << 10;

/// Opens a WebSocket to the server with a client's request. Gives the subprotocol that the server
/// has chosen, too.
pub(crate) async fn connect<T>(
    upstream: SocketAddr,
    client: &Request<T>,
) -> Result<(WebSocketStream<TcpStream>, Option<HeaderValue>), Error> {
    let path = client.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(());
    *request.uri_mut() = format!("ws://{upstream}{path}").parse::<Uri>()?;
    *request.headers_mut() = client.headers().clone();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&upstream.to_string())?);
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key())?);
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let (socket, response) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok((socket, response.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned()))
}

/// Copies messages in both directions until one side ends.
pub(crate) async fn copy(
    mut client: WebSocketStream<TcpStream>,
    mut upstream: WebSocketStream<TcpStream>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            message = client.next() => match message.transpose()? {
                Some(message) if message.is_text() || message.is_binary() => {
                    upstream.send(message).await?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            message = upstream.next() => match message.transpose()? {
                Some(message) if message.is_text() || message.is_binary() => {
                    client.send(message).await?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}
