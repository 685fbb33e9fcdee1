//! The database that a URL names.

use super::postgres::Server;
use super::read_connection::Source;
use super::read_pool::ReadPool;
use super::sqlite::{self, File};
use super::usage::{Reads, Use};
use crate::error::store_error;
use sea_orm::DatabaseConnection;
use std::path::Path;
use std::time::Duration;
use tolmach_engine::ports::StoreError;

/// The served schemes, for the error about another one.
const SCHEMES: &str = "served are sqlite, as in sqlite://data/tolmach.db?mode=rwc, \
    and postgres, as in postgres://user:password@host/database";

/// A database to connect to. Its URL may have a password and is never shown.
#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(File),
    Postgres(Server),
}

impl Target {
    /// Parses a URL. The error names the schemes that are served and does not repeat the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => File::parse(url).map(Self::Sqlite),
            "postgres" | "postgresql" => Server::parse(url).map(Self::Postgres),
            _ => {
                // A long text before the first colon is not a scheme and may be a secret.
                let scheme = if scheme.len() <= 16 { scheme } else { "" };
                Err(StoreError::failed(format!(
                    "the store's URL has the scheme {scheme:?}; {SCHEMES}"
                )))
            }
        }
    }

    /// False if the database is a file that is missing.
    pub(crate) fn exists(&self) -> bool {
        match self {
            Self::Sqlite(file) => Path::new(file.path()).exists(),
            Self::Postgres(_) => true,
        }
    }

    /// Creates a file and its folder, if the URL permits it, and makes the file private.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(file) => file.prepare().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Connects. `timeout` is the time limit of one call of the store.
    pub(crate) async fn connect(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        match self {
            Self::Sqlite(file) => file.connect(usage, timeout).await,
            Self::Postgres(server) => server.connect(usage, timeout).await,
        }
    }

    /// A connection for long work that no other one has beside it: `None` if a file is open
    /// elsewhere, and for a server.
    pub(crate) async fn connect_alone(
        &self,
        timeout: Duration,
    ) -> Result<Option<DatabaseConnection>, StoreError> {
        match self {
            Self::Sqlite(file) => file.connect_alone(timeout).await,
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Connections that read. `timeout` is the time limit of one call of the store: SQLite
    /// interrupts the statements of a call then, a server each statement that takes as long.
    pub(crate) async fn connect_readers(
        &self,
        reads: Reads,
        connections: u32,
        timeout: Duration,
    ) -> Result<ReadPool, StoreError> {
        let source = match self {
            Self::Sqlite(file) => Source::Sqlite(file.clone(), timeout),
            Self::Postgres(server) => Source::Postgres(server.clone(), reads, timeout),
        };
        ReadPool::open(source, connections, timeout).await.map_err(store_error)
    }

    /// Makes everything durable that a connection for an import has committed. On a server it is.
    pub(crate) async fn sync(&self, database: &DatabaseConnection) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::sync(database).await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// The time limit of a transaction that writes. A server may stop answering while others wait
    /// for its locks; SQLite has a limit of its own for locked files.
    pub(crate) fn write_limit(&self, timeout: Duration) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(timeout),
        }
    }

    /// A description for operators, without secrets.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sqlite(file) => file.path().to_owned(),
            Self::Postgres(server) => server.describe(),
        }
    }
}
