//! HTTP requests of dialects.

use super::body::{BodyError, leave_unread, read_body};
use super::response_budget::ResponseBudget;
use super::responses::error;
use crate::client_route::{ClientRoute, Proof, prove_anywhere, token_of};
use crate::dual::{DualRunning, NamedUpstream};
use crate::identity::ConnectionIdentity;
use crate::ledger::Usage;
use crate::lifecycle::{ClientLifecycle, is_login, ruled_user};
use crate::memory_budget::Reservation;
use crate::metrics;
use crate::pinned::pinned_revision;
use crate::recording::{RecordedConnection, RecordedTransport, Recording};
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::submission::{Requester, submit, submit_upstream};
use crate::traffic::TrafficMeter;
use crate::upstream::UpstreamSide;
use crate::user_agent::user_agent;
use crate::wire_ids::{ForWire, IdsOnWire, announce_identity, to_world};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tolmach_dialect::{
    ExpectedBody, Frame, Handshake, RenderContext, Sender, ServerSession, WideIds,
};
use tolmach_domain::{Credentials, Fault, Identity};
use tolmach_engine::Principal;

/// The time after which a client that has got no memory for its body may try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Carries out one HTTP request of a dialect: a session of one frame each way. The body is read
/// once the head has been accepted and its credentials are proven.
pub(super) async fn exchange(
    state: &ServerState,
    budget: &ResponseBudget,
    address: IpAddr,
    dialect: &Arc<ServedDialect>,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let connection = state.new_connection();
    let (head, mut body) = request.into_parts();
    let handshake = Handshake::new(connection)
        .request(&head)
        .websocket(false)
        .local(state.is_local(address))
        .max_json_depth(state.limits.max_json_depth);
    let handshake = match pinned_revision(state, dialect, &handshake, address).await {
        Some(revision) => handshake.revision(revision),
        None => handshake,
    };
    let session = match dialect.accept(&handshake) {
        Ok(session) => session,
        Err(rejection) => {
            dialect.metrics.handshakes_rejected.increment(1);
            return leave_unread(&state.traffic, address, &head, body, *rejection.response);
        }
    };
    let revision = session.revision();
    let (dialect, user_agent) = (dialect.clone(), user_agent(&head.headers));
    let usage = Usage::new(state.ledger.clone());
    let requester = Requester::new(dialect, revision, connection, address, user_agent, usage);
    let requester = Arc::new(requester);
    let lifecycle = ClientLifecycle::default();
    let recording = None;
    let upstream = state.open_upstream(connection, requester.dialect.id(), None);
    let route = state.dual.is_some().then(Box::default);
    let mut exchange =
        Exchange { state, budget, requester, upstream, route, session, lifecycle, recording };
    let received = match exchange.receive(&mut body).await {
        Ok(received) => received,
        Err(response) => return leave_unread(&state.traffic, address, &head, body, response),
    };
    let limit = state.keepalive.pong_timeout;
    match received {
        Some((content, _reservation)) => {
            let frame = Frame::request(Request::from_parts(head, content));
            budget.respond(limit, address, || exchange.carry_out(frame)).await
        }
        None => {
            let frame = Frame::request(Request::from_parts(head.clone(), Bytes::new()));
            let response = budget.respond(limit, address, || exchange.carry_out(frame)).await;
            leave_unread(&state.traffic, address, &head, body, response)
        }
    }
}

struct Exchange<'a> {
    state: &'a ServerState,
    budget: &'a ResponseBudget,
    requester: Arc<Requester>,
    /// The side towards the upstream, if one carries out requests in the engine's place.
    upstream: Option<UpstreamSide>,
    /// The server that serves the client, where there are upstreams beside the engine.
    route: Option<Box<ClientRoute>>,
    session: Box<dyn ServerSession>,
    lifecycle: ClientLifecycle,
    recording: Option<Recording>,
}

impl Exchange<'_> {
    /// Reads the body on the terms of the session: nothing, if there is none or it is not needed.
    /// An error is the response to send.
    async fn receive(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<(Bytes, Reservation)>, Response<Bytes>> {
        if body.is_end_stream() {
            return Ok(None);
        }
        let (state, dialect) = (self.state, self.requester.dialect.clone());
        let expected = self.session.expected_body();
        let mut meter = TrafficMeter::new(state.traffic.clone(), self.requester.address);
        if let Some(expected) = &expected {
            match self.prove_expected(&expected.credentials).await {
                Ok(principal) => {
                    let user = principal.map(|proven| proven.identity.user);
                    // The number of an upstream's user may be another user's here.
                    meter.set_user(user.filter(|_| self.upstream.is_none()));
                }
                Err(fault) => {
                    dialect.metrics.handshakes_rejected.increment(1);
                    return Err(self.reject(expected, fault));
                }
            }
        }
        let bound = expected.as_ref().map_or(usize::MAX, |expected| expected.max_bytes);
        let max_bytes = bound.min(dialect.max_body_bytes);
        if max_bytes == 0 {
            return Ok(None);
        }
        let mut reservation = self.budget.account(self.requester.address).reservation();
        let limit = state.http.body_timeout;
        match read_body(body, max_bytes, limit, &mut reservation, meter).await {
            Ok(content) => Ok(Some((content, reservation))),
            Err(reason) => {
                metrics::body_rejected(reason.name());
                Err(match (reason, &expected) {
                    (BodyError::OverBudget, Some(expected)) => {
                        self.reject(expected, Fault::TooMany { retry_after: RETRY_AFTER })
                    }
                    (reason, _) => reason.response(),
                })
            }
        }
    }

    async fn authenticate(
        &mut self,
        credentials: &Credentials,
        bound: Option<&Principal>,
    ) -> Result<Option<Principal>, Fault> {
        let principal = match &mut self.upstream {
            Some(upstream) => upstream.authenticate(credentials, bound).await?,
            None => {
                let address = self.requester.address;
                let _turn = self.state.proof_turn(address, credentials).await?;
                self.state.engine.authenticate(credentials, bound).await?
            }
        };
        if let (Some(dual), Some(route), Some(principal)) =
            (&self.state.dual, &mut self.route, &principal)
        {
            route.confirm(dual, &self.requester, principal).await?;
        }
        Ok(principal)
    }

    /// Proves the credentials that a body is expected with.
    async fn prove_expected(
        &mut self,
        credentials: &Credentials,
    ) -> Result<Option<Principal>, Fault> {
        let (Some(dual), Some(route)) = (&self.state.dual, &mut self.route) else {
            return self.authenticate(credentials, None).await;
        };
        if route.choose_by_token(dual, token_of(credentials)) {
            self.follow_route();
        }
        if !self.route().may_be_of_upstream(credentials) {
            return self.authenticate(credentials, None).await;
        }
        let (state, address) = (self.state, self.requester.address);
        let mut token = ExpectedToken { exchange: self, credentials };
        prove_anywhere(state, dual, address, &mut token).await
    }

    /// Chooses the server for a request, gives the objects that it names the ids that they have in
    /// that server's world, and proves its credentials. Returns the wide ids of the request too.
    async fn begin(
        &mut self,
        bound: Option<&Principal>,
        request: &mut tolmach_dialect::Request,
    ) -> (Vec<i64>, Result<Option<Principal>, Fault>) {
        match self.state.dual.clone() {
            None => self.prove(bound, request).await,
            Some(dual) => Box::pin(self.begin_routed(&dual, bound, request)).await,
        }
    }

    async fn begin_routed(
        &mut self,
        dual: &DualRunning,
        bound: Option<&Principal>,
        request: &mut tolmach_dialect::Request,
    ) -> (Vec<i64>, Result<Option<Principal>, Fault>) {
        let requester = self.requester.clone();
        match self.route().choose(dual, &requester, request, bound.is_some()).await {
            Ok(true) => self.follow_route(),
            Ok(false) => {}
            Err(fault) => return (Vec::new(), Err(fault)),
        }
        if !self.route().may_be_of_upstream(&request.credentials) {
            return self.prove(bound, request).await;
        }
        let (state, address) = (self.state, self.requester.address);
        let (ids, wide_ids) = (IdsOnWire::of(request), None);
        let mut token = RequestToken { exchange: self, bound, request, ids, wide_ids };
        let caller = prove_anywhere(state, dual, address, &mut token).await;
        (token.wide_ids.unwrap_or_default(), caller)
    }

    async fn prove(
        &mut self,
        bound: Option<&Principal>,
        request: &mut tolmach_dialect::Request,
    ) -> (Vec<i64>, Result<Option<Principal>, Fault>) {
        let dialect = self.requester.dialect.clone();
        let kinds = self.session.flow_kinds();
        match to_world(dialect.external_ids.as_deref(), kinds, request).await {
            Ok(wide_ids) => {
                let credentials = request.credentials.clone();
                (wide_ids, self.authenticate(&credentials, bound).await)
            }
            Err(fault) => (Vec::new(), Err(fault)),
        }
    }

    fn route(&mut self) -> &mut ClientRoute {
        self.route.get_or_insert_default()
    }

    fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>) {
        if self.route().enter(upstream) {
            self.follow_route();
        }
    }

    /// Opens the side towards the server of the route.
    fn follow_route(&mut self) {
        let upstream = self.route.as_ref().and_then(|route| route.upstream());
        let (connection, id) = (self.requester.connection, self.requester.dialect.id());
        let open = |named: &Arc<NamedUpstream>| {
            self.state.open_side(&*named.upstream, connection, id, None)
        };
        self.upstream = upstream.map(open);
        let dialect = &self.requester.dialect;
        let other = self.route.as_mut().and_then(|route| route.dialect_change(dialect));
        if let Some(dialect) = other {
            self.requester = Arc::new(self.requester.with_dialect(dialect));
        }
    }

    /// The dialect's response to a body that is not read.
    fn reject(&mut self, expected: &ExpectedBody, fault: Fault) -> Response<Bytes> {
        let response = tolmach_dialect::Response::new(expected.correlation.clone(), Err(fault));
        let mut frames = Vec::new();
        self.respond(&response, None, &mut frames);
        http_response(frames)
    }

    async fn carry_out(mut self, frame: Frame) -> Response<Bytes> {
        let metrics = &self.requester.dialect.metrics;
        metrics.frames_in.increment(1);
        metrics.bytes_in.increment(frame.payload().len() as u64);
        self.begin_recording();
        let mut response = http_response(self.frames(&frame).await);
        self.lifecycle.announce(self.state, &self.requester, response.headers_mut());
        if let Some(recording) = &mut self.recording {
            recording.sent(&Frame::response(response.clone()), None);
            // By the client, as in a replay: the server has not asked for the end.
            recording.close(Sender::Client, None);
        }
        let metrics = &self.requester.dialect.metrics;
        metrics.frames_out.increment(1);
        metrics.bytes_out.increment(response.body().len() as u64);
        response
    }

    /// Begins to record the exchange, if the server has a recorder that wants it.
    fn begin_recording(&mut self) {
        let Some(recorder) = &self.state.recorder else { return };
        let connection = RecordedConnection {
            id: self.requester.connection,
            manifest: self.requester.dialect.manifest(),
            revision: self.requester.revision,
            transport: RecordedTransport::Http,
            request: None,
            address: self.requester.address,
            user: None,
        };
        self.recording = Recording::open(&**recorder, &connection);
    }

    async fn frames(&mut self, frame: &Frame) -> Vec<Frame> {
        let state = self.state;
        let (mut requests, mut frames) = (Vec::new(), Vec::new());
        let decoded = self.session.decode(state.engine.now(), frame, &mut requests);
        if let Some(recording) = &mut self.recording {
            let known = requests.first().filter(|_| decoded.is_ok());
            recording.received(frame, known.map(|request| request.command.name()));
        }
        if let Err(violation) = decoded {
            self.requester.dialect.metrics.violation(violation.kind.name());
            frames.extend(violation.answer);
            return frames;
        }
        let mut identity = ConnectionIdentity::default();
        for mut request in requests {
            let (wide_ids, caller) = self.begin(identity.bound(), &mut request).await;
            let credentials = request.credentials.clone();
            let dialect = self.requester.dialect.clone();
            let ids = dialect.external_ids.as_deref();
            let proven = caller.as_ref().ok().and_then(Option::as_ref);
            let is_login = is_login(&request.command);
            let user = ruled_user(proven, None, &request.command);
            let user = self.route.as_ref().map_or(user, |route| route.ruled_user(user));
            let caller = match self.lifecycle.admit(state, &self.requester, user) {
                Ok(()) => caller,
                Err(fault) => Err(fault),
            };
            if let Ok(Some(principal)) = &caller {
                identity.proven(*principal);
                self.budget.place().prove();
            }
            let caller = match self.announce(&mut identity).await {
                Ok(()) => caller,
                Err(fault) => Err(fault),
            };
            let copy = self.route.as_ref().and_then(|route| route.copy(&caller, &request));
            let submitted = match &mut self.upstream {
                Some(upstream) => {
                    let route = self.route.as_ref();
                    let users = route.map(|route| route.users_here()).unwrap_or_default();
                    submit_upstream(state, upstream, &self.requester, users, caller, request)
                }
                None => submit(state, &self.requester, caller, None, request).await,
            };
            let mut completed = submitted.completed().await.wait_for_delivery(state).await;
            if is_login {
                let elsewhere = self.route.as_ref().and_then(|route| route.granted_elsewhere());
                let admission = (state, &*self.requester);
                self.lifecycle.admit_login(admission, elsewhere, &mut completed).await;
            }
            if let Some(copy) = copy {
                copy.complete(&state.engine, self.requester.dialect.id(), &completed);
            }
            if let Some(route) = &mut self.route {
                route.completed(&completed);
            }
            identity.completed(&credentials, completed.principal, &completed.response.outcome);
            if let (Some(route), None) = (&mut self.route, identity.owner()) {
                route.logged_out();
            }
            let (mut response, read_mark) = (completed.response, completed.read_mark);
            if let Err(fault) = self.announce(&mut identity).await {
                response.outcome = Err(fault);
            }
            let ForWire { response, wide_ids, .. } =
                ForWire::new(ids, response, None, wide_ids).await;
            let encoded = self.respond(&response, wide_ids.as_ref(), &mut frames);
            // A response that became a refusal on its way leaves the messages unread.
            if let Some(mark) = read_mark.filter(|_| encoded && response.outcome.is_ok()) {
                state.engine.move_read_mark(mark).await;
            }
        }
        frames
    }

    /// Turns a response into frames. Returns false if the dialect cannot encode it.
    fn respond(
        &mut self,
        response: &tolmach_dialect::Response,
        wide_ids: Option<&WideIds>,
        frames: &mut Vec<Frame>,
    ) -> bool {
        let now = self.state.engine.now();
        let context = RenderContext::EMPTY.with_wide_ids(wide_ids);
        let encoded = self.session.respond(now, response, &context, frames);
        if let Err(unsupported) = &encoded {
            tracing::error!(
                dialect = self.requester.dialect.id(),
                %unsupported,
                "the dialect cannot encode this response"
            );
        }
        encoded.is_ok()
    }

    async fn announce(&mut self, identity: &mut ConnectionIdentity) -> Result<(), Fault> {
        let Some(identity) = identity.take_change() else { return Ok(()) };
        let user_of = |identity: Identity| match &self.route {
            Some(route) => route.user_of_world(identity.user),
            None => Some(identity.user),
        };
        if let (Some(user), Some(recording)) = (identity.and_then(user_of), &mut self.recording) {
            recording.user(user);
        }
        let ids = self.requester.dialect.external_ids.as_deref();
        announce_identity(ids, &mut *self.session, identity).await
    }
}

/// The token that a body is expected with, which one server after the other is asked for.
struct ExpectedToken<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    credentials: &'a Credentials,
}

impl Proof for ExpectedToken<'_, '_> {
    fn route(&mut self) -> &mut ClientRoute {
        self.exchange.route()
    }

    fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>) {
        self.exchange.enter(upstream);
    }

    async fn prove(&mut self) -> Result<Option<Principal>, Fault> {
        self.exchange.authenticate(self.credentials, None).await
    }
}

/// The token of a request, which one server after the other is asked for.
struct RequestToken<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    bound: Option<&'a Principal>,
    request: &'a mut tolmach_dialect::Request,
    ids: IdsOnWire,
    /// The wide ids of the request, at the first one or at the one that knows the token.
    wide_ids: Option<Vec<i64>>,
}

impl Proof for RequestToken<'_, '_> {
    fn route(&mut self) -> &mut ClientRoute {
        self.exchange.route()
    }

    fn enter(&mut self, upstream: Option<&Arc<NamedUpstream>>) {
        self.exchange.enter(upstream);
    }

    async fn prove(&mut self) -> Result<Option<Principal>, Fault> {
        self.ids.restore(self.request);
        let (wide_ids, caller) = self.exchange.prove(self.bound, self.request).await;
        if caller.is_ok() || self.wide_ids.is_none() {
            self.wide_ids = Some(wide_ids);
        }
        caller
    }
}

/// The HTTP response among the frames of a session.
fn http_response(frames: Vec<Frame>) -> Response<Bytes> {
    let response = frames.into_iter().find_map(|frame| match frame {
        Frame::Response(response) => Some(*response),
        _ => None,
    });
    response.unwrap_or_else(|| error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::test_support::{TestServer, settle, toy};
    use crate::test_upstream::ToyUpstream;
    use std::net::Ipv4Addr;
    use tolmach_domain::{Secret, Timestamp};
    use tolmach_engine::ports::{RuleEffect, RuleSubject};

    fn budget(server: &TestServer) -> ResponseBudget {
        let state = &server.state;
        ResponseBudget::new(state.places.take(None).unwrap(), state.memory.clone())
    }

    fn exchange<'a>(server: &'a TestServer, budget: &'a ResponseBudget) -> Exchange<'a> {
        let (state, dialect) = (&*server.state, server.dialect());
        let connection = state.new_connection();
        let session = dialect.accept(&Handshake::new(connection)).unwrap();
        let revision = session.revision();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let usage = Usage::new(None);
        let requester = Requester::new(dialect, revision, connection, address, None, usage);
        let requester = Arc::new(requester);
        let route = state.dual.is_some().then(Box::default);
        let (lifecycle, recording) = (ClientLifecycle::default(), None);
        Exchange { state, budget, requester, upstream: None, route, session, lifecycle, recording }
    }

    /// Logs a user in and carries out more commands, in one exchange. Returns the responses to
    /// these, as far as they have some.
    async fn carry_out(server: &TestServer, login: &str, commands: &[&str]) -> Vec<String> {
        let budget = budget(server);
        let frame = Frame::text(format!("login {login}\n{}", commands.join("\n")));
        let frames = exchange(server, &budget).frames(&frame).await;
        let mut texts = frames.iter().map(|frame| str::from_utf8(frame.payload()).unwrap());
        assert_eq!(texts.next(), Some("ok"));
        texts.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn an_answer_that_becomes_a_refusal_or_has_no_frame_leaves_its_messages_unread() {
        let with_ids = TestServer::with_external_ids(toy()).await;
        let without = TestServer::new(toy(), Limits::default()).await;
        for (server, lost, response) in
            [(with_ids, "read", Some("unavailable")), (without, "lose", None)]
        {
            let users = [server.backend.user("ann").await.id, server.backend.user("bob").await.id];
            let group = server.backend.group(&users).await;
            settle().await;
            // A message whose ids are not cached.
            server.backend.store.fail_external_ids(true).await;
            carry_out(&server, "bob", &[&format!("send {group} hello")]).await;
            settle().await;
            let lost = carry_out(&server, "ann", &[&format!("{lost} {group}")]).await;
            assert_eq!(lost.first().map(String::as_str), response);
            server.backend.store.fail_external_ids(false).await;
            for response in ["ok hello", "ok"] {
                let read = carry_out(&server, "ann", &[&format!("read {group}")]).await;
                assert_eq!(read, [response]);
            }
        }
    }

    fn of(login: &str) -> RuleSubject {
        RuleSubject { login: Some(login.into()), ..RuleSubject::default() }
    }

    #[tokio::test]
    async fn a_mirror_gets_what_was_carried_out_for_a_proven_user_and_nothing_else() {
        let upstream = ToyUpstream::default();
        let server = TestServer::dual(&[("old", &upstream)]).await;
        for login in ["ann", "bob"] {
            server.backend.user(login).await;
        }
        let mirrored = || (of("ann"), RuleEffect::Mirrored { to: "old".into() });
        server.set_rules([mirrored()]);
        let commands = ["whoami", "recover bob", "login cid", "list junk", "read 999"];
        let expected = ["ok", "ok", "wrong_credentials", "unauthenticated", "no_such_flow"];
        assert_eq!(carry_out(&server, "ann", &commands).await, expected);
        assert_eq!(upstream.take_copies(), ["ann login", "ann get_user", "ann history"]);
        carry_out(&server, "bob", &["recover ann", "whoami"]).await;
        assert_eq!(upstream.take_copies(), [""; 0], "another user is not mirrored");
        let refused = RuleEffect::Refused { from: Timestamp::default() };
        let toy = RuleSubject { dialect: Some("toy".into()), ..RuleSubject::default() };
        server.set_rules([mirrored(), (toy, refused)]);
        let budget = budget(&server);
        let frames = exchange(&server, &budget).frames(&Frame::text("login ann")).await;
        assert_eq!(frames[0].payload(), &b"invalid"[..]);
        assert_eq!(upstream.take_copies(), [""; 0], "the rules refuse it");
    }

    #[tokio::test]
    async fn upstreams_are_asked_for_the_token_of_a_body_and_of_a_request_by_one_rule() {
        let (gone, old) = (ToyUpstream::default(), ToyUpstream::default());
        let server = TestServer::dual(&[("gone", &gone), ("old", &old)]).await;
        server.backend.user("ann").await;
        let ann = server.token("ann").await;
        let served = |by: &str| RuleEffect::Served { by: Some(by.into()) };
        server.set_rules([(of("ann"), served("old")), (of("cid"), served("gone"))]);
        let junk = Secret::new("junk");
        for (name, token, is_gone, known_as, response, proofs) in [
            ("one whom another server serves", &ann, true, None, "unauthenticated", [0, 0]),
            ("nobody's", &junk, false, None, "unauthenticated", [1, 1]),
            ("perhaps of one that is gone", &junk, true, None, "unavailable", [1, 1]),
            ("a user of an upstream", &junk, true, Some("ann"), "ok", [1, 1]),
        ] {
            gone.notes().is_gone = is_gone;
            old.notes().login_of_tokens = known_as.map(str::to_owned);
            let budget = budget(&server);
            let credentials = Credentials::Token(token.clone());
            let proven = exchange(&server, &budget).prove_expected(&credentials).await;
            assert_eq!(proven.map_or_else(|fault| fault.name(), |_| "ok"), response, "{name}");
            assert_eq!([gone.take_proofs(), old.take_proofs()], proofs, "{name}");
            let frame = Frame::text(format!("list {}", token.expose()));
            let frames = exchange(&server, &budget).frames(&frame).await;
            assert_eq!(frames[0].payload(), response.as_bytes(), "{name}");
            assert_eq!([gone.take_proofs(), old.take_proofs()], proofs, "{name}");
        }
    }
}
