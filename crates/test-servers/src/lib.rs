//! Private real servers for tests, benches and chaos: PostgreSQL, Redis and S3-compatible object
//! storage as child processes, each on a port that the system chose and in a folder of its own.
//! Dropping one ends it at once; so does the end of the process that started it.
//!
//! Starting blocks for some tenths of a second and panics with the server's own words when it
//! fails: nobody but a test calls this.

mod policy;
mod postgres;
mod process;
mod proxy;
mod redis;
mod s3;

pub use policy::skipped;
pub use postgres::{Durability, Postgres};
pub use proxy::Proxy;
pub use redis::Redis;
pub use s3::S3;
