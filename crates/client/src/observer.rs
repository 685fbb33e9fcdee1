//! Observers of frames.

use tolmach_dialect::Frame;

/// The direction of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Sent,
    /// From the server to the client.
    Received,
}

/// Gets every frame that a client sends or receives. A handshake is a frame too: its request, and
/// the response that rejects it.
pub trait FrameObserver: Send + Sync {
    /// One frame of the client with this name.
    fn frame(&self, name: &str, dialect: &'static str, direction: Direction, frame: &Frame);
}
