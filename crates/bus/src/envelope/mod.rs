//! The wire between nodes: an event as a JSON object with a version.
//!
//! `{"v":1,"node":7,"seq":12,"at":…,"moment":…,"origin":{…},"event":{"posted":{…}}}`: `at` is the
//! time of the request and `moment` the commit time, in microseconds since the epoch. Nodes of
//! neighbouring releases share a bus while a cluster is upgraded, therefore:
//!
//! - Unknown fields are ignored, so that a field may be added that older nodes do not need.
//! - An unknown version and an unknown kind of event are errors: receivers read the store instead.
//! - Every form that was ever sent stays readable; `tests/fixtures` has one of each.

mod codec;
mod event;
mod flow;
mod message;
mod origin;
mod user;

pub(crate) use codec::prefix_of;
pub use codec::{Envelope, InvalidEnvelope, decode, encode};
