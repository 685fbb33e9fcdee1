//! One table: its pages of rows, copied and compared.

use super::report::{CopiedTable, CopyError, Progress};
use crate::connect;
use crate::error::{corrupt, store_error};
use crate::sql;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, QueryResult, Value,
};
use sha2::{Digest, Sha256};
use tolmach_engine::ports::StoreError;

/// The number of rows read at once: few enough to fit in memory if each has an avatar of a
/// megabyte.
const PAGE: i64 = 256;

/// The number of pages written in one transaction.
const PAGES: usize = 16;

/// A table of the schema.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// The indexes in `columns` of the columns of its primary key.
    pub(super) key: Vec<usize>,
    /// True if the database assigns its ids.
    pub(super) has_sequence: bool,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Integer,
    Text,
    Boolean,
    Bytes,
}

type Row = Vec<Value>;

impl Table {
    /// Copies the rows after the last one in the target.
    pub(super) async fn copy(
        &self,
        source: &DatabaseTransaction,
        target: &DatabaseConnection,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), CopyError> {
        let of = self.count(source).await.map_err(CopyError::Source)?;
        let mut rows = self.count(target).await.map_err(CopyError::Target)?;
        let mut after = self.last_key(target).await.map_err(CopyError::Target)?;
        loop {
            progress(Progress { table: &self.name, verifying: false, rows, of });
            let transaction = connect::begin_write(target).await.map_err(CopyError::Target)?;
            let mut written = 0;
            for _ in 0..PAGES {
                let page = self.page(source, after.as_deref()).await.map_err(CopyError::Source)?;
                let Some(last) = page.last() else { break };
                after = Some(self.key_of(last));
                for batch in sql::chunks(&page) {
                    let values = batch.iter().flatten().cloned().collect();
                    sql::execute(&transaction, &self.insert(batch.len()), values)
                        .await
                        .map_err(CopyError::Target)?;
                }
                written += page.len() as u64;
            }
            transaction.commit().await.map_err(|error| CopyError::Target(store_error(error)))?;
            if written == 0 {
                return Ok(());
            }
            rows += written;
        }
    }

    /// Reads the table on both sides and compares the digests.
    pub(super) async fn verify(
        &self,
        source: &DatabaseTransaction,
        target: &DatabaseConnection,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<CopiedTable, CopyError> {
        let of = self.count(source).await.map_err(CopyError::Source)?;
        let mut done = 0;
        let mut read = |rows: u64| {
            done += rows;
            // Each side is half of the work.
            progress(Progress { table: &self.name, verifying: true, rows: (done / 2).min(of), of });
        };
        let (source_rows, digest) =
            self.digest(source, &mut read).await.map_err(CopyError::Source)?;
        let (target_rows, found) =
            self.digest(target, &mut read).await.map_err(CopyError::Target)?;
        if (source_rows, digest) != (target_rows, found) {
            return Err(CopyError::Unequal { table: self.name.clone(), source_rows, target_rows });
        }
        Ok(CopiedTable { name: self.name.clone(), rows: source_rows, digest })
    }

    /// The number of rows, and the SHA-256 of all of them in the order of their keys.
    async fn digest<C: ConnectionTrait>(
        &self,
        database: &C,
        read: &mut impl FnMut(u64),
    ) -> Result<(u64, [u8; 32]), StoreError> {
        let (mut rows, mut digest, mut after) = (0, Sha256::new(), None);
        loop {
            let page = self.page(database, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok((rows, digest.finalize().into())) };
            after = Some(self.key_of(last));
            rows += page.len() as u64;
            for value in page.iter().flatten() {
                add_value(value, &mut digest)?;
            }
            read(page.len() as u64);
        }
    }

    /// The number of rows.
    pub(super) async fn count<C: ConnectionTrait>(&self, database: &C) -> Result<u64, StoreError> {
        let row = sql::row(
            database,
            &format!("SELECT count(*) AS number FROM \"{}\"", self.name),
            Vec::new(),
        )
        .await?;
        let number: i64 =
            sql::get(&row.ok_or_else(|| corrupt("a count without a row"))?, "number")?;
        u64::try_from(number).map_err(corrupt)
    }

    /// The next rows after a key, ascending.
    async fn page<C: ConnectionTrait>(
        &self,
        database: &C,
        after: Option<&[Value]>,
    ) -> Result<Vec<Row>, StoreError> {
        let key = self.key_columns(database.get_database_backend());
        let (condition, limit) = match after {
            Some(_) => (
                format!("WHERE ({}) > ({})", key.join(", "), sql::placeholders(key.len())),
                key.len() + 1,
            ),
            None => (String::new(), 1),
        };
        let text = format!(
            "SELECT {} FROM \"{}\" {condition} ORDER BY {} LIMIT ${limit}",
            self.column_list(),
            self.name,
            key.join(", ")
        );
        let values = after.unwrap_or_default().iter().cloned().chain([PAGE.into()]).collect();
        let rows = sql::rows(database, &text, values).await?;
        rows.iter()
            .map(|row| {
                self.columns.iter().map(|column| column.kind.read(row, &column.name)).collect()
            })
            .collect()
    }

    /// The key of the last row.
    async fn last_key<C: ConnectionTrait>(
        &self,
        database: &C,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let key = self
            .key_columns(database.get_database_backend())
            .iter()
            .map(|column| format!("{column} DESC"))
            .collect::<Vec<_>>();
        let text = format!(
            "SELECT {} FROM \"{}\" ORDER BY {} LIMIT 1",
            self.column_list(),
            self.name,
            key.join(", ")
        );
        let Some(row) = sql::row(database, &text, Vec::new()).await? else { return Ok(None) };
        self.key
            .iter()
            .map(|index| self.columns[*index].kind.read(&row, &self.columns[*index].name))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn key_of(&self, row: &Row) -> Vec<Value> {
        self.key.iter().map(|index| row[*index].clone()).collect()
    }

    /// The columns of the key as they are compared: texts by their bytes, not by a server's locale.
    fn key_columns(&self, backend: DbBackend) -> Vec<String> {
        let compared = |index: &usize| {
            let Column { name, kind } = &self.columns[*index];
            let collation = if backend == DbBackend::Postgres && *kind == ColumnKind::Text {
                " COLLATE \"C\""
            } else {
                ""
            };
            format!("\"{name}\"{collation}")
        };
        self.key.iter().map(compared).collect()
    }

    fn column_list(&self) -> String {
        self.columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn insert(&self, rows: usize) -> String {
        format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.name,
            self.column_list(),
            sql::tuples(self.columns.len(), rows)
        )
    }
}

impl ColumnKind {
    /// The type that a column's definition declares.
    pub(super) fn of(declared: &str) -> Result<Self, StoreError> {
        let declared = declared.to_ascii_lowercase();
        match declared.split('(').next().unwrap_or_default() {
            "integer" | "bigint" => Ok(Self::Integer),
            "text" | "varchar" => Ok(Self::Text),
            "boolean" => Ok(Self::Boolean),
            "blob" => Ok(Self::Bytes),
            other => {
                Err(StoreError::failed(format!("a column of the type {other:?} cannot be copied")))
            }
        }
    }

    fn read(self, row: &QueryResult, column: &str) -> Result<Value, StoreError> {
        Ok(match self {
            Self::Integer => Value::from(sql::get::<Option<i64>>(row, column)?),
            Self::Text => Value::from(sql::get::<Option<String>>(row, column)?),
            Self::Boolean => Value::from(sql::get::<Option<bool>>(row, column)?),
            Self::Bytes => Value::from(sql::get::<Option<Vec<u8>>>(row, column)?),
        })
    }
}

/// Adds a value to a digest with its type and length, so that different rows have different bytes.
fn add_value(value: &Value, digest: &mut Sha256) -> Result<(), StoreError> {
    let (tag, content): (u8, Vec<u8>) = match value {
        Value::BigInt(Some(number)) => (b'n', number.to_be_bytes().to_vec()),
        Value::String(Some(text)) => (b't', text.as_bytes().to_vec()),
        Value::Bool(Some(flag)) => (b'f', vec![u8::from(*flag)]),
        Value::Bytes(Some(bytes)) => (b'b', bytes.clone()),
        Value::BigInt(None) | Value::String(None) | Value::Bool(None) | Value::Bytes(None) => {
            (b'-', Vec::new())
        }
        other => return Err(corrupt(format!("a value of an unknown type: {other:?}"))),
    };
    digest.update([tag]);
    digest.update((content.len() as u64).to_be_bytes());
    digest.update(&content);
    Ok(())
}
