//! The translated frames, as JSON Lines or for a person.

use crate::error::{CliError, RuntimeError};
use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use tolmach_capture::{CapturedFrame, Close, Line, Open, OpenRequest, Transport};
use tolmach_dialect::{Frame, Sender};
use tolmach_migration::translate::{Item, Loss, TargetFrame, Translated};

/// Writes translated frames, and counts them.
pub(super) struct Output<W: Write> {
    writer: BufWriter<W>,
    is_json: bool,
    /// The number of frames of the source.
    pub(super) frames: u64,
    /// The number of those of which something did not come through.
    pub(super) lossy: u64,
}

impl<W: Write> Output<W> {
    pub(super) fn new(writer: W, is_json: bool) -> Self {
        Self { writer: BufWriter::new(writer), is_json, frames: 0, lossy: 0 }
    }

    /// Writes what became of a frame.
    pub(super) fn frame(
        &mut self,
        line: u64,
        connection: u64,
        at: i64,
        sender: Sender,
        translated: &Translated,
    ) -> Result<(), CliError> {
        self.frames += 1;
        self.lossy += u64::from(translated.is_lossy());
        self.write(line, connection, Some((at, sender)), translated)
    }

    /// Writes what the opening or the end of a connection brings, if anything.
    pub(super) fn opened(
        &mut self,
        line: u64,
        connection: u64,
        translated: &Translated,
    ) -> Result<(), CliError> {
        if translated.frames.is_empty() && translated.lost.is_empty() {
            return Ok(());
        }
        self.lossy += u64::from(translated.is_lossy());
        self.write(line, connection, None, translated)
    }

    fn write(
        &mut self,
        line: u64,
        connection: u64,
        frame: Option<(i64, Sender)>,
        translated: &Translated,
    ) -> Result<(), CliError> {
        let text = if self.is_json {
            let mut text = json_line(line, connection, frame, translated).to_string();
            text.push('\n');
            text
        } else {
            for_person(line, connection, frame.map(|(_, sender)| sender), translated)
        };
        Ok(self.writer.write_all(text.as_bytes()).map_err(RuntimeError::Output)?)
    }

    /// Writes what is still in memory.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.writer.flush().map_err(RuntimeError::Output)?)
    }
}

fn json_line(
    line: u64,
    connection: u64,
    frame: Option<(i64, Sender)>,
    translated: &Translated,
) -> Value {
    let at = frame.map_or(0, |(at, _)| u64::try_from(at).unwrap_or_default());
    let lost = translated.lost.iter().map(lost_json).collect::<Vec<_>>();
    let frames = translated.frames.iter().map(|item| captured(at, item)).collect::<Vec<_>>();
    let mut value = json!({
        "line": line,
        "connection": connection,
        "operations": translated.operations,
        "frames": frames,
        "lost": lost,
    });
    if let (Some((_, sender)), Value::Object(fields)) = (frame, &mut value) {
        fields.insert("from".to_owned(), json!(sender));
    }
    if let (false, Value::Object(fields)) = (translated.notes.is_empty(), &mut value) {
        fields.insert("notes".to_owned(), json!(translated.notes));
    }
    value
}

fn lost_json(loss: &Loss) -> Value {
    let mut value = json!({
        "operation": loss.operation,
        "part": loss.part.name(),
        "reason": loss.reason,
    });
    if let (Some(field), Value::Object(fields)) = (loss.part.field(), &mut value) {
        fields.insert("field".to_owned(), json!(field));
    }
    value
}

/// An item as a line of `tolmach-capture/1`.
fn captured(at: u64, TargetFrame { connection, item }: &TargetFrame) -> Line {
    let connection = *connection;
    match item {
        Item::Open(request) => Line::Open(Box::new(Open {
            connection,
            at,
            transport: Transport::WebSocket,
            dialect: None,
            revision: None,
            request: open_request(request),
            address: None,
            user: None,
            continued: false,
            of: None,
        })),
        Item::Frame(sender, frame) => {
            Line::Frame(Box::new(CapturedFrame::new(connection, at, *sender, frame)))
        }
        Item::Close(close) => {
            let (by, code) = (Some(Sender::Server), Some(close.code));
            Line::Close(Close { connection, at, by, code })
        }
    }
}

/// The request of a WebSocket's handshake.
fn open_request(request: &Parts) -> Option<OpenRequest> {
    let frame = Frame::request(http::Request::from_parts(request.clone(), Bytes::new()));
    let line = CapturedFrame::new(0, 0, Sender::Client, &frame);
    Some(OpenRequest { method: line.method?, uri: line.uri?, headers: line.headers })
}

/// The frames after marks, as they can be translated again, with the rest as notes.
fn for_person(
    line: u64,
    connection: u64,
    sender: Option<Sender>,
    translated: &Translated,
) -> String {
    let side = match sender {
        Some(Sender::Client) => "client",
        Some(Sender::Server) => "server",
        None => "opening or end",
    };
    let operations = translated.operations.join(", ");
    let mut text = format!("# line {line}, connection {connection}, {side}: {operations}\n");
    for TargetFrame { connection: _, item } in &translated.frames {
        text.push_str(&match item {
            Item::Open(request) => format!("> {} {} websocket\n", request.method, request.uri),
            Item::Frame(sender, frame) => {
                let mark = if *sender == Sender::Client { '>' } else { '<' };
                format!("{mark} {}\n", one_line(frame))
            }
            Item::Close(close) => format!("# closed: {} {}\n", close.code, close.reason),
        });
    }
    for loss in &translated.lost {
        let part = loss.part.to_string();
        text.push_str(&format!("# LOST {part} ({}): {}\n", loss.operation, loss.reason));
    }
    for note in &translated.notes {
        text.push_str(&format!("# {note}\n"));
    }
    text
}

/// A frame in one line.
fn one_line(frame: &Frame) -> String {
    let body = String::from_utf8_lossy(frame.payload());
    let body = body.replace(['\r', '\n'], " ");
    let head = match frame {
        Frame::Request(request) => format!("{} {} ", request.method(), request.uri()),
        Frame::Response(response) => format!("{} ", response.status().as_u16()),
        Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) => String::new(),
    };
    format!("{head}{body}").trim_end().to_owned()
}
