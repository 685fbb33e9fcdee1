//! The lock of housekeeping, and the free pages of a file.

use super::query::{get, row, rows};
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_engine::ports::StoreError;

/// Takes the lock of housekeeping until the end of the transaction. Returns false if another node
/// has it. SQLite has one writer, which need not take it.
pub(crate) async fn lock_housekeeping<C: ConnectionTrait>(
    database: &C,
) -> Result<bool, StoreError> {
    if database.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let sql = "SELECT pg_try_advisory_xact_lock(7881706, 3) AS taken";
    let taken = row(database, sql, Vec::new()).await?;
    taken.map_or(Ok(false), |row| get(&row, "taken"))
}

/// The free pages that a file keeps for its next rows.
const KEPT_PAGES: i64 = 1_024;

/// Gives free pages at the end of a SQLite file back to the file system, at most so many, and
/// returns true if there are more. A file that was made by an earlier release keeps all: it has no
/// table of what each page belongs to.
pub(crate) async fn free_pages<C: ConnectionTrait>(
    database: &C,
    limit: i64,
) -> Result<bool, StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        return Ok(false);
    }
    const INCREMENTAL: i64 = 2;
    let sql = "SELECT auto_vacuum AS mode, freelist_count AS free \
         FROM pragma_auto_vacuum, pragma_freelist_count";
    let Some(found) = row(database, sql, Vec::new()).await? else { return Ok(false) };
    let (mode, free): (i64, i64) = (get(&found, "mode")?, get(&found, "free")?);
    let excess = free - KEPT_PAGES;
    if mode != INCREMENTAL || excess <= 0 {
        return Ok(false);
    }
    // Each row of the result is a page.
    rows(database, &format!("PRAGMA incremental_vacuum({})", excess.min(limit)), Vec::new())
        .await?;
    Ok(excess > limit)
}
