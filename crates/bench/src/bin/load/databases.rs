//! The databases that a run may use.

use crate::cpu_sets::with_all_cpus;
use crate::result::BenchResult;
use std::path::Path;
use tolmach_test_servers::{Durability, Postgres, ProcessorTimes, Redis};

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DatabaseKind {
    /// A file, synchronised at every commit
    Sqlite,
    /// A private server, with fsync
    Postgres,
}

/// A database. A server is stopped when this is dropped.
pub(crate) struct Database {
    url: String,
    server: Option<Postgres>,
}

impl Database {
    /// A new database; a file is created in `data`.
    pub(crate) fn start(kind: DatabaseKind, data: &Path) -> BenchResult<Self> {
        Ok(match kind {
            DatabaseKind::Sqlite => Self { url: sqlite_url(data), server: None },
            DatabaseKind::Postgres => {
                let server = with_all_cpus(|| Postgres::start(Durability::Full))?;
                Self { url: server.url(), server: Some(server) }
            }
        })
    }

    /// Its URL, as the gateway's configuration has it.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The processor times of its server; those of a file are its readers'.
    pub(crate) fn processor_times(&self) -> ProcessorTimes {
        self.server.as_ref().map(Postgres::processor_times).unwrap_or_default()
    }
}

/// The URL of the database that a gateway creates in its data folder.
pub(crate) fn sqlite_url(data: &Path) -> String {
    format!("sqlite://{}?mode=rwc", data.join("tolmach.sqlite").display())
}

/// Starts a private Redis.
pub(crate) fn start_redis() -> BenchResult<Redis> {
    with_all_cpus(Redis::start)
}

/// The reason why PostgreSQL, or Redis, cannot be started on this machine, if it is wanted.
pub(crate) fn missing(postgres: bool, redis: bool) -> Option<String> {
    postgres.then(Postgres::missing).flatten().or_else(|| redis.then(Redis::missing).flatten())
}
