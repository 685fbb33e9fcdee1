//! One attempt to play an example on one connection.

use crate::fixtures::{self, ANN, time};
use crate::frame_text::describe;
use crate::play::{
    Delivered, DialectPair, Marker, PlayError, PreparedRequest, decode_reply, encode_request,
};
use crate::rehearsal::comparison::{in_own_words, most_alike};
use std::sync::Arc;
use tolmach_dialect::{Correlation, Frame, Incoming, Request};
use tolmach_domain::{Answer, Event, EventKind, Fault, Origin, Version};

/// The marker of the request that the client makes.
const MARKER: Marker = Marker(9);

/// The texts of one example.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExampleTexts<'e> {
    /// The client's frame.
    pub(crate) request: &'e str,
    /// The server's frames of one answer.
    pub(crate) answers: &'e [&'e str],
}

/// The outcome that a request is given.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The one that the client decodes from the example.
    Example,
    /// The answer of the fixtures.
    Fixtures,
    /// A given one.
    Given(Result<Answer, Fault>),
}

/// The frames that a request is answered with.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The frames.
    pub(crate) frames: Vec<Frame>,
    /// The outcome.
    pub(crate) outcome: Option<Result<Answer, Fault>>,
}

/// The values that the client decodes from examples.
#[derive(Debug, Default)]
struct Decoded {
    outcome: Option<Result<Answer, Fault>>,
    event: Option<Arc<Event>>,
}

/// Sends the example of a request, and answers it. `scratch` is a second connection in the same
/// state.
pub(crate) fn answer(
    pair: DialectPair<'_>,
    (mut connection, scratch): (PreparedRequest, PreparedRequest),
    example: ExampleTexts<'_>,
    source: &Source,
) -> Result<Answered, String> {
    let frame = Frame::text(example.request.to_owned());
    let decoded = connection.server.decode(time(0), &frame).map_err(|defect| defect.message)?;
    let mut requests = match decoded {
        Ok(requests) => requests,
        Err(violation) => {
            let description = describe(&violation);
            let frames: Vec<Frame> = violation.answer.into_iter().collect();
            return if frames.is_empty() {
                Err(description)
            } else {
                Ok(Answered { frames, outcome: None })
            };
        }
    };
    let Some(request) = requests.pop() else {
        return Err("the server session decodes no request".to_owned());
    };
    for earlier in &requests {
        let answer = fixtures::answer(&ANN, &earlier.command);
        respond(&mut connection, earlier, Ok(answer))?;
    }
    let decoded = match source {
        Source::Example => decode(&mut connection, scratch, &request, example)?,
        Source::Fixtures => {
            let outcome = Some(Ok(fixtures::answer(&ANN, &request.command)));
            Decoded { outcome, event: None }
        }
        Source::Given(outcome) => Decoded { outcome: Some(outcome.clone()), event: None },
    };
    let Decoded { outcome, event } = decoded;
    let frames = match &outcome {
        Some(outcome) => respond(&mut connection, &request, outcome.clone())?,
        None => Vec::new(),
    };
    if !frames.is_empty() {
        return Ok(Answered { frames, outcome });
    }
    // This wire answers by the event.
    let event = event.map(|event| event.kind.clone());
    let Some(kind) = event.or_else(|| caused_event(outcome.as_ref()?.as_ref().ok()?)) else {
        return Err("the client session decodes neither a response nor an event".to_owned());
    };
    let client_tag = request.client_tag.clone();
    let origin = Origin { connection: connection.id, dialect: pair.id(), client_tag };
    let event = Event { origin: Some(origin), ..Event::new(time(0), kind) };
    let frames = deliver(pair, &mut connection, &event)?;
    Ok(Answered { frames, outcome })
}

/// Decodes the example of a push.
pub(crate) fn decode_push(
    connection: &mut PreparedRequest,
    example: &str,
) -> Result<Event, String> {
    let client = connection.client.as_mut().ok_or("the dialect has no client")?;
    let frame = Frame::text(example.to_owned());
    let decoded = decode_reply(client.as_mut(), time(0), &frame);
    let incoming = decoded
        .map_err(|defect| defect.message)?
        .map_err(|error| format!("the client session cannot decode it: {error}"))?;
    let event = incoming.into_iter().find_map(|incoming| match incoming {
        Incoming::Event(event) => Some(Event::clone(&event)),
        Incoming::Response(_) => None,
    });
    event.ok_or_else(|| "the client session decodes no event".to_owned())
}

/// The event with other versions, which no wire carries.
pub(crate) fn later_versions(mut event: Event) -> Event {
    match &mut event.kind {
        EventKind::Posted(message) | EventKind::Edited(message) => message.version.0 += 1,
        EventKind::Deleted { messages, .. } => {
            messages.iter_mut().for_each(|(_, version)| version.0 += 1);
        }
        _ => {}
    }
    event
}

/// Decodes the examples of an answer by a client that has made the request. Frames that the client
/// sends after the request's own, in order to know where the answer ends, are answered by
/// `scratch`.
fn decode(
    connection: &mut PreparedRequest,
    mut scratch: PreparedRequest,
    request: &Request,
    example: ExampleTexts<'_>,
) -> Result<Decoded, String> {
    let client = connection.client.as_mut().ok_or("the dialect has no client")?.as_mut();
    let request = Request { correlation: Correlation::new(MARKER), ..request.clone() };
    let own = encode_request(client, time(0), &request).map_err(in_words)?;
    let Some(place) = most_alike(example.request, &own) else {
        return Err("the client session makes this request without a frame".to_owned());
    };
    let in_own_words = |answer: &&str| in_own_words(answer, example.request, &own[place]);
    let mut answers: Vec<Frame> = example.answers.iter().map(in_own_words).collect();
    for later in &own[place + 1..] {
        let decoded = scratch.server.decode(time(0), later).map_err(|defect| defect.message)?;
        for request in decoded.unwrap_or_default() {
            let answer = fixtures::answer(&ANN, &request.command);
            answers.extend(respond(&mut scratch, &request, Ok(answer))?);
        }
    }
    let mut decoded = Decoded::default();
    for answer in &answers {
        let incoming = decode_reply(client, time(0), answer);
        let incoming = incoming
            .map_err(|defect| defect.message)?
            .map_err(|error| format!("the client session cannot decode it: {error}"))?;
        for incoming in incoming {
            match incoming {
                Incoming::Response(response) if response.correlation.get() == Some(&MARKER) => {
                    decoded.outcome = Some(response.outcome);
                }
                Incoming::Response(_) => {}
                Incoming::Event(event) => decoded.event = Some(event),
            }
        }
    }
    Ok(decoded)
}

fn respond(
    connection: &mut PreparedRequest,
    request: &Request,
    outcome: Result<Answer, Fault>,
) -> Result<Vec<Frame>, String> {
    let PreparedRequest { server, flows, .. } = connection;
    server.respond(time(0), request, outcome, flows).map(|(_, frames)| frames).map_err(in_words)
}

/// Delivers an event.
pub(crate) fn deliver(
    pair: DialectPair<'_>,
    connection: &mut PreparedRequest,
    event: &Event,
) -> Result<Vec<Frame>, String> {
    let PreparedRequest { server, flows, .. } = connection;
    match server.deliver(pair.dialect, event, flows).map_err(in_words)? {
        Delivered::Private(frames) => Ok(frames),
        Delivered::Shared(shared) => Ok(vec![shared.frame]),
        Delivered::Nothing | Delivered::Closed(_) => {
            Err(format!("the server session delivers no {}", event.name()))
        }
    }
}

/// The event that a granted change causes.
fn caused_event(answer: &Answer) -> Option<EventKind> {
    match answer {
        Answer::Sent { message: Some(message), .. } => {
            Some(EventKind::Posted(message.as_ref().clone()))
        }
        Answer::Edited(message) => Some(EventKind::Edited(message.as_ref().clone())),
        Answer::Deleted { deleted, .. } => Some(EventKind::Deleted {
            flow: fixtures::flow_id(fixtures::CHAT),
            by: ANN.user(),
            messages: deleted.iter().copied().zip((1..).map(Version)).collect(),
        }),
        _ => None,
    }
}

fn in_words(error: PlayError) -> String {
    match error {
        PlayError::Unsupported(unsupported) => unsupported.to_string(),
        PlayError::Defect(defect) => defect.message,
    }
}
