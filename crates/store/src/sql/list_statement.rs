//! Statements over lists of values.

use super::query::{execute, rows};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use std::fmt::Write;
use tolmach_engine::ports::StoreError;

/// Lengths of lists that statements are written for: few, so that a connection prepares few
/// statements, each once; sums of few of them make any number. The widest statement stays below the
/// 32,766 parameters that SQLite accepts.
const LENGTHS: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];

/// A statement over a list of values, one text for each of [`LENGTHS`]. It names its parameters
/// once, in ascending order.
pub(crate) struct ListStatement {
    numbered: Vec<String>,
    unnumbered: Vec<String>,
}

impl ListStatement {
    /// A statement whose text for a length `write` returns.
    pub(super) fn new(write: impl Fn(usize) -> String) -> Self {
        let numbered: Vec<String> = LENGTHS.iter().map(|length| write(*length)).collect();
        let unnumbered = numbered.iter().map(|sql| unnumbered(sql)).collect();
        Self { numbered, unnumbered }
    }

    /// The insertion of rows with these columns.
    pub(super) fn insert(table: &str, columns: &[&str]) -> Self {
        let names = columns.join(", ");
        Self::new(|length| {
            format!("INSERT INTO {table} ({names}) VALUES {}", tuples(columns.len(), length))
        })
    }

    /// The text for this many values, one of [`LENGTHS`].
    pub(crate) fn sql(&self, backend: DbBackend, length: usize) -> &str {
        let index = LENGTHS.iter().position(|known| *known == length).unwrap_or(LENGTHS.len() - 1);
        match backend {
            DbBackend::Postgres => &self.numbered[index],
            // SQLite takes `$1` for a name, and sqlx looks up the name of each parameter, which is
            // linear in their number: for thousands it takes longer than the statement.
            _ => &self.unnumbered[index],
        }
    }

    /// Runs the query for this many values.
    pub(crate) async fn rows<C: ConnectionTrait>(
        &self,
        database: &C,
        length: usize,
        values: Vec<Value>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        rows(database, self.sql(database.get_database_backend(), length), values).await
    }

    /// Runs the statement for this many rows, and returns the number of rows that it changed.
    pub(crate) async fn execute<C: ConnectionTrait>(
        &self,
        database: &C,
        length: usize,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        execute(database, self.sql(database.get_database_backend(), length), values).await
    }
}

/// Splits values into lists of the known lengths, the last value repeated to fill the last list:
/// for `IN`, where a repetition changes nothing.
pub(crate) fn padded_lists<T: Clone>(values: &[T]) -> impl Iterator<Item = Vec<T>> {
    values.chunks(LENGTHS[0]).map(|chunk| {
        let lengths = LENGTHS.iter().rev().copied();
        let length = lengths.clone().find(|length| *length >= chunk.len()).unwrap_or(chunk.len());
        let mut list = chunk.to_vec();
        if let Some(last) = chunk.last() {
            list.resize(length, last.clone());
        }
        list
    })
}

/// Splits rows into chunks of the known lengths, without padding: for `INSERT`.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    chunk_lengths(rows.len()).map(move |length| {
        let (chunk, rest) = rows.split_at(length);
        rows = rest;
        chunk
    })
}

/// Splits a number of rows into the known lengths, without padding: for `INSERT`.
pub(crate) fn chunk_lengths(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let length = LENGTHS.iter().copied().find(|length| *length <= rows)?;
        rows -= length;
        Some(length)
    })
}

/// `$1, $2, …`
pub(crate) fn placeholders(count: usize) -> String {
    placeholders_from(1, count)
}

/// `($1, $2), ($3, $4), …`
pub(crate) fn tuples(width: usize, count: usize) -> String {
    let mut text = String::new();
    for row in 0..count {
        let separator = if row == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}({})", placeholders_from(row * width + 1, width));
    }
    text
}

/// The same from another number on.
pub(crate) fn placeholders_from(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// The statement with `?` for `$1`, `$2`, ….
fn unnumbered(sql: &str) -> String {
    let mut parts = sql.split('$');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "?" + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_repeat_the_last_value_and_chunks_repeat_nothing() {
        for count in [0, 1, 2, 4, 5, 63, 64, 256, 257, 511, 600] {
            let values: Vec<usize> = (0..count).collect();
            let listed: Vec<usize> = padded_lists(&values).flatten().collect();
            assert!(
                values.iter().all(|value| listed.contains(value))
                    && listed.iter().all(|value| *value < count)
            );
            assert!(padded_lists(&values).all(|list| LENGTHS.contains(&list.len())), "{count}");
            let chunked: Vec<usize> = chunks(&values).flatten().copied().collect();
            assert_eq!(chunked, values);
            assert!(chunks(&values).all(|chunk| LENGTHS.contains(&chunk.len())), "{count}");
        }
    }
}
