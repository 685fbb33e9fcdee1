//! The examples of protocols/action/SPEC.md are what is said.

use crate::{
    MEMBERS, NOW, ask, caused, connected, joined, message, outcome, overview, reply, said, text,
    told, user,
};
use std::collections::BTreeSet;
use tolmach_dialect::{Frame, Line};
use tolmach_dialect_action::Action;
use tolmach_domain::{Answer, Command, Fault, FlowSummary};

const SPECIFICATION: &str = include_str!("../../../../protocols/action/SPEC.md");

/// Without the spaces that make examples readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

/// What Ann's request is answered with, inside room 1 or outside of any.
fn answer(request: &str, inside: bool) -> Frame {
    let dialect = Action::default();
    let mut session =
        if inside { joined(&dialect, MEMBERS, 1) } else { connected(&dialect, MEMBERS, 1) };
    let mut lines = Vec::new();
    if let Err(violation) = session.decode(*NOW, &Frame::text(request.to_owned()), &mut lines) {
        return violation.answer.expect("a server answers every violation");
    }
    let Some(Line::Ask(ask)) = lines.pop() else { panic!("{request} asks nothing") };
    let outcome = match &ask.command {
        Command::ListFlows { .. } => Ok(Answer::Flows(vec![FlowSummary {
            last: Some(message(17, 2, "hi")),
            ..overview(1, &[1, 2])
        }])),
        Command::GetFlow { flow, .. } if flow.get() == 404 => Err(Fault::NoSuchFlow),
        Command::GetFlow { flow, .. } => Ok(Answer::Flow(Box::new(overview(flow.get(), &[1, 2])))),
        Command::GetUser { .. } => Ok(Answer::User(Box::new(user(1)))),
        change => {
            let (_, event) = outcome(1, change);
            return told(&dialect, &mut *session, &caused(1, &ask, event))
                .expect("everybody in the room is told")
                .0;
        }
    };
    let mut frames = said(&mut *session, &reply(&ask.echo, outcome));
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn every_example_is_what_is_said() {
    let (mut request, mut actions, mut examples) = (None, BTreeSet::new(), 0);
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(asked) = line.strip_prefix("> ") {
            request = Some(asked);
        } else if let Some(expected) = line.strip_prefix("< ") {
            let request = request.expect("an example of an answer follows one of a request");
            let said = answer(request, !expected.contains("You are not in the room"));
            assert_eq!(compact(text(&said)), compact(expected));
            let action = ask_action(request);
            actions.insert(action);
            examples += 1;
        }
    }
    assert_eq!((actions.len(), examples), (7, 10), "{actions:?}");
}

fn ask_action(request: &str) -> String {
    serde_json::from_str::<serde_json::Value>(request).expect("a request is JSON")["action"]
        .to_string()
}

#[test]
fn every_example_of_a_request_is_understood() {
    for request in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    > ")) {
        ask(&mut *joined(&Action::default(), MEMBERS, 1), request);
    }
}
