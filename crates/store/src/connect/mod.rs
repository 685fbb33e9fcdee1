//! Connections to databases.

mod migrate;
mod postgres;
mod private_files;
mod read_connection;
mod read_limit;
mod read_pool;
mod sqlite;
mod target;
mod transaction;
mod usage;

pub(crate) use migrate::migrate;
pub(crate) use postgres::Server;
pub(crate) use read_pool::{HeldConnection, ReadPool};
pub(crate) use target::Target;
pub(crate) use transaction::{begin_write, close};
pub(crate) use usage::{Reads, Use};
