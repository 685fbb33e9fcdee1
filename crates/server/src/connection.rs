//! One WebSocket connection: one task, a bounded queue, one flush for all that waits.

use crate::broadcast::Broadcast;
use crate::doors::Entry;
use crate::gateway::{Answered, Gateway, Progress, Sending};
use crate::hub::Listener;
use crate::outbox::Order;
use crate::outgoing::{Outgoing, encode};
use crate::stream::Writer;
use crate::voice::Voice;
use bytes::Buf;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tolmach_dialect::{
    Ask, Close, Frame, Interest, Line, Opening, Session, Side, Violation, ViolationKind,
};
use tolmach_domain::{Authority, Command, Credentials, Event, EventKind, Fault, UserId};
use tolmach_engine::Principal;

/// Small, since it is allocated for every connection. Larger messages grow it for as long as they
/// last.
const READ_BUFFER: usize = 1 << 10;
/// Looks at a proof that is about to expire are so far apart.
const EXPIRY_REST: Duration = Duration::from_millis(50);
/// Messages of one peer that may be under way to the store at once.
const PIPELINE: usize = 128;
/// How long a peer is given to take the close frame and answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a WebSocket is set up for messages of at most `limit` bytes.
pub(crate) fn websocket_config(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
}

/// What a connection is to the rest of the gateway, until it is dropped.
pub(crate) struct Presence {
    gateway: Arc<Gateway>,
    pub(crate) entry: Arc<Entry>,
    /// None while it is lent to the outbox.
    voice: Option<Box<Voice>>,
    pub(crate) listener: Arc<Listener>,
    /// The client's address.
    client: IpAddr,
    /// Who the connection itself has proven to be: what [`Credentials::Connection`] means.
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
        let voice = Some(Box::new(Voice::new(gateway.clone(), entry.clone(), session)));
        Self {
            gateway,
            entry,
            voice,
            listener,
            client,
            bound: None,
            heard: None,
            interest: Interest::Nothing,
            expires: None,
        }
    }

    fn voice(&mut self) -> &mut Voice {
        self.voice.as_mut().expect("it is lent only while the connection's task waits")
    }

    fn session(&mut self) -> &mut dyn Session {
        &mut *self.voice().session
    }

    fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.voice().outgoing
    }

    /// The connection is this user's from now on, as a handshake proves it.
    pub(crate) fn bind(&mut self, principal: Option<Principal>) {
        self.bound = principal;
        self.watch();
    }

    /// Looks when the proof expires that the connection lives by.
    fn watch(&mut self) {
        let left = |principal: Principal| {
            let micros =
                principal.expires_at.micros().saturating_sub(self.gateway.engine.now().micros());
            Instant::now().checked_add(Duration::from_micros(micros.max(0).unsigned_abs()))
        };
        self.expires = self.heard.or(self.bound).and_then(left);
    }

    /// Looks at an ask's proof, and lets the connection hear what it may from then on.
    pub(crate) async fn identify(
        &mut self,
        proof: &Credentials,
        authority: Authority,
    ) -> Result<Option<Principal>, Fault> {
        let principal = self.gateway.engine.authenticate(proof, self.bound.as_ref()).await?;
        if let Some(principal) = principal {
            self.session().identified(principal.identity);
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
        let answered = self
            .gateway
            .submit(&self.entry, self.listener.id, self.client, caller, ask)
            .await
            .answered()
            .await;
        self.answered(answered, authority, frames).await;
    }

    /// Turns a reply into frames, and follows the interest that came of it.
    async fn answered(
        &mut self,
        answered: Answered,
        authority: Authority,
        frames: &mut Vec<Frame>,
    ) {
        let Answered { reply, principal } = answered;
        let before = self.heard;
        let now = self.gateway.engine.now();
        if let Err(loss) = self.session().encode(now, &Line::Reply(reply), frames) {
            tracing::error!(dialect = self.entry.id(), %loss, "a reply was lost");
        }
        if let Err(fault) = self.follow(principal.or(before), authority).await {
            tracing::warn!(dialect = self.entry.id(), %fault, "a connection could not be subscribed");
        }
    }

    /// Subscribes the connection to what its session is interested in, as far as `principal` may
    /// hear it.
    async fn follow(
        &mut self,
        principal: Option<Principal>,
        authority: Authority,
    ) -> Result<(), Fault> {
        let interest = self.session().interest();
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
                let allowed = self.gateway.engine.may_subscribe(identity, authority, flow).await?;
                hub.hear_one(&self.listener, identity.user, allowed.then_some(flow)).await?;
            }
            // Nobody hears somebody else's flows, whatever a session says.
            Interest::EveryFlowOf(user) if user == identity.user => {
                hub.hear_every(&self.listener, user).await?
            }
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

    /// Turns a broadcast into frames; the close that it means, if it does.
    fn hear(&mut self, broadcast: &Broadcast) -> Option<Close> {
        if let EventKind::SessionsEnded { user, session } = &broadcast.notice().kind {
            let ended = |principal: &Principal| {
                principal.identity.user == *user
                    && (session.is_none() || principal.identity.session == *session)
            };
            self.bound.take_if(|bound| ended(bound));
            if self.heard.is_some_and(|heard| ended(&heard)) {
                // It hears nothing more, whatever its session makes of this.
                self.gateway.hub.leave(&self.listener, self.heard_user());
                (self.heard, self.interest) = (None, Interest::Nothing);
            }
            self.watch();
        }
        self.voice().hear(broadcast)
    }

    /// What ends a connection whose proof has expired or been revoked without an event having told
    /// so.
    async fn expired(&mut self) -> Option<Broadcast> {
        let principal = self.heard.or(self.bound)?;
        let now = self.gateway.engine.now();
        // When the store cannot be asked, the connection has the benefit of the doubt until the
        // next look.
        if self.gateway.engine.still_valid(&principal, now).await.unwrap_or(true) {
            self.watch();
            // Clocks differ by little: without a rest it would be looked at again and again.
            self.expires = self.expires.map(|expires| expires.max(Instant::now() + EXPIRY_REST));
            return None;
        }
        let kind = EventKind::SessionsEnded {
            user: principal.identity.user,
            session: principal.identity.session,
        };
        Some(Broadcast::new(Arc::new(Event::new(now, kind))))
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
            Error::Capacity(_) => {
                End::Close(Close::new(1009, "the message is too large"), "too_large")
            }
            Error::Utf8(_) => End::Close(Close::new(1007, "text must be UTF-8"), "not_utf8"),
            Error::Protocol(_) => End::Close(Close::new(1002, "protocol error"), "protocol"),
            _ => End::Gone,
        }
    }
}

/// What is to be done next, once everything before it is.
enum Turn {
    Ask(Ask),
    /// A frame that was no ask.
    Refuse(Violation),
    End(End),
}

/// In which name and right something is asked.
type Right = (Credentials, Authority);

/// An ask that is being carried out.
type Busy = Pin<Box<dyn Future<Output = (Progress, Right)> + Send>>;

/// A connection whose dialect is known.
pub(crate) struct Connection<S> {
    socket: WebSocketStream<S>,
    presence: Presence,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    /// What waits for its turn; nothing is read meanwhile.
    waiting: VecDeque<Turn>,
    busy: Option<Busy>,
    /// Messages of one right that are being committed, in the order in which they were sent.
    sending: VecDeque<(Sending, Right)>,
    /// Whether the WebSocket may have a frame of its own to write, such as a pong.
    unflushed: bool,
    syntax_errors: u32,
    /// A frame came too early: nothing is read before then.
    paused_until: Option<Instant>,
    /// When the peer is looked at next. It is asked for a sign of life when it has been silent for
    /// a whole interval.
    next_look: Instant,
    silent: bool,
    pinged: bool,
    /// Whether a reply had no frame: where its ask changed something, the notice of that is the
    /// answer.
    owed: bool,
}

/// What a connection's task wakes for.
enum Wake {
    Progress(Progress, Right),
    Answered(Answered),
    Taken(Option<Order>),
    Heard(Option<Result<Message, Error>>),
    Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// In a box, since the task would hold it twice. With a `writer`, others write to the socket
    /// while the task waits.
    pub(crate) fn new(
        socket: WebSocketStream<S>,
        writer: Option<Writer>,
        mut presence: Presence,
    ) -> Box<Self> {
        presence.voice().writer = writer;
        let bounds = presence.gateway.bounds;
        let quota = Quota::per_second(bounds.rate).allow_burst(bounds.burst);
        Box::new(Self {
            socket,
            presence,
            limiter: RateLimiter::direct_with_clock(quota, MonotonicClock),
            waiting: VecDeque::new(),
            busy: None,
            sending: VecDeque::new(),
            unflushed: false,
            syntax_errors: 0,
            paused_until: None,
            next_look: Instant::now() + bounds.ping,
            silent: false,
            pinged: false,
            owed: false,
        })
    }

    /// Serves the connection until it ends: first these frames to write, then what was heard
    /// already.
    pub(crate) async fn run(mut self: Box<Self>, greeting: Vec<Frame>, heard: Option<Box<Frame>>) {
        let metrics = &self.presence.entry.clone().metrics;
        metrics.connections.increment(1.0);
        metrics.connections_total.increment(1);
        self.presence.outgoing().extend(greeting.into_iter().map(encode));
        let Err(end) = match self.begin(heard).await {
            Ok(()) => self.serve().await,
            Err(end) => Err(end),
        };
        metrics.connections.decrement(1.0);
        if let End::Close(close, reason) = end {
            metrics.closed(reason);
            let outgoing = self.presence.outgoing();
            outgoing.abandon();
            Box::pin(close_socket(&mut self.socket, outgoing, close)).await;
        }
    }

    /// Boxed, like all that happens once or rarely: an idle connection has no room for it.
    fn begin(&mut self, heard: Option<Box<Frame>>) -> BoxFuture<'_, Result<(), End>> {
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
        let listener = self.presence.listener.clone();
        let mut taken: Vec<Arc<Broadcast>> = Vec::new();
        let mut ending: Option<Order> = None;
        let mut armed = self.next_look;
        let timer = sleep_until(armed);
        tokio::pin!(timer);
        loop {
            let wanted = [self.paused_until, self.presence.expires]
                .into_iter()
                .flatten()
                .fold(self.next_look, Instant::min);
            if wanted != armed {
                armed = wanted;
                timer.as_mut().reset(armed);
            }
            let idle = self.busy.is_none() && self.sending.is_empty();
            if idle && let Some(order) = ending.take() {
                return Err(if order == Order::GoAway {
                    Box::pin(self.finish()).await?
                } else {
                    self.ended(order)
                });
            }
            let reading = self.is_reading();
            let lends =
                idle && ending.is_none() && !self.unflushed && self.presence.voice().is_free();
            let wait = |context: &mut Context<'_>| {
                if let Some(busy) = &mut self.busy
                    && let Poll::Ready((progress, right)) = busy.as_mut().poll(context)
                {
                    return Poll::Ready(Wake::Progress(progress, right));
                }
                if let Some((sending, _)) = self.sending.front_mut()
                    && let Poll::Ready(answered) = sending.as_mut().poll(context)
                {
                    return Poll::Ready(Wake::Answered(answered));
                }
                if ending.is_none()
                    && let Poll::Ready(order) = listener.outbox.poll_take(context, &mut taken)
                {
                    return Poll::Ready(Wake::Taken(order));
                }
                if reading && let Poll::Ready(message) = self.socket.poll_next_unpin(context) {
                    return Poll::Ready(Wake::Heard(message));
                }
                timer.as_mut().poll(context).map(|()| Wake::Tick)
            };
            let wake = listener.outbox.lend_while(&mut self.presence.voice, lends, wait).await;
            if let Some(next) = self.woken(wake, &mut taken, &mut ending) {
                next.await?;
            }
            if !self.presence.outgoing().is_empty() {
                self.write().await?;
            }
        }
    }

    /// What is to be done when it wakes. Boxed but for what is told to many: a connection that
    /// waits has no room for the rest.
    fn woken(
        &mut self,
        wake: Option<Wake>,
        taken: &mut Vec<Arc<Broadcast>>,
        ending: &mut Option<Order>,
    ) -> Option<BoxFuture<'_, Result<(), End>>> {
        match wake {
            Some(Wake::Progress(progress, right)) => {
                Some(Box::pin(self.progressed(progress, right)))
            }
            Some(Wake::Answered(answered)) => Some(Box::pin(self.committed(answered))),
            Some(Wake::Taken(order)) => {
                *ending = order;
                self.hear_all(taken).map(|close| self.end_told(close))
            }
            Some(Wake::Heard(message)) => Some(Box::pin(self.heard(message))),
            Some(Wake::Tick) => Some(Box::pin(self.tick())),
            // What was told meanwhile was not said to its end.
            None => self.presence.voice().close.take().map(|close| self.end_told(close)),
        }
    }

    /// Whether the peer is listened to.
    fn is_reading(&self) -> bool {
        self.busy.is_none()
            && self.waiting.is_empty()
            && self.sending.len() < PIPELINE
            && self.paused_until.is_none()
    }

    /// Does what it is time for.
    async fn tick(&mut self) -> Result<(), End> {
        let (now, reading) = (Instant::now(), self.is_reading());
        // A frame that was heard too early takes its place among the others now.
        if self.paused_until.is_some_and(|pause| now >= pause) {
            self.paused_until = self.pause();
        }
        let expired = self.presence.expires.is_some_and(|expires| now >= expires);
        if (now >= self.next_look || expired)
            && let Some(broadcast) = self.presence.expired().await
            && let Some(close) = self.presence.hear(&broadcast)
        {
            return Err(End::Close(close, "expired"));
        }
        if now >= self.next_look {
            // While nothing is read, silence says nothing.
            if self.pinged && reading {
                return Err(End::Gone);
            }
            self.pinged = self.silent && reading;
            if self.pinged {
                self.send_ping().await?;
            }
            self.silent = true;
            let bounds = self.presence.gateway.bounds;
            self.next_look = now + if self.pinged { bounds.timeout } else { bounds.ping };
        }
        Ok(())
    }

    /// What the socket gave, or that it gives nothing more.
    async fn heard(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        (self.silent, self.pinged) = (false, false);
        self.paused_until = self.pause();
        match message.transpose() {
            Ok(Some(Message::Text(text))) => self.hear(Frame::Text(text.into())).await,
            Ok(Some(Message::Binary(bytes))) => self.hear(Frame::Binary(bytes)).await,
            Ok(Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.unflushed = true;
                Ok(())
            }
            Ok(None | Some(Message::Close(_))) => self.in_turn(Turn::End(End::Gone)).await,
            Err(error) => self.in_turn(Turn::End(error.into())).await,
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
            return self
                .in_turn(Turn::End(End::Close(
                    Close::new(1009, "the message is too large"),
                    "too_large",
                )))
                .await;
        }
        let mut lines = Vec::new();
        let now = self.presence.gateway.engine.now();
        match self.presence.session().decode(now, &frame, &mut lines) {
            Ok(()) => {
                self.syntax_errors = 0;
                for line in lines {
                    if let Line::Ask(ask) = line {
                        self.in_turn(Turn::Ask(ask)).await?;
                    }
                }
                Ok(())
            }
            Err(violation) => self.in_turn(Turn::Refuse(violation)).await,
        }
    }

    /// Does it, or keeps it until it is its turn.
    async fn in_turn(&mut self, turn: Turn) -> Result<(), End> {
        if self.waiting.is_empty() && self.may_follow(&turn) {
            return self.take(turn).await;
        }
        self.waiting.push_back(turn);
        Ok(())
    }

    /// Does what waits, one after the other: the peer may count on the order.
    async fn go_on(&mut self) -> Result<(), End> {
        while let Some(turn) = self.waiting.pop_front() {
            if !self.may_follow(&turn) {
                self.waiting.push_front(turn);
                return Ok(());
            }
            self.take(turn).await?;
        }
        // A connection that waits has no room for this either.
        self.waiting = VecDeque::new();
        Ok(())
    }

    /// Whether a turn may be taken now. Messages of one right follow each other to the store, which
    /// keeps their order, without waiting for each other's commit; everything else waits until all
    /// before it is answered.
    fn may_follow(&self, turn: &Turn) -> bool {
        if self.busy.is_some() {
            return false;
        }
        let Some((_, (proof, authority))) = self.sending.back() else { return true };
        match turn {
            Turn::Ask(ask) => {
                let same = ask.proof == *proof && ask.authority == *authority;
                same && matches!(ask.command, Command::Send(_)) && self.sending.len() < PIPELINE
            }
            Turn::Refuse(_) | Turn::End(_) => false,
        }
    }

    async fn take(&mut self, turn: Turn) -> Result<(), End> {
        match turn {
            Turn::Ask(ask) => self.carry_out(ask).await,
            Turn::Refuse(violation) => self.refuse(violation).await?,
            Turn::End(End::Close(close, reason)) => return self.end(close, reason).await,
            Turn::End(End::Gone) => return Err(End::Gone),
        }
        Ok(())
    }

    async fn carry_out(&mut self, mut ask: Ask) {
        let caller = self.presence.identify(&ask.proof, ask.authority).await;
        let right = (std::mem::replace(&mut ask.proof, Credentials::Nothing), ask.authority);
        let (gateway, entry) = (self.presence.gateway.clone(), self.presence.entry.clone());
        let (id, client) = (self.presence.listener.id, self.presence.client);
        let mut submitted =
            Box::pin(async move { (gateway.submit(&entry, id, client, caller, ask).await, right) });
        // What is done at once does not wait for the next thing to happen.
        match now_or_later(&mut submitted).await {
            Some((progress, right)) => self.proceed(progress, right).await,
            None => self.busy = Some(submitted),
        }
    }

    /// Answers an ask when everything before it is answered.
    async fn proceed(&mut self, progress: Progress, right: Right) {
        let sending: Sending = match progress {
            Progress::Answered(answered) if self.sending.is_empty() => {
                return self.answer(answered, right.1).await;
            }
            Progress::Answered(answered) => Box::pin(std::future::ready(answered)),
            Progress::Sending(sending) => sending,
        };
        self.sending.push_back((sending, right));
    }

    /// Goes on after an ask was carried out as far as it goes alone.
    async fn progressed(&mut self, progress: Progress, right: Right) -> Result<(), End> {
        self.busy = None;
        self.proceed(progress, right).await;
        self.go_on().await
    }

    /// Answers the first message that was being committed, and those after it that are too, and
    /// goes on.
    async fn committed(&mut self, first: Answered) -> Result<(), End> {
        let mut next = Some(first);
        while let Some(answered) = next.take()
            && let Some((_, (_, authority))) = self.sending.pop_front()
        {
            self.answer(answered, authority).await;
            if let Some((sending, _)) = self.sending.front_mut() {
                next = now_or_later(sending).await;
            }
        }
        self.go_on().await
    }

    async fn refuse(&mut self, violation: Violation) -> Result<(), End> {
        self.presence.entry.metrics.violated(violation.kind.name());
        tracing::debug!(
            dialect = self.presence.entry.id(),
            kind = violation.kind.name(),
            "a frame was refused"
        );
        self.presence.outgoing().extend(violation.answer.map(encode));
        if let Some(close) = violation.close {
            return self.end(close, "violation").await;
        }
        self.syntax_errors =
            if violation.kind == ViolationKind::Syntax { self.syntax_errors + 1 } else { 0 };
        if self.syntax_errors >= self.presence.gateway.bounds.syntax_errors {
            return self.end(Close::new(1008, "too many frames that are not JSON"), "syntax").await;
        }
        Ok(())
    }

    /// Ends the connection; what was answered before is still said.
    async fn end(&mut self, close: Close, reason: &'static str) -> Result<(), End> {
        self.write().await?;
        Err(End::Close(close, reason))
    }

    /// Says what is left to say before the connection ends in order: what it was told, and what its
    /// asks changed where that is the answer to them.
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
                if let Some(close) = self.hear_all(&mut taken) {
                    self.end(close, "ended").await?;
                }
            }
        }
        // An order stands, so that this does not wait.
        let order = listener.outbox.take(&mut taken).await;
        if let Some(close) = self.hear_all(&mut taken) {
            self.end(close, "ended").await?;
        }
        self.write().await?;
        Ok(self.ended(order.unwrap_or(Order::GoAway)))
    }

    /// Turns broadcasts into frames; the close that one of them means.
    fn hear_all(&mut self, taken: &mut Vec<Arc<Broadcast>>) -> Option<Close> {
        taken.drain(..).find_map(|broadcast| self.presence.hear(&broadcast))
    }

    /// Ends the connection by what it was told.
    fn end_told(&mut self, close: Close) -> BoxFuture<'_, Result<(), End>> {
        Box::pin(self.end(close, "ended"))
    }

    async fn answer(&mut self, answered: Answered, authority: Authority) {
        if let Ok(tolmach_domain::Answer::Granted(grant)) = &answered.reply.outcome
            && grant.tokens == tolmach_domain::Tokens::Connection
        {
            self.presence.bind(answered.principal);
        }
        let mut frames = Vec::new();
        let granted = answered.reply.outcome.is_ok();
        self.presence.answered(answered, authority, &mut frames).await;
        self.owed |= granted && frames.is_empty();
        self.presence.outgoing().extend(frames.into_iter().map(encode));
    }

    fn ended(&self, order: Order) -> End {
        let closes = self.presence.entry.dialect.manifest().closes;
        match order {
            Order::GoAway => {
                End::Close(Close::new(closes.going_away, "the server is going away"), "going_away")
            }
            Order::SlowReader => End::Close(
                Close::new(closes.slow_reader, "reading too slowly: see the history"),
                "slow_reader",
            ),
        }
    }

    /// Writes all that waits. Ends the connection when too much piles up meanwhile, or the peer
    /// takes nothing.
    async fn write(&mut self) -> Result<(), End> {
        // Most of the time the socket takes everything at once. A frame that the WebSocket has
        // begun comes first.
        if !self.unflushed && self.presence.voice().write() {
            return Ok(());
        }
        Box::pin(self.write_in_time()).await
    }

    async fn write_in_time(&mut self) -> Result<(), End> {
        let presence = &mut self.presence;
        let (listener, limit) = (presence.listener.clone(), presence.gateway.bounds.timeout);
        let voice = presence.voice();
        voice.count(voice.outgoing.len(), voice.outgoing.remaining());
        let (socket, outgoing, unflushed) =
            (&mut self.socket, &mut voice.outgoing, &mut self.unflushed);
        let writing = async {
            if *unflushed {
                socket.flush().await?;
                *unflushed = false;
            }
            Ok::<_, Error>(outgoing.write_to(socket.get_mut()).await?)
        };
        tokio::select! {
            biased;
            written = writing => Ok(written?),
            () = listener.outbox.overflow() => Err(self.ended(Order::SlowReader)),
            () = sleep(limit) => Err(self.ended(Order::SlowReader)),
        }
    }

    async fn send_ping(&mut self) -> Result<(), End> {
        let limit = self.presence.gateway.bounds.timeout;
        self.unflushed = true;
        timeout(limit, self.socket.send(Message::Ping(bytes::Bytes::new())))
            .await
            .map_err(|_| End::Gone)?
            .map_err(End::from)
    }
}

/// Polls once.
async fn now_or_later<T>(work: &mut Pin<impl DerefMut<Target: Future<Output = T>>>) -> Option<T> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Sends the rest of what was begun and the close frame, and waits a little for the peer's own.
async fn close_socket<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<S>,
    rest: &mut Outgoing,
    close: Close,
) {
    let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.into() };
    let closing = async {
        if rest.write_to(socket.get_mut()).await.is_ok() && socket.close(Some(frame)).await.is_ok()
        {
            // Discards what the peer had sent before it saw the close, up to its own close frame.
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::trace!("the peer did not answer the close");
    }
}

/// Awaits the first frame on a shared door, and serves the dialect that it belongs to. What is done
/// once is boxed: the task has no room for it afterwards.
pub(crate) fn serve_shared<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: Arc<Gateway>,
    socket: WebSocketStream<S>,
    writer: Option<Writer>,
    listener: Arc<Listener>,
    client: IpAddr,
    request: http::request::Parts,
) -> impl Future<Output = ()> + Send {
    let met = Box::pin(meet(gateway, socket, writer, listener, client, request));
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
    writer: Option<Writer>,
    listener: Arc<Listener>,
    client: IpAddr,
    request: http::request::Parts,
) -> Option<Met<S>> {
    let frame = match first_frame(&gateway, &mut socket, &listener).await {
        Ok(frame) => frame,
        Err(end) => {
            gateway.hub.disconnect(&listener, None);
            if let End::Close(close, _) = end {
                close_socket(&mut socket, &mut Outgoing::default(), close).await;
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
    Some(Met {
        connection: Connection::new(socket, writer, presence),
        greeting,
        frame: Box::new(frame),
    })
}

async fn unrecognised<S: AsyncRead + AsyncWrite + Unpin + Send>(
    gateway: &Gateway,
    socket: &mut WebSocketStream<S>,
    listener: &Arc<Listener>,
) {
    crate::metrics::unrecognised();
    gateway.hub.disconnect(listener, None);
    let answer = socket.send(Message::text(gateway.doors.unrecognised()));
    if timeout(CLOSE_TIMEOUT, answer).await.is_ok_and(|sent| sent.is_ok()) {
        close_socket(socket, &mut Outgoing::default(), Close::new(1008, "unrecognised dialect"))
            .await;
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
            return Err(End::Close(
                Close::new(1009, "the first message is too large"),
                "too_large",
            ));
        }
        return Ok(frame);
    }
}
