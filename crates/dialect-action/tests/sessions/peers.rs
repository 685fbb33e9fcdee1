//! The sessions of these tests, driven as a server and a client drive them.

use crate::values::{NOW, ORIGIN, TOKEN, handshake, identity, parts, room, summary, user};
use tolmach_dialect::{
    ClientSession, Configure, Correlation, Delivery, Dialect, DialectClient, Event, Frame,
    Incoming, InvalidReply, RenderContext, Request, Response, ServerSession, Subscription,
    Unsupported, Variant, Violation,
};
use tolmach_dialect_action::Action;
use tolmach_domain::{Answer, Command, Credentials, EventKind, Fault, FlowSummary, Secret};

/// An event's frame as a connection receives it, and whether all connections share it.
pub(crate) type Received = Option<(Frame, bool)>;

/// A dialect whose operator lists these origins.
pub(crate) fn with_origins(origins: &[&str]) -> Action {
    let options = serde_json::json!({ "origins": origins });
    let options = options.as_object().expect("a table was written").clone();
    Action::configure(options).expect("they are origins")
}

/// The server's side of a connection.
pub(crate) struct Server {
    pub(crate) session: Box<dyn ServerSession>,
    /// The flow that the server knows.
    pub(crate) flow: Option<FlowSummary>,
}

impl Server {
    /// A connection of user `number`, numbered alike, whose handshake was granted.
    pub(crate) fn connected(path: &str, number: i64) -> Self {
        let parts = parts(path, &[TOKEN, ORIGIN]);
        let handshake = handshake(number.unsigned_abs(), &parts);
        let session = Action::default().accept(&handshake).expect("the handshake is good");
        let mut server = Self { session, flow: Some(summary(1, &[1, 2])) };
        let mut requests = Vec::new();
        server.session.initial_requests(*NOW, &mut requests);
        let request = requests.pop().expect("the handshake makes a request");
        server.session.authenticated(Some(identity(number)));
        let frames = server.respond(&request, Ok(Answer::User(Box::new(user(number)))));
        assert_eq!(frames, [], "a granted handshake has no frame");
        server
    }

    /// A connection that has joined room 1.
    pub(crate) fn joined(path: &str, number: i64) -> Self {
        let mut server = Self::connected(path, number);
        server.join(1, &[1, 2]);
        server
    }

    pub(crate) fn join(&mut self, number: i64, members: &[i64]) -> Vec<Frame> {
        let text = format!(r#"{{"action":"join_room","room_pk":{number},"request_id":0}}"#);
        let request = self.decode(&text);
        let frames = self.respond(&request, Ok(room(number, members)));
        self.flow = Some(summary(number, members));
        frames
    }

    /// The one request of a text.
    pub(crate) fn decode(&mut self, text: &str) -> Request {
        let mut requests = Vec::new();
        let frame = Frame::text(text.to_owned());
        self.session.decode(*NOW, &frame, &mut requests).expect(text);
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub(crate) fn violation(&mut self, frame: &Frame) -> Violation {
        let mut requests = Vec::new();
        let decoded = self.session.decode(*NOW, frame, &mut requests);
        assert!(requests.is_empty());
        decoded.expect_err("the frame is not a request")
    }

    pub(crate) fn respond(
        &mut self,
        request: &Request,
        outcome: Result<Answer, Fault>,
    ) -> Vec<Frame> {
        let response = Response::new(request.correlation.clone(), outcome);
        let (context, mut frames) = (context(&self.flow), Vec::new());
        let responded = self.session.respond(*NOW, &response, &context, &mut frames);
        responded.expect("the wire has a response");
        frames
    }

    /// Delivers an event as the server does: only what the session subscribes to.
    pub(crate) fn deliver(&mut self, event: &Event) -> Delivery {
        let is_subscribed = match (self.session.subscription(), event.flow()) {
            (Subscription::Flow(subscribed), Some(flow)) => subscribed == flow,
            _ => false,
        };
        if !is_subscribed && !matches!(event.kind, EventKind::SessionsEnded { .. }) {
            return Delivery::Skip;
        }
        self.session.deliver(event, &context(&self.flow))
    }

    /// The frame that an event is delivered with.
    pub(crate) fn receive(&mut self, event: &Event) -> Received {
        match self.deliver(event) {
            Delivery::Skip => None,
            Delivery::Shared(variant) => Some((render(event, &self.flow, variant), true)),
            Delivery::Private(mut frames) => frames.pop().map(|frame| (frame, false)),
            Delivery::Close(close) => panic!("the connection is closed: {close:?}"),
        }
    }
}

/// The frame that a whole room receives.
fn render(event: &Event, flow: &Option<FlowSummary>, variant: Variant) -> Frame {
    let frame = Action::default().render(event, &context(flow), variant);
    frame.expect("a delivered event can be rendered")
}

pub(crate) fn context(flow: &Option<FlowSummary>) -> RenderContext<'_> {
    RenderContext::with_flow(flow.as_ref())
}

/// The number of a request and its outcome.
pub(crate) type Outcome = (u32, Result<Answer, Fault>);

/// The client's side of a connection.
pub(crate) struct Client(pub(crate) Box<dyn ClientSession>);

impl Client {
    pub(crate) fn connected(path: &str) -> Self {
        Self::numbered(path, 1)
    }

    pub(crate) fn numbered(path: &str, connection: u64) -> Self {
        let parts = parts(path, &[TOKEN, ORIGIN]);
        let session = Action::default().connect(&handshake(connection, &parts));
        Self(session.expect("a client rejects nothing"))
    }

    /// The frames of an ordinary user's request.
    pub(crate) fn send(&mut self, number: u32, command: Command) -> Vec<Frame> {
        self.request(&request(number, command)).expect("the wire has the request")
    }

    pub(crate) fn request(&mut self, request: &Request) -> Result<Vec<Frame>, Unsupported> {
        let mut frames = Vec::new();
        let encoded = self.0.request(*NOW, request, &mut frames);
        assert!(encoded.is_ok() || frames.is_empty());
        encoded.map(|()| frames)
    }

    /// The outcomes and events of a server's frame.
    pub(crate) fn receive(&mut self, frame: &Frame) -> (Vec<Outcome>, Vec<EventKind>) {
        let (mut outcomes, mut events) = (Vec::new(), Vec::new());
        for incoming in self.decode(frame).expect("the frame is valid") {
            match incoming {
                Incoming::Response(Response { correlation, identity: None, outcome }) => {
                    let number = correlation.get::<u32>().expect("the correlation is ours");
                    outcomes.push((*number, outcome));
                }
                Incoming::Event(event) => events.push(event.kind.clone()),
                other => panic!("{other:?} was decoded"),
            }
        }
        (outcomes, events)
    }

    pub(crate) fn decode(&mut self, frame: &Frame) -> Result<Vec<Incoming>, InvalidReply> {
        let mut incoming = Vec::new();
        let decoded = self.0.decode(*NOW, frame, &mut incoming);
        assert!(decoded.is_ok() || incoming.is_empty(), "an invalid reply gives nothing");
        decoded.map(|()| incoming)
    }
}

/// Request `number` of an ordinary user.
pub(crate) fn request(number: u32, command: Command) -> Request {
    let credentials = Credentials::Bearer(Secret::new("a.b.c"));
    Request::new(Correlation::new(number), credentials, command)
}
