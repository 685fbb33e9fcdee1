//! Transactions that write, and the end of connections.

use crate::error::store_error;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use std::time::Duration;
use tolmach_engine::ports::StoreError;

/// The longest wait for a connection to close: a server may have stopped answering.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Begins a transaction that writes. On SQLite it takes the lock of writers at once, so that its
/// reads cannot become stale before it writes.
pub(crate) async fn begin_write(
    database: &DatabaseConnection,
) -> Result<DatabaseTransaction, StoreError> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    database.begin_with_options(immediate).await.map_err(store_error)
}

/// Closes the connections of a pool.
pub(crate) async fn close(database: DatabaseConnection) {
    match tokio::time::timeout(CLOSE_LIMIT, database.close_by_ref()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "closing a connection failed"),
        Err(_) => tracing::warn!("closing a connection timed out"),
    }
}
