//! The one way in: a request is permitted and carried out.

use crate::ports::{
    Blobs, Bus, Checkpoint, Clock, Entropy, Mailer, PasswordError, Passwords, Signer, Store,
    StoreError, TokenHash,
};
use crate::throttle::Waiting;
use crate::{Policy, Principal};
use moka::sync::Cache;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{
    Answer, Authority, Command, Event, EventKind, Fault, FlowId, Identity, Message, Origin,
    SessionId, Timestamp, User, UserId, Version,
};

/// Everything the engine needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Users, sessions, flows, messages.
    pub store: Arc<dyn Store>,
    /// Events between nodes.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Mail.
    pub mailer: Arc<dyn Mailer>,
    /// Photos.
    pub blobs: Arc<dyn Blobs>,
    /// Password hashes.
    pub passwords: Arc<dyn Passwords>,
    /// Access tokens.
    pub signer: Arc<dyn Signer>,
}

/// One request of a caller who has been authenticated.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks: what [`Engine::authenticate`] came to.
    pub caller: Option<Principal>,
    /// In which right it asks.
    pub authority: Authority,
    /// What the events of it carry along.
    pub origin: Option<Origin>,
    /// Where the caller is; `None` where that is not known, as for a command of the operator's.
    pub address: Option<IpAddr>,
    /// What is asked.
    pub command: Command,
}

/// Work to do after the answer has gone, so that its duration tells the caller nothing.
pub type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What came of a [`Request`].
pub struct Handled {
    /// Who the caller is now: who asked, or who logged in; nobody after a logout that was granted.
    pub principal: Option<Principal>,
    /// The answer, or why not.
    pub outcome: Result<Answer, Fault>,
    /// See [`Afterwards`].
    pub afterwards: Option<Afterwards>,
}

/// A [`Request`] that has its place in the order of all others.
pub enum Submitted {
    /// It was carried out.
    Done(Handled),
    /// A message that is being committed. What is submitted later is not done before it.
    Sending(Pin<Box<dyn Future<Output = Handled> + Send>>),
}

impl Submitted {
    /// Waits until it is carried out.
    pub async fn handled(self) -> Handled {
        match self {
            Self::Done(handled) => handled,
            Self::Sending(sending) => sending.await,
        }
    }
}

/// The use cases. One shared value.
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) policy: Policy,
    /// Short-lived, so that what another process changes is noticed soon; what this one changes is
    /// dropped at once.
    people: Cache<UserId, Arc<User>>,
    pub(crate) sessions: Cache<SessionId, crate::ports::Session>,
    pub(crate) tokens: Cache<TokenHash, SessionId>,
    pub(crate) recently_mailed: Cache<UserId, ()>,
    pub(crate) held_back: Waiting,
}

/// For how long a user or a session is believed without asking the store.
const BELIEVED: Duration = Duration::from_secs(2);
const CACHED: u64 = 100_000;
/// At most one recovery mail a minute goes to an account.
const MAIL_INTERVAL: Duration = Duration::from_secs(60);

impl Engine {
    /// An engine on these ports.
    pub fn new(ports: Ports, policy: Policy) -> Self {
        Self {
            ports,
            policy,
            people: Cache::builder().max_capacity(CACHED).time_to_live(BELIEVED).build(),
            sessions: Cache::builder().max_capacity(CACHED).time_to_live(BELIEVED).build(),
            // Which session a token belongs to never changes; but then its session is not known
            // either, and is read by the token.
            tokens: Cache::builder().max_capacity(CACHED).time_to_live(BELIEVED).build(),
            recently_mailed: Cache::builder()
                .max_capacity(CACHED)
                .time_to_live(MAIL_INTERVAL)
                .build(),
            held_back: Waiting::default(),
        }
    }

    /// Gives back the memory of what is no longer believed. To be called now and then.
    pub fn tidy(&self) {
        self.people.run_pending_tasks();
        self.sessions.run_pending_tasks();
        self.tokens.run_pending_tasks();
        self.recently_mailed.run_pending_tasks();
    }

    /// The time, by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Fills a buffer with randomness.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.ports.entropy.fill(buffer);
    }

    /// Permits and carries out a request.
    pub async fn execute(&self, request: Request) -> Handled {
        self.submit(request).await.handled().await
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Handled {
        let mut afterwards = None;
        let caller = request.caller;
        let (principal, outcome) = match self.carry_out(request, now, &mut afterwards).await {
            Ok((principal, answer)) => (principal, Ok(answer)),
            Err(fault) => (caller, Err(fault)),
        };
        Handled { principal, outcome, afterwards }
    }

    /// Permits a request, and carries it out but for waiting until a message is committed: so one
    /// caller may send the next one meanwhile.
    pub async fn submit(&self, request: Request) -> Submitted {
        let now = self.now();
        let Request { caller: principal, authority, origin, command: Command::Send(draft), .. } =
            request
        else {
            return Submitted::Done(self.handle(request, now).await);
        };
        let sending = async {
            let caller = self
                .caller(
                    principal.ok_or(Fault::Unauthenticated)?.identity.user,
                    authority,
                    origin,
                    now,
                )
                .await?;
            self.send(&caller, *draft).await
        };
        match sending.await {
            Ok(sending) => Submitted::Sending(Box::pin(async move {
                Handled { principal, outcome: sending.await, afterwards: None }
            })),
            Err(fault) => {
                Submitted::Done(Handled { principal, outcome: Err(fault), afterwards: None })
            }
        }
    }

    /// Whether a user may hear the events of a flow.
    pub async fn may_subscribe(
        &self,
        identity: Identity,
        authority: Authority,
        flow: FlowId,
    ) -> Result<bool, Fault> {
        match authority {
            Authority::Member => {
                self.ports.store.is_member(flow, identity.user).await.map_err(refuse)
            }
            Authority::Administrator => {
                Ok(self.person(identity.user).await?.is_some_and(|user| user.admin))
            }
        }
    }

    /// The flows that a user is in, and where each of them stands.
    pub async fn positions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, Fault> {
        self.ports.store.positions(user).await.map_err(refuse)
    }

    /// Where a flow stands, if there is one.
    pub async fn position(&self, flow: FlowId) -> Result<Option<Version>, Fault> {
        Ok(self.ports.store.flow(flow).await.map_err(refuse)?.map(|flow| flow.version))
    }

    /// See [`Store::moment`].
    pub async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.ports.store.last_commit_time().await
    }

    /// See [`Store::checkpoint`].
    pub async fn changes_after(
        &self,
        after: Timestamp,
        limit: u32,
    ) -> Result<Checkpoint, StoreError> {
        self.ports.store.changes_after(after, limit).await
    }

    /// See [`Store::since`].
    pub async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.ports.store.messages_after(flow, after, limit).await
    }

    /// Drops what is remembered of those whom an event concerns, so that it is true here at once.
    pub fn heard(&self, event: &Event) {
        if let EventKind::SessionsEnded { user, session } = &event.kind {
            self.people.invalidate(user);
            match session {
                Some(session) => self.sessions.invalidate(session),
                // Which sessions they have is not known here, and this is rare.
                None => self.sessions.invalidate_all(),
            }
        }
    }

    /// Whether requests can be served: the store answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.ports.store.ping().await
    }

    async fn carry_out(
        &self,
        request: Request,
        now: Timestamp,
        afterwards: &mut Option<Afterwards>,
    ) -> Result<(Option<Principal>, Answer), Fault> {
        let Request { caller, authority, origin, address, command } = request;
        // What anybody may do.
        let command = match command {
            Command::Register(registration) => {
                return self.register(*registration, now).await.map(granted);
            }
            Command::Login { identifier, password, grant } => {
                return self.log_in(&identifier, &password, grant, address).await.map(granted);
            }
            Command::Refresh { token } => return self.refresh(&token, now).await.map(granted),
            Command::Recover { identifier } => {
                *afterwards = Some(self.recover(identifier, now));
                return Ok((caller, Answer::RecoveryAccepted));
            }
            Command::ResetPassword { token, password } => {
                return Ok((caller, self.reset_password(&token, &password, now).await?));
            }
            Command::DeleteAccount { user, login, password } => {
                let caller = caller.map(|caller| caller.identity.user);
                let deleted = self.delete_account(caller, user, &login, &password, address);
                return Ok((None, deleted.await?));
            }
            other => other,
        };
        let caller = caller.ok_or(Fault::Unauthenticated)?;
        let answer = match command {
            Command::Logout { login } => {
                return Ok((None, self.log_out(&caller, login.as_deref(), now).await?));
            }
            Command::CreateProfile(profile) => {
                self.create_profile(caller.identity.user, *profile, now).await?
            }
            command => self.as_user(caller.identity.user, authority, origin, command, now).await?,
        };
        Ok((Some(caller), answer))
    }

    /// What needs an account with a profile.
    async fn as_user(
        &self,
        caller: UserId,
        authority: Authority,
        origin: Option<Origin>,
        command: Command,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        let caller = self.caller(caller, authority, origin, now).await?;
        match command {
            Command::GetUser { user } => self.get_user(&caller, user).await,
            Command::SearchUsers { query, limit } => self.search_users(&query, limit).await,
            Command::GetPhoto { of } => self.get_photo(&caller, of).await,
            Command::OpenChat { with } => self.open_chat(&caller, with).await,
            Command::CreateFlow(flow) => self.create_flow(&caller, *flow).await,
            Command::DeleteFlow { flow, kinds } => self.delete_flow(&caller, flow, kinds).await,
            Command::GetFlow { flow, kinds, members } => {
                self.get_flow(&caller, flow, kinds, members).await
            }
            Command::AddMembers { flow, users } => self.add_members(&caller, flow, users).await,
            Command::RemoveMembers { flow, users } => {
                self.remove_members(&caller, flow, users).await
            }
            Command::ListFlows { limit, offset, members } => {
                self.list_flows(&caller, limit, offset, members).await
            }
            Command::Edit { message, flow, text } => self.edit(&caller, message, flow, text).await,
            Command::Delete { messages, flow } => self.delete(&caller, messages, flow).await,
            Command::History { flow, kinds, range, mark_read } => {
                self.history(&caller, flow, kinds, range, mark_read).await
            }
            Command::GetChanges { since, flow, limit } => {
                self.get_changes(&caller, since, flow, limit).await
            }
            Command::ShowTyping { flow, active } => self.show_typing(&caller, flow, active).await,
            Command::Register(_)
            | Command::Login { .. }
            | Command::Refresh { .. }
            | Command::Logout { .. }
            | Command::Recover { .. }
            | Command::ResetPassword { .. }
            | Command::DeleteAccount { .. }
            | Command::CreateProfile(_)
            | Command::Send(_) => {
                tracing::error!(
                    command = command.name(),
                    "this command was to be carried out before"
                );
                Err(Fault::Internal)
            }
        }
    }

    /// Somebody with a profile, who has the right that they ask in.
    async fn caller(
        &self,
        user: UserId,
        authority: Authority,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Caller, Fault> {
        let user = self.person(user).await?.filter(|user| user.profile).ok_or(Fault::NoProfile)?;
        let administrator = authority == Authority::Administrator;
        if administrator && !user.admin {
            return Err(Fault::NotAdministrator);
        }
        Ok(Caller { user, administrator, origin, now })
    }

    /// A user, at most two seconds old.
    pub(crate) async fn person(&self, id: UserId) -> Result<Option<Arc<User>>, Fault> {
        if let Some(user) = self.people.get(&id) {
            return Ok(Some(user));
        }
        let user = self.ports.store.user(id).await.map_err(refuse)?.map(Arc::new);
        // Somebody without a profile is about to make one, perhaps through another node, and looks
        // at it next.
        if let Some(user) = user.as_ref().filter(|user| user.profile) {
            self.people.insert(id, user.clone());
        }
        Ok(user)
    }

    /// Drops what is remembered of a user after a change.
    pub(crate) fn forget(&self, user: UserId) {
        self.people.invalidate(&user);
    }
}

/// The last change to a message as an event, for somebody who did not hear of it; `known` says
/// whether they heard that the message was posted. `None` if there is nothing to tell.
pub fn event_from_message(message: Message, known: bool) -> Option<Event> {
    let moment = Some(message.changed_at);
    let (at, kind) = match (message.deleted_at, known) {
        // Who never heard of it need not hear that it is gone.
        (Some(_), false) => return None,
        (Some(at), true) => {
            // Who deleted it is not kept; its author may always.
            (
                at,
                EventKind::Deleted {
                    flow: message.flow,
                    by: message.author.id,
                    messages: vec![(message.id, message.version)],
                },
            )
        }
        (None, false) => (message.posted_at, EventKind::Posted(message)),
        (None, true) => {
            (message.edited_at.unwrap_or(message.posted_at), EventKind::Edited(message))
        }
    };
    Some(Event { occurred_at: at, committed_at: moment, origin: None, kind })
}

/// Who asks, and in which right.
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    pub(crate) administrator: bool,
    pub(crate) origin: Option<Origin>,
    pub(crate) now: Timestamp,
}

fn granted((answer, principal): (Answer, Option<Principal>)) -> (Option<Principal>, Answer) {
    (principal, answer)
}

/// A store's error as the caller sees it; the cause goes to the log.
pub(crate) fn refuse(error: StoreError) -> Fault {
    match error {
        StoreError::Refused(fault) => fault,
        StoreError::Unavailable(cause) => {
            tracing::warn!(%cause, "the store is unavailable");
            Fault::Unavailable
        }
        StoreError::Failed(cause) => {
            tracing::error!(%cause, "the store failed");
            Fault::Internal
        }
    }
}

/// A hasher's error as the caller sees it; the cause goes to the log.
pub(crate) fn refuse_password(error: PasswordError) -> Fault {
    match error {
        PasswordError::Busy => Fault::TooMany { retry_after: Duration::from_secs(1) },
        PasswordError::Failed(cause) => {
            tracing::error!(%cause, "a password could not be checked");
            Fault::Internal
        }
    }
}
