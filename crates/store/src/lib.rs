//! The durable store: sea-orm on SQLite or PostgreSQL.
//!
//! One thread writes. It takes changes from a queue into one transaction and commits; then it
//! publishes the events and answers the callers, while the next transaction may be running. The
//! changes of one user keep their order, and users take turns. An acknowledged change is therefore
//! committed, the events of a flow are published in commit order, and many callers share the cost
//! of one commit. Other processes may write the same database: versions, ids and commit times are
//! taken inside the transaction, never from memory.
//!
//! SQLite has one transaction that writes. On PostgreSQL several post messages at once, each of
//! them one statement, and one waits for another only where both post to the same flow. All other
//! changes take turns, over all processes, and lock the flows that they change. The migration
//! `commit_order` has the locks, and the time up to which commits are complete.
//!
//! # When a call times out
//!
//! A call fails with [`StoreError::Unavailable`](tolmach_engine::ports::StoreError::Unavailable)
//! after [`Options::timeout`]. A change that had not begun by then is not made. One whose
//! transaction was running may still be committed, and its events published: the caller cannot
//! know, as with any lost acknowledgement. A message with a key can be posted again safely.

mod batch;
mod collisions;
mod commit_time;
mod compact;
mod connect;
mod copy;
mod deadline;
mod entities;
mod error;
mod event_log;
mod housekeeper;
mod job;
mod job_queue;
mod known_objects;
mod message_indexes;
mod migrations;
mod options;
#[cfg(test)]
mod plans;
mod ports;
mod post_writer;
mod publication;
mod read;
mod read_turns;
mod rows;
mod scope;
mod slow_log;
mod sql;
mod store;
mod writer;

pub use collisions::{CollidingLogin, colliding_logins};
pub use compact::{Compacted, Compaction};
pub use copy::{CopiedTable, CopyError, Progress, copy};
pub use options::{Options, Stats};
pub use store::{SqlStore, migrate, probe};
