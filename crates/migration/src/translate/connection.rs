//! One captured connection, with its client and server of the target.

use super::completion::{granted_user, implied_answer, is_event_of};
use super::loss::{Loss, Part};
use super::opening::Opening;
use super::source::{Key, Source, SourceRequest};
use super::target::{Sent, Target};
use super::translated::Translated;
use crate::canonical;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tolmach_dialect::placeholders::{is_placeholder_user, placeholder_user_id};
use tolmach_dialect::{Dialect, Frame, Incoming, Request, Response, WideIdNumbers};
use tolmach_domain::{
    Answer, Command, Credentials, Event, EventKind, Fault, Origin, Timestamp, UserId,
};

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
    source_dialect: Arc<dyn Dialect>,
    opening: Option<Opening>,
    /// Of a WebSocket or a raw TCP stream.
    socket: Option<Source>,
    /// Of HTTP: the exchanges whose responses have not come, in order; `None` for a request that
    /// the dialect has no exchange for.
    exchanges: VecDeque<Option<Box<Source>>>,
    /// The number of requests of HTTP after these, which were too many.
    unpaired: usize,
    target: Target,
    /// The name of the target in the reasons of losses.
    target_name: String,
    pending: BTreeMap<u64, Pending>,
    next_key: u64,
    answered: VecDeque<Answered>,
    /// True once the source has answered a change by a response: events are no answers here.
    answers_changes: bool,
}

/// The two dialects of a translation.
pub(super) struct Route {
    pub(super) source: Arc<dyn Dialect>,
    pub(super) target: Arc<dyn Dialect>,
    /// The name of the target in the reasons of losses.
    pub(super) target_name: String,
    pub(super) wide_ids: Arc<WideIdNumbers>,
}

/// A request that waits for its answer.
struct Pending {
    /// As the source's server side has decoded it.
    request: Request,
    /// `None` where the target has no frame for it.
    sent: Option<Sent>,
}

/// A [change](is_change) that was answered.
struct Answered {
    command: Command,
    answer: Answer,
    origin: Option<Origin>,
    /// True if the target has told its client of the event already.
    is_told: bool,
}

impl Connection {
    /// A connection, with the request that opened it if that was captured. The connections of its
    /// target are numbered from `first_target` on.
    pub(super) fn new(
        route: &Route,
        number: u64,
        first_target: u64,
        opening: Option<Opening>,
    ) -> Self {
        let Route { source, target, target_name, wide_ids } = route;
        Self {
            number,
            wide_ids: Arc::clone(wide_ids),
            source_dialect: Arc::clone(source),
            opening,
            socket: None,
            exchanges: VecDeque::new(),
            unpaired: 0,
            target: Target::new(Arc::clone(target), first_target, wide_ids),
            target_name: target_name.clone(),
            pending: BTreeMap::new(),
            next_key: 1,
            answered: VecDeque::new(),
            answers_changes: false,
        }
    }

    fn source_id(&self) -> &'static str {
        self.source_dialect.manifest().id
    }

    /// Opens the WebSocket: its handshake may make requests.
    pub(super) fn open(&mut self, now: Timestamp, out: &mut Translated) {
        if self.socket.is_none() && self.opening.as_ref().is_some_and(|opening| opening.websocket) {
            self.open_socket(now, out);
        }
    }

    fn open_socket(&mut self, now: Timestamp, out: &mut Translated) {
        let dialect = Arc::clone(&self.source_dialect);
        let Some(client) = dialect.client() else { return };
        let numbers = (self.number, &self.wide_ids);
        let open = |opening: Opening| Source::open(&*dialect, client, &opening, numbers);
        let captured = self.opening.clone().filter(|opening| opening.websocket);
        let user = self.target.identity().user;
        let source = captured.and_then(open);
        let source = source.or_else(|| Opening::usual(client, user).and_then(open));
        let Some(mut source) = source else { return };
        let requests = source.initial_requests(now, self.next_key);
        self.socket = Some(source);
        self.translate_requests(now, requests, out);
    }

    /// Translates a frame of the captured client.
    pub(super) fn client_frame(&mut self, now: Timestamp, frame: &Frame, out: &mut Translated) {
        let mut is_exchange = false;
        if let Frame::Request(request) = frame {
            let opening = Opening::new(request.as_ref().clone().into_parts().0);
            if opening.websocket {
                (self.opening, self.socket) = (Some(opening), None);
                self.open(now, out);
                return;
            }
            is_exchange = true;
            if !self.begin_exchange(&opening) {
                let reason = format!("{} has no such request of HTTP", self.source_id());
                out.lose_frame(reason);
                return;
            }
        } else if self.socket.is_none() {
            self.open_socket(now, out);
        }
        self.finish_extras(now, out);
        let next = self.next_key;
        let exchange = self.exchanges.back_mut().and_then(Option::as_deref_mut);
        let source = if is_exchange { exchange } else { self.socket.as_mut() };
        let Some(source) = source else {
            out.lose_frame(format!("{} has no such connection", self.source_id()));
            return;
        };
        match source.client_frame(now, frame, next) {
            Ok(requests) => {
                self.authenticate(&requests);
                self.translate_requests(now, requests, out);
            }
            Err(violation) => {
                let kind = violation.kind.name().replace('_', " ");
                let id = self.source_id();
                out.lose_frame(format!("it is no request of {id}: wrong in {kind}"));
            }
        }
    }

    /// Begins an exchange of HTTP; false if the dialect has none for the request, or if too many
    /// wait for their responses. Responses come in the order of all requests.
    fn begin_exchange(&mut self, opening: &Opening) -> bool {
        if self.unpaired > 0 || self.exchanges.len() == MAX_EXCHANGES {
            self.unpaired += 1;
            return false;
        }
        let numbers = (self.number, &self.wide_ids);
        let client = self.source_dialect.client();
        let source = client
            .and_then(|client| Source::open(&*self.source_dialect, client, opening, numbers))
            .map(Box::new);
        let is_known = source.is_some();
        self.exchanges.push_back(source);
        is_known
    }

    /// The exchange of the next response of HTTP: `None` if it answers no request of HTTP,
    /// `Some(None)` if its request was lost.
    fn end_exchange(&mut self) -> Option<Option<Box<Source>>> {
        self.exchanges.pop_front().or_else(|| {
            self.unpaired = self.unpaired.checked_sub(1)?;
            Some(None)
        })
    }

    /// Tells the sessions of the socket the identity that requests prove.
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

    fn translate_requests(
        &mut self,
        now: Timestamp,
        requests: Vec<SourceRequest>,
        out: &mut Translated,
    ) {
        for SourceRequest { key, request, is_own } in requests {
            self.next_key = key.0 + 1;
            let operation = request.command.name();
            if is_own {
                self.note_own(out);
                continue;
            }
            out.operations.push(operation);
            if let Command::Login { identifier, .. } = &request.command {
                self.target.set_user(placeholder_user_id(identifier.as_str()));
            }
            let sent = match self.target.request(now, key, &request, out) {
                Ok(sent) => {
                    let given = canonical::command(&request.command);
                    let arrived = canonical::command(&sent.request.command);
                    self.lose_fields(operation, (&given, &arrived), Part::RequestField, out);
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
            self.pending.insert(key.0, Pending { request, sent });
        }
    }

    /// Notes a frame about the connection that was captured, and no other.
    fn note_own(&self, out: &mut Translated) {
        out.notes.push(format!("about the connection of {} alone", self.source_id()));
    }

    /// Adds the fields that arrived otherwise than they were given, in canonical form.
    fn lose_fields(
        &self,
        operation: &'static str,
        (given, arrived): (&Value, &Value),
        part: fn(String) -> Part,
        out: &mut Translated,
    ) {
        let lost = canonical::differences(given, arrived);
        out.lost.extend(Loss::fields(operation, &self.target_name, lost, part));
    }

    /// Translates a frame of the captured server.
    pub(super) fn server_frame(&mut self, now: Timestamp, frame: &Frame, out: &mut Translated) {
        let mut exchange = None;
        if let Frame::Response(_) = frame
            && let Some(of_request) = self.end_exchange()
        {
            if of_request.is_none() {
                out.lose_frame("its request was not translated".to_owned());
                return;
            }
            exchange = of_request;
        }
        let Some(source) = exchange.as_deref_mut().or(self.socket.as_mut()) else {
            out.lose_frame("no request has come before it".to_owned());
            return;
        };
        match source.server_frame(now, frame) {
            Ok(incoming) => {
                if incoming.is_empty() {
                    out.notes.push("a part of an answer that goes on, or of none".to_owned());
                }
                for value in incoming {
                    self.translate_incoming(now, value, exchange.as_deref_mut(), out);
                }
            }
            Err(_) if source.take_own_answer() => self.note_own(out),
            Err(invalid) => {
                let id = self.source_id();
                out.lose_frame(format!("it is no answer or event of {id} here: {invalid}"));
            }
        }
    }

    /// Gives the answers that waited for requests which only the client's side of the source makes.
    pub(super) fn finish_extras(&mut self, now: Timestamp, out: &mut Translated) {
        let identity = self.target.identity();
        let incoming = match &mut self.socket {
            Some(source) => source.finish_extras(now, identity),
            None => return,
        };
        for value in incoming {
            self.translate_incoming(now, value, None, out);
        }
    }

    fn translate_incoming(
        &mut self,
        now: Timestamp,
        value: Incoming,
        exchange: Option<&mut Source>,
        out: &mut Translated,
    ) {
        match value {
            Incoming::Response(response) => self.translate_response(now, response, exchange, out),
            Incoming::Event(event) => self.translate_event(now, &event, out),
        }
    }

    fn translate_response(
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
        self.answers_changes |= response.outcome.as_ref().is_ok_and(is_change);
        let identity = self.target.identity();
        let follow_ups = exchange
            .or(self.socket.as_mut())
            .map(|source| source.respond(now, &pending.request, identity, &response.outcome));
        out.operations.push(pending.request.command.name());
        self.give_answer(now, pending, response.outcome, out);
        let follow_ups = (self.next_key..).map(Key).zip(follow_ups.unwrap_or_default());
        let made = follow_ups.map(|(key, request)| SourceRequest { key, request, is_own: false });
        self.translate_requests(now, made.collect(), out);
    }

    /// Gives an outcome to the request at the target.
    fn give_answer(
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
        let responded = match self.target.respond(now, sent, outcome.clone(), out) {
            Ok(responded) => responded,
            Err(unsupported) => {
                out.lost.push(Loss::unsupported(operation, Part::Answer, &unsupported));
                return;
            }
        };
        if let Some(arrived) = &responded.outcome {
            let (given, arrived) = (canonical::outcome(&outcome), canonical::outcome(arrived));
            self.lose_fields(operation, (&given, &arrived), Part::AnswerField, out);
        } else if let Some((told, Some(read))) = &responded.event {
            let (told, read) = (canonical::event(told), canonical::event(read));
            self.lose_fields(operation, (&told, &read), Part::AnswerField, out);
        } else if !responded.has_frames {
            let reason = format!("{} does not answer it where it is granted", self.target_name);
            out.lost.push(Loss { operation, part: Part::Answer, reason });
        }
        if let Ok(answer) = outcome
            && is_change(&answer)
        {
            if self.answered.len() == MAX_ANSWERED {
                self.answered.pop_front();
            }
            let is_told = responded.event.is_some();
            self.answered.push_back(Answered { command, answer, origin, is_told });
        }
    }

    fn translate_event(&mut self, now: Timestamp, event: &Event, out: &mut Translated) {
        let operation = event.name();
        let kind = &event.kind;
        if let Some((key, answer)) = self.answer_by_event(kind)
            && let Some(pending) = self.pending.remove(&key)
        {
            out.operations.push(pending.request.command.name());
            self.give_answer(now, pending, Ok(answer), out);
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
                self.lose_fields(operation, (&told, &read), Part::EventField, out);
            }
            Some(None) => {}
        }
    }

    /// The request whose answer an event is, on a wire that answers changes by their events alone.
    fn answer_by_event(&self, event: &EventKind) -> Option<(u64, Answer)> {
        if self.answers_changes || !may_be_caused_by(event, self.target.identity().user) {
            return None;
        }
        let proven = |pending: &Pending| pending.request.credentials != Credentials::Nothing;
        self.pending.iter().filter(|(_, pending)| proven(pending)).find_map(|(key, pending)| {
            Some((*key, implied_answer(&pending.request.command, event)?))
        })
    }
}

/// True for the answer to a change, of which an event may tell too.
fn is_change(answer: &Answer) -> bool {
    matches!(answer, Answer::Sent { .. } | Answer::Edited(_) | Answer::Deleted { .. })
}

/// True unless a message is known to be of another user than the client's, whose id may not be
/// known.
fn may_be_caused_by(event: &EventKind, user: UserId) -> bool {
    let author = match event {
        EventKind::Posted(message) | EventKind::Edited(message) => &message.author,
        _ => return true,
    };
    let are_alike = is_placeholder_user(user) == is_placeholder_user(author.id);
    !are_alike || author.id == user
}
