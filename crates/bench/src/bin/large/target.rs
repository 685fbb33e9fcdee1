//! The databases that are measured.

use crate::result::LargeResult;
use tempfile::TempDir;
use tolmach_test_servers::{Durability, Postgres};

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A file
    Sqlite,
    /// A private server
    Postgres,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A new database. A server is stopped, and a file removed, when this is dropped.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) server: Option<Postgres>,
    _folder: TempDir,
}

impl Target {
    pub(crate) fn start(kind: Kind, durability: Durability) -> LargeResult<Self> {
        let folder = tempfile::tempdir()?;
        let (url, server) = match kind {
            Kind::Sqlite => {
                let file = folder.path().join("large.sqlite");
                (format!("sqlite://{}?mode=rwc", file.display()), None)
            }
            Kind::Postgres => {
                let server = Postgres::start(durability);
                (server.url(), Some(server))
            }
        };
        Ok(Self { url, server, _folder: folder })
    }
}
