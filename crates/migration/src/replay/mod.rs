//! Captured clients, played against another server: what has to be put in place of the captured
//! ids, tokens and times, and which frames of the server are still to come. Without sockets.

mod learned;
mod playback;

pub use learned::Learned;
pub use playback::Playback;
