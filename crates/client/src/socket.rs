//! WebSockets of a client.

use crate::error::Cause;
use crate::net;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tolmach_dialect::{ClientSession, Frame};

/// An open WebSocket.
pub(crate) struct Socket {
    /// The client's side of the connection.
    pub(crate) session: Box<dyn ClientSession>,
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

/// A value that was read from one of the sockets.
pub(crate) struct Arrival {
    /// The number of the socket.
    pub(crate) socket: usize,
    /// The value.
    pub(crate) content: ArrivalContent,
}

/// The value of an [`Arrival`].
pub(crate) enum ArrivalContent {
    /// A frame.
    Frame(Box<Frame>),
    /// The payload of a pong.
    Pong(Bytes),
    /// Nothing follows: the socket was closed with this code, or it broke.
    End(Result<Option<u16>, Cause>),
}

/// The outcome of a WebSocket handshake.
pub(crate) enum Handshaken {
    /// The WebSocket is open.
    Open(Box<WebSocketStream<TcpStream>>),
    /// The server rejected it with this response.
    Rejected(Frame),
}

/// Sends the request of a WebSocket handshake and reads the response.
pub(crate) async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    head: http::request::Parts,
) -> Result<Handshaken, Cause> {
    let handshake = net::handshake(&address.into(), head)?;
    match tokio_tungstenite::client_async(handshake, stream).await {
        Ok((stream, _)) => Ok(Handshaken::Open(Box::new(stream))),
        Err(tungstenite::Error::Http(response)) => {
            let response = response.map(|body| Bytes::from(body.unwrap_or_default()));
            Ok(Handshaken::Rejected(Frame::response(response)))
        }
        Err(error) => Err(error.into()),
    }
}

impl Socket {
    /// Takes over an open WebSocket. A task reads it to its end and sends what arrives, as of the
    /// socket with this number.
    pub(crate) fn start(
        session: Box<dyn ClientSession>,
        stream: WebSocketStream<TcpStream>,
        number: usize,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        let (sink, messages) = stream.split();
        tokio::spawn(read(messages, number, arrivals));
        Self { session, sink }
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Cause> {
        Ok(self.sink.send(message).await?)
    }
}

async fn read(
    mut messages: SplitStream<WebSocketStream<TcpStream>>,
    socket: usize,
    arrivals: mpsc::Sender<Arrival>,
) {
    loop {
        let content = match messages.next().await {
            Some(Ok(Message::Text(text))) => {
                ArrivalContent::Frame(Box::new(Frame::Text(text.into())))
            }
            Some(Ok(Message::Binary(bytes))) => {
                ArrivalContent::Frame(Box::new(Frame::Binary(bytes)))
            }
            Some(Ok(Message::Pong(payload))) => ArrivalContent::Pong(payload),
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(close))) => {
                ArrivalContent::End(Ok(close.map(|close| close.code.into())))
            }
            Some(Err(error)) => ArrivalContent::End(Err(error.into())),
            None => ArrivalContent::End(Ok(None)),
        };
        let is_last = matches!(content, ArrivalContent::End(_));
        if arrivals.send(Arrival { socket, content }).await.is_err() || is_last {
            break;
        }
    }
}
