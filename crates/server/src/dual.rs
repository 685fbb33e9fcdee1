//! Dual running: a server with an engine of its own knows upstreams by name, and serving rules say
//! which of them serves a user, and which of them gets copies of a user's requests.
//!
//! Connections whose users are known are listed, so that a change of the rules finds those that
//! another server serves now.

use crate::hub::Subscriber;
use crate::metrics;
use crate::serving_rules::ServingRules;
use crate::sync::lock;
use crate::upstream::Upstream;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tolmach_dialect::Revision;
use tolmach_domain::{ConnectionId, Fault, Secret, UserId};
use tolmach_engine::{Engine, HERE, RoutedClient, RuleSet};

/// An upstream with its name.
pub(crate) struct NamedUpstream {
    pub(crate) name: String,
    pub(crate) upstream: Arc<dyn Upstream>,
}

/// The upstreams of a server beside its engine, and the connections whose users are known.
pub(crate) struct DualRunning {
    upstreams: BTreeMap<String, Arc<NamedUpstream>>,
    pub(crate) rules: Arc<ServingRules>,
    pub(crate) engine: Arc<Engine>,
    connections: Mutex<HashMap<ConnectionId, Listed>>,
}

/// A connection whose user is known.
pub(crate) struct Listed {
    pub(crate) subscriber: Weak<Subscriber>,
    pub(crate) dialect: &'static str,
    pub(crate) revision: Revision,
    /// The login of its user, in lower case.
    pub(crate) login: Arc<str>,
    /// The upstream that serves it.
    pub(crate) upstream: Option<Arc<NamedUpstream>>,
    /// True once another server serves its user.
    pub(crate) has_moved: Arc<AtomicBool>,
}

impl Listed {
    /// The server of its user, if that is another one now.
    fn other_server<'r>(&self, rules: &'r RuleSet) -> Option<Option<&'r str>> {
        let Self { dialect, revision, login, .. } = self;
        let client = RoutedClient { dialect, revision, login };
        let server = rules.upstream_of(&client);
        let present = self.upstream.as_ref().map(|named| named.name.as_str());
        (server != present).then_some(server)
    }

    /// Asks the connection to end after the requests that it has begun.
    fn leave(&self, server: Option<&str>) {
        if self.has_moved.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(subscriber) = self.subscriber.upgrade() {
            metrics::route_move(server.unwrap_or(HERE));
            subscriber.queue.go_away();
        }
    }
}

impl DualRunning {
    /// `None` without upstreams.
    pub(crate) fn new(
        upstreams: Vec<(String, Arc<dyn Upstream>)>,
        rules: Arc<ServingRules>,
        engine: Arc<Engine>,
    ) -> Option<Arc<Self>> {
        let named = |(name, upstream): (String, _)| {
            (name.clone(), Arc::new(NamedUpstream { name, upstream }))
        };
        let upstreams: BTreeMap<_, _> = upstreams.into_iter().map(named).collect();
        let connections = Mutex::default();
        (!upstreams.is_empty()).then(|| Arc::new(Self { upstreams, rules, engine, connections }))
    }

    /// Follows a change of the rules: connections of users whom another server serves now are asked
    /// to end, and copies for an upstream that is no mirror any more are dropped.
    pub(crate) fn rules_changed(&self) {
        let rules = self.rules.current();
        let (upstreams, mirrors) = (rules.upstreams(), rules.mirrors());
        for name in upstreams.union(&mirrors).filter(|name| !self.upstreams.contains_key(**name)) {
            tracing::warn!(name, "a rule names an upstream that the configuration does not have");
        }
        for (name, named) in &self.upstreams {
            if !mirrors.contains(name.as_str()) {
                named.upstream.end_mirror();
            }
        }
        for listed in lock(&self.connections).values() {
            if let Some(server) = listed.other_server(&rules) {
                listed.leave(server);
            }
        }
    }

    /// The upstream with this name, if the configuration has it.
    pub(crate) fn upstream(&self, name: &str) -> Option<Arc<NamedUpstream>> {
        self.upstreams.get(name).cloned()
    }

    /// The upstreams that rules lead to.
    pub(crate) fn in_use(&self) -> Vec<Arc<NamedUpstream>> {
        let rules = self.rules.current();
        let names = rules.upstreams();
        names.iter().filter_map(|name| self.upstream(name)).collect()
    }

    /// The upstream by way of which a client got this token.
    pub(crate) fn holder_of(&self, token: &Secret) -> Option<&Arc<NamedUpstream>> {
        self.upstreams.values().find(|named| named.upstream.has_token(token))
    }

    /// The upstream that serves a client; `None` for the engine. [`Fault::Unavailable`] if it is
    /// not configured.
    pub(crate) fn server_of(
        &self,
        rules: &RuleSet,
        client: &RoutedClient<'_>,
    ) -> Result<Option<Arc<NamedUpstream>>, Fault> {
        let Some(name) = rules.upstream_of(client) else { return Ok(None) };
        self.upstream(name).map(Some).ok_or(Fault::Unavailable)
    }

    /// The upstream that gets copies of the requests of a client whom the engine serves, if the
    /// configuration has it.
    pub(crate) fn mirror_of(
        &self,
        rules: &RuleSet,
        client: &RoutedClient<'_>,
    ) -> Option<Arc<NamedUpstream>> {
        self.upstream(rules.mirror_of(client)?)
    }

    /// See [`Engine::routed_login`].
    pub(crate) async fn account(&self, text: &str) -> Result<(Arc<str>, Option<UserId>), Fault> {
        let (login, user) = self.engine.routed_login(text).await?;
        Ok((login.into(), user))
    }

    /// Lists a connection, until it is [forgotten](Self::forget).
    pub(crate) fn list(&self, connection: ConnectionId, listed: Listed) {
        let mut connections = lock(&self.connections);
        // The rules may have changed since its server was chosen.
        if let Some(server) = listed.other_server(&self.rules.current()) {
            listed.leave(server);
        }
        connections.insert(connection, listed);
    }

    /// Removes a connection from the list.
    pub(crate) fn forget(&self, connection: ConnectionId) {
        lock(&self.connections).remove(&connection);
    }
}
