//! A dialect for tests, and an engine in memory.

use std::sync::{Arc, Mutex};
use tolmach_dialect::{
    Close, CloseCodes, Correlation, Delivery, Dialect, Endpoint, Event, Frame, Handshake,
    HandshakeRejection, Manifest, Recognition, RenderContext, Request, Response, ServerSession,
    Subscription, Unsupported, Variant, Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, Credentials, EventKind, FlowId, FlowKind,
    FlowKindFilter, GrantKind, HistoryRange, Identity, NewMessage, RecoveryIdentifier,
    Registration, Secret, Timestamp, User, UserId, UserRef,
};
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::{CreateFlow, FlowLimits, FlowStore, Store};
use tolmach_engine::{Engine, Policy, Ports};

/// The password of every user.
pub(crate) const PASSWORD: &str = "a password";

/// A wire of text commands: `login NAME`, `logout`, `whoami`, `follow all`, `follow FLOW`,
/// `follow none`, `send FLOW TEXT`, `read FLOW` for what is unread, `lose FLOW` for the same with
/// an answer that has no frame, `recover NAME`, `list TOKEN` for the flows of the token's user,
/// `mute`. A frame has one command or more, each on a line. Responses begin with `ok` or with the
/// name of a fault; events are `event NAME TEXT`.
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
            loses_answers: false,
            joins: false,
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
        EventKind::Posted(message) => {
            let files = message.content.attachments.iter().map(|file| file.data.as_str());
            std::iter::once(message.content.text.as_str()).chain(files).collect()
        }
        _ => String::new(),
    };
    format!("event {}{} {text}", event.name(), members.unwrap_or_default())
}

struct ToySession {
    connection: ConnectionId,
    calls: Arc<Mutex<Vec<String>>>,
    wanted: Subscription,
    identity: Option<Identity>,
    muted: bool,
    loses_answers: bool,
    joins: bool,
}

fn violation() -> Violation {
    Violation { kind: ViolationKind::Shape, answer: None, close: None }
}

impl ToySession {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().expect("no session panics").push(call.into());
    }

    fn decode_line(&mut self, line: &str, out: &mut Vec<Request>) -> Result<(), Violation> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (credentials, command) = match word {
            "login" => {
                let identifier = rest.into();
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
            "get" | "join" => {
                self.joins = word == "join";
                let flow = rest.parse().map_err(|_| violation())?;
                let command = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
                (Credentials::Connection, command)
            }
            "open" => {
                let flow = rest.parse().map_err(|_| violation())?;
                self.wanted = Subscription::Flow(flow);
                let command = Command::History {
                    flow,
                    kinds: FlowKindFilter::Any,
                    range: HistoryRange::Newest { limit: 1, offset: 0 },
                    mark_read: false,
                };
                (Credentials::Connection, command)
            }
            "whoami" => (Credentials::Connection, Command::GetUser { user: UserRef::Me }),
            "recover" => {
                let identifier = RecoveryIdentifier::Login(rest.to_owned());
                (Credentials::Nothing, Command::Recover { identifier })
            }
            "list" => {
                let command = Command::ListFlows { limit: None, offset: 0, members: false };
                (Credentials::Token(Secret::new(rest)), command)
            }
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
            "read" | "lose" => {
                self.loses_answers = word == "lose";
                let command = Command::History {
                    flow: rest.parse().map_err(|_| violation())?,
                    kinds: FlowKindFilter::Any,
                    range: HistoryRange::Unread,
                    mark_read: true,
                };
                (Credentials::Connection, command)
            }
            _ => return Err(violation()),
        };
        out.push(Request::new(Correlation::NONE, credentials, command));
        Ok(())
    }
}

impl ServerSession for ToySession {
    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let text = std::str::from_utf8(frame.payload()).map_err(|_| violation())?;
        text.split('\n').try_for_each(|line| self.decode_line(line, out))
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
            Ok(Answer::History(_)) if self.loses_answers => {
                return Err(Unsupported { dialect: "toy", what: "history" });
            }
            Ok(Answer::History(page)) => {
                let texts = page.messages.iter().map(|message| message.content.text.as_str());
                std::iter::once("ok").chain(texts).collect::<Vec<_>>().join(" ")
            }
            Ok(Answer::Flow(summary)) => {
                if self.joins {
                    self.wanted = Subscription::Flow(summary.flow.id);
                }
                "ok".into()
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

/// An engine on ports in memory.
pub(crate) struct Backend {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bus: Arc<MemoryBus>,
    pub(crate) store: Arc<MemoryStore>,
}

impl Backend {
    pub(crate) fn new() -> Self {
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
        Self { engine: Arc::new(Engine::new(ports, Policy::default())), bus, store }
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
        let now = self.engine.now();
        self.engine.create_account(registration, now).await.expect("the login is free")
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
        let created = self.store.create_flow(flow, FlowLimits::NONE, None, self.engine.now()).await;
        created.expect("the members are users").into_flow().id
    }
}
