//! The model that all dialects share: users, flows and messages, the commands on them and the
//! events that report their changes.
//!
//! This crate knows no JSON, no socket, no clock and no database. Its types are not serializable on
//! purpose: each wire has types of its own and converts them.

mod answer;
mod command;
mod event;
mod external_ids;
mod fault;
mod flow;
mod history;
mod ids;
mod message;
mod photo;
mod requests;
mod secret;
mod summary;
mod time;
mod user;
mod visit_ids;

pub use answer::*;
pub use command::*;
pub use event::*;
pub use external_ids::*;
pub use fault::*;
pub use flow::*;
pub use history::*;
pub use ids::*;
pub use message::*;
pub use photo::*;
pub use requests::*;
pub use secret::*;
pub use summary::*;
pub use time::*;
pub use user::*;
pub use visit_ids::*;
