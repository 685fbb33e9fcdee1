//! Scripts: conversations that only one wire has.

use tolmach_dialect::Frame;
use tolmach_domain::EventKind;

/// A conversation that only one wire has, given by the client's frames.
///
/// The persona [`crate::fixtures::ANN`] sends them. Every request is granted with the answer of
/// [`crate::fixtures::answer`], but for one with the connection's own credentials before a login.
///
/// ```
/// use tolmach_dialect::{Frame, websocket_request};
/// use tolmach_dialect_kit::{Script, ScriptStep, fixtures};
/// use tolmach_domain::EventKind;
///
/// let script = Script {
///     name: "misbehaviour",
///     opening: http::Request::from_parts(websocket_request("/toy"), ()),
///     steps: vec![
///         ScriptStep::Frame("no JSON", Frame::text("{'do': 'send'}")),
///         ScriptStep::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
///     ],
/// };
/// assert_eq!(script.steps.len(), 2);
/// ```
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
