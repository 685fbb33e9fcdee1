//! The end of a connection.

use super::inbound::{Inbound, Refusal};
use crate::write_buffer::WriteBuffer;
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::consume_budget;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tolmach_dialect::{Close, CloseCodes};

/// The time that a peer has to take the close frame and answer it.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The end of a connection.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed, or is gone.
    Gone,
    /// The server closes it; the word is for metrics.
    Close(Close, &'static str),
    /// The connection had to make room for others.
    Evicted(Eviction),
}

/// The reasons why a connection has to make room for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// Its place was given to another one.
    Place,
    /// It holds more memory than there is room for.
    Memory,
}

impl Eviction {
    /// The word for metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Place => "evicted",
            Self::Memory => "over_budget",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Place => "too many connections",
            Self::Memory => "too many bytes wait",
        }
    }
}

/// The reasons of the server's own to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The server shuts down.
    GoingAway,
    /// The peer's socket takes less than what is sent to it.
    SlowReader,
}

impl CloseReason {
    /// The end by this reason, with the codes of the connection's dialect.
    pub(super) fn end(self, codes: CloseCodes) -> End {
        match self {
            Self::GoingAway => {
                End::Close(Close::new(codes.going_away, "the server is going away"), "going_away")
            }
            Self::SlowReader => End::Close(
                Close::new(codes.slow_reader, "reading too slowly: see the history"),
                "slow_reader",
            ),
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => {
                End::Close(Close::new(1009, "the message is too large"), "too_large")
            }
            Error::Utf8(_) => End::Close(Close::new(1007, "text must be UTF-8"), "not_utf8"),
            // A peer that was killed, or that does not close its WebSockets.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
            Error::Protocol(_) => End::Close(Close::new(1002, "protocol error"), "protocol"),
            _ => End::Gone,
        }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => {
                End::Close(Close::new(1009, "the message is too large"), "too_large")
            }
            Refusal::LargeControlFrame => {
                End::Close(Close::new(1002, "protocol error"), "protocol")
            }
            Refusal::OverBudget => End::Evicted(Eviction::Memory),
        }
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        End::Gone
    }
}

/// Tells the peer that its connection made room for others, as far as the socket takes that at
/// once: the connection must not hold anything for longer.
pub(super) fn close_evicted<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<Inbound<S>>,
    rest: &mut WriteBuffer,
    eviction: Eviction,
) {
    let frame = CloseFrame { code: CloseCode::Again, reason: eviction.reason().into() };
    let closing = async {
        if rest.write_to(socket.get_mut()).await.is_ok() {
            // The peer is gone in any case.
            let _ = socket.close(Some(frame)).await;
        }
    };
    Box::pin(closing).now_or_never();
}

/// Writes the rest of a frame that was begun and the close frame, and waits a little for the peer's
/// own.
pub(super) async fn close_socket<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<Inbound<S>>,
    rest: &mut WriteBuffer,
    close: Close,
) {
    let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.into() };
    let closing = async {
        if rest.write_to(socket.get_mut()).await.is_ok() && socket.close(Some(frame)).await.is_ok()
        {
            // Discards what the peer had sent before it saw the close, up to its own close frame:
            // unread bytes would make the kernel reset the connection, and the frame be lost.
            while let Some(Ok(_)) = socket.next().await {
                consume_budget().await;
            }
            if socket.get_ref().refusal().is_some() {
                socket.get_mut().discard().await;
            }
        }
    };
    if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::trace!("the peer did not answer the close");
    }
}
