//! SQLite.

use super::private_files;
use super::read_limit::ReadLimit;
use super::usage::{STATEMENT_CACHE, Use};
use crate::error::{is_locked, store_error};
use sea_orm::sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode,
    SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions as _};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;
use tolmach_engine::ports::{PortError, StoreError};

/// The longest wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The bound of the longest wait of an import. SQLite counts it in milliseconds with 31 bits.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of rows that a query's thread reads ahead.
const ROW_BUFFER: usize = 1024;

/// The page cache of the connection that writes: minus its size in KiB.
const CACHE: &str = "-32768";

/// The page cache of each connection that reads: smaller, because they are several, and the
/// operating system caches the file too.
const READ_CACHE: &str = "-1024";

/// The number of pages in the write-ahead log at which they are moved into the file: large, so that
/// a page that changes often is moved seldom.
const CHECKPOINT: &str = "4096";

/// The page cache of the connection that imports.
const IMPORT_CACHE: &str = "-131072";

/// The same number for an import: 256 MiB.
const IMPORT_CHECKPOINT: &str = "65536";

/// The number of steps of a statement after which SQLite looks at the limit of a read: some ten
/// microseconds.
const STEPS: i32 = 1_000;

/// A database file.
#[derive(Clone)]
pub(crate) struct File {
    url: String,
}

impl File {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let file = Self { url: url.to_owned() };
        let path = file.path();
        if path.is_empty() || path.starts_with(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::failed(
                "the store's URL names no file: a database in memory has one connection, \
                 a store needs several",
            ));
        }
        Ok(file)
    }

    pub(super) fn path(&self) -> &str {
        let rest = self.url.strip_prefix("sqlite:").unwrap_or(&self.url);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        rest.split_once('?').map_or(rest, |(path, _)| path)
    }

    /// Creates the file and its folder, if the URL permits it, and makes the file private.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::from_str(&self.url)
            .map_err(|error| PortError::caused_by("the store's URL is not valid", error))
            .map_err(StoreError::Failed)?;
        let (path, may_create) = (options.get_filename().to_owned(), self.url.contains("mode=rwc"));
        let unavailable = |error: io::Error| {
            let error = PortError::caused_by("the store's file cannot be created", error);
            StoreError::Unavailable(error)
        };
        let prepared = tokio::task::spawn_blocking(move || {
            if may_create {
                private_files::create(&path)?;
            }
            private_files::restrict(&path);
            Ok(())
        });
        prepared.await.map_err(io::Error::other).and_then(|done| done).map_err(unavailable)
    }

    /// Connects. `timeout` is the time limit of one call of the store.
    pub(super) async fn connect(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        let deadline = Instant::now() + busy_timeout(usage, timeout);
        loop {
            match self.connect_once(usage, timeout).await {
                // SQLite does not apply the busy timeout to turning on the write-ahead log, which
                // two processes that start at once may both do.
                Err(error) if is_locked(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// One connection that reads, and the limit at which its statements are interrupted. `timeout`
    /// is the time limit of one call of the store.
    pub(super) async fn open_reader(
        &self,
        timeout: Duration,
    ) -> Result<(SqliteConnection, ReadLimit), sqlx::Error> {
        let options = SqliteConnectOptions::from_str(&self.url)?;
        let options = configured(options, Use::Read, timeout).disable_statement_logging();
        let mut connection = options.connect().await?;
        let limit = ReadLimit::new();
        let of_statements = limit.clone();
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || !of_statements.is_over());
        drop(handle);
        Ok((connection, limit))
    }

    /// A connection for long work that no other one has beside it, in no process.
    pub(super) async fn connect_alone(
        &self,
        timeout: Duration,
    ) -> Result<Option<DatabaseConnection>, StoreError> {
        let alone = move |options| {
            let options = configured(options, Use::Maintain, timeout);
            options.locking_mode(SqliteLockingMode::Exclusive).busy_timeout(Duration::ZERO)
        };
        match self.connect_with(alone).await {
            Ok(database) => Ok(Some(database)),
            Err(error) if is_locked(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn connect_once(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        self.connect_with(move |options| configured(options, usage, timeout)).await
    }

    async fn connect_with(
        &self,
        configure: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
    ) -> Result<DatabaseConnection, StoreError> {
        let mut options = ConnectOptions::new(&self.url);
        options
            .max_connections(1)
            .min_connections(1)
            .sqlx_logging(false)
            .test_before_acquire(false);
        // A connection to a file does not break while idle.
        options.idle_timeout(None).max_lifetime(None);
        options.map_sqlx_sqlite_opts(configure);
        Database::connect(options).await.map_err(store_error)
    }
}

/// The longest wait for another process that writes. An import waits as long as a call may take.
fn busy_timeout(usage: Use, timeout: Duration) -> Duration {
    match usage {
        Use::Import | Use::Maintain => timeout.clamp(BUSY_TIMEOUT, MAX_BUSY_TIMEOUT),
        Use::Write | Use::Read => BUSY_TIMEOUT,
    }
}

/// The settings of a connection for a use.
fn configured(
    options: SqliteConnectOptions,
    usage: Use,
    timeout: Duration,
) -> SqliteConnectOptions {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(busy_timeout(usage, timeout))
        .statement_cache_capacity(STATEMENT_CACHE)
        // A query's thread does not wait for its reader at each row.
        .row_buffer_size(ROW_BUFFER)
        // Savepoints and statements over many rows would create a file each.
        .pragma("temp_store", "MEMORY");
    let write = |options: SqliteConnectOptions| {
        options.pragma("cache_size", CACHE).pragma("wal_autocheckpoint", CHECKPOINT)
    };
    match usage {
        // A new file can give free pages back from the beginning. A copy of the file and the rows
        // that are sorted for an index are too large for memory.
        Use::Maintain => {
            let options = write(options).pragma("temp_store", "FILE");
            if is_empty(options.get_filename()) {
                options.auto_vacuum(SqliteAutoVacuum::Incremental)
            } else {
                // It would be written once more, with all that makes it durable.
                options
            }
        }
        Use::Write => write(options),
        // An import that loses its last commits is resumed where they are missing.
        Use::Import => options
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", IMPORT_CACHE)
            .pragma("wal_autocheckpoint", IMPORT_CHECKPOINT),
        Use::Read => options.pragma("query_only", "ON").pragma("cache_size", READ_CACHE),
    }
}

/// True if a database has no content yet. The file is not opened: closing it would end the locks
/// that other connections of this process have on it.
fn is_empty(file: &Path) -> bool {
    fs::metadata(file).map_or(true, |file| file.len() == 0)
}

/// Makes everything durable that a connection for an import has committed.
pub(super) async fn sync(database: &DatabaseConnection) -> Result<(), StoreError> {
    let checkpoint = database.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)");
    checkpoint.await.map(drop).map_err(store_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    #[tokio::test]
    async fn an_open_of_a_file_that_is_up_to_date_writes_nothing_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        assert!(is_empty(&path));
        assert_ne!(crate::migrate(&url).await.unwrap(), Vec::<String>::new());
        assert!(!is_empty(&path));
        let before = std::fs::read(&path).unwrap();
        assert_eq!(crate::migrate(&url).await.unwrap(), Vec::<String>::new());
        assert!(std::fs::read(&path).unwrap() == before);
    }

    #[tokio::test]
    async fn an_import_waits_for_another_writer_as_long_as_a_call_may_take() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("busy.db").display());
        let file = File::parse(&url).unwrap();
        for (usage, seconds, expected) in [
            (Use::Maintain, 60, 60_000),
            (Use::Import, 30, 30_000),
            (Use::Import, 2, 5_000),
            (Use::Import, u64::MAX, 86_400_000),
            (Use::Write, 60, 5_000),
        ] {
            let database = file.connect(usage, Duration::from_secs(seconds)).await.unwrap();
            let row = sql::row(&database, "PRAGMA busy_timeout", Vec::new()).await.unwrap();
            let millis: i64 = row.unwrap().try_get_by_index(0).unwrap();
            assert_eq!(millis, expected, "{usage:?}");
        }
    }
}
