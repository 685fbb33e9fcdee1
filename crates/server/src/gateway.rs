//! What every connection shares, and how an ask is carried out.

use crate::doors::{Doors, Entry};
use crate::hub::{Hub, Listener};
use crate::outbox::Order;
use crate::proxies::Proxies;
use metrics_exporter_prometheus::PrometheusHandle;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;
use tolmach_dialect::{Ask, Echo, Reply};
use tolmach_domain::{Answer, ConnectionId, Fault, Origin};
use tolmach_engine::ports::Bus;
use tolmach_engine::{Engine, Handled, Principal, Request, Submitted};

/// What every connection shares.
pub(crate) struct Gateway {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) doors: Doors,
    pub(crate) bounds: Bounds,
    pub(crate) proxies: Proxies,
    pub(crate) metrics: PrometheusHandle,
    /// Every connection and every piece of background work.
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: AtomicBool,
    /// Random at the start, so that two nodes hardly ever give the same.
    pub(crate) next_connection: AtomicU64,
}

/// Bounds on what a peer may do to a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The largest first frame on a shared door, in bytes.
    pub(crate) first_frame: usize,
    /// How long the first frame on a shared door is awaited.
    pub(crate) first_frame_timeout: Duration,
    /// Frames a second.
    pub(crate) rate: std::num::NonZeroU32,
    /// Frames at once.
    pub(crate) burst: std::num::NonZeroU32,
    /// Frames in a row that are not JSON.
    pub(crate) syntax_errors: u32,
    /// How often a silent peer is asked for a sign of life.
    pub(crate) ping: Duration,
    /// How long it may take to give one, or to accept bytes.
    pub(crate) timeout: Duration,
    /// How long a request's head may take.
    pub(crate) header_timeout: Duration,
    /// How long a request's body may take.
    pub(crate) body_timeout: Duration,
    /// How many requests one HTTP/2 connection may make at once.
    pub(crate) request_limit: u32,
}

impl Gateway {
    pub(crate) fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// A new WebSocket, which hears nothing yet. Where the gateway is about to stop, it is told to
    /// end at once: whoever was connected before is told in turn.
    pub(crate) fn connect(&self, id: ConnectionId) -> Arc<Listener> {
        let listener = self.hub.connect(id);
        // Looked at after the hub knows it, so that it is told here or there.
        if self.is_draining() {
            listener.outbox.order(Order::GoAway);
        }
        listener
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Carries out an ask whose proof has been looked at, as far as the next one has to wait for
    /// it. `address` is the client's.
    pub(crate) async fn submit(
        &self,
        entry: &Arc<Entry>,
        connection: ConnectionId,
        address: IpAddr,
        caller: Result<Option<Principal>, Fault>,
        ask: Ask,
    ) -> Progress {
        let Ask { echo, proof: _, authority, tag, command } = ask;
        let submission = Submission {
            entry: entry.clone(),
            started: Instant::now(),
            operation: command.name(),
            echo,
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(fault) => return Progress::Answered(submission.answer(None, Err(fault))),
        };
        let origin = Some(Origin { connection, dialect: entry.id(), tag });
        match self
            .engine
            .submit(Request { caller, authority, origin, address: Some(address), command })
            .await
        {
            Submitted::Done(Handled { principal, outcome, afterwards }) => {
                if let Some(afterwards) = afterwards {
                    self.tasks.spawn(afterwards);
                }
                Progress::Answered(submission.answer(principal, outcome))
            }
            Submitted::Sending(sending) => Progress::Sending(Box::pin(async move {
                let Handled { principal, outcome, .. } = sending.await;
                submission.answer(principal, outcome)
            })),
        }
    }
}

/// What came of an ask, and who the caller is now.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) principal: Option<Principal>,
}

/// How far an ask has come.
pub(crate) enum Progress {
    Answered(Answered),
    /// A message that is being committed. What is asked later is not done before it.
    Sending(Sending),
}

impl Progress {
    /// Waits until the ask is answered.
    pub(crate) async fn answered(self) -> Answered {
        match self {
            Self::Answered(answered) => answered,
            Self::Sending(sending) => sending.await,
        }
    }
}

/// Waits until a message is committed.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// An ask that is being carried out, as it is measured and answered.
struct Submission {
    entry: Arc<Entry>,
    started: Instant,
    operation: &'static str,
    echo: Echo,
}

impl Submission {
    fn answer(self, principal: Option<Principal>, outcome: Result<Answer, Fault>) -> Answered {
        let Self { entry, started, operation, echo } = self;
        let result = outcome.as_ref().map_or_else(Fault::name, |_| "ok");
        entry.metrics.asked(operation, result, started.elapsed());
        tracing::debug!(
            dialect = entry.id(),
            operation,
            result,
            user = principal.map(|it| it.identity.user.get()),
            "asked"
        );
        Answered {
            reply: Reply { echo, identity: principal.map(|principal| principal.identity), outcome },
            principal,
        }
    }
}
