//! The examples of protocols/morelia/SPEC.md are the frames that are read and written.

use crate::{client, decode, json, server, violation};
use std::collections::BTreeSet;
use tolmach_dialect::{Dialect, Frame, Incoming, RenderContext, Response, Variant};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::Timestamp;

const SPECIFICATION: &str = include_str!("../../../../protocols/morelia/SPEC.md");

/// The time of the examples.
const TIME: i64 = 1_700_000_000_250_000;

#[test]
fn every_example_is_read_and_written() {
    let now = Timestamp::from_micros(TIME);
    let (mut request, mut types, mut pushes) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(text) = line.strip_prefix("> ") {
            request = Some(Frame::text(text.to_owned()));
            continue;
        }
        let Some(text) = line.strip_prefix("< ") else { continue };
        let expected = Frame::text(text.to_owned());
        let mut incoming = Vec::new();
        if text.contains(r#""meta": "push""#) {
            client().decode(now, &expected, &mut incoming).expect(text);
            let [Incoming::Event(event)] = &incoming[..] else { panic!("{incoming:?}: {text}") };
            let rendered = Morelia::default().render(event, &RenderContext::EMPTY, Variant(0));
            assert_same(&rendered.expect(text), &expected);
            pushes += 1;
            continue;
        }
        let frame = request.as_ref().expect("a reply follows its request");
        let mut server = server();
        if text.contains("\"code\": 400") {
            let answer = violation(&mut *server, frame).answer;
            assert_same(&answer.expect("a violation is answered"), &expected);
            continue;
        }
        let request = decode(&mut *server, frame);
        let mut client = client();
        client.request(now, &request, &mut Vec::new()).expect(line);
        // The client has one method for changes, whichever the request was.
        let renamed = Frame::text(text.replace("\"all_messages\"", "\"get_update\""));
        client.decode(now, &renamed, &mut incoming).expect(text);
        let [Incoming::Response(response)] = &incoming[..] else { panic!("{incoming:?}: {text}") };
        let response = Response { correlation: request.correlation, ..response.clone() };
        let mut frames = Vec::new();
        let responded = server.respond(now, &response, &RenderContext::EMPTY, &mut frames);
        responded.expect(text);
        assert_same(&frames[0], &expected);
        types.insert(json(&expected)["type"].to_string());
    }
    assert_eq!((types.len(), pushes), (10, 2), "the methods and pushes with examples");
}

/// Compares all but ids, which depend on the connection, and the times of replies.
fn assert_same(written: &Frame, expected: &Frame) {
    let without = |frame: &Frame| {
        let mut value = json(frame);
        let errors = value["errors"].as_object_mut().expect("every reply has it");
        assert!(errors.remove("id").is_some_and(|id| id.is_i64()));
        assert!(errors.remove("time").is_some_and(|time| time.is_f64()));
        value
    };
    assert_eq!(without(written), without(expected));
}
