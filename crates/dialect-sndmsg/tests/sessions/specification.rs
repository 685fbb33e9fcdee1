//! The examples of protocols/sndmsg/SPEC.md are the frames of both sides.

use crate::{client, decode, encode, logged_in_server, read, respond};
use std::collections::BTreeSet;
use tolmach_dialect::{Incoming, Response};
use tolmach_dialect_kit::fixtures::ANN;

const SPECIFICATION: &str = include_str!("../../../../protocols/sndmsg/SPEC.md");

/// An example without the spaces that make it readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

/// The frames that a server answers a request with, of the response that a client read in the
/// frames of an example.
fn written_again(example: &str, replies: &[&str]) -> Vec<String> {
    let (mut client, mut server) = (client(), logged_in_server(&ANN));
    let request = decode(&mut *server, example);
    let frames = encode(&mut *client, &request);
    assert_eq!(frames[0], compact(example), "a client writes the request like this");
    let mut incoming: Vec<Incoming> =
        replies.iter().flat_map(|reply| read(&mut *client, reply)).collect();
    if frames.len() > 1 && incoming.is_empty() {
        incoming = read(&mut *client, r#"{"type":"SEARCH_USER","user":[]}"#);
    }
    let [Incoming::Response(response)] = &incoming[..] else {
        panic!("{incoming:?} of {replies:?}")
    };
    let correlation = request.correlation;
    let frames = respond(&mut *server, &Response { correlation, ..response.clone() });
    frames.iter().map(|frame| compact(frame)).collect()
}

#[test]
fn every_example_is_read_and_written_again() {
    let mut examples: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(request) = line.strip_prefix("> ") {
            examples.push((request, Vec::new()));
        } else if let Some(reply) = line.strip_prefix("< ") {
            examples.last_mut().expect("a reply follows a request").1.push(reply);
        }
    }
    let mut kinds = BTreeSet::new();
    for (request, replies) in &examples {
        // Several replies are the frames of one history, or else one outcome each.
        let is_history = request.contains("READ_MSG");
        for outcome in replies.chunks(if is_history { replies.len() } else { 1 }) {
            let expected: Vec<String> = outcome.iter().map(|reply| compact(reply)).collect();
            assert_eq!(written_again(request, outcome), expected, "{request}");
        }
        kinds.insert(request.split('"').nth(3).expect("a request names its type").to_owned());
    }
    assert_eq!(kinds.len(), 10, "each operation has an example: {kinds:?}");
}
