//! The connection of one client, or of one login's HTTP requests, to the upstream: a task that
//! carries out requests one after the other, and receives events.

use crate::deliveries::{Deliveries, LastMessage};
use crate::metrics::RequestCounter;
use crate::session::Session;
use crate::shared::Shared;
use crate::transport::Transport;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tolmach_dialect::{Request, Subscription};
use tolmach_domain::{ConnectionId, Credentials, Fault, FlowId};
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
    /// True once the upstream has pushed them: what it tells from then on is news.
    pub(crate) was_received: bool,
}

/// The task of a link.
pub(crate) struct LinkTask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: Transport,
    pub(crate) deliveries: Deliveries,
    pub(crate) counter: RequestCounter,
    wanted: Option<Wanted>,
    /// The last message of each flow at the time when the upstream was lost: messages after it may
    /// be missed.
    pub(crate) missed_after: HashMap<FlowId, LastMessage>,
    /// True if the sockets of another login were closed, and none was opened for this one since.
    has_left: bool,
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
        let numbers = shared.numbers.clone();
        Self {
            transport: Transport::new(wires, options, connection, numbers),
            deliveries: Deliveries::new(sink, client, shared.directory.clone()),
            counter: RequestCounter::default(),
            wanted: None,
            missed_after: HashMap::new(),
            has_left: false,
            retry_at: None,
            backoff: shared.options.min_backoff,
            shared,
        }
    }

    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let ping_interval = self.shared.options.ping_interval;
        let mut ping_at = Instant::now() + ping_interval;
        loop {
            let due = self.retry_at.map_or(ping_at, |retry| retry.min(ping_at));
            // Moving a timer takes the lock of all timers.
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            let is_open = !self.transport.is_closed();
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => self.handle(job).await,
                    None => break,
                },
                () = self.transport.receive(&mut self.deliveries), if is_open => {
                    self.deliveries.room().await;
                }
                () = timer.as_mut() => {
                    if Instant::now() >= ping_at {
                        self.transport.keep_alive().await;
                        ping_at = Instant::now() + ping_interval;
                    }
                    if self.retry_at.is_some_and(|retry| Instant::now() >= retry) {
                        self.begin_to_receive().await;
                    }
                }
            }
            if self.transport.take_ended() {
                self.lost();
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
                if let Some(session) = &session {
                    self.leave_others(session);
                    self.deliveries.set_session(session);
                }
                let session = session.filter(|_| subscription != Subscription::None);
                let was_received = false;
                self.wanted = session.map(|session| Wanted { session, subscription, was_received });
                self.begin_to_receive().await;
            }
        }
    }

    /// Ends what the client receives as another login: its events are not for this one.
    pub(crate) fn leave_others(&mut self, session: &Session) {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.session.id != session.id) {
            self.wanted = None;
            self.retry_at = None;
            self.missed_after.clear();
        }
        self.has_left |= self.transport.leave_others(session.id);
    }

    /// A socket has ended: events may be missed from now on.
    pub(crate) fn lost(&mut self) {
        if self.wanted.is_some() && self.retry_at.is_none() {
            self.note_missed();
            self.retry_at = Some(Instant::now() + self.backoff);
        }
    }

    /// Notes up to where the client has each flow, unless more of it is missed already.
    fn note_missed(&mut self) {
        for (flow, last) in self.deliveries.last_messages() {
            self.missed_after.entry(flow).or_insert(last);
        }
    }

    /// Has the upstream push what the client wants, and gives the client what it missed since the
    /// upstream was lost.
    async fn begin_to_receive(&mut self) {
        self.wanted.take_if(|wanted| wanted.session.is_ended());
        let Some(wanted) = &self.wanted else {
            self.retry_at = None;
            self.missed_after.clear();
            return;
        };
        let (session, subscription) = (wanted.session.clone(), wanted.subscription);
        let must_connect = self.has_left || self.retry_at.is_some();
        if self.receive_as(&session, subscription, wanted.was_received, must_connect).await {
            self.has_left = false;
            (self.retry_at, self.backoff) = (None, self.shared.options.min_backoff);
            // Of the sockets that have ended meanwhile none is needed.
            self.transport.take_ended();
            if let Some(wanted) = &mut self.wanted {
                wanted.was_received = true;
            }
            self.catch_up(&session).await;
        } else {
            self.note_missed();
            self.backoff = (self.backoff * 2).min(self.shared.options.max_backoff);
            self.retry_at = Some(Instant::now() + self.backoff);
        }
    }
}
