//! From one dialect to another: a proxy that is a server of the source and a client of the target.
//!
//! The proxy adds values of its own connections: its credentials towards the target, the tokens
//! that it hands out, the connection that caused an event, and versions. All else must come through
//! the two wires.

mod completion;
mod differences;
mod fidelity;
mod finding;
mod link;
mod proxy;
mod reports;

pub(crate) use fidelity::{Excuse, judge};
pub use fidelity::{Fidelity, Report};
pub(crate) use finding::Finding;
pub(crate) use proxy::{translate_alone, translate_stories};
pub use reports::{Native, translation, translation_in};
