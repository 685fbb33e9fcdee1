//! Frames to translate: a capture, or one frame a line.

use super::wire::Wire;
use crate::error::{CliError, UsageError};
use bytes::Bytes;
use http::request::Parts;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use tolmach_capture::CapturedFrame as CaptureLine;
use tolmach_capture::{FORM, InvalidFrame, Line, MAX_LINE_BYTES, Open, Reader, Transport};
use tolmach_dialect::{Frame, Sender};
use tolmach_dialect_declared::{CapturedFrame, captured_frame};

/// The connection of frames that stand alone.
const ONLY: u64 = 1;

/// The word after the path of a request that opens a WebSocket.
const OPENS: &str = "websocket";

type Source = Box<dyn BufRead>;

/// A file, or standard input.
pub(super) struct Input {
    path: PathBuf,
    lines: Lines,
}

enum Lines {
    /// Of the form `tolmach-capture/1`.
    Capture(Reader<Source>),
    /// A frame each, of one connection.
    Frames { source: Source, number: u64 },
}

/// Something of a conversation.
pub(super) enum Piece {
    /// A connection begins; a WebSocket by a request.
    Open { connection: u64, at: i64, request: Option<Parts>, wire: Wire },
    /// A side sends a frame.
    Frame { line: u64, connection: u64, at: i64, sender: Sender, frame: Frame, wire: Wire },
    /// A connection ends.
    Close { connection: u64, at: i64 },
}

impl Input {
    /// Opens a file; `-` is standard input. The first line tells a capture by its header.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let unreadable = |source| UsageError::File { path: path.to_owned(), source };
        let mut source: Source = if path == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(unreadable)?))
        };
        let first = read_line(&mut source).map_err(unreadable)?.unwrap_or_default();
        let is_header = is_header(&first);
        let whole: Source = Box::new(Cursor::new(first).chain(source));
        let lines = if is_header {
            Lines::Capture(Reader::new(path.display().to_string(), whole))
        } else {
            Lines::Frames { source: whole, number: 0 }
        };
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The number of the latest line, from 1.
    pub(super) fn line(&self) -> u64 {
        match &self.lines {
            Lines::Capture(reader) => reader.line(),
            Lines::Frames { number, .. } => *number,
        }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, CliError> {
        loop {
            let piece = match &mut self.lines {
                Lines::Capture(reader) => match reader.next() {
                    None => return Ok(None),
                    Some(line) => {
                        let line = line.map_err(UsageError::from)?;
                        let number = reader.line();
                        piece(number, line).map_err(|source| UsageError::CaptureFrame {
                            place: format!("{}:{number}", self.path.display()),
                            source,
                        })?
                    }
                },
                Lines::Frames { source, number } => {
                    let path = || self.path.clone();
                    let line = read_line(source)
                        .map_err(|source| UsageError::File { path: path(), source })?;
                    let Some(line) = line else { return Ok(None) };
                    *number += 1;
                    let place = || format!("{}:{number}", self.path.display());
                    if line.len() > MAX_LINE_BYTES {
                        let text = format!("longer than {MAX_LINE_BYTES} bytes");
                        return Err(UsageError::FrameLine { place: place(), text }.into());
                    }
                    let text = String::from_utf8(line).map_err(|_| {
                        let text = "not UTF-8".to_owned();
                        UsageError::FrameLine { place: place(), text }
                    })?;
                    let line = usize::try_from(*number).unwrap_or(usize::MAX);
                    captured_frame(line, text.trim()).map(|captured| single(*number, captured))
                }
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
    }
}

/// A line with its end, cut where it is too long; `None` at the end.
fn read_line(source: &mut Source) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 2;
    let length = source.take(limit).read_until(b'\n', &mut line)?;
    Ok((length > 0).then_some(line))
}

/// True for the first line of a capture.
fn is_header(line: &[u8]) -> bool {
    let value: Result<serde_json::Value, _> = serde_json::from_slice(line);
    value.is_ok_and(|value| value["type"] == "capture" && value["form"] == FORM)
}

/// The piece of a line of a capture. Lines about the capture itself have none.
fn piece(number: u64, line: Line) -> Result<Option<Piece>, InvalidFrame> {
    let micros = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    Ok(match line {
        Line::Capture(_) | Line::Gap(_) => None,
        Line::Open(open) => Some(Piece::Open {
            connection: open.connection,
            at: micros(open.at),
            request: opening(&open)?,
            wire: Wire { dialect: open.dialect, revision: open.revision },
        }),
        Line::Frame(captured) => Some(Piece::Frame {
            line: number,
            connection: captured.connection,
            at: micros(captured.at),
            sender: captured.from,
            frame: captured.frame()?,
            wire: Wire { dialect: captured.dialect, revision: captured.revision },
        }),
        Line::Close(close) => {
            Some(Piece::Close { connection: close.connection, at: micros(close.at) })
        }
    })
}

/// The request of a WebSocket's handshake.
fn opening(open: &Open) -> Result<Option<Parts>, InvalidFrame> {
    let (Some(request), Transport::WebSocket) = (&open.request, open.transport) else {
        return Ok(None);
    };
    let empty = Frame::request(http::Request::new(Bytes::new()));
    let mut line = CaptureLine::new(open.connection, open.at, Sender::Client, &empty);
    line.method = Some(request.method.clone());
    line.uri = Some(request.uri.clone());
    line.headers.clone_from(&request.headers);
    Ok(match line.frame()? {
        Frame::Request(request) => Some(request.into_parts().0),
        _ => None,
    })
}

/// The piece of a frame that stands alone.
fn single(line: u64, captured: CapturedFrame) -> Piece {
    let sender = if captured.is_clients { Sender::Client } else { Sender::Server };
    let frame = http_frame(sender, &captured.text).unwrap_or_else(|| Frame::text(captured.text));
    let at = i64::try_from(line).unwrap_or(i64::MAX);
    Piece::Frame { line, connection: ONLY, at, sender, frame, wire: Wire::default() }
}

/// A frame of HTTP: `POST /path {…}` of a client, `200 {…}` of a server, each with its body if it
/// has one, and `GET /path websocket`, which opens a WebSocket. Such a request has the headers of a
/// client who is logged in.
fn http_frame(sender: Sender, text: &str) -> Option<Frame> {
    let (head, body) = text.split_at(text.find(['{', '[']).unwrap_or(text.len()));
    let body = Bytes::copy_from_slice(body.as_bytes());
    let mut words = head.split_whitespace();
    let first = words.next()?;
    match sender {
        Sender::Client => {
            let uri = words.next().filter(|uri| uri.starts_with('/'))?;
            let is_method = first.bytes().all(|byte| byte.is_ascii_uppercase());
            let last = words.next();
            if !is_method || last.is_some_and(|last| last != OPENS) || words.next().is_some() {
                return None;
            }
            let request = http::Request::builder()
                .method(first)
                .uri(uri)
                .header(http::header::AUTHORIZATION, "Bearer token");
            let request = if last.is_some() {
                request
                    .header(http::header::CONNECTION, "Upgrade")
                    .header(http::header::UPGRADE, "websocket")
                    .header(http::header::SEC_WEBSOCKET_VERSION, "13")
                    .header(http::header::ORIGIN, "http://localhost")
            } else {
                request.header(http::header::CONTENT_TYPE, "application/json")
            };
            request.body(body).ok().map(Frame::request)
        }
        Sender::Server => {
            let status: u16 = first.parse().ok()?;
            let response = http::Response::builder()
                .status(status)
                .header(http::header::CONTENT_TYPE, "application/json");
            response.body(body).ok().map(Frame::response)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_http_is_a_request_or_a_response() {
        for (sender, text, expected) in [
            (Sender::Client, r#"POST /login {"a":1}"#, Some(("request", r#"{"a":1}"#))),
            (Sender::Client, "GET /chats?limit=1", Some(("request", ""))),
            (Sender::Client, r#"{"mode":"auth"}"#, None),
            (Sender::Client, "GET /chat/1?limit=1 websocket", Some(("request", ""))),
            (Sender::Client, "GET /chat/1 elsewhere", None),
            (Sender::Client, "post /login", None),
            (Sender::Client, "TEST", None),
            (Sender::Server, r#"200 {"a":1}"#, Some(("response", r#"{"a":1}"#))),
            (Sender::Server, "404 Not Found", Some(("response", ""))),
            (Sender::Server, r#"{"mode":"auth"}"#, None),
        ] {
            let found = http_frame(sender, text);
            let found = found.as_ref().map(|frame| (frame.kind(), frame.payload().as_ref()));
            assert_eq!(found, expected.map(|(kind, body)| (kind, body.as_bytes())), "{text}");
        }
    }

    #[test]
    fn a_capture_is_known_by_its_header() {
        for (line, expected) in [
            (r#"{"type":"capture","form":"tolmach-capture/1","recorder":"proxy"}"#, true),
            (r#"{"type":"capture"}"#, false),
            (r#"{"type":"auth","data":{}}"#, false),
            ("> {}", false),
        ] {
            assert_eq!(is_header(line.as_bytes()), expected, "{line}");
        }
    }
}
