//! Scripts: conversations that only one wire has.

use tolmach_dialect::Frame;
use tolmach_domain::EventKind;

/// A conversation that only one wire has, given by the client's frames.
///
/// The persona [`crate::fixtures::ANN`] sends them. Every request is granted with the answer of
/// [`crate::fixtures::answer`], but for one with the connection's own credentials before a login.
///
/// ```
/// use tolmach_dialect_kit::{Script, ScriptStep, fixtures};
/// use tolmach_domain::EventKind;
///
/// let steps = vec![
///     ScriptStep::text("no JSON", "{'do': 'send'}"),
///     ScriptStep::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
/// ];
/// let script = Script::websocket("misbehaviour", "/toy", steps);
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

impl Script {
    /// A conversation over a WebSocket at this path, whose handshake has no further headers.
    ///
    /// # Panics
    ///
    /// If `path` is no path.
    pub fn websocket(name: &'static str, path: &str, steps: Vec<ScriptStep>) -> Self {
        let opening = http::Request::get(path).header(http::header::UPGRADE, "websocket").body(());
        Self { name, opening: opening.expect("a script's path is valid"), steps }
    }
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

impl ScriptStep {
    /// A client's text frame, with a title for the transcript.
    pub fn text(title: &'static str, text: impl Into<String>) -> Self {
        Self::Frame(title, Frame::text(text.into()))
    }
}
