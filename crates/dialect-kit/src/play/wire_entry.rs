//! The record of what goes over the wire.

use crate::play::handshake::same_request;
use http::request::Parts;
use tolmach_dialect::{Close, Frame};

/// An entry of a transcript.
#[derive(Debug, Clone)]
pub(crate) enum WireEntry {
    /// The request of a WebSocket handshake.
    Opened(Box<Parts>),
    /// A client's frame.
    Client(Frame),
    /// A server's frame.
    Server(Frame),
    /// The server's close of the connection.
    Closed(Close),
    /// A heading for the entries after it.
    Remark(String),
}

impl WireEntry {
    /// True for what a client sends.
    pub(crate) fn is_client(&self) -> bool {
        matches!(self, WireEntry::Opened(_) | WireEntry::Client(_))
    }

    /// True for a server's frame.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, WireEntry::Server(_))
    }
}

impl PartialEq for WireEntry {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (WireEntry::Opened(a), WireEntry::Opened(b)) => same_request(a, b),
            (WireEntry::Client(a), WireEntry::Client(b))
            | (WireEntry::Server(a), WireEntry::Server(b)) => a == b,
            (WireEntry::Closed(a), WireEntry::Closed(b)) => a == b,
            (WireEntry::Remark(a), WireEntry::Remark(b)) => a == b,
            _ => false,
        }
    }
}
