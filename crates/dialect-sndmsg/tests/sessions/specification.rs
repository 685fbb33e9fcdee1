//! The examples of protocols/sndmsg/SPEC.md are what is said.

use crate::{NOW, ask, client, hear, say, server_of};
use std::collections::BTreeSet;
use tolmach_dialect::{Line, Reply};
use tolmach_dialect_kit::world::ANN;

const SPECIFICATION: &str = include_str!("../../../../protocols/sndmsg/SPEC.md");

/// Without the spaces that make examples readable. The order of keys stays.
fn compact(text: &str) -> String {
    text.replace(": ", ":").replace(", ", ",")
}

/// Asks `request`, lets a client hear `answers` as its reply, and says what it heard again.
fn said_again(request: &str, answers: &[&str]) -> Vec<String> {
    let (mut client, mut server) = (client(), server_of(&ANN));
    let asked = ask(&mut *server, request);
    let requests = say(&mut *client, &Line::Ask(asked.clone()));
    assert_eq!(requests[0], compact(request), "the request is what a client says");
    let mut lines: Vec<Line> =
        answers.iter().flat_map(|answer| hear(&mut *client, answer)).collect();
    if requests.len() > 1 && lines.is_empty() {
        lines = hear(&mut *client, r#"{"type":"SEARCH_USER","user":[]}"#);
    }
    let [Line::Reply(reply)] = &lines[..] else { panic!("{lines:?} was heard of {answers:?}") };
    let again = Line::Reply(Reply { echo: asked.echo.clone(), ..reply.clone() });
    let mut frames = Vec::new();
    server.encode(*NOW, &again, &mut frames).expect("what was read can be said");
    frames.iter().map(|frame| compact(crate::text(frame))).collect()
}

#[test]
fn every_example_is_what_is_said() {
    let mut examples: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in SPECIFICATION.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(request) = line.strip_prefix("> ") {
            examples.push((request, Vec::new()));
        } else if let Some(answer) = line.strip_prefix("< ") {
            examples
                .last_mut()
                .expect("an example of a reply follows one of a request")
                .1
                .push(answer);
        }
    }
    let mut kinds = BTreeSet::new();
    for (request, answers) in &examples {
        // Several answers are a history's frames, or else one outcome each.
        let one_by_one = !request.contains("READ_MSG");
        let outcomes = if one_by_one { answers.chunks(1).collect() } else { vec![&answers[..]] };
        for outcome in outcomes {
            let expected: Vec<String> = outcome.iter().map(|answer| compact(answer)).collect();
            assert_eq!(said_again(request, outcome), expected, "{request}");
        }
        kinds.insert(request.split('"').nth(3).expect("a request names its type").to_owned());
    }
    assert_eq!(kinds.len(), 10, "each operation has an example: {kinds:?}");
}
