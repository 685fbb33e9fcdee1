//! Holes within texts, and the wire's constants for none.

use tolmach_dialect::{Correlation, Credentials, ServerSession};
use tolmach_dialect::{Dialect, Frame, Handshake, Incoming, RenderContext, Request, Response};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT};
use tolmach_domain::{Answer, Command, ConnectionId, Fault, MessageId};

/// A wire on which everything is a string.
const FILE: &str = r#"
[dialect]
id = "desk"
summary = "every scalar is a string"
credentials = "connection"
[outcomes]
columns = ["code"]
ok = ["0"]
"*" = ["1"]
[envelope]
request = '{"do": <name>, "ref"?: "r<tag>"}'
response = '{"do": "<name>.ack", "ref": "r<tag>"}'
event = '{"do": <name>}'
[part]
note = '''{"id": "n<id>", "at": "<posted_at: seconds>", "ms": "t<posted_at: millis>",
  "day": "on <posted_at: plain>", "fixed": "<edited_at: seconds>",
  "re": <reply_to: decimal = "0">, "from": <author.login>, "txt": <text>}'''
[[request.send]]
name = "put"
frame = '{"to": "d<flow>", "txt": <text>, "re": <reply_to: decimal = "0">}'
response = '@note'
[[request.register]]
name = "join"
set = { grant = "connection", profile = true }
frame = '{"who": <login>, "pin": <password>, "mail": <email: blank>, "tel": <phone: blank>}'
[[request.create_flow]]
name = "pool"
set = { kind = "group" }
frame = '{"label": <title>, "crew": [each members: <it: decimal>]}'
[[event.posted]]
name = "note"
frame = '@note {"flow": <flow>, "kind": "text"}'
"#;

fn desk() -> Declared {
    let file = Declared::compile(DialectFile { name: "desk.toml", text: FILE }, &[]);
    file.unwrap_or_else(|error| panic!("{error}"))
}

fn session(file: &Declared) -> Box<dyn ServerSession> {
    let request = tolmach_dialect::websocket_request("/desk");
    let handshake = Handshake::new(ConnectionId(1)).request(&request).websocket(true);
    let mut session = file.accept(&handshake).unwrap_or_else(|_| panic!("it is accepted"));
    session.authenticated(Some(ANN.identity()));
    session
}

/// The request of a frame.
fn read(session: &mut dyn ServerSession, frame: &str) -> Result<Request, String> {
    let mut requests = Vec::new();
    let decoded = session.decode(fixtures::time(0), &Frame::text(frame.to_owned()), &mut requests);
    decoded.map_err(|violation| format!("{violation:?}"))?;
    requests.pop().ok_or_else(|| "no request".to_owned())
}

#[test]
fn holes_of_a_text_are_written_in_their_forms() {
    let file = desk();
    let mut session = session(&file);
    let frame = r#"{"do":"put","ref":"r7","to":"d5","txt":"hi","re":"0"}"#;
    let request = read(session.as_mut(), frame).unwrap();
    let mut message = fixtures::message(CHAT, 2);
    message.content.text = "hi".to_owned();
    message.content.reply_to = None;
    message.edited_at = None;
    let seconds = message.posted_at.whole_seconds();
    let millis = message.posted_at.micros() / 1_000;
    let (id, plain, login) =
        (message.id.get(), message.posted_at.plain(), message.author.login.clone());
    let answer = Answer::Sent { message: Some(Box::new(message)), repeated: false };
    let response = Response::new(request.correlation, Ok(answer));
    let mut frames = Vec::new();
    let responded =
        session.respond(fixtures::time(0), &response, &RenderContext::EMPTY, &mut frames);
    assert!(responded.is_ok(), "{responded:?}");
    let expected = [
        format!(r#"{{"do":"put.ack","ref":"r7","id":"n{id}","at":"{seconds}","ms":"t{millis}","#),
        format!(r#""day":"on {plain}","fixed":"","re":"0","from":"{login}","txt":"hi"}}"#),
    ]
    .concat();
    assert_eq!(frames, [Frame::text(expected)]);
}

#[test]
fn an_optional_text_of_a_name_a_cell_or_a_default_is_written() {
    let text = FILE.replace(
        r#""ref": "r<tag>"}'"#,
        r#""why"?: "<name> <outcome.code>", "x"?: "no <tag = 0>", "y"?: "r<tag>"}'"#,
    );
    let file = Declared::compile(DialectFile { name: "desk.toml", text: &text }, &[]);
    let file = file.unwrap_or_else(|error| panic!("{error}"));
    let mut session = session(&file);
    let request = read(session.as_mut(), r#"{"do":"put","to":"d5","txt":"hi"}"#).unwrap();
    let response = Response::new(request.correlation, Err(Fault::NoSuchFlow));
    let (mut frames, context) = (Vec::new(), RenderContext::EMPTY);
    session.respond(fixtures::time(0), &response, &context, &mut frames).unwrap();
    let expected = r#"{"do":"put.ack","why":"put 1","x":"no 0"}"#;
    assert_eq!(frames, [Frame::text(expected)]);
}

#[test]
fn a_request_id_of_any_kind_is_a_part_of_a_text_in_each_syntax() {
    for (syntax, tags) in [
        ("json", [("\"abc\"", "rabc"), ("7", "r7")]),
        ("python-literal", [("'abc'", "rabc"), ("7", "r7")]),
    ] {
        let text = FILE
            .replace("credentials =", &format!("syntax = \"{syntax}\"\ncredentials ="))
            .replace(r#""ref"?: "r<tag>"}'"#, r#""ref"?: <tag>}'"#);
        let file = Declared::compile(DialectFile { name: "desk.toml", text: &text }, &[]);
        let file = file.unwrap_or_else(|error| panic!("{error}"));
        for (tag, expected) in tags {
            let mut session = session(&file);
            let frame = format!(r#"{{"do":"put","to":"d5","txt":"hi","ref":{tag}}}"#);
            let request = read(session.as_mut(), &frame).unwrap();
            let response = Response::new(request.correlation, Err(Fault::NoSuchFlow));
            let (mut frames, context) = (Vec::new(), RenderContext::EMPTY);
            session.respond(fixtures::time(0), &response, &context, &mut frames).unwrap();
            let written = String::from_utf8_lossy(frames[0].payload()).into_owned();
            assert!(written.contains(expected), "{syntax} {tag}: {written}");
        }
    }
}

#[test]
fn holes_of_a_text_are_read_in_their_forms() {
    let file = desk();
    let client = file.client().expect("a file has a client's side");
    let request = tolmach_dialect::websocket_request("/desk");
    let handshake = Handshake::new(ConnectionId(1)).request(&request);
    let mut session = client.connect(&handshake).unwrap_or_else(|_| panic!("it connects"));
    let frame = r#"{"do":"note","id":"n9","at":"1700000001","ms":"t1700000001000",
        "day":"on 2023-11-14 22:13:21","fixed":"1700000002","re":"0","from":"ann","txt":"hi",
        "flow":5,"kind":"text"}"#;
    let mut incoming = Vec::new();
    let decoded = session.decode(fixtures::time(0), &Frame::text(frame), &mut incoming);
    assert!(decoded.is_ok(), "{decoded:?}");
    let [Incoming::Event(event)] = incoming.as_slice() else { panic!("{incoming:?}") };
    let tolmach_domain::EventKind::Posted(message) = &event.kind else { panic!("{event:?}") };
    assert_eq!(message.id.get(), 9);
    assert_eq!(message.posted_at.whole_seconds(), 1_700_000_001);
    assert_eq!(message.edited_at.map(|time| time.whole_seconds()), Some(1_700_000_002));
    assert_eq!(message.content.reply_to, None);
    // A time of other characters is none of this form.
    let mut incoming = Vec::new();
    let wrong = Frame::text(frame.replace("\"1700000001\"", "\"soon\""));
    assert!(session.decode(fixtures::time(0), &wrong, &mut incoming).is_err());
}

#[test]
fn a_constant_for_none_is_read_as_none_and_written_for_none() {
    let file = desk();
    let mut session = session(&file);
    for (re, expected) in
        [("", None), (r#","re":null"#, None), (r#","re":"0""#, None), (r#","re":"9""#, Some(9))]
    {
        let frame = format!(r#"{{"do":"put","to":"d5","txt":"hi"{re}}}"#);
        let request = read(session.as_mut(), &frame).unwrap();
        let Command::Send(send) = &request.command else { panic!("{request:?}") };
        assert_eq!(send.content.reply_to.map(MessageId::get), expected, "{frame}");
        assert_eq!(send.flow.get(), 5);
    }
    let client = file.client().expect("a file has a client's side");
    let request = tolmach_dialect::websocket_request("/desk");
    let handshake = Handshake::new(ConnectionId(1)).request(&request);
    let mut writing = client.connect(&handshake).unwrap_or_else(|_| panic!("it connects"));
    let request = read(session.as_mut(), r#"{"do":"put","to":"d5","txt":"hi"}"#).unwrap();
    let request = Request::new(Correlation::new(()), Credentials::Connection, request.command);
    let mut frames = Vec::new();
    writing.request(fixtures::time(0), &request, &mut frames).unwrap();
    let [Frame::Text(bytes)] = frames.as_slice() else { panic!("{frames:?}") };
    assert!(String::from_utf8_lossy(bytes).contains(r#""re":"0""#), "{frames:?}");
}

#[test]
fn a_blank_text_is_none() {
    let file = desk();
    let mut session = session(&file);
    for (mail, expected) in [("", None), ("a@b.example", Some("a@b.example"))] {
        let frame =
            format!(r#"{{"do":"join","who":"ann","pin":"secret-pin","mail":"{mail}","tel":""}}"#);
        let request = read(session.as_mut(), &frame).unwrap();
        let Command::Register(registration) = &request.command else { panic!("{request:?}") };
        assert_eq!(registration.email.as_deref(), expected);
        assert_eq!(registration.phone, None);
    }
}
