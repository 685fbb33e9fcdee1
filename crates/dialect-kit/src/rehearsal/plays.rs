//! Examples in their order.

use crate::fixtures::time;
use crate::frame_text::describe;
use crate::play::{DialectPair, FlowStates, PreparedRequest, Recording};
use crate::project::{Example, ExampleExchange};
use crate::rehearsal::attempt::{
    Answered, ExampleTexts, Source, answer, decode_push, deliver, later_versions,
};
use crate::rehearsal::comparison::check_frames;
use crate::rehearsal::states::{State, states};
use crate::stories::all_faults;
use tolmach_dialect::{Event, Frame, RenderContext, Variant};
use tolmach_domain::{Answer, Fault};

/// The last numbers of earlier connections, for two connections with different numbers.
const OPENED: [u64; 2] = [0, 1];

/// The variants that are tried.
const VARIANTS: u8 = 16;

/// The problem if there is no connection to try an example on.
const NO_STATE: &str = "no story opens a WebSocket to try it on";

/// Plays the examples of one specification.
///
/// An example does not contain the state of its connection (logged in, in a room), nor the outcome
/// of the request where the client cannot decode it. It is right if there is a state among
/// [`states`] with which it is right, and an outcome among its own, those of earlier examples, of
/// the fixtures, and all faults.
pub(crate) struct Rehearsal<'k> {
    pair: DialectPair<'k>,
    states: Vec<State>,
    outcomes: Vec<Result<Answer, Fault>>,
    flows: FlowStates,
}

/// An example that was played.
struct Played {
    /// The number of answers that it takes.
    answers: usize,
    outcome: Option<Result<Answer, Fault>>,
}

impl<'k> Rehearsal<'k> {
    /// Before the first example.
    pub(crate) fn new(pair: DialectPair<'k>, recording: &Recording) -> Self {
        let states = states(pair, recording);
        Self { pair, states, outcomes: Vec::new(), flows: FlowStates::default() }
    }

    /// Plays an exchange; gives its problems with their lines.
    pub(crate) fn problems(&mut self, exchange: &ExampleExchange) -> Vec<(usize, String)> {
        let Some(request) = &exchange.request else {
            let problems = exchange
                .answers
                .iter()
                .filter_map(|example| Some((example.line, self.push(example).err()?)));
            return problems.collect();
        };
        let mut problems = Vec::new();
        let mut rest = &exchange.answers[..];
        if rest.is_empty() {
            problems.extend(self.request(request).err().map(|problem| (request.line, problem)));
        }
        while let Some(first) = rest.first() {
            match self.answer(request, rest) {
                Ok(Played { answers, outcome }) => {
                    rest = &rest[answers..];
                    self.remember(outcome);
                }
                Err(problem) => {
                    problems.push((first.line, problem));
                    rest = &rest[1..];
                }
            }
        }
        problems
    }

    /// True if the server session answers a request as a violation, in every state.
    pub(crate) fn is_violation(&self, request: &Example) -> bool {
        let frame = Frame::text(request.text.clone());
        let mut connections =
            self.states.iter().filter_map(|state| state.connection(self.pair, OPENED[0]));
        connections
            .all(|mut connection| matches!(connection.server.decode(time(0), &frame), Ok(Err(_))))
    }

    /// Keeps an outcome for later examples.
    fn remember(&mut self, outcome: Option<Result<Answer, Fault>>) {
        if let Some(Ok(Answer::Flow(summary))) = &outcome {
            self.flows.learn(summary);
        }
        self.outcomes.extend(outcome);
    }

    /// A request is decoded in one of the states.
    fn request(&self, request: &Example) -> Result<(), String> {
        let frame = Frame::text(request.text.clone());
        let mut problem = NO_STATE.to_owned();
        for state in &self.states {
            let Some(mut connection) = state.connection(self.pair, OPENED[0]) else { continue };
            problem = match connection.server.decode(time(0), &frame) {
                Ok(Ok(requests)) if requests.is_empty() => {
                    "the server session decodes no request".to_owned()
                }
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(violation)) => describe(&violation),
                Err(defect) => defect.message,
            };
        }
        Err(problem)
    }

    /// The request is answered with the first of the answers.
    fn answer(&self, request: &Example, answers: &[Example]) -> Result<Played, String> {
        let known = self.outcomes.iter().cloned().chain(all_faults().into_iter().map(Err));
        let sources =
            [Source::Example, Source::Fixtures].into_iter().chain(known.map(Source::Given));
        let mut problem = None;
        for source in sources {
            for state in &self.states {
                // The frames of one answer are as many as fit.
                for count in (1..=answers.len()).rev() {
                    let answers: Vec<&str> =
                        answers[..count].iter().map(|answer| answer.text.as_str()).collect();
                    let example = ExampleTexts { request: &request.text, answers: &answers };
                    match self.attempt(state, example, &source) {
                        Ok(played) => return Ok(played),
                        Err(found) if count == 1 => problem = problem.or(found),
                        Err(_) => {}
                    }
                }
            }
        }
        Err(problem.unwrap_or_else(|| NO_STATE.to_owned()))
    }

    /// One state and one outcome; `None` if the state cannot be reached.
    fn attempt(
        &self,
        state: &State,
        example: ExampleTexts<'_>,
        source: &Source,
    ) -> Result<Played, Option<String>> {
        let mut answered = Vec::new();
        for opened in OPENED {
            let connections = self.connections(state, opened).ok_or(None)?;
            answered.push(answer(self.pair, connections, example, source)?);
        }
        let frames = |answered: &Answered| -> Vec<Frame> { answered.frames.clone() };
        check_frames(example.answers, &frames(&answered[0]), &frames(&answered[1]))?;
        let outcome = answered.swap_remove(0).outcome;
        Ok(Played { answers: example.answers.len(), outcome })
    }

    /// A push is delivered in one of the states, or rendered in one of the variants: an option may
    /// have to switch it on.
    fn push(&self, example: &Example) -> Result<(), String> {
        let mut problem = None;
        for state in &self.states {
            let connections = OPENED.map(|opened| self.connections(state, opened));
            let [Some((mut own, _)), Some((mut elsewhere, _))] = connections else { continue };
            let checked = decode_push(&mut own, &example.text).and_then(|event| {
                let later = later_versions(event.clone());
                let frames = deliver(self.pair, &mut own, &event);
                let others = deliver(self.pair, &mut elsewhere, &later);
                let delivered =
                    frames.and_then(|frames| check_frames(&[&example.text], &frames, &others?));
                delivered.or_else(|problem| {
                    let rendered = self.is_rendered(example, &event, &later);
                    if rendered { Ok(()) } else { Err(problem) }
                })
            });
            match checked {
                Ok(()) => return Ok(()),
                // The last states are those of connections that are logged in.
                Err(found) => problem = Some(found),
            }
        }
        Err(problem.unwrap_or_else(|| NO_STATE.to_owned()))
    }

    /// True if an event is rendered as the example, in one of the variants.
    fn is_rendered(&self, example: &Example, event: &Event, later: &Event) -> bool {
        let flow = event.flow().map(|flow| self.flows.summary(flow));
        let context = RenderContext::with_flow(flow.as_ref());
        (0..VARIANTS).map(Variant).any(|variant| {
            let frames =
                [event, later].map(|event| self.pair.dialect.render(event, &context, variant));
            let [Ok(frame), Ok(other)] = frames else { return false };
            check_frames(&[&example.text], &[frame], &[other]).is_ok()
        })
    }

    /// Two connections in a state.
    fn connections(
        &self,
        state: &State,
        opened: u64,
    ) -> Option<(PreparedRequest, PreparedRequest)> {
        let connection = || {
            let connection = state.connection(self.pair, opened)?;
            Some(PreparedRequest { flows: self.flows.clone(), ..connection })
        };
        Some((connection()?, connection()?))
    }
}
