//! A client's end of a connection whose server is a file.

use serde_json::Value;
use tolmach_dialect::{
    Credentials, Delivery, Dialect as _, Event, Frame, Handshake, Recognition, RenderContext,
    Request, Response, ServerSession, Subscription,
};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{Answer, ConnectionId, Fault, Tokens};

/// A connection of Ann.
pub(crate) struct Peer {
    dialect: Declared,
    session: Box<dyn ServerSession>,
}

/// The file with this name, compiled.
pub(crate) fn compiled(name: &str) -> Declared {
    let file = BUILT_IN.iter().find(|file| file.name == name);
    let file = file.unwrap_or_else(|| panic!("{name} is not built in"));
    Declared::compile(*file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"))
}

/// True if a file claims a connection with this first frame.
pub(crate) fn claims(name: &str, text: &str) -> bool {
    let frame = Frame::text(text.to_owned());
    let handshake = Handshake::new(ConnectionId(1)).first_frame(&frame);
    compiled(name).recognise(&handshake) != Recognition::No
}

impl Peer {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(name, &tolmach_dialect::websocket_request("/ws"))
    }

    /// A connection with this handshake.
    pub(crate) fn at(name: &str, request: &http::request::Parts) -> Self {
        Self::accepted(name, &Handshake::new(ConnectionId(1)).request(request).websocket(true))
    }

    /// A connection of a raw TCP stream.
    pub(crate) fn tcp(name: &str) -> Self {
        Self::accepted(name, &Handshake::new(ConnectionId(1)))
    }

    fn accepted(name: &str, handshake: &Handshake<'_>) -> Self {
        let dialect = compiled(name);
        let session = dialect.accept(handshake);
        let session = session.unwrap_or_else(|_| panic!("{name} rejects the handshake"));
        Self { dialect, session }
    }

    /// The requests that the handshake makes.
    pub(crate) fn initial_requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        self.session.initial_requests(fixtures::time(0), &mut requests);
        requests
    }

    /// The requests of a frame, or the frame that refuses it.
    pub(crate) fn decode(&mut self, text: &str) -> Result<Vec<Request>, Option<String>> {
        let mut requests = Vec::new();
        let frame = Frame::text(text.to_owned());
        let decoded = self.session.decode(fixtures::time(0), &frame, &mut requests);
        match decoded {
            Ok(()) => Ok(requests),
            Err(violation) => Err(violation.answer.as_ref().map(text_of)),
        }
    }

    /// The frames that a request with this outcome is answered by.
    pub(crate) fn respond(
        &mut self,
        request: &Request,
        outcome: Result<Answer, Fault>,
    ) -> Vec<String> {
        let is_granted = matches!(&outcome, Ok(Answer::Granted(grant))
            if grant.tokens != Tokens::Nothing);
        let is_proven = request.credentials != Credentials::Nothing
            && outcome.as_ref().err() != Some(&Fault::Unauthenticated);
        if is_granted || is_proven {
            self.session.authenticated(Some(ANN.identity()));
        }
        let response = Response::new(request.correlation.clone(), outcome);
        let mut frames = Vec::new();
        let responded =
            self.session.respond(fixtures::time(0), &response, &RenderContext::EMPTY, &mut frames);
        responded.unwrap_or_else(|unsupported| panic!("{unsupported}"));
        frames.iter().map(text_of).collect()
    }

    /// The frames that a frame is answered by, where its request has this outcome.
    pub(crate) fn answers(&mut self, text: &str, outcome: Result<Answer, Fault>) -> Vec<String> {
        match self.decode(text) {
            Ok(requests) => {
                let [request] = requests.as_slice() else {
                    panic!("a request is expected: {text}")
                };
                self.respond(request, outcome)
            }
            Err(refusal) => refusal.into_iter().collect(),
        }
    }

    /// The requests that the latest response leads to.
    pub(crate) fn follow_ups(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        self.session.follow_ups(&mut requests);
        requests
    }

    /// The flow or flows whose events are delivered.
    pub(crate) fn subscription(&self) -> Subscription {
        self.session.subscription()
    }

    /// The frames of an event.
    pub(crate) fn hears(&mut self, event: &Event) -> Vec<String> {
        match self.session.deliver(event, &RenderContext::EMPTY) {
            Delivery::Skip => Vec::new(),
            Delivery::Private(frames) => frames.iter().map(text_of).collect(),
            Delivery::Shared(variant) => {
                let frame = self.dialect.render(event, &RenderContext::EMPTY, variant);
                vec![text_of(&frame.unwrap_or_else(|unsupported| panic!("{unsupported}")))]
            }
            other => panic!("{other:?}"),
        }
    }

    /// The one frame that a frame is answered by, where every request is granted unless `outcome`
    /// has another outcome for it.
    pub(crate) fn exchange(
        &mut self,
        text: &str,
        outcome: Option<Result<Answer, Fault>>,
    ) -> Option<String> {
        let requests = match self.decode(text) {
            Ok(requests) => requests,
            Err(refusal) => return refusal,
        };
        let [request] = requests.as_slice() else { panic!("one request is expected: {text}") };
        let granted = || Ok(fixtures::answer(&ANN, &request.command));
        let frames = self.respond(request, outcome.unwrap_or_else(granted));
        assert!(frames.len() <= 1, "{text} is answered by {frames:?}");
        frames.into_iter().next()
    }
}

pub(crate) fn text_of(frame: &Frame) -> String {
    match frame {
        Frame::Text(bytes) | Frame::Value(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Frame::Response(response) => response.status().as_u16().to_string(),
        other => panic!("a text frame is expected: {other:?}"),
    }
}

/// A frame as JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
