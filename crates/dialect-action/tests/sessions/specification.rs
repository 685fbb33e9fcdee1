//! The examples of protocols/action/SPEC.md.

use crate::peers::Server;
use crate::values::{MEMBERS, NOW, caused, message, outcome, room, summary, text, user};
use std::collections::BTreeSet;
use tolmach_dialect::Frame;
use tolmach_domain::{Answer, Command, Fault, FlowSummary};

const SPECIFICATION: &str = include_str!("../../../../protocols/action/SPEC.md");

/// The text without the spaces that make examples readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

/// The answer to Ann's request, inside room 1 or outside of any.
fn answer(request: &str, inside: bool) -> Frame {
    let connect = if inside { Server::joined } else { Server::connected };
    let mut server = connect(MEMBERS, 1);
    let mut requests = Vec::new();
    let frame = Frame::text(request.to_owned());
    if let Err(violation) = server.session.decode(*NOW, &frame, &mut requests) {
        return violation.answer.expect("a server answers every violation");
    }
    let request = &requests[0];
    let outcome = match &request.command {
        Command::ListFlows { .. } => Ok(Answer::Flows(vec![FlowSummary {
            last: Some(message(17, 2, "hi")),
            ..summary(1, &[1, 2])
        }])),
        Command::GetFlow { flow, .. } if flow.get() == 404 => Err(Fault::NoSuchFlow),
        Command::GetFlow { flow, .. } => Ok(room(flow.get(), &[1, 2])),
        Command::GetUser { .. } => Ok(Answer::User(Box::new(user(1)))),
        change => {
            let (_, event) = outcome(1, change);
            let received = server.receive(&caused(1, request, event));
            return received.expect("the whole room receives it").0;
        }
    };
    let mut frames = server.respond(request, outcome);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn every_example_of_an_answer_is_encoded() {
    let (mut request, mut actions, mut examples) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(example) = line.strip_prefix("> ") {
            request = Some(example);
        } else if let Some(expected) = line.strip_prefix("< ") {
            let request = request.expect("an example of an answer follows one of a request");
            let answer = answer(request, !expected.contains("You are not in the room"));
            assert_eq!(compact(text(&answer)), compact(expected));
            let request: serde_json::Value =
                serde_json::from_str(request).expect("a request is JSON");
            actions.insert(request["action"].to_string());
            examples += 1;
        }
    }
    assert_eq!((actions.len(), examples), (7, 10), "{actions:?}");
}

#[test]
fn every_example_of_a_request_is_decoded() {
    for request in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    > ")) {
        Server::joined(MEMBERS, 1).decode(request);
    }
}
