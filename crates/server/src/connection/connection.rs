//! One WebSocket connection: one task, and one flush for everything that waits.
//!
//! The connection's task ends a peer that is too slow, and no one else does, because only the task
//! knows what the socket takes: a peer is slow if its socket accepts nothing for the time of a
//! pong, or if more encoded events wait than the send queue may hold while the socket does not take
//! them. Events that the task has not looked at never make a peer slow. While the task waits for
//! the socket it goes on encoding events, so that they do not stay in the backlog of their flow.

use super::end::{CLOSE_TIMEOUT, CloseReason, End, Eviction, close_evicted, close_socket};
use super::inbound::Inbound;
use super::liveness::{Check, Liveness};
use super::pipeline::{Advance, Answered, Pipeline, ReadMarks};
use super::session::ConnectionSession;
use super::step::Step;
use crate::broadcast::Broadcast;
use crate::memory_budget::{Reservation, WaitingBytes};
use crate::send_half::SendHalf;
use crate::send_queue::Taken;
use crate::stream::Writer;
use crate::write_buffer::encode;
use bytes::Buf;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use std::convert::Infallible;
use std::future::{self, Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tolmach_dialect::{Close, Frame, Request, Sender, Subscription, Violation, ViolationKind};

/// The size of the read buffer that every connection has, in bytes. A larger message grows it for
/// as long as it is there.
const READ_BUFFER: usize = 1 << 10;

/// The configuration of a WebSocket for messages of at most `max_frame_bytes`.
pub(crate) fn websocket_config(max_frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max_frame_bytes))
        .max_frame_size(Some(max_frame_bytes))
}

/// A connection whose dialect is known.
pub(crate) struct Connection<S> {
    socket: WebSocketStream<Inbound<S>>,
    session: ConnectionSession,
    pipeline: Pipeline,
    /// The bytes that the requests in the pipeline hold.
    requests: Reservation,
    /// True if the WebSocket may have a frame of its own to write, such as a pong.
    unflushed: bool,
    /// The size of the last frame, in bytes.
    last_frame_bytes: usize,
    syntax_errors: u32,
    liveness: Liveness,
    /// True if a response had no frame: if its request changed something, the event of that is the
    /// reply.
    reply_comes_as_event: bool,
}

/// The reason why a connection's task wakes up.
enum Wakeup {
    Advance(Advance),
    Events(Taken),
    Received(Option<Result<Message, Error>>),
    Tick,
    Evicted(Eviction),
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
        socket: WebSocketStream<Inbound<S>>,
        writer: Option<Writer>,
        mut session: ConnectionSession,
    ) -> Box<Self> {
        session.send_half().writer = writer;
        let requests = socket.get_ref().account().reservation();
        let liveness = Liveness::new(Instant::now(), &session.state.keepalive);
        Box::new(Self {
            socket,
            session,
            pipeline: Pipeline::default(),
            requests,
            unflushed: false,
            last_frame_bytes: 0,
            syntax_errors: 0,
            liveness,
            reply_comes_as_event: false,
        })
    }

    /// Serves the connection until it ends: first these frames are written, then a frame that was
    /// read already is handled.
    pub(crate) async fn run(mut self: Box<Self>, frames: Vec<Frame>, first: Option<Box<Frame>>) {
        let dialect = self.session.dialect().clone();
        let revision = self.session.revision();
        dialect.metrics.connections(revision).increment(1.0);
        dialect.metrics.connections_total.increment(1);
        tracing::debug!(dialect = dialect.id(), revision, "connection opened");
        self.push_responses(frames);
        let Err(end) = match self.begin(first).await {
            Ok(()) => self.serve().await,
            Err(end) => Err(end),
        };
        dialect.metrics.connections(self.session.revision()).decrement(1.0);
        // A peer that answers the close late must not hold the backlog of a flow.
        self.session.disconnect();
        let SendHalf { buffer, recording, .. } = self.session.send_half();
        if let Some(recording) = recording {
            match &end {
                End::Gone => recording.close(Sender::Client, None),
                End::Close(close, _) => recording.close(Sender::Server, Some(close.code)),
                End::Evicted(_) => recording.close(Sender::Server, None),
            }
        }
        buffer.abandon();
        match end {
            End::Gone => {}
            End::Close(close, reason) => {
                dialect.metrics.closed(reason);
                Box::pin(close_socket(&mut self.socket, buffer, close)).await;
            }
            End::Evicted(eviction) => {
                dialect.metrics.closed(eviction.name());
                close_evicted(&mut self.socket, buffer, eviction);
            }
        }
    }

    /// Boxed like everything that happens once or rarely: an idle connection has no memory for it.
    fn begin(&mut self, first: Option<Box<Frame>>) -> BoxFuture<'_, Result<(), End>> {
        Box::pin(async move {
            if self.session.is_refused()
                && let Some(close) = self.session.refused_close()
            {
                return self.end(close, "refused").await;
            }
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
        let mut armed = self.liveness.next_check();
        let timer = sleep_until(armed);
        tokio::pin!(timer);
        loop {
            if !self.session.read_marks.is_empty() {
                // Boxed like everything that happens rarely.
                Box::pin(self.move_read_marks()).await?;
            }
            let reading = self.pipeline.accepts_frames();
            self.prepare_reading(reading);
            let inbound = self.socket.get_ref().next_time().filter(|_| reading);
            let wanted = [inbound, self.session.expires, self.session.proof_deadline]
                .into_iter()
                .flatten()
                .fold(self.liveness.next_check(), Instant::min);
            if wanted != armed {
                armed = wanted;
                timer.as_mut().reset(armed);
            }
            let idle = self.pipeline.is_idle();
            if idle && going_away {
                return Err(Box::pin(self.finish()).await);
            }
            let parks =
                idle && !going_away && !self.unflushed && self.session.send_half().is_idle();
            let wait = |context: &mut Context<'_>| {
                if let Poll::Ready(advance) = self.pipeline.poll(context) {
                    return Poll::Ready(Wakeup::Advance(advance));
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
                if reading {
                    if let Poll::Ready(message) = self.socket.poll_next_unpin(context) {
                        return Poll::Ready(Wakeup::Received(message));
                    }
                    // A pause that has just begun, or the deadline of a message, needs the timer.
                    if self.socket.get_ref().next_time().is_some_and(|time| time < armed) {
                        return Poll::Ready(Wakeup::Tick);
                    }
                }
                if self.requests.account().poll_evicted(context).is_ready() {
                    return Poll::Ready(Wakeup::Evicted(Eviction::Memory));
                }
                if self.session.proof_deadline.is_some()
                    && self.session.place.poll_evicted(context).is_ready()
                {
                    return Poll::Ready(Wakeup::Evicted(Eviction::Place));
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
            Some(Wakeup::Advance(advance)) => Some(Box::pin(self.advanced(advance))),
            Some(Wakeup::Events(_)) => self.deliver(taken),
            Some(Wakeup::Received(message)) => Some(Box::pin(self.received(message))),
            Some(Wakeup::Tick) => Some(Box::pin(self.tick())),
            Some(Wakeup::Evicted(eviction)) => {
                Some(Box::pin(future::ready(Err(End::Evicted(eviction)))))
            }
            // A publisher left something: a close, or a buffer that the loop writes next.
            None => {
                let send_half = self.session.send_half();
                let over_bound = send_half.is_over_bound();
                match send_half.close.take() {
                    Some(close) => Some(Box::pin(self.end(close, "ended"))),
                    None if over_bound => Some(Box::pin(self.flush_below_bound())),
                    None => None,
                }
            }
        }
    }

    // Reading

    /// Tells the stream below the WebSocket what the peer may send now.
    fn prepare_reading(&mut self, reading: bool) {
        let (user, proven) = (self.session.owner(), self.session.proof_deadline.is_none());
        let max_frame_bytes = self.session.dialect().max_frame_bytes;
        let max_unproven_bytes = self.session.state.limits.max_first_frame_bytes;
        let inbound = self.socket.get_mut();
        inbound.traffic().set_user(user);
        inbound.set_bound(if proven {
            max_frame_bytes
        } else {
            max_frame_bytes.min(max_unproven_bytes)
        });
        if !reading {
            // The peer could not finish its message meanwhile.
            inbound.prolong();
        }
    }

    /// Handles what the socket gave, or that it gives nothing more.
    pub(super) async fn received(
        &mut self,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        // Messages that are buffered cost no I/O: without this, the task would not yield between
        // them.
        consume_budget().await;
        self.liveness.received();
        let inbound = self.socket.get_mut();
        let refusal = inbound.refusal();
        inbound.message_taken();
        match message.transpose() {
            Ok(Some(Message::Text(text))) => self.handle(Frame::Text(text.into())).await,
            Ok(Some(Message::Binary(bytes))) => self.handle(Frame::Binary(bytes)).await,
            Ok(Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.unflushed = true;
                Ok(())
            }
            Ok(None | Some(Message::Close(_))) => self.enqueue(Step::End(End::Gone)).await,
            Err(error) => {
                self.enqueue(Step::End(refusal.map_or_else(|| error.into(), End::from))).await
            }
        }
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
        let bytes = frame.payload().len();
        self.reserve_requests(bytes)?;
        let mut requests = Vec::new();
        let now = self.session.state.engine.now();
        let decoded = self.session.session().decode(now, &frame, &mut requests);
        self.session.follow_revision();
        if let Some(recording) = &mut self.session.send_half().recording {
            let known = requests.first().filter(|_| decoded.is_ok());
            recording.received(&frame, known.map(|request| request.command.name()));
        }
        match decoded {
            Ok(()) => {
                self.syntax_errors = 0;
                drop(frame);
                for request in requests {
                    self.enqueue(Step::Request(Box::new(request))).await?;
                }
                // A response that came at once may have led to further requests.
                self.run_waiting().await?;
            }
            Err(violation) => self.enqueue(Step::Reject(violation)).await?,
        }
        self.last_frame_bytes = bytes;
        self.reserve_requests(self.pipeline.held_bytes(bytes))
    }

    /// Reserves what the requests in the pipeline hold.
    fn reserve_requests(&mut self, bytes: usize) -> Result<(), End> {
        self.requests.resize(bytes).map_err(|_| End::Evicted(Eviction::Memory))
    }

    // Steps

    /// Runs a step, or keeps it until those before it are done.
    async fn enqueue(&mut self, step: Step) -> Result<(), End> {
        self.move_read_marks().await?;
        match self.pipeline.admit(step) {
            Some(step) => self.run_step(step).await,
            None => Ok(()),
        }
    }

    /// Runs the steps that wait, in their order.
    async fn run_waiting(&mut self) -> Result<(), End> {
        loop {
            self.move_read_marks().await?;
            match self.pipeline.next_step() {
                Some(step) => self.run_step(step).await?,
                None => return Ok(()),
            }
        }
    }

    async fn run_step(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Request(request) => self.carry_out(request).await,
            Step::Reject(violation) => self.reject(violation).await?,
            Step::End(End::Close(close, reason)) => return self.end(close, reason).await,
            Step::End(end @ (End::Gone | End::Evicted(_))) => return Err(end),
        }
        Ok(())
    }

    async fn carry_out(&mut self, mut request: Box<Request>) {
        let (context, caller) = self.session.begin(&mut request).await;
        let mut in_flight = self.session.submit(caller, context, *request);
        // A request that is carried out at once does not wait for the next wakeup.
        let submitted = poll_fn(|context| Poll::Ready(in_flight.as_mut().poll(context)));
        let answered = match submitted.await {
            Poll::Ready(submitted) => self.pipeline.submitted(submitted),
            Poll::Pending => {
                self.pipeline.start(in_flight);
                None
            }
        };
        if let Some(answered) = answered {
            self.respond_or_delay(answered).await;
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

    /// Goes on after a change of the pipeline.
    pub(super) async fn advanced(&mut self, advance: Advance) -> Result<(), End> {
        match advance {
            Advance::Submitted(Some(answered)) => {
                self.respond_or_delay(answered).await;
            }
            Advance::Submitted(None) | Advance::ReadMarksMoved => {}
            Advance::Committed(answered) => {
                if self.respond_or_delay(answered).await {
                    self.respond_to_committed().await;
                }
            }
            Advance::Delivered(answered) => {
                self.respond(answered).await;
                self.respond_to_committed().await;
            }
        }
        self.run_waiting().await?;
        self.reserve_requests(self.pipeline.held_bytes(self.last_frame_bytes))
    }

    /// Responds to the pending messages that are committed, up to the first one that is not, or
    /// whose response has to wait.
    async fn respond_to_committed(&mut self) {
        loop {
            let committed = poll_fn(|context| Poll::Ready(self.pipeline.poll_committed(context)));
            let Poll::Ready(answered) = committed.await else { return };
            if !self.respond_or_delay(answered).await {
                return;
            }
        }
    }

    /// Responds to a request, unless its response has to wait for delivery. Returns whether it did.
    async fn respond_or_delay(&mut self, answered: Box<Answered>) -> bool {
        let state = &self.session.state;
        let lagging = answered.completed.lagging_backlog(state);
        match self.pipeline.delay(answered, lagging, state.max_response_delay) {
            Some(answered) => {
                self.respond(answered).await;
                true
            }
            None => false,
        }
    }

    async fn respond(&mut self, mut answered: Box<Answered>) {
        let mut frames = Vec::new();
        let granted = answered.completed.response.outcome.is_ok();
        self.session.respond(&mut answered, &mut frames).await;
        let mut requests = Vec::new();
        self.session.session().follow_ups(&mut requests);
        let follow_ups = requests.into_iter().map(|request| Step::Request(Box::new(request)));
        self.pipeline.insert_first(follow_ups);
        if self.session.is_refused() {
            let end = |close| Step::End(End::Close(close, "refused"));
            self.pipeline.insert_first(self.session.refused_close().map(end).into_iter());
        }
        self.reply_comes_as_event |= granted && frames.is_empty();
        self.push_responses(frames);
    }

    /// Begins to move the read marks of responses, once the socket has taken them; later steps wait
    /// for it. A peer that does not take them reads the same messages again when it comes back.
    async fn move_read_marks(&mut self) -> Result<(), End> {
        if self.session.read_marks.is_empty() || self.pipeline.moves_read_marks() {
            return Ok(());
        }
        self.write().await?;
        let state = self.session.state.clone();
        let marks = std::mem::take(&mut self.session.read_marks);
        let mut moving: ReadMarks = Box::pin(async move {
            for mark in marks {
                state.engine.move_read_mark(mark).await;
            }
        });
        // The store begins with them even if the connection ends now.
        if poll_fn(|context| Poll::Ready(moving.as_mut().poll(context))).await.is_pending() {
            self.pipeline.move_read_marks(moving);
        }
        Ok(())
    }

    fn push_responses(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let SendHalf { buffer, recording, .. } = self.session.send_half();
        for frame in frames {
            if let Some(recording) = recording {
                recording.sent(&frame, None);
            }
            buffer.push_response(encode(frame));
        }
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
                Interruption::OverBound => self.flush_below_bound().await?,
            }
            match self.deliver_some(&mut rest) {
                Some(next) => interruption = next,
                None => return Ok(()),
            }
        }
    }

    /// Writes what the socket takes at once, because more events wait than the bound allows. Ends
    /// the connection if the socket does not take enough.
    async fn flush_below_bound(&mut self) -> Result<(), End> {
        // Lets the I/O driver run: a socket that became writable is not known to be so before.
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
        let mut private = self.requests.account().reservation();
        let mut shared = WaitingBytes::new(private.account().clone());
        loop {
            let buffer = &self.session.send_half().buffer;
            let bytes = buffer.private_memory();
            shared.set(buffer.shared_bytes());
            private.resize(bytes).map_err(|_| End::Evicted(Eviction::Memory))?;
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
                if private.account().poll_evicted(context).is_ready() {
                    return Poll::Ready(Err(End::Evicted(Eviction::Memory)));
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
                            Interruption::OverBound => self.flush_below_bound().await?,
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
        let reply_comes_as_event = self.reply_comes_as_event && !self.session.has_upstream();
        if let (true, Subscription::Flow(flow)) =
            (reply_comes_as_event, self.session.send_half().subscription)
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
        let now = Instant::now();
        let inbound = self.socket.get_ref();
        let late = inbound.deadline().is_some_and(|deadline| now >= deadline);
        // A message that was begun has a deadline of its own, and its peer may answer no ping.
        let silence_counts = self.pipeline.accepts_frames() && inbound.next_time().is_none();
        if late && self.pipeline.accepts_frames() {
            let close = Close::new(1008, "the rest of the message did not come in time");
            return self.end(close, "message_timeout").await;
        }
        let expired = self.session.expires.is_some_and(|expires| now >= expires);
        if now >= self.liveness.next_check() || expired {
            self.expire().await?;
        }
        if self.session.proof_deadline.is_some_and(|deadline| now >= deadline) {
            return self.end(Close::new(1008, "no login in time"), "no_proof").await;
        }
        if now >= self.liveness.next_check() {
            // A client that makes no request learns of a rule here.
            if let Some(close) = self.session.refused_close() {
                return self.end(close, "refused").await;
            }
            match self.liveness.check(now, silence_counts, &self.session.state.keepalive) {
                Check::Alive => {}
                Check::Ping => self.send_ping().await?,
                // A client may read nothing until its user has typed; the deadline of the proof
                // ends it.
                Check::Dead if self.session.proof_deadline.is_some() => self.liveness.received(),
                Check::Dead => return Err(End::Gone),
            }
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
