//! Accepting connections, and closing them.

use crate::http::{ConnectionPermit, ResponseBudget, serve_request};
use crate::options::Shutdown;
use crate::routes::Routes;
use crate::state::ServerState;
use crate::write_timeout::WriteTimeoutStream;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The pause after the system could not give a connection: out of files, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most connections that the system may have queued: as many as it was given for its backlog
/// when listening began.
const BACKLOG: usize = 1024;
/// The largest head of an HTTP request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;

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
    shutdown: Shutdown,
}

impl Server {
    pub(crate) fn new(state: Arc<ServerState>, listener: TcpListener, shutdown: Shutdown) -> Self {
        Self { state, listener, shutdown }
    }

    /// The paths of the server, and the dialects that answer there.
    pub fn routes(&self) -> &Routes {
        &self.state.routes
    }

    /// The address of the listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until `shutdown` is cancelled, then drains: no connection is accepted
    /// any more, the open ones are closed at the configured rate, each in its dialect's way once
    /// its request was answered, and those that are left after the grace period are dropped.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { state, listener, shutdown: options } = self;
        let permits = Arc::new(Semaphore::new(state.http.max_connections));
        let (turns, waiting) = mpsc::unbounded_channel();
        let drain = Drain { shutdown: shutdown.clone(), turns };
        let serve = |stream, peer, permit| {
            state.tasks.spawn(serve_http(state.clone(), stream, peer, permit, drain.clone()))
        };
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&listener, &permits) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    serve(stream, peer, permit);
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // First, because responses from now on must reject new work.
        state.begin_draining();
        // Connections that the system has accepted are served like all others; closing the listener
        // would reset them.
        for (stream, peer, permit) in accepted_by_system(listener, &permits) {
            serve(stream, peer, permit);
        }
        drop(drain);
        state.tasks.close();
        tokio::select! {
            () = close_connections(&state, waiting, options.connections_per_second.get()) => {}
            () = state.tasks.wait() => return,
        }
        if timeout(options.grace_period, state.tasks.wait()).await.is_err() {
            tracing::warn!(left = state.tasks.len(), "the grace period is over");
        }
    }
}

/// Asks every connection to close, so many in a second: WebSockets first, because an HTTP/2
/// connection may carry some.
async fn close_connections(
    state: &ServerState,
    mut waiting: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    per_second: u32,
) {
    let period = Duration::from_secs(1) / per_second;
    let mut pace = interval_at(Instant::now() + period, period);
    let subscribers = state.hub.connections();
    tracing::info!(websockets = subscribers.len(), per_second, "draining");
    for subscriber in subscribers {
        // Checked before the pause and after it: a connection that has ended takes no turn.
        if subscriber.strong_count() > 0 {
            pace.tick().await;
        }
        if let Some(subscriber) = subscriber.upgrade() {
            subscriber.queue.go_away();
        }
    }
    // Ends when every HTTP connection was asked or has ended.
    while let Some(turn) = waiting.recv().await {
        if !turn.is_closed() {
            pace.tick().await;
            // Fails if the connection has ended meanwhile.
            let _ = turn.send(());
        }
    }
}

/// The means by which an HTTP connection learns that it has to close.
#[derive(Clone)]
struct Drain {
    shutdown: CancellationToken,
    turns: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Drain {
    /// Waits for the shutdown, and then for the turn of this connection.
    async fn turn(self) {
        self.shutdown.cancelled().await;
        let (sender, turn) = oneshot::channel();
        // Without a receiver of turns, there is none to wait for.
        if self.turns.send(sender).is_ok() {
            drop(self.turns);
            let _ = turn.await;
        }
    }
}

/// Closes the listener. Returns the connections that the system had accepted, as far as there are
/// permits for them.
fn accepted_by_system(
    listener: TcpListener,
    permits: &Arc<Semaphore>,
) -> Vec<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // The listener does not block, as it did not before.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        let permit = permits.clone().try_acquire_owned().ok()?;
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer.ip(), permit))
    };
    std::iter::from_fn(next).take(BACKLOG).collect()
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // Without a permit, a connection waits in the system's backlog.
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Frames are joined before they are written, so that waiting for more would only delay them.
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip(), permit))
}

async fn serve_http(
    state: Arc<ServerState>,
    stream: TcpStream,
    peer: IpAddr,
    permit: OwnedSemaphorePermit,
    drain: Drain,
) {
    let (header_timeout, write_timeout) = (state.http.header_timeout, state.keepalive.pong_timeout);
    let builder = http_builder(&state);
    let received = Arc::new(AtomicBool::new(false));
    let receives = received.clone();
    let budget = Arc::new(ResponseBudget::new(ConnectionPermit::new(permit)));
    let service = service_fn(move |request| {
        receives.store(true, Ordering::Relaxed);
        serve_request(state.clone(), budget.clone(), peer, request)
    });
    // The builder's own timers run only once the version of HTTP is known.
    let silence = async {
        sleep(header_timeout).await;
        if received.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    let stream = TokioIo::new(WriteTimeoutStream::new(stream, write_timeout));
    let mut connection = pin!(builder.serve_connection_with_upgrades(stream, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = silence => return tracing::trace!("a connection made no request in time"),
        () = drain.turn() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended with an error");
    }
}

fn http_builder(state: &ServerState) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(state.http.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(state.http.request_limit)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(state.keepalive.ping_interval)
        .keep_alive_timeout(state.keepalive.pong_timeout);
    builder
}
