//! The source's end: what was captured, as requests, responses and events.

use super::completion::{stand_in_answer, unknown_flow};
use super::opening::{Numbers, Opening};
use super::request_ids::RequestIds;
use std::collections::VecDeque;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, DialectClient, Frame, Incoming, InvalidReply,
    RenderContext, Request, Response, ServerSession, Violation,
};
use tolmach_domain::{Answer, Command, Fault, Identity, Timestamp};

/// The most requests of the client's side that the captured client may not have made.
const MAX_EXTRAS: usize = 64;

/// The key of a request within its connection, as a correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) u64);

/// Both sides of the source dialect on one connection, or in one exchange of HTTP.
pub(super) struct Source {
    /// Decodes the captured client's frames.
    server: Box<dyn ServerSession>,
    /// Decodes the captured server's frames. It is told the requests that the captured client
    /// made, and its own frames go nowhere.
    client: Box<dyn ClientSession>,
    /// Decodes the frames of `client`.
    shadow: Box<dyn ServerSession>,
    ids: RequestIds,
    /// Requests that `client` made beside those of the captured client, in its order.
    extras: VecDeque<Request>,
    /// True if the captured server has sent a frame since the newest extra request.
    has_answered: bool,
    /// The number of requests about the connection alone whose answers may still come.
    own: usize,
}

/// A request of the captured client.
pub(super) struct SourceRequest {
    pub(super) key: Key,
    /// As the server's side has decoded it, with its correlation.
    pub(super) request: Request,
    /// True if it is about the connection alone: the dialect's client side has no such request.
    pub(super) is_own: bool,
}

impl Source {
    /// Both sides of a connection; `None` if one of them rejects the opening.
    pub(super) fn open(
        dialect: &dyn Dialect,
        client: &dyn DialectClient,
        opening: &Opening,
        numbers: Numbers<'_>,
    ) -> Option<Self> {
        Some(Self {
            server: opening.accept(dialect, numbers)?,
            client: opening.connect(client, numbers)?,
            shadow: opening.accept(dialect, numbers)?,
            ids: RequestIds::new(dialect.manifest().fields),
            extras: VecDeque::new(),
            has_answered: false,
            own: 0,
        })
    }

    /// The requests that the opening itself makes, with keys from `next` on. What only proves the
    /// user is answered here.
    pub(super) fn initial_requests(&mut self, now: Timestamp, next: u64) -> Vec<SourceRequest> {
        let mut initial = Vec::new();
        self.server.initial_requests(now, &mut initial);
        // The shadow has the same opening.
        let mut shadowed = Vec::new();
        self.shadow.initial_requests(now, &mut shadowed);
        let mut requests = Vec::new();
        for request in initial {
            let key = Key(next.saturating_add(requests.len() as u64));
            let mut frames = Vec::new();
            let told = with_key(&request, key);
            if self.client.request(now, &told, &mut frames).is_ok() && frames.is_empty() {
                requests.push(SourceRequest { key, request, is_own: false });
            } else {
                self.stand_in(now, &request);
            }
        }
        requests
    }

    /// The requests of a captured frame. Those with a canonical meaning are told to the client's
    /// side, with keys from `next` on.
    pub(super) fn client_frame(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        next: u64,
    ) -> Result<Vec<SourceRequest>, Violation> {
        let mut decoded = Vec::new();
        self.server.decode(now, frame, &mut decoded)?;
        let mut requests = Vec::new();
        for request in decoded {
            if self.take_extra(&request.command) {
                continue;
            }
            let key = Key(next.saturating_add(requests.len() as u64));
            let is_own = !self.tell_client(now, &with_key(&request, key), frame);
            if is_own {
                self.own += 1;
                self.stand_in(now, &request);
            }
            requests.push(SourceRequest { key, request, is_own });
        }
        Ok(requests)
    }

    /// Tells the client's side that it made a request; false if it cannot make it.
    fn tell_client(&mut self, now: Timestamp, request: &Request, captured: &Frame) -> bool {
        let mut frames = Vec::new();
        if self.client.request(now, request, &mut frames).is_err() {
            return false;
        }
        let mut is_found = false;
        for own in &frames {
            let mut decoded = Vec::new();
            if self.shadow.decode(now, own, &mut decoded).is_err() {
                continue;
            }
            for made in decoded {
                if !is_found && made.command.name() == request.command.name() {
                    is_found = true;
                    self.ids.note(own, captured);
                } else if self.extras.len() < MAX_EXTRAS {
                    self.extras.push_back(made);
                    self.has_answered = false;
                }
            }
        }
        true
    }

    /// True if the captured client makes the next request that its own side made before.
    fn take_extra(&mut self, command: &Command) -> bool {
        let is_next = self.extras.front().is_some_and(|extra| extra.command == *command);
        if is_next {
            self.extras.pop_front();
        }
        is_next
    }

    /// The values of a captured frame of the server.
    pub(super) fn server_frame(
        &mut self,
        now: Timestamp,
        frame: &Frame,
    ) -> Result<Vec<Incoming>, InvalidReply> {
        self.has_answered = true;
        let exchanged = self.ids.exchange(frame);
        let mut incoming = Vec::new();
        self.client.decode(now, exchanged.as_ref().unwrap_or(frame), &mut incoming)?;
        Ok(incoming)
    }

    /// True if a frame that the client's side cannot read may answer a request about the connection
    /// alone.
    pub(super) fn take_own_answer(&mut self) -> bool {
        let is_own = self.own > 0;
        self.own -= usize::from(is_own);
        is_own
    }

    /// Answers the requests that the captured client did not make, so that the client's side has
    /// all of an answer that ends with theirs. Gives what it has then.
    pub(super) fn finish_extras(&mut self, now: Timestamp, identity: Identity) -> Vec<Incoming> {
        let mut incoming = Vec::new();
        if !self.has_answered {
            return incoming;
        }
        for extra in std::mem::take(&mut self.extras) {
            let answer = stand_in_answer(&extra.command, identity.user, unknown_flow);
            let Some(answer) = answer else { continue };
            let correlation = extra.correlation;
            let response = Response { correlation, identity: Some(identity), outcome: Ok(answer) };
            let mut frames = Vec::new();
            let context = RenderContext::EMPTY;
            if self.shadow.respond(now, &response, &context, &mut frames).is_ok() {
                for frame in frames {
                    // A frame that does not fit is none that the client waits for.
                    let _ = self.client.decode(now, &frame, &mut incoming);
                }
            }
        }
        incoming
    }

    /// The outcome that the captured server gave, for the state of the server's side. Gives the
    /// requests that it leads to.
    pub(super) fn respond(
        &mut self,
        now: Timestamp,
        request: &Request,
        identity: Identity,
        outcome: &Result<Answer, Fault>,
    ) -> Vec<Request> {
        if let Some(identity) = new_identity(outcome, identity) {
            self.server.authenticated(identity);
            self.shadow.authenticated(identity);
        }
        let response = Response {
            correlation: request.correlation.clone(),
            identity: Some(identity),
            outcome: outcome.clone(),
        };
        // The frames are the captured ones; an answer without one changes no state.
        let _ = self.server.respond(now, &response, &RenderContext::EMPTY, &mut Vec::new());
        let mut follow_ups = Vec::new();
        self.server.follow_ups(&mut follow_ups);
        follow_ups
    }

    /// The identity of the connection, once its requests prove one.
    pub(super) fn authenticate(&mut self, identity: Identity) {
        self.server.authenticated(Some(identity));
        self.shadow.authenticated(Some(identity));
    }

    /// Answers a request that is about the connection alone, for the state of the server's side.
    fn stand_in(&mut self, now: Timestamp, request: &Request) {
        let user = tolmach_dialect::placeholders::placeholder_user_id("");
        let identity = Identity { user, session: None };
        self.authenticate(identity);
        if let Some(answer) = stand_in_answer(&request.command, user, unknown_flow) {
            let correlation = request.correlation.clone();
            let outcome = Ok(answer);
            let response = Response { correlation, identity: Some(identity), outcome };
            let _ = self.server.respond(now, &response, &RenderContext::EMPTY, &mut Vec::new());
        }
    }
}

/// The identity of a connection after an outcome: `None` if it is as it was.
pub(super) fn new_identity(
    outcome: &Result<Answer, Fault>,
    identity: Identity,
) -> Option<Option<Identity>> {
    match outcome {
        Ok(Answer::Granted(grant)) if grant.tokens != tolmach_domain::Tokens::Nothing => {
            Some(Some(identity))
        }
        Ok(Answer::LoggedOut | Answer::AccountDeleted { .. }) | Err(Fault::Unauthenticated) => {
            Some(None)
        }
        _ => None,
    }
}

fn with_key(request: &Request, key: Key) -> Request {
    Request { correlation: Correlation::new(key), ..request.clone() }
}
