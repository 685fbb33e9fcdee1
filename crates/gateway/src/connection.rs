//! One WebSocket connection: one task, a bounded queue, one flush for all that waits.

use crate::broadcast::Broadcast;
use crate::doors::Entry;
use crate::gateway::Gateway;
use crate::hub::Listener;
use crate::outbox::Order;
use futures_util::{SinkExt, StreamExt};
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame};
use tokio_tungstenite::tungstenite::{Error, Message};
use tolmach_dialect::{Ask, Close, Delivery, Frame, Interest, Line, Opening, Reply, Session, Side, ViolationKind};
use tolmach_domain::{Authority, Event, EventKind, Fault, Proof, UserId};
use tolmach_engine::Principal;

/// Small, since it is allocated for every connection. Larger messages grow it for as long as they last.
const READ_BUFFER: usize = 1 << 10;
/// What is written to the socket at once while a batch is being put together, in bytes.
const WRITE_BUFFER: usize = 64 << 10;
/// Looks at a proof that is about to expire are so far apart.
const EXPIRY_REST: Duration = Duration::from_millis(50);
/// How long a peer is given to take the close frame and answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a WebSocket is set up for messages of at most `limit` bytes.
pub(crate) fn websocket_config(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
}

/// What a connection is to the rest of the gateway, until it is dropped.
pub(crate) struct Presence {
    gateway: Arc<Gateway>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) session: Box<dyn Session>,
    pub(crate) listener: Arc<Listener>,
    /// The client's address.
    client: IpAddr,
    /// Who the connection itself has proven to be: what [`Proof::Connection`] means.
    bound: Option<Principal>,
    /// Whose events it hears.
    heard: Option<Principal>,
    interest: Interest,
    /// When the proof of whom it belongs to expires.
    expires: Option<Instant>,
}

impl Presence {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        entry: Arc<Entry>,
        session: Box<dyn Session>,
        listener: Arc<Listener>,
        client: IpAddr,
    ) -> Self {
        Self { gateway, entry, session, listener, client, bound: None, heard: None, interest: Interest::Nothing, expires: None }
    }

    /// The connection is this user's from now on, as a handshake proves it.
    pub(crate) fn bind(&mut self, principal: Option<Principal>) {
        self.bound = principal;
        self.watch();
    }

    /// Looks when the proof expires that the connection lives by.
    fn watch(&mut self) {
        let left = |principal: Principal| {
            let micros = principal.expires_at.micros().saturating_sub(self.gateway.engine.now().micros());
            Instant::now().checked_add(Duration::from_micros(micros.max(0).unsigned_abs()))
        };
        self.expires = self.heard.or(self.bound).and_then(left);
    }

    /// Looks at an ask's proof, and lets the connection hear what it may from then on.
    pub(crate) async fn identify(&mut self, proof: &Proof, authority: Authority) -> Result<Option<Principal>, Fault> {
        let principal = self.gateway.engine.authenticate(proof, self.bound.as_ref()).await?;
        if let Some(principal) = principal {
            self.session.identified(principal.identity);
            self.follow(Some(principal), authority).await?;
        }
        Ok(principal)
    }

    /// Answers one of the asks that the opening makes; its proof binds the connection.
    pub(crate) async fn greeted(&mut self, ask: Ask, frames: &mut Vec<Frame>) {
        let caller = self.identify(&ask.proof, ask.authority).await;
        if let Ok(Some(principal)) = &caller {
            self.bind(Some(*principal));
        }
        let authority = ask.authority;
        let (reply, principal) = self.gateway.carry_out(&self.entry, self.listener.id, self.client, caller, ask).await;
        self.replied(reply, principal, authority, frames).await;
    }

    /// Turns a reply into frames, and follows the interest that came of it.
    async fn replied(&mut self, reply: Reply, principal: Option<Principal>, authority: Authority, frames: &mut Vec<Frame>) {
        let before = self.heard;
        if let Err(loss) = self.session.encode(self.gateway.engine.now(), &Line::Reply(reply), frames) {
            tracing::error!(dialect = self.entry.id(), %loss, "a reply was lost");
        }
        if let Err(fault) = self.follow(principal.or(before), authority).await {
            tracing::warn!(dialect = self.entry.id(), %fault, "a connection could not be subscribed");
        }
    }

    /// Subscribes the connection to what its session is interested in, as far as `principal` may hear it.
    async fn follow(&mut self, principal: Option<Principal>, authority: Authority) -> Result<(), Fault> {
        let interest = self.session.interest();
        let user = principal.map(|principal| principal.identity.user);
        if interest == self.interest && user == self.heard_user() {
            if self.heard != principal {
                self.heard = principal;
                self.watch();
            }
            return Ok(());
        }
        let hub = self.gateway.hub.clone();
        hub.leave(&self.listener, self.heard_user());
        (self.heard, self.interest) = (None, Interest::Nothing);
        let Some(principal) = principal else { return Ok(()) };
        let identity = principal.identity;
        match interest {
            Interest::Nothing => hub.hear_one(&self.listener, identity.user, None).await?,
            Interest::Flow(flow) => {
                let allowed = self.gateway.engine.may_hear(identity, authority, flow).await?;
                hub.hear_one(&self.listener, identity.user, allowed.then_some(flow)).await?;
            }
            // Nobody hears somebody else's flows, whatever a session says.
            Interest::EveryFlowOf(user) if user == identity.user => hub.hear_every(&self.listener, user).await?,
            Interest::EveryFlowOf(user) => {
                tracing::error!(dialect = self.entry.id(), %user, "a session asked for the flows of a user that it has not proven to be");
                return Err(Fault::Internal);
            }
        }
        (self.heard, self.interest) = (Some(principal), interest);
        self.watch();
        Ok(())
    }

    fn heard_user(&self) -> Option<UserId> {
        self.heard.map(|principal| principal.identity.user)
    }

    /// Turns a broadcast into messages; the close that it means, if it does.
    fn hear(&mut self, broadcast: &Broadcast, messages: &mut Vec<Message>) -> Option<Close> {
        let notice = broadcast.notice();
        if let EventKind::SessionsEnded { user, session } = &notice.kind {
            let ended =
                |principal: &Principal| principal.identity.user == *user && (session.is_none() || principal.identity.session == *session);
            self.bound.take_if(|bound| ended(bound));
            if self.heard.is_some_and(|heard| ended(&heard)) {
                // It hears nothing more, whatever its session makes of this.
                self.gateway.hub.leave(&self.listener, self.heard_user());
                (self.heard, self.interest) = (None, Interest::Nothing);
            }
            self.watch();
        }
        match self.session.delivery(notice) {
            Delivery::Skip => {}
            Delivery::Shared(variant) => messages.extend(broadcast.message(&*self.entry.dialect, variant, &self.entry.metrics)),
            Delivery::Private => {
                let mut frames = Vec::new();
                if let Err(loss) = self.session.encode(self.gateway.engine.now(), &Line::Notice(notice.clone()), &mut frames) {
                    tracing::debug!(%loss, "a notice was asked for that this session cannot say");
                }
                messages.extend(frames.into_iter().map(message));
            }
            Delivery::Close(close) => return Some(close),
        }
        None
    }

    /// What ends a connection whose proof has expired or been revoked without an event having told so.
    async fn expired(&mut self) -> Option<Broadcast> {
        let principal = self.heard.or(self.bound)?;
        let now = self.gateway.engine.now();
        // When the store cannot be asked, the connection has the benefit of the doubt until the next look.
        if self.gateway.engine.still_valid(&principal, now).await.unwrap_or(true) {
            self.watch();
            // Clocks differ by little: without a rest it would be looked at again and again.
            self.expires = self.expires.map(|expires| expires.max(Instant::now() + EXPIRY_REST));
            return None;
        }
        let kind = EventKind::SessionsEnded { user: principal.identity.user, session: principal.identity.session };
        Some(Broadcast::new(Arc::new(Event { at: now, moment: None, origin: None, kind })))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.gateway.hub.disconnect(&self.listener, self.heard_user());
    }
}

/// Why a connection's task ends.
enum End {
    /// The peer closed, or is gone.
    Gone,
    /// The gateway closes it; the word is for metrics.
    Close(Close, &'static str),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => End::Close(Close::new(1009, "the message is too large"), "too_large"),
            Error::Utf8(_) => End::Close(Close::new(1007, "text must be UTF-8"), "not_utf8"),
            Error::Protocol(_) => End::Close(Close::new(1002, "protocol error"), "protocol"),
            _ => End::Gone,
        }
    }
}

type Carried = (Reply, Option<Principal>, Authority);

/// A connection whose dialect is known.
pub(crate) struct Connection<S> {
    socket: WebSocketStream<S>,
    presence: Presence,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    /// The ask that is being carried out.
    busy: Option<Pin<Box<dyn Future<Output = Carried> + Send>>>,
    /// Asks that wait for it.
    waiting: VecDeque<Ask>,
    /// What is to be written next, as the socket takes it: a [`Frame`] has room for a whole HTTP request, and would be
    /// moved about with it for each delivery.
    messages: Vec<Message>,
    syntax_errors: u32,
    /// Whether a reply had no frame: where its ask changed something, the notice of that is the answer.
    owed: bool,
}

/// What a connection's task wakes for.
enum Wake {
    Carried(Carried),
    Taken(Option<Order>),
    Heard(Option<Result<Message, Error>>),
    Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// In a box, since the task would hold it twice.
    pub(crate) fn new(socket: WebSocketStream<S>, presence: Presence) -> Box<Self> {
        let bounds = presence.gateway.bounds;
        let quota = Quota::per_second(bounds.rate).allow_burst(bounds.burst);
        Box::new(Self {
            socket,
            presence,
            limiter: RateLimiter::direct_with_clock(quota, MonotonicClock),
            busy: None,
            waiting: VecDeque::new(),
            messages: Vec::new(),
            syntax_errors: 0,
            owed: false,
        })
    }

    /// Serves the connection until it ends: first these frames to write, then what was heard already.
    pub(crate) async fn run(mut self: Box<Self>, greeting: Vec<Frame>, heard: Option<Box<Frame>>) {
        let metrics = &self.presence.entry.clone().metrics;
        metrics.connections.increment(1.0);
        metrics.connections_total.increment(1);
        self.messages.extend(greeting.into_iter().map(message));
        let Err(end) = match self.begin(heard).await {
            Ok(()) => self.serve().await,
            Err(end) => Err(end),
        };
        metrics.connections.decrement(1.0);
        if let End::Close(close, reason) = end {
            metrics.closed(reason);
            Box::pin(close_socket(&mut self.socket, close)).await;
        }
    }

    /// Boxed, like all that happens once or rarely: an idle connection has no room for it.
    fn begin(&mut self, heard: Option<Box<Frame>>) -> Pin<Box<dyn Future<Output = Result<(), End>> + Send + '_>> {
        Box::pin(async move {
            self.write().await?;
            if let Some(frame) = heard {
                self.hear(*frame).await?;
                // What is answered at once does not wait for the next thing to happen.
                self.write().await?;
            }
            Ok(())
        })
    }

    /// Runs until something calls for an end.
    async fn serve(&mut self) -> Result<Infallible, End> {
        let bounds = self.presence.gateway.bounds;
        let listener = self.presence.listener.clone();
        let mut taken: Vec<Arc<Broadcast>> = Vec::new();
        let mut paused_until: Option<Instant> = None;
        let mut ending: Option<Order> = None;
        // The peer is asked for a sign of life when it has been silent for a whole interval.
        let mut next_look = Instant::now() + bounds.ping;
        let mut silent = false;
        let mut pinged = false;
        let mut armed = next_look;
        let timer = sleep_until(armed);
        tokio::pin!(timer);
        loop {
            let wanted = [paused_until, self.presence.expires].into_iter().flatten().fold(next_look, Instant::min);
            if wanted != armed {
                armed = wanted;
                timer.as_mut().reset(armed);
            }
            if self.busy.is_none()
                && let Some(order) = ending.take()
            {
                return Err(if order == Order::GoAway { self.finish().await? } else { self.ended(order) });
            }
            let busy = self.busy.is_some();
            let wake = tokio::select! {
                biased;
                carried = async { self.busy.as_mut().expect("polled only while there is one").await }, if busy => Wake::Carried(carried),
                order = listener.outbox.take(&mut taken), if ending.is_none() => Wake::Taken(order),
                message = self.socket.next(), if !busy && paused_until.is_none() => Wake::Heard(message),
                () = timer.as_mut() => Wake::Tick,
            };
            match wake {
                Wake::Carried((reply, principal, authority)) => {
                    self.busy = None;
                    self.answer(reply, principal, authority).await;
                    self.go_on().await;
                }
                Wake::Taken(order) => {
                    self.hear_all(&mut taken).await?;
                    ending = order;
                }
                Wake::Heard(message) => {
                    (silent, pinged) = (false, false);
                    let frame = match message.transpose()? {
                        None | Some(Message::Close(_)) => return Err(End::Gone),
                        Some(Message::Text(text)) => Some(Frame::Text(text.into())),
                        Some(Message::Binary(bytes)) => Some(Frame::Binary(bytes)),
                        Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => None,
                    };
                    paused_until = self.pause();
                    if let Some(frame) = frame {
                        self.hear(frame).await?;
                    }
                }
                Wake::Tick => {
                    let now = Instant::now();
                    // A frame that was heard too early takes its place among the others now.
                    if paused_until.is_some_and(|pause| now >= pause) {
                        paused_until = self.pause();
                    }
                    let expired = self.presence.expires.is_some_and(|expires| now >= expires);
                    if (now >= next_look || expired)
                        && let Some(broadcast) = self.presence.expired().await
                        && let Some(close) = self.presence.hear(&broadcast, &mut self.messages)
                    {
                        return Err(End::Close(close, "expired"));
                    }
                    if now >= next_look {
                        // While an ask is carried out nothing is read, so silence says nothing.
                        let unread = busy || paused_until.is_some();
                        if pinged && !unread {
                            return Err(End::Gone);
                        }
                        pinged = silent && !unread;
                        if pinged {
                            self.send_ping().await?;
                        }
                        silent = true;
                        next_look = now + if pinged { bounds.timeout } else { bounds.ping };
                    }
                }
            }
            if !self.messages.is_empty() {
                self.write().await?;
            }
        }
    }

    /// Counts a frame; until when to read no more, if it came too early.
    fn pause(&self) -> Option<Instant> {
        let not_until = self.limiter.check().err()?;
        Some(Instant::now() + not_until.wait_time_from(MonotonicClock.now()))
    }

    /// One frame of the peer.
    async fn hear(&mut self, frame: Frame) -> Result<(), End> {
        let entry = self.presence.entry.clone();
        entry.metrics.frames_in.increment(1);
        entry.metrics.bytes_in.increment(frame.payload().len() as u64);
        if frame.payload().len() > entry.frame_limit {
            return Err(End::Close(Close::new(1009, "the message is too large"), "too_large"));
        }
        let mut lines = Vec::new();
        match self.presence.session.decode(self.presence.gateway.engine.now(), &frame, &mut lines) {
            Ok(()) => {
                self.syntax_errors = 0;
                self.waiting.extend(lines.into_iter().filter_map(|line| match line {
                    Line::Ask(ask) => Some(ask),
                    Line::Reply(_) | Line::Notice(_) => None,
                }));
                self.go_on().await;
                Ok(())
            }
            Err(violation) => {
                entry.metrics.violated(violation.kind.name());
                tracing::debug!(dialect = entry.id(), kind = violation.kind.name(), "a frame was refused");
                self.messages.extend(violation.answer.map(message));
                if let Some(close) = violation.close {
                    self.write().await?;
                    return Err(End::Close(close, "violation"));
                }
                self.syntax_errors = if violation.kind == ViolationKind::Syntax { self.syntax_errors + 1 } else { 0 };
                if self.syntax_errors >= self.presence.gateway.bounds.syntax_errors {
                    self.write().await?;
                    return Err(End::Close(Close::new(1008, "too many frames that are not JSON"), "syntax"));
                }
                Ok(())
            }
        }
    }

    /// Starts the next ask that waits. One at a time: the peer may count on the order.
    async fn go_on(&mut self) {
        if self.busy.is_some() {
            return;
        }
        let Some(ask) = self.waiting.pop_front() else { return };
        let authority = ask.authority;
        let caller = self.presence.identify(&ask.proof, authority).await;
        let (gateway, entry) = (self.presence.gateway.clone(), self.presence.entry.clone());
        let (id, client) = (self.presence.listener.id, self.presence.client);
        self.busy = Some(Box::pin(async move {
            let (reply, principal) = gateway.carry_out(&entry, id, client, caller, ask).await;
            (reply, principal, authority)
        }));
    }

    /// Says what is left to say before the connection ends in order: what it was told, and what its asks changed where that
    /// is the answer to them.
    async fn finish(&mut self) -> Result<End, End> {
        let (gateway, listener) = (self.presence.gateway.clone(), self.presence.listener.clone());
        let mut taken = Vec::new();
        if let (true, Interest::Flow(flow)) = (self.owed, self.presence.interest)
            && let Ok(Some(version)) = gateway.engine.position(flow).await
        {
            let deadline = Instant::now() + CLOSE_TIMEOUT;
            while !gateway.hub.has_told(&listener, flow, version)
                && timeout_at(deadline, listener.outbox.take_more(&mut taken)).await.is_ok()
            {
                self.hear_all(&mut taken).await?;
            }
        }
        // An order stands, so that this does not wait.
        let order = listener.outbox.take(&mut taken).await;
        self.hear_all(&mut taken).await?;
        self.write().await?;
        Ok(self.ended(order.unwrap_or(Order::GoAway)))
    }

    /// Turns broadcasts into messages, unless one of them ends the connection.
    async fn hear_all(&mut self, taken: &mut Vec<Arc<Broadcast>>) -> Result<(), End> {
        for broadcast in taken.drain(..) {
            if let Some(close) = self.presence.hear(&broadcast, &mut self.messages) {
                self.write().await?;
                return Err(End::Close(close, "ended"));
            }
        }
        Ok(())
    }

    async fn answer(&mut self, reply: Reply, principal: Option<Principal>, authority: Authority) {
        if let Ok(tolmach_domain::Answer::Granted(grant)) = &reply.outcome
            && grant.tokens == tolmach_domain::Tokens::Connection
        {
            self.presence.bind(principal);
        }
        let mut frames = Vec::new();
        let granted = reply.outcome.is_ok();
        self.presence.replied(reply, principal, authority, &mut frames).await;
        self.owed |= granted && frames.is_empty();
        self.messages.extend(frames.into_iter().map(message));
    }

    fn ended(&self, order: Order) -> End {
        let closes = self.presence.entry.dialect.manifest().closes;
        match order {
            Order::GoAway => End::Close(Close::new(closes.going_away, "the server is going away"), "going_away"),
            Order::SlowReader => End::Close(Close::new(closes.slow_reader, "reading too slowly: see the history"), "slow_reader"),
        }
    }

    /// Writes all messages with one flush. Ends the connection when too much piles up meanwhile, or the peer takes nothing.
    async fn write(&mut self) -> Result<(), End> {
        let metrics = &self.presence.entry.metrics;
        metrics.frames_out.increment(self.messages.len() as u64);
        metrics.bytes_out.increment(self.messages.iter().map(|message| payload_size(message) as u64).sum());
        let (socket, messages) = (&mut self.socket, &mut self.messages);
        let written = {
            let mut writing = pin!(async {
                for message in messages.drain(..) {
                    socket.feed(message).await?;
                }
                socket.flush().await
            });
            // Most of the time the socket takes everything at once, and no timer has to be set.
            match poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await {
                Poll::Ready(written) => Some(written),
                Poll::Pending => tokio::select! {
                    biased;
                    written = writing => Some(written),
                    () = self.presence.listener.outbox.overflow() => None,
                    () = sleep(self.presence.gateway.bounds.timeout) => None,
                },
            }
        };
        match written {
            Some(written) => Ok(written?),
            None => Err(self.ended(Order::SlowReader)),
        }
    }

    async fn send_ping(&mut self) -> Result<(), End> {
        let limit = self.presence.gateway.bounds.timeout;
        timeout(limit, self.socket.send(Message::Ping(bytes::Bytes::new()))).await.map_err(|_| End::Gone)?.map_err(End::from)
    }
}

/// A frame as the socket takes it. Text was made by a dialect from strings, so it is not checked again.
pub(crate) fn message(frame: Frame) -> Message {
    let (payload, data) = match frame {
        Frame::Text(text) | Frame::Value(text) => (text, Data::Text),
        Frame::Binary(bytes) => (bytes, Data::Binary),
        // Only a handshake can be answered with it, and that is over.
        Frame::Request(request) => (request.into_body(), Data::Text),
        Frame::Response(response) => (response.into_body(), Data::Text),
    };
    Message::Frame(frame::Frame::message(payload, OpCode::Data(data), true))
}

/// The bytes of a message without its header.
fn payload_size(message: &Message) -> usize {
    match message {
        Message::Frame(frame) => frame.payload().len(),
        message => message.len(),
    }
}

/// Sends the close frame and waits a little for the peer's own.
async fn close_socket<S: AsyncRead + AsyncWrite + Unpin + Send>(socket: &mut WebSocketStream<S>, close: Close) {
    let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.into() };
    let closing = async {
        if socket.close(Some(frame)).await.is_ok() {
            // Discards what the peer had sent before it saw the close, up to its own close frame.
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::trace!("the peer did not answer the close");
    }
}

/// Awaits the first frame on a shared door, and serves the dialect that it belongs to. What is done once is boxed: the task has
/// no room for it afterwards.
pub(crate) fn serve_shared<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: Arc<Gateway>,
    socket: WebSocketStream<S>,
    listener: Arc<Listener>,
    client: IpAddr,
    request: http::request::Parts,
) -> impl Future<Output = ()> + Send {
    let met = Box::pin(meet(gateway, socket, listener, client, request));
    async move {
        if let Some(Met { connection, greeting, frame }) = met.await {
            connection.run(greeting, Some(frame)).await;
        }
    }
}

/// A connection on a shared door whose first frame was recognised.
struct Met<S> {
    connection: Box<Connection<S>>,
    greeting: Vec<Frame>,
    frame: Box<Frame>,
}

async fn meet<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: Arc<Gateway>,
    mut socket: WebSocketStream<S>,
    listener: Arc<Listener>,
    client: IpAddr,
    request: http::request::Parts,
) -> Option<Met<S>> {
    let frame = match first_frame(&gateway, &mut socket, &listener).await {
        Ok(frame) => frame,
        Err(end) => {
            gateway.hub.disconnect(&listener, None);
            if let End::Close(close, _) = end {
                close_socket(&mut socket, close).await;
            }
            return None;
        }
    };
    let opening = Opening {
        request: Some(&request),
        first: Some(&frame),
        connection: listener.id,
        websocket: true,
        settings: tolmach_dialect::Settings::default(),
    };
    let opened = gateway.doors.recognise(&opening).and_then(|entry| {
        let opening = Opening { settings: entry.settings, ..opening };
        Some((entry.clone(), entry.dialect.open(&opening, Side::Server).ok()?))
    });
    // Its headers keep the whole buffer alive that they were read into.
    drop(request);
    let Some((entry, mut session)) = opened else {
        unrecognised(&gateway, &mut socket, &listener).await;
        return None;
    };
    let mut lines = Vec::new();
    session.greet(gateway.engine.now(), &mut lines);
    let mut presence = Presence::new(gateway.clone(), entry, session, listener.clone(), client);
    let mut greeting = Vec::new();
    for line in lines {
        if let Line::Ask(ask) = line {
            presence.greeted(ask, &mut greeting).await;
        }
    }
    if greeting.iter().any(|frame| matches!(frame, Frame::Response(_))) {
        drop(presence);
        unrecognised(&gateway, &mut socket, &listener).await;
        return None;
    }
    Some(Met { connection: Connection::new(socket, presence), greeting, frame: Box::new(frame) })
}

async fn unrecognised<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: &Gateway,
    socket: &mut WebSocketStream<S>,
    listener: &Arc<Listener>,
) {
    crate::metrics::unrecognised();
    gateway.hub.disconnect(listener, None);
    let answer = socket.send(message(Frame::text(gateway.doors.unrecognised())));
    if timeout(CLOSE_TIMEOUT, answer).await.is_ok_and(|sent| sent.is_ok()) {
        close_socket(socket, Close::new(1008, "unrecognised dialect")).await;
    }
}

/// The first data frame, within its bounds.
async fn first_frame<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: &Gateway,
    socket: &mut WebSocketStream<S>,
    listener: &Listener,
) -> Result<Frame, End> {
    let deadline = sleep(gateway.bounds.first_frame_timeout);
    tokio::pin!(deadline);
    let mut taken = Vec::new();
    loop {
        let message = tokio::select! {
            message = socket.next() => message.transpose()?,
            _ = listener.outbox.take(&mut taken) => return Err(End::Close(Close::new(1001, "the server is going away"), "going_away")),
            () = deadline.as_mut() => return Err(End::Close(Close::new(1008, "no first frame in time"), "silent")),
        };
        let frame = match message {
            None | Some(Message::Close(_)) => return Err(End::Gone),
            Some(Message::Text(text)) => Frame::Text(text.into()),
            Some(Message::Binary(bytes)) => Frame::Binary(bytes),
            Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
        };
        if frame.payload().len() > gateway.bounds.first_frame {
            return Err(End::Close(Close::new(1009, "the first message is too large"), "too_large"));
        }
        return Ok(frame);
    }
}
