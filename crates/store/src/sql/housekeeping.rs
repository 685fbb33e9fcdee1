//! The sweeps of housekeeping, and the free pages of a file.

use super::query::{execute, get, row, rows};
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_domain::Timestamp;
use tolmach_engine::ports::StoreError;

/// Notes the beginning of a sweep, unless another one has begun meanwhile; one that lies in the
/// future was noted by a clock that was ahead: kind, now, the time since which none may have begun.
const CLAIM_SWEEP: &str = "\
    INSERT INTO sweep (kind, begun_at) VALUES ($1, $2) ON CONFLICT (kind) DO UPDATE \
    SET begun_at = excluded.begun_at \
    WHERE sweep.begun_at <= $3 OR sweep.begun_at > excluded.begun_at";

/// Claims the sweep over old messages, which one node makes for all. Returns false if another one
/// has begun since a time.
pub(crate) async fn claim_sweep<C: ConnectionTrait>(
    database: &C,
    now: Timestamp,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let values = vec!["messages".into(), now.micros().into(), since.micros().into()];
    Ok(execute(database, CLAIM_SWEEP, values).await? > 0)
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
