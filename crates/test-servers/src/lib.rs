//! Private real servers for tests, benches and chaos: PostgreSQL, Redis and S3-compatible object
//! storage as child processes, each on a free port and in a folder of its own. A server ends when
//! it is dropped, and with the process that started it.
//!
//! Starting blocks for some tenths of a second and panics with the server's log if it fails: this
//! crate is for tests only.

mod error;
mod policy;
mod postgres;
mod process;
mod processor_times;
mod proxy;
mod redis;
mod s3;

pub use policy::skipped;
pub use postgres::{Durability, Postgres};
pub use processor_times::ProcessorTimes;
pub use proxy::Proxy;
pub use redis::Redis;
pub use s3::S3;
