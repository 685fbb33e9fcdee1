//! The stories, as one dialect plays them.

use crate::fixtures::{CredentialsKind, Persona};
use crate::play::connections::{Completed, Connections, Received};
use crate::play::credentials::{carries, credentials_kind};
use crate::play::dialect_pair::DialectPair;
use crate::play::failure::{Defect, PlayError, Property};
use crate::play::responses::{Marker, outcome_for, request_of, step_time};
use crate::play::server_side::SharedFrame;
use crate::play::wire_entry::WireEntry;
use crate::stories::{Exchange, Step, Story, stories};
use std::collections::BTreeMap;
use tolmach_dialect::{Correlation, Dialect, Incoming, Request, Response, Unsupported};
use tolmach_domain::{ConnectionId, Event, EventKind, Fault, Origin};

/// One exchange, or one event, as it went over the wire.
#[derive(Debug, Clone)]
pub(crate) struct RecordedStep {
    /// The name of the story.
    pub(crate) story: &'static str,
    /// The place of the step in the story.
    pub(crate) index: usize,
    /// The title in the transcript.
    pub(crate) title: String,
    /// The operation of the request, or the name of the event.
    pub(crate) operation: &'static str,
    /// The fault that the request is refused with.
    pub(crate) fault: Option<&'static str>,
    /// True for an event, false for an exchange.
    pub(crate) is_event: bool,
    /// The user who makes the request.
    pub(crate) persona: Option<&'static Persona>,
    /// The request.
    pub(crate) request: Option<Request>,
    /// The frames, opening and close.
    pub(crate) entries: Vec<WireEntry>,
    /// The connection of each entry: numbers are a story's own.
    pub(crate) numbers: Vec<ConnectionId>,
    /// Set if this dialect has no frame for it.
    pub(crate) unsupported: Option<Unsupported>,
    /// True if everything arrived exactly as it was sent.
    pub(crate) exact: bool,
}

/// One event that was rendered.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRender {
    /// The event.
    pub(crate) event: Event,
    /// Its frame.
    pub(crate) shared: SharedFrame,
}

/// All stories, as one dialect plays them.
pub(crate) struct Recording {
    /// The steps in the order of the stories: of each exchange first its request and response, then
    /// its event.
    pub(crate) steps: Vec<RecordedStep>,
    /// Every event that was rendered.
    pub(crate) renders: Vec<RecordedRender>,
    /// Rules that were broken.
    pub(crate) defects: Vec<Defect>,
    /// The kind of the dialect's credentials.
    pub(crate) credentials: CredentialsKind,
}

impl Recording {
    /// The broken rules of a property.
    pub(crate) fn problems(&self, property: Property) -> Vec<String> {
        let defects = self.defects.iter().filter(|defect| defect.property == property);
        defects.map(|defect| defect.message.clone()).collect()
    }

    /// The exchange of a step, or its event, if the dialect has frames for it.
    pub(crate) fn find(&self, story: &str, index: usize, is_event: bool) -> Option<&RecordedStep> {
        self.steps.iter().find(|step| {
            (step.story, step.index, step.is_event) == (story, index, is_event)
                && step.unsupported.is_none()
        })
    }
}

/// Plays all stories through both sides of a dialect. Of a dialect without a client, nothing is
/// recorded.
pub(crate) fn record(dialect: &dyn Dialect) -> Recording {
    let mut recording = Recording {
        steps: Vec::new(),
        renders: Vec::new(),
        defects: Vec::new(),
        credentials: CredentialsKind::Connection,
    };
    if let Some(pair) = DialectPair::of(dialect) {
        recording.credentials = credentials_kind(pair);
        for story in stories() {
            record_story(pair, &story, &mut recording);
        }
    }
    recording
}

/// The parts of a story that are left out: the place of the step and true for its event; the reason
/// where it is no defect.
type LeftOut = BTreeMap<(usize, bool), Option<Unsupported>>;

/// Records a story. A step that cannot be played has left its connection waiting for a response
/// that does not come, so the story starts again without it.
fn record_story(pair: DialectPair<'_>, story: &Story, recording: &mut Recording) {
    let mut left_out = LeftOut::new();
    loop {
        // A part that has failed once is not played again, so this ends.
        let attempt = Attempt {
            pair,
            credentials: recording.credentials,
            story,
            left_out: &left_out,
            connections: Connections::new(pair),
            steps: Vec::new(),
            renders: Vec::new(),
        };
        match attempt.play() {
            Ok((steps, renders)) => {
                recording.steps.extend(steps);
                recording.renders.extend(renders);
                return;
            }
            Err((part, PlayError::Unsupported(unsupported))) => {
                left_out.insert(part, Some(unsupported));
            }
            Err((part, PlayError::Defect(defect))) => {
                left_out.insert(part, None);
                recording.defects.push(Defect {
                    message: format!("{}: {}", title_of(story, part.0), defect.message),
                    ..defect
                });
            }
        }
    }
}

fn title_of(story: &Story, index: usize) -> String {
    let title = match &story.steps[index] {
        Step::Exchange(exchange) => exchange.title(),
        Step::Event(event) => {
            Event::new(step_time(index), event.as_ref().clone()).name().to_owned()
        }
    };
    format!("story {}, {title}", story.name)
}

/// One attempt to play a story.
struct Attempt<'a> {
    pair: DialectPair<'a>,
    credentials: CredentialsKind,
    story: &'a Story,
    left_out: &'a LeftOut,
    connections: Connections<'a>,
    steps: Vec<RecordedStep>,
    renders: Vec<RecordedRender>,
}

/// A failed part of a story with the reason.
type Failed = ((usize, bool), PlayError);

impl Attempt<'_> {
    fn play(mut self) -> Result<(Vec<RecordedStep>, Vec<RecordedRender>), Failed> {
        for (index, step) in self.story.steps.iter().enumerate() {
            let (origin, kind) = match step {
                Step::Event(kind) => (None, Some(kind.as_ref())),
                Step::Exchange(exchange) => {
                    let origin =
                        self.exchange(index, exchange).map_err(|error| ((index, false), error))?;
                    (origin, exchange.event.as_ref())
                }
            };
            if let Some(kind) = kind.filter(|_| !self.left_out.contains_key(&(index, true))) {
                self.event(index, kind, origin).map_err(|error| ((index, true), error))?;
            }
        }
        Ok((self.steps, self.renders))
    }

    fn exchange(&mut self, index: usize, exchange: &Exchange) -> Result<Option<Origin>, PlayError> {
        let now = step_time(index);
        let correlation = Correlation::new(Marker(now.micros().unsigned_abs()));
        let request = request_of(exchange, self.credentials, correlation);
        let left_out = self.left_out.get(&(index, false));
        let mut step = RecordedStep {
            story: self.story.name,
            index,
            title: exchange.title(),
            operation: exchange.operation(),
            fault: exchange.outcome.as_ref().err().map(Fault::name),
            is_event: false,
            persona: Some(exchange.persona),
            request: Some(request.clone()),
            entries: Vec::new(),
            numbers: Vec::new(),
            unsupported: left_out.cloned().flatten(),
            exact: false,
        };
        if left_out.is_some() {
            if step.unsupported.is_some() {
                self.steps.push(step);
            }
            return Ok(None);
        }
        let respond = &mut |decoded: &Request, _| Ok(Some(outcome_for(exchange, &decoded.command)));
        let completed = self.connections.request(now, exchange.persona, &request, respond)?;
        step.exact = check_exchange(exchange, &request, &completed)?;
        (step.entries, step.numbers) = self.connections.take_entries();
        self.steps.push(step);
        Ok(Some(Origin {
            connection: completed.connection,
            dialect: self.pair.id(),
            client_tag: completed.request.client_tag,
        }))
    }

    fn event(
        &mut self,
        index: usize,
        kind: &EventKind,
        origin: Option<Origin>,
    ) -> Result<(), PlayError> {
        let now = step_time(index);
        let event = Event { origin, ..Event::new(now, kind.clone()) };
        let received = self.connections.deliver(now, &event, None)?;
        let (entries, numbers) = self.connections.take_entries();
        let is_same = |incoming: &Incoming| match incoming {
            Incoming::Event(event) => event.kind == *kind,
            Incoming::Response(_) => false,
        };
        let is_exact = |received: &Received| received.incoming.iter().any(is_same);
        let name = event.name();
        let unsupported =
            entries.is_empty().then(|| Unsupported { dialect: self.pair.id(), what: name });
        self.steps.push(RecordedStep {
            story: self.story.name,
            index,
            title: format!("everybody: {name}"),
            operation: name,
            fault: None,
            is_event: true,
            persona: None,
            request: None,
            entries,
            numbers,
            unsupported,
            exact: received.iter().all(is_exact),
        });
        let shared = received.into_iter().filter_map(|received| received.shared);
        let render = |shared| RecordedRender { event: event.clone(), shared };
        self.renders.extend(shared.map(render));
        Ok(())
    }
}

/// Checks what arrived against what was sent; true if all of it arrived exactly.
fn check_exchange(
    exchange: &Exchange,
    request: &Request,
    completed: &Completed,
) -> Result<bool, Defect> {
    let decoded = &completed.request;
    if !carries(&decoded.credentials, request) {
        return Err(Defect::round_trip(format!(
            "the request has the credentials {:?} and is decoded with {:?}",
            request.credentials, decoded.credentials
        )));
    }
    let responses: Vec<&Response> = completed
        .incoming
        .iter()
        .filter_map(|incoming| match incoming {
            Incoming::Response(response) => Some(response),
            Incoming::Event(_) => None,
        })
        .collect();
    let marker = request.correlation.get::<Marker>();
    let Some(response) =
        responses.iter().find(|response| response.correlation.get::<Marker>() == marker)
    else {
        return match (&exchange.outcome, responses.is_empty()) {
            (Err(fault), true) => Err(Defect::round_trip(format!(
                "the client session decodes no response for the fault {}",
                fault.name()
            ))),
            (_, false) => Err(Defect::round_trip(
                "the client session decodes a response without the correlation of the request",
            )),
            // This wire does not answer a grant, or answers it by the event.
            (Ok(_), true) => Ok(false),
        };
    };
    let expected = outcome_for(exchange, &decoded.command);
    match (&response.outcome, &expected) {
        (Ok(_), Err(fault)) => Err(Defect::round_trip(format!(
            "the fault {} is decoded as a granted request",
            fault.name()
        ))),
        (Err(fault), Ok(_)) => Err(Defect::round_trip(format!(
            "a granted request is decoded as refused with {}",
            fault.name()
        ))),
        (decoded_outcome, expected) => {
            Ok(decoded.command == request.command && decoded_outcome == expected)
        }
    }
}
