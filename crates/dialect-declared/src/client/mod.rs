//! The client's side of a connection.

mod agreement;
mod answers;
mod events;
mod faults;
mod meaning;
mod objects;
mod opening;
mod outcomes;
mod requests;
mod session;

pub(crate) use opening::dial;
pub(crate) use session::Session;
