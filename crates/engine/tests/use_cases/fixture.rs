//! An engine on the ports in memory, and requests to it.

use std::net::IpAddr;
use std::sync::Arc;
use tolmach_domain::*;
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::Passwords;
use tolmach_engine::{Engine, LoginThrottlePolicy, Policy, Ports, Submission};

/// An engine, and those of its ports that tests look at.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mailer: Arc<MemoryMailer>,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) bus: Arc<MemoryBus>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        Self::build(Arc::new(PlainPasswords), policy)
    }

    pub(crate) fn with_passwords(
        passwords: Arc<dyn Passwords>,
        login_throttle: LoginThrottlePolicy,
    ) -> Self {
        Self::build(passwords, Policy { login_throttle, ..Policy::default() })
    }

    pub(crate) fn build(passwords: Arc<dyn Passwords>, policy: Policy) -> Self {
        let bus = Arc::new(MemoryBus::new());
        Self::on_store(Arc::new(MemoryStore::new(bus.clone())), bus, passwords, policy)
    }

    /// Another engine on the same store and bus.
    pub(crate) fn second_node(&self) -> Self {
        Self::on_store(
            self.store.clone(),
            self.bus.clone(),
            Arc::new(PlainPasswords),
            Policy::default(),
        )
    }

    pub(crate) fn on_store(
        store: Arc<MemoryStore>,
        bus: Arc<MemoryBus>,
        passwords: Arc<dyn Passwords>,
        policy: Policy,
    ) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_600_000_000_000_000)));
        let (mailer, blobs) = (Arc::new(MemoryMailer::new()), Arc::new(MemoryBlobs::new()));
        let ports = Ports {
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            mailer: mailer.clone(),
            blobs: blobs.clone(),
            passwords,
            signer: Arc::new(PlainSigner),
        };
        Self { engine: Engine::new(ports, policy), store, clock, mailer, blobs, bus }
    }

    /// Authenticates the credentials and carries out the command.
    pub(crate) async fn execute(
        &self,
        credentials: &Credentials,
        command: Command,
    ) -> Result<Answer, Fault> {
        self.execute_as(credentials, Authority::Member, command).await
    }

    pub(crate) async fn execute_as(
        &self,
        credentials: &Credentials,
        authority: Authority,
        command: Command,
    ) -> Result<Answer, Fault> {
        self.execute_from(None, credentials, authority, command).await
    }

    pub(crate) async fn execute_from(
        &self,
        address: Option<IpAddr>,
        credentials: &Credentials,
        authority: Authority,
        command: Command,
    ) -> Result<Answer, Fault> {
        let caller = self.engine.authenticate(credentials, None).await?;
        let handled = self
            .engine
            .execute(Submission { caller, authority, origin: None, address, command })
            .await;
        if let Some(deferred) = handled.deferred {
            deferred.await;
        }
        if let Some(mark) = handled.read_mark {
            self.engine.move_read_mark(mark).await;
        }
        handled.outcome
    }

    /// A new user with a complete profile, and their token.
    pub(crate) async fn user(&self, login: &str) -> (UserId, Credentials) {
        let answer = self
            .execute(&Credentials::Nothing, Command::Register(Box::new(registration(login))))
            .await
            .expect("a new user can register");
        let Answer::Granted(grant) = answer else { panic!("{answer:?}") };
        let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
        (grant.user.expect("the engine names the user").id, Credentials::Token(token))
    }

    pub(crate) async fn group(&self, owner: &Credentials, members: &[UserId]) -> FlowId {
        let flow = NewFlow {
            kind: FlowKind::Group,
            title: "Group".into(),
            info: String::new(),
            members: members.to_vec(),
            photo: None,
            key: None,
        };
        let answer = self
            .execute(owner, Command::CreateFlow(Box::new(flow)))
            .await
            .expect("a user can create a group");
        let Answer::FlowCreated { flow, .. } = answer else { panic!("{answer:?}") };
        flow
    }

    pub(crate) async fn send(
        &self,
        credentials: &Credentials,
        flow: FlowId,
        text: &str,
    ) -> Result<Message, Fault> {
        match self.execute(credentials, message(flow, text)).await? {
            Answer::Sent { message, .. } => Ok(*message.expect("the engine returns the message")),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn texts(&self, credentials: &Credentials, flow: FlowId) -> Vec<String> {
        match self
            .execute(
                credentials,
                Command::History {
                    flow,
                    kinds: FlowKindFilter::Any,
                    range: HistoryRange::All,
                    mark_read: false,
                },
            )
            .await
            .expect("a member can read")
        {
            Answer::History(page) => {
                page.messages.into_iter().map(|message| message.content.text).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn registration(login: &str) -> Registration {
    Registration {
        login: Some(login.into()),
        password: Secret::new(format!("{login}'s password")),
        username: Some(login.into()),
        email: Some(format!("{}@example.org", login.to_lowercase())),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Token,
    }
}

pub(crate) fn log_in(identifier: &str, password: &str, grant: GrantKind) -> Command {
    Command::Login { identifier: identifier.into(), password: Secret::new(password), grant }
}

pub(crate) fn message(flow: FlowId, text: &str) -> Command {
    Command::Send(Box::new(NewMessage {
        flow,
        kinds: FlowKindFilter::Any,
        content: Content::text(text),
        key: None,
    }))
}

pub(crate) fn profile(username: &str) -> Command {
    Command::CreateProfile(Box::new(Profile {
        username: username.into(),
        name: "A name".into(),
        bio: String::new(),
        photo: None,
    }))
}

pub(crate) fn pair(answer: Answer) -> (Credentials, Secret) {
    match answer {
        Answer::Granted(grant) => match grant.tokens {
            Tokens::Pair { access, refresh } => (Credentials::Bearer(access), refresh),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
