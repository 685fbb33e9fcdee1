//! The lock of housekeeping.

use super::query::{get, row};
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
