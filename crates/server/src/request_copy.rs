//! Copies of requests for an upstream that mirrors their users.

use crate::submission::Completed;
use crate::upstream::{MirrorSlot, MirroredRequest, Upstream};
use std::sync::Arc;
use tolmach_dialect::Request;
use tolmach_domain::{Answer, Authority, Command, Fault, FlowSummary};
use tolmach_engine::{Engine, Principal, Submission};

/// The copy of a request that is being carried out.
pub(crate) struct RequestCopy {
    slot: Box<dyn MirrorSlot>,
    /// The login of its user, in lower case.
    login: Arc<str>,
    authority: Authority,
    command: Command,
}

impl RequestCopy {
    /// The copy of a request of a user. `None` if the upstream has no room for it.
    pub(crate) fn new(
        upstream: &dyn Upstream,
        login: &Arc<str>,
        request: &Request,
    ) -> Option<Box<Self>> {
        let Request { authority, command, .. } = request;
        let slot = upstream.begin_mirror(command)?;
        let (login, authority, command) = (login.clone(), *authority, command.clone());
        Some(Box::new(Self { slot, login, authority, command }))
    }

    /// Gives the upstream the request, if the engine has carried it out.
    pub(crate) fn complete(
        self,
        engine: &Arc<Engine>,
        dialect: &'static str,
        completed: &Completed,
    ) {
        let Self { slot, login, authority, command } = self;
        let outcome = &completed.response.outcome;
        if !was_carried_out(&command, outcome) {
            return;
        }
        let engine = engine.clone();
        let principal = completed.principal;
        let flows = Box::pin(async move { flows_of(&engine, principal?).await });
        slot.fill(MirroredRequest { login, dialect, authority, command, flows }, outcome);
    }
}

/// True for a request with its own proof of identity, which is none if the request is refused.
pub(crate) fn proves_its_user(command: &Command) -> bool {
    matches!(command, Command::Login { .. } | Command::Register(_) | Command::DeleteAccount { .. })
}

/// True if the outcome is that of the request itself, for a user who is proven.
fn was_carried_out(command: &Command, outcome: &Result<Answer, Fault>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(
            Fault::Unauthenticated | Fault::Unavailable | Fault::TooMany { .. } | Fault::Internal,
        ) => false,
        Err(_) => !proves_its_user(command),
    }
}

/// The flows of a user. `None` if they cannot be read.
async fn flows_of(engine: &Arc<Engine>, user: Principal) -> Option<Vec<FlowSummary>> {
    let submission = Submission {
        caller: Some(user),
        authority: Authority::Member,
        origin: None,
        address: None,
        command: Command::ListFlows { limit: None, offset: 0, members: true },
    };
    match engine.execute(submission).await.outcome {
        Ok(Answer::Flows(flows)) => Some(flows),
        _ => None,
    }
}
