//! The examples of protocols/mode/SPEC.md are what is said.

use crate::{ask_text, client, server};
use std::collections::BTreeSet;
use tolmach_dialect::{Frame, Line, Reply};
use tolmach_domain::Timestamp;

const SPECIFICATION: &str = include_str!("../../../../protocols/mode/SPEC.md");

/// The moment of the examples.
const MOMENT: i64 = 1_700_000_000_250_000;

/// Without the spaces that make examples readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

#[test]
fn every_example_is_what_is_said() {
    let now = Timestamp::from_micros(MOMENT);
    let (mut client, mut server) = (client(), server());
    let (mut asked, mut modes, mut pushes) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(request) = line.strip_prefix("> ") {
            asked = Some(ask_text(&mut *server, request));
        } else if let Some(answer) = line.strip_prefix("< ") {
            let mut heard = Vec::new();
            let example = Frame::text(answer.to_owned());
            let is_push = answer.contains(r#""chat_id": 1, "messages""#);
            if !is_push {
                let ask = asked.clone().expect("an example of a reply follows one of a request");
                client
                    .encode(now, &Line::Ask(ask), &mut Vec::new())
                    .expect("an example can be asked");
            }
            client.decode(now, &example, &mut heard).expect(answer);
            let said = match &heard[..] {
                [Line::Reply(reply)] if !is_push => Line::Reply(Reply {
                    echo: asked.as_ref().map(|ask| ask.echo.clone()).unwrap_or_default(),
                    ..reply.clone()
                }),
                [Line::Notice(notice)] if is_push => {
                    // A push is in the form of the connection's latest request.
                    ask_text(&mut *server, r#"{"mode":"getChats","timestamp":1,"token":"t"}"#);
                    pushes += 1;
                    Line::Notice(notice.clone())
                }
                other => panic!("{other:?} was heard of {answer}"),
            };
            let mut frames = Vec::new();
            server.encode(now, &said, &mut frames).expect(answer);
            assert_eq!(
                frames.iter().map(|frame| compact(crate::text(frame))).collect::<Vec<_>>(),
                [compact(answer)]
            );
            modes.insert(crate::json(&example)["mode"].to_string());
        }
    }
    assert_eq!((modes.len(), pushes), (8, 1), "each operation has an example, and the push");
}
