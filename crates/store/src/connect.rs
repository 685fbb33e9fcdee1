//! From a URL to connections.

use crate::error::refuse;
use crate::migrations::Migrator;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use tolmach_engine::ports::StoreError;

/// For how long SQLite waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Every statement that is prepared on a connection stays prepared: there are fewer than this.
const STATEMENT_CACHE: usize = 256;

/// How a connection is used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// One connection that changes the database.
    Write,
    /// Several that cannot.
    Read {
        /// How many.
        connections: u32,
    },
}

/// A database that can be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: String,
}

impl Target {
    /// Reads a URL; the error names what is served and does not repeat the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        if scheme != "sqlite" || !url.contains(':') {
            // What stands before the first colon is only a scheme if it looks like one.
            let scheme = if scheme.len() <= 16 && url.contains(':') { scheme } else { "" };
            let text = format!("the store's URL has the scheme {scheme:?}; served is sqlite, as in sqlite://data/tolmach.db?mode=rwc");
            return Err(StoreError::Failed(text));
        }
        let target = Self { url: url.to_owned() };
        let path = target.path();
        if path.is_empty() || path.starts_with(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::Failed(
                "the store's URL names no file: a database in memory has one connection, a store several".into(),
            ));
        }
        Ok(target)
    }

    fn path(&self) -> &str {
        let rest = self.url.strip_prefix("sqlite:").unwrap_or(&self.url);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        rest.split_once('?').map_or(rest, |(path, _)| path)
    }

    /// Makes the folder that the file lies in, where the URL lets the file be made.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        let folder = Path::new(self.path()).parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && self.url.contains("mode=rwc")
        {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|error| StoreError::Unavailable(format!("the store's folder cannot be made: {error}")))?;
        }
        Ok(())
    }

    pub(crate) async fn connect(&self, usage: Use) -> Result<DatabaseConnection, StoreError> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match self.connect_once(usage).await {
                // Two processes that start at once may both turn on the write-ahead log, where SQLite does not wait by itself.
                Err(StoreError::Unavailable(text)) if text.contains("locked") && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn connect_once(&self, usage: Use) -> Result<DatabaseConnection, StoreError> {
        let mut options = ConnectOptions::new(&self.url);
        let connections = match usage {
            Use::Write => 1,
            Use::Read { connections } => connections.max(1),
        };
        options.max_connections(connections).min_connections(1).sqlx_logging(false).test_before_acquire(false);
        // A file does not go away when it is idle.
        options.idle_timeout(None).max_lifetime(None);
        options.map_sqlx_sqlite_opts(move |options| {
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(STATEMENT_CACHE)
                // Savepoints and statements over many rows would make a file each.
                .pragma("temp_store", "MEMORY");
            match usage {
                Use::Write => options,
                Use::Read { .. } => options.pragma("query_only", "ON"),
            }
        });
        Database::connect(options).await.map_err(refuse)
    }
}

/// Brings the schema up to date and names the steps that were applied. Whoever comes second waits, and finds nothing to do.
pub(crate) async fn migrate(database: &DatabaseConnection) -> Result<Vec<String>, StoreError> {
    let transaction = database.begin_with_options(immediate()).await.map_err(refuse)?;
    let pending = Migrator::get_pending_migrations(&transaction).await.map_err(refuse)?;
    let names = pending.iter().map(|migration| migration.name().to_owned()).collect();
    if !pending.is_empty() {
        Migrator::up(&transaction, None).await.map_err(refuse)?;
    }
    transaction.commit().await.map_err(refuse)?;
    Ok(names)
}

/// A transaction that may write from its start, so that what it reads cannot change before it writes.
pub(crate) fn immediate() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() }
}
