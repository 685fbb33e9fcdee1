//! Frames of one dialect as frames of another, with what is lost beside them.
//!
//! A [`Translator`] is a proxy of one captured connection each: the server's and the client's side
//! of the source read what was captured, the client's and the server's side of the target write
//! what the same conversation is there. Both sides of the target read each other, so that what did
//! not come through is known by its field ([`Loss`]).
//!
//! Values that the source's wire does not have are made up, as a bridge has to: tokens, versions,
//! answers to requests that only the target's wire makes (joining a room), and events that are the
//! answer there.

mod completion;
mod connection;
mod loss;
mod opening;
mod request_ids;
mod source;
mod target;
mod translated;
mod translator;

pub use loss::{Loss, Part};
pub use translated::{Item, TargetFrame, Translated};
pub use translator::{MAX_CONNECTIONS, NoClientSide, Translator};
