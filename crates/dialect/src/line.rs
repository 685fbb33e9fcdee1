//! Canonical utterances.

use bytes::Bytes;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use tolmach_domain::{Answer, Authority, Command, Event, Fault, Identity, Proof};

/// What happened, as a dialect hears it.
pub type Notice = Event;

/// One canonical utterance.
#[derive(Debug, Clone)]
pub enum Line {
    /// A client asks.
    Ask(Ask),
    /// A server answers.
    Reply(Reply),
    /// A server tells what happened.
    Notice(Arc<Notice>),
}

/// A command, with what its wire needs around it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Handed back untouched in the [`Reply`].
    pub echo: Echo,
    /// How the asker proves who it is.
    pub proof: Proof,
    /// In which right it asks.
    pub authority: Authority,
    /// Carried along to everybody in the event that this causes, in the dialect's own form.
    pub tag: Option<Bytes>,
    /// What is asked.
    pub command: Command,
}

impl Ask {
    /// An ask as an ordinary user, without a tag.
    pub fn new(echo: Echo, proof: Proof, command: Command) -> Self {
        Self { echo, proof, authority: Authority::Member, tag: None, command }
    }
}

/// What came of an [`Ask`].
#[derive(Debug, Clone)]
pub struct Reply {
    /// From the ask.
    pub echo: Echo,
    /// Who the proof proved to be, also when the command was refused. For a login: who is logged in
    /// now. `None` for a logout that was granted.
    pub identity: Option<Identity>,
    /// The answer, or why not.
    pub outcome: Result<Answer, Fault>,
}

/// Whatever a dialect needs back with the reply to an ask: a request id, a number form, the
/// requested type. Only the session that made it looks inside.
#[derive(Clone, Default)]
pub struct Echo(Option<Arc<dyn Any + Send + Sync>>);

impl Echo {
    /// Nothing is needed back.
    pub const NONE: Echo = Echo(None);

    /// Wraps a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Echo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Echo(…)" } else { "Echo" })
    }
}
