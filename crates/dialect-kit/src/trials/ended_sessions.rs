//! Sessions that have ended.

use crate::fixtures::{self, time};
use crate::frame_text::inline;
use crate::hostile::{Sample, samples};
use crate::kit::Kit;
use crate::play::{Delivered, PlayError, PreparedRequest, Property, encode_request};
use crate::problems::{Outcome, Problems};
use tolmach_dialect::{Credentials, Dialect, Frame, Request};
use tolmach_domain::{Answer, Event, EventKind, Fault};

/// The ends of a session.
#[derive(Debug, Clone, Copy)]
enum End {
    /// By the event.
    SessionsEnded,
    /// By the refusal of a request with the connection's own credentials.
    Unauthenticated,
}

/// After `authenticated(None)`, a session subscribes to nothing, and decodes no request with
/// credentials that the frame does not carry; every such request is answered.
///
/// Tried on a WebSocket of each operation: after the end of the connection's sessions, and after
/// `Unauthenticated` in response to `Credentials::Connection`.
pub fn ended_sessions_are_logged_out(kit: &Kit) -> Outcome {
    let mut problems = kit.record().problems(Property::LoggedOut);
    for sample in samples(kit)?.iter().filter(|sample| sample.is_websocket()) {
        for end in [End::SessionsEnded, End::Unauthenticated] {
            if let Err(problem) = after(kit, sample, end) {
                problems.push(format!("{}, after {end:?}: {problem}", sample.title));
            }
        }
    }
    Problems::none_or(problems)
}

/// One connection that plays a sample, is logged out, and makes the same request again.
struct Trial<'s> {
    sample: &'s Sample<'s>,
    prepared: PreparedRequest,
    answers_refusals: bool,
}

fn after(kit: &Kit, sample: &Sample<'_>, end: End) -> Result<(), String> {
    let answers_refusals = kit.answers_refusals;
    let mut trial = Trial { sample, prepared: sample.prepare(), answers_refusals };
    if let Some(frame) = trial.prepared.frame.take() {
        for request in trial.decode(&frame)?.unwrap_or_default() {
            let answer = fixtures::answer(trial.prepared.persona, &request.command);
            trial.respond(&request, Ok(answer))?;
        }
    }
    if !trial.prepared.server.is_authenticated() {
        return Ok(());
    }
    let is_open = match end {
        End::SessionsEnded => trial.end_sessions(kit.dialect.as_ref())?,
        End::Unauthenticated => trial.refuse()?,
    };
    if is_open { trial.request_again() } else { Ok(()) }
}

impl Trial<'_> {
    /// The frames of the same request again.
    fn frames_again(&mut self) -> Result<Vec<Frame>, String> {
        match (&mut self.prepared.client, self.sample.request()) {
            (Some(client), Some(request)) => {
                encode_request(client.as_mut(), time(3), request).map_err(in_words)
            }
            _ => Ok(vec![self.sample.client.clone()]),
        }
    }

    /// The requests of a frame; `None` if it is a violation.
    fn decode(&mut self, frame: &Frame) -> Result<Option<Vec<Request>>, String> {
        let decoded = self.prepared.server.decode(time(3), frame);
        Ok(decoded.map_err(|defect| defect.message)?.ok())
    }

    /// The frames of a response.
    fn respond(
        &mut self,
        request: &Request,
        outcome: Result<Answer, Fault>,
    ) -> Result<Vec<Frame>, String> {
        let PreparedRequest { server, flows, .. } = &mut self.prepared;
        match server.respond(time(3), request, outcome, flows) {
            Ok((_, frames)) => Ok(frames),
            Err(PlayError::Unsupported(_)) => Ok(Vec::new()),
            Err(PlayError::Defect(defect)) => Err(defect.message),
        }
    }

    /// Delivers the end of the connection's sessions; true while the connection is open.
    fn end_sessions(&mut self, dialect: &dyn Dialect) -> Result<bool, String> {
        let identity = self.prepared.persona.identity();
        let kind = EventKind::SessionsEnded { user: identity.user, session: identity.session };
        let PreparedRequest { server, flows, .. } = &mut self.prepared;
        let delivered = server.deliver(dialect, &Event::new(time(3), kind), flows);
        Ok(!matches!(delivered.map_err(in_words)?, Delivered::Closed(_)))
    }

    /// Makes the request again and refuses it; true if that has logged the connection out.
    fn refuse(&mut self) -> Result<bool, String> {
        for frame in self.frames_again()? {
            for request in self.decode(&frame)?.unwrap_or_default() {
                self.respond(&request, Err(Fault::Unauthenticated))?;
            }
        }
        Ok(!self.prepared.server.is_authenticated())
    }

    /// Makes the request again on a connection that is logged out.
    fn request_again(&mut self) -> Result<(), String> {
        for frame in self.frames_again()? {
            for request in self.decode(&frame)?.unwrap_or_default() {
                let name = request.command.name();
                if !is_carried(&request.credentials, &frame, &self.prepared.opening) {
                    return Err(format!(
                        "{name} is decoded with credentials that were remembered: {:?} is not in \
                         {}",
                        request.credentials,
                        inline(&frame)
                    ));
                }
                let is_silent = self.respond(&request, Err(Fault::Unauthenticated))?.is_empty();
                if is_silent && self.answers_refusals {
                    return Err(format!(
                        "{name} of a connection that is logged out is left without an answer"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// True if the credentials are the connection's, which the server refuses, or the frame or the
/// handshake carries them.
fn is_carried(credentials: &Credentials, frame: &Frame, opening: &http::request::Parts) -> bool {
    let secret = match credentials {
        Credentials::Nothing | Credentials::Connection => return true,
        Credentials::Token(secret)
        | Credentials::TokenOf(_, secret)
        | Credentials::Bearer(secret) => secret.expose().as_bytes(),
    };
    let contains = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    let headers = opening.headers.values().any(|value| contains(value.as_bytes()));
    contains(frame.payload()) || headers || contains(opening.uri.to_string().as_bytes())
}

fn in_words(error: PlayError) -> String {
    match error {
        PlayError::Unsupported(unsupported) => unsupported.to_string(),
        PlayError::Defect(defect) => defect.message,
    }
}
