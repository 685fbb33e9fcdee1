//! What a dialect says of itself.

use crate::Revision;

/// Who a dialect is, where it answers and how it is recognised.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The short id, such as `mode`: used in configuration, metrics and folder names.
    pub id: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Where it answers.
    pub doors: &'static [Door],
    /// The revisions that it speaks; the first is the default.
    pub revisions: &'static [Revision],
    /// What identifies its first frame on a shared door, in words, such as `a string "mode"`.
    /// `None` when it has no place on a shared door.
    pub opening: Option<&'static str>,
    /// Bounds on what a peer may send.
    pub limits: Limits,
    /// How its connections are closed.
    pub closes: Closes,
    /// Whether it can say things that a generic test needs to know.
    pub capabilities: Capabilities,
    /// Whether messages are pushed where the operator has not chosen: the default of
    /// [`crate::Settings::push`].
    pub push_by_default: bool,
    /// Documents that the gateway serves beside its doors.
    pub documents: &'static [Document],
}

/// Where connections arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// A path; with a trailing `/**` everything below it too.
    pub path: &'static str,
    /// What is spoken there.
    pub transport: Transport,
}

/// What is spoken at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket only.
    WebSocket,
    /// HTTP requests, and WebSocket where the dialect's [`crate::Dialect::open`] allows it.
    Http,
}

/// Bounds on what a peer may send. An operator can lower or raise them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest WebSocket message or raw value, in bytes.
    pub frame: usize,
    /// The largest HTTP body, in bytes.
    pub body: usize,
}

impl Default for Limits {
    /// Frames and bodies of 1 MiB.
    fn default() -> Self {
        Self { frame: 1 << 20, body: 1 << 20 }
    }
}

/// How a dialect's WebSocket connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closes {
    /// The gateway shuts down.
    pub going_away: u16,
    /// The peer reads too slowly.
    pub slow_reader: u16,
    /// The peer's proof is no longer valid.
    pub session_ended: u16,
}

impl Default for Closes {
    /// 1001, 1013 and 1008.
    fn default() -> Self {
        Self { going_away: 1001, slow_reader: 1013, session_ended: 1008 }
    }
}

/// What a dialect can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Posted messages are pushed.
    pub pushes_posted: bool,
    /// Edits are pushed.
    pub pushes_edited: bool,
    /// Deletions are pushed.
    pub pushes_deleted: bool,
    /// New flows are pushed.
    pub pushes_flows: bool,
    /// Typing is pushed.
    pub pushes_typing: bool,
}

/// A document that the gateway serves, such as an OpenAPI description.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// The path, such as `/openapi.json`.
    pub path: &'static str,
    /// The media type.
    pub media_type: &'static str,
    /// Makes the document.
    pub content: fn() -> String,
}
