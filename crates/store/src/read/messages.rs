//! Messages of a statement.

use crate::rows::message as to_message;
use crate::sql;
use sea_orm::{ConnectionTrait, Value};
use tolmach_domain::Message;
use tolmach_engine::ports::StoreError;

/// The messages that a statement finds.
pub(super) async fn messages<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Message>, StoreError> {
    sql::rows(database, sql, values).await?.iter().map(to_message).collect()
}

/// A size as a parameter.
pub(super) fn size(bytes: usize) -> Value {
    i64::try_from(bytes).unwrap_or(i64::MAX).into()
}
