//! Results of queries by a unique key.

use crate::error::store_error;
use sea_orm::DbErr;
use tolmach_engine::ports::StoreError;

/// The row of a query by a unique key. Such queries have no limit: it would be a parameter, and
/// SQLite would prepare the statement anew each time.
pub(super) fn at_most_one<T>(found: Result<Vec<T>, DbErr>) -> Result<Option<T>, StoreError> {
    Ok(found.map_err(store_error)?.pop())
}
