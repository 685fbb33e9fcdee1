//! The examples of protocols/mode/SPEC.md are the frames of both sides.

use crate::{client, decode, json, server, text};
use std::collections::BTreeSet;
use tolmach_dialect::{Dialect, Frame, Incoming, RenderContext, Response, Variant};
use tolmach_dialect_mode::Mode;
use tolmach_domain::Timestamp;

const SPECIFICATION: &str = include_str!("../../../../protocols/mode/SPEC.md");

/// The time of the examples.
const TIME: i64 = 1_700_000_000_250_000;

/// An example without the spaces that make it readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

#[test]
fn every_example_is_read_and_written_again() {
    let now = Timestamp::from_micros(TIME);
    let (mut client, mut server) = (client(), server());
    let (mut latest, mut modes, mut pushes) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(request) = line.strip_prefix("> ") {
            latest = Some(decode(&mut *server, request));
            continue;
        }
        let Some(answer) = line.strip_prefix("< ") else { continue };
        let example = Frame::text(answer.to_owned());
        let request = latest.clone().expect("a reply follows a request");
        let mut incoming = Vec::new();
        let frame = if answer.contains(r#""chat_id": 1, "messages""#) {
            pushes += 1;
            client.decode(now, &example, &mut incoming).expect(answer);
            let [Incoming::Event(event)] = &incoming[..] else { panic!("{incoming:?}") };
            let rendered = Mode::default().render(event, &RenderContext::EMPTY, Variant(1));
            rendered.expect(answer)
        } else {
            client.request(now, &request, &mut Vec::new()).expect(answer);
            client.decode(now, &example, &mut incoming).expect(answer);
            let [Incoming::Response(response)] = &incoming[..] else { panic!("{incoming:?}") };
            let response = Response { correlation: request.correlation, ..response.clone() };
            let mut frames = Vec::new();
            server.respond(now, &response, &RenderContext::EMPTY, &mut frames).expect(answer);
            assert_eq!(frames.len(), 1, "{answer}");
            frames.remove(0)
        };
        assert_eq!(compact(text(&frame)), compact(answer));
        modes.insert(json(&example)["mode"].to_string());
    }
    assert_eq!((modes.len(), pushes), (8, 1), "each operation has an example, and the push");
}
