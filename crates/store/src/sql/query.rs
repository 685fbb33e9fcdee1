//! Running statements.

use crate::error::{corrupt, store_error};
use sea_orm::{ConnectionTrait, QueryResult, Statement, TryGetable, Value};
use tolmach_engine::ports::StoreError;

/// Runs a query.
pub(crate) async fn rows<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    database.query_all_raw(statement(database, sql, values)).await.map_err(store_error)
}

/// Runs a query of at most one row.
pub(crate) async fn row<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<QueryResult>, StoreError> {
    database.query_one_raw(statement(database, sql, values)).await.map_err(store_error)
}

/// Runs a statement and returns the number of rows that it changed.
pub(crate) async fn execute<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let statement = statement(database, sql, values);
    Ok(database.execute_raw(statement).await.map_err(store_error)?.rows_affected())
}

/// A column of a row.
pub(crate) fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    row.try_get("", column).map_err(corrupt)
}

fn statement<C: ConnectionTrait>(database: &C, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(database.get_database_backend(), sql, values)
}
