//! The target's end: requests, responses and events as frames of both sides, which read each other.

use super::completion::{
    count_versions, credential_forms, event_of, fit_tokens, grant_forms, stand_in_answer, token_of,
    unknown_flow,
};
use super::opening::Opening;
use super::source::{Key, new_identity};
use super::translated::{Item, Translated};
use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_dialect::placeholders::placeholder_user_id;
use tolmach_dialect::{
    ClientSession, Correlation, Delivery, Dialect, DialectClient, Event, Frame, Incoming,
    RenderContext, Request, Response, Sender, ServerSession, Subscription, Unsupported,
    WideIdNumbers,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Credentials, EventKind, Fault, FlowId, FlowKind, FlowKindFilter,
    FlowSummary, GrantKind, HistoryRange, Identity, LoginIdentifier, Origin, Secret, Timestamp,
};

/// The most WebSockets of one client at once: one for each room, on some wires.
const MAX_SOCKETS: usize = 16;
/// The most flows whose summaries are remembered for one client.
const MAX_FLOWS: usize = 256;
/// The most members that are noted for one flow.
const MAX_MEMBERS: usize = 256;

/// A client of the target dialect, and its server.
pub(super) struct Target {
    dialect: Arc<dyn Dialect>,
    wide_ids: Arc<WideIdNumbers>,
    sockets: Vec<Socket>,
    /// The number of the connection that was opened last; numbers are unique for a translator
    /// because each of its connections has numbers of its own, `first` and above.
    opened: u64,
    identity: Identity,
    /// The token of the client's requests.
    token: Secret,
    logged_in: bool,
    flows: BTreeMap<FlowId, FlowSummary>,
    newest_version: i64,
    /// True once it is known that this wire tells nobody of events, until a login.
    is_deaf: bool,
}

/// A WebSocket, or an exchange of HTTP, with both of its sides.
struct Socket {
    number: u64,
    client: Box<dyn ClientSession>,
    server: Box<dyn ServerSession>,
}

/// A request that the target's server has read.
pub(super) struct Sent {
    place: Place,
    /// As the server has decoded it.
    pub(super) request: Request,
    /// Requests that the same frames make, and that are answered after it.
    after: Vec<Request>,
}

/// The connection of a request.
enum Place {
    /// The WebSocket with this number.
    Socket(u64),
    /// An exchange of HTTP, which ends with its response.
    Exchange(Box<Socket>),
}

/// The way of a response at the target.
pub(super) struct Responded {
    /// The outcome as the client has read it; `None` if it read none.
    pub(super) outcome: Option<Result<Answer, Fault>>,
    /// The event that stands for a response here, as the client has read it.
    pub(super) event: Option<(EventKind, Option<EventKind>)>,
    /// True if any frame came of it.
    pub(super) has_frames: bool,
}

impl Target {
    /// A client that has not connected yet. Its connections are numbered from `first` on.
    pub(super) fn new(
        dialect: Arc<dyn Dialect>,
        first: u64,
        wide_ids: &Arc<WideIdNumbers>,
    ) -> Self {
        let identity = Identity { user: placeholder_user_id(""), session: None };
        Self {
            dialect,
            wide_ids: Arc::clone(wide_ids),
            sockets: Vec::new(),
            opened: first.saturating_sub(1),
            identity,
            token: Secret::new(format!("token-{first}")),
            logged_in: false,
            flows: BTreeMap::new(),
            newest_version: 0,
            is_deaf: false,
        }
    }

    /// The identity of the client, as far as it is known.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Sets the user of the client.
    pub(super) fn set_user(&mut self, user: tolmach_domain::UserId) {
        self.identity.user = user;
    }

    /// Makes a request with the first tokens and credentials that the wire has a form for. Fails as
    /// it fails with its own.
    pub(super) fn request(
        &mut self,
        now: Timestamp,
        key: Key,
        request: &Request,
        out: &mut Translated,
    ) -> Result<Sent, Unsupported> {
        let own = &request.credentials;
        let forms = credential_forms(own, self.identity.user, &self.token, self.logged_in);
        let mut first = None;
        for command in grant_forms(&request.command) {
            for credentials in &forms {
                let attempt = Request {
                    authority: request.authority,
                    ..Request::new(Correlation::new(key), credentials.clone(), command.clone())
                };
                match self.attempt(now, &attempt, out) {
                    Ok(sent) => return Ok(sent),
                    Err(unsupported) => {
                        first.get_or_insert(unsupported);
                    }
                }
            }
        }
        let dialect = self.dialect.manifest().id;
        Err(first.unwrap_or(Unsupported { dialect, what: request.command.name() }))
    }

    fn attempt(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Translated,
    ) -> Result<Sent, Unsupported> {
        for index in 0..self.sockets.len() {
            let mut frames = Vec::new();
            if self.sockets[index].client.request(now, request, &mut frames).is_err() {
                continue;
            }
            if frames.is_empty() {
                // A request of the handshake is made again by opening again.
                self.sockets.remove(index);
                break;
            }
            let mut socket = self.sockets.remove(index);
            let sent = self.send(now, &mut socket, request, frames, out);
            let number = socket.number;
            self.sockets.push(socket);
            let (request, after) = sent?;
            return Ok(Sent { place: Place::Socket(number), request, after });
        }
        let (socket, websocket, (request, after)) = self.open(now, request, out)?;
        let place = if websocket {
            let number = socket.number;
            self.keep(socket);
            Place::Socket(number)
        } else {
            Place::Exchange(Box::new(socket))
        };
        Ok(Sent { place, request, after })
    }

    fn keep(&mut self, socket: Socket) {
        if self.sockets.len() == MAX_SOCKETS {
            self.sockets.remove(0);
        }
        self.sockets.push(socket);
    }

    /// Opens the connection that is dialled for a request, and makes it there.
    #[expect(clippy::type_complexity, reason = "the parts of a request on a new connection")]
    fn open(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Translated,
    ) -> Result<(Socket, bool, (Request, Vec<Request>)), Unsupported> {
        let dialect = Arc::clone(&self.dialect);
        let id = dialect.manifest().id;
        let refused = Unsupported { dialect: id, what: request.command.name() };
        let dialler: &dyn DialectClient = dialect.client().ok_or(refused.clone())?;
        let mut opening = Opening::new(dialler.dial(request)?);
        let number = self.opened.saturating_add(1);
        let numbers = (number, &self.wide_ids);
        let mut client = opening.connect(dialler, numbers).ok_or(refused.clone())?;
        let mut frames = Vec::new();
        client.request(now, request, &mut frames)?;
        if let (false, Some(Frame::Request(frame))) = (opening.websocket, frames.first()) {
            opening.request = frame.as_ref().clone().into_parts().0;
        }
        let server = opening.accept(&*dialect, numbers).ok_or(refused.clone())?;
        self.opened = number;
        let mut socket = Socket { number, client, server };
        if opening.websocket {
            out.push(number, Item::Open(Box::new(opening.request.clone())));
        }
        let mut initial = Vec::new();
        socket.server.initial_requests(now, &mut initial);
        let in_handshake = frames.is_empty();
        let mut made = None;
        for initial in initial {
            if in_handshake && made.is_none() && initial.command.name() == request.command.name() {
                self.prove(&mut socket, &initial);
                made = Some((initial, Vec::new()));
            } else {
                self.stand_in(now, &mut socket, &initial, out);
            }
        }
        let made = match made {
            Some(made) => made,
            None => self.send(now, &mut socket, request, frames, out)?,
        };
        Ok((socket, opening.websocket, made))
    }

    /// Sends the frames of a request. Gives the request that the server reads of them, and those
    /// that follow it.
    fn send(
        &self,
        now: Timestamp,
        socket: &mut Socket,
        request: &Request,
        frames: Vec<Frame>,
        out: &mut Translated,
    ) -> Result<(Request, Vec<Request>), Unsupported> {
        let mut made: Option<(Request, Vec<Request>)> = None;
        for frame in frames {
            let mut decoded = Vec::new();
            let read = socket.server.decode(now, &frame, &mut decoded);
            out.push(socket.number, Item::Frame(Sender::Client, frame));
            if read.is_err() {
                let what = "a request that its own server rejects";
                return Err(Unsupported { dialect: self.dialect.manifest().id, what });
            }
            for decoded in decoded {
                self.prove(socket, &decoded);
                match &mut made {
                    Some((_, after)) => after.push(decoded),
                    None if decoded.command.name() == request.command.name() => {
                        made = Some((decoded, Vec::new()));
                    }
                    None => self.stand_in(now, socket, &decoded, out),
                }
            }
        }
        let (dialect, what) = (self.dialect.manifest().id, request.command.name());
        made.ok_or(Unsupported { dialect, what })
    }

    /// Tells the server's side whose credentials a request has.
    fn prove(&self, socket: &mut Socket, request: &Request) {
        if request.credentials != Credentials::Nothing {
            socket.server.authenticated(Some(self.identity));
        }
    }

    /// Answers a request that only this wire makes.
    fn stand_in(
        &self,
        now: Timestamp,
        socket: &mut Socket,
        request: &Request,
        out: &mut Translated,
    ) {
        self.prove(socket, request);
        let summary = |flow| self.flows.get(&flow).cloned().unwrap_or_else(|| unknown_flow(flow));
        let answer = stand_in_answer(&request.command, self.identity.user, summary);
        if let Some(mut answer) = answer {
            fit_tokens(&request.command, &self.token, &mut answer);
            // Its own client has no use for what it does not wait for.
            let _ = self.answer(now, socket, request, Ok(answer), out, &mut Vec::new());
        }
    }

    /// Writes the response to a request, and reads it by the client's side. Gives the number of
    /// its frames.
    fn answer(
        &self,
        now: Timestamp,
        socket: &mut Socket,
        request: &Request,
        outcome: Result<Answer, Fault>,
        out: &mut Translated,
        incoming: &mut Vec<Incoming>,
    ) -> Result<usize, Unsupported> {
        if let Some(identity) = new_identity(&outcome, self.identity) {
            socket.server.authenticated(identity);
        }
        let response = Response {
            correlation: request.correlation.clone(),
            identity: Some(self.identity),
            outcome,
        };
        let flow = match socket.server.subscription() {
            Subscription::Flow(flow) => self.flows.get(&flow),
            _ => None,
        };
        let context = RenderContext::with_flow(flow);
        let mut frames = Vec::new();
        socket.server.respond(now, &response, &context, &mut frames)?;
        let count = frames.len();
        read_back(now, socket, frames, out, incoming);
        Ok(count)
    }

    /// Gives an outcome of the source to the request here.
    pub(super) fn respond(
        &mut self,
        now: Timestamp,
        sent: Sent,
        mut outcome: Result<Answer, Fault>,
        out: &mut Translated,
    ) -> Result<Responded, Unsupported> {
        let Sent { place, request, after } = sent;
        self.learn(&outcome);
        if let Ok(answer) = &mut outcome {
            fit_tokens(&request.command, &self.token, answer);
        }
        let (mut socket, is_socket) = match place {
            Place::Exchange(socket) => (*socket, false),
            Place::Socket(number) => {
                match self.sockets.iter().position(|socket| socket.number == number) {
                    Some(index) => (self.sockets.remove(index), true),
                    None => {
                        let what = "an answer on a connection that is gone";
                        return Err(Unsupported { dialect: self.dialect.manifest().id, what });
                    }
                }
            }
        };
        let mut incoming = Vec::new();
        let answered = self.answer(now, &mut socket, &request, outcome.clone(), out, &mut incoming);
        let mut responded = Responded { outcome: None, event: None, has_frames: false };
        let result = answered.map(|count| responded.has_frames = count > 0);
        for request in &after {
            self.stand_in_reading(now, &mut socket, request, out, &mut incoming);
        }
        let has_answer = |value: &Incoming| matches!(value, Incoming::Response(_));
        if result.is_ok()
            && !incoming.iter().any(has_answer)
            && let Ok(answer) = &outcome
            && let Some(mut kind) = event_of(&request.command, answer, self.identity.user)
        {
            // The event that everybody gets is the answer.
            count_versions(&mut kind, &mut self.newest_version);
            let origin = self.origin(&socket, &request);
            let told = kind.clone();
            let delivered = self.tell(now, &mut socket, kind, Some(origin), out, &mut incoming);
            responded.has_frames |= delivered;
            if delivered {
                responded.event = Some((told, event_among(&incoming)));
            }
        }
        responded.outcome = incoming.into_iter().find_map(|value| match value {
            Incoming::Response(response) if response.correlation.get::<Key>().is_some() => {
                Some(response.outcome)
            }
            _ => None,
        });
        if is_socket {
            self.sockets.push(socket);
        }
        result.map(|()| responded)
    }

    fn stand_in_reading(
        &self,
        now: Timestamp,
        socket: &mut Socket,
        request: &Request,
        out: &mut Translated,
        incoming: &mut Vec<Incoming>,
    ) {
        let summary = |flow| self.flows.get(&flow).cloned().unwrap_or_else(|| unknown_flow(flow));
        if let Some(answer) = stand_in_answer(&request.command, self.identity.user, summary) {
            let _ = self.answer(now, socket, request, Ok(answer), out, incoming);
        }
    }

    /// The request that an event of the client itself comes from.
    fn origin(&self, socket: &Socket, request: &Request) -> Origin {
        Origin {
            connection: ConnectionId(socket.number),
            dialect: self.dialect.manifest().id,
            client_tag: request.client_tag.clone(),
        }
    }

    /// The origin of the events of a request that was answered on a WebSocket.
    pub(super) fn origin_of(&self, sent: &Sent) -> Option<Origin> {
        let Place::Socket(number) = sent.place else { return None };
        let socket = self.sockets.iter().find(|socket| socket.number == number)?;
        Some(self.origin(socket, &sent.request))
    }

    /// Delivers an event. Gives it as the client has read it: `None` if the wire does not tell of
    /// it, `Some(None)` if it tells by closing, or by a frame that is no event.
    pub(super) fn event(
        &mut self,
        now: Timestamp,
        mut kind: EventKind,
        origin: Option<Origin>,
        out: &mut Translated,
    ) -> Option<Option<EventKind>> {
        self.learn_flow(&kind);
        count_versions(&mut kind, &mut self.newest_version);
        let event = Event::new(now, kind.clone());
        let mut incoming = Vec::new();
        let mut is_covered = false;
        for index in 0..self.sockets.len() {
            let subscription = self.sockets[index].server.subscription();
            if event.flow().is_some() && !subscription.covers(&event) {
                continue;
            }
            is_covered = true;
            let mut socket = self.sockets.remove(index);
            let told =
                self.tell(now, &mut socket, kind.clone(), origin.clone(), out, &mut incoming);
            self.sockets.insert(index, socket);
            if told {
                return Some(event_among(&incoming));
            }
        }
        if origin.is_some() {
            // Its own client was answered already.
            return Some(Some(kind));
        }
        if is_covered || self.is_deaf {
            return None;
        }
        let Some(mut socket) = self.listen(now, &event, out) else {
            self.is_deaf = true;
            return None;
        };
        let told = self.tell(now, &mut socket, kind, None, out, &mut incoming);
        self.keep(socket);
        told.then(|| event_among(&incoming))
    }

    /// Opens a WebSocket whose client is told of an event: in its room, or after a login.
    fn listen(&mut self, now: Timestamp, event: &Event, out: &mut Translated) -> Option<Socket> {
        let flow = event.flow()?;
        let kinds = match &event.kind {
            EventKind::Posted(message) | EventKind::Edited(message)
                if message.flow_kind != FlowKind::Chat =>
            {
                FlowKindFilter::Shared
            }
            _ => FlowKindFilter::Chat,
        };
        let range = HistoryRange::Newest { limit: 0, offset: 0 };
        let login = LoginIdentifier::Any("client".to_owned());
        let commands = [
            Command::History { flow, kinds, range, mark_read: false },
            Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true },
            Command::ListFlows { limit: None, offset: 0, members: false },
            Command::Login {
                identifier: login,
                password: Secret::new("password"),
                grant: GrantKind::Connection,
            },
        ];
        for command in commands {
            for credentials in
                credential_forms(&Credentials::Connection, self.identity.user, &self.token, false)
            {
                let request = Request::new(Correlation::NONE, credentials, command.clone());
                let mut tried = Translated::default();
                let Ok((mut socket, true, (made, after))) = self.open(now, &request, &mut tried)
                else {
                    continue;
                };
                self.stand_in(now, &mut socket, &made, &mut tried);
                for made in &after {
                    self.stand_in(now, &mut socket, made, &mut tried);
                }
                if socket.server.subscription().covers(event) {
                    out.frames.append(&mut tried.frames);
                    return Some(socket);
                }
            }
        }
        None
    }

    /// Delivers an event on one WebSocket; false if it tells nothing of it.
    fn tell(
        &self,
        now: Timestamp,
        socket: &mut Socket,
        kind: EventKind,
        origin: Option<Origin>,
        out: &mut Translated,
        incoming: &mut Vec<Incoming>,
    ) -> bool {
        let event = Event { origin, ..Event::new(now, kind) };
        if let EventKind::SessionsEnded { user, .. } = &event.kind
            && *user == self.identity.user
        {
            socket.server.authenticated(None);
        }
        let flow = event.flow().and_then(|flow| self.flows.get(&flow));
        let context = RenderContext::with_flow(flow);
        let frames = match socket.server.deliver(&event, &context) {
            Delivery::Skip => return false,
            Delivery::Close(close) => {
                out.push(socket.number, Item::Close(close));
                return true;
            }
            Delivery::Private(frames) => frames,
            Delivery::Shared(variant) => match self.dialect.render(&event, &context, variant) {
                Ok(frame) => vec![frame],
                Err(_) => return false,
            },
        };
        let is_told = !frames.is_empty();
        read_back(now, socket, frames, out, incoming);
        is_told
    }

    /// Notes what an outcome tells about the client and its flows.
    fn learn(&mut self, outcome: &Result<Answer, Fault>) {
        match outcome {
            Ok(Answer::Granted(grant)) => {
                (self.logged_in, self.is_deaf) = (true, false);
                if let Some(user) = &grant.user {
                    self.identity.user = user.id;
                }
                if let Some(token) = token_of(grant) {
                    self.token = token.clone();
                }
            }
            Ok(Answer::Flow(summary)) => self.learn_summary(summary),
            Ok(Answer::Flows(flows)) => flows.iter().for_each(|flow| self.learn_summary(flow)),
            _ => {}
        }
    }

    /// Notes the flow of an event. A frame may need the members of a message's flow.
    fn learn_flow(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Posted(message) | EventKind::Edited(message) => {
                let author = &message.author;
                if !self.flows.contains_key(&message.flow) {
                    self.learn_summary(&unknown_flow(message.flow));
                }
                if let Some(summary) = self.flows.get_mut(&message.flow)
                    && summary.members.len() < MAX_MEMBERS
                    && summary.members.iter().all(|member| member.id != author.id)
                {
                    let mut member = tolmach_domain::User::named(author.id, &*author.name);
                    member.login = author.login.to_string();
                    member.username = author.username.to_string();
                    summary.members.push(member);
                    summary.members.sort_by_key(|member| member.id);
                }
            }
            EventKind::FlowCreated { flow, .. } => {
                self.learn_summary(&FlowSummary::new(flow.clone()));
            }
            EventKind::FlowDeleted { flow, .. } => {
                self.flows.remove(flow);
            }
            _ => {}
        }
    }

    fn learn_summary(&mut self, summary: &FlowSummary) {
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&summary.flow.id) {
            self.flows.pop_first();
        }
        let mut summary = summary.clone();
        // Versions are counted here.
        summary.flow.version = tolmach_domain::Version::default();
        self.flows.insert(summary.flow.id, summary);
    }
}

/// Reads the server's frames by the client's side. One that it cannot read tells it nothing.
fn read_back(
    now: Timestamp,
    socket: &mut Socket,
    frames: Vec<Frame>,
    out: &mut Translated,
    incoming: &mut Vec<Incoming>,
) {
    for frame in frames {
        let _ = socket.client.decode(now, &frame, incoming);
        out.push(socket.number, Item::Frame(Sender::Server, frame));
    }
}

fn event_among(incoming: &[Incoming]) -> Option<EventKind> {
    incoming.iter().find_map(|value| match value {
        Incoming::Event(event) => Some(event.kind.clone()),
        Incoming::Response(_) => None,
    })
}
