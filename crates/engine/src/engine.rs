//! The engine: its ports, policy and caches.

use crate::delayed_logins::DelayedLogins;
use crate::external_ids::{ExternalIds, Namespaces};
use crate::faults::store_fault;
use crate::openings::Openings;
use crate::policy::Policy;
use crate::ports::{
    Blobs, Bus, ChangesPage, Clock, Entropy, Mailer, Passwords, Session, Signer, Store, StoreError,
    TokenHash,
};
use crate::readable_flow::ReadableFlow;
use crate::recoveries::Recoveries;
use moka::sync::Cache;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{
    Authority, Event, EventKind, Fault, FlowId, FlowSummary, IdNamespace, Message, ObjectId,
    SessionId, Timestamp, User, UserId, Version,
};

/// The implementations that the engine runs on.
#[derive(Clone)]
pub struct Ports {
    /// Users, sessions, flows, messages.
    pub store: Arc<dyn Store>,
    /// Events between nodes.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// E-mail.
    pub mailer: Arc<dyn Mailer>,
    /// Photos.
    pub blobs: Arc<dyn Blobs>,
    /// Password hashes.
    pub passwords: Arc<dyn Passwords>,
    /// Access tokens.
    pub signer: Arc<dyn Signer>,
}

/// The use cases. One value is shared by all connections.
///
/// Caches of users and sessions are short-lived, so that a change by another process is noticed
/// soon; a change by this process invalidates them at once.
pub struct Engine {
    pub(crate) ports: Ports,
    pub(crate) policy: Policy,
    users: Cache<UserId, Arc<User>>,
    pub(crate) sessions: Cache<SessionId, Session>,
    /// The sessions of tokens. Never invalidated: a token's session does not change, and its record
    /// is in `sessions` or read with the token.
    pub(crate) tokens: Cache<TokenHash, SessionId>,
    pub(crate) delayed_logins: DelayedLogins,
    pub(crate) recoveries: Arc<Recoveries>,
    pub(crate) openings: Openings,
    namespaces: Namespaces,
}

/// Lifetime of a cached user or session.
const CACHE_LIFETIME: Duration = Duration::from_secs(2);

/// Entries of each cache.
const CACHE_CAPACITY: u64 = 100_000;

impl Engine {
    /// An engine on these ports.
    pub fn new(ports: Ports, policy: Policy) -> Self {
        Self {
            ports,
            policy,
            users: cache(CACHE_LIFETIME),
            sessions: cache(CACHE_LIFETIME),
            tokens: cache(CACHE_LIFETIME),
            delayed_logins: DelayedLogins::default(),
            recoveries: Arc::default(),
            openings: Openings::new(),
            namespaces: Namespaces::default(),
        }
    }

    /// Frees the memory of expired cache entries. Call it at intervals.
    pub fn tidy(&self) {
        self.users.run_pending_tasks();
        self.sessions.run_pending_tasks();
        self.tokens.run_pending_tasks();
        self.openings.tidy();
    }

    /// The time, by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Fills a buffer with random bytes.
    pub fn fill_random(&self, buffer: &mut [u8]) {
        self.ports.entropy.fill(buffer);
    }

    /// Succeeds if the store answers, so that requests can be served.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.ports.store.ping().await
    }

    /// The external ids of a namespace, with a cache that all callers share.
    pub fn external_ids(&self, namespace: IdNamespace) -> Arc<ExternalIds> {
        self.namespaces.get(namespace, &self.ports.store, &self.ports.clock)
    }

    /// Reads the external ids of these objects in the namespaces that are in use, so that they are
    /// cached when an event is rendered. Those that cannot be read are not.
    pub async fn load_external_ids(&self, objects: impl FnOnce() -> BTreeSet<ObjectId>) {
        let namespaces = self.namespaces.all();
        if namespaces.is_empty() {
            return;
        }
        let objects = objects();
        for namespace in namespaces {
            if let Err(fault) = namespace.on_wire(&objects).await {
                let namespace = namespace.namespace();
                tracing::warn!(%namespace, %fault, "external ids of an event cannot be read");
            }
        }
    }

    /// A flow that a user may read, see `Engine::may_read`, and so may receive the events of.
    /// `None` if they may not, or there is no such flow.
    pub async fn readable_flow(
        &self,
        user: UserId,
        authority: Authority,
        flow: FlowId,
    ) -> Result<Option<ReadableFlow>, Fault> {
        let flow = match authority {
            // One statement for both questions.
            Authority::Member => {
                let found = self.ports.store.flow_and_membership(flow, user).await;
                let found = found.map_err(store_fault)?;
                found.and_then(|(flow, read)| read.map(|_| flow))
            }
            Authority::Administrator if self.may_read(user, authority, flow).await? => {
                self.ports.store.flow(flow).await.map_err(store_fault)?
            }
            Authority::Administrator => None,
        };
        Ok(flow.map(|flow| ReadableFlow { flow, user, authority }))
    }

    /// The flows that a user is a member of, with their versions.
    pub async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, Fault> {
        self.ports.store.flow_versions(user).await.map_err(store_fault)
    }

    /// The version of a flow, if it exists.
    pub async fn flow_version(&self, flow: FlowId) -> Result<Option<Version>, Fault> {
        Ok(self.ports.store.flow(flow).await.map_err(store_fault)?.map(|flow| flow.version))
    }

    /// A flow with its members, ordered by id and as many as an answer has room for, for no viewer
    /// in particular: its [`FlowSummary::read`] is 0, and its members have no contact data.
    pub async fn flow_summary(&self, flow: FlowId) -> Result<Option<FlowSummary>, Fault> {
        let max_bytes = self.policy.max_answer_bytes;
        let summary = self.ports.store.flow_summary(flow, None, true, max_bytes).await;
        Ok(summary.map_err(store_fault)?.map(|mut summary| {
            summary.remove_contacts();
            summary
        }))
    }

    /// See [`EventLog::last_commit_time`](crate::ports::EventLog::last_commit_time).
    pub async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.ports.store.last_commit_time().await
    }

    /// See [`EventLog::changes_after`](crate::ports::EventLog::changes_after).
    pub async fn changes_after(
        &self,
        after: Timestamp,
        flows: Option<&[FlowId]>,
        limit: u32,
    ) -> Result<ChangesPage, StoreError> {
        self.ports.store.changes_after(after, flows, limit).await
    }

    /// See [`MessageStore::messages_after`](crate::ports::MessageStore::messages_after).
    pub async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.ports.store.messages_after(flow, after, limit).await
    }

    /// Invalidates the cache entries that an event of the bus makes stale.
    pub fn observe(&self, event: &Event) {
        if let EventKind::SessionsEnded { user, session } = &event.kind {
            self.users.invalidate(user);
            match session {
                Some(session) => self.sessions.invalidate(session),
                // The cache is not indexed by user, and this is rare.
                None => self.sessions.invalidate_all(),
            }
        }
    }

    /// True if a user may read a flow with the authority that they claim: as
    /// [`Authority::Member`] the flows that they are a member of, as [`Authority::Administrator`]
    /// every flow if they have that right and none if they do not. An administrator who does not
    /// claim the right is treated as any other user. An absent flow may be read by administrators:
    /// the caller checks that the flow exists.
    pub(crate) async fn may_read(
        &self,
        user: UserId,
        authority: Authority,
        flow: FlowId,
    ) -> Result<bool, Fault> {
        match authority {
            Authority::Member => self.ports.store.is_member(flow, user).await.map_err(store_fault),
            Authority::Administrator => {
                Ok(self.cached_user(user).await?.is_some_and(|user| user.admin))
            }
        }
    }

    /// The login of a user; `None` if there is no such user.
    pub async fn login(&self, user: UserId) -> Result<Option<String>, Fault> {
        Ok(self.cached_user(user).await?.map(|user| user.login.clone()))
    }

    /// A user, at most [`CACHE_LIFETIME`] old.
    pub(crate) async fn cached_user(&self, id: UserId) -> Result<Option<Arc<User>>, Fault> {
        if let Some(user) = self.users.get(&id) {
            return Ok(Some(user));
        }
        let user = self.ports.store.user(id).await.map_err(store_fault)?.map(Arc::new);
        if let Some(user) = &user {
            self.keep_user(user);
        }
        Ok(user)
    }

    /// Keeps a user that was read just now.
    pub(crate) fn keep_user(&self, user: &Arc<User>) {
        // A user without a profile is about to create one, perhaps through another node, and reads
        // it next.
        if user.profile {
            self.users.insert(user.id, user.clone());
        }
    }

    /// Invalidates what is cached of a user.
    pub(crate) fn invalidate_user(&self, user: UserId) {
        self.users.invalidate(&user);
        self.openings.forget();
    }
}

fn cache<K, V>(lifetime: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(lifetime).build()
}
