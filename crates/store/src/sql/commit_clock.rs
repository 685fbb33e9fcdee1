//! Commit times, and the locks that order the writers of one database.
//!
//! The row 3 of `commit_clock` is missing in a database that is a copy and not complete, and is
//! locked by changes on PostgreSQL. There, each connection that posts messages has a row of its
//! own, with the number of its process below zero. The newest of all rows is the newest commit.

use super::query::execute;
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_engine::ports::StoreError;

/// The source's newest commit time, in a database that is a copy and not complete.
pub(crate) const SOURCE_OF_COPY: &str = "SELECT last FROM commit_clock WHERE id = 2";

/// Makes a database an incomplete copy: the source's newest commit time.
pub(crate) const BEGIN_COPY: &str = "UPDATE commit_clock SET id = 2, last = $1 WHERE id = 3";

/// Completes a copy.
const END_COPY: &str = "UPDATE commit_clock SET id = 3 WHERE id = 2";

/// Begins changes on PostgreSQL: true if they may change any flow, and lists of the flows that they
/// lock otherwise. See the migration `commit_order`.
pub(crate) const BEGIN_CHANGES: &str = "SELECT begin_changes($1, $2, $3) AS last";

/// Removes the rows of connections that ended, and of some others, which write theirs again.
pub(crate) const REMOVE_CONNECTIONS: &str = "\
    DELETE FROM commit_clock WHERE id IN (SELECT id FROM commit_clock \
    WHERE id < 0 AND last < (SELECT max(last) FROM commit_clock) FOR UPDATE SKIP LOCKED)";

/// True if several transactions write at once.
pub(crate) fn is_concurrent(backend: DbBackend) -> bool {
    backend == DbBackend::Postgres
}

/// The time up to which commits are complete, and the newest commit time that is visible. No row if
/// the database is a copy that is not complete.
///
/// On PostgreSQL the keys of the locks are commit times of transactions that run; see the migration
/// `commit_order`. One that took a time up to the newest commit had registered before that commit,
/// which the snapshot of this statement sees, so before the locks are read: either its lock is
/// there, or it is visible to every later snapshot.
pub(crate) fn commit_times(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "SELECT least(c.last, r.first - 1) AS complete, c.last AS newest \
             FROM (SELECT max(last) AS last FROM commit_clock HAVING bool_or(id = 3)) c, \
             (SELECT min(((l.classid::bigint - (1 << 30)) << 32) | l.objid::bigint) AS first \
             FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 \
             AND l.classid::bigint >= 1 << 30 AND l.database = \
             (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) r"
        }
        _ => "SELECT last AS complete, last AS newest FROM commit_clock WHERE id = 3",
    }
}

/// Sets the newest commit time of changes: time.
pub(crate) fn end_changes(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "SELECT end_changes($1)",
        _ => "UPDATE commit_clock SET last = $1 WHERE id = 3",
    }
}

/// Completes a copy. Commit times go on after those of the source.
pub(crate) async fn end_copy<C: ConnectionTrait>(database: &C) -> Result<(), StoreError> {
    execute(database, END_COPY, Vec::new()).await?;
    if is_concurrent(database.get_database_backend()) {
        let next = "SELECT setval('commit_time_seq', greatest(\
             (SELECT max(last) FROM commit_clock), (SELECT last_value FROM commit_time_seq)))";
        execute(database, next, Vec::new()).await?;
    }
    Ok(())
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
