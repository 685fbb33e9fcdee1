//! One WebSocket connection: one task, and one flush for everything that waits.
//!
//! Requests are carried out in order. Messages of one user follow each other to the store without
//! waiting for each other's commit; any other request waits until all before it are answered.
//!
//! The connection's task ends a peer that is too slow, and no one else does, because only the task
//! knows what the socket takes: a peer is slow if its socket accepts nothing for the time of a
//! pong, or if more encoded events wait than the send queue may hold while the socket does not take
//! them. Events that the task has not looked at never make a peer slow. While the task waits for
//! the socket it goes on encoding events, so that they do not stay in the backlog of their flow.

use super::end::{CLOSE_TIMEOUT, CloseReason, End, close_socket};
use super::session::ConnectionSession;
use super::step::{AuthContext, Step};
use crate::broadcast::Broadcast;
use crate::metrics;
use crate::send_queue::Taken;
use crate::stream::Writer;
use crate::submission::{Completed, Outcome, PendingCommit, submit};
use crate::write_buffer::encode;
use bytes::Buf;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::ops::DerefMut;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tolmach_dialect::{Close, Frame, Request, Subscription, Violation, ViolationKind};
use tolmach_domain::Command;

/// The size of the read buffer that every connection has, in bytes. A larger message grows it for
/// as long as it is there.
const READ_BUFFER: usize = 1 << 10;
/// The most messages of one peer that are being committed at once.
const MAX_PENDING: usize = 128;
/// The most bytes of them, unless it is one message.
const MAX_PENDING_BYTES: usize = 256 << 10;

/// The configuration of a WebSocket for messages of at most `max_frame_bytes`.
pub(crate) fn websocket_config(max_frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max_frame_bytes))
        .max_frame_size(Some(max_frame_bytes))
}

/// A connection whose dialect is known.
pub(crate) struct Connection<S> {
    socket: WebSocketStream<S>,
    session: ConnectionSession,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    /// Steps that wait for those before them. Nothing is read while there are any.
    waiting: VecDeque<Step>,
    in_flight: Option<InFlight>,
    /// Messages of one context that are being committed, in the order in which they were sent.
    pending: VecDeque<Pending>,
    /// The content of those messages, in bytes.
    pending_bytes: usize,
    /// The response that waits for the delivery of its flow. Nothing is read meanwhile.
    delayed: Option<Box<Delayed>>,
    /// The time at which responses stop waiting for delivery, while one of them has to.
    delayed_until: Option<Instant>,
    /// True if the WebSocket may have a frame of its own to write, such as a pong.
    unflushed: bool,
    syntax_errors: u32,
    /// Nothing is read before then, because a frame came too early.
    paused_until: Option<Instant>,
    /// The time of the next look at the peer. It is pinged if it was silent for a whole interval.
    next_check: Instant,
    silent: bool,
    pinged: bool,
    /// True if a response had no frame: if its request changed something, the event of that is the
    /// reply.
    reply_comes_as_event: bool,
}

/// A request that is being carried out. Resolves also to the bytes of its content.
type InFlight = BoxFuture<'static, (Outcome, AuthContext, usize)>;

/// A message that is being committed.
struct Pending {
    commit: PendingCommit,
    context: AuthContext,
    bytes: usize,
}

/// A response that waits for the delivery of its flow.
struct Delayed {
    completed: Completed,
    context: AuthContext,
    room: BoxFuture<'static, ()>,
}

/// The reason why a connection's task wakes up.
enum Wakeup {
    Submitted(Outcome, AuthContext, usize),
    Committed(Completed),
    /// The delayed response may go.
    Delivered,
    Events(Taken),
    Received(Option<Result<Message, Error>>),
    Tick,
}

/// The reason why the delivery of events stops before the last one.
enum Interruption {
    Close(Close),
    /// More events wait in the buffer than the bound allows.
    OverBound,
}

/// The result of one step of writing.
enum Progress {
    Written,
    Flushed,
    /// Events came meanwhile.
    Events,
    Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// A connection, boxed because its task would hold it twice otherwise. With a `writer`,
    /// publishers write to the socket while the task waits.
    pub(crate) fn new(
        socket: WebSocketStream<S>,
        writer: Option<Writer>,
        mut session: ConnectionSession,
    ) -> Box<Self> {
        session.send_half().writer = writer;
        let limits = &session.state.limits;
        let quota = Quota::per_second(limits.frames_per_second).allow_burst(limits.frame_burst);
        let next_check = Instant::now() + session.state.keepalive.ping_interval;
        Box::new(Self {
            socket,
            session,
            limiter: RateLimiter::direct_with_clock(quota, MonotonicClock),
            waiting: VecDeque::new(),
            in_flight: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            delayed: None,
            delayed_until: None,
            unflushed: false,
            syntax_errors: 0,
            paused_until: None,
            next_check,
            silent: false,
            pinged: false,
            reply_comes_as_event: false,
        })
    }

    /// Serves the connection until it ends: first these frames are written, then a frame that was
    /// read already is handled.
    pub(crate) async fn run(mut self: Box<Self>, frames: Vec<Frame>, first: Option<Box<Frame>>) {
        let dialect = self.session.dialect().clone();
        dialect.metrics.connections.increment(1.0);
        dialect.metrics.connections_total.increment(1);
        self.push_responses(frames);
        let Err(end) = match self.begin(first).await {
            Ok(()) => self.serve().await,
            Err(end) => Err(end),
        };
        dialect.metrics.connections.decrement(1.0);
        // A peer that answers the close late must not hold the backlog of a flow.
        self.session.disconnect();
        if let End::Close(close, reason) = end {
            dialect.metrics.closed(reason);
            let buffer = &mut self.session.send_half().buffer;
            buffer.abandon();
            Box::pin(close_socket(&mut self.socket, buffer, close)).await;
        }
    }

    /// Boxed like everything that happens once or rarely: an idle connection has no memory for it.
    fn begin(&mut self, first: Option<Box<Frame>>) -> BoxFuture<'_, Result<(), End>> {
        Box::pin(async move {
            self.write().await?;
            if let Some(frame) = first {
                self.handle(*frame).await?;
                // Responses that are there at once do not wait for the next wakeup.
                self.write().await?;
            }
            Ok(())
        })
    }

    /// Runs until the connection ends.
    async fn serve(&mut self) -> Result<Infallible, End> {
        let subscriber = self.session.subscriber.clone();
        let mut taken: Vec<Arc<Broadcast>> = Vec::new();
        let mut going_away = false;
        let mut armed = self.next_check;
        let timer = sleep_until(armed);
        tokio::pin!(timer);
        loop {
            let wanted = [self.paused_until, self.session.expires]
                .into_iter()
                .flatten()
                .fold(self.next_check, Instant::min);
            if wanted != armed {
                armed = wanted;
                timer.as_mut().reset(armed);
            }
            let idle =
                self.in_flight.is_none() && self.pending.is_empty() && self.delayed.is_none();
            if idle && going_away {
                return Err(Box::pin(self.finish()).await);
            }
            let reading = self.is_reading();
            let parks =
                idle && !going_away && !self.unflushed && self.session.send_half().is_idle();
            let wait = |context: &mut Context<'_>| {
                if let Some(in_flight) = &mut self.in_flight
                    && let Poll::Ready((outcome, auth, bytes)) = in_flight.as_mut().poll(context)
                {
                    return Poll::Ready(Wakeup::Submitted(outcome, auth, bytes));
                }
                if let Some(delayed) = &mut self.delayed {
                    if delayed.room.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Wakeup::Delivered);
                    }
                } else if let Some(pending) = self.pending.front_mut()
                    && let Poll::Ready(completed) = pending.commit.as_mut().poll(context)
                {
                    return Poll::Ready(Wakeup::Committed(completed));
                }
                // The order to close is taken once; events still come after it.
                let queue = &subscriber.queue;
                let result = if going_away {
                    queue.poll_take_events(context, &mut taken).map(|()| Taken::Events)
                } else {
                    queue.poll_take(context, &mut taken)
                };
                if let Poll::Ready(result) = result {
                    return Poll::Ready(Wakeup::Events(result));
                }
                if reading && let Poll::Ready(message) = self.socket.poll_next_unpin(context) {
                    return Poll::Ready(Wakeup::Received(message));
                }
                timer.as_mut().poll(context).map(|()| Wakeup::Tick)
            };
            let wakeup =
                subscriber.queue.park_while(&mut self.session.send_half, parks, wait).await;
            going_away |= matches!(wakeup, Some(Wakeup::Events(Taken::GoingAway)));
            if let Some(next) = self.wake_up(wakeup, &mut taken) {
                next.await?;
            }
            if !self.session.send_half().buffer.is_empty() {
                self.write().await?;
            }
        }
    }

    /// Handles a wakeup. Boxed except for events: a connection that waits has no memory for the
    /// rest.
    fn wake_up(
        &mut self,
        wakeup: Option<Wakeup>,
        taken: &mut Vec<Arc<Broadcast>>,
    ) -> Option<BoxFuture<'_, Result<(), End>>> {
        match wakeup {
            Some(Wakeup::Submitted(outcome, context, bytes)) => {
                Some(Box::pin(self.submitted(outcome, context, bytes)))
            }
            Some(Wakeup::Committed(completed)) => Some(Box::pin(self.committed(completed))),
            Some(Wakeup::Delivered) => Some(Box::pin(self.delivered())),
            Some(Wakeup::Events(_)) => self.deliver(taken),
            Some(Wakeup::Received(message)) => Some(Box::pin(self.received(message))),
            Some(Wakeup::Tick) => Some(Box::pin(self.tick())),
            // A publisher left something: a close, or a buffer that the loop writes next.
            None => {
                let send_half = self.session.send_half();
                let over_bound = send_half.is_over_bound();
                match send_half.close.take() {
                    Some(close) => Some(Box::pin(self.end(close, "ended"))),
                    None if over_bound => Some(Box::pin(self.make_room())),
                    None => None,
                }
            }
        }
    }

    // Reading

    fn is_reading(&self) -> bool {
        self.in_flight.is_none()
            && self.waiting.is_empty()
            && self.delayed.is_none()
            && self.pending.len() < MAX_PENDING
            && self.pending_bytes < MAX_PENDING_BYTES
            && self.paused_until.is_none()
    }

    /// Handles what the socket gave, or that it gives nothing more.
    async fn received(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        (self.silent, self.pinged) = (false, false);
        self.paused_until = self.pause();
        match message.transpose() {
            Ok(Some(Message::Text(text))) => self.handle(Frame::Text(text.into())).await,
            Ok(Some(Message::Binary(bytes))) => self.handle(Frame::Binary(bytes)).await,
            Ok(Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.unflushed = true;
                Ok(())
            }
            Ok(None | Some(Message::Close(_))) => self.enqueue(Step::End(End::Gone)).await,
            Err(error) => self.enqueue(Step::End(error.into())).await,
        }
    }

    /// Counts a frame. Returns the time before which nothing more is read, if it came too early.
    fn pause(&self) -> Option<Instant> {
        let not_until = self.limiter.check().err()?;
        Some(Instant::now() + not_until.wait_time_from(MonotonicClock.now()))
    }

    /// Handles one frame of the peer.
    async fn handle(&mut self, frame: Frame) -> Result<(), End> {
        let dialect = self.session.dialect();
        dialect.metrics.frames_in.increment(1);
        dialect.metrics.bytes_in.increment(frame.payload().len() as u64);
        if frame.payload().len() > dialect.max_frame_bytes {
            let close = Close::new(1009, "the message is too large");
            return self.enqueue(Step::End(End::Close(close, "too_large"))).await;
        }
        let mut requests = Vec::new();
        let now = self.session.state.engine.now();
        match self.session.session().decode(now, &frame, &mut requests) {
            Ok(()) => {
                self.syntax_errors = 0;
                for request in requests {
                    self.enqueue(Step::Request(request)).await?;
                }
                Ok(())
            }
            Err(violation) => self.enqueue(Step::Reject(violation)).await,
        }
    }

    // Steps

    /// Runs a step, or keeps it until those before it are done.
    async fn enqueue(&mut self, step: Step) -> Result<(), End> {
        if self.waiting.is_empty() && self.may_run(&step) {
            return self.run_step(step).await;
        }
        self.waiting.push_back(step);
        Ok(())
    }

    /// Runs the steps that wait, in their order.
    async fn run_waiting(&mut self) -> Result<(), End> {
        while let Some(step) = self.waiting.pop_front() {
            if !self.may_run(&step) {
                self.waiting.push_front(step);
                return Ok(());
            }
            self.run_step(step).await?;
        }
        // A connection that waits has no memory for this either.
        self.waiting = VecDeque::new();
        Ok(())
    }

    /// True if a step may run now. Messages of one context follow each other to the store, which
    /// keeps their order, without waiting for each other's commit; all other steps wait until
    /// everything before them is answered.
    fn may_run(&self, step: &Step) -> bool {
        if self.in_flight.is_some() || self.delayed.is_some() {
            return false;
        }
        let Some(Pending { context, .. }) = self.pending.back() else { return true };
        match step {
            Step::Request(request) => {
                matches!(request.command, Command::Send(_))
                    && context.is_of(request)
                    && self.pending.len() < MAX_PENDING
                    && self.pending_bytes + content_size(&request.command) <= MAX_PENDING_BYTES
            }
            Step::Reject(_) | Step::End(_) => false,
        }
    }

    async fn run_step(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Request(request) => self.carry_out(request).await,
            Step::Reject(violation) => self.reject(violation).await?,
            Step::End(End::Close(close, reason)) => return self.end(close, reason).await,
            Step::End(End::Gone) => return Err(End::Gone),
        }
        Ok(())
    }

    async fn carry_out(&mut self, mut request: Request) {
        let context = AuthContext::take(&mut request);
        let caller = self.session.authenticate(&context).await;
        let (state, requester) = (self.session.state.clone(), self.session.requester.clone());
        let bytes = content_size(&request.command);
        let mut submitted: InFlight =
            Box::pin(
                async move { (submit(&state, &requester, caller, request).await, context, bytes) },
            );
        // A request that is carried out at once does not wait for the next wakeup.
        match poll_once(&mut submitted).await {
            Some((outcome, context, bytes)) => self.proceed(outcome, context, bytes).await,
            None => self.in_flight = Some(submitted),
        }
    }

    async fn reject(&mut self, violation: Violation) -> Result<(), End> {
        let dialect = self.session.dialect();
        dialect.metrics.violation(violation.kind.name());
        tracing::debug!(dialect = dialect.id(), kind = violation.kind.name(), "frame rejected");
        self.push_responses(violation.answer);
        if let Some(close) = violation.close {
            return self.end(close, "violation").await;
        }
        self.syntax_errors =
            if violation.kind == ViolationKind::Syntax { self.syntax_errors + 1 } else { 0 };
        if self.syntax_errors >= self.session.state.limits.max_syntax_errors {
            let close = Close::new(1008, "too many frames that are not JSON");
            return self.end(close, "syntax").await;
        }
        Ok(())
    }

    // Responses

    /// Goes on after a request whose submission had to be waited for.
    async fn submitted(
        &mut self,
        outcome: Outcome,
        context: AuthContext,
        bytes: usize,
    ) -> Result<(), End> {
        self.in_flight = None;
        self.proceed(outcome, context, bytes).await;
        self.run_waiting().await
    }

    /// Responds to a request once everything before it is answered.
    async fn proceed(&mut self, outcome: Outcome, context: AuthContext, bytes: usize) {
        let commit: PendingCommit = match outcome {
            Outcome::Completed(completed) if self.pending.is_empty() => {
                self.respond_or_delay(completed, context).await;
                return;
            }
            Outcome::Completed(completed) => Box::pin(std::future::ready(completed)),
            Outcome::Pending(commit) => commit,
        };
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { commit, context, bytes });
    }

    /// Responds to the first pending message, and to those after it that are committed too.
    async fn committed(&mut self, first: Completed) -> Result<(), End> {
        let mut next = Some(first);
        while let Some(completed) = next.take()
            && let Some(Pending { context, bytes, .. }) = self.pending.pop_front()
        {
            self.pending_bytes -= bytes;
            if !self.respond_or_delay(completed, context).await {
                return Ok(());
            }
            next = self.poll_first_pending().await;
        }
        self.run_waiting().await
    }

    /// Responds to the request whose flow was delivered, or which has waited long enough.
    async fn delivered(&mut self) -> Result<(), End> {
        if let Some(delayed) = self.delayed.take() {
            self.respond(delayed.completed, delayed.context).await;
        }
        match self.poll_first_pending().await {
            Some(completed) => self.committed(completed).await,
            None => self.run_waiting().await,
        }
    }

    async fn poll_first_pending(&mut self) -> Option<Completed> {
        match self.pending.front_mut() {
            Some(pending) => poll_once(&mut pending.commit).await,
            None => None,
        }
    }

    /// Responds to a request, unless the delivery of the flow that it changed lags: then its
    /// response waits. Returns whether it was sent.
    ///
    /// Consecutive responses of one connection wait until one common time, so that none of them
    /// waits longer than the bound after its commit.
    async fn respond_or_delay(&mut self, completed: Completed, context: AuthContext) -> bool {
        let Some(backlog) = completed.lagging_backlog(&self.session.state) else {
            self.delayed_until = None;
            self.respond(completed, context).await;
            return true;
        };
        let now = Instant::now();
        let max_delay = self.session.state.max_response_delay;
        let until = *self.delayed_until.get_or_insert(now + max_delay);
        if until <= now {
            if self.pending.is_empty() {
                self.delayed_until = None;
            }
            self.respond(completed, context).await;
            return true;
        }
        metrics::response_delayed();
        let room = Box::pin(async move {
            // A server that is stuck must not stop its writers for ever.
            let _ = timeout_at(until, backlog.wait_for_room()).await;
        });
        self.delayed = Some(Box::new(Delayed { completed, context, room }));
        false
    }

    async fn respond(&mut self, completed: Completed, context: AuthContext) {
        let mut frames = Vec::new();
        let granted = completed.response.outcome.is_ok();
        self.session.respond(completed, &context, &mut frames).await;
        self.reply_comes_as_event |= granted && frames.is_empty();
        self.push_responses(frames);
    }

    fn push_responses(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let buffer = &mut self.session.send_half().buffer;
        frames.into_iter().for_each(|frame| buffer.push_response(encode(frame)));
    }

    // Events

    /// Delivers events. Resolves at once where nothing is left to wait for.
    fn deliver(
        &mut self,
        taken: &mut Vec<Arc<Broadcast>>,
    ) -> Option<BoxFuture<'_, Result<(), End>>> {
        let interruption = self.deliver_some(taken)?;
        let rest = std::mem::take(taken);
        Some(Box::pin(self.deliver_rest(interruption, rest)))
    }

    /// Delivers events until one of them closes the connection, or more wait in the buffer than the
    /// bound allows. The events after that one stay in `taken`.
    fn deliver_some(&mut self, taken: &mut Vec<Arc<Broadcast>>) -> Option<Interruption> {
        let mut delivered = 0;
        let interruption = taken.iter().find_map(|broadcast| {
            delivered += 1;
            let close = self.session.deliver(broadcast).map(Interruption::Close);
            let over_bound =
                || self.session.send_half().is_over_bound().then_some(Interruption::OverBound);
            close.or_else(over_bound)
        });
        taken.drain(..delivered);
        interruption
    }

    async fn deliver_rest(
        &mut self,
        mut interruption: Interruption,
        mut rest: Vec<Arc<Broadcast>>,
    ) -> Result<(), End> {
        loop {
            match interruption {
                Interruption::Close(close) => return self.end(close, "ended").await,
                Interruption::OverBound => self.make_room().await?,
            }
            match self.deliver_some(&mut rest) {
                Some(next) => interruption = next,
                None => return Ok(()),
            }
        }
    }

    /// Writes what the socket takes at once, because more events wait than the bound allows. Ends
    /// the connection if the socket does not take enough.
    async fn make_room(&mut self) -> Result<(), End> {
        // Lets the I/O driver run: a socket that has room again is not known to before.
        yield_now().await;
        let over_bound = poll_fn(|context| {
            while self.session.send_half().is_over_bound() {
                match self.poll_write(context) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(true)),
                }
            }
            Poll::Ready(Ok(false))
        });
        if over_bound.await? { Err(self.end_by(CloseReason::SlowReader)) } else { Ok(()) }
    }

    // Writing

    /// Writes everything that waits. Ends the connection if the peer is too slow.
    async fn write(&mut self) -> Result<(), End> {
        // Most of the time the socket takes everything at once. A frame that the WebSocket has
        // begun comes first.
        if !self.unflushed && self.session.send_half().write_inline() {
            return Ok(());
        }
        Box::pin(self.write_slowly()).await
    }

    async fn write_slowly(&mut self) -> Result<(), End> {
        let subscriber = self.session.subscriber.clone();
        let limit = self.session.state.keepalive.pong_timeout;
        let mut deadline = Instant::now() + limit;
        let mut timer = pin!(sleep_until(deadline));
        let mut taken = Vec::new();
        let mut closing = None;
        loop {
            let wanted = self.session.expires.map_or(deadline, |expires| expires.min(deadline));
            if timer.deadline() != wanted {
                timer.as_mut().reset(wanted);
            }
            let progress = poll_fn(|context| {
                if let Poll::Ready(progress) = self.poll_write(context) {
                    return Poll::Ready(progress);
                }
                if subscriber.queue.poll_take_events(context, &mut taken).is_ready() {
                    return Poll::Ready(Ok(Progress::Events));
                }
                timer.as_mut().poll(context).map(|()| Ok(Progress::Tick))
            });
            match progress.await? {
                Progress::Written => deadline = Instant::now() + limit,
                Progress::Flushed => break,
                Progress::Tick if Instant::now() >= deadline => {
                    return Err(self.end_by(CloseReason::SlowReader));
                }
                Progress::Tick => self.expire().await?,
                Progress::Events => {
                    while let Some(interruption) = self.deliver_some(&mut taken) {
                        match interruption {
                            Interruption::OverBound => self.make_room().await?,
                            Interruption::Close(close) => {
                                closing = Some(close);
                                subscriber.queue.close();
                                taken.clear();
                            }
                        }
                    }
                }
            }
        }
        match closing {
            Some(close) => Err(End::Close(close, "ended")),
            None => Ok(()),
        }
    }

    /// Writes once.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<Progress, End>> {
        if self.unflushed {
            ready!(self.socket.poll_flush_unpin(context))?;
            self.unflushed = false;
        }
        let send_half = self.session.send_half();
        let before = (send_half.buffer.len(), send_half.buffer.remaining());
        let written = ready!(send_half.buffer.poll_write_to(context, self.socket.get_mut()))?;
        if written > 0 {
            send_half.count_written(before);
            return Poll::Ready(Ok(Progress::Written));
        }
        ready!(Pin::new(self.socket.get_mut()).poll_flush(context))?;
        Poll::Ready(Ok(Progress::Flushed))
    }

    // The end

    /// Ends the connection after what waits was written.
    async fn end(&mut self, close: Close, reason: &'static str) -> Result<(), End> {
        self.session.subscriber.queue.close();
        self.write().await?;
        Err(End::Close(close, reason))
    }

    fn end_by(&self, reason: CloseReason) -> End {
        reason.end(self.session.dialect().manifest().close_codes)
    }

    /// Ends the connection because the server shuts down, after everything that it has to send was
    /// written: the events that wait, and those that are the replies to its requests.
    async fn finish(&mut self) -> End {
        match self.write_rest().await {
            Ok(()) => self.end_by(CloseReason::GoingAway),
            Err(end) => end,
        }
    }

    async fn write_rest(&mut self) -> Result<(), End> {
        let (state, subscriber) = (self.session.state.clone(), self.session.subscriber.clone());
        let mut taken = Vec::new();
        if let (true, Subscription::Flow(flow)) =
            (self.reply_comes_as_event, self.session.send_half().subscription)
            && let Ok(Some(version)) = state.engine.flow_version(flow).await
        {
            let deadline = Instant::now() + CLOSE_TIMEOUT;
            while !state.hub.has_sent(&subscriber, flow, version)
                && timeout_at(deadline, subscriber.queue.take_events(&mut taken)).await.is_ok()
            {
                if let Some(rest) = self.deliver(&mut taken) {
                    rest.await?;
                }
            }
        }
        subscriber.queue.try_take(&mut taken);
        if let Some(rest) = self.deliver(&mut taken) {
            rest.await?;
        }
        self.write().await
    }

    // Time

    /// Does what it is time for.
    async fn tick(&mut self) -> Result<(), End> {
        let (now, reading) = (Instant::now(), self.is_reading());
        // The frame that came too early is counted now.
        if self.paused_until.is_some_and(|pause| now >= pause) {
            self.paused_until = self.pause();
        }
        let expired = self.session.expires.is_some_and(|expires| now >= expires);
        if now >= self.next_check || expired {
            self.expire().await?;
        }
        if now >= self.next_check {
            // While nothing is read, silence means nothing.
            if self.pinged && reading {
                return Err(End::Gone);
            }
            self.pinged = self.silent && reading;
            if self.pinged {
                self.send_ping().await?;
            }
            self.silent = true;
            let keepalive = &self.session.state.keepalive;
            let interval =
                if self.pinged { keepalive.pong_timeout } else { keepalive.ping_interval };
            self.next_check = now + interval;
        }
        Ok(())
    }

    /// Ends the session if its credentials have expired, and the connection if its dialect closes
    /// it then.
    async fn expire(&mut self) -> Result<(), End> {
        match self.session.check_expiry().await {
            Some(broadcast) => match self.session.deliver(&broadcast) {
                Some(close) => Err(End::Close(close, "expired")),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    async fn send_ping(&mut self) -> Result<(), End> {
        let limit = self.session.state.keepalive.pong_timeout;
        self.unflushed = true;
        timeout(limit, self.socket.send(Message::Ping(bytes::Bytes::new())))
            .await
            .map_err(|_| End::Gone)?
            .map_err(End::from)
    }
}

/// The bytes of the content of a message to send.
fn content_size(command: &Command) -> usize {
    match command {
        Command::Send(message) => message.content.size(),
        _ => 0,
    }
}

/// Polls a future once.
async fn poll_once<T>(future: &mut Pin<impl DerefMut<Target: Future<Output = T>>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
