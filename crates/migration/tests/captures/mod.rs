//! Captures of the stories, as every dialect and revision plays them, and the same captures as
//! another server would have made them.

use std::io::Cursor;
use std::sync::Arc;
use tolmach_capture::{
    CapturedFrame, Close, Header, Line, Open, OpenRequest, Reader, Recorder, Sender, Transport,
    Writer,
};
use tolmach_dialect::{DOC, Dialect, FieldMap, FieldRole, FieldValue, Frame, Route};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{PlayedContent, played_stories};
use tolmach_migration::compare::{Capture, Meanings, compare};
use tolmach_migration::report::Report;

/// Every dialect, and every revision that is a file.
pub fn dialects() -> Vec<Arc<dyn Dialect>> {
    let mut all: Vec<Arc<dyn Dialect>> = vec![
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_morelia::Morelia::default()),
        Arc::new(tolmach_dialect_bearer::Bearer::default()),
        Arc::new(tolmach_dialect_action::Action::default()),
    ];
    for file in BUILT_IN {
        let file = Declared::compile(*file, BUILT_IN).unwrap();
        if file.revision() != DOC {
            all.push(Arc::new(file));
        }
    }
    all
}

/// The name of a dialect with its revision.
pub fn title(dialect: &dyn Dialect) -> String {
    format!("{}/{}", dialect.manifest().id, dialect.manifest().revisions[0])
}

/// The stories as a dialect plays them: the lines of a capture without its header, and of each
/// whether it belongs to an event.
pub fn stories(dialect: &dyn Dialect) -> Vec<(Line, bool)> {
    let (id, revision) = (dialect.manifest().id, dialect.manifest().revisions[0]);
    let mut lines: Vec<(Line, bool)> = Vec::new();
    let mut open: Vec<u64> = Vec::new();
    let mut stories: Vec<&'static str> = Vec::new();
    for step in played_stories(dialect) {
        if !stories.contains(&step.story) {
            stories.push(step.story);
            close_all(&mut open, &mut lines);
        }
        for played in step.wire {
            let connection = stories.len() as u64 * 1_000 + played.connection;
            let at = lines.len() as u64 * 1_000;
            let mut begin = |transport, request| {
                if !open.contains(&connection) {
                    open.push(connection);
                    let open = Open {
                        connection,
                        at,
                        transport,
                        dialect: Some(id.to_owned()),
                        revision: Some(revision.to_owned()),
                        request,
                        address: None,
                        user: None,
                        continued: false,
                        of: None,
                    };
                    lines.push((Line::Open(Box::new(open)), false));
                }
            };
            match played.content {
                PlayedContent::Opened(request) => {
                    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
                    let headers = request.headers.iter();
                    let request = OpenRequest {
                        method: request.method.to_string(),
                        uri: request.uri.to_string(),
                        headers: headers
                            .map(|(name, value)| (name.to_string(), text(value)))
                            .collect(),
                    };
                    begin(Transport::WebSocket, Some(request));
                }
                PlayedContent::Frame(from, frame) => {
                    begin(Transport::Http, None);
                    let frame = CapturedFrame::new(connection, at, from, &frame);
                    lines.push((Line::Frame(Box::new(frame)), step.is_event));
                }
                PlayedContent::Closed(close) => {
                    open.retain(|other| *other != connection);
                    let close =
                        Close { connection, at, by: Some(Sender::Server), code: Some(close.code) };
                    lines.push((Line::Close(close), step.is_event));
                }
            }
        }
    }
    close_all(&mut open, &mut lines);
    lines
}

fn close_all(open: &mut Vec<u64>, lines: &mut Vec<(Line, bool)>) {
    for connection in open.drain(..) {
        let at = lines.len() as u64 * 1_000;
        let by = Some(Sender::Client);
        lines.push((Line::Close(Close { connection, at, by, code: Some(1000) }), false));
    }
}

/// The same conversation with another server: its ids, tokens and times are others.
pub fn of_another_server(dialect: &dyn Dialect, lines: &[Line]) -> Vec<Line> {
    let map = FieldMap::of(dialect.manifest(), dialect.manifest().revisions[0]);
    let mut route: Option<(u64, String, String)> = None;
    let mut handshakes: Vec<(u64, String)> = Vec::new();
    let mut edited = lines.to_vec();
    for line in &mut edited {
        match line {
            Line::Open(open) => {
                if let Some(request) = &open.request {
                    handshakes.push((open.connection, path(&request.uri)));
                }
                open.of = Some(open.connection);
                open.connection += 500_000;
            }
            Line::Close(close) => close.connection += 500_000,
            Line::Frame(frame) => {
                let connection = frame.connection;
                frame.connection += 500_000;
                if frame.from == Sender::Client {
                    if let (Some(method), Some(uri)) = (&frame.method, &frame.uri) {
                        route = Some((connection, method.clone(), path(uri)));
                    }
                    continue;
                }
                let of_request = route.as_ref().filter(|(of, ..)| *of == connection);
                let of_handshake = handshakes.iter().find(|(of, _)| *of == connection);
                let route = match (of_request, of_handshake) {
                    (Some((_, method, path)), _) => Some(Route { method, path }),
                    (None, Some((_, path))) => Some(Route { method: "GET", path }),
                    (None, None) => None,
                };
                let old = frame.frame().unwrap();
                let new = map.edit(Sender::Server, route, &old, &mut other_value);
                if let Ok(Some(new)) = new {
                    put(frame, &new);
                }
            }
            Line::Capture(_) | Line::Gap(_) => {}
        }
    }
    edited
}

/// Gives a line the payload and the head of another frame.
pub fn put(line: &mut CapturedFrame, frame: &Frame) {
    *line = CapturedFrame {
        command: line.command.take(),
        ..CapturedFrame::new(line.connection, line.at, line.from, frame)
    };
}

fn path(uri: &str) -> String {
    uri.split('?').next().unwrap_or_default().to_owned()
}

fn other_value(value: &FieldValue<'_>) -> Option<String> {
    let text = value.text.as_ref();
    if matches!(text, "" | "0" | "null" | "None") {
        return None;
    }
    match value.role? {
        FieldRole::User => Some(other_id(text, 1_000)),
        FieldRole::Flow => Some(other_id(text, 20_000)),
        FieldRole::Message => Some(other_id(text, 300_000)),
        FieldRole::OtherId => Some(other_id(text, 7)),
        FieldRole::Token => Some(format!("another-{text}")),
        FieldRole::Time => Some(
            text.chars()
                .map(|digit| if matches!(digit, '1'..='8') { '9' } else { digit })
                .collect(),
        ),
        _ => None,
    }
}

fn other_id(text: &str, more: i64) -> String {
    match text.parse::<i64>() {
        Ok(number) => (number + more).to_string(),
        Err(_) => text.chars().map(|digit| if digit == '0' { 'f' } else { digit }).collect(),
    }
}

/// Compares two captures, given by their lines without headers.
pub fn compared(meanings: &Meanings, a: &[Line], b: &[Line]) -> Report {
    let capture = |name: &str, recorder, lines: &[Line]| {
        let mut writer = Writer::new(Vec::new(), Header::new(recorder, Vec::new())).unwrap();
        lines.iter().for_each(|line| writer.write(line).unwrap());
        let bytes = writer.finish().unwrap();
        Capture { name: name.to_owned(), reader: Reader::new(name, Cursor::new(bytes)) }
    };
    let (a, b) = (capture("a", Recorder::Gateway, a), capture("b", Recorder::Replay, b));
    compare(a, b, meanings, None).unwrap()
}
