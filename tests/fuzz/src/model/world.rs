//! The gateway of a model: the engine, its ports in memory, and connections.

use super::connection::{Connection, Queued, RequestNumber, check_read};
use super::identity::ConnectionIdentity;
use super::plan::{Action, Range, Step};
use super::ready::ready;
use super::texts::Texts;
use super::truth::{FlowTruth, MessageTruth, Requester, Truth, named_flow};
use super::users::{PASSWORD, User};
use crate::checks;
use crate::input::kind;
use crate::subject::{Subject, subjects};
use crate::transcripts;
use futures_util::FutureExt;
use http::request::Parts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tolmach_dialect::{
    Correlation, Delivery, Frame, Handshake, RenderContext, Request, Response, Subscription,
};
use tolmach_dialect_kit::fixtures::{ANN, BOB, CAROL, CredentialsKind};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Content, Event, EventKind, Fault, FlowId, FlowKind,
    FlowKindFilter, FlowSummary, GrantKind, HistoryRange, MessageId, NewFlow, NewMessage, Origin,
    Registration, Secret, Timestamp, UserId, UserRef, Version,
};
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::{Bus, BusReceiver, Clock, MessageStore, Signal};
use tolmach_engine::{Engine, Policy, Ports, Submission};

/// The time at which every model begins, in microseconds.
const START: i64 = 1_700_000_000_000_000;

/// The most connections; further requests by new ones are left out.
const MAX_CONNECTIONS: usize = 32;

/// A flow and a message that do not exist.
const ABSENT: i64 = 4_000_000;

/// A login that looks like another's: its first letter is Cyrillic.
const LOOK_ALIKE: &str = "\u{430}nna";

/// The messages of clients in the transcripts of each dialect.
static TEMPLATES: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
    let messages = |id: &&'static str| {
        let inputs = transcripts::for_servers(id);
        let records = inputs.iter().flat_map(|input| crate::input::records(input));
        let texts: BTreeSet<String> = records
            .filter(|(kind, _)| *kind == kind::TEXT)
            .map(|(_, content)| String::from_utf8_lossy(content).into_owned())
            .collect();
        (*id, texts.into_iter().collect())
    };
    subjects().keys().map(messages).collect()
});

/// A gateway with its users.
pub(super) struct World {
    engine: Engine,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    receiver: Box<dyn BusReceiver>,
    users: Vec<User>,
    connections: Vec<Connection>,
    truth: Truth,
    texts: Texts,
    opened: u64,
    requests: u64,
    /// The requests that clients have had their responses to.
    answered: Vec<u64>,
    /// The logins that were registered.
    registered: BTreeSet<String>,
    tally: Tally,
}

/// The things that happened, by the ids of dialects.
#[derive(Default)]
pub(super) struct Tally {
    /// The commands that were granted.
    pub(super) granted: BTreeSet<(&'static str, &'static str)>,
    /// The messages that clients read in events.
    pub(super) read: BTreeMap<&'static str, usize>,
}

impl World {
    /// A gateway with users, and nothing else.
    pub(super) fn new() -> Self {
        let bus = Arc::new(MemoryBus::new());
        let receiver = bus.receivers(1).remove(0);
        let store = Arc::new(MemoryStore::new(bus.clone()));
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(START)));
        let users = User::create_all(&store, clock.now());
        let ports = Ports {
            store: store.clone(),
            bus,
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            mailer: Arc::new(MemoryMailer::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            passwords: Arc::new(PlainPasswords),
            signer: Arc::new(PlainSigner),
        };
        let administrators = users.iter().filter(|user| user.is_administrator());
        let truth = Truth::new(administrators.map(|user| user.id).collect());
        Self {
            engine: Engine::new(ports, Policy::default()),
            store,
            clock,
            receiver,
            users,
            connections: Vec::new(),
            truth,
            texts: Texts::default(),
            opened: 0,
            requests: 0,
            answered: Vec::new(),
            registered: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    /// The things that happened.
    #[cfg(test)]
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes a step.
    pub(super) fn take(&mut self, step: &Step) {
        // The clock of a real gateway does not stand still between two frames.
        self.clock.advance(Duration::from_micros(1));
        match step {
            Step::Request { user, dialect, administrator, action } => {
                let user = usize::from(*user) % self.users.len();
                let all = subjects();
                let subject = all.values().nth(usize::from(*dialect) % all.len());
                let subject = subject.expect("the number is below that of the dialects");
                if self.act(user, subject, action) {
                    return;
                }
                let authority = match administrator {
                    true => Authority::Administrator,
                    false => Authority::Member,
                };
                let command = self.command(user, action);
                self.request(user, subject, authority, command);
            }
            Step::Frame { connection, content } => {
                if let Some(index) = self.connection(*connection) {
                    let kind = kind::TEXT;
                    if let Some(frame) = crate::input::message(kind, content) {
                        self.receive_foreign(index, &frame);
                    }
                }
            }
            Step::Fill { connection, flow, message, template } => {
                if let Some(index) = self.connection(*connection)
                    && let Some(frame) = self.filled(index, *flow, *message, *template)
                {
                    self.receive_foreign(index, &frame);
                }
            }
            Step::Deliver { connection, events } => {
                if let Some(index) = self.connection(*connection) {
                    self.deliver(index, usize::from(*events) + 1);
                }
            }
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(u64::from(*seconds)));
            }
            Step::Disconnect { connection } => {
                if let Some(index) = self.connection(*connection) {
                    self.connections.remove(index);
                }
            }
        }
        self.connections.retain(|connection| connection.websocket && !connection.closed);
    }

    /// Delivers what is left, and compares the store with what was acknowledged.
    pub(super) fn finish(&mut self) {
        for index in 0..self.connections.len() {
            self.deliver(index, usize::MAX);
        }
        for flow in self.truth.flows() {
            let stored = ready(self.store.messages_after(flow, Version(0), u32::MAX));
            let stored: BTreeMap<MessageId, MessageTruth> = stored
                .expect("the store is open")
                .into_iter()
                .map(|message| {
                    let truth = MessageTruth {
                        author: message.author.id,
                        version: message.version,
                        deleted: message.deleted_at.is_some(),
                        text: message.content.text,
                    };
                    (message.id, truth)
                })
                .collect();
            let expected = &self.truth.flow(flow).expect("it is one of the flows").messages;
            assert_eq!(stored.len(), expected.len(), "messages of flow {flow} are lost");
            for (id, expected) in expected {
                let stored = &stored[id];
                let is_same = stored.version == expected.version
                    && stored.deleted == expected.deleted
                    && (stored.deleted || stored == expected);
                assert!(is_same, "message {id}: {stored:?} is stored instead of {expected:?}");
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn connection(&self, number: u8) -> Option<usize> {
        (!self.connections.is_empty()).then(|| usize::from(number) % self.connections.len())
    }

    // Choices

    fn user_id(&self, number: u8) -> UserId {
        self.users[usize::from(number) % self.users.len()].id
    }

    fn flow_id(&self, number: u8) -> FlowId {
        let flows: Vec<FlowId> = self.truth.flows().collect();
        let absent = FlowId::new(ABSENT).expect("the number is an id");
        flows.get(usize::from(number) % (flows.len() + 1)).copied().unwrap_or(absent)
    }

    /// The kinds that a request with this number of a flow accepts: those of the flow for most
    /// numbers, else any, or others.
    fn kinds(&self, number: u8) -> FlowKindFilter {
        let is_chat = self.truth.flow(self.flow_id(number)).is_some_and(FlowTruth::is_chat);
        match (number / 64, is_chat) {
            (0 | 1, true) | (3, false) => FlowKindFilter::Chat,
            (0 | 1, false) | (3, true) => FlowKindFilter::Shared,
            _ => FlowKindFilter::Any,
        }
    }

    fn message_id(&self, number: u8) -> (MessageId, FlowId) {
        let messages = self.truth.messages();
        let absent = MessageId::new(ABSENT).expect("the number is an id");
        let absent = (absent, self.flow_id(number));
        messages.get(usize::from(number) % (messages.len() + 1)).copied().unwrap_or(absent)
    }

    fn command(&mut self, user: usize, action: &Action) -> Command {
        let by = self.users[user].id;
        match action {
            Action::Send { flow, key, reply_to } => {
                let (flow, kinds) = (self.flow_id(*flow), self.kinds(*flow));
                let mut content = Content::text(self.texts.make(by, Some(flow)));
                content.reply_to = reply_to.map(|message| self.message_id(message).0);
                let key = key.map(|key| format!("key-{}", key % 4));
                Command::Send(Box::new(NewMessage { flow, kinds, content, key }))
            }
            Action::Edit { message, names_flow } => {
                let (message, flow) = self.message_id(*message);
                let text = self.texts.make(by, Some(flow));
                Command::Edit { message, flow: names_flow.then_some(flow), text }
            }
            Action::Delete { messages, flow, all_or_none } => Command::Delete {
                messages: messages.map(|message| self.message_id(message).0).into(),
                flow: Some(self.flow_id(*flow)),
                all_or_none: *all_or_none,
            },
            Action::History { flow, range, mark_read } => {
                let range = match range {
                    Range::All => HistoryRange::All,
                    Range::Unread => HistoryRange::Unread,
                    Range::Newest { limit, offset } => HistoryRange::Newest {
                        limit: u32::from(*limit),
                        offset: u32::from(*offset),
                    },
                };
                let (flow, kinds) = (self.flow_id(*flow), self.kinds(*flow));
                Command::History { flow, kinds, range, mark_read: *mark_read }
            }
            Action::ListFlows { limit, offset, members } => Command::ListFlows {
                limit: limit.map(u32::from),
                offset: u32::from(*offset),
                members: *members,
            },
            Action::GetFlow { flow, members } => {
                let (flow, kinds) = (self.flow_id(*flow), self.kinds(*flow));
                Command::GetFlow { flow, kinds, members: *members }
            }
            Action::GetChanges { since, flow, limit } => Command::GetChanges {
                since: self.now().before(Duration::from_micros(u64::from(*since))),
                flow: flow.map(|flow| self.flow_id(flow)),
                limit: u32::from(*limit),
            },
            Action::ShowTyping { flow, active } => {
                Command::ShowTyping { flow: self.flow_id(*flow), active: *active }
            }
            Action::OpenChat { with, by_login } => {
                let with = &self.users[usize::from(*with) % self.users.len()];
                Command::OpenChat {
                    with: match by_login {
                        true => UserRef::Login(with.login.to_owned()),
                        false => UserRef::Id(with.id),
                    },
                }
            }
            Action::CreateFlow { channel, members, key } => {
                Command::CreateFlow(Box::new(NewFlow {
                    kind: if *channel { FlowKind::Channel } else { FlowKind::Group },
                    title: "A title".to_owned(),
                    info: String::new(),
                    members: members.map(|member| self.user_id(member)).into(),
                    photo: None,
                    key: key.map(|key| format!("key-{}", key % 4)),
                }))
            }
            Action::AddMember { flow, user } => {
                let users = vec![self.user_id(*user)];
                Command::AddMembers { flow: self.flow_id(*flow), users }
            }
            Action::RemoveMember { flow, user } => {
                let users = vec![self.user_id(*user)];
                Command::RemoveMembers { flow: self.flow_id(*flow), users }
            }
            Action::DeleteFlow { flow } => {
                let (flow, kinds) = (self.flow_id(*flow), self.kinds(*flow));
                Command::DeleteFlow { flow, kinds }
            }
            Action::GetUser { user } => Command::GetUser { user: UserRef::Id(self.user_id(*user)) },
            Action::SearchUsers { query } => {
                let query = ["a", "boris", "@", "example", "х"][usize::from(*query) % 5];
                Command::SearchUsers { query: query.to_owned(), limit: 10 }
            }
            Action::Login { of, wrong } => {
                let password = match wrong {
                    true => "wrong".to_owned(),
                    false => self.users[usize::from(*of) % self.users.len()].password(),
                };
                let of = &self.users[usize::from(*of) % self.users.len()];
                login(of, password)
            }
            Action::Logout => Command::Logout { login: None },
        }
    }

    /// A message of a transcript, with the ids of a flow and a message that exist, and the token of
    /// the connection's user: the ids of flows in transcripts have one digit, those of messages
    /// two.
    fn filled(&mut self, index: usize, flow: u8, message: u8, template: u8) -> Option<Frame> {
        let Connection { user, subject, .. } = &self.connections[index];
        let (user, subject) = (*user, *subject);
        let templates = &TEMPLATES[subject.id()];
        let template = templates.get(usize::from(template) % templates.len().max(1))?;
        let flow = self.flow_id(flow).get().to_string();
        let message = self.message_id(message).0.get().to_string();
        let token = self.users[user].token(&self.engine, subject.credentials).unwrap_or_default();
        let (mut text, mut rest) = (String::new(), template.as_str());
        while let Some(begin) = rest.find(|character: char| character.is_ascii_digit()) {
            let digits = &rest[begin..];
            let length = digits.bytes().take_while(u8::is_ascii_digit).count();
            text.push_str(&rest[..begin]);
            text.push_str(match length {
                1 => &flow,
                2 => &message,
                _ => &digits[..length],
            });
            rest = &digits[length..];
        }
        text.push_str(rest);
        for persona in [&ANN, &BOB, &CAROL] {
            text = text.replace(persona.token, &token);
        }
        Some(Frame::text(text))
    }

    // Acts that few wires have

    /// Carries out an action that is no request of its dialect; false for any other.
    fn act(&mut self, user: usize, subject: &'static Subject, action: &Action) -> bool {
        match action {
            Action::GetUser { user: number @ 128..208 } => {
                self.block(self.users[user].id, self.user_id(*number), *number < 192);
            }
            Action::GetUser { user: number @ 208.. } => self.register(user, subject, *number),
            Action::RemoveMember { flow, user: number @ 192.. } => {
                self.leave(self.user_id(*number), self.flow_id(*flow));
            }
            _ => return false,
        }
        self.connections.retain(|connection| connection.websocket && !connection.closed);
        true
    }

    fn block(&mut self, blocker: UserId, blocked: UserId, blocks: bool) {
        let outcome = match blocks {
            true => ready(self.engine.block_user(blocker, blocked, self.now())),
            false => ready(self.engine.unblock_user(blocker, blocked)),
        };
        assert_eq!(outcome.is_ok(), !blocks || blocker != blocked, "{outcome:?}");
        assert_eq!(self.publish(), 0, "a block is no event");
        if outcome.is_ok() {
            self.truth.note_block(blocker, blocked, blocks);
        }
        let listed = ready(self.engine.blocked_users(blocker)).expect("the store is open");
        let is_listed = listed.iter().any(|user| user.id == blocked);
        assert_eq!(is_listed, outcome.is_ok() && blocks, "the list of blocks");
    }

    fn leave(&mut self, user: UserId, flow: FlowId) {
        let may_leave = self
            .truth
            .flow(flow)
            .is_some_and(|truth| !truth.is_chat() && truth.members.contains(&user));
        let outcome = ready(self.engine.leave(user, flow, None, self.now()));
        assert_eq!(outcome.is_ok(), may_leave, "{outcome:?}");
        let changes = self.publish();
        assert_eq!(changes > 0, may_leave, "a departure is published");
        let is_member = self.truth.flow(flow).is_some_and(|flow| flow.members.contains(&user));
        assert!(!may_leave || !is_member, "a departure is lost");
    }

    /// Registers one of a few logins, some of which are taken in one way or another.
    fn register(&mut self, user: usize, subject: &'static Subject, number: u8) {
        const LOGINS: [&str; 6] = ["elena", "fedor", "ANNA", "boris@mail.example", LOOK_ALIKE, "x"];
        let login = LOGINS[usize::from(number) % LOGINS.len()];
        let password = Secret::new(format!("{PASSWORD}{login}"));
        let registration = Registration::new(login, password, GrantKind::Token);
        let command = Command::Register(Box::new(registration));
        self.request(user, subject, Authority::Member, command);
    }

    // Requests

    fn request(
        &mut self,
        user: usize,
        subject: &'static Subject,
        authority: Authority,
        command: Command,
    ) {
        let Some(credentials) = self.users[user].credentials(&self.engine, subject.credentials)
        else {
            return;
        };
        let mut request = Request::new(self.correlation(), credentials, command);
        request.authority = authority;
        let Ok(opening) = subject.client().dial(&request) else { return };
        let existing = self.connections.iter().position(|connection| {
            connection.user == user
                && connection.subject.id() == subject.id()
                && (&connection.opening.method, &connection.opening.uri)
                    == (&opening.method, &opening.uri)
                && connection.opening.headers == opening.headers
        });
        if let Some(index) = existing {
            let Some(frames) = self.encode(index, &request) else { return };
            if !frames.is_empty() {
                self.receive_all(index, &frames);
                return;
            }
            // A request of the handshake is made again by opening again.
            self.connections.remove(index);
        }
        if self.connections.len() < MAX_CONNECTIONS {
            self.open(user, subject, opening, &request);
        }
    }

    fn correlation(&mut self) -> Correlation {
        self.requests += 1;
        Correlation::new(RequestNumber(self.requests))
    }

    /// The frames of a request; `None` where the wire has none for it.
    fn encode(&mut self, index: usize, request: &Request) -> Option<Vec<Frame>> {
        let now = self.now();
        let mut frames = Vec::new();
        self.connections[index].client.request(now, request, &mut frames).ok()?;
        Some(frames)
    }

    fn open(&mut self, user: usize, subject: &'static Subject, opening: Parts, request: &Request) {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let handshake = Handshake::new(id).local(true).request(&opening);
        let websocket = handshake.websocket;
        let Ok(mut client) = subject.client().connect(&handshake) else { return };
        let mut frames = Vec::new();
        let mut head = opening.clone();
        if !websocket {
            if client.request(self.now(), request, &mut frames).is_err() {
                return;
            }
            let [Frame::Request(request)] = &frames[..] else {
                panic!("an HTTP request takes one frame: {frames:?}")
            };
            head = crate::input::parts(request);
        }
        let Ok(server) = subject.dialect.accept(&Handshake::new(id).local(true).request(&head))
        else {
            return;
        };
        self.connections.push(Connection {
            id,
            user,
            subject,
            opening,
            websocket,
            client,
            server,
            identity: ConnectionIdentity::default(),
            proven: BTreeSet::new(),
            subscription: Subscription::None,
            receives: Subscription::None,
            queue: VecDeque::new(),
            delivered: BTreeMap::new(),
            has_foreign_frames: false,
            closed: false,
        });
        let index = self.connections.len() - 1;
        if websocket {
            let logs_in = matches!(request.command, Command::Login { .. });
            if subject.credentials == CredentialsKind::Connection && !logs_in {
                let user = &self.users[user];
                let command = login(user, user.password());
                let login =
                    Request::new(self.correlation(), tolmach_domain::Credentials::Nothing, command);
                let Some(frames) = self.encode(index, &login) else { return };
                self.receive_all(index, &frames);
            }
            // The client makes its request before the handshake's own are answered.
            let Some(encoded) = self.encode(index, request) else {
                self.connections[index].closed = true;
                return;
            };
            frames = encoded;
        }
        let mut initial = Vec::new();
        let now = self.now();
        self.connections[index].server.initial_requests(now, &mut initial);
        for request in initial {
            self.carry_out(index, &request, true);
        }
        self.receive_all(index, &frames);
    }

    /// Receives frames that the client made.
    fn receive_all(&mut self, index: usize, frames: &[Frame]) {
        for frame in frames {
            if self.connections[index].closed {
                return;
            }
            let is_own = !self.connections[index].has_foreign_frames;
            self.receive(index, frame, is_own);
        }
    }

    /// Receives a frame that the client did not make.
    fn receive_foreign(&mut self, index: usize, frame: &Frame) {
        self.connections[index].has_foreign_frames = true;
        self.receive(index, frame, false);
    }

    fn receive(&mut self, index: usize, frame: &Frame, by_client: bool) {
        let now = self.now();
        let connection = &mut self.connections[index];
        let mut requests = Vec::new();
        match connection.server.decode(now, frame, &mut requests) {
            Ok(()) => {
                for request in &requests {
                    self.carry_out(index, request, false);
                }
            }
            Err(violation) => {
                let Connection { subject, server, websocket, .. } = &*connection;
                checks::violation(subject, &**server, &violation, frame, !websocket);
                connection.closed = violation.close.is_some();
                // A request may stand behind one that was refused: to join a room, say.
                if let (Some(answer), true) = (&violation.answer, by_client) {
                    connection.read_by_client(now, answer, &mut self.answered);
                }
            }
        }
    }

    /// Carries out a request as the server does, and checks its events and its answer.
    fn carry_out(&mut self, index: usize, request: &Request, initial: bool) {
        let Request { correlation, credentials, authority, client_tag, wide_ids: _, command } =
            request;
        let bound = self.connections[index].identity.bound;
        let caller = ready(self.engine.authenticate(credentials, bound.as_ref()));
        if let Ok(Some(principal)) = &caller {
            let connection = &mut self.connections[index];
            if initial {
                connection.identity.bound = Some(*principal);
            }
            connection.identity.current = Some(*principal);
            connection.proven.insert(principal.identity.user);
            connection.announce();
            self.subscribe(index, *authority);
        }
        let before = named_flow(command).and_then(|flow| self.truth.flow(flow).cloned());
        let requester = caller.as_ref().ok().copied().flatten();
        let requester = requester
            .map(|principal| Requester { user: principal.identity.user, authority: *authority });
        let (principal, outcome) = match caller {
            Err(fault) => (None, Err(fault)),
            Ok(caller) => {
                let origin = Some(Origin {
                    connection: self.connections[index].id,
                    dialect: self.connections[index].subject.id(),
                    client_tag: client_tag.clone(),
                });
                let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                let authority = *authority;
                let command = command.clone();
                let submission = Submission { caller, authority, origin, address, command };
                let handled = ready(self.engine.execute(submission));
                if let Some(deferred) = handled.deferred {
                    ready(deferred);
                }
                if let Some(mark) = handled.read_mark {
                    ready(self.engine.move_read_mark(mark));
                }
                (handled.principal, handled.outcome)
            }
        };
        assert_ne!(outcome, Err(Fault::Internal), "{command:?}");
        let changes = self.publish();
        match (&outcome, requester) {
            (Ok(answer), Some(requester)) => {
                if let Answer::ChatOpened { flow, .. } = answer {
                    self.truth.note_opening(requester.user, *flow);
                }
                self.truth.check(requester, command, before.as_ref(), answer);
            }
            (Ok(_), None) => {}
            (Err(fault), _) => assert_eq!(changes, 0, "refused with {fault}, and published"),
        }
        if let (Command::Register(registration), Ok(_)) = (command, &outcome) {
            let names = [&registration.login, &registration.email];
            for name in names.into_iter().flatten().map(|name| name.to_lowercase()) {
                let is_taken = |user: &User| name == user.login || name == user.email();
                let is_taken = self.users.iter().any(is_taken) || name == LOOK_ALIKE;
                assert!(!is_taken, "{name:?} is given out");
            }
            let login = registration.login.as_deref().unwrap_or_default().to_lowercase();
            let is_new = login.is_empty() || self.registered.insert(login);
            assert!(is_new, "{:?} is given out twice", registration.login);
        }
        let connection = &mut self.connections[index];
        if outcome.is_ok() {
            self.tally.granted.insert((connection.subject.id(), command.name()));
        }
        connection.identity.completed(credentials, principal, &outcome);
        connection.announce();
        let identity = principal.map(|principal| principal.identity);
        let is_refused = outcome.is_err();
        let response = Response { correlation: correlation.clone(), identity, outcome };
        let summary = self.summary_for(index);
        let context = RenderContext::with_flow(summary.as_ref());
        let now = self.now();
        let connection = &mut self.connections[index];
        let mut frames = Vec::new();
        if let Err(error) = connection.server.respond(now, &response, &context, &mut frames) {
            assert!(!is_refused, "a refusal cannot be said: {error}");
        }
        if connection.websocket && frames.iter().any(|frame| matches!(frame, Frame::Response(_))) {
            connection.closed = true;
        }
        self.subscribe(index, *authority);
        for frame in &frames {
            self.check_response(index, frame, requester, command);
            self.connections[index].read_by_client(now, frame, &mut self.answered);
        }
    }

    /// Checks the texts in a response.
    fn check_response(
        &self,
        index: usize,
        frame: &Frame,
        requester: Option<Requester>,
        command: &Command,
    ) {
        self.check_secrets(frame, requester);
        let shows_present_state = matches!(
            command,
            Command::History { .. } | Command::ListFlows { .. } | Command::GetFlow { .. }
        );
        for (text, origin) in self.texts.found_in(frame.payload()) {
            // A session may answer earlier requests when its login has ended.
            let is_own = self.connections[index].proven.contains(&origin.by);
            let Some(flow) = origin.flow else { continue };
            let is_readable =
                requester.is_some_and(|requester| self.truth.is_readable(requester, flow));
            assert!(is_own || is_readable, "{text} is shown to a stranger: {frame:?}");
            if shows_present_state {
                assert!(self.truth.is_current(flow, &text), "{text} is not current: {frame:?}");
            }
        }
    }

    /// Checks that no frame has a password, or the address of a user whose contact data the reader
    /// may not see.
    fn check_secrets(&self, frame: &Frame, reader: Option<Requester>) {
        let holds = |text: &str| {
            frame.payload().windows(text.len()).any(|window| window == text.as_bytes())
        };
        assert!(!holds(PASSWORD), "a password is sent: {frame:?}");
        for user in &self.users {
            let is_shown =
                || reader.is_some_and(|reader| self.truth.shows_contact(reader, user.id));
            assert!(!holds(&user.email()) || is_shown(), "a stranger's address is sent: {frame:?}");
        }
    }

    // Events

    /// Takes what was published, and queues it for the connections that receive it. Returns the
    /// number of changes to flows.
    fn publish(&mut self) -> usize {
        let mut changes = 0;
        while let Some(Some(Signal::Events(events))) = self.receiver.next().now_or_never() {
            for event in events {
                changes += usize::from(event.flow().is_some() && event.committed_at.is_some());
                self.queue(&event);
            }
        }
        changes
    }

    fn queue(&mut self, event: &Arc<Event>) {
        let flow = event.flow();
        let members =
            |truth: &Truth| flow.and_then(|flow| truth.flow(flow)).map(|flow| flow.members.clone());
        let mut receivers = members(&self.truth).unwrap_or_default();
        self.truth.apply(event);
        self.engine.observe(event);
        receivers.extend(members(&self.truth).unwrap_or_default());
        let mut summary: Option<Option<Arc<FlowSummary>>> = None;
        for connection in &mut self.connections {
            let owner = connection.identity.owner();
            let receives = match (&event.kind, connection.receives) {
                (EventKind::SessionsEnded { user, .. }, _) => owner == Some(*user),
                (_, Subscription::None) => false,
                (_, Subscription::Flow(subscribed)) => Some(subscribed) == flow,
                (_, Subscription::AllFlows) => owner.is_some_and(|user| receivers.contains(&user)),
            };
            if !receives {
                continue;
            }
            let needs_summary = connection.subject.dialect.manifest().needs_flow_summaries;
            let summary = summary.get_or_insert_with(|| {
                let read = |flow| ready(self.engine.flow_summary(flow)).ok().flatten();
                flow.and_then(read).map(Arc::new)
            });
            let summary = summary.clone().filter(|_| needs_summary);
            connection.queue.push_back(Queued { event: event.clone(), summary });
        }
        let ended = |connection: &Connection| match &event.kind {
            EventKind::FlowDeleted { .. } => true,
            EventKind::MembersRemoved { users, .. } => {
                connection.identity.owner().is_some_and(|user| users.contains(&user))
            }
            _ => false,
        };
        for connection in &mut self.connections {
            if matches!(connection.receives, Subscription::Flow(it) if Some(it) == flow)
                && ended(connection)
            {
                connection.receives = Subscription::None;
            }
        }
    }

    /// Subscribes a connection to what its session wants, as far as its user may receive it.
    fn subscribe(&mut self, index: usize, authority: Authority) {
        let connection = &mut self.connections[index];
        let current = connection.identity.current;
        let wanted = match current {
            Some(_) => connection.server.subscription(),
            None => Subscription::None,
        };
        if wanted == connection.subscription {
            return;
        }
        connection.subscription = wanted;
        connection.receives = match (current, wanted) {
            (Some(principal), Subscription::Flow(flow)) => {
                let user = principal.identity.user;
                match ready(self.engine.readable_flow(user, authority, flow)) {
                    Ok(Some(_)) => wanted,
                    _ => Subscription::None,
                }
            }
            _ => wanted,
        };
        if let (Subscription::Flow(flow), Some(principal)) = (connection.receives, current) {
            let requester = Requester { user: principal.identity.user, authority };
            assert!(self.truth.is_readable(requester, flow), "a stranger subscribes to {flow}");
        }
    }

    fn summary_for(&self, index: usize) -> Option<FlowSummary> {
        let connection = &self.connections[index];
        match connection.subscription {
            Subscription::Flow(flow)
                if connection.subject.dialect.manifest().needs_flow_summaries =>
            {
                ready(self.engine.flow_summary(flow)).ok().flatten()
            }
            _ => None,
        }
    }

    /// Delivers as many of the events that wait for a connection.
    fn deliver(&mut self, index: usize, events: usize) {
        for _ in 0..events {
            let connection = &mut self.connections[index];
            if connection.closed {
                return;
            }
            let Some(Queued { event, summary }) = connection.queue.pop_front() else { return };
            let frames = self.frames_of(index, &event, summary.as_deref());
            let reader = self.connections[index].identity.owner();
            let reader = reader.map(|user| Requester { user, authority: Authority::Member });
            for frame in &frames {
                self.check_secrets(frame, reader);
                for (text, origin) in self.texts.found_in(frame.payload()) {
                    assert_eq!(origin.flow, event.flow(), "{text} is of another flow: {frame:?}");
                }
            }
            let now = self.now();
            for frame in &frames {
                let connection = &mut self.connections[index];
                let read = connection.read_by_client(now, frame, &mut self.answered);
                check_read(&event, &read);
                *self.tally.read.entry(connection.subject.id()).or_default() += read.len();
            }
        }
    }

    /// The frames of an event for a connection.
    fn frames_of(
        &mut self,
        index: usize,
        event: &Arc<Event>,
        summary: Option<&FlowSummary>,
    ) -> Vec<Frame> {
        let connection = &mut self.connections[index];
        if let EventKind::SessionsEnded { user, session } = event.kind {
            if !connection.identity.end_sessions(user, session) {
                return Vec::new();
            }
            connection.announce();
            if connection.identity.current.is_none() {
                connection.subscription = Subscription::None;
                connection.receives = Subscription::None;
            }
        } else if !connection.subscription.covers(event) {
            return Vec::new();
        }
        connection.note_delivery(event);
        let context = RenderContext::with_flow(summary);
        match connection.server.deliver(event, &context) {
            Delivery::Skip => Vec::new(),
            Delivery::Private(frames) => frames,
            Delivery::Shared(variant) => {
                let dialect = &connection.subject.dialect;
                dialect.render(event, &context, variant).into_iter().collect()
            }
            Delivery::Close(close) => {
                checks::close(&close);
                connection.closed = true;
                Vec::new()
            }
        }
    }
}

fn login(user: &User, password: String) -> Command {
    Command::Login {
        identifier: user.login.into(),
        password: Secret::new(password),
        grant: GrantKind::Token,
    }
}
