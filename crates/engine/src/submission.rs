//! A request to the engine, and its result.

use crate::Principal;
use crate::ports::ReadMark;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use tolmach_domain::{Answer, Authority, Command, Fault, Origin};

/// A command with its authenticated caller.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The caller: the result of [`Engine::authenticate`](crate::Engine::authenticate).
    pub caller: Option<Principal>,
    /// The authority that the request claims.
    pub authority: Authority,
    /// The origin that the events of the request carry.
    pub origin: Option<Origin>,
    /// The caller's address; `None` where it is not known, as for a command of an operator.
    pub address: Option<IpAddr>,
    /// The command.
    pub command: Command,
}

/// Work to do after the response was sent, so that its duration tells the caller nothing.
pub type DeferredWork = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Result of a [`Submission`].
pub struct Handled {
    /// The caller from now on: the submission's caller, or the user who logged in; `None` after a
    /// logout that succeeded.
    pub principal: Option<Principal>,
    /// The answer or the fault.
    pub outcome: Result<Answer, Fault>,
    /// See [`DeferredWork`].
    pub deferred: Option<DeferredWork>,
    /// The read mark to move once the caller has got the answer: what a peer never took stays
    /// unread. See [`Engine::move_read_mark`](crate::Engine::move_read_mark).
    pub read_mark: Option<ReadMark>,
}

/// A [`Submission`] that is ordered before every later one of the same user.
pub enum Submitted {
    /// The command was carried out.
    Done(Handled),
    /// A message that is being committed. Later submissions of its author are not carried out
    /// before it.
    Pending(Pin<Box<dyn Future<Output = Handled> + Send>>),
}

impl Submitted {
    /// Waits until the command is carried out.
    pub async fn handled(self) -> Handled {
        match self {
            Self::Done(handled) => handled,
            Self::Pending(pending) => pending.await,
        }
    }
}
