//! Queries over lists of values of any length.

use super::array::{Type, list_parameter};
use super::query::rows;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use tolmach_engine::ports::StoreError;

/// A query for the rows in which an expression has one of many values, which are one parameter: one
/// statement for a list of any length.
pub(crate) struct ListQuery {
    postgres: String,
    sqlite: String,
}

impl ListQuery {
    /// A query that `write` makes around its condition. The list is the parameter with this number,
    /// the last one.
    pub(super) fn new(
        expression: &str,
        kind: Type,
        parameter: usize,
        write: impl Fn(&str) -> String,
    ) -> Self {
        let query = |backend| write(&kind.is_in(backend, expression, parameter));
        Self { postgres: query(DbBackend::Postgres), sqlite: query(DbBackend::Sqlite) }
    }

    /// The text for a database.
    pub(crate) fn sql(&self, backend: DbBackend) -> &str {
        match backend {
            DbBackend::Postgres => &self.postgres,
            _ => &self.sqlite,
        }
    }

    /// Runs the query with these parameters before the list.
    pub(crate) async fn rows<C: ConnectionTrait>(
        &self,
        database: &C,
        mut values: Vec<Value>,
        list: &[Value],
    ) -> Result<Vec<QueryResult>, StoreError> {
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let backend = database.get_database_backend();
        values.push(list_parameter(backend, list)?);
        rows(database, self.sql(backend), values).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_parameter() {
        let query = ListQuery::new("t.a", Type::Bytes, 2, |condition| {
            format!("SELECT b FROM t WHERE c = $1 AND {condition}")
        });
        assert_eq!(
            [DbBackend::Postgres, DbBackend::Sqlite].map(|backend| query.sql(backend)),
            [
                "SELECT b FROM t WHERE c = $1 AND \
                 t.a = ANY(CAST(CAST($2 AS text) AS bytea[]))",
                "SELECT b FROM t WHERE c = $1 AND \
                 t.a IN (SELECT unhex(value) FROM json_each($2))",
            ]
        );
    }
}
