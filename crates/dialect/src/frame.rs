//! Frames, and what is wrong with them.

use crate::json::{self, JsonError};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use tolmach_domain::InvalidId;

/// One wire unit.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A WebSocket text message; the gateway has checked that it is UTF-8.
    Text(Bytes),
    /// A WebSocket binary message.
    Binary(Bytes),
    /// One JSON value of a raw TCP stream.
    Value(Bytes),
    /// A whole HTTP request. The body is bounded by the manifest's limits. Boxed: it is large, and
    /// most frames are messages.
    Request(Box<http::Request<Bytes>>),
    /// A whole HTTP response.
    Response(Box<http::Response<Bytes>>),
}

impl Frame {
    /// A text message.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Frame::Text(text.into())
    }

    /// A whole HTTP request.
    pub fn request(request: http::Request<Bytes>) -> Self {
        Frame::Request(Box::new(request))
    }

    /// A whole HTTP response.
    pub fn response(response: http::Response<Bytes>) -> Self {
        Frame::Response(Box::new(response))
    }

    /// The payload: the message, the value, or the body.
    pub fn payload(&self) -> &Bytes {
        match self {
            Frame::Text(bytes) | Frame::Binary(bytes) | Frame::Value(bytes) => bytes,
            Frame::Request(request) => request.body(),
            Frame::Response(response) => response.body(),
        }
    }

    /// The JSON object of a text message, for dialects whose frames are all such.
    pub fn json_object<'a, T: Deserialize<'a>>(
        &'a self,
        max_depth: usize,
    ) -> Result<T, FrameError> {
        match self {
            Frame::Text(text) => Ok(json::parse_object(text, max_depth)?),
            other => Err(FrameError::Kind(other.kind())),
        }
    }

    /// The kind of the frame, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Frame::Text(_) => "text",
            Frame::Binary(_) => "binary",
            Frame::Value(_) => "value",
            Frame::Request(_) => "request",
            Frame::Response(_) => "response",
        }
    }
}

impl PartialEq for Frame {
    /// HTTP frames are compared by method, address, status, content type and body.
    fn eq(&self, other: &Self) -> bool {
        let content_type =
            |headers: &http::HeaderMap| headers.get(http::header::CONTENT_TYPE).cloned();
        match (self, other) {
            (Frame::Text(a), Frame::Text(b))
            | (Frame::Binary(a), Frame::Binary(b))
            | (Frame::Value(a), Frame::Value(b)) => a == b,
            (Frame::Request(a), Frame::Request(b)) => {
                a.method() == b.method()
                    && a.uri() == b.uri()
                    && content_type(a.headers()) == content_type(b.headers())
                    && a.body() == b.body()
            }
            (Frame::Response(a), Frame::Response(b)) => {
                a.status() == b.status()
                    && content_type(a.headers()) == content_type(b.headers())
                    && a.body() == b.body()
            }
            _ => false,
        }
    }
}

/// The reason why [`Frame::json_object`] read nothing.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not a text message, but a frame of this kind.
    #[error("a {0} frame, where text is expected")]
    Kind(&'static str),
    /// A text message, but not the JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl FrameError {
    /// The kind of violation that it is.
    pub fn violation_kind(&self) -> ViolationKind {
        match self {
            FrameError::Kind(_) => ViolationKind::FrameKind,
            FrameError::Json(error) => error.violation_kind(),
        }
    }

    /// The expectation in words.
    pub fn expectation(&self) -> Cow<'static, str> {
        match self {
            FrameError::Kind(_) => "a text frame is expected".into(),
            FrameError::Json(error) => error.expectation(),
        }
    }
}

/// The code and the reason that a WebSocket connection is closed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code, RFC 6455 section 7.4.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

impl Close {
    /// A close with this code and reason.
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// The peer misbehaved: what to answer, and whether to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The kind of mistake.
    pub kind: ViolationKind,
    /// The frame to answer with, in the dialect's own form.
    pub answer: Option<Frame>,
    /// Set when the connection ends with it.
    pub close: Option<Close>,
}

/// The kinds of mistakes of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// Not JSON at all. Ten in a row end a connection.
    Syntax,
    /// JSON, but not a frame of this dialect: wrong types, missing fields, too deep.
    Shape,
    /// A method that this dialect does not have.
    UnknownMethod,
    /// A frame of the wrong kind, such as binary where text is meant.
    FrameKind,
}

impl ViolationKind {
    /// A short stable name, for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            ViolationKind::Syntax => "syntax",
            ViolationKind::Shape => "shape",
            ViolationKind::UnknownMethod => "unknown_method",
            ViolationKind::FrameKind => "frame_kind",
        }
    }
}

impl JsonError {
    /// The kind of violation that it is.
    pub fn violation_kind(&self) -> ViolationKind {
        match self {
            JsonError::Syntax(_) => ViolationKind::Syntax,
            JsonError::Shape(_) | JsonError::Depth(_) => ViolationKind::Shape,
        }
    }
}

impl Violation {
    /// A violation that is answered and does not end the connection.
    pub fn answered(kind: ViolationKind, answer: Frame) -> Self {
        Self { kind, answer: Some(answer), close: None }
    }
}

/// A response or an event that the dialect has no frame for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dialect} has no frame for {what}")]
pub struct Unsupported {
    /// The dialect's id.
    pub dialect: &'static str,
    /// The name of the command, answer or event.
    pub what: &'static str,
}

/// A server's frame that is none of the dialect, or answers nothing that was asked.
///
/// ```
/// use tolmach_dialect::InvalidReply;
///
/// let error = InvalidReply::SHAPE.with_reason("room: an integer is expected");
/// let message = "the server's frame is invalid (shape): room: an integer is expected";
/// assert_eq!(error.to_string(), message);
/// assert_eq!(error, InvalidReply::SHAPE);
/// ```
#[derive(Debug, Clone)]
pub struct InvalidReply {
    kind: ViolationKind,
    /// For people; boxed because the error is rare and results that may hold it are not.
    reason: Option<Box<str>>,
}

impl InvalidReply {
    /// JSON, but not a frame of this dialect, or not one that is expected now.
    pub const SHAPE: Self = Self::new(ViolationKind::Shape);
    /// A frame of the wrong kind.
    pub const FRAME_KIND: Self = Self::new(ViolationKind::FrameKind);

    /// A frame that is invalid in this way.
    pub const fn new(kind: ViolationKind) -> Self {
        Self { kind, reason: None }
    }

    /// The same, with the place in the frame and the expectation, in words.
    pub fn with_reason(self, reason: impl Into<Box<str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The way in which the frame is invalid.
    pub fn kind(&self) -> ViolationKind {
        self.kind
    }
}

impl PartialEq for InvalidReply {
    /// By the kind alone: the reason is for people.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for InvalidReply {}

impl std::error::Error for InvalidReply {}

impl fmt::Display for InvalidReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the server's frame is invalid ({})", self.kind.name())?;
        match &self.reason {
            Some(reason) => write!(formatter, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl From<JsonError> for InvalidReply {
    fn from(error: JsonError) -> Self {
        Self::new(error.violation_kind())
    }
}

impl From<FrameError> for InvalidReply {
    fn from(error: FrameError) -> Self {
        Self::new(error.violation_kind())
    }
}

impl From<InvalidId> for InvalidReply {
    fn from(_: InvalidId) -> Self {
        Self::SHAPE
    }
}

impl From<serde_json::Error> for InvalidReply {
    fn from(_: serde_json::Error) -> Self {
        Self::SHAPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;

    #[test]
    fn only_objects_in_text_messages_are_read() {
        let text = |text: &'static str| Frame::text(text);
        for (frame, expected) in [
            (text(" \r\n\t{}"), None),
            (text(""), Some((ViolationKind::Syntax, "JSON is expected"))),
            (text("{'mode': 1}"), Some((ViolationKind::Syntax, "JSON is expected"))),
            (text("[1"), Some((ViolationKind::Syntax, "JSON is expected"))),
            (text("{} {}"), Some((ViolationKind::Syntax, "JSON is expected"))),
            (text("[1]"), Some((ViolationKind::Shape, "a JSON object"))),
            (text("\"a\""), Some((ViolationKind::Shape, "a JSON object"))),
            (text("7"), Some((ViolationKind::Shape, "a JSON object"))),
            (text("null"), Some((ViolationKind::Shape, "a JSON object"))),
            (text("{\"a\":[[]]}"), Some((ViolationKind::Shape, "at most 2 levels"))),
            (Frame::Binary("{}".into()), Some((ViolationKind::FrameKind, "a text frame"))),
            (Frame::Value("{}".into()), Some((ViolationKind::FrameKind, "a text frame"))),
        ] {
            match (frame.json_object::<IgnoredAny>(2), expected) {
                (Ok(_), None) => {}
                (Err(error), Some((kind, expectation))) => {
                    assert_eq!(error.violation_kind(), kind, "{frame:?}");
                    assert!(error.expectation().starts_with(expectation), "{error}");
                    assert_eq!(InvalidReply::from(error), InvalidReply::new(kind));
                }
                (read, expected) => panic!("{frame:?}: {read:?} instead of {expected:?}"),
            }
        }
    }
}
