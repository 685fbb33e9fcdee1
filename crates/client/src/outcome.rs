//! Outcomes of requests, and what comes without one.

use std::sync::Arc;
use tolmach_domain::{Answer, Event, Fault};

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was granted.
    Answer(Answer),
    /// It was refused.
    Refused(Fault),
    /// The dialect has no request for it.
    Unsupported,
}

/// A value that a server sends without a request.
#[derive(Debug, Clone)]
pub enum Notification {
    /// An event.
    Event(Arc<Event>),
    /// The server closed a connection, with this code where it gave one.
    Closed(Option<u16>),
}
