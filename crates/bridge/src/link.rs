//! The connection of one client, or of one login's HTTP requests, to the upstream: a task that
//! carries out requests one after the other, and receives events.

use crate::deliveries::Deliveries;
use crate::session::Session;
use crate::shared::Shared;
use crate::transport::Transport;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{ConnectionId, Credentials, Fault};
use tolmach_server::{EventSink, UpstreamOutcome};

/// Something that a link is to do.
pub(crate) enum Job {
    /// Carry out a request, as this login.
    Request {
        session: Option<Arc<Session>>,
        request: Box<Request>,
        reply: oneshot::Sender<UpstreamOutcome>,
    },
    /// Prove a token that the bridge does not know.
    Prove { credentials: Credentials, reply: oneshot::Sender<Result<Arc<Session>, Fault>> },
    /// Receive the events of a subscription.
    Subscribe { session: Option<Arc<Session>>, subscription: Subscription },
}

/// A link. It ends when the last of its handles is dropped.
#[derive(Clone)]
pub(crate) struct Link(mpsc::UnboundedSender<Job>);

impl Link {
    /// Starts a link. Nothing is sent before its first job. The server bounds the requests of a
    /// connection, so that the jobs need no bound of their own.
    pub(crate) fn start(
        shared: Arc<Shared>,
        client: (ConnectionId, &'static str),
        sink: Option<EventSink>,
    ) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        tokio::spawn(LinkTask::new(shared, client, sink).run(jobs));
        Self(sender)
    }

    /// Has the link do something after all that it was given before.
    pub(crate) fn give(&self, job: Job) {
        // The task ends only after its last handle.
        let _ = self.0.send(job);
    }
}

/// The events that a link's client wants.
pub(crate) struct Wanted {
    pub(crate) session: Arc<Session>,
    pub(crate) subscription: Subscription,
}

/// The task of a link.
pub(crate) struct LinkTask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: Transport,
    pub(crate) deliveries: Deliveries,
    wanted: Option<Wanted>,
    /// The time of the next attempt to receive events again.
    retry_at: Option<Instant>,
    backoff: Duration,
}

impl LinkTask {
    fn new(
        shared: Arc<Shared>,
        client: (ConnectionId, &'static str),
        sink: Option<EventSink>,
    ) -> Self {
        let connection = shared.new_connection();
        let (wires, options) = (shared.wires.clone(), shared.options.clone());
        Self {
            transport: Transport::new(wires, options, connection),
            deliveries: Deliveries::new(sink, client, shared.directory.clone()),
            wanted: None,
            retry_at: None,
            backoff: shared.options.min_backoff,
            shared,
        }
    }

    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        loop {
            let look = Instant::now() + self.shared.options.ping_interval;
            timer.as_mut().reset(self.retry_at.map_or(look, |retry| retry.min(look)));
            let is_open = !self.transport.is_closed();
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => self.handle(job).await,
                    None => break,
                },
                alive = self.transport.receive(&mut self.deliveries), if is_open => {
                    self.deliveries.room().await;
                    if !alive {
                        self.lost();
                    }
                }
                () = timer.as_mut() => self.look().await,
            }
        }
        self.transport.close().await;
    }

    async fn handle(&mut self, job: Job) {
        match job {
            Job::Request { session, request, reply } => {
                let outcome = self.carry_out(session, *request).await;
                // The client may be gone.
                let _ = reply.send(outcome);
            }
            Job::Prove { credentials, reply } => {
                let _ = reply.send(self.prove(credentials).await);
            }
            Job::Subscribe { session, subscription } => {
                let session = session.filter(|_| subscription != Subscription::None);
                self.wanted = session.map(|session| Wanted { session, subscription });
                self.begin_to_receive(false).await;
            }
        }
    }

    async fn look(&mut self) {
        if !self.transport.keep_alive().await {
            self.lost();
        }
        if self.retry_at.is_some_and(|retry| Instant::now() >= retry) {
            self.begin_to_receive(true).await;
        }
    }

    /// A socket has ended: events may be missed from now on.
    pub(crate) fn lost(&mut self) {
        if self.wanted.is_some() && self.retry_at.is_none() {
            self.retry_at = Some(Instant::now() + self.backoff);
        }
    }

    /// Has the upstream push what the client wants and, `again`, gives the client what it missed.
    async fn begin_to_receive(&mut self, again: bool) {
        let Some(Wanted { session, subscription }) = &self.wanted else {
            self.retry_at = None;
            return;
        };
        let (session, subscription) = (session.clone(), *subscription);
        if self.receive_as(&session, subscription, again).await {
            (self.retry_at, self.backoff) = (None, self.shared.options.min_backoff);
            if again {
                self.catch_up(&session).await;
            }
        } else {
            self.backoff = (self.backoff * 2).min(self.shared.options.max_backoff);
            self.retry_at = Some(Instant::now() + self.backoff);
        }
    }
}
