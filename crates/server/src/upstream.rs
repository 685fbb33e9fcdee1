//! The seam to another server, which carries out requests in the engine's place.
//!
//! A connection asks three things of its engine: to prove credentials, to carry out a request, and
//! for the events that its session wants. [`UpstreamConnection`] is that for a server with an
//! [`Upstream`]; everything else is the same for both: reading, places, budgets, pipelines and
//! write buffers. Events come by the send queue of the connection, as those of the hub do.

use crate::backlog::{Backlogs, FlowBacklog};
use crate::broadcast::Broadcast;
use crate::hub::Subscriber;
use crate::sync::lock;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, Event, Fault, FlowId, FlowSummary,
    Secret, SessionId,
};
use tolmach_engine::Principal;

/// Another server, which carries out the requests of a server's connections in the
/// engine's place.
pub trait Upstream: Send + Sync + 'static {
    /// The side of a new connection towards the upstream. Nothing is sent before its first request.
    fn open(&self, client: UpstreamClient) -> Box<dyn UpstreamConnection>;

    /// The problem of the latest attempt to reach the upstream, if that failed: for the readiness
    /// page.
    fn last_error(&self) -> Option<String>;

    /// True if a client has got this token by way of this upstream, from this process.
    fn has_token(&self, _token: &Secret) -> bool {
        false
    }

    /// The login of the user of a session, as the client gave it if it has logged in here.
    fn login(&self, _session: SessionId) -> Option<String> {
        None
    }

    /// Reserves room for the copy of a request that the engine is about to carry out, to make it at
    /// the upstream too and compare the answers. `None` if there is none. Never waits.
    fn begin_mirror(&self, _command: &Command) -> Option<Box<dyn MirrorSlot>> {
        None
    }

    /// Drops the copies that wait.
    fn end_mirror(&self) {}
}

/// Room for the copy of one request. Dropped if the engine does not carry the request out.
pub trait MirrorSlot: Send + Sync {
    /// Takes a request that the engine has carried out, and the engine's answer or the fault that
    /// it was refused with. Never waits: what there is no room for is dropped.
    fn fill(self: Box<Self>, request: MirroredRequest, outcome: &Result<Answer, Fault>);
}

/// A request for an upstream that mirrors it: the engine has carried it out for a user who was
/// proven, or it is a granted login or registration, or the granted deletion of an account.
pub struct MirroredRequest {
    /// The login of its user, in lower case.
    pub login: Arc<str>,
    /// The id of the dialect of its connection.
    pub dialect: &'static str,
    /// The authority that it claims.
    pub authority: Authority,
    /// The request, with the ids of the engine.
    pub command: Command,
    /// The flows of its user at the engine, which are read when this is awaited; `None` where they
    /// cannot be read.
    pub flows: BoxFuture<'static, Option<Vec<FlowSummary>>>,
}

/// A client's connection, as its upstream is told of it.
pub struct UpstreamClient {
    /// The number of the connection.
    pub connection: ConnectionId,
    /// The id of the connection's dialect.
    pub dialect: &'static str,
    /// The way of events to the connection; `None` for an HTTP request, which gets none.
    pub events: Option<EventSink>,
}

/// The side of one connection, or of one HTTP request, towards an upstream. What it holds ends when
/// it is dropped.
pub trait UpstreamConnection: Send {
    /// Proves a token. Not called for credentials without one.
    fn authenticate(
        &mut self,
        credentials: Credentials,
    ) -> BoxFuture<'static, Result<Principal, Fault>>;

    /// Carries out a request of a proven caller.
    ///
    /// - It is on its way when this returns: later requests of the connection follow it.
    /// - Dropping the future does not cancel it.
    fn submit(
        &mut self,
        caller: Option<Principal>,
        request: Request,
    ) -> BoxFuture<'static, UpstreamOutcome>;

    /// The events that the connection wants from now on, as `caller`.
    fn subscribe(&mut self, caller: Option<SessionId>, subscription: Subscription);
}

/// A request that an upstream carried out.
pub struct UpstreamOutcome {
    /// The identity of the caller afterwards: for a login, the user who is logged in now.
    pub principal: Option<Principal>,
    /// The answer, or the fault that the request was refused with.
    pub outcome: Result<Answer, Fault>,
}

/// The way of an upstream's events to one connection.
#[derive(Clone)]
pub struct EventSink(Arc<Sink>);

struct Sink {
    subscriber: Arc<Subscriber>,
    /// The events that the connection has not encoded yet.
    backlog: Arc<FlowBacklog>,
    /// The latest flow that the connection was answered with, for dialects that need it.
    summary: Mutex<Option<Arc<FlowSummary>>>,
    /// False if the connection's session skips the events that its own requests cause.
    wants_own: AtomicBool,
}

impl EventSink {
    /// A sink that lags while more than `limit` bytes of events wait.
    pub(crate) fn new(subscriber: Arc<Subscriber>, limit: usize) -> Self {
        let backlog = FlowBacklog::new(Backlogs::new(limit));
        Self(Arc::new(Sink {
            subscriber,
            backlog,
            summary: Mutex::default(),
            wants_own: AtomicBool::new(true),
        }))
    }

    /// Gives the connection an event. Its session gets it if the subscription covers it.
    pub fn push(&self, event: Event) {
        let Sink { subscriber, backlog, .. } = &*self.0;
        let summary = event.flow().and_then(|flow| self.summary(flow));
        let broadcast = Broadcast::of_flow(Arc::new(event), summary, backlog);
        if subscriber.queue.push(&[Arc::new(broadcast)]) {
            subscriber.queue.flush_inline();
        }
    }

    /// True if the connection wants the event of a change that it has requested itself.
    pub fn wants_own(&self) -> bool {
        self.0.wants_own.load(Ordering::Relaxed)
    }

    /// Notes if the connection's session has a use for the events of its own changes.
    pub(crate) fn set_wants_own(&self, wants_own: bool) {
        self.0.wants_own.store(wants_own, Ordering::Relaxed);
    }

    /// Waits until the connection has encoded enough of what it was given.
    pub async fn room(&self) {
        if self.0.backlog.is_lagging() {
            self.0.backlog.wait_until_drained().await;
        }
    }

    /// Notes the flow of an answer. Frames made of it are for all members: it has no contact data.
    pub(crate) fn put_summary(&self, summary: &FlowSummary) {
        let mut shared = summary.clone();
        shared.remove_contacts();
        *lock(&self.0.summary) = Some(Arc::new(shared));
    }

    /// The flow that was noted last, if it is this one.
    pub(crate) fn summary(&self, flow: FlowId) -> Option<Arc<FlowSummary>> {
        lock(&self.0.summary).clone().filter(|summary| summary.flow.id == flow)
    }
}

/// The connection's own side of the seam.
pub(crate) struct UpstreamSide {
    pub(crate) connection: Box<dyn UpstreamConnection>,
    /// `None` for an HTTP request.
    pub(crate) events: Option<EventSink>,
    /// The login as which the upstream pushes events.
    pub(crate) received_as: Option<SessionId>,
}

impl UpstreamSide {
    /// Proves credentials as the engine does. `bound` is the meaning of
    /// [`Credentials::Connection`].
    pub(crate) async fn authenticate(
        &mut self,
        credentials: &Credentials,
        bound: Option<&Principal>,
    ) -> Result<Option<Principal>, Fault> {
        match credentials {
            Credentials::Nothing => Ok(None),
            Credentials::Connection => bound.copied().ok_or(Fault::Unauthenticated).map(Some),
            Credentials::Token(_) | Credentials::TokenOf(..) | Credentials::Bearer(_) => {
                self.connection.authenticate(credentials.clone()).await.map(Some)
            }
        }
    }
}
