//! Canonical requests and responses.

use bytes::Bytes;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use tolmach_domain::{Answer, Authority, Command, Credentials, Event, ExternalId, Fault, Identity};

/// A command, with what its wire needs around it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Handed back untouched in the [`Response`].
    pub correlation: Correlation,
    /// The proof of the identity of the requesting user.
    pub credentials: Credentials,
    /// The right that the request claims.
    pub authority: Authority,
    /// Carried along to every subscriber in the event that the request causes, in the dialect's own
    /// form: a request id, say.
    pub client_tag: Option<Bytes>,
    /// Ids of the wire that are too wide for the id types. [`crate::stand_in`] stands for each in
    /// the command and the credentials; the server replaces it. Only where
    /// [`crate::Handshake::has_external_ids`] says so.
    pub wide_ids: Vec<ExternalId>,
    /// The command.
    pub command: Command,
}

impl Request {
    /// A request of an ordinary user, without a client tag.
    pub fn new(correlation: Correlation, credentials: Credentials, command: Command) -> Self {
        Self {
            correlation,
            credentials,
            authority: Authority::Member,
            client_tag: None,
            wide_ids: Vec::new(),
            command,
        }
    }
}

/// The outcome of a [`Request`].
#[derive(Debug, Clone)]
pub struct Response {
    /// From the request.
    pub correlation: Correlation,
    /// The identity that the credentials proved, also when the command was refused. For a login:
    /// the user who is logged in now. `None` for a granted logout.
    pub identity: Option<Identity>,
    /// The answer, or the fault that the command was refused with.
    pub outcome: Result<Answer, Fault>,
}

impl Response {
    /// A response as a client reads it: no wire says whose identity was proven.
    pub fn new(correlation: Correlation, outcome: Result<Answer, Fault>) -> Self {
        Self { correlation, identity: None, outcome }
    }
}

/// One canonical value that a client reads from a server.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// The response to a request of this client.
    Response(Response),
    /// An event that the server pushed.
    Event(Arc<Event>),
}

impl From<Event> for Incoming {
    fn from(event: Event) -> Self {
        Incoming::Event(Arc::new(event))
    }
}

/// State that a dialect needs back with the response: a request id, a number form, the operation.
/// Only the session that made it looks inside.
#[derive(Clone, Default)]
pub struct Correlation(Option<Arc<dyn Any + Send + Sync>>);

impl Correlation {
    /// Nothing is needed back.
    pub const NONE: Correlation = Correlation(None);

    /// Wraps a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Correlation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Correlation(…)" } else { "Correlation" })
    }
}
