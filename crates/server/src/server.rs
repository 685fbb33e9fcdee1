//! Accepting connections, and closing them.

use crate::drain::{Drain, Turns, close_connections};
use crate::listener::{Entrance, accept, accepted_by_system, serve_admin};
use crate::options::Shutdown;
use crate::reload::DialectReloader;
use crate::routes::Routes;
use crate::state::ServerState;
use crate::tcp::TcpEntrance;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A chat server that is about to accept connections.
///
/// Embedding it takes an engine, the bus that the engine's store publishes to, and dialects:
///
/// ```no_run
/// use std::sync::Arc;
/// use tokio::net::TcpListener;
/// use tokio_util::sync::CancellationToken;
/// use tolmach_dialect::Dialect;
/// use tolmach_domain::Timestamp;
/// use tolmach_engine::memory::{
///     ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
///     SeededEntropy,
/// };
/// use tolmach_engine::{Engine, Policy, Ports};
/// use tolmach_server::Server;
///
/// async fn run(dialect: impl Dialect) -> Result<(), Box<dyn std::error::Error>> {
///     // Ports in memory, for tests: a real server has a database, a clock and hashed passwords.
///     let bus = Arc::new(MemoryBus::new());
///     let ports = Ports {
///         store: Arc::new(MemoryStore::new(bus.clone())),
///         bus: bus.clone(),
///         clock: Arc::new(ManualClock::new(Timestamp::from_micros(0))),
///         entropy: Arc::new(SeededEntropy::new(1)),
///         mailer: Arc::new(MemoryMailer::new()),
///         blobs: Arc::new(MemoryBlobs::new()),
///         passwords: Arc::new(PlainPasswords),
///         signer: Arc::new(PlainSigner),
///     };
///     let engine = Arc::new(Engine::new(ports, Policy::default()));
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let server = Server::builder(engine, bus).dialect(dialect).bind(listener).await?;
///     for route in server.routes().describe() {
///         println!("{route}");
///     }
///     let shutdown = CancellationToken::new();
///     server.serve(shutdown).await;
///     Ok(())
/// }
/// ```
pub struct Server {
    state: Arc<ServerState>,
    listener: TcpListener,
    admin: Option<TcpListener>,
    tcp: Vec<(Arc<TcpEntrance>, TcpListener)>,
    shutdown: Shutdown,
}

impl Server {
    pub(crate) fn new(
        state: Arc<ServerState>,
        listener: TcpListener,
        admin: Option<TcpListener>,
        tcp: Vec<(Arc<TcpEntrance>, TcpListener)>,
        shutdown: Shutdown,
    ) -> Self {
        Self { state, listener, admin, tcp, shutdown }
    }

    /// The paths of the server, and the dialects that answer there.
    pub fn routes(&self) -> Arc<Routes> {
        self.state.routes()
    }

    /// A handle to replace the dialects while the server serves.
    pub fn reloader(&self) -> DialectReloader {
        DialectReloader::new(self.state.clone())
    }

    /// The address of the listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until `shutdown` is cancelled, then drains: no connection is accepted
    /// any more, the open ones are closed at the configured rate, each in its dialect's way once
    /// its request was answered, and those that are left after the grace period are dropped. The
    /// admin listener is served to the end.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { state, listener, admin, tcp, shutdown: options } = self;
        let _admin = admin.map(|listener| {
            AbortOnDropHandle::new(tokio::spawn(serve_admin(state.clone(), listener)))
        });
        let _watch = state.tls.clone().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.watch())));
        let dual = state.dual.clone();
        let changed = move || dual.iter().for_each(|dual| dual.rules_changed());
        let rules = state.rules.clone().follow(state.engine.clone(), changed);
        let _rules = AbortOnDropHandle::new(tokio::spawn(rules));
        for (entrance, listener) in tcp {
            state.tasks.spawn(entrance.serve(state.clone(), listener, shutdown.clone()));
        }
        let (drain, turns) = Drain::new(shutdown.clone());
        let entrance = Entrance::new(state.clone(), drain);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&listener) => accepted,
            };
            entrance.admit(stream, peer);
            // In a flood of connections, each of them leaves every other task its turn.
            yield_now().await;
        }
        // First, because responses from now on must reject new work.
        state.begin_draining();
        // Connections that the system has accepted are served like all others; closing the listener
        // would reset them.
        for (stream, peer) in accepted_by_system(listener) {
            entrance.admit(stream, peer);
        }
        drop(entrance);
        state.tasks.close();
        end_connections(&state, turns, &options).await;
        if let Some(ledger) = &state.ledger {
            ledger.write().await;
        }
    }
}

/// Asks all connections to close, and waits for their ends as long as they may take.
async fn end_connections(state: &ServerState, turns: Turns, options: &Shutdown) {
    tokio::select! {
        () = close_connections(state, turns, options.connections_per_second.get()) => {}
        () = state.tasks.wait() => return,
    }
    if timeout(options.grace_period, state.tasks.wait()).await.is_err() {
        tracing::warn!(left = state.tasks.len(), "the grace period is over");
    }
}
