//! What one connection remembers.

use crate::{Close, Frame, Line, Loss, Notice, Revision, Violation};
use tolmach_domain::{ConnectionId, FlowId, Identity, Timestamp, UserId};

/// What is known of a connection before its first line.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The HTTP request, or the request that the WebSocket handshake started with. `None` on raw
    /// TCP.
    pub request: Option<&'a http::request::Parts>,
    /// The first frame, where the dialect is chosen by it.
    pub first: Option<&'a Frame>,
    /// This connection.
    pub connection: ConnectionId,
    /// Whether a WebSocket is asked for.
    pub websocket: bool,
    /// The operator's choices for this dialect.
    pub settings: Settings,
}

/// The operator's choices that change what a dialect says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether messages are pushed, in a dialect whose document leaves it open.
    pub push: bool,
    /// Whether an unknown login is told from a wrong password, in a dialect whose document does.
    pub reveal_unknown_user: bool,
    /// The deepest nesting of a frame.
    pub depth: usize,
    /// The origins whose pages may connect, in a dialect that looks at them, each as a browser
    /// gives it: `https://chat.example.org`. Empty: the dialect's own choice. An operator's list
    /// lasts as long as the process.
    pub origins: &'static [String],
}

impl Default for Settings {
    fn default() -> Self {
        Self { push: true, reveal_unknown_user: false, depth: 64, origins: &[] }
    }
}

/// Which end of a connection a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Hears asks; says replies and notices.
    Server,
    /// Says asks; hears replies and notices.
    Client,
}

/// Whether an opening is a dialect's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// Not this dialect, or not for certain.
    No,
    /// This dialect, in this revision.
    Certain(Revision),
}

/// What one connection remembers. An HTTP exchange is a session of one request frame and one
/// response frame.
pub trait Session: Send {
    /// Asks that the opening itself makes, before any frame is heard: a room's history, say.
    ///
    /// - Called once, first. The asks are answered in order, through [`Session::encode`].
    /// - If one is answered with [`Frame::Response`], the WebSocket handshake is refused with it.
    fn greet(&mut self, now: Timestamp, out: &mut Vec<Line>) {
        let _ = (now, out);
    }

    /// An ask's proof has proven who asks. Called before its command is carried out, so that the
    /// connection hears what happens from then on: [`Session::interest`] is looked at in between.
    fn identified(&mut self, identity: Identity) {
        let _ = identity;
    }

    /// Turns one frame into lines.
    ///
    /// - A whole frame or nothing: on a violation, `out` is as it was.
    /// - Never panics, whatever the bytes; time and memory are linear in the frame.
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation>;

    /// Turns one line into frames: none, where this wire leaves it unsaid.
    ///
    /// - A [`Line::Reply`] answers an ask that this session decoded; replies come in the order of
    ///   the asks.
    /// - On a loss, `out` is as it was.
    fn encode(&mut self, now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss>;

    /// Whose events this connection wants now. Looked at after each identification and each reply.
    fn interest(&self) -> Interest {
        Interest::Nothing
    }

    /// How a notice reaches this connection. May note what has been seen.
    fn delivery(&mut self, notice: &Notice) -> Delivery {
        let _ = notice;
        Delivery::Skip
    }

    /// The WebSocket subprotocol to accept.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// The revision being spoken.
    fn revision(&self) -> Revision {
        crate::DOC
    }
}

/// Whose events a connection wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nobody's.
    Nothing,
    /// One flow's.
    Flow(FlowId),
    /// Those of every flow that this user is in, as it changes.
    EveryFlowOf(UserId),
}

/// How a notice reaches a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Not at all.
    Skip,
    /// As the frame that [`crate::Dialect::render`] makes of it, shared with every connection of
    /// the same variant.
    Shared(Variant),
    /// As frames that [`Session::encode`] makes for this connection alone.
    Private,
    /// By closing the connection.
    Close(Close),
}

/// One of the forms in which a dialect renders a notice: a revision, a number form, …. Small:
/// frames are cached by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Variant(pub u8);
