//! The builder of a server.

use crate::address_turns::AddressTurns;
use crate::dual::DualRunning;
use crate::hub::Reconciler;
use crate::ledger::Ledger;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::options::{DialectOptions, HttpOptions, ServerOptions, TcpOptions};
use crate::places::{PlaceBounds, Places};
use crate::proxies::TrustedProxies;
use crate::recording::FrameRecorder;
use crate::routes::{RouteError, Routes};
use crate::served_dialect::ServedDialect;
use crate::server::Server;
use crate::serving_rules::ServingRules;
use crate::state::{
    PROOFS_AT_ONCE, ServerState, UPSTREAM_PROOFS_AT_ONCE, UPSTREAM_PROOFS_OF_ADDRESS,
};
use crate::tcp::TcpEntrance;
use crate::tls::Tls;
use crate::traffic::Traffic;
use crate::upstream::Upstream;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tolmach_dialect::Dialect;
use tolmach_engine::Engine;
use tolmach_engine::ports::{Bus, StoreError};

/// The time between two runs of housekeeping: histograms and caches give back memory.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(2);
/// The longest time that a response to a writer waits because the delivery of its flow lags.
const MAX_RESPONSE_DELAY: Duration = Duration::from_secs(1);

/// The builder of a [`Server`].
///
/// ```no_run
/// use std::sync::Arc;
/// use tolmach_dialect::Dialect;
/// use tolmach_engine::Engine;
/// use tolmach_engine::ports::Bus;
/// use tolmach_server::{DialectOptions, Server, ServerOptions};
/// use tokio::net::TcpListener;
///
/// async fn bind(
///     engine: Arc<Engine>,
///     bus: Arc<dyn Bus>,
///     legacy: impl Dialect,
///     own: Arc<dyn Dialect>,
/// ) -> Result<Server, Box<dyn std::error::Error>> {
///     let server = Server::builder(engine, bus)
///         .options(ServerOptions { shared_paths: vec!["/chat".into()], ..Default::default() })
///         .dialect(legacy)
///         .dialect_with(
///             own,
///             DialectOptions { max_frame_bytes: Some(64 << 10), ..DialectOptions::default() },
///         )
///         .bind(TcpListener::bind("127.0.0.1:8080").await?)
///         .await?;
///     Ok(server)
/// }
/// ```
#[must_use]
pub struct ServerBuilder {
    engine: Arc<Engine>,
    bus: Arc<dyn Bus>,
    dialects: Vec<(Arc<dyn Dialect>, DialectOptions)>,
    options: ServerOptions,
    metrics: Option<Metrics>,
    tls: Option<Tls>,
    recorder: Option<Arc<dyn FrameRecorder>>,
    admin: Option<TcpListener>,
    tcp: Vec<TcpListener>,
    /// The options of each of `tcp`.
    tcp_options: Vec<TcpOptions>,
    max_response_delay: Duration,
    upstream: Option<Arc<dyn Upstream>>,
    /// Upstreams beside the engine, with their names.
    named_upstreams: Vec<(String, Arc<dyn Upstream>)>,
}

/// A server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The dialects cannot be served together.
    #[error("the dialects cannot be served together")]
    Routes(#[from] RouteError),
    /// The store could not be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// A raw TCP listener is to serve TLS, and the public one does not.
    #[error("a raw TCP listener serves TLS only if the public listener does")]
    TcpTls,
}

impl Server {
    /// A builder of a server on this engine. `bus` is the one that the engine's store publishes to.
    pub fn builder(engine: Arc<Engine>, bus: Arc<dyn Bus>) -> ServerBuilder {
        ServerBuilder {
            engine,
            bus,
            dialects: Vec::new(),
            options: ServerOptions::default(),
            metrics: None,
            tls: None,
            recorder: None,
            admin: None,
            tcp: Vec::new(),
            tcp_options: Vec::new(),
            max_response_delay: MAX_RESPONSE_DELAY,
            upstream: None,
            named_upstreams: Vec::new(),
        }
    }
}

impl ServerBuilder {
    /// Serves a dialect, with the default options.
    pub fn dialect(self, dialect: impl Dialect) -> Self {
        self.dialect_with(Arc::new(dialect), DialectOptions::default())
    }

    /// Serves a dialect, with these options.
    pub fn dialect_with(mut self, dialect: Arc<dyn Dialect>, options: DialectOptions) -> Self {
        self.dialects.push((dialect, options));
        self
    }

    /// Sets the options. Default: [`ServerOptions::default`].
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Has an upstream carry out all requests in the place of the engine, whose store stays unused.
    pub fn upstream(mut self, upstream: Arc<dyn Upstream>) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// Knows an upstream by name, beside the engine: serving rules say which users it serves, and
    /// whose requests are mirrored to it. A later one of the same name replaces an earlier one.
    pub fn named_upstream(mut self, name: String, upstream: Arc<dyn Upstream>) -> Self {
        self.named_upstreams.push((name, upstream));
        self
    }

    /// Serves these metrics at `/metrics` of the admin listener. Without any, that path is not
    /// served.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Gives this recorder copies of the frames of the connections that it wants.
    pub fn recorder(mut self, recorder: Arc<dyn FrameRecorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Serves TLS, and nothing else, on the public listener. Changed files of the certificate are
    /// read again while the server runs.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Serves the pages for operators on this listener: `/metrics`, `/healthz` and `/readyz`, over
    /// HTTP/1.1 without TLS. It has connections of its own, and answers also when the public
    /// listener has no place left. It has no password: only operators may reach it.
    pub fn admin(mut self, listener: TcpListener) -> Self {
        self.admin = Some(listener);
        self
    }

    /// Serves the JSON values of one dialect on this listener, back to back on raw TCP. Its
    /// connections take places beside those of the public listener, and have the limits of
    /// WebSockets.
    pub fn tcp(mut self, listener: TcpListener, options: TcpOptions) -> Self {
        self.tcp.push(listener);
        self.tcp_options.push(options);
        self
    }

    /// Sets the longest time that a response waits for delivery, so that tests need no clock.
    #[cfg(test)]
    pub(crate) fn max_response_delay(mut self, delay: Duration) -> Self {
        self.max_response_delay = delay;
        self
    }

    /// The routes that the server will have. Nothing is opened.
    pub fn routes(&self) -> Result<Routes, RouteError> {
        self.routes_within(&MemoryBudget::new(&self.options.limits))
    }

    /// The routes of a server with this budget.
    fn routes_within(&self, memory: &Arc<MemoryBudget>) -> Result<Routes, RouteError> {
        let limits = &self.options.limits;
        let served = |(dialect, options): &(Arc<dyn Dialect>, DialectOptions)| {
            let external_ids = |namespace| self.engine.external_ids(namespace);
            let (dialect, memory) = (dialect.clone(), memory.clone());
            ServedDialect::new(dialect, options, limits, memory, external_ids).map(Arc::new)
        };
        let dialects = self.dialects.iter().map(served).collect::<Result<_, _>>()?;
        Routes::new(dialects, &self.options.shared_paths, &self.tcp_options)
    }

    /// Makes the server on a listener that is bound already. The server receives the events of the
    /// bus from now on; it accepts connections once it [serves](Server::serve), and the system
    /// queues those that come before.
    ///
    /// Fails if the dialects cannot be served together, or the store cannot be read. Must be called
    /// within a runtime of tokio.
    pub async fn bind(mut self, listener: TcpListener) -> Result<Server, BuildError> {
        let (shutdown, admin) = (self.options.shutdown, self.admin.take());
        let tcp = std::mem::take(&mut self.tcp);
        let state = self.start(is_on_loopback(&listener)).await?;
        let tcp = tcp
            .into_iter()
            .enumerate()
            .map(|(index, listener)| Ok((tcp_entrance(&state, &listener, index)?, listener)));
        let tcp = tcp.collect::<Result<_, BuildError>>()?;
        Ok(Server::new(state, listener, admin, tcp, shutdown))
    }

    /// Makes the state of the server, and starts its background tasks.
    pub(crate) async fn start(self, on_loopback: bool) -> Result<Arc<ServerState>, BuildError> {
        let memory = MemoryBudget::new(&self.options.limits);
        let routes = self.routes_within(&memory)?;
        let Self { engine, bus, options, tcp_options, metrics, tls, recorder, .. } = self;
        let (max_response_delay, upstream) = (self.max_response_delay, self.upstream);
        let named_upstreams = self.named_upstreams;
        let ServerOptions { limits, keepalive, http, shared_paths, .. } = options;
        let now = engine.last_commit_time().await?;
        let rules = ServingRules::new(engine.rules().await?);
        let dual = DualRunning::new(named_upstreams, rules.clone(), engine.clone());
        let (hub, reconciler) =
            Reconciler::new(engine.clone(), bus.clone(), now, limits.send_queue_bytes);
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        for receiver in bus.receivers(shards) {
            // Not tracked: it ends with the bus, not with the connections.
            tokio::spawn(hub.clone().receive_all(receiver));
        }
        tokio::spawn(reconciler.run(options.reconcile_interval));
        let traffic = Traffic::new(&limits);
        tokio::spawn(keep_house(engine.clone(), traffic.clone(), metrics.clone()));
        let ledger = options.ledger.map(|options| Ledger::new(engine.clone(), options));
        if let Some(ledger) = &ledger {
            tokio::spawn(ledger.clone().run());
        }
        let mut seed = [0; 8];
        engine.fill_random(&mut seed);
        Ok(Arc::new(ServerState {
            engine,
            bus,
            hub,
            upstream,
            dual,
            routes: Mutex::new(Arc::new(routes)),
            shared_paths,
            tcp_options,
            memory,
            traffic,
            proofs: AddressTurns::new(PROOFS_AT_ONCE, PROOFS_AT_ONCE),
            upstream_proofs: AddressTurns::new(UPSTREAM_PROOFS_AT_ONCE, UPSTREAM_PROOFS_OF_ADDRESS),
            limits,
            keepalive,
            proxies: TrustedProxies::new(http.trusted_proxies.clone()),
            ledger,
            places: Places::new(place_bounds(&http)),
            http,
            tls,
            recorder,
            metrics,
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            rules,
            on_loopback,
            next_connection: AtomicU64::new(u64::from_ne_bytes(seed)),
            max_response_delay,
        }))
    }
}

fn is_on_loopback(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|local| local.ip().is_loopback())
}

/// The entrance of the listener at this place in their order.
fn tcp_entrance(
    state: &ServerState,
    listener: &TcpListener,
    index: usize,
) -> Result<Arc<TcpEntrance>, BuildError> {
    let has_tls = state.tcp_options[index].tls;
    let tls = if has_tls { Some(state.tls.clone().ok_or(BuildError::TcpTls)?) } else { None };
    let on_loopback = is_on_loopback(listener);
    Ok(Arc::new(TcpEntrance { index, tls, on_loopback }))
}

fn place_bounds(http: &HttpOptions) -> PlaceBounds {
    let total = http.max_connections;
    let kept = total * usize::from(http.authenticated_share) / 100;
    PlaceBounds {
        total,
        unproven: total.saturating_sub(kept).max(1),
        per_address: http.max_connections_per_address,
    }
}

async fn keep_house(engine: Arc<Engine>, traffic: Arc<Traffic>, metrics: Option<Metrics>) {
    let mut interval = tokio::time::interval(HOUSEKEEPING_INTERVAL);
    loop {
        interval.tick().await;
        if let Some(metrics) = &metrics {
            metrics.run_upkeep();
        }
        engine.tidy();
        traffic.forget_idle();
    }
}
