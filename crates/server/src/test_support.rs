//! A dialect for tests, and a server without a listener.

use crate::builder::ServerBuilder;
use crate::options::{DialectOptions, Limits, ServerOptions};
use crate::routes::RouteMatch;
use crate::served_dialect::ServedDialect;
use crate::server::Server;
use crate::state::ServerState;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tolmach_dialect::{
    Close, CloseCodes, Correlation, Delivery, Dialect, Endpoint, Event, Frame, Handshake,
    HandshakeRejection, Manifest, Recognition, RenderContext, Request, Response, ServerSession,
    Subscription, Unsupported, Variant, Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, Content, Credentials, EventKind, FlowId, FlowKind, FlowKindFilter, GrantKind,
    Identity, NewMessage, Registration, Secret, Timestamp, User, UserId, UserRef,
};
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::{CreateFlow, FlowStore, Store};
use tolmach_engine::{Engine, Policy, Ports};

pub(crate) const PASSWORD: &str = "a password";

/// A wire of text commands: `login NAME`, `logout`, `whoami`, `follow all`, `follow FLOW`,
/// `follow none`, `send FLOW TEXT`, `mute`. Responses begin with `ok` or with the name of a fault;
/// events are `event NAME TEXT`.
pub(crate) struct Toy {
    manifest: Manifest,
    /// The calls of all sessions, in their order.
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

impl Toy {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest, calls: Arc::default() }
    }
}

const ENDPOINTS: &[Endpoint] = &[Endpoint::websocket("/toy")];

/// The manifest of a toy dialect at one path.
pub(crate) fn toy() -> Manifest {
    Manifest::new("toy", "text commands")
        .endpoints(ENDPOINTS)
        .opening("a command")
        .close_codes(CloseCodes { going_away: 4001, slow_reader: 4013 })
}

impl Dialect for Toy {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        match handshake.first_frame {
            Some(Frame::Text(_)) => Recognition::Certain("doc"),
            _ => Recognition::No,
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        Ok(Box::new(ToySession {
            connection: handshake.connection,
            calls: self.calls.clone(),
            wanted: Subscription::None,
            identity: None,
            muted: false,
        }))
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        _: Variant,
    ) -> Result<Frame, Unsupported> {
        Ok(Frame::text(event_text(event, context)))
    }
}

fn event_text(event: &Event, context: &RenderContext<'_>) -> String {
    let members = context.flow.map(|summary| format!(" of {}", summary.members.len()));
    let text = match &event.kind {
        EventKind::Posted(message) => message.content.text.as_str(),
        _ => "",
    };
    format!("event {}{} {text}", event.name(), members.unwrap_or_default())
}

struct ToySession {
    connection: tolmach_domain::ConnectionId,
    calls: Arc<Mutex<Vec<String>>>,
    wanted: Subscription,
    identity: Option<Identity>,
    muted: bool,
}

impl ToySession {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }
}

impl ServerSession for ToySession {
    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let violation = || Violation { kind: ViolationKind::Shape, answer: None, close: None };
        let text = std::str::from_utf8(frame.payload()).map_err(|_| violation())?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (credentials, command) = match word {
            "login" => {
                let identifier = rest.to_owned();
                let password = Secret::new(PASSWORD);
                let grant = GrantKind::Connection;
                (Credentials::Nothing, Command::Login { identifier, password, grant })
            }
            "logout" => (Credentials::Connection, Command::Logout { login: None }),
            "follow" => {
                self.wanted = match rest {
                    "all" => Subscription::AllFlows,
                    "none" => Subscription::None,
                    flow => Subscription::Flow(flow.parse().map_err(|_| violation())?),
                };
                (Credentials::Connection, Command::GetUser { user: UserRef::Me })
            }
            "whoami" => (Credentials::Connection, Command::GetUser { user: UserRef::Me }),
            "mute" => {
                self.muted = true;
                return Ok(());
            }
            "send" => {
                let (flow, text) = rest.split_once(' ').ok_or_else(violation)?;
                let message = NewMessage {
                    flow: flow.parse().map_err(|_| violation())?,
                    kinds: FlowKindFilter::Any,
                    content: Content::text(text),
                    key: None,
                };
                (Credentials::Connection, Command::Send(Box::new(message)))
            }
            _ => return Err(violation()),
        };
        out.push(Request::new(Correlation::NONE, credentials, command));
        Ok(())
    }

    fn respond(
        &mut self,
        _: Timestamp,
        response: &Response,
        _: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let text = match &response.outcome {
            Ok(Answer::Sent { message: Some(message), .. }) => {
                format!("ok {}", message.content.text.split(' ').next().unwrap_or_default())
            }
            Ok(_) => "ok".into(),
            Err(fault) => fault.name().into(),
        };
        self.note(format!("respond {text}"));
        out.push(Frame::text(text));
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.identity = identity;
        let user = identity.map(|identity| identity.user.get());
        self.note(format!("authenticated {user:?}"));
    }

    fn subscription(&self) -> Subscription {
        if self.identity.is_some() { self.wanted } else { Subscription::None }
    }

    fn deliver(&mut self, event: &Event, _: &RenderContext<'_>) -> Delivery {
        self.note(format!("deliver {}", event.name()));
        match &event.kind {
            EventKind::SessionsEnded { .. } => Delivery::Close(Close::new(4008, "session ended")),
            _ if self.muted || event.is_caused_by(self.connection) => Delivery::Skip,
            _ => Delivery::Shared(Variant(0)),
        }
    }
}

/// A server without a listener, on ports in memory.
pub(crate) struct TestServer {
    pub(crate) state: Arc<ServerState>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// A server of one toy dialect. Responses wait for delivery as long as it takes.
    pub(crate) async fn new(manifest: Manifest, limits: Limits) -> Self {
        let toy = Toy::new(manifest);
        let calls = toy.calls.clone();
        let (builder, store) = builder();
        let state = builder
            .options(ServerOptions { limits, ..ServerOptions::default() })
            .max_response_delay(Duration::from_secs(3600))
            .dialect(toy)
            .start()
            .await
            .unwrap();
        Self { state, store, calls }
    }

    pub(crate) fn dialect(&self) -> Arc<ServedDialect> {
        match self.state.routes.find("/toy") {
            RouteMatch::Dialect(dialect, _) => dialect.clone(),
            RouteMatch::Shared | RouteMatch::NotFound => panic!("it is served"),
        }
    }

    pub(crate) async fn user(&self, login: &str) -> User {
        let registration = Registration {
            login: Some(login.into()),
            password: Secret::new(PASSWORD),
            username: None,
            email: None,
            phone: None,
            bot: false,
            bio: None,
            avatar: None,
            profile: true,
            grant: GrantKind::Nothing,
        };
        let engine = &self.state.engine;
        engine.create_account(registration, engine.now()).await.unwrap()
    }

    /// A group of these users, the first of whom owns it.
    pub(crate) async fn group(&self, members: &[UserId]) -> FlowId {
        let flow = CreateFlow {
            kind: FlowKind::Group,
            title: "group".into(),
            info: String::new(),
            owner: members[0],
            photo: None,
            members: members.to_vec(),
            key: None,
        };
        let now = self.state.engine.now();
        self.store.create_flow(flow, None, now).await.unwrap().into_flow().id
    }

    /// The calls of all sessions since the last look.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

/// A builder on ports in memory.
pub(crate) fn builder() -> (ServerBuilder, Arc<MemoryStore>) {
    let bus = Arc::new(MemoryBus::new());
    let store = Arc::new(MemoryStore::new(bus.clone()));
    let ports = Ports {
        store: store.clone() as Arc<dyn Store>,
        bus: bus.clone(),
        clock: Arc::new(ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        mailer: Arc::new(MemoryMailer::new()),
        blobs: Arc::new(MemoryBlobs::new()),
        passwords: Arc::new(PlainPasswords),
        signer: Arc::new(PlainSigner),
    };
    let engine = Arc::new(Engine::new(ports, Policy::default()));
    (Server::builder(engine, bus), store)
}

/// A served toy dialect without a server.
pub(crate) fn served(manifest: Manifest) -> Arc<ServedDialect> {
    let (options, limits) = (DialectOptions::default(), Limits::default());
    Arc::new(ServedDialect::new(Arc::new(Toy::new(manifest)), &options, &limits))
}

/// Lets every other task run until all of them wait. Needs a runtime of one thread, and tasks that
/// do no I/O.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
