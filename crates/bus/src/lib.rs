//! Events between gateways.
//!
//! - [`InProcess`] serves one process: bounded channels, nothing lost, publishing waits for room.
//! - [`RedisBus`] is that, and joins several nodes by the Pub/Sub of one Redis or Redis Cluster.
//!   What other nodes say may be lost on the way: the store has it.

mod backlog;
mod channels;
mod envelope;
mod in_process;
mod interest;
mod link;
mod redis_bus;

pub use envelope::{Envelope, InvalidEnvelope, decode, encode};
pub use in_process::{DEFAULT_CAPACITY, InProcess};
pub use link::OpenError;
pub use redis_bus::{Options, RedisBus, Stats};
