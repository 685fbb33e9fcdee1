//! Accepting connections, and letting them go.

use crate::config::{Config, Shutdown};
use crate::doors::{Doors, Entry};
use crate::gateway::{Bounds, Gateway};
use crate::http;
use crate::hub::Hub;
use crate::metrics::DialectMetrics;
use crate::outbox::Order;
use crate::patient::Patient;
use crate::proxies::Proxies;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics_exporter_prometheus::PrometheusHandle;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tolmach_dialect::{Dialect, Settings};
use tolmach_engine::Engine;
use tolmach_engine::ports::{Bus, StoreError};

/// How long accepting rests after the system could not give a connection: out of files, most often.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// The most connections that the system may have let in and not given out: as many as it is told
/// when listening begins.
const BACKLOG: usize = 1024;
/// How often histograms are tidied, and what is cached but no longer believed is dropped.
const UPKEEP: Duration = Duration::from_secs(2);
/// The largest head of an HTTP request, in bytes.
const HEAD_LIMIT: usize = 32 << 10;

/// A gateway that is about to accept connections.
pub(crate) struct Server {
    gateway: Arc<Gateway>,
    listener: TcpListener,
    /// Connections at once.
    connections: usize,
    shutdown: Shutdown,
}

impl Server {
    /// A gateway on this engine, which hears this bus from now on.
    pub(crate) async fn new(
        engine: Arc<Engine>,
        bus: Arc<dyn Bus>,
        config: &Config,
        listener: TcpListener,
        metrics: PrometheusHandle,
    ) -> Result<Self, StoreError> {
        let hub = Hub::new(
            engine.clone(),
            bus.clone(),
            engine.last_commit_time().await?,
            config.limits.queue,
        );
        let tasks = TaskTracker::new();
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        for subscription in bus.receivers(shards) {
            // Not tracked: it ends with the bus, not with the connections.
            tokio::spawn(hub.clone().dispatch(subscription));
        }
        tokio::spawn(hub.clone().check(config.bus.check));
        let (upkeep, keeper) = (metrics.clone(), engine.clone());
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP);
            loop {
                interval.tick().await;
                upkeep.run_upkeep();
                keeper.tidy();
            }
        });
        let mut seed = [0; 8];
        engine.fill(&mut seed);
        let gateway = Gateway {
            doors: Doors::new(entries(config), &config.doors.shared),
            engine,
            bus,
            hub,
            bounds: bounds(config),
            proxies: Proxies::new(config.http.trusted_proxies.clone()),
            metrics,
            tasks,
            draining: AtomicBool::new(false),
            next_connection: AtomicU64::new(u64::from_ne_bytes(seed)),
        };
        Ok(Self {
            gateway: Arc::new(gateway),
            listener,
            connections: config.http.max_connections,
            shutdown: config.shutdown,
        })
    }

    /// Where each dialect answers, a line each, for people.
    pub(crate) fn places(&self) -> Vec<String> {
        self.gateway.doors.places()
    }

    /// Accepts connections until `stop`, then drains: nothing new is accepted, connections are
    /// closed at the configured rate, each in its dialect's way once its ask has been answered, and
    /// when the grace after that is over whoever is left is dropped.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        let Self { gateway, listener, connections, shutdown } = self;
        let places = Arc::new(Semaphore::new(connections));
        let (turns, waiting) = mpsc::unbounded_channel();
        let leave = Leave { stop: stop.clone(), turns };
        let welcome = |stream, peer, place| {
            gateway.tasks.spawn(serve_http(gateway.clone(), stream, peer, place, leave.clone()))
        };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    welcome(stream, peer, place);
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
        // First of all, so that whoever asks over a connection that is open is told.
        gateway.draining.store(true, Ordering::Relaxed);
        // Whom the system has let in already is served like all others; closing would reset them.
        for (stream, peer, place) in backlog(listener, &places) {
            welcome(stream, peer, place);
        }
        drop(leave);
        gateway.tasks.close();
        tokio::select! {
            () = close(&gateway, waiting, shutdown.rate) => {}
            () = gateway.tasks.wait() => return,
        }
        if timeout(shutdown.grace, gateway.tasks.wait()).await.is_err() {
            tracing::warn!(left = gateway.tasks.len(), "the time to drain is over");
        }
    }
}

/// Tells every connection to end, so many a second: WebSockets first, since an HTTP connection may
/// carry some.
async fn close(
    gateway: &Gateway,
    mut waiting: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    rate: u32,
) {
    let period = Duration::from_secs(1) / rate;
    let mut pace = interval_at(Instant::now() + period, period);
    let listeners = gateway.hub.connected();
    tracing::info!(websockets = listeners.len(), rate, "draining");
    for listener in listeners {
        // Looked at before the wait and after it: whoever has gone meanwhile takes nobody's turn.
        if listener.strong_count() > 0 {
            pace.tick().await;
        }
        if let Some(listener) = listener.upgrade() {
            listener.outbox.order(Order::GoAway);
        }
    }
    // Ends when every HTTP connection has been told or is gone.
    while let Some(turn) = waiting.recv().await {
        if !turn.is_closed() {
            pace.tick().await;
            // An error says that it has gone meanwhile.
            let _ = turn.send(());
        }
    }
}

/// How an HTTP connection learns that it is to end.
#[derive(Clone)]
struct Leave {
    stop: CancellationToken,
    turns: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Leave {
    /// Waits for the stop, and then for this connection's turn.
    async fn turn(self) {
        self.stop.cancelled().await;
        let (told, turn) = oneshot::channel();
        // Without anybody who gives turns there is none to wait for.
        if self.turns.send(told).is_ok() {
            drop(self.turns);
            let _ = turn.await;
        }
    }
}

/// The dialects that the configuration enables, as it sets them up.
fn entries(config: &Config) -> Vec<Arc<Entry>> {
    let entry = |dialect: Arc<dyn Dialect>| {
        let manifest = dialect.manifest();
        let options = config.dialects.get(manifest.id).filter(|options| options.enabled)?;
        let limits = manifest.limits;
        let frame_limit = options.frame.or(config.limits.frame).unwrap_or(limits.frame);
        let settings = Settings {
            push: options.push.unwrap_or(manifest.push_by_default),
            reveal_unknown_user: options.reveal_unknown_user,
            depth: config.limits.depth,
            // Once a process: settings are handed about by value, and last as long as the gateway
            // does.
            origins: options.origins.clone().leak(),
        };
        let metrics = DialectMetrics::new(manifest.id);
        Some(Arc::new(Entry {
            settings,
            frame_limit,
            body_limit: limits.body.max(frame_limit),
            metrics,
            dialect,
        }))
    };
    crate::dialects::all().into_iter().filter_map(entry).collect()
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        first_frame: config.limits.first_frame,
        first_frame_timeout: config.limits.first_frame_timeout,
        rate: NonZeroU32::new(config.limits.rate).unwrap_or(NonZeroU32::MIN),
        burst: NonZeroU32::new(config.limits.burst).unwrap_or(NonZeroU32::MIN),
        syntax_errors: config.limits.syntax_errors,
        ping: config.keepalive.ping,
        timeout: config.keepalive.timeout,
        header_timeout: config.http.header_timeout,
        body_timeout: config.http.body_timeout,
        request_limit: config.http.request_limit,
    }
}

/// A connection's place among those that are open at once, held by whatever serves it.
pub(crate) type Permit = Arc<OwnedSemaphorePermit>;

/// Closes the listener; the connections that it had not given out, as far as there are places for
/// them.
fn backlog(
    listener: TcpListener,
    places: &Arc<Semaphore>,
) -> Vec<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // It does not block, as it did not before.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        let place = places.clone().try_acquire_owned().ok()?;
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer.ip(), place))
    };
    std::iter::from_fn(next).take(BACKLOG).collect()
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // Without a place for it, a connection waits in the system's backlog.
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Frames are put together before they are written, so waiting for more gains nothing.
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip(), place))
}

async fn serve_http(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: IpAddr,
    place: OwnedSemaphorePermit,
    leave: Leave,
) {
    let bounds = gateway.bounds;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(HEAD_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(bounds.request_limit)
        .max_header_list_size(HEAD_LIMIT as u32)
        .keep_alive_interval(bounds.ping)
        .keep_alive_timeout(bounds.timeout);
    let heard = Arc::new(AtomicBool::new(false));
    let hears = heard.clone();
    let allowance = Arc::new(http::Allowance::new(Arc::new(place)));
    let service = service_fn(move |request| {
        hears.store(true, Ordering::Relaxed);
        http::answer(gateway.clone(), allowance.clone(), peer, request)
    });
    // The builder's own timers run only once it is known which HTTP is spoken.
    let silence = async {
        sleep(bounds.header_timeout).await;
        if heard.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    let mut connection = pin!(builder.serve_connection_with_upgrades(
        TokioIo::new(Patient::new(stream, bounds.timeout)),
        service
    ));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = silence => return tracing::trace!("a connection asked for nothing in time"),
        () = leave.turn() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended with an error");
    }
}
