//! The examples of protocols/morelia/SPEC.md are what is said.

use crate::{ask, client, json, refused, server};
use std::collections::BTreeSet;
use tolmach_dialect::{Frame, Line, Reply};
use tolmach_domain::Timestamp;

const SPECIFICATION: &str = include_str!("../../../../protocols/morelia/SPEC.md");

/// The moment of the examples.
const MOMENT: i64 = 1_700_000_000_250_000;

#[test]
fn every_example_is_what_is_said() {
    let now = Timestamp::from_micros(MOMENT);
    let (mut asked, mut types, mut pushes) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(request) = line.strip_prefix("> ") {
            asked = Some(Frame::text(request.to_owned()));
        } else if let Some(answer) = line.strip_prefix("< ") {
            let expected = Frame::text(answer.to_owned());
            let mut server = server();
            let (mut heard, is_push) = (Vec::new(), answer.contains(r#""meta": "push""#));
            let request = asked.as_ref().expect("an example of a reply follows one of a request");
            let said = if is_push {
                client().decode(now, &expected, &mut heard).expect(answer);
                pushes += 1;
                server.encode(now, &heard[0], &mut Vec::new()).expect(answer);
                let Line::Notice(notice) = &heard[0] else {
                    panic!("{heard:?} was heard of {answer}")
                };
                vec![Line::Notice(notice.clone())]
            } else if answer.contains("\"code\": 400") {
                let violation = refused(&mut *server, request);
                assert_same(&violation.answer.expect("it is answered"), &expected);
                continue;
            } else {
                let ask = ask(&mut *server, request);
                let mut client = client();
                // Only a server hears what the client of this dialect says in another way.
                if client.encode(now, &Line::Ask(ask.clone()), &mut Vec::new()).is_err() {
                    panic!("an example can be asked: {line}");
                }
                let renamed = answer.replace("\"all_messages\"", "\"get_update\"");
                client.decode(now, &Frame::text(renamed), &mut heard).expect(answer);
                let [Line::Reply(reply)] = &heard[..] else {
                    panic!("{heard:?} was heard of {answer}")
                };
                vec![Line::Reply(Reply { echo: ask.echo.clone(), ..reply.clone() })]
            };
            let mut frames = Vec::new();
            server.encode(now, &said[0], &mut frames).expect(answer);
            assert_same(&frames[0], &expected);
            types.insert(json(&expected)["type"].to_string());
        }
    }
    assert_eq!((types.len(), pushes), (10, 2), "each method has an example, and the pushes");
}

/// But for ids, which depend on the connection, and the moments of answers.
fn assert_same(said: &Frame, expected: &Frame) {
    let without = |frame: &Frame| {
        let mut value = json(frame);
        let errors = value["errors"].as_object_mut().expect("every answer has it");
        assert!(
            errors.remove("id").is_some_and(|id| id.is_i64())
                && errors.remove("time").is_some_and(|time| time.is_f64())
        );
        value
    };
    assert_eq!(without(said), without(expected));
}
