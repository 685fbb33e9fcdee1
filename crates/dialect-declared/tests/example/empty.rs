//! Answers without items, where each item has a frame.

use tolmach_dialect::{Dialect, Frame, Handshake, RenderContext, Response};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT};
use tolmach_domain::{Answer, ConnectionId, MessagePage};

const FILE: &str = r#"
[dialect]
id = "pigeon"
summary = "Python literals with numbered commands; a frame for each message"
syntax = "python-literal"
credentials = "connection"
[outcomes]
columns = ["rc"]
ok = [0]
no_messages = [9]
"*" = [5]
[envelope]
request = "{'cmd': <name>}"
response = "{'cmd': <name>, 'rc': <outcome.rc>}"
[[request.history]]
name = 31
set = { window = "all" }
frame = "{'to': <flow>}"
each = "messages"
response = "{'mid': <id>, 'body': <text>}"
empty = "no_messages"
"#;

#[test]
fn an_outcome_for_no_items_is_the_envelope_alone() {
    let file = Declared::compile(DialectFile { name: "pigeon.toml", text: FILE }, &[]);
    let file = file.unwrap_or_else(|error| panic!("{error}"));
    let request = tolmach_dialect::websocket_request("/pigeon");
    let handshake = Handshake::new(ConnectionId(1)).request(&request).websocket(true);
    let mut session = file.accept(&handshake).unwrap_or_else(|_| panic!("it is accepted"));
    session.authenticated(Some(ANN.identity()));
    let mut message = fixtures::message(CHAT, 2);
    message.content.text = "Hello".to_owned();
    let one = format!("{{'cmd': 31, 'rc': 0, 'mid': {}, 'body': 'Hello'}}", message.id.get());
    for (messages, expected) in [
        (Vec::new(), vec!["{'cmd': 31, 'rc': 9}".to_owned()]),
        (vec![message.clone()], vec![one.clone()]),
        (vec![message.clone(), message], vec![one.clone(), one]),
    ] {
        let mut requests = Vec::new();
        let frame = Frame::text("{'cmd': 31, 'to': 1}".to_owned());
        let decoded = session.decode(fixtures::time(0), &frame, &mut requests);
        assert!(decoded.is_ok(), "{decoded:?}");
        let page = MessagePage::new(fixtures::flow_id(CHAT), messages);
        let answer = Answer::History(Box::new(page));
        let response = Response::new(requests[0].correlation.clone(), Ok(answer));
        let mut frames = Vec::new();
        let responded =
            session.respond(fixtures::time(0), &response, &RenderContext::EMPTY, &mut frames);
        assert!(responded.is_ok(), "{responded:?}");
        let expected: Vec<Frame> = expected.into_iter().map(Frame::text).collect();
        assert_eq!(frames, expected);
    }
}
