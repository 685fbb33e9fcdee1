//! A bridge: another server in the place of the engine.

use crate::caches::of_latest;
use crate::link::{Job, Link};
use crate::metrics;
use crate::mirror::Mirror;
use crate::options::BridgeOptions;
use crate::session::Session;
use crate::sessions::TokenKind;
use crate::shared::Shared;
use crate::wire::Wire;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use moka::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{Command, Credentials, Fault, Secret, SessionId};
use tolmach_engine::Principal;
use tolmach_engine::ports::Entropy;
use tolmach_server::{MirrorSlot, Upstream, UpstreamClient, UpstreamConnection, UpstreamOutcome};

/// The time for which a connection's token or login is not looked up again. The tables of logins
/// note each look as a use, which costs more than the rest of a proof.
const PROOF_AGE: Duration = Duration::from_secs(10);

/// A server of one dialect that clients of other dialects talk to.
///
/// Each connection of a client has a connection of its own to the upstream; HTTP requests of one
/// login share one. What the upstream's wire does not carry is kept here, in memory: who is logged
/// in, with the password to log in again; the tokens of clients; read marks.
pub struct Bridge {
    shared: Arc<Shared>,
    /// The links of HTTP requests, by login.
    pool: Cache<SessionId, Link>,
    mirror: Arc<Mirror>,
}

impl Bridge {
    /// A bridge to a server, whose name is for metrics and logs. A request goes over the first wire
    /// that has one for it: a server may log users in over another dialect than it serves their
    /// messages in.
    pub fn new(
        name: &str,
        wires: Vec<Wire>,
        options: BridgeOptions,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        metrics::describe();
        let pool = of_latest(options.max_idle_connections).time_to_idle(options.idle_timeout);
        let pool: Cache<SessionId, Link> = pool.build();
        let shared = Arc::new(Shared::new(wires, options.clone(), entropy));
        let of_mirror = (shared.clone(), pool.clone());
        let mirror = Mirror::new(name, &options, move |dialect| {
            let (shared, pool) = &of_mirror;
            let connection = shared.new_connection();
            let client = UpstreamClient { connection, dialect, events: None };
            Box::new(BridgedConnection::new(shared, pool, client))
        });
        Self { pool, mirror: Arc::new(mirror), shared }
    }
}

impl Upstream for Bridge {
    fn open(&self, client: UpstreamClient) -> Box<dyn UpstreamConnection> {
        // Links of logins that are idle end here: the cache itself forgets them only when used.
        self.pool.run_pending_tasks();
        Box::new(BridgedConnection::new(&self.shared, &self.pool, client))
    }

    fn last_error(&self) -> Option<String> {
        self.shared.last_error().map(str::to_owned)
    }

    fn has_token(&self, token: &Secret) -> bool {
        self.shared.sessions.by_token(token).is_some()
    }

    fn login(&self, session: SessionId) -> Option<String> {
        let session = self.shared.sessions.by_id(session)?;
        let account = session.account();
        let login = account.login.clone().unwrap_or_else(|| account.user.login.clone());
        (!login.is_empty()).then_some(login)
    }

    fn begin_mirror(&self, command: &Command) -> Option<Box<dyn MirrorSlot>> {
        self.mirror.begin(command)
    }

    fn end_mirror(&self) {
        self.mirror.drop_waiting();
    }
}

/// The side of one client towards the upstream.
struct BridgedConnection {
    shared: Arc<Shared>,
    pool: Cache<SessionId, Link>,
    client: UpstreamClient,
    /// The link of a client with a connection of its own.
    link: Option<Link>,
    /// The login that was used last: it must not be forgotten while its connection is open.
    session: Option<Arc<Session>>,
    /// The token that has proven it last, and the time at which the tables were asked for it.
    proof: Option<(Secret, Instant)>,
    /// The time at which the tables were asked for the login by its number.
    looked_up_at: Option<Instant>,
}

impl BridgedConnection {
    fn new(shared: &Arc<Shared>, pool: &Cache<SessionId, Link>, client: UpstreamClient) -> Self {
        let (shared, pool) = (shared.clone(), pool.clone());
        Self { shared, pool, client, link: None, session: None, proof: None, looked_up_at: None }
    }

    /// The token that has proven the login a short time ago.
    fn recent_proof(&self) -> Option<&Secret> {
        self.proof.as_ref().filter(|(_, at)| at.elapsed() < PROOF_AGE).map(|(token, _)| token)
    }

    /// The login of a token that has proven it a short time ago, and still does.
    fn proven_before(&self, token: &Secret) -> Option<Arc<Session>> {
        let is_same = self.recent_proof()? == token;
        let session = self.session.as_ref()?;
        (is_same && !session.is_ended() && session.account().handed_out.contains(token))
            .then(|| session.clone())
    }

    /// The login of a client's token.
    fn proven(&mut self, token: &Secret) -> Option<Arc<Session>> {
        if let Some(session) = self.proven_before(token) {
            return Some(session);
        }
        let (kind, session) = self.shared.sessions.by_token(token)?;
        if kind != TokenKind::Access {
            return None;
        }
        (self.session, self.proof) = (Some(session.clone()), Some((token.clone(), Instant::now())));
        Some(session)
    }

    fn link(&mut self, session: Option<&Session>) -> Link {
        let start = || {
            let client = (self.client.connection, self.client.dialect);
            Link::start(self.shared.clone(), client, self.client.events.clone())
        };
        match (&self.client.events, session) {
            (Some(_), _) => self.link.get_or_insert_with(start).clone(),
            (None, Some(session)) => self.pool.get_with(session.id, start),
            (None, None) => start(),
        }
    }

    fn session(&mut self, id: SessionId) -> Option<Arc<Session>> {
        let is_recent = self.session.as_ref().is_some_and(|session| session.id == id)
            && (self.recent_proof().is_some()
                || self.looked_up_at.is_some_and(|at| at.elapsed() < PROOF_AGE));
        // Used, so that it is not the next to be forgotten.
        if !is_recent && let Some(session) = self.shared.sessions.by_id(id) {
            (self.session, self.looked_up_at) = (Some(session), Some(Instant::now()));
        }
        let session = self.session.as_ref();
        session.filter(|session| session.id == id && !session.is_ended()).cloned()
    }
}

impl UpstreamConnection for BridgedConnection {
    fn authenticate(
        &mut self,
        credentials: Credentials,
    ) -> BoxFuture<'static, Result<Principal, Fault>> {
        let (user, token) = match &credentials {
            Credentials::TokenOf(user, token) => (Some(*user), token),
            Credentials::Token(token) | Credentials::Bearer(token) => (None, token),
            Credentials::Nothing | Credentials::Connection => {
                return ready(Err(Fault::Unauthenticated)).boxed();
            }
        };
        if let Some(session) = self.proven(token) {
            let principal = session.principal();
            let is_theirs = user.is_none_or(|user| session.is_of(user));
            let proven = if is_theirs { Ok(principal) } else { Err(Fault::Unauthenticated) };
            return ready(proven).boxed();
        }
        let (reply, proven) = oneshot::channel();
        self.link(None).give(Job::Prove { credentials, reply });
        async move {
            let session = proven.await.unwrap_or(Err(Fault::Unavailable))?;
            Ok(session.principal())
        }
        .boxed()
    }

    fn submit(
        &mut self,
        caller: Option<Principal>,
        request: Request,
    ) -> BoxFuture<'static, UpstreamOutcome> {
        let id = caller.and_then(|principal| principal.identity.session);
        let session = id.and_then(|id| self.session(id));
        if caller.is_some() && session.is_none() {
            let outcome = Err(Fault::Unauthenticated);
            return ready(UpstreamOutcome { principal: None, outcome }).boxed();
        }
        let (reply, answered) = oneshot::channel();
        let link = self.link(session.as_deref());
        link.give(Job::Request { session, request: Box::new(request), reply });
        async move {
            let unavailable =
                UpstreamOutcome { principal: caller, outcome: Err(Fault::Unavailable) };
            let outcome = answered.await.unwrap_or(unavailable);
            // The link of an HTTP request lives until its answer.
            drop(link);
            outcome
        }
        .boxed()
    }

    fn subscribe(&mut self, caller: Option<SessionId>, subscription: Subscription) {
        if self.client.events.is_none() {
            return;
        }
        let session = caller.and_then(|id| self.session(id));
        self.link(None).give(Job::Subscribe { session, subscription });
    }
}
