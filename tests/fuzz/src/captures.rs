//! Captures of any content: their lines are read or refused with their place, are written as they
//! were read, recorded and compared.

use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use tolmach_capture::{
    FORM, KnownDialect, Line, Opening, Reader, Recorder, Replacer, Sender, Transcriber, Transport,
};
use tolmach_dialect::{DOC, Dialect, FieldRule};
use tolmach_migration::compare::{Capture, Meanings, compare};
use tolmach_migration::report;

/// The dialects whose names captures may have.
static MEANINGS: LazyLock<Meanings> = LazyLock::new(|| {
    let dialects: [Arc<dyn Dialect>; 4] = [
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_action::Action::default()),
    ];
    Meanings::new(dialects)
});

/// Lines of each type, and of connections of each transport.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let login = r#"{"mode":"auth","timestamp":1.5,"username":"ann","password":"secret"}"#;
    let granted = r#"{"mode":"auth","timestamp":1.5,"status":"OK","token":"0123456789"}"#;
    let history = r#"{"mode":"getMessages","timestamp":1.5,"messages":[{"id":5,"text":"a"}]}"#;
    let websocket = [
        json!({"type": "open", "connection": 1, "at": 1, "transport": "websocket",
            "dialect": "mode", "revision": "doc", "address": "192.0.2.1",
            "request": {"method": "GET", "uri": "/mode", "headers": [["upgrade", "websocket"]]}}),
        json!({"type": "frame", "connection": 1, "at": 2, "from": "client", "kind": "text",
            "text": login, "command": "login"}),
        json!({"type": "frame", "connection": 1, "at": 3, "from": "server", "kind": "text",
            "text": granted}),
        json!({"type": "frame", "connection": 1, "at": 4, "from": "server", "kind": "text",
            "text": history, "command": "history"}),
        json!({"type": "frames", "at": 4, "to": [[1, 0], [2, 7]], "from": "server", "kind": "text",
            "text": "{\"mode\":\"newMessage\"}", "command": "posted"}),
        json!({"type": "gap", "connection": 1, "at": 5, "frames": 2, "reason": "full"}),
        json!({"type": "close", "connection": 1, "at": 6, "by": "client", "code": 1000}),
    ];
    let http = [
        json!({"type": "open", "connection": 2, "at": 1, "transport": "http",
            "dialect": "bearer"}),
        json!({"type": "frame", "connection": 2, "at": 2, "from": "client", "kind": "request",
            "method": "POST", "uri": "/api/v1/login", "text": "{\"login\":\"ann\"}",
            "headers": [["content-type", "application/json"]]}),
        json!({"type": "frame", "connection": 2, "at": 3, "from": "server", "kind": "response",
            "status": 200, "text": "{\"access\":\"a.b.c\"}"}),
        json!({"type": "frame", "connection": 2, "at": 4, "from": "client", "kind": "request",
            "method": "GET", "uri": "/api/v1/chats?limit=5",
            "headers": [["authorization", "Bearer a.b.c"]]}),
        json!({"type": "frame", "connection": 2, "at": 5, "from": "server", "kind": "response",
            "status": 404, "base64": "/w=="}),
    ];
    let tcp = [
        json!({"type": "open", "connection": 3, "at": 1, "transport": "tcp", "user": 3,
            "continued": true, "of": 1}),
        json!({"type": "frame", "connection": 3, "at": 2, "from": "client", "kind": "value",
            "text": "{\"type\":\"SND_MSG\",\"id\":1}", "dialect": "sndmsg", "revision": "doc"}),
        json!({"type": "frame", "connection": 3, "at": 3, "from": "server", "kind": "binary",
            "base64": "AAEC"}),
    ];
    let lines = |values: &[Value]| -> Vec<u8> {
        values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect()
    };
    let seeds = [lines(&websocket), lines(&http), lines(&tcp)];
    let all = seeds.concat();
    seeds.into_iter().chain([all]).collect()
}

/// Reads the lines of an input as those of a capture behind its header.
///
/// # Panics
///
/// If a line is not written as it was read, or if a recorded line cannot be read.
pub(crate) fn run(input: &[u8]) {
    let header = format!("{{\"type\":\"capture\",\"form\":\"{FORM}\",\"recorder\":\"proxy\"}}\n");
    let capture = [header.as_bytes(), input].concat();
    let read: Result<Vec<Line>, _> = Reader::new("input", &capture[..]).collect();
    let Ok(lines) = read else { return };
    let mut written = Vec::new();
    for line in &lines {
        serde_json::to_writer(&mut written, line).expect("a line can be written");
        written.push(b'\n');
    }
    let again: Vec<Line> = read_back(&written);
    assert_eq!(again, lines, "lines are not read as they were written");
    record(&lines);
    let capture = |name: &str| Capture {
        name: name.to_owned(),
        reader: Reader::new(name, std::io::Cursor::new(written.clone())),
    };
    if let Ok(report) = compare(capture("a"), capture("b"), &MEANINGS, None) {
        assert!(!report::text(&report).is_empty());
        assert!(!report::json(&report).is_empty() && !report::html(&report).is_empty());
    }
}

/// Records the frames of a capture.
fn record(lines: &[Line]) {
    let mut transcriber = Transcriber::new(Replacer::new(b"a key", true));
    let mut recorded = Vec::new();
    transcriber.header(Recorder::Gateway, &mut recorded);
    for line in lines {
        match line {
            Line::Capture(_) => {}
            Line::Open(open) => transcriber.open(
                Opening {
                    connection: open.connection,
                    at: open.at,
                    transport: Transport::WebSocket,
                    dialect: Some(known(open.dialect.as_deref())),
                    request: None,
                    address: open.address,
                    user: open.user,
                },
                &mut recorded,
            ),
            Line::Frame(frame) => {
                let Ok(content) = frame.frame() else { continue };
                let (place, from) = ((frame.connection, frame.at), frame.from);
                let known = frame.dialect.as_ref().map(|id| known(Some(id)));
                if from == Sender::Server && known.is_none() {
                    transcriber.message(place, &content, None, &mut recorded);
                } else {
                    transcriber.frame(place, from, &content, None, known, &mut recorded);
                }
            }
            Line::Close(close) => transcriber.close(close.clone(), &mut recorded),
            Line::Gap(gap) => transcriber.gap(gap.clone(), &mut recorded),
        }
    }
    transcriber.flush(&mut recorded);
    transcriber.resume(Recorder::Gateway, 9, &mut Vec::new());
    let recorded = read_back(&recorded);
    let is_of_client =
        |line: &&Line| matches!(line, Line::Frame(frame) if frame.from == Sender::Client);
    let of_clients = |lines: &[Line]| lines.iter().filter(is_of_client).count();
    assert!(of_clients(&recorded) <= of_clients(lines), "frames are invented");
}

fn read_back(capture: &[u8]) -> Vec<Line> {
    let lines = Reader::new("written", capture);
    lines.map(|line| line.unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// A dialect by its id; one without rules where there is none.
fn known(id: Option<&str>) -> KnownDialect {
    let (id, revision) = (id.unwrap_or_default().to_owned(), DOC.to_owned());
    let rules: &'static [FieldRule] =
        MEANINGS.rules(&(id.clone(), revision.clone())).unwrap_or_default();
    KnownDialect { id, revision, rules }
}
