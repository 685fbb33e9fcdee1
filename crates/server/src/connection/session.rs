//! The session of one connection, with its identity and its subscriptions.

use super::pipeline::{Answered, InFlight, Submitted, content_bytes};
use super::step::AuthContext;
use crate::address_turns::Turn;
use crate::broadcast::Broadcast;
use crate::client_route::{ClientRoute, Proof, prove_anywhere};
use crate::dual::{DualRunning, NamedUpstream};
use crate::hub::{FlowAsRead, FlowReadStart, Subscriber};
use crate::identity::ConnectionIdentity;
use crate::ledger::Usage;
use crate::lifecycle::{ClientLifecycle, ruled_user};
use crate::places::{Client, Place};
use crate::recording::{RecordedConnection, RecordedTransport, Recording};
use crate::send_half::SendHalf;
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::submission::{Completed, Requester, submit, submit_upstream};
use crate::upstream::UpstreamSide;
use crate::wire_ids::{ForWire, IdsOnWire, announce_identity, subscription_to_world, to_world};
use futures_util::future::ready;
use http::HeaderMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tolmach_dialect::{
    Close, Correlation, Frame, RenderContext, Request, Response, Revision, ServerSession,
    Subscription,
};
use tolmach_domain::{
    Answer, Authority, Command, Credentials, Event, EventKind, Fault, Identity, UserId,
};
use tolmach_engine::ports::ReadMark;
use tolmach_engine::{Principal, ReadableFlow, RuledUser};

/// The shortest time between two looks at credentials that are about to expire.
const EXPIRY_PAUSE: Duration = Duration::from_millis(50);

/// The session of one connection, with its identity and its subscriptions. Its subscriptions end
/// when it is dropped.
pub(crate) struct ConnectionSession {
    pub(super) state: Arc<ServerState>,
    /// Shared with the requests that are being carried out.
    requester: Arc<Requester>,
    /// The side towards the upstream, if one carries out requests in the engine's place.
    upstream: Option<Box<UpstreamSide>>,
    /// The server that serves the client, where there are upstreams beside the engine.
    route: Option<Box<ClientRoute>>,
    pub(super) subscriber: Arc<Subscriber>,
    /// `None` while it is parked in the send queue.
    pub(super) send_half: Option<Box<SendHalf>>,
    identity: ConnectionIdentity,
    /// The user that the hub has attached the connection to.
    attached: Option<UserId>,
    /// The principal whose expiry is watched, and the time of that.
    watched: Option<Principal>,
    pub(super) expires: Option<Instant>,
    /// The read marks of responses that the socket may not have taken yet.
    pub(super) read_marks: Vec<ReadMark>,
    pub(super) place: Arc<Place>,
    /// The time by which the peer has to prove an identity; `None` once it has.
    pub(super) proof_deadline: Option<Instant>,
    lifecycle: ClientLifecycle,
    /// True if a serving rule has refused a request: the connection ends once that is answered.
    is_refused: bool,
}

impl ConnectionSession {
    pub(crate) fn new(
        state: Arc<ServerState>,
        dialect: Arc<ServedDialect>,
        session: Box<dyn ServerSession>,
        subscriber: Arc<Subscriber>,
        client: Client,
    ) -> Self {
        let send_queue_bytes = state.limits.send_queue_bytes;
        let revision = session.revision();
        let send_half = Some(Box::new(SendHalf::new(dialect.clone(), session, send_queue_bytes)));
        let Client { address, place, proof_deadline, user_agent } = client;
        let connection = subscriber.id;
        let usage = Usage::new(state.ledger.clone());
        let requester = Requester::new(dialect, revision, connection, address, user_agent, usage);
        let requester = Arc::new(requester);
        let upstream = state.open_upstream(connection, requester.dialect.id(), Some(&subscriber));
        Self {
            state,
            requester,
            upstream: upstream.map(Box::new),
            route: None,
            subscriber,
            send_half,
            identity: ConnectionIdentity::default(),
            attached: None,
            watched: None,
            expires: None,
            read_marks: Vec::new(),
            place,
            proof_deadline: Some(proof_deadline),
            lifecycle: ClientLifecycle::default(),
            is_refused: false,
        }
    }

    /// The client's address.
    pub(crate) fn address(&self) -> IpAddr {
        self.requester.address
    }

    pub(crate) fn dialect(&self) -> &Arc<ServedDialect> {
        &self.requester.dialect
    }

    /// The revision that the connection is counted by.
    pub(super) fn revision(&self) -> Revision {
        self.requester.revision
    }

    /// Follows the session to the revision that it has decided on.
    pub(super) fn follow_revision(&mut self) {
        let (before, revision) = (self.revision(), self.session().revision());
        if before == revision {
            return;
        }
        let dialect = self.dialect().clone();
        dialect.metrics.connections(before).decrement(1.0);
        dialect.metrics.connections(revision).increment(1.0);
        tracing::debug!(dialect = dialect.id(), revision, "revision recognised");
        self.requester = Arc::new(self.requester.with_revision(revision));
        if let Some(recording) = &mut self.send_half().recording {
            recording.revision(dialect.manifest(), revision);
        }
    }

    /// Begins to record the connection, if its server has a recorder that wants it.
    pub(crate) fn begin_recording(
        &mut self,
        transport: RecordedTransport,
        request: Option<&http::request::Parts>,
    ) {
        let Some(recorder) = self.state.recorder.clone() else { return };
        let dialect = self.dialect().clone();
        let connection = RecordedConnection {
            id: self.subscriber.id,
            manifest: dialect.manifest(),
            revision: self.revision(),
            transport,
            request,
            address: self.address(),
            user: self.owner(),
        };
        self.send_half().recording = Recording::open(&*recorder, &connection);
    }

    /// The user of this world whose connection it is.
    pub(super) fn owner(&self) -> Option<UserId> {
        let owner = self.identity.owner().map(|principal| principal.identity.user)?;
        match &self.route {
            Some(route) => route.user_of_world(owner),
            None => Some(owner),
        }
    }

    pub(super) fn send_half(&mut self) -> &mut SendHalf {
        self.send_half.as_mut().expect("it is parked only while the connection's task waits")
    }

    pub(super) fn session(&mut self) -> &mut dyn ServerSession {
        &mut *self.send_half().session
    }

    /// Carries out the requests that the handshake itself makes. Their credentials bind the
    /// connection. Returns the frames of their responses.
    pub(crate) async fn initialise(&mut self) -> Vec<Frame> {
        let (mut requests, mut frames) = (Vec::new(), Vec::new());
        let now = self.state.engine.now();
        self.session().initial_requests(now, &mut requests);
        for mut request in requests {
            let (context, caller) = self.begin(&mut request).await;
            if let Ok(Some(principal)) = &caller {
                self.identity.bind(*principal);
            }
            let Submitted { outcome, context, .. } = self.submit(caller, context, request).await;
            let mut answered = Answered { completed: outcome.completed().await, context };
            self.respond(&mut answered, &mut frames).await;
        }
        frames
    }

    /// True if an upstream carries out requests in the engine's place.
    pub(super) fn has_upstream(&self) -> bool {
        self.upstream.is_some()
    }

    /// Carries out a request whose credentials were looked at.
    pub(super) fn submit(
        &mut self,
        caller: Result<Option<Principal>, Fault>,
        mut context: AuthContext,
        request: Request,
    ) -> InFlight {
        let bytes = content_bytes(&request.command);
        if let Some(upstream) = &mut self.upstream {
            if let (Some(events), Some(half)) = (&upstream.events, &self.send_half) {
                events.set_wants_own(half.session.receives_own_events());
            }
            let users = self.route.as_ref().map(|route| route.users_here()).unwrap_or_default();
            let (state, requester) = (&self.state, &self.requester);
            let outcome = submit_upstream(state, upstream, requester, users, caller, request);
            return Box::pin(ready(Submitted { outcome, context, bytes }));
        }
        let (state, requester) = (self.state.clone(), self.requester.clone());
        let readable = context.readable.take();
        Box::pin(async move {
            let outcome = submit(&state, &requester, caller, readable, request).await;
            Submitted { outcome, context, bytes }
        })
    }

    /// Chooses the server for a request, gives the objects that it names the ids that they have in
    /// that server's world, and proves its credentials. Subscribes the connection to what its
    /// session wants from then on.
    pub(super) async fn begin(
        &mut self,
        request: &mut Request,
    ) -> (AuthContext, Result<Option<Principal>, Fault>) {
        let Proven { mut context, caller, turn } = match self.state.dual.clone() {
            None => self.prove(request).await,
            Some(dual) => Box::pin(self.prove_routed(&dual, request)).await,
        };
        let caller = self.admit(&mut context, &request.command, caller).await;
        // Held until here, because the connection is subscribed by reads of the store too.
        drop(turn);
        context.copy = self.route.as_ref().and_then(|route| route.copy(&caller, request));
        (context, caller)
    }

    async fn prove_routed(&mut self, dual: &DualRunning, request: &mut Request) -> Proven {
        let is_proven = self.identity.owner().is_some();
        let route = self.route.get_or_insert_default();
        match route.choose(dual, &self.requester, request, is_proven).await {
            Ok(true) => self.follow_route(),
            Ok(false) => {}
            Err(fault) => return Proven::refused(request, fault),
        }
        if !self.route.get_or_insert_default().may_be_of_upstream(&request.credentials) {
            return self.prove(request).await;
        }
        let (state, address, ids) = (self.state.clone(), self.address(), IdsOnWire::of(request));
        let mut token = RequestToken { session: self, request, ids, proven: None };
        let caller = prove_anywhere(&state, dual, address, &mut token).await;
        match token.proven {
            Some(proven) => Proven { caller, ..proven },
            None => Proven { caller, ..Proven::refused(request, Fault::Unauthenticated) },
        }
    }

    /// Opens the side towards the server of the route. The connection has no subscription yet.
    fn follow_route(&mut self) {
        let (connection, id) = (self.subscriber.id, self.dialect().id());
        let upstream = self.route.as_ref().and_then(|route| route.upstream()).cloned();
        let side = upstream.as_ref().map(|named| {
            let upstream = &*named.upstream;
            self.state.open_side(upstream, connection, id, Some(&self.subscriber))
        });
        self.upstream = side.map(Box::new);
        let dialect = self.dialect().clone();
        if let Some(dialect) = self.route.as_mut().and_then(|it| it.dialect_change(&dialect)) {
            self.requester = Arc::new(self.requester.with_dialect(dialect.clone()));
            self.send_half().set_dialect(dialect);
        }
    }

    /// Gives the objects that a request names the ids that they have in the world of the client's
    /// server, and proves its credentials there.
    async fn prove(&mut self, request: &mut Request) -> Proven {
        // Boxed like everything that few requests need: the future of each is as large as all of
        // its parts.
        let wide_ids = match self.dialect().external_ids.clone() {
            None => Vec::new(),
            Some(ids) => {
                let kinds = self.session().flow_kinds();
                match Box::pin(to_world(Some(&ids), kinds, request)).await {
                    Ok(wide_ids) => wide_ids,
                    Err(fault) => return Proven::refused(request, fault),
                }
            }
        };
        let context = AuthContext::take(request, wide_ids);
        let mut turn = None;
        let caller = self.authenticate(&context.credentials, &mut turn).await;
        Proven { context, caller, turn }
    }

    /// Proves credentials at the client's server; at the engine, the first ones of a connection
    /// wait for their turn.
    async fn authenticate(
        &mut self,
        credentials: &Credentials,
        turn: &mut Option<Turn>,
    ) -> Result<Option<Principal>, Fault> {
        if self.upstream.is_none() && self.identity.owner().is_none() {
            *turn = Box::pin(self.state.proof_turn(self.address(), credentials)).await?;
        }
        let bound = self.identity.bound();
        let principal = match &mut self.upstream {
            Some(upstream) => upstream.authenticate(credentials, bound).await?,
            None => self.state.engine.authenticate(credentials, bound).await?,
        };
        if let (Some(dual), Some(route), Some(proven)) =
            (&self.state.dual, &mut self.route, &principal)
        {
            Box::pin(route.confirm(dual, &self.requester, proven)).await?;
        }
        Ok(principal)
    }

    /// Lets a request pass whose credentials were looked at, and subscribes the connection to what
    /// its session wants from then on. A client that the serving rules refuse learns that first.
    async fn admit(
        &mut self,
        context: &mut AuthContext,
        command: &Command,
        principal: Result<Option<Principal>, Fault>,
    ) -> Result<Option<Principal>, Fault> {
        let caller = principal.as_ref().ok().and_then(Option::as_ref);
        let user = ruled_user(caller, self.identity.owner().as_ref(), command);
        let user = self.route.as_ref().map_or(user, |route| route.ruled_user(user));
        if let Err(fault) = self.lifecycle.admit(&self.state, &self.requester, user) {
            self.is_refused = true;
            return Err(fault);
        }
        let principal = principal?;
        if let Some(principal) = principal {
            self.identity.proven(principal);
            self.follow_owner();
            self.announce().await?;
            context.readable = self.subscribe(context.authority, None).await?.map(Box::new);
            context.flow_read = self.start_flow_read(command).map(Box::new);
        }
        Ok(principal)
    }

    /// Turns the response to a request into frames, and follows the subscription that comes of it.
    pub(super) async fn respond(&mut self, answered: &mut Answered, frames: &mut Vec<Frame>) {
        let Answered { completed, context } = answered;
        let admission = (&*self.state, &*self.requester);
        let elsewhere = self.route.as_ref().and_then(|route| route.granted_elsewhere());
        if context.is_login
            && !Box::pin(self.lifecycle.admit_login(admission, elsewhere, completed)).await
        {
            self.is_refused = true;
        }
        if let Some(copy) = context.copy.take() {
            copy.complete(&self.state.engine, self.dialect().id(), completed);
        }
        if let Some(route) = &mut self.route {
            route.completed(completed);
        }
        let Completed { response, principal, read_mark, .. } = completed;
        let principal = *principal;
        self.identity.completed(&context.credentials, principal, &response.outcome);
        self.follow_owner();
        if let Err(fault) = self.announce().await {
            response.outcome = Err(fault);
        }
        let (state, dialect) = (self.state.clone(), self.dialect().clone());
        if let (Some(events), Ok(Answer::Flow(summary))) =
            (self.upstream.as_ref().and_then(|side| side.events.as_ref()), &response.outcome)
        {
            events.put_summary(summary);
        }
        let subscription = self.send_half().subscription;
        let mut summary = match subscription {
            Subscription::Flow(flow) if self.upstream.is_some() => {
                let side = self.upstream.as_ref().and_then(|side| side.events.as_ref());
                side.and_then(|events| events.summary(flow))
            }
            Subscription::Flow(flow) if dialect.manifest().needs_flow_summaries => {
                if let Ok(Answer::Flow(summary)) = &response.outcome
                    && summary.flow.id == flow
                    && !summary.members.is_empty()
                {
                    state.hub.put_flow_summary(summary);
                }
                state.hub.flow_summary(flow)
            }
            _ => None,
        };
        let as_read = self.flow_as_read(context, principal, &response.outcome);
        let mut wide_ids = None;
        if let Some(ids) = &dialect.external_ids {
            let requested = context.wide_ids.to_vec();
            let nothing = Response::new(Correlation::NONE, Err(Fault::Internal));
            let taken = std::mem::replace(response, nothing);
            let for_wire = Box::pin(ForWire::new(Some(ids), taken, summary, requested)).await;
            *response = for_wire.response;
            (summary, wide_ids) = (for_wire.summary, for_wire.wide_ids);
        }
        let render_context =
            RenderContext::with_flow(summary.as_deref()).with_wide_ids(wide_ids.as_ref());
        let now = state.engine.now();
        match self.session().respond(now, response, &render_context, frames) {
            // A response that became a refusal on its way leaves the messages unread.
            Ok(()) => {
                self.read_marks.extend(read_mark.take().filter(|_| response.outcome.is_ok()));
            }
            Err(unsupported) => tracing::error!(
                dialect = dialect.id(),
                %unsupported,
                "the dialect cannot encode this response"
            ),
        }
        if let Err(fault) = self.subscribe(context.authority, as_read).await {
            tracing::warn!(dialect = dialect.id(), %fault, "the connection cannot be subscribed");
        }
    }

    /// Lists a connection that has an owner, so that a change of the rules finds it. The route of
    /// any other knows no user.
    fn follow_owner(&mut self) {
        let (Some(dual), Some(route)) = (&self.state.dual, &mut self.route) else { return };
        let owner = self.identity.owner().map(|principal| principal.identity);
        if owner.is_some_and(|owner| route.may_be_of(owner)) {
            route.list(dual, &self.requester, &self.subscriber);
        } else {
            route.logged_out();
        }
    }

    /// The close of the connection, if the serving rules refuse its client, or if another server
    /// serves it.
    pub(super) fn refused_close(&mut self) -> Option<Close> {
        let owner = self.identity.owner();
        // Rules about users and shares wait for the login.
        let user = owner.map_or(RuledUser::Pending, |it| RuledUser::Known(it.identity.user));
        let user = self.route.as_ref().map_or(user, |route| route.ruled_user(user));
        let refused = self.lifecycle.refusal(&self.state, &self.requester, user).is_some();
        let code = self.dialect().manifest().close_codes.going_away;
        if self.has_moved() {
            return Some(Close::new(code, "another server serves this user now"));
        }
        (refused || self.is_refused).then(|| Close::new(code, "this version is not served now"))
    }

    /// True if a serving rule has refused a request, or if another server serves the client now:
    /// its response is the last one.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused || self.has_moved()
    }

    /// True if another server serves the user of the connection now.
    fn has_moved(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.has_moved())
    }

    /// Adds the headers that announce the end of the client's version, if that is announced.
    pub(crate) fn announce_lifecycle(&mut self, headers: &mut HeaderMap) {
        self.lifecycle.announce(&self.state, &self.requester, headers);
    }

    /// Delivers an event. Returns the close that it causes.
    pub(super) fn deliver(&mut self, broadcast: &Broadcast) -> Option<Close> {
        let EventKind::SessionsEnded { user, session } = broadcast.event().kind else {
            return self.send_half().deliver(broadcast);
        };
        if !self.identity.end_sessions(user, session) {
            return None;
        }
        // The end of sessions leaves no identity: there is no id to look up.
        if self.identity.take_change().is_some() {
            self.session().authenticated(None);
        }
        self.follow_owner();
        if self.identity.current().is_none() {
            self.unsubscribe();
        }
        self.send_half().deliver_any(broadcast)
    }

    /// The end of the owner's session, if its credentials have expired, or were revoked without an
    /// event.
    pub(super) async fn check_expiry(&mut self) -> Option<Broadcast> {
        if self.has_upstream() {
            // Only the upstream knows, and refuses the next request.
            self.expires = None;
            return None;
        }
        let owner = self.identity.owner()?;
        let engine = &self.state.engine;
        let now = engine.now();
        // While the store cannot be read, the connection goes on until the next look.
        if engine.still_valid(&owner, now).await.unwrap_or(true) {
            self.watched = None;
            self.watch_expiry();
            // The clocks of this process differ by little: without a pause, the connection would be
            // looked at in a loop.
            self.expires = self.expires.map(|expires| expires.max(Instant::now() + EXPIRY_PAUSE));
            return None;
        }
        let Identity { user, session } = owner.identity;
        let kind = EventKind::SessionsEnded { user, session };
        Some(Broadcast::of_user(Arc::new(Event::new(now, kind))))
    }

    /// Ends the connection's subscriptions for good, and drops what waits for it.
    pub(super) fn disconnect(&mut self) {
        self.state.hub.disconnect(&self.subscriber, self.attached.take());
    }

    /// Announces the identity to the session, if it has changed. The first one is the proof that
    /// the connection's place waits for.
    async fn announce(&mut self) -> Result<(), Fault> {
        let Some(identity) = self.identity.take_change() else { return Ok(()) };
        if identity.is_some() && self.proof_deadline.take().is_some() {
            self.place.prove();
        }
        let owner = self.owner();
        if let (Some(_), Some(user), Some(recording)) =
            (identity, owner, &mut self.send_half().recording)
        {
            recording.user(user);
        }
        let dialect = self.dialect().clone();
        let ids = dialect.external_ids.as_deref();
        Box::pin(announce_identity(ids, self.session(), identity)).await
    }

    /// The start of the read that a command is, if its answer is a flow with its members, and the
    /// dialect may have the connection subscribed to that.
    fn start_flow_read(&self, command: &Command) -> Option<FlowReadStart> {
        match command {
            Command::GetFlow { flow, members: true, .. }
                if self.upstream.is_none() && self.dialect().manifest().needs_flow_summaries =>
            {
                Some(self.state.hub.start_flow_read(*flow))
            }
            _ => None,
        }
    }

    /// The flow in the answer to a request of the connection's user, unless the connection is
    /// subscribed to it already.
    fn flow_as_read(
        &mut self,
        context: &AuthContext,
        principal: Option<Principal>,
        outcome: &Result<Answer, Fault>,
    ) -> Option<FlowAsRead> {
        let (begun, Ok(Answer::Flow(summary))) = (context.flow_read.as_deref()?, outcome) else {
            return None;
        };
        let user = principal?.identity.user;
        let is_own = self.identity.current().is_some_and(|identity| identity.user == user);
        let subscribed = self.send_half().subscription == Subscription::Flow(summary.flow.id);
        if !is_own || subscribed {
            return None;
        }
        self.state.hub.flow_as_read(*begun, summary)
    }

    /// Subscribes the connection to what its session wants, as far as its user may receive it.
    /// `as_read` is the flow in the answer to the request. Returns the flow if it was read here.
    async fn subscribe(
        &mut self,
        authority: Authority,
        as_read: Option<FlowAsRead>,
    ) -> Result<Option<ReadableFlow>, Fault> {
        let current = self.identity.current();
        let wanted = match current {
            Some(_) => self.session().subscription(),
            None => Subscription::None,
        };
        let wanted = match self.dialect().external_ids.clone() {
            Some(ids) if matches!(wanted, Subscription::Flow(_)) => {
                let kinds = self.session().flow_kinds();
                Box::pin(subscription_to_world(Some(&ids), kinds, wanted)).await?
            }
            _ => wanted,
        };
        self.watch_expiry();
        let principal = self.identity.owner();
        if let Some(upstream) = &mut self.upstream {
            let wanted = if principal.is_some() { wanted } else { Subscription::None };
            let session = principal.and_then(|principal| principal.identity.session);
            let session = session.filter(|_| wanted != Subscription::None);
            let send_half =
                self.send_half.as_mut().expect("it is parked only while the task waits");
            if wanted != send_half.subscription || session != upstream.received_as {
                send_half.subscription = wanted;
                upstream.received_as = session;
                upstream.connection.subscribe(session, wanted);
            }
            return Ok(None);
        }
        let owner = principal.map(|principal| principal.identity.user);
        if wanted == self.send_half().subscription && owner == self.attached {
            return Ok(None);
        }
        Box::pin(self.change_subscription(authority, (owner, current), wanted, as_read)).await
    }

    /// Ends the subscription, and subscribes the connection of `owner` to what its session wants as
    /// `current`.
    async fn change_subscription(
        &mut self,
        authority: Authority,
        (owner, current): (Option<UserId>, Option<Identity>),
        wanted: Subscription,
        as_read: Option<FlowAsRead>,
    ) -> Result<Option<ReadableFlow>, Fault> {
        self.detach();
        let Some(user) = owner else { return Ok(None) };
        let mut readable = None;
        let (state, subscriber) = (self.state.clone(), self.subscriber.clone());
        match (current, wanted) {
            (Some(identity), Subscription::Flow(flow)) => {
                let needs_summary = self.dialect().manifest().needs_flow_summaries;
                let (reader, flow) = ((identity.user, authority), (flow, needs_summary));
                let subscribing =
                    state.hub.subscribe_to_flow(&subscriber, user, reader, flow, as_read);
                readable = subscribing.await?;
            }
            (Some(_), Subscription::AllFlows) => {
                state.hub.subscribe_to_all(&subscriber, user).await?;
            }
            (_, Subscription::None) | (None, _) => state.hub.attach(&subscriber, user),
        }
        self.attached = Some(user);
        self.send_half().subscription = wanted;
        Ok(readable)
    }

    /// Ends the subscription. The connection still receives the ends of its owner's sessions.
    fn unsubscribe(&mut self) {
        self.detach();
        if let Some(owner) = self.identity.owner() {
            self.state.hub.attach(&self.subscriber, owner.identity.user);
            self.attached = Some(owner.identity.user);
        }
        self.watch_expiry();
    }

    fn detach(&mut self) {
        self.state.hub.detach(&self.subscriber, self.attached.take());
        self.send_half().subscription = Subscription::None;
    }

    fn watch_expiry(&mut self) {
        let owner = self.identity.owner().filter(|_| !self.has_upstream());
        if self.watched == owner {
            return;
        }
        self.watched = owner;
        self.expires = owner.and_then(|principal| {
            let now = self.state.engine.now().micros();
            let left = principal.expires_at.micros().saturating_sub(now).max(0).unsigned_abs();
            Instant::now().checked_add(Duration::from_micros(left))
        });
    }
}

/// The credentials of a request, looked at by one server.
struct Proven {
    context: AuthContext,
    caller: Result<Option<Principal>, Fault>,
    turn: Option<Turn>,
}

impl Proven {
    fn refused(request: &mut Request, fault: Fault) -> Self {
        Self { context: AuthContext::take(request, Vec::new()), caller: Err(fault), turn: None }
    }
}

/// The token of a request, which one server after the other is asked for.
struct RequestToken<'a> {
    session: &'a mut ConnectionSession,
    request: &'a mut Request,
    ids: IdsOnWire,
    /// The result of the first one, or of the one that knows it.
    proven: Option<Proven>,
}

impl Proof for RequestToken<'_> {
    fn route(&mut self) -> &mut ClientRoute {
        self.session.route.get_or_insert_default()
    }

    fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>) {
        if self.route().enter(upstream) {
            self.session.follow_route();
        }
    }

    async fn prove(&mut self) -> Result<Option<Principal>, Fault> {
        if let Some(first) = &self.proven {
            self.request.credentials = first.context.credentials.clone();
            self.ids.restore(self.request);
        }
        let mut proven = self.session.prove(self.request).await;
        let caller = proven.caller.clone();
        if caller.is_err() {
            // Others need not wait for the answers of upstreams.
            proven.turn = None;
        }
        if caller.is_ok() || self.proven.is_none() {
            self.proven = Some(proven);
        }
        caller
    }
}

impl Drop for ConnectionSession {
    fn drop(&mut self) {
        self.disconnect();
    }
}
