//! Events between gateways.
//!
//! - [`InProcess`] serves one process: bounded buffers, nothing lost, publishing waits for space.
//! - [`RedisBus`] adds other nodes by the Pub/Sub of a Redis or a Redis Cluster. Events of other
//!   nodes may be lost on the way; receivers recover them from the store.

mod channels;
mod connection;
mod disconnect;
mod duplicates;
mod envelope;
mod in_process;
mod options;
mod queue;
mod redis_bus;
mod subscriptions;
mod target;
mod worker;

pub use envelope::{Envelope, InvalidEnvelope, decode, encode};
pub use in_process::{DEFAULT_CAPACITY, InProcess};
pub use options::{Options, Stats};
pub use redis_bus::RedisBus;
pub use target::OpenError;
