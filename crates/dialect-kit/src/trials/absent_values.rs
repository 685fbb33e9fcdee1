//! Answers and events with legal values left out.

use crate::absence::Absence;
use crate::fixtures::time;
use crate::hostile::login_of;
use crate::kit::Kit;
use crate::play::{
    Connections, DialectPair, Marker, PlayError, Recording, Replay, event, outcome_for, request_of,
};
use crate::problems::{Outcome, Problems};
use crate::stories::{Exchange, Step, Story, stories};
use std::collections::BTreeMap;
use tolmach_dialect::{Correlation, Credentials, Incoming, Request};
use tolmach_domain::{Answer, EventKind};

/// The own client accepts what the own server makes of an answer or event in which a value is left
/// out that may be: `Answer::Sent` without its message, a user without an e-mail address, and every
/// other `Option`. `Unsupported` is a legal result of the server for such an answer.
///
/// Without a client there is nothing to try.
pub fn absent_values_are_accepted(kit: &Kit) -> Outcome {
    let Some(pair) = DialectPair::of(kit.dialect.as_ref()) else { return Ok(()) };
    let recording = kit.record();
    let mut problems = Vec::new();
    for story in stories() {
        answers(pair, recording, &story, &mut problems);
        events(Replay { pair, recording, story: &story }, &mut problems);
    }
    Problems::none_or(problems)
}

fn answers(
    pair: DialectPair<'_>,
    recording: &Recording,
    story: &Story,
    problems: &mut Vec<String>,
) {
    // The richest answer of each operation.
    let mut richest: BTreeMap<&str, (usize, &Exchange, &Answer)> = BTreeMap::new();
    for (index, step) in story.steps.iter().enumerate() {
        let Step::Exchange(exchange) = step else { continue };
        let (Ok(answer), Some(_)) = (&exchange.outcome, recording.find(story.name, index, false))
        else {
            continue;
        };
        let count = answer.variants().len();
        let known = richest.get(exchange.operation()).map_or(0, |(count, ..)| *count);
        if count > known {
            richest.insert(exchange.operation(), (count, exchange, answer));
        }
    }
    for (_, exchange, answer) in richest.into_values() {
        // The login comes first, where that does not stop the exchange.
        for with_login in [true, false] {
            let attempt = Attempt { pair, recording, exchange, with_login };
            let Ok(baseline) = attempt.play(answer) else { continue };
            for (absent, answer) in answer.all_variants() {
                let problem = match attempt.play(&answer) {
                    Err(PlayError::Unsupported(_)) => continue,
                    Err(PlayError::Defect(defect)) => defect.message,
                    Ok(answered) if answered || !baseline => continue,
                    Ok(_) => "the client session decodes no granted response".to_owned(),
                };
                problems.push(format!(
                    "story {}, {}, without {absent}: {problem}",
                    story.name,
                    exchange.title()
                ));
            }
            break;
        }
    }
}

/// An exchange with another answer than the story's.
struct Attempt<'a> {
    pair: DialectPair<'a>,
    recording: &'a Recording,
    exchange: &'a Exchange,
    with_login: bool,
}

impl Attempt<'_> {
    /// True if the client decodes a granted response.
    fn play(&self, answer: &Answer) -> Result<bool, PlayError> {
        let mut connections = Connections::new(self.pair);
        let persona = self.exchange.persona;
        if self.with_login {
            let login = login_of(persona);
            let login = Request::new(Correlation::NONE, Credentials::Nothing, login);
            let respond = &mut |decoded: &Request, _| {
                Ok(Some(Ok(crate::fixtures::answer(persona, &decoded.command))))
            };
            connections.request(time(1), persona, &login, respond)?;
        }
        let exchange = Exchange { outcome: Ok(answer.clone()), ..self.exchange.clone() };
        let kind = self.recording.credentials;
        let request = request_of(&exchange, kind, Correlation::new(Marker(0)));
        let respond =
            &mut |decoded: &Request, _| Ok(Some(outcome_for(&exchange, &decoded.command)));
        let completed = connections.request(time(2), persona, &request, respond)?;
        let is_granted = |incoming: &Incoming| {
            matches!(
                incoming,
                Incoming::Response(response)
                    if response.outcome.is_ok()
                        && response.correlation.get() == Some(&Marker(0))
            )
        };
        Ok(completed.incoming.iter().any(is_granted))
    }
}

fn events(replay: Replay<'_>, problems: &mut Vec<String>) {
    // The richest event of each kind.
    let mut richest: BTreeMap<&str, (usize, usize, &EventKind)> = BTreeMap::new();
    for (index, step) in replay.story.steps.iter().enumerate() {
        let kind = match step {
            Step::Exchange(exchange) => exchange.event.as_ref(),
            Step::Event(kind) => Some(kind.as_ref()),
        };
        let recorded = replay.recording.find(replay.story.name, index, true);
        let (Some(kind), Some(recorded)) = (kind, recorded) else { continue };
        let count = kind.variants().len();
        let known = richest.get(recorded.operation).map_or(0, |(count, ..)| *count);
        if count > known {
            richest.insert(recorded.operation, (count, index, kind));
        }
    }
    for (name, (_, index, kind)) in richest {
        let title = format!("story {}, {name}", replay.story.name);
        let Ok(baseline) = deliver(replay, index, kind) else { continue };
        for (absent, kind) in kind.all_variants() {
            let problem = match deliver(replay, index, &kind) {
                Err(PlayError::Unsupported(_)) => continue,
                Err(PlayError::Defect(defect)) => defect.message,
                Ok(Received { frames, events }) if events > 0 || frames == 0 => continue,
                Ok(_) if baseline.events == 0 => continue,
                Ok(_) => "the client session decodes no event".to_owned(),
            };
            problems.push(format!("{title}, without {absent}: {problem}"));
        }
    }
}

/// The counts of what an event comes to.
struct Received {
    frames: usize,
    events: usize,
}

/// Delivers an event in the place of the step at `index`.
fn deliver(replay: Replay<'_>, index: usize, kind: &EventKind) -> Result<Received, PlayError> {
    let mut connections = replay.up_to(index)?;
    let delivered = event(index, kind, None);
    let received = connections.deliver(delivered.occurred_at, &delivered, None)?;
    let incoming = received.iter().flat_map(|received| &received.incoming);
    let events = incoming.filter(|incoming| matches!(incoming, Incoming::Event(_))).count();
    let frames = connections.entries.iter().filter(|entry| entry.is_server()).count();
    Ok(Received { frames, events })
}
