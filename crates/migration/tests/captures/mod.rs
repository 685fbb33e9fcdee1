//! Captures of the stories, as every dialect and revision plays them.

use std::sync::Arc;
use tolmach_capture::{CapturedFrame, Close, Line, Open, OpenRequest, Sender, Transport};
use tolmach_dialect::{DOC, Dialect, Pinned};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{PlayedContent, played_stories};

/// Every dialect in every revision, those that are files too.
pub(crate) fn dialects() -> Vec<Arc<dyn Dialect>> {
    let crates: [Arc<dyn Dialect>; 5] = [
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_morelia::Morelia::default()),
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_action::Action::default()),
    ];
    let mut all: Vec<Arc<dyn Dialect>> = Vec::new();
    for dialect in crates {
        let further = dialect.manifest().revisions[1..].to_vec();
        all.push(dialect.clone());
        for revision in further {
            let pinned = Pinned::new(dialect.clone(), revision).expect("it is of the manifest");
            all.push(Arc::new(pinned));
        }
    }
    for file in BUILT_IN {
        let file = Declared::compile(*file, BUILT_IN).expect("a trial compiles every file");
        if file.revision() != DOC {
            all.push(Arc::new(file));
        }
    }
    all
}

/// The name of a dialect with its revision.
pub(crate) fn title(dialect: &dyn Dialect) -> String {
    format!("{}/{}", dialect.manifest().id, dialect.manifest().revisions[0])
}

/// The stories as a dialect plays them: the lines of a capture without its header, and of each
/// whether it belongs to an event.
pub(crate) fn stories(dialect: &dyn Dialect) -> Vec<(Line, bool)> {
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
                    let text = |value: &http::HeaderValue| {
                        value.to_str().expect("headers of the stories are ASCII").to_owned()
                    };
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
