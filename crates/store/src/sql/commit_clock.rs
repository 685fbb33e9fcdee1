//! The newest commit time, and the locks that order the writers of one database.

use super::query::execute;
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_engine::ports::StoreError;

/// The newest commit time. No row if the database is a copy that is not complete.
pub(crate) const LAST_COMMIT_TIME: &str = "SELECT last FROM commit_clock WHERE id = 1";

/// Sets the newest commit time: time.
pub(crate) const SET_LAST_COMMIT_TIME: &str = "UPDATE commit_clock SET last = $1 WHERE id = 1";

/// The source's newest commit time, in a database that is a copy and not complete.
pub(crate) const SOURCE_OF_COPY: &str = "SELECT last FROM commit_clock WHERE id = 2";

/// Makes a database an incomplete copy: the source's newest commit time.
pub(crate) const BEGIN_COPY: &str = "UPDATE commit_clock SET id = 2, last = $1 WHERE id = 1";

/// Completes a copy.
pub(crate) const END_COPY: &str = "UPDATE commit_clock SET id = 1 WHERE id = 2";

/// Reads the newest commit time and makes this the only transaction that writes: on PostgreSQL by
/// locking the row, on SQLite by its beginning. Every later statement sees the commits of the
/// writers before it, on all nodes, so that commit times and versions ascend in commit order.
pub(crate) fn lock_commit_clock(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "SELECT last FROM commit_clock WHERE id = 1 FOR UPDATE",
        _ => LAST_COMMIT_TIME,
    }
}

/// Keeps other processes from changing the schema until the transaction ends. SQLite's transaction
/// does so by itself.
pub(crate) async fn lock_schema<C: ConnectionTrait>(database: &C) -> Result<(), StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        // The number is the key of the lock, arbitrary and used for nothing else.
        execute(database, "SELECT pg_advisory_xact_lock(7881706941)", Vec::new()).await?;
    }
    Ok(())
}
