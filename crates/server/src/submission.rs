//! Requests on their way through the engine.

use crate::backlog::FlowBacklog;
use crate::ledger::{CountedRequest, Usage};
use crate::metrics::LastSeries;
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::upstream::{UpstreamOutcome, UpstreamSide};
use futures_util::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout;
use tolmach_dialect::{Correlation, Request, Response, Revision};
use tolmach_domain::{Answer, Command, ConnectionId, Fault, FlowId, Origin, Timestamp, UserId};
use tolmach_engine::ports::ReadMark;
use tolmach_engine::{Handled, Principal, ReadableFlow, Submission, Submitted};

/// The origin of requests.
pub(crate) struct Requester {
    pub(crate) dialect: Arc<ServedDialect>,
    pub(crate) revision: Revision,
    pub(crate) connection: ConnectionId,
    /// The client's address.
    pub(crate) address: IpAddr,
    /// Its `User-Agent` header.
    pub(crate) user_agent: Option<Arc<str>>,
    /// Its way into the ledger.
    pub(crate) usage: Usage,
    /// The series of its last request.
    pub(crate) last_series: LastSeries,
}

impl Requester {
    pub(crate) fn new(
        dialect: Arc<ServedDialect>,
        revision: Revision,
        connection: ConnectionId,
        address: IpAddr,
        user_agent: Option<Arc<str>>,
        usage: Usage,
    ) -> Self {
        let last_series = LastSeries::default();
        Self { dialect, revision, connection, address, user_agent, usage, last_series }
    }

    /// The same origin, with another value of its dialect.
    pub(crate) fn with_dialect(&self, dialect: Arc<ServedDialect>) -> Self {
        Self { dialect, ..self.with_revision(self.revision) }
    }

    /// The same origin, with another revision.
    pub(crate) fn with_revision(&self, revision: Revision) -> Self {
        let Self { dialect, connection, address, user_agent, usage, .. } = self;
        let (dialect, user_agent) = (dialect.clone(), user_agent.clone());
        let usage = usage.without_entry();
        Self::new(dialect, revision, *connection, *address, user_agent, usage)
    }
}

/// The users of this world with the logins of an upstream's users, whose own numbers may be those
/// of others here.
#[derive(Clone, Copy, Default)]
pub(crate) struct UsersHere {
    /// The one who was proven last.
    pub(crate) proven: Option<UserId>,
    /// The one who is proven once the request is granted.
    pub(crate) granted: Option<UserId>,
}

/// A request that was carried out.
pub(crate) struct Completed {
    pub(crate) response: Response,
    /// The identity of the caller after the request, with its expiry.
    pub(crate) principal: Option<Principal>,
    /// The read mark to move once the caller has got the response: nothing, if it became a refusal
    /// meanwhile.
    pub(crate) read_mark: Option<ReadMark>,
    /// The flow that the request changed.
    flow: Option<FlowId>,
}

impl Completed {
    /// A request that changed no flow and had no caller.
    #[cfg(test)]
    pub(crate) fn without_flow(response: Response) -> Self {
        Self { response, principal: None, read_mark: None, flow: None }
    }

    /// The backlog that the response has to wait for, if the delivery of the changed flow lags.
    pub(crate) fn lagging_backlog(&self, state: &ServerState) -> Option<Arc<FlowBacklog>> {
        state.hub.lagging_backlog(self.flow?)
    }

    /// Waits until the delivery of the changed flow does not lag, for a bounded time.
    pub(crate) async fn wait_for_delivery(self, state: &ServerState) -> Self {
        if let Some(backlog) = self.lagging_backlog(state) {
            crate::metrics::response_delayed();
            // A server that is stuck must not stop its writers for ever.
            let _ = timeout(state.max_response_delay, backlog.wait_until_drained()).await;
        }
        self
    }
}

/// The state of a request after its submission.
pub(crate) enum Outcome {
    Completed(Completed),
    /// A message that is being committed. Later requests are not carried out before it.
    Pending(PendingCommit),
}

/// A message that is being committed.
pub(crate) type PendingCommit = BoxFuture<'static, Completed>;

impl Outcome {
    /// Waits until the request is carried out.
    pub(crate) async fn completed(self) -> Completed {
        match self {
            Self::Completed(completed) => completed,
            Self::Pending(pending) => pending.await,
        }
    }
}

/// Carries out a request whose credentials were looked at, up to the point where the next one may
/// be submitted. `readable` was found since it came.
pub(crate) async fn submit(
    state: &ServerState,
    requester: &Arc<Requester>,
    caller: Result<Option<Principal>, Fault>,
    readable: Option<Box<ReadableFlow>>,
    request: Request,
) -> Outcome {
    let Request { correlation, credentials: _, authority, client_tag, wide_ids: _, command } =
        request;
    let record = Record::begin(state, requester, &caller, &command, correlation);
    let caller = match caller {
        Ok(caller) => caller,
        Err(fault) => return Outcome::Completed(record.complete(None, Err(fault), None)),
    };
    let origin = Some(Origin {
        connection: requester.connection,
        dialect: requester.dialect.id(),
        client_tag,
    });
    let address = Some(requester.address);
    let submission = Submission { caller, authority, origin, address, command };
    match state.engine.submit_for_flow(submission, readable).await {
        Submitted::Done(Handled { principal, outcome, deferred, read_mark }) => {
            if let Some(deferred) = deferred {
                state.tasks.spawn(deferred);
            }
            Outcome::Completed(record.complete(principal, outcome, read_mark))
        }
        Submitted::Pending(pending) => Outcome::Pending(Box::pin(async move {
            let Handled { principal, outcome, .. } = pending.await;
            record.complete(principal, outcome, None)
        })),
    }
}

/// Has an upstream carry out a request whose credentials were looked at. It is on its way when
/// this returns. The ledger counts `users`.
pub(crate) fn submit_upstream(
    state: &ServerState,
    upstream: &mut UpstreamSide,
    requester: &Arc<Requester>,
    users: UsersHere,
    caller: Result<Option<Principal>, Fault>,
    request: Request,
) -> Outcome {
    let correlation = request.correlation.clone();
    let record = Record::begin(state, requester, &caller, &request.command, correlation);
    let record = Record { users_here: Some(users), ..record };
    let caller = match caller {
        Ok(caller) => caller,
        Err(fault) => return Outcome::Completed(record.complete(None, Err(fault), None)),
    };
    let answer = upstream.connection.submit(caller, request);
    Outcome::Pending(Box::pin(async move {
        let UpstreamOutcome { principal, outcome } = answer.await;
        // The number of the flow is the upstream's, and says nothing of deliveries of this server.
        Completed { flow: None, ..record.complete(principal, outcome, None) }
    }))
}

/// The flow that a command names and changes in the eyes of its subscribers.
fn changed_flow(command: &Command) -> Option<FlowId> {
    match command {
        Command::Send(message) => Some(message.flow),
        Command::Edit { flow, .. } | Command::Delete { flow, .. } => *flow,
        Command::AddMembers { flow, .. } | Command::RemoveMembers { flow, .. } => Some(*flow),
        _ => None,
    }
}

/// A request that is being carried out, as it is measured and answered.
struct Record {
    requester: Arc<Requester>,
    /// The user whose request it is: a logout leaves none.
    user_before: Option<UserId>,
    /// The users whom the ledger counts in the place of those of an upstream.
    users_here: Option<UsersHere>,
    received_at: Timestamp,
    started: Instant,
    operation: &'static str,
    flow: Option<FlowId>,
    correlation: Correlation,
}

impl Record {
    fn begin(
        state: &ServerState,
        requester: &Arc<Requester>,
        caller: &Result<Option<Principal>, Fault>,
        command: &Command,
        correlation: Correlation,
    ) -> Self {
        let user_before = caller.as_ref().ok().and_then(Option::as_ref);
        // Only the ledger needs the time.
        let is_counted = requester.usage.is_counted();
        Self {
            requester: requester.clone(),
            user_before: user_before.map(|principal| principal.identity.user),
            users_here: None,
            received_at: if is_counted { state.engine.now() } else { Timestamp::default() },
            started: Instant::now(),
            operation: command.name(),
            flow: changed_flow(command),
            correlation,
        }
    }

    fn complete(
        self,
        principal: Option<Principal>,
        outcome: Result<Answer, Fault>,
        read_mark: Option<ReadMark>,
    ) -> Completed {
        let Self { requester, started, operation, flow, correlation, .. } = self;
        let Requester { dialect, revision, address, user_agent, usage, last_series, .. } =
            &*requester;
        let (revision, address) = (*revision, *address);
        let user = principal.map(|principal| principal.identity.user);
        let counted = match (self.users_here, &outcome) {
            (None, _) => user.or(self.user_before),
            (Some(users), Ok(Answer::Granted(_))) => users.granted,
            (Some(users), _) => users.proven,
        };
        usage.count(&CountedRequest {
            user: counted,
            address,
            agent: user_agent.as_deref().unwrap_or_default(),
            dialect: dialect.id(),
            revision,
            operation,
            now: self.received_at,
        });
        let result = outcome.as_ref().map_or_else(Fault::name, |_| "ok");
        dialect.metrics.request(last_series, revision, operation, result, started.elapsed());
        tracing::debug!(
            dialect = dialect.id(),
            revision,
            operation,
            result,
            user = user.map(UserId::get),
            "request carried out"
        );
        let flow = match &outcome {
            Ok(Answer::Edited(message)) => Some(message.flow),
            Ok(_) => flow,
            Err(_) => None,
        };
        let identity = principal.map(|principal| principal.identity);
        let response = Response { correlation, identity, outcome };
        Completed { response, principal, read_mark, flow }
    }
}
