//! The connections of a story: requests go from the client sessions to the server sessions,
//! responses and events back.

use crate::fixtures::{self, Persona};
use crate::frame_text::{describe, inline};
use crate::play::client_side::{encode_request, receive};
use crate::play::connection::Connection;
use crate::play::dialect_pair::DialectPair;
use crate::play::failure::{Defect, PlayError};
use crate::play::flow_states::FlowStates;
use crate::play::handshake::same_request;
use crate::play::prepared::PreparedRequest;
use crate::play::server_side::{Delivered, SharedFrame};
use crate::play::wire_entry::WireEntry;
use http::request::Parts;
use tolmach_dialect::{Credentials, Frame, Incoming, Request};
use tolmach_domain::{Answer, ConnectionId, Event, Fault, Timestamp};

/// The outcome of a request: `None` where no response is given yet.
pub(crate) type Respond<'r> =
    &'r mut dyn FnMut(&Request, ConnectionId) -> Result<Option<Result<Answer, Fault>>, PlayError>;

/// A request that went through.
#[derive(Debug)]
pub(crate) struct Completed {
    /// The number of the connection.
    pub(crate) connection: ConnectionId,
    /// The request as the server decoded it.
    pub(crate) request: Request,
    /// The values that the client decoded meanwhile.
    pub(crate) incoming: Vec<Incoming>,
}

/// An event that reached a connection.
#[derive(Debug)]
pub(crate) struct Received {
    /// The user of the connection.
    pub(crate) persona: &'static Persona,
    /// The values that the client decoded.
    pub(crate) incoming: Vec<Incoming>,
    /// The rendered event, if the frame is shared.
    pub(crate) shared: Option<SharedFrame>,
}

/// A connection that serves a request, the frames that carry it, and the requests of the handshake
/// where the connection is new.
struct Route {
    index: usize,
    frames: Vec<Frame>,
    initial_requests: Vec<Request>,
}

/// All connections of one dialect in one story.
pub(crate) struct Connections<'d> {
    pair: DialectPair<'d>,
    connections: Vec<Connection>,
    opened: u64,
    flows: FlowStates,
    /// The transcript since it was last taken.
    pub(crate) entries: Vec<WireEntry>,
    /// The connection of each entry since they were last taken: [`Self::take_entries`].
    numbers: Vec<ConnectionId>,
}

impl<'d> Connections<'d> {
    /// No connection is open yet.
    pub(crate) fn new(pair: DialectPair<'d>) -> Self {
        Self {
            pair,
            connections: Vec::new(),
            opened: 0,
            flows: FlowStates::default(),
            entries: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// The transcript since it was last taken, and the connection of each entry.
    pub(crate) fn take_entries(&mut self) -> (Vec<WireEntry>, Vec<ConnectionId>) {
        (std::mem::take(&mut self.entries), std::mem::take(&mut self.numbers))
    }

    fn put(&mut self, connection: ConnectionId, entry: WireEntry) {
        self.numbers.push(connection);
        self.entries.push(entry);
    }

    /// The same, with later numbers of connections.
    pub(crate) fn numbered_after(self, opened: u64) -> Self {
        Self { opened, ..self }
    }

    /// Makes a request: dials where no connection serves it, sends its frames, and responds with
    /// the outcome that `respond` gives. Other requests that the wire puts before it (a
    /// handshake's, joining a room) are granted with the answers of the fixtures.
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        persona: &'static Persona,
        request: &Request,
        respond: Respond<'_>,
    ) -> Result<Completed, PlayError> {
        let route = self.route(now, persona, request)?;
        let outcome = self.exchange(now, route, request, respond);
        self.connections.retain(|connection| connection.websocket && !connection.closed);
        outcome
    }

    /// Goes as far as the frame that carries `request`: the client has encoded it, the server has
    /// not decoded it.
    pub(crate) fn prepare(
        mut self,
        now: Timestamp,
        persona: &'static Persona,
        request: &Request,
    ) -> Result<PreparedRequest, PlayError> {
        let Route { index, mut frames, initial_requests } = self.route(now, persona, request)?;
        let last = frames.pop();
        let mut incoming = Vec::new();
        for initial in initial_requests {
            self.answer(now, index, &initial, &mut incoming)?;
        }
        for frame in frames {
            let decoded = self.connections[index]
                .server
                .decode(now, &frame)?
                .map_err(|violation| Defect::round_trip(describe(&violation)))?;
            for request in decoded {
                self.answer(now, index, &request, &mut incoming)?;
            }
        }
        let connection = self.connections.swap_remove(index);
        Ok(connection.prepared(self.flows, last))
    }

    /// Takes the connection that was opened last.
    pub(crate) fn into_latest(mut self) -> Option<PreparedRequest> {
        let connection = self.connections.pop()?;
        Some(connection.prepared(self.flows, None))
    }

    /// Responds to an earlier request of an open connection.
    pub(crate) fn respond_later(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        request: &Request,
        outcome: Result<Answer, Fault>,
    ) -> Result<Vec<Incoming>, PlayError> {
        let mut incoming = Vec::new();
        if let Some(index) = self.connections.iter().position(|open| open.id == connection) {
            self.respond(now, index, request, outcome, &mut incoming)?;
            self.connections.retain(|connection| !connection.closed);
        }
        Ok(incoming)
    }

    /// Delivers an event to every connection, or to those of one persona.
    pub(crate) fn deliver(
        &mut self,
        now: Timestamp,
        event: &Event,
        only: Option<&Persona>,
    ) -> Result<Vec<Received>, PlayError> {
        self.flows.apply(&event.kind);
        let mut all = Vec::new();
        for connection in &mut self.connections {
            if only.is_some_and(|persona| persona != connection.persona) {
                continue;
            }
            let persona = connection.persona;
            let delivered = connection.server.deliver(self.pair.dialect, event, &self.flows)?;
            let is_own = event.is_caused_by(connection.id);
            if is_own
                && !connection.server.session.receives_own_events()
                && !matches!(delivered, Delivered::Nothing)
            {
                let message = "an event is delivered to the connection that has caused it, whose \
                    session says that it receives none";
                return Err(Defect::round_trip(message).into());
            }
            let remark = WireEntry::Remark(format!("{} hears {}", persona.login, event.name()));
            let (frames, shared) = match delivered {
                Delivered::Nothing => continue,
                Delivered::Closed(close) => {
                    self.numbers.extend([connection.id; 2]);
                    self.entries.extend([remark, WireEntry::Closed(close)]);
                    connection.closed = true;
                    continue;
                }
                Delivered::Private(frames) => (frames, None),
                Delivered::Shared(shared) => (vec![shared.frame.clone()], Some(shared)),
            };
            self.numbers.push(connection.id);
            self.entries.push(remark);
            let mut incoming = Vec::new();
            for frame in frames {
                self.numbers.push(connection.id);
                self.entries.push(WireEntry::Server(frame.clone()));
                receive(connection.client.as_mut(), now, &frame, &mut incoming)?;
            }
            all.push(Received { persona, incoming, shared });
        }
        self.connections.retain(|connection| !connection.closed);
        Ok(all)
    }

    /// Takes the first connection that receives an event by a shared frame, with its sides and the
    /// rendered event.
    pub(crate) fn into_receiver(
        mut self,
        event: &Event,
    ) -> Result<Option<(PreparedRequest, SharedFrame)>, PlayError> {
        self.flows.apply(&event.kind);
        for index in 0..self.connections.len() {
            let server = &mut self.connections[index].server;
            let delivered = server.deliver(self.pair.dialect, event, &self.flows)?;
            if let Delivered::Shared(shared) = delivered {
                let connection = self.connections.swap_remove(index);
                let receiver = connection.prepared(self.flows, None);
                return Ok(Some((receiver, shared)));
            }
        }
        Ok(None)
    }

    /// The connection that serves `request`.
    fn route(
        &mut self,
        now: Timestamp,
        persona: &'static Persona,
        request: &Request,
    ) -> Result<Route, PlayError> {
        let opening = self.pair.client.dial(request)?;
        let existing = self.connections.iter().position(|connection| {
            connection.websocket
                && connection.persona == persona
                && same_request(&connection.opening, &opening)
        });
        if let Some(index) = existing {
            let frames = encode_request(self.connections[index].client.as_mut(), now, request)?;
            if !frames.is_empty() {
                return Ok(Route { index, frames, initial_requests: Vec::new() });
            }
            // A request of the handshake is made again by opening again.
            self.connections.remove(index);
        }
        self.open(now, persona, request, opening)
    }

    fn open(
        &mut self,
        now: Timestamp,
        persona: &'static Persona,
        request: &Request,
        opening: Parts,
    ) -> Result<Route, PlayError> {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let (mut connection, frames) =
            Connection::open(self.pair, id, persona, opening, (now, request))?;
        if connection.websocket {
            self.put(id, WireEntry::Opened(Box::new(connection.opening.clone())));
        }
        let mut initial_requests = Vec::new();
        connection.server.session.initial_requests(now, &mut initial_requests);
        self.connections.push(connection);
        Ok(Route { index: self.connections.len() - 1, frames, initial_requests })
    }

    fn exchange(
        &mut self,
        now: Timestamp,
        route: Route,
        request: &Request,
        respond: Respond<'_>,
    ) -> Result<Completed, PlayError> {
        let Route { index, frames, initial_requests } = route;
        let in_handshake = frames.is_empty();
        let mut decoded: Option<Request> = None;
        let mut incoming = Vec::new();
        for initial in initial_requests {
            let counts =
                in_handshake && decoded.is_none() && self.stands_for(&initial, index, request)?;
            if counts {
                self.respond_by(now, index, &initial, &mut incoming, respond)?;
                decoded = Some(initial);
            } else {
                self.answer(now, index, &initial, &mut incoming)?;
            }
        }
        for frame in frames {
            self.put(self.connections[index].id, WireEntry::Client(frame.clone()));
            let server = &mut self.connections[index].server;
            let requests = server.decode(now, &frame)?.map_err(|violation| {
                Defect::round_trip(format!(
                    "the server session cannot decode the client's {}: {} (frame: {})",
                    request.command.name(),
                    describe(&violation),
                    inline(&frame)
                ))
            })?;
            for read in requests {
                if decoded.is_none() && read.command.name() == request.command.name() {
                    self.respond_by(now, index, &read, &mut incoming, respond)?;
                    decoded = Some(read);
                } else {
                    self.answer(now, index, &read, &mut incoming)?;
                }
            }
        }
        let decoded = decoded.ok_or_else(|| {
            Defect::round_trip(format!(
                "the client encodes {}, and the server session decodes no such request",
                request.command.name()
            ))
        })?;
        if decoded.authority != request.authority {
            return Err(Defect::round_trip(format!(
                "{} is requested as {:?} and decoded as {:?}: a wire without that right answers \
                 `Unsupported`",
                request.command.name(),
                request.authority,
                decoded.authority
            ))
            .into());
        }
        Ok(Completed { connection: self.connections[index].id, request: decoded, incoming })
    }

    /// True if a request of the handshake is `request` itself: of the same name, and dialled for by
    /// the same opening.
    fn stands_for(
        &self,
        initial: &Request,
        index: usize,
        request: &Request,
    ) -> Result<bool, PlayError> {
        if initial.command.name() != request.command.name() {
            return Ok(false);
        }
        let credentials = match &initial.credentials {
            Credentials::Connection => request.credentials.clone(),
            own => own.clone(),
        };
        let opening = self.pair.client.dial(&Request { credentials, ..initial.clone() })?;
        if !same_request(&opening, &self.connections[index].opening) {
            return Err(Defect::round_trip(format!(
                "the handshake's {} dials {} where the request that it stands for dials {}",
                request.command.name(),
                opening.uri,
                self.connections[index].opening.uri
            ))
            .into());
        }
        Ok(true)
    }

    /// Responds with the outcome that `respond` gives, if it gives one.
    fn respond_by(
        &mut self,
        now: Timestamp,
        index: usize,
        request: &Request,
        incoming: &mut Vec<Incoming>,
        respond: Respond<'_>,
    ) -> Result<(), PlayError> {
        match respond(request, self.connections[index].id)? {
            Some(outcome) => self.respond(now, index, request, outcome, incoming),
            None => Ok(()),
        }
    }

    /// Grants a request with the answer of the fixtures.
    fn answer(
        &mut self,
        now: Timestamp,
        index: usize,
        request: &Request,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), PlayError> {
        let answer = fixtures::answer(self.connections[index].persona, &request.command);
        self.respond(now, index, request, Ok(answer), incoming)
    }

    fn respond(
        &mut self,
        now: Timestamp,
        index: usize,
        request: &Request,
        outcome: Result<Answer, Fault>,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), PlayError> {
        let fault = outcome.as_ref().err().cloned();
        let refused = fault.as_ref().map(Fault::name);
        let connection = &mut self.connections[index];
        let frames = match connection.server.respond(now, request, outcome, &self.flows) {
            Err(PlayError::Unsupported(_)) if refused.is_some() => {
                return Err(Defect::round_trip(format!(
                    "the server session has no frame for the fault {}: every fault has a wire form",
                    refused.unwrap_or_default()
                ))
                .into());
            }
            outcome => outcome?.1,
        };
        let mut follow_ups = Vec::new();
        connection.server.session.follow_ups(&mut follow_ups);
        if let (Some(fault), [], []) = (refused, &frames[..], &follow_ups[..]) {
            return Err(Defect::unanswered(format!(
                "a request that is refused with {fault} is answered with no frame"
            ))
            .into());
        }
        if !connection.websocket && !matches!(frames[..], [Frame::Response(_)]) {
            return Err(Defect::round_trip(format!(
                "an HTTP request is answered with {} frames and not with one response",
                frames.len()
            ))
            .into());
        }
        for frame in frames {
            if connection.websocket && matches!(frame, Frame::Response(_)) {
                connection.closed = true;
            }
            self.numbers.push(connection.id);
            self.entries.push(WireEntry::Server(frame.clone()));
            receive(connection.client.as_mut(), now, &frame, incoming)?;
        }
        for next in follow_ups {
            match &fault {
                // A request in the place of a refused one is refused alike.
                Some(fault) => self.respond(now, index, &next, Err(fault.clone()), incoming)?,
                None => self.answer(now, index, &next, incoming)?,
            }
        }
        Ok(())
    }
}
