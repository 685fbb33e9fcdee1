//! The outcome of a translation.

use super::loss::{Loss, Part};
use http::request::Parts;
use tolmach_dialect::{Close, Frame, Sender};

/// A frame of the source, translated.
#[derive(Debug, Default)]
pub struct Translated {
    /// The commands and events that the frame carries, by name.
    pub operations: Vec<&'static str>,
    /// The same in the target dialect, in order. Both directions: a request may need another one
    /// before it, which is answered first.
    pub frames: Vec<TargetFrame>,
    /// The losses.
    pub lost: Vec<Loss>,
    /// Remarks on frames without a translation, such as one about the source's connection alone.
    pub notes: Vec<String>,
}

/// An item of the target's conversation, with its connection.
#[derive(Debug)]
pub struct TargetFrame {
    /// The number of the target's connection, or exchange of HTTP, among those of the translator.
    pub connection: u64,
    /// A frame, or the beginning or end of the connection.
    pub item: Item,
}

/// An item of a conversation.
#[derive(Debug)]
pub enum Item {
    /// The client opens a WebSocket by this request.
    Open(Box<Parts>),
    /// A side sends a frame.
    Frame(Sender, Frame),
    /// The server closes it.
    Close(Close),
}

impl Translated {
    /// True if something did not come through.
    pub fn is_lossy(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Adds the loss of a frame that could not be read.
    pub(super) fn lose_frame(&mut self, reason: String) {
        self.lost.push(Loss { operation: "", part: Part::Frame, reason });
    }

    pub(super) fn push(&mut self, connection: u64, item: Item) {
        self.frames.push(TargetFrame { connection, item });
    }
}
