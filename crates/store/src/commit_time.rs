//! The newest commit time of a database.

use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use tolmach_domain::Timestamp;
use tolmach_engine::ports::StoreError;

/// The newest commit time.
pub(crate) async fn last_commit_time<C: ConnectionTrait>(
    database: &C,
) -> Result<Timestamp, StoreError> {
    read(database, sql::LAST_COMMIT_TIME).await
}

/// The newest commit time; from now on this transaction is the only one that writes.
pub(crate) async fn lock_commit_clock(
    transaction: &DatabaseTransaction,
) -> Result<Timestamp, StoreError> {
    read(transaction, sql::lock_commit_clock(transaction.get_database_backend())).await
}

async fn read<C: ConnectionTrait>(database: &C, sql: &str) -> Result<Timestamp, StoreError> {
    let row = sql::row(database, sql, Vec::new()).await?.ok_or_else(|| {
        StoreError::failed(
            "the copy into this database was not finished: `tolmach copy` resumes it",
        )
    })?;
    Ok(Timestamp::from_micros(sql::get(&row, "last")?))
}
