//! The one world behind every dialect: users, flows, messages, what may be asked about them and
//! what happens to them.
//!
//! This crate knows no JSON, no socket, no clock and no database. Its types are deliberately not
//! serializable: each wire has twins of its own and converts by hand.

mod command;
mod event;
mod fault;
mod flow;
mod ids;
mod message;
mod photo;
mod secret;
mod time;
mod user;

pub use command::*;
pub use event::*;
pub use fault::*;
pub use flow::*;
pub use ids::*;
pub use message::*;
pub use photo::*;
pub use secret::*;
pub use time::*;
pub use user::*;
