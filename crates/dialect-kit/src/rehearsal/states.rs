//! States of connections.

use crate::fixtures::{self, ANN, time};
use crate::hostile::login_of;
use crate::play::{
    Connections, DialectPair, PreparedRequest, RecordedStep, Recording, ServerSide, accept,
    is_websocket,
};
use std::collections::BTreeSet;
use tolmach_dialect::{Correlation, Credentials, Handshake, Request};
use tolmach_domain::ConnectionId;

/// The way to bring a connection of [`ANN`] into a state.
pub(crate) struct State {
    /// The requests that are made and granted: none for a connection that was just opened.
    requests: Vec<Request>,
    /// The request that is dialled for.
    opening: Request,
}

impl State {
    /// The connection, with a number after `opened`; `None` if a request cannot be made.
    pub(crate) fn connection(&self, pair: DialectPair<'_>, opened: u64) -> Option<PreparedRequest> {
        let mut connections = Connections::new(pair).numbered_after(opened);
        for request in &self.requests {
            let respond =
                &mut |decoded: &Request, _| Ok(Some(Ok(fixtures::answer(&ANN, &decoded.command))));
            connections.request(time(0), &ANN, request, respond).ok()?;
        }
        if self.requests.is_empty() {
            open(pair, &self.opening, ConnectionId(opened + 1))
        } else {
            connections.into_latest()
        }
    }
}

/// The states that the stories come through: just opened, logged in, and after one exchange of each
/// operation. WebSockets only.
pub(crate) fn states(pair: DialectPair<'_>, recording: &Recording) -> Vec<State> {
    let login = Request::new(Correlation::NONE, Credentials::Nothing, login_of(&ANN));
    let mut seen = BTreeSet::new();
    let mut opened = Vec::new();
    let mut played = Vec::new();
    for RecordedStep { request, persona, unsupported, fault, .. } in &recording.steps {
        let (Some(request), None, None) = (request, unsupported, fault) else { continue };
        let Ok(opening) = pair.client.dial(request) else { continue };
        if *persona != Some(&ANN) || !is_websocket(&opening) || !seen.insert(request.command.name())
        {
            continue;
        }
        let request = Request { correlation: Correlation::NONE, ..request.clone() };
        opened.push(State { requests: Vec::new(), opening: request.clone() });
        for requests in [vec![login.clone(), request.clone()], vec![request.clone()]] {
            played.push(State { requests, opening: request.clone() });
        }
    }
    // Every opening alike gives the same state.
    opened.truncate(1);
    opened.extend(played);
    opened
}

fn open(pair: DialectPair<'_>, request: &Request, id: ConnectionId) -> Option<PreparedRequest> {
    let opening = pair.client.dial(request).ok()?;
    let client = pair.client.connect(&Handshake::new(id).request(&opening)).ok()?;
    let session = accept(pair.dialect, &opening, None, id).ok()?;
    let mut server = ServerSide::new(pair.dialect, session, &ANN);
    let mut requests = Vec::new();
    server.session.initial_requests(time(0), &mut requests);
    let flows = Default::default();
    for request in &requests {
        let answer = fixtures::answer(&ANN, &request.command);
        server.respond(time(0), request, Ok(answer), &flows).ok()?;
    }
    let (persona, websocket, client, frame) = (&ANN, true, Some(client), None);
    Some(PreparedRequest { persona, id, opening, websocket, client, server, flows, frame })
}
