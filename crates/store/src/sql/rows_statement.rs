//! Statements over any number of rows of values.

use super::array::{Type, array_text};
use super::list_statement::{ListStatement, chunk_lengths, tuples};
use super::query::execute;
use sea_orm::{ConnectionTrait, DbBackend, Value};
use tolmach_engine::ports::StoreError;

/// A statement over rows of values.
///
/// SQLite takes the rows as lists of parameters. PostgreSQL takes each column as one parameter, and
/// all rows in one statement: with a parameter for each value, planning takes longer than the
/// insertion.
pub(crate) struct RowsStatement {
    sqlite: ListStatement,
    postgres: String,
}

impl RowsStatement {
    /// A statement that `write` makes around its rows: a query whose columns are `column1`,
    /// `column2`, ….
    pub(super) fn new(types: &[Type], write: impl Fn(&str) -> String) -> Self {
        let lists =
            ListStatement::new(|length| write(&format!("VALUES {}", tuples(types.len(), length))));
        Self { sqlite: lists, postgres: write(&unnested(types)) }
    }

    /// The insertion of rows with these columns.
    pub(super) fn insert(table: &str, columns: &[(&str, Type)]) -> Self {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let types: Vec<Type> = columns.iter().map(|(_, kind)| *kind).collect();
        let names = names.join(", ");
        Self::new(&types, |rows| format!("INSERT INTO {table} ({names}) {rows}"))
    }

    /// The texts for SQLite.
    #[cfg(test)]
    pub(crate) fn lists(&self) -> &ListStatement {
        &self.sqlite
    }

    /// The text for PostgreSQL.
    #[cfg(test)]
    pub(crate) fn arrays(&self) -> &str {
        &self.postgres
    }

    /// Runs the statement, and returns the number of rows that it changed.
    pub(crate) async fn execute<C: ConnectionTrait, const WIDTH: usize>(
        &self,
        database: &C,
        rows: Vec<[Value; WIDTH]>,
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        if database.get_database_backend() == DbBackend::Postgres {
            let column = |index| array_text(rows.iter().map(|row| &row[index])).map(Value::from);
            let columns = (0..WIDTH).map(column).collect::<Result<Vec<Value>, _>>()?;
            return execute(database, &self.postgres, columns).await;
        }
        let (mut changed, lengths) = (0, chunk_lengths(rows.len()));
        let mut rows = rows.into_iter();
        for length in lengths {
            let values = rows.by_ref().take(length).flatten().collect();
            changed += self.sqlite.execute(database, length, values).await?;
        }
        Ok(changed)
    }
}

/// A query for the rows of arrays, each of which is a parameter.
fn unnested(types: &[Type]) -> String {
    let arrays: Vec<_> = (1..).zip(types).map(|(number, kind)| kind.array(number)).collect();
    let names: Vec<_> = (1..=types.len()).map(|number| format!("column{number}")).collect();
    format!("SELECT * FROM unnest({}) AS r ({})", arrays.join(", "), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lists_of_parameters_or_arrays() {
        let insert = RowsStatement::insert("t", &[("a", Type::Integer), ("b", Type::Text)]);
        let list = insert.lists().sql(DbBackend::Sqlite, 2);
        assert_eq!(list, "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
        assert_eq!(
            insert.arrays(),
            "INSERT INTO t (a, b) SELECT * FROM unnest(CAST(CAST($1 AS text) AS bigint[]), \
             CAST(CAST($2 AS text) AS text[])) AS r (column1, column2)"
        );
    }
}
