//! The state that all connections of a bridge share.

use crate::directory::Directory;
use crate::options::BridgeOptions;
use crate::sessions::{Sessions, new_token};
use crate::sync::lock;
use crate::wire::Wire;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tolmach_dialect::WideIdNumbers;
use tolmach_domain::{ConnectionId, Secret};
use tolmach_engine::ports::Entropy;

/// The time for which a failed attempt to reach the upstream counts.
const ERROR_AGE: Duration = Duration::from_secs(10);

/// The state that all connections of a bridge share.
pub(crate) struct Shared {
    pub(crate) wires: Arc<Vec<Wire>>,
    pub(crate) options: Arc<BridgeOptions>,
    pub(crate) sessions: Sessions,
    pub(crate) directory: Arc<Directory>,
    /// The numbers that clients know ids of 128 bits by.
    pub(crate) numbers: Arc<WideIdNumbers>,
    entropy: Arc<dyn Entropy>,
    /// Random at the start: keys of messages are made of the numbers of connections.
    next_connection: AtomicU64,
    /// The problem of the latest attempt to reach the upstream, if that failed, and its time.
    last_error: Mutex<Option<(&'static str, Instant)>>,
    /// True if there is one.
    has_failed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(wires: Vec<Wire>, options: BridgeOptions, entropy: Arc<dyn Entropy>) -> Self {
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        Self {
            wires: Arc::new(wires),
            sessions: Sessions::new(options.max_sessions, options.session_lifetime),
            options: Arc::new(options),
            directory: Arc::new(Directory::new()),
            numbers: Arc::default(),
            entropy,
            next_connection: AtomicU64::new(u64::from_ne_bytes(seed)),
            last_error: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// The number of a new connection to the upstream.
    pub(crate) fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// A token that cannot be guessed.
    pub(crate) fn new_token(&self) -> Secret {
        new_token(|bytes| self.entropy.fill(bytes))
    }

    /// Notes the outcome of an attempt to reach the upstream.
    pub(crate) fn reached(&self, problem: Option<&'static str>) {
        if problem.is_none() && !self.has_failed.load(Ordering::Acquire) {
            return;
        }
        let mut last = lock(&self.last_error);
        match (problem, last.is_some()) {
            (Some(problem), false) => tracing::warn!(problem, "the upstream does not answer"),
            (None, true) => tracing::info!("the upstream answers again"),
            _ => {}
        }
        *last = problem.map(|problem| (problem, Instant::now()));
        self.has_failed.store(problem.is_some(), Ordering::Release);
    }

    /// The problem of the latest attempt to reach the upstream, if that failed a short time ago:
    /// without requests nobody tries.
    pub(crate) fn last_error(&self) -> Option<&'static str> {
        let (problem, at) = (*lock(&self.last_error))?;
        (at.elapsed() < ERROR_AGE).then_some(problem)
    }
}
