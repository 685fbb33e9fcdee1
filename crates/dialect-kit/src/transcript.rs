//! Transcripts of what went over the wire, for people to read and for a test to compare.

use crate::play::{RecordedStep, Recording, WireEntry, record};
use crate::revision::title_of;
use bytes::Bytes;
use http::HeaderMap;
use std::collections::BTreeMap;
use tolmach_dialect::{Dialect, Frame};

/// Headers that no dialect decides.
const OMITTED_HEADERS: [&str; 5] =
    ["host", "connection", "content-length", "sec-websocket-key", "sec-websocket-version"];

/// The transcript of each story as a dialect plays it, by its name. Of a dialect without a client
/// there are none.
pub fn story_transcripts(dialect: &dyn Dialect) -> BTreeMap<&'static str, String> {
    transcripts(&title_of(dialect), &record(dialect))
}

/// The transcript of each story, by its name.
pub(crate) fn transcripts(dialect: &str, recording: &Recording) -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<&'static str, String> = BTreeMap::new();
    for step in &recording.steps {
        let text = all.entry(step.story).or_insert_with(|| heading("story", step.story, dialect));
        write_step(text, step);
    }
    all
}

/// The first line of a transcript.
pub(crate) fn heading(kind: &str, name: &str, dialect: &str) -> String {
    format!(
        "# The {kind} \"{name}\" in the dialect {dialect}. \">\" a client says, \"<\" a server \
         says.\n"
    )
}

fn write_step(text: &mut String, step: &RecordedStep) {
    text.push('\n');
    if step.unsupported.is_some() {
        put(text, &format!("# {}: not said in this dialect", step.title));
        return;
    }
    if !step.is_event {
        put(text, &format!("# {}", step.title));
        if step.entries.iter().all(WireEntry::is_client) {
            put(text, "# (a grant is not answered by itself)");
        }
    }
    write_entries(text, &step.entries);
}

/// Appends entries to a transcript.
pub(crate) fn write_entries(text: &mut String, entries: &[WireEntry]) {
    for entry in entries {
        match entry {
            WireEntry::Remark(remark) if remark.starts_with('\n') => put(text, remark),
            WireEntry::Remark(remark) => put(text, &format!("# {remark}")),
            WireEntry::Opened(request) => {
                put(text, &format!("> {} {}", request.method, request.uri));
                put_headers(text, '>', &request.headers);
            }
            WireEntry::Client(frame) => put_frame(text, '>', frame),
            WireEntry::Server(frame) => put_frame(text, '<', frame),
            WireEntry::Closed(close) => {
                put(text, &format!("< (close {} {})", close.code, close.reason))
            }
        }
    }
}

fn put(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn put_headers(text: &mut String, mark: char, headers: &HeaderMap) {
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| !OMITTED_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| {
            format!(
                "{mark} {name}: {}",
                value
                    .as_bytes()
                    .escape_ascii()
                    .to_string()
                    .replace("\\\"", "\"")
                    .replace("\\'", "'")
            )
        })
        .collect();
    lines.sort();
    for line in lines {
        put(text, &line);
    }
}

fn put_frame(text: &mut String, mark: char, frame: &Frame) {
    match frame {
        Frame::Text(_) | Frame::Value(_) => put_body(text, mark, frame.payload()),
        Frame::Binary(_) => {
            put(text, &format!("{mark} (binary)"));
            put_body(text, mark, frame.payload());
        }
        Frame::Request(request) => {
            put(text, &format!("{mark} {} {}", request.method(), request.uri()));
            put_headers(text, mark, request.headers());
            put_separated_body(text, mark, request.body());
        }
        Frame::Response(response) => {
            put(text, &format!("{mark} {}", response.status()));
            put_headers(text, mark, response.headers());
            put_separated_body(text, mark, response.body());
        }
    }
}

fn put_separated_body(text: &mut String, mark: char, body: &Bytes) {
    if !body.is_empty() {
        put(text, &mark.to_string());
        put_body(text, mark, body);
    }
}

/// Each line after the mark; one that is no text is escaped.
fn put_body(text: &mut String, mark: char, body: &[u8]) {
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok("") => put(text, &mark.to_string()),
            Ok(readable) if !readable.chars().any(char::is_control) => {
                put(text, &format!("{mark} {readable}"))
            }
            _ => put(text, &format!("{mark} {}", line.escape_ascii())),
        }
    }
}

/// The first line in which two transcripts differ, with its neighbours.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), found.lines().collect());
    let at = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let context = found[..at.min(found.len())]
        .iter()
        .rev()
        .find(|line| line.starts_with('#'))
        .copied()
        .unwrap_or_default();
    let show = |lines: &[&str]| {
        lines.get(at).map_or_else(|| "(the end)".to_owned(), |line| (*line).to_owned())
    };
    format!(
        "line {} differs, after \"{context}\"\n    file:   {}\n    played: {}",
        at + 1,
        show(&expected),
        show(&found)
    )
}
