//! All stories of all dialects and revisions, transcribed: nothing that must not be told is in the
//! capture.

use std::sync::Arc;
use tolmach_capture::{
    Close, KnownDialect, Line, Opening, Reader, Recorder, Replacer, Transcriber, Transport,
};
use tolmach_dialect::{DOC, Dialect, FieldRule, Frame, Pinned, Sender};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::fixtures::{ANN, BOB, CAROL};
use tolmach_dialect_kit::{PlayedContent, PlayedStep, played_stories};

/// Every dialect in every revision.
fn dialects() -> Vec<Arc<dyn Dialect>> {
    let compiled: [Arc<dyn Dialect>; 5] = [
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_morelia::Morelia::default()),
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_action::Action::default()),
    ];
    let mut dialects: Vec<Arc<dyn Dialect>> = Vec::new();
    for dialect in compiled {
        for revision in dialect.manifest().revisions {
            let pinned = Pinned::new(dialect.clone(), revision).expect("it has the revision");
            dialects.push(Arc::new(pinned));
        }
    }
    for file in BUILT_IN {
        let declared = Declared::compile(*file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"));
        if declared.revision() != DOC {
            dialects.push(Arc::new(declared));
        }
    }
    dialects
}

/// The capture of stories. Without rules, the dialect is not known.
fn capture(steps: &[PlayedStep], dialect: Option<&dyn Dialect>, texts: bool) -> String {
    let mut transcriber = Transcriber::new(Replacer::new(b"a key of a trial", texts));
    let mut out = Vec::new();
    transcriber.header(Recorder::Proxy, &mut out);
    let known = dialect.map(|dialect| {
        let manifest = dialect.manifest();
        let revision = manifest.revisions[0];
        let rules: &'static [FieldRule] = manifest.field_rules(revision);
        KnownDialect { id: manifest.id.to_owned(), revision: revision.to_owned(), rules }
    });
    let open = |connection, transport, request| Opening {
        connection,
        at: 0,
        transport,
        dialect: known.clone(),
        request,
        address: None,
        user: None,
    };
    for step in steps {
        for played in &step.wire {
            let connection = played.connection;
            match &played.content {
                PlayedContent::Opened(parts) => {
                    let opening = open(connection, Transport::WebSocket, Some(parts.clone()));
                    transcriber.open(opening, &mut out);
                }
                PlayedContent::Frame(from, frame) => {
                    if matches!(frame, Frame::Request(_)) {
                        transcriber.open(open(connection, Transport::Http, None), &mut out);
                    }
                    transcriber.frame((connection, 0), *from, frame, None, None, &mut out);
                }
                PlayedContent::Closed(close) => {
                    let (by, code) = (Some(Sender::Server), Some(close.code));
                    transcriber.close(Close { connection, at: 0, by, code }, &mut out);
                }
            }
        }
    }
    String::from_utf8(out).expect("a capture is text")
}

fn secrets() -> Vec<String> {
    let of = |persona: &'static tolmach_dialect_kit::fixtures::Persona| {
        [persona.password, persona.token, persona.refresh]
    };
    // Also cut in parts, as headers may have them.
    let whole = [&ANN, &BOB, &CAROL].into_iter().flat_map(of);
    let parts = whole.flat_map(|secret| secret.split('.').map(str::to_owned));
    // The middle of a token is no secret: base64 of an id.
    parts.filter(|part| !part.starts_with("eyJpZCI6")).collect()
}

/// The values of the stories that belong to persons. Where something is escaped, a part of it.
const PERSONAL: [&str; 12] = [
    "Ann Archer",
    "Carol Cook",
    "ann-the-user",
    "ann@example.org",
    "bob@example.org",
    "15550001",
    "Друзья",
    "Those who meet",
    "Hello",
    "Привет",
    "Better put",
    "quoted",
];

#[test]
fn no_secret_of_any_story_is_in_a_capture() {
    for dialect in dialects() {
        let manifest = dialect.manifest();
        let title = format!("{}/{}", manifest.id, manifest.revisions[0]);
        let steps = played_stories(&*dialect);
        for (known, texts) in [(Some(&*dialect), false), (Some(&*dialect), true), (None, false)] {
            let capture = capture(&steps, known, texts);
            assert!(capture.lines().count() > 20, "{title}: the stories are in it");
            let personal =
                PERSONAL.iter().map(ToString::to_string).filter(|_| texts || known.is_none());
            // Payloads in base64 are read too.
            let payloads = Reader::new(&title, capture.as_bytes()).filter_map(|line| {
                let Line::Frame(frame) = line.unwrap() else { return None };
                let payload = frame.frame().unwrap().payload().clone();
                Some(String::from_utf8_lossy(&payload).into_owned())
            });
            let lines: Vec<String> = capture.lines().map(str::to_owned).chain(payloads).collect();
            for told in secrets().into_iter().chain(personal) {
                let line = lines.iter().find(|line| line.contains(&told));
                assert_eq!(line, None, "{title}: {told:?} is told");
            }
        }
    }
}

#[test]
fn a_token_that_was_given_out_is_the_one_that_is_used() {
    let mode = tolmach_dialect_mode::Mode::default();
    let steps = played_stories(&mode);
    let capture = capture(&steps, Some(&mode), false);
    let pseudonym = Replacer::new(b"a key of a trial", false).secret(ANN.token);
    let lines: Vec<&str> = capture.lines().filter(|line| line.contains(&pseudonym)).collect();
    assert!(lines.iter().any(|line| line.contains("\"from\":\"server\"")));
    assert!(lines.iter().any(|line| line.contains("\"from\":\"client\"")));
    for text in ["Hello", "\\\"ann\\\""] {
        assert!(capture.contains(text), "texts and names stay where only secrets are replaced");
    }
}
