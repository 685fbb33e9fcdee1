//! Errors of a client.

use http::StatusCode;
use std::error::Error;
use std::fmt;
use std::io;
use tokio_tungstenite::tungstenite;
use tolmach_dialect::InvalidReply;

/// A step of a client that failed. Its message has the client's name, the dialect's id, the action
/// and the cause.
#[derive(Debug)]
pub struct ClientError {
    name: String,
    dialect: &'static str,
    action: String,
    cause: Cause,
}

/// The cause of a [`ClientError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The dialect has no client side.
    #[error("the dialect has no client side")]
    NoClientSide,
    /// Nothing came within the time that a step may take.
    #[error("no response in time")]
    Timeout,
    /// No connection is open to read from or write to.
    #[error("no connection is open")]
    NotConnected,
    /// The server closed the connection of a request, with this code where it gave one.
    #[error("closed by the server with {0:?} instead of a response")]
    Closed(Option<u16>),
    /// A frame of the server that the client session cannot decode.
    #[error("{error}: {payload}")]
    InvalidReply {
        /// The error of the session.
        error: InvalidReply,
        /// The payload of the frame, as text.
        payload: String,
    },
    /// The client side rejects the connection that itself dialled for.
    #[error("the dialect's own request is rejected with {0}")]
    OwnRequestRejected(StatusCode),
    /// The client side encodes a frame that the transport cannot carry: the kind of the frame.
    #[error("the transport carries no {0} frame")]
    FrameKind(&'static str),
    /// The connection cannot be opened, or broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The WebSocket broke.
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
    /// The HTTP exchange failed.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The request that was dialled for cannot be sent to this address.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The body of a response broke off or is too large.
    #[error("the body of the response cannot be read")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    /// Another cause, named by the user of the client.
    #[error("{0}")]
    Other(String),
}

impl From<tungstenite::Error> for Cause {
    fn from(error: tungstenite::Error) -> Self {
        Cause::WebSocket(Box::new(error))
    }
}

impl ClientError {
    pub(crate) fn new(name: &str, dialect: &'static str, action: &str, cause: Cause) -> Self {
        Self { name: name.to_owned(), dialect, action: action.to_owned(), cause }
    }

    /// The cause.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dialect, action, cause } = self;
        write!(formatter, "{name} ({dialect}), {action}: {cause}")
    }
}

impl Error for ClientError {
    /// The source of the cause, because the message has the cause itself.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_cause_once_and_the_sources_follow() {
        let error = |cause| ClientError::new("ann", "mode", "receiving", cause);
        let timeout = error(Cause::Timeout);
        assert_eq!(timeout.to_string(), "ann (mode), receiving: no response in time");
        assert!(timeout.source().is_none());
        let io = error(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(io.to_string(), "ann (mode), receiving: connection refused");
        assert!(io.source().is_none());
        let body = error(Cause::Body("too large".into()));
        assert_eq!(body.source().map(ToString::to_string).as_deref(), Some("too large"));
    }
}
