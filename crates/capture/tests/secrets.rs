//! All stories of all dialects and revisions, transcribed: nothing that must not be told is in the
//! capture.

use bytes::Bytes;
use std::sync::Arc;
use tolmach_capture::{
    Close, KnownDialect, Line, Opening, Reader, Recorder, Replacer, Transcriber, Transport,
};
use tolmach_dialect::{
    DOC, Dialect, FieldMap, FieldRole, FieldRule, FieldValue, Frame, Pinned, Place, Sender,
};
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

/// The addresses of a WebSocket's handshake and of an HTTP request, as a capture has them.
fn addresses(uri: &str) -> [String; 2] {
    static RULES: [FieldRule; 2] = [
        FieldRule::at(Place::Query("limit"), FieldRole::Word),
        FieldRule::at(Place::Path("/OwnPath/{}"), FieldRole::User),
    ];
    let mut transcriber = Transcriber::new(Replacer::new(b"a key of a trial", false));
    let mut out = Vec::new();
    transcriber.header(Recorder::Proxy, &mut out);
    let request = http::Request::get(uri).body(Bytes::new()).expect("it is an address");
    let (parts, ()) = http::Request::get(uri).body(()).expect("it is an address").into_parts();
    let (id, revision) = ("toy".to_owned(), "doc".to_owned());
    let opening = Opening {
        connection: 1,
        at: 0,
        transport: Transport::WebSocket,
        dialect: Some(KnownDialect { id, revision, rules: &RULES }),
        request: Some(Box::new(parts)),
        address: None,
        user: None,
    };
    transcriber.open(opening, &mut out);
    transcriber.frame((1, 0), Sender::Client, &Frame::request(request), None, None, &mut out);
    let found: Vec<String> = Reader::new("it", &out[..])
        .filter_map(|line| match line.expect("it is a line") {
            Line::Open(open) => Some(open.request.expect("it has one").uri),
            Line::Frame(frame) => frame.uri,
            _ => None,
        })
        .collect();
    found.try_into().expect("there are two")
}

#[test]
fn no_secret_of_an_address_is_in_a_capture() {
    let token = "0123456789abcdef0123456789abcdef";
    // Pseudonyms are longer than what they replace: the address becomes too long.
    let long = format!("/ws?{}", "sesame12&".repeat(7_000));
    for (uri, secret) in [
        ("/ws?eyJhbGciOiJIUzI1NiJ9.x", "eyJ"),
        ("/ws?dG9rZW4=", "dG9rZW4"),
        ("/ws?limit=1&dG9rZW4=", "dG9rZW4"),
        (&format!("/ws?{token}.x=1"), token),
        (&format!("/ws/{token}"), token),
        ("/ws/x7Yp", "x7Yp"),
        ("/activate?code=123456", "123456"),
        ("http://ann:sesame@host/ws", "sesame"),
        ("http://ann:sesame@host/ws?code=123456", "sesame"),
        (&long, "sesame"),
    ] {
        for address in addresses(uri) {
            assert!(!address.contains(secret), "{uri} is told as {address}");
        }
    }
    for plain in ["/", "/api/v1/chat-rooms/17", "/OwnPath/7", "/ws?limit=1", "http://host/ws", "*"]
    {
        assert_eq!(addresses(plain), [plain, plain]);
    }
    for address in addresses("http://ann:sesame@host/ws") {
        assert_eq!(address, "http://host/ws");
    }
}

#[test]
fn numbers_of_texts_are_replaced_with_them() {
    static RULES: [FieldRule; 2] =
        [FieldRule::body("phone", FieldRole::Contact), FieldRule::body("id", FieldRole::User)];
    let body = r#"{"phone":15550001,"id":7001,"new":90210}"#;
    for (texts, rules, kept) in [
        (false, &RULES[..], &["15550001", "7001", "90210"][..]),
        (true, &RULES[..], &["7001"]),
        (true, &[], &[]),
    ] {
        let replacer = Replacer::new(b"a key of a trial", texts);
        let mut edit = |value: &FieldValue<'_>| replacer.value(Sender::Client, value);
        let map = FieldMap::new(rules);
        let edited = map.edit_body(Sender::Client, None, body.as_bytes(), &mut edit).unwrap();
        let edited = edited.unwrap_or_else(|| body.into());
        let edited = std::str::from_utf8(&edited).unwrap();
        for number in ["15550001", "7001", "90210"] {
            assert_eq!(edited.contains(number), kept.contains(&number), "{number} of {edited}");
        }
    }
}

#[test]
fn names_of_files_are_replaced_with_texts() {
    let body = "--x\r\nContent-Disposition: form-data; name=\"photo\"; \
        filename=\"my holiday.png\"\r\n\r\nx\r\n--x--\r\n";
    for (texts, is_told) in [(false, true), (true, false)] {
        let replacer = Replacer::new(b"a key of a trial", texts);
        let mut edit = |value: &FieldValue<'_>| replacer.value(Sender::Client, value);
        let request = http::Request::post("/")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Bytes::from_static(body.as_bytes()));
        let frame = Frame::request(request.unwrap());
        let edited = FieldMap::new(&[]).edit(Sender::Client, None, &frame, &mut edit).unwrap();
        let edited = edited.unwrap_or(frame);
        let edited = str::from_utf8(edited.payload()).unwrap();
        assert_eq!(edited.contains("my holiday"), is_told, "{edited}");
        assert!(edited.contains(".png\"\r\n"), "{edited}");
    }
}
