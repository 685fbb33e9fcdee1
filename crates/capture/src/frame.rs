//! The lines of frames.

use crate::headers::{Headers, header_map, headers};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tolmach_dialect::{Frame, Sender};

/// A frame that one side has sent. A payload is `text` where it is UTF-8 and `base64` otherwise;
/// neither stands for an empty body of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedFrame {
    /// The number of the connection.
    pub connection: u64,
    /// Microseconds since the capture began.
    pub at: u64,
    /// The side that sent it.
    pub from: Sender,
    /// The kind.
    pub kind: FrameKind,
    /// The payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The payload in base64, with padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Of an HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Of an HTTP request: the path, with its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Of an HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of an HTTP request or response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Headers,
    /// The name of the recognised command, answer or event, such as `send` or `posted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The dialect, on the first frame after it became known, where `open` does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The revision, on the first frame after it became known or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// A message that several connections were sent: a frame for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct CapturedFrames {
    /// Microseconds since the capture began.
    at: u64,
    /// The numbers of the connections, and when each was sent it, in microseconds after `at`.
    pub(crate) to: Vec<(u64, u64)>,
    from: Sender,
    kind: FrameKind,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    command: Option<String>,
}

impl CapturedFrames {
    /// The frame of one of the connections.
    pub(crate) fn to(&self, (connection, after): (u64, u64)) -> CapturedFrame {
        CapturedFrame {
            connection,
            at: self.at.saturating_add(after),
            from: self.from,
            kind: self.kind,
            text: self.text.clone(),
            base64: self.base64.clone(),
            method: None,
            uri: None,
            status: None,
            headers: Vec::new(),
            command: self.command.clone(),
            dialect: None,
            revision: None,
        }
    }
}

/// The kinds of frames, as [`Frame::kind`] names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameKind {
    /// A WebSocket text message.
    Text,
    /// A WebSocket binary message.
    Binary,
    /// One value of a raw TCP stream.
    Value,
    /// A whole HTTP request.
    Request,
    /// A whole HTTP response.
    Response,
}

/// The identity of a message that several connections may get: that of its bytes, not their
/// content. Addresses and lengths stand for what is there, since they are compared for each
/// connection: no other message has those of the bytes as long as these are kept, and commands are
/// static.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIdentity {
    bytes: (usize, usize),
    kind: FrameKind,
    command: Option<(usize, usize)>,
}

impl MessageIdentity {
    pub(crate) fn of(frame: &Frame, command: Option<&'static str>) -> Self {
        let place = |bytes: &[u8]| (bytes.as_ptr() as usize, bytes.len());
        Self {
            bytes: place(frame.payload()),
            kind: FrameKind::of(frame),
            command: command.map(|command| place(command.as_bytes())),
        }
    }
}

/// A line whose fields make no frame.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFrame {
    /// Both `text` and `base64`.
    #[error("text and base64 exclude each other")]
    TwoPayloads,
    /// Not base64.
    #[error("base64")]
    Base64(#[source] base64::DecodeError),
    /// An HTTP frame without one of its fields.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A method, uri, status or header that HTTP does not allow.
    #[error("the head of the HTTP frame is invalid")]
    Http(#[source] http::Error),
}

impl CapturedFrame {
    /// The line of a frame, of which nothing is recognised yet.
    pub fn new(connection: u64, at: u64, from: Sender, frame: &Frame) -> Self {
        let (text, base64) = payload(frame);
        let mut line = Self {
            connection,
            at,
            from,
            kind: FrameKind::of(frame),
            text,
            base64,
            method: None,
            uri: None,
            status: None,
            headers: Vec::new(),
            command: None,
            dialect: None,
            revision: None,
        };
        match frame {
            Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) => {}
            Frame::Request(request) => {
                line.method = Some(request.method().as_str().to_owned());
                line.uri = Some(request.uri().to_string());
                line.headers = headers(request.headers());
            }
            Frame::Response(response) => {
                line.status = Some(response.status().as_u16());
                line.headers = headers(response.headers());
            }
        }
        line
    }

    /// The frame.
    pub fn frame(&self) -> Result<Frame, InvalidFrame> {
        let payload = self.payload()?;
        Ok(match self.kind {
            FrameKind::Text => Frame::Text(payload),
            FrameKind::Binary => Frame::Binary(payload),
            FrameKind::Value => Frame::Value(payload),
            FrameKind::Request => {
                let method = self.method.as_deref().ok_or(InvalidFrame::Missing("method"))?;
                let uri = self.uri.as_deref().ok_or(InvalidFrame::Missing("uri"))?;
                let request = http::Request::builder().method(method).uri(uri).body(payload);
                let mut request = request.map_err(InvalidFrame::Http)?;
                *request.headers_mut() = header_map(&self.headers).map_err(InvalidFrame::Http)?;
                Frame::request(request)
            }
            FrameKind::Response => {
                let status = self.status.ok_or(InvalidFrame::Missing("status"))?;
                let response = http::Response::builder().status(status).body(payload);
                let mut response = response.map_err(InvalidFrame::Http)?;
                *response.headers_mut() = header_map(&self.headers).map_err(InvalidFrame::Http)?;
                Frame::response(response)
            }
        })
    }

    /// The payload.
    pub fn payload(&self) -> Result<Bytes, InvalidFrame> {
        match (&self.text, &self.base64) {
            (Some(text), None) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(base64)) => {
                STANDARD.decode(base64).map(Bytes::from).map_err(InvalidFrame::Base64)
            }
            (None, None) => Ok(Bytes::new()),
            (Some(_), Some(_)) => Err(InvalidFrame::TwoPayloads),
        }
    }
}

impl FrameKind {
    /// The kind of a frame.
    pub fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Text(_) => FrameKind::Text,
            Frame::Binary(_) => FrameKind::Binary,
            Frame::Value(_) => FrameKind::Value,
            Frame::Request(_) => FrameKind::Request,
            Frame::Response(_) => FrameKind::Response,
        }
    }
}

/// The payload of a frame as text, or else in base64.
fn payload(frame: &Frame) -> (Option<String>, Option<String>) {
    let payload = frame.payload();
    match std::str::from_utf8(payload) {
        Ok("") if matches!(frame, Frame::Request(_) | Frame::Response(_)) => (None, None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(payload))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn request(body: &'static [u8]) -> Frame {
        let request = http::Request::builder()
            .method("POST")
            .uri("/api/v1/login?a=1")
            .header("content-type", "application/json")
            .header("x-name", HeaderValue::from_bytes(b"B\xf6b").unwrap());
        Frame::request(request.body(Bytes::from_static(body)).unwrap())
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let response = http::Response::builder().status(204).header("a", "b");
        for frame in [
            Frame::text("{\"a\":\"б\"}"),
            Frame::text(""),
            Frame::Binary(Bytes::from_static(b"\xff\x00")),
            Frame::Value(Bytes::from_static(b"[1]")),
            request(b""),
            request(b"{}"),
            Frame::response(response.body(Bytes::from_static(b"\xff")).unwrap()),
        ] {
            let line = CapturedFrame::new(1, 2, Sender::Client, &frame);
            let json = serde_json::to_string(&line).unwrap();
            let read: CapturedFrame = serde_json::from_str(&json).unwrap();
            assert_eq!(read, line);
            let back = read.frame().unwrap();
            assert_eq!(back, frame);
            if let (Frame::Request(one), Frame::Request(other)) = (&back, &frame) {
                assert_eq!(one.headers(), other.headers());
            }
        }
    }

    #[test]
    fn a_frame_that_lacks_a_field_is_none() {
        for (json, error) in [
            (r#"{"kind":"request","uri":"/"}"#, "method is missing"),
            (r#"{"kind":"request","method":"GET"}"#, "uri is missing"),
            (r#"{"kind":"response"}"#, "status is missing"),
            (r#"{"kind":"response","status":7}"#, "the head of the HTTP frame is invalid"),
            (r#"{"kind":"text","text":"","base64":""}"#, "text and base64 exclude each other"),
            (r#"{"kind":"binary","base64":"?"}"#, "base64"),
        ] {
            let json = json.replacen('{', r#"{"connection":1,"at":0,"from":"client","#, 1);
            let line: CapturedFrame = serde_json::from_str(&json).unwrap();
            assert_eq!(line.frame().unwrap_err().to_string(), error);
        }
    }
}
