//! The state that all connections of a server share.

use crate::address_turns::{AddressTurns, Turn};
use crate::dual::DualRunning;
use crate::hub::{Hub, Subscriber};
use crate::ledger::Ledger;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::options::{HttpOptions, Keepalive, Limits, TcpOptions};
use crate::places::Places;
use crate::proxies::TrustedProxies;
use crate::recording::FrameRecorder;
use crate::routes::Routes;
use crate::serving_rules::ServingRules;
use crate::sync::lock;
use crate::tls::Tls;
use crate::traffic::Traffic;
use crate::upstream::{EventSink, Upstream, UpstreamClient, UpstreamSide};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tolmach_domain::{ConnectionId, Credentials, Fault};
use tolmach_engine::Engine;
use tolmach_engine::ports::Bus;

/// The proofs of identity that are looked at in the store at a time.
pub(crate) const PROOFS_AT_ONCE: usize = 32;
/// The tokens that upstreams are asked for at a time, because the engine does not know them.
pub(crate) const UPSTREAM_PROOFS_AT_ONCE: usize = 32;
/// Those of one address among them: an upstream may take long to answer.
pub(crate) const UPSTREAM_PROOFS_OF_ADDRESS: usize = UPSTREAM_PROOFS_AT_ONCE / 4;
/// The time after which a proof that has not had its turn is refused as unavailable.
const PROOF_PATIENCE: Duration = Duration::from_secs(5);

/// The state that all connections of a server share.
pub(crate) struct ServerState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) hub: Arc<Hub>,
    /// The server that carries out requests in the engine's place, if there is one.
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
    /// The upstreams that serve some users beside the engine, if there are any.
    pub(crate) dual: Option<Arc<DualRunning>>,
    /// The routes of new connections.
    pub(crate) routes: Mutex<Arc<Routes>>,
    pub(crate) shared_paths: Vec<String>,
    /// The options of the raw TCP listeners.
    pub(crate) tcp_options: Vec<TcpOptions>,
    pub(crate) limits: Limits,
    pub(crate) keepalive: Keepalive,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) traffic: Arc<Traffic>,
    /// The turns of clients at proving who they are.
    pub(crate) proofs: Arc<AddressTurns>,
    /// The turns of clients at having upstreams asked for tokens that the engine does not know.
    pub(crate) upstream_proofs: Arc<AddressTurns>,
    pub(crate) http: HttpOptions,
    pub(crate) proxies: TrustedProxies,
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Takes copies of frames, where they are recorded.
    pub(crate) recorder: Option<Arc<dyn FrameRecorder>>,
    pub(crate) places: Arc<Places>,
    pub(crate) tls: Option<Tls>,
    pub(crate) metrics: Option<Metrics>,
    /// Every connection, and the work that outlives a response.
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: AtomicBool,
    /// The serving rules.
    pub(crate) rules: Arc<ServingRules>,
    /// True if the server listens on a loopback address.
    pub(crate) on_loopback: bool,
    /// Random at the start, so that two nodes hardly ever give the same number.
    pub(crate) next_connection: AtomicU64,
    /// The longest time that a response to a writer waits because the delivery of its flow lags.
    pub(crate) max_response_delay: Duration,
}

impl ServerState {
    /// The routes as they are now. A connection keeps the dialect that it was given.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        lock(&self.routes).clone()
    }

    /// Waits until it is the turn of a client at this address to prove by a token who it is, and to
    /// begin to receive: in a flood of new clients, what others read in the store waits for a few
    /// of them only. Nothing is waited for where the credentials are no token.
    pub(crate) async fn proof_turn(
        &self,
        address: IpAddr,
        credentials: &Credentials,
    ) -> Result<Option<Turn>, Fault> {
        match credentials {
            Credentials::Nothing | Credentials::Connection => Ok(None),
            Credentials::Token(_) | Credentials::TokenOf(..) | Credentials::Bearer(_) => {
                let turn = timeout(PROOF_PATIENCE, self.proofs.turn(address)).await;
                turn.map(Some).map_err(|_| Fault::Unavailable)
            }
        }
    }

    /// Waits until it is the turn of a client at this address to have upstreams asked for its
    /// token, which the engine does not know: each that is asked may open connections. These turns
    /// are not those of [`Self::proof_turn`], so that a slow upstream delays no proof here.
    pub(crate) async fn upstream_turn(&self, address: IpAddr) -> Result<Turn, Fault> {
        let turn = timeout(PROOF_PATIENCE, self.upstream_proofs.turn(address)).await;
        turn.map_err(|_| Fault::Unavailable)
    }

    pub(crate) fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// A new WebSocket, without any subscription. If the server is draining, the connection is
    /// asked to close at once; those that were open before are asked in turn.
    pub(crate) fn connect(&self, id: ConnectionId) -> Arc<Subscriber> {
        let subscriber = self.hub.connect(id);
        // Read after the hub knows the connection, so that either the drain or this asks it.
        if self.is_draining() {
            subscriber.queue.go_away();
        }
        subscriber
    }

    /// The side of a connection of this dialect towards the upstream, if there is one. `subscriber`
    /// receives events; without one, none are received.
    pub(crate) fn open_upstream(
        &self,
        connection: ConnectionId,
        dialect: &'static str,
        subscriber: Option<&Arc<Subscriber>>,
    ) -> Option<UpstreamSide> {
        let upstream = self.upstream.as_deref()?;
        Some(self.open_side(upstream, connection, dialect, subscriber))
    }

    /// The side of a connection of this dialect towards this upstream, as
    /// [`Self::open_upstream`].
    pub(crate) fn open_side(
        &self,
        upstream: &dyn Upstream,
        connection: ConnectionId,
        dialect: &'static str,
        subscriber: Option<&Arc<Subscriber>>,
    ) -> UpstreamSide {
        let limit = self.limits.send_queue_bytes;
        let events = subscriber.map(|subscriber| EventSink::new(subscriber.clone(), limit));
        let client = UpstreamClient { connection, dialect, events: events.clone() };
        UpstreamSide { connection: upstream.open(client), events, received_as: None }
    }

    /// True if a connection of this client does not leave the machine.
    pub(crate) fn is_local(&self, client: IpAddr) -> bool {
        self.on_loopback && client.is_loopback()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
