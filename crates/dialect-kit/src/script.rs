//! Scripts: conversations that only one wire has.

use tolmach_dialect::Frame;
use tolmach_domain::EventKind;

/// A conversation that only one wire has, given by the client's frames. The persona
/// [`crate::fixtures::ANN`] sends them; every request is granted with the answer of
/// [`crate::fixtures::answer`].
#[derive(Debug, Clone)]
pub struct Script {
    /// The transcript's file name.
    pub name: &'static str,
    /// The request that opens the connection: the endpoint's path, and an `Upgrade` header for a
    /// WebSocket.
    pub opening: http::Request<()>,
    /// The frames and events, in order.
    pub steps: Vec<ScriptStep>,
}

/// A step of a [`Script`].
#[derive(Debug, Clone)]
pub enum ScriptStep {
    /// A client's frame, with a title for the transcript. The first also chooses the revision. A
    /// request frame is an exchange of its own.
    Frame(&'static str, Frame),
    /// An event, delivered if the session subscribes to it.
    Event(EventKind),
}
