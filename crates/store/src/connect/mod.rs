//! From a URL to connections.

mod postgres;
mod sqlite;

use crate::error::refuse;
use crate::migrations::Migrator;
use crate::sql;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;
use tolmach_engine::ports::StoreError;

/// Every statement that is prepared on a connection stays prepared: there are fewer than this.
const STATEMENT_CACHE: usize = 256;

/// What is said of a URL that names neither database.
const SERVED: &str = "served are sqlite, as in sqlite://data/tolmach.db?mode=rwc, and postgres, as in postgres://user:password@host/database";

/// How a connection is used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// One connection that changes the database, and may keep nobody waiting.
    Write,
    /// Several that cannot change it, each transaction of which sees one moment of it.
    Read {
        /// How many.
        connections: u32,
    },
    /// One connection for work that takes as long as it takes: migrations, copying.
    Maintain,
}

/// A database that can be connected to. Its URL may hold a password, so that it is never shown.
#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(sqlite::File),
    Postgres(postgres::Server),
}

impl Target {
    /// Reads a URL; the error names what is served and does not repeat the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        // What stands before the first colon is only a scheme if it looks like one.
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => sqlite::File::parse(url).map(Self::Sqlite),
            "postgres" | "postgresql" => postgres::Server::parse(url).map(Self::Postgres),
            _ => {
                let scheme = if scheme.len() <= 16 { scheme } else { "" };
                Err(StoreError::failed(format!(
                    "the store's URL has the scheme {scheme:?}; {SERVED}"
                )))
            }
        }
    }

    /// Makes the folder that a file lies in, where the URL lets the file be made.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(file) => file.prepare().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Connects; `timeout` is how long the store may take for one call.
    pub(crate) async fn connect(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        match self {
            Self::Sqlite(file) => file.connect(usage).await,
            Self::Postgres(server) => server.connect(usage, timeout).await,
        }
    }

    /// How long a transaction that writes may take. A server may fall silent, and the others wait
    /// for what it has locked; a file answers, and says by itself that it is busy.
    pub(crate) fn write_limit(&self, timeout: Duration) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(timeout),
        }
    }

    /// What it is, without secrets.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sqlite(file) => file.path().to_owned(),
            Self::Postgres(server) => server.describe(),
        }
    }
}

/// Begins a transaction that may write from its start: whoever writes beside it, here or elsewhere,
/// waits until it is over, so that what it reads cannot change before it writes.
pub(crate) async fn begin_write(
    database: &DatabaseConnection,
) -> Result<DatabaseTransaction, StoreError> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    database.begin_with_options(immediate).await.map_err(refuse)
}

/// Brings the schema up to date and names the steps that were applied. Whoever comes second waits,
/// and finds nothing to do.
pub(crate) async fn migrate(target: &Target, timeout: Duration) -> Result<Vec<String>, StoreError> {
    target.prepare().await?;
    let database = target.connect(Use::Maintain, timeout).await?;
    let applied = apply(&database).await;
    close(database).await;
    applied
}

async fn apply(database: &DatabaseConnection) -> Result<Vec<String>, StoreError> {
    let transaction = begin_write(database).await?;
    sql::lock_schema(&transaction).await?;
    let pending = Migrator::get_pending_migrations(&transaction).await.map_err(refuse)?;
    let names = pending.iter().map(|migration| migration.name().to_owned()).collect();
    if !pending.is_empty() {
        Migrator::up(&transaction, None).await.map_err(refuse)?;
    }
    transaction.commit().await.map_err(refuse)?;
    Ok(names)
}

/// A server that has fallen silent is not waited for.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Closes what connections there are.
pub(crate) async fn close(database: DatabaseConnection) {
    match tokio::time::timeout(CLOSE_LIMIT, database.close_by_ref()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a connection did not close in order"),
        Err(_) => tracing::warn!("a connection did not close in time"),
    }
}
