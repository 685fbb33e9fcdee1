//! The fate of each operation of a conversation.

use std::collections::BTreeMap;

/// The way in which something reaches the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arrival {
    /// It is pushed, and if the dialect can read it, reading gives the same.
    Live,
    /// Reading gives it.
    OnReading,
    /// The receiver's dialect has no frame for it.
    NotReceivable,
    /// The sender's dialect has no request for it.
    NotSendable,
}

impl Arrival {
    /// The arrival as `protocols/MATRIX.md` says it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Arrival::Live => "live",
            Arrival::OnReading => "on reading",
            Arrival::NotReceivable => "*not receivable*",
            Arrival::NotSendable => "*not sendable*",
        }
    }
}

/// The operations of a conversation, in the order of the trial.
pub(crate) const OPERATIONS: [&str; 8] = [
    "a message",
    "an edit",
    "a deletion",
    "typing",
    "a new conversation",
    "a member added",
    "a member removed",
    "one order",
];

/// The arrival of each operation.
pub(crate) type Arrivals = BTreeMap<&'static str, Arrival>;
