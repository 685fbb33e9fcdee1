//! The databases that a run may use.

use crate::world::sqlite;
use crate::{Outcome, cores};
use std::path::Path;
use tolmach_test_servers::{Durability, Postgres, Redis};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A file, synchronised at every commit
    Sqlite,
    /// A private server, with fsync
    Postgres,
}

/// A database, which ends when this is dropped.
pub(crate) struct Database {
    url: String,
    _server: Option<Postgres>,
}

impl Database {
    /// A new one; a file lies in `data`.
    pub(crate) fn start(kind: Kind, data: &Path) -> Outcome<Self> {
        Ok(match kind {
            Kind::Sqlite => Self { url: sqlite(data), _server: None },
            Kind::Postgres => {
                let server = cores::with_all(|| Postgres::start(Durability::Full))?;
                Self { url: server.url(), _server: Some(server) }
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

/// A private Redis.
pub(crate) fn redis() -> Outcome<Redis> {
    cores::with_all(Redis::start)
}

/// What of these this machine lacks.
pub(crate) fn missing(postgres: bool, redis: bool) -> Option<String> {
    postgres.then(Postgres::missing).flatten().or_else(|| redis.then(Redis::missing).flatten())
}
