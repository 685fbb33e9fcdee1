//! One captured connection, with its client and server of the target.

use super::completion::{granted_user, implied_answer, is_event_of};
use super::loss::{Loss, Part};
use super::opening::Opening;
use super::source::{Key, Source, SourceRequest};
use super::target::{Sent, Target};
use super::translated::Translated;
use crate::canonical;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tolmach_dialect::placeholders::placeholder_user_id;
use tolmach_dialect::{Dialect, Frame, Incoming, Request, Response, WideIdNumbers};
use tolmach_domain::{Answer, Command, Credentials, Event, EventKind, Fault, Origin, Timestamp};

/// The most requests of a connection that may wait for their answers; the oldest are forgotten.
const MAX_PENDING: usize = 1024;
/// The most exchanges of an HTTP connection that may wait for their responses.
const MAX_EXCHANGES: usize = 256;
/// The most answered changes whose events may still come.
const MAX_ANSWERED: usize = 16;

/// One captured connection.
pub(super) struct Connection {
    number: u64,
    wide_ids: Arc<WideIdNumbers>,
    dialect: Arc<dyn Dialect>,
    opening: Option<Opening>,
    /// Of a WebSocket or a raw TCP stream.
    socket: Option<Source>,
    /// Of HTTP: the exchanges whose responses have not come, in order.
    exchanges: VecDeque<Source>,
    target: Target,
    /// The name of the target, for reasons.
    target_name: String,
    pending: BTreeMap<u64, Pending>,
    next_key: u64,
    answered: VecDeque<Answered>,
}

/// A request that waits for its answer.
struct Pending {
    /// As the source's server side has decoded it.
    request: Request,
    /// `None` where the target has no frame for it.
    sent: Option<Sent>,
}

/// A change that was answered, of which an event may tell too.
struct Answered {
    command: Command,
    answer: Answer,
    origin: Option<Origin>,
    /// True if the target has told its client of the event already.
    is_told: bool,
}

impl Connection {
    /// A connection that was opened by this request, if it is known, and its target, whose
    /// connections are numbered from `first` on.
    pub(super) fn new(
        number: u64,
        (dialect, opening): (Arc<dyn Dialect>, Option<Opening>),
        (target, target_name): (Arc<dyn Dialect>, String),
        first: u64,
        wide_ids: &Arc<WideIdNumbers>,
    ) -> Self {
        Self {
            number,
            wide_ids: Arc::clone(wide_ids),
            dialect,
            opening,
            socket: None,
            exchanges: VecDeque::new(),
            target: Target::new(target, first, wide_ids),
            target_name,
            pending: BTreeMap::new(),
            next_key: 1,
            answered: VecDeque::new(),
        }
    }

    /// Opens the WebSocket: its handshake may make requests.
    pub(super) fn open(&mut self, now: Timestamp, out: &mut Translated) {
        if self.socket.is_none() && self.opening.as_ref().is_some_and(|opening| opening.websocket) {
            self.open_socket(now, out);
        }
    }

    fn open_socket(&mut self, now: Timestamp, out: &mut Translated) {
        let dialect = Arc::clone(&self.dialect);
        let Some(client) = dialect.client() else { return };
        let user = self.target.identity().user;
        let captured = self.opening.clone().filter(|opening| opening.websocket);
        let numbers = (self.number, &self.wide_ids);
        let open = |opening: Opening| Source::open(&*dialect, client, &opening, numbers);
        let source = captured.and_then(&open);
        let Some(mut source) = source.or_else(|| Opening::usual(client, user).and_then(open))
        else {
            return;
        };
        let requests = source.initial_requests(now, self.next_key);
        self.socket = Some(source);
        self.requests(now, requests, out);
    }

    /// Translates a frame of the captured client.
    pub(super) fn client_frame(&mut self, now: Timestamp, frame: &Frame, out: &mut Translated) {
        let is_exchange = match frame {
            Frame::Request(request) => {
                let opening = Opening::new(request.as_ref().clone().into_parts().0);
                if opening.websocket {
                    (self.opening, self.socket) = (Some(opening), None);
                    self.open(now, out);
                    return;
                }
                self.begin_exchange(&opening)
            }
            _ => {
                if self.socket.is_none() {
                    self.open_socket(now, out);
                }
                false
            }
        };
        self.finish_extras(now, out);
        let next = self.next_key;
        let source = if is_exchange { self.exchanges.back_mut() } else { self.socket.as_mut() };
        let Some(source) = source else {
            out.lost.push(Loss {
                operation: "",
                part: Part::Frame,
                reason: format!("{} has no such connection", self.dialect.manifest().id),
            });
            return;
        };
        match source.client_frame(now, frame, next) {
            Ok(requests) => {
                if source_is_waiting(&requests) {
                    self.authenticate(&requests);
                }
                self.requests(now, requests, out);
            }
            Err(violation) => {
                let id = self.dialect.manifest().id;
                let kind = violation.kind.name().replace('_', " ");
                let reason = format!("it is no request of {id}: wrong in {kind}");
                out.lost.push(Loss { operation: "", part: Part::Frame, reason });
            }
        }
    }

    /// Begins an exchange of HTTP; false if the dialect has none for the request.
    fn begin_exchange(&mut self, opening: &Opening) -> bool {
        let Some(client) = self.dialect.client() else { return false };
        let numbers = (self.number, &self.wide_ids);
        let source = Source::open(&*self.dialect, client, opening, numbers);
        let Some(source) = source else { return false };
        if self.exchanges.len() == MAX_EXCHANGES {
            self.exchanges.pop_front();
        }
        self.exchanges.push_back(source);
        true
    }

    /// Tells the source's sessions the identity that requests prove.
    fn authenticate(&mut self, requests: &[SourceRequest]) {
        for made in requests {
            match &made.request.credentials {
                Credentials::TokenOf(user, _) => self.target.set_user(*user),
                Credentials::Nothing => continue,
                _ => {}
            }
            let identity = self.target.identity();
            if let Some(source) = self.socket.as_mut() {
                source.authenticate(identity);
            }
        }
    }

    /// Translates requests.
    fn requests(&mut self, now: Timestamp, requests: Vec<SourceRequest>, out: &mut Translated) {
        for SourceRequest { request, is_own } in requests {
            let key = self.next_key;
            self.next_key += 1;
            let operation = request.command.name();
            if is_own {
                let id = self.dialect.manifest().id;
                out.notes.push(format!("about the connection of {id} alone"));
                continue;
            }
            out.operations.push(operation);
            if let Command::Login { identifier, .. } = &request.command {
                self.target.set_user(placeholder_user_id(identifier.as_str()));
            }
            let sent = match self.target.request(now, Key(key), &request, out) {
                Ok(sent) => {
                    let given = canonical::command(&request.command);
                    let arrived = canonical::command(&sent.request.command);
                    let lost = canonical::differences(&given, &arrived);
                    let name = &self.target_name;
                    out.lost.extend(Loss::fields(operation, name, lost, Part::RequestField));
                    Some(sent)
                }
                Err(unsupported) => {
                    out.lost.push(Loss::unsupported(operation, Part::Request, &unsupported));
                    None
                }
            };
            if self.pending.len() == MAX_PENDING {
                self.pending.pop_first();
            }
            self.pending.insert(key, Pending { request, sent });
        }
    }

    /// Translates a frame of the captured server.
    pub(super) fn server_frame(&mut self, now: Timestamp, frame: &Frame, out: &mut Translated) {
        let mut exchange = match frame {
            Frame::Response(_) => self.exchanges.pop_front(),
            _ => None,
        };
        let Some(source) = exchange.as_mut().or(self.socket.as_mut()) else {
            let reason = "no request has come before it".to_owned();
            out.lost.push(Loss { operation: "", part: Part::Frame, reason });
            return;
        };
        match source.server_frame(now, frame) {
            Ok(incoming) => {
                if incoming.is_empty() {
                    out.notes.push("a part of an answer that goes on, or of none".to_owned());
                }
                for value in incoming {
                    self.incoming(now, value, exchange.as_mut(), out);
                }
            }
            Err(_) if source.take_own_answer() => {
                let id = self.dialect.manifest().id;
                out.notes.push(format!("about the connection of {id} alone"));
            }
            Err(invalid) => {
                let id = self.dialect.manifest().id;
                let reason = format!("it is no answer or event of {id} here: {invalid}");
                out.lost.push(Loss { operation: "", part: Part::Frame, reason });
            }
        }
    }

    /// The rest of the connection: answers that end with requests which only the client's side of
    /// the source makes.
    pub(super) fn finish(&mut self, now: Timestamp, out: &mut Translated) {
        self.finish_extras(now, out);
    }

    fn finish_extras(&mut self, now: Timestamp, out: &mut Translated) {
        let identity = self.target.identity();
        let incoming = match &mut self.socket {
            Some(source) => source.finish_extras(now, identity),
            None => return,
        };
        for value in incoming {
            self.incoming(now, value, None, out);
        }
    }

    fn incoming(
        &mut self,
        now: Timestamp,
        value: Incoming,
        exchange: Option<&mut Source>,
        out: &mut Translated,
    ) {
        match value {
            Incoming::Response(response) => self.response(now, response, exchange, out),
            Incoming::Event(event) => self.event(now, &event, out),
        }
    }

    fn response(
        &mut self,
        now: Timestamp,
        response: Response,
        exchange: Option<&mut Source>,
        out: &mut Translated,
    ) {
        let key = response.correlation.get::<Key>().copied();
        let Some(pending) = key.and_then(|key| self.pending.remove(&key.0)) else {
            out.notes.push("the answer to a request that was forgotten".to_owned());
            return;
        };
        if let Some(user) = granted_user(&response.outcome) {
            self.target.set_user(user);
        }
        let identity = self.target.identity();
        let follow_ups = exchange
            .or(self.socket.as_mut())
            .map(|source| source.respond(now, &pending.request, identity, &response.outcome));
        out.operations.push(pending.request.command.name());
        self.answer(now, pending, response.outcome, out);
        let follow_ups = follow_ups.unwrap_or_default().into_iter();
        let made = follow_ups.map(|request| SourceRequest { request, is_own: false });
        self.requests(now, made.collect(), out);
    }

    /// Gives an outcome to the request at the target.
    fn answer(
        &mut self,
        now: Timestamp,
        pending: Pending,
        outcome: Result<Answer, Fault>,
        out: &mut Translated,
    ) {
        let command = pending.request.command;
        let operation = command.name();
        let Some(sent) = pending.sent else {
            let reason = format!("{} has no frame for the request", self.target_name);
            out.lost.push(Loss { operation, part: Part::Answer, reason });
            return;
        };
        let origin = self.target.origin_of(&sent);
        match self.target.respond(now, sent, outcome.clone(), out) {
            Err(unsupported) => {
                out.lost.push(Loss::unsupported(operation, Part::Answer, &unsupported));
            }
            Ok(responded) => {
                let given = canonical::outcome(&outcome);
                let name = &self.target_name;
                if let Some(arrived) = &responded.outcome {
                    let lost = canonical::differences(&given, &canonical::outcome(arrived));
                    out.lost.extend(Loss::fields(operation, name, lost, Part::AnswerField));
                } else if let Some((told, Some(read))) = &responded.event {
                    let (told, read) = (canonical::event(told), canonical::event(read));
                    let lost = canonical::differences(&told, &read);
                    out.lost.extend(Loss::fields(operation, name, lost, Part::AnswerField));
                } else if !responded.has_frames {
                    let reason = format!("{name} does not answer it where it is granted");
                    out.lost.push(Loss { operation, part: Part::Answer, reason });
                }
                if let Ok(answer) = outcome {
                    if self.answered.len() == MAX_ANSWERED {
                        self.answered.pop_front();
                    }
                    let is_told = responded.event.is_some();
                    self.answered.push_back(Answered { command, answer, origin, is_told });
                }
            }
        }
    }

    fn event(&mut self, now: Timestamp, event: &Event, out: &mut Translated) {
        let operation = event.name();
        let kind = &event.kind;
        // The answer to a request that its wire does not answer otherwise.
        let implied = self.pending.iter().find_map(|(key, pending)| {
            let answer = implied_answer(&pending.request.command, kind)?;
            let is_silent = !matches!(pending.request.credentials, Credentials::Nothing);
            is_silent.then_some((*key, answer))
        });
        if let Some((key, answer)) = implied
            && let Some(pending) = self.pending.remove(&key)
        {
            out.operations.push(pending.request.command.name());
            self.answer(now, pending, Ok(answer), out);
        }
        let own = self
            .answered
            .iter()
            .position(|answered| is_event_of(&answered.command, &answered.answer, kind))
            .and_then(|index| self.answered.remove(index));
        if own.as_ref().is_some_and(|own| own.is_told) {
            return;
        }
        out.operations.push(operation);
        let origin = own.and_then(|own| own.origin);
        match self.target.event(now, EventKind::clone(kind), origin, out) {
            None => {
                let reason = format!("{} has no frame for {operation}", self.target_name);
                out.lost.push(Loss { operation, part: Part::Event, reason });
            }
            Some(Some(read)) => {
                let (told, read) = (canonical::event(kind), canonical::event(&read));
                let lost = canonical::differences(&told, &read);
                let name = &self.target_name;
                out.lost.extend(Loss::fields(operation, name, lost, Part::EventField));
            }
            Some(None) => {}
        }
    }
}

/// True if one of the requests needs an identity.
fn source_is_waiting(requests: &[SourceRequest]) -> bool {
    requests.iter().any(|made| made.request.credentials != Credentials::Nothing)
}
