//! The server's side of a dialect: handshakes, and sessions of many frames with responses and
//! events between them.

use crate::checks;
use crate::input::{self, kind};
use crate::subject::{Subject, material};
use bytes::Bytes;
use tolmach_dialect::{
    Delivery, Frame, Handshake, RenderContext, Request, Response, ServerSession, Subscription,
    Violation,
};
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{
    Answer, ConnectionId, Credentials, Event, EventKind, Fault, FlowSummary, Origin, Tokens,
};

/// The number of the connection.
const CONNECTION: ConnectionId = ConnectionId(1);

/// Feeds an input to sessions of a dialect, as a server would.
pub(crate) fn run(subject: &Subject, input: &[u8]) {
    let mut connection: Option<Connection<'_>> = None;
    let mut refusal = None;
    for (kind, content) in input::records(input) {
        match (kind, &mut connection) {
            (kind::OPEN, _) => {
                let request = input::request(content);
                connection = Connection::open(subject, Some(request), refusal.take());
            }
            (kind::STREAM, _) => connection = Connection::open(subject, None, refusal.take()),
            (kind::REFUSE, _) => refusal = Some(material().fault(input::number(content)).clone()),
            (kind::EVENT, Some(open)) => {
                if !open.deliver(material().event(input::number(content))) {
                    connection = None;
                }
            }
            (kind::END, Some(open)) => open.end_login(),
            (kind, Some(open)) => {
                let Some(frame) = input::message(kind, content) else { continue };
                if !open.receive(&frame, refusal.take()) {
                    connection = None;
                }
            }
            (_, None) => {}
        }
    }
}

/// One connection, as the server keeps it.
struct Connection<'s> {
    subject: &'s Subject,
    session: Box<dyn ServerSession>,
    /// True while the session has an identity.
    authenticated: bool,
    subscription: Subscription,
}

impl<'s> Connection<'s> {
    /// Opens a WebSocket, or without a request a raw TCP stream, or serves a whole HTTP exchange,
    /// of which nothing is left.
    fn open(
        subject: &'s Subject,
        request: Option<http::Request<Bytes>>,
        refusal: Option<Fault>,
    ) -> Option<Self> {
        let parts = request.as_ref().map(input::parts);
        let mut handshake = Handshake::new(CONNECTION).local(true);
        if let Some(parts) = &parts {
            handshake = handshake.request(parts);
            let is_message = handshake.websocket || !subject.takes_http(parts.uri.path());
            handshake = handshake.websocket(is_message);
        }
        let exchange = request.filter(|_| !handshake.websocket);
        let session = match subject.dialect.accept(&handshake) {
            Ok(session) => session,
            Err(rejection) => {
                checks::schema(subject, &Frame::Response(rejection.response));
                return None;
            }
        };
        let subscription = Subscription::None;
        let mut open = Self { subject, session, authenticated: false, subscription };
        let mut requests = Vec::new();
        open.session.initial_requests(fixtures::time(1), &mut requests);
        let mut is_rejected = false;
        for request in requests {
            let size = parts.as_ref().map_or(0, checks::size_of_head);
            let frames = open.respond(&request, refusal.clone(), size);
            is_rejected |= frames.iter().any(|frame| matches!(frame, Frame::Response(_)));
        }
        if let Some(request) = exchange {
            open.exchange(request, refusal);
            return None;
        }
        (!is_rejected).then_some(open)
    }

    /// Serves an HTTP request.
    fn exchange(&mut self, request: http::Request<Bytes>, refusal: Option<Fault>) {
        let frame = Frame::request(request);
        match self.decode(&frame) {
            Ok(requests) => {
                let answers: Vec<Frame> = requests
                    .iter()
                    .flat_map(|request| {
                        self.respond(request, refusal.clone(), checks::size(&frame))
                    })
                    .collect();
                let is_answered = matches!(answers[..], [Frame::Response(_)]);
                assert!(is_answered, "an HTTP request has one response: {answers:?}");
            }
            Err(violation) => {
                checks::violation(self.subject, &*self.session, &violation, &frame, true);
            }
        }
    }

    /// Serves a message. False if the connection is closed.
    fn receive(&mut self, frame: &Frame, refusal: Option<Fault>) -> bool {
        match self.decode(frame) {
            Ok(requests) => {
                for request in &requests {
                    self.respond(request, refusal.clone(), checks::size(frame));
                }
                true
            }
            Err(violation) => {
                checks::violation(self.subject, &*self.session, &violation, frame, false);
                violation.close.is_none()
            }
        }
    }

    fn decode(&mut self, frame: &Frame) -> Result<Vec<Request>, Violation> {
        let mut requests = Vec::new();
        let decoded = self.session.decode(fixtures::time(2), frame, &mut requests);
        let most = 1 + frame.payload().len();
        assert!(requests.len() <= most, "{} requests of one frame", requests.len());
        if decoded.is_err() {
            assert!(requests.is_empty(), "a violation leaves requests: {requests:?}");
        }
        decoded.map(|()| requests)
    }

    /// Grants a request with the answer of the fixtures, or refuses it.
    fn respond(
        &mut self,
        request: &Request,
        refusal: Option<Fault>,
        peer_bytes: usize,
    ) -> Vec<Frame> {
        if request.credentials != Credentials::Nothing && !self.authenticated {
            self.authenticate(true);
        }
        let is_granted = refusal.is_none();
        let outcome = refusal.map_or_else(|| Ok(fixtures::answer(&ANN, &request.command)), Err);
        match &outcome {
            Ok(Answer::Granted(grant)) => {
                self.authenticate(self.authenticated || grant.tokens != Tokens::Nothing);
            }
            Ok(Answer::LoggedOut | Answer::AccountDeleted { .. }) => self.authenticate(false),
            _ => {}
        }
        let correlation = request.correlation.clone();
        let identity = self.authenticated.then(|| ANN.identity());
        let response = Response { correlation, identity, outcome };
        let flow = self.flow();
        let context = RenderContext::with_flow(flow.as_ref());
        let mut frames = Vec::new();
        let now = fixtures::time(3);
        if let Err(error) = self.session.respond(now, &response, &context, &mut frames) {
            assert!(frames.is_empty(), "an error leaves frames: {frames:?}");
            assert!(is_granted, "a refusal cannot be said: {error}");
        }
        checks::frames(self.subject, &*self.session, &frames, peer_bytes);
        self.subscribe();
        frames
    }

    /// Delivers an event that the session has subscribed to. False if it closes the connection.
    fn deliver(&mut self, event: &Event) -> bool {
        let ends_login = matches!(event.kind, EventKind::SessionsEnded { .. });
        if ends_login {
            self.authenticate(false);
        } else if !self.subscription.covers(event) {
            return true;
        }
        let origin =
            Origin { connection: CONNECTION, dialect: self.subject.id(), client_tag: None };
        let event = Event { origin: Some(origin), ..event.clone() };
        let flow = self.flow();
        let context = RenderContext::with_flow(flow.as_ref());
        let frames = match self.session.deliver(&event, &context) {
            Delivery::Skip => return true,
            Delivery::Close(close) => {
                checks::close(&close);
                return false;
            }
            Delivery::Private(frames) => frames,
            Delivery::Shared(variant) => {
                let render = || self.subject.dialect.render(&event, &context, variant);
                let frame = render();
                assert_eq!(frame, render(), "an event is rendered to two frames");
                frame.into_iter().collect()
            }
        };
        checks::frames(self.subject, &*self.session, &frames, 0);
        true
    }

    fn end_login(&mut self) {
        self.authenticate(false);
    }

    fn authenticate(&mut self, authenticated: bool) {
        if self.authenticated != authenticated {
            self.authenticated = authenticated;
            self.session.authenticated(authenticated.then(|| ANN.identity()));
        }
        self.subscribe();
    }

    fn subscribe(&mut self) {
        self.subscription = self.session.subscription();
        if !self.authenticated {
            assert_eq!(self.subscription, Subscription::None, "without a login");
        }
    }

    /// The summary of the subscribed flow, where the dialect needs it.
    fn flow(&self) -> Option<FlowSummary> {
        match self.subscription {
            Subscription::Flow(flow) if self.subject.dialect.manifest().needs_flow_summaries => {
                Some(fixtures::flow_summary(flow.get(), true))
            }
            _ => None,
        }
    }
}
