//! Sessions that receive malformed frames.

use crate::fixtures::{self, Persona, time};
use crate::frame_text::inline;
use crate::hostile::guard::guarded;
use crate::play::{
    FlowStates, PlayError, PreparedRequest, ServerSide, accept, decode_reply, parts_of,
};
use crate::project::{Direction, Schemas};
use crate::revision::default_revision;
use http::Uri;
use http::request::Parts;
use tolmach_dialect::{ClientSession, Dialect, Frame, Handshake, Request, Revision, Violation};
use tolmach_domain::{ConnectionId, Fault};

/// Paths of endpoints that dialects share.
const SHARED_PATHS: [&str; 2] = ["/", "/ws"];

/// The rules for what a server sends.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// The schemas of its frames.
    pub(crate) schemas: &'a Schemas,
    /// True if every violation is answered or closes the connection.
    pub(crate) answers_refusals: bool,
}

/// Sends a frame to a server twice; the requests that it is decoded to are granted once and refused
/// once. True if it is decoded to requests.
pub(crate) fn attack_server(
    dialect: &dyn Dialect,
    prepared: &mut PreparedRequest,
    rules: Rules<'_>,
    frame: &Frame,
) -> Result<bool, String> {
    let PreparedRequest { persona, server, flows, websocket, .. } = prepared;
    let persona = *persona;
    let Rules { schemas, answers_refusals } = rules;
    let revision = default_revision(dialect);
    let mut is_request = false;
    for granted in [true, false] {
        let attack = ServerAttack {
            persona,
            flows,
            schemas,
            answers_refusals,
            granted,
            revision,
            exchange: false,
        };
        match frame {
            Frame::Request(request) if !*websocket => {
                let parts = parts_of(request);
                let accepted =
                    guarded("accepting", || accept(dialect, &parts, None, ConnectionId(1)))?;
                match accepted {
                    Ok(session) => {
                        let mut server = ServerSide::new(dialect, session, persona);
                        let attack = ServerAttack { exchange: true, ..attack };
                        is_request |= attack.run(&mut server, frame)?;
                    }
                    Err(rejection) => {
                        let response = Frame::Response(rejection.response);
                        check_schema(schemas, &response, "the rejection")?;
                    }
                }
            }
            _ => is_request |= attack.run(server, frame)?,
        }
    }
    Ok(is_request)
}

/// Sends a frame to a client.
pub(crate) fn attack_client(client: &mut dyn ClientSession, frame: &Frame) -> Result<(), String> {
    let decoded = guarded("decoding", || decode_reply(client, time(1), frame))?;
    decoded.map(drop).map_err(|defect| defect.message)
}

/// Has a frame recognised on the shared paths.
pub(crate) fn attack_recognition(
    dialect: &dyn Dialect,
    opening: &Parts,
    frame: &Frame,
) -> Result<(), String> {
    let mut opening = opening.clone();
    for path in SHARED_PATHS {
        opening.uri = Uri::from_static(path);
        let handshake = Handshake::new(ConnectionId(1))
            .request(&opening)
            .websocket(true)
            .local(true)
            .first_frame(frame);
        guarded("recognising", || dialect.recognise(&handshake))?;
    }
    Ok(())
}

/// One frame for a server.
struct ServerAttack<'a> {
    persona: &'static Persona,
    flows: &'a FlowStates,
    schemas: &'a Schemas,
    answers_refusals: bool,
    /// True if requests are granted, false if they are refused.
    granted: bool,
    /// The revision that the schemas describe.
    revision: Revision,
    /// True for an HTTP exchange.
    exchange: bool,
}

impl ServerAttack<'_> {
    /// True if the frame is decoded to requests.
    fn run(&self, server: &mut ServerSide, frame: &Frame) -> Result<bool, String> {
        let decoded = guarded("decoding", || server.decode(time(1), frame))?;
        match decoded.map_err(|defect| defect.message)? {
            Ok(requests) => {
                let is_request = !requests.is_empty();
                requests.into_iter().try_for_each(|request| self.respond(server, &request))?;
                Ok(is_request)
            }
            Err(violation) => self.check_violation(server, &violation).map(|()| false),
        }
    }

    fn check_violation(&self, server: &ServerSide, violation: &Violation) -> Result<(), String> {
        let kind = violation.kind.name();
        match &violation.answer {
            None if self.exchange => Err("an HTTP request is left without an answer".to_owned()),
            None if violation.close.is_none() && self.answers_refusals => {
                Err(format!("the {kind} violation is neither answered nor closes the connection"))
            }
            None => Ok(()),
            Some(answer) if self.exchange && !matches!(answer, Frame::Response(_)) => {
                Err(format!("an HTTP request is answered with a {} frame", answer.kind()))
            }
            Some(answer) if server.session.revision() == self.revision => {
                check_schema(self.schemas, answer, &format!("the answer to a {kind} violation"))
            }
            Some(_) => Ok(()),
        }
    }

    fn respond(&self, server: &mut ServerSide, request: &Request) -> Result<(), String> {
        let outcome = if self.granted {
            Ok(fixtures::answer(self.persona, &request.command))
        } else {
            Err(Fault::Internal)
        };
        let name = request.command.name();
        let responded =
            guarded("responding", || server.respond(time(1), request, outcome, self.flows))?;
        match responded {
            Ok((_, frames)) if server.session.revision() == self.revision => {
                frames.iter().try_for_each(|frame| {
                    check_schema(self.schemas, frame, &format!("the answer to {name}"))
                })
            }
            Ok(_) => Ok(()),
            Err(PlayError::Defect(defect)) => Err(defect.message),
            Err(PlayError::Unsupported(_)) if self.granted => Ok(()),
            Err(PlayError::Unsupported(unsupported)) => {
                Err(format!("{name} is decoded, and its refusal cannot be encoded: {unsupported}"))
            }
        }
    }
}

fn check_schema(schemas: &Schemas, frame: &Frame, what: &str) -> Result<(), String> {
    match schemas.check(frame, Direction::Answer) {
        Some(Err(error)) => Err(format!("{what}, {}, {error}", inline(frame))),
        _ => Ok(()),
    }
}
