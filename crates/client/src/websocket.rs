//! A WebSocket as frames of a dialect, for programs that read and write it themselves.

use crate::endpoint::{Endpoint, Stream, Trust};
use crate::error::Cause;
use crate::net;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::task::{Context, Poll, ready};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tolmach_dialect::Frame;

/// The size of the read buffer, in bytes: small, because as much is filled with zeros at each read.
/// A larger message grows it for as long as it is there.
const READ_BUFFER: usize = 1 << 10;

/// An open WebSocket to a server.
#[derive(Debug)]
pub struct WebSocket(WebSocketStream<Stream>);

/// The outcome of a WebSocket handshake.
#[derive(Debug)]
pub enum Opened {
    /// The WebSocket is open.
    WebSocket(Box<WebSocket>),
    /// The server rejected it with this response.
    Rejected(Frame),
}

/// Something that a WebSocket received.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Frame(Frame),
    /// A ping or a pong: the server lives.
    Control,
    /// Nothing follows: the server closed it, with this code where it gave one.
    Closed(Option<u16>),
}

impl WebSocket {
    /// Opens a WebSocket by the request of a dialect: [`tolmach_dialect::DialectClient::dial`]. Its
    /// messages have at most `max_bytes`.
    pub async fn open(
        endpoint: &Endpoint,
        trust: &Trust,
        head: http::request::Parts,
        max_bytes: usize,
    ) -> Result<Opened, Cause> {
        let handshake = net::handshake(endpoint, head)?;
        let stream = endpoint.connect(trust).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_bytes))
            .max_frame_size(Some(max_bytes));
        let opening =
            tokio_tungstenite::client_async_with_config(handshake, stream, Some(config)).await;
        match opening {
            Ok((stream, _)) => Ok(Opened::WebSocket(Box::new(Self(stream)))),
            Err(tungstenite::Error::Http(response)) => {
                let response = response.map(|body| Bytes::from(body.unwrap_or_default()));
                Ok(Opened::Rejected(Frame::response(response)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends frames, in one write where they fit.
    pub async fn send(&mut self, frames: &[Frame]) -> Result<(), Cause> {
        for frame in frames {
            let message = net::message(frame).ok_or(Cause::FrameKind(frame.kind()))?;
            self.0.feed(message).await?;
        }
        Ok(self.0.flush().await?)
    }

    /// Sends a ping.
    pub async fn ping(&mut self) -> Result<(), Cause> {
        Ok(self.0.send(Message::Ping(Bytes::new())).await?)
    }

    /// Closes it, and waits for nothing.
    pub async fn close(&mut self) -> Result<(), Cause> {
        Ok(self.0.close(None).await?)
    }

    /// Polls for what comes next. Nothing is lost if the caller stops polling.
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Cause>> {
        let message = match ready!(self.0.poll_next_unpin(context)) {
            Some(message) => message?,
            None => return Poll::Ready(Ok(Received::Closed(None))),
        };
        Poll::Ready(Ok(match message {
            Message::Text(text) => Received::Frame(Frame::Text(text.into())),
            Message::Binary(bytes) => Received::Frame(Frame::Binary(bytes)),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Received::Control,
            Message::Close(close) => Received::Closed(close.map(|close| close.code.into())),
        }))
    }
}
