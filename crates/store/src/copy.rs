//! Moves a world from one database to another, whichever they are.
//!
//! The source is locked against writers for as long as it takes: who writes there is told that the
//! store is unavailable, and what is read is one moment of it. The target has to be new, or what an
//! earlier attempt left. Rows go over table by table, ascending by their keys, some thousand a
//! transaction, so that the last key in the target says how far it got. Until everything has been
//! read back from both sides and compared, the target has no newest moment, and no store opens it.

use crate::connect::{self, Target, Use};
use crate::error::{corrupt, refuse};
use crate::migrations::Migrator;
use crate::{Options, batch, sql};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, QueryResult,
    Value,
};
use sea_orm_migration::MigratorTrait;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::StoreError;

/// Rows read at once: few enough that they fit in memory even when each is a photo of a megabyte.
const PAGE: i64 = 256;

/// Pages written in one transaction.
const PAGES: usize = 16;

/// What a copy is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Which table.
    pub table: &'a str,
    /// Whether it is read back and compared; it is copied before that.
    pub verifying: bool,
    /// How many of its rows are done, those of an earlier attempt included.
    pub rows: u64,
    /// How many rows it has.
    pub of: u64,
}

/// A table that was copied and found equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
    /// The SHA-256 over its rows in the order of their keys.
    pub digest: [u8; 32],
}

/// Why a world was not copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Nothing comes from there.
    #[error("the source: {0}")]
    Source(StoreError),
    /// Nothing goes there. What went there stays, and the next attempt goes on after it.
    #[error("the target: {0}")]
    Target(StoreError),
    /// They are one.
    #[error("the source and the target are the same: {0}")]
    Same(String),
    /// Somebody lives in the target.
    #[error(
        "the target holds a world already, with {rows} rows in the table {table}; a new database is needed"
    )]
    Occupied {
        /// Which table is not empty.
        table: String,
        /// How many rows it has.
        rows: u64,
    },
    /// An earlier attempt began from something else.
    #[error(
        "the target holds part of a copy of another world, or of this one before it changed; a new database is needed"
    )]
    Begun,
    /// What was written is not what was read.
    #[error(
        "the table {table} is not the same on both sides: {source_rows} rows in the source, {target_rows} in the target"
    )]
    Unequal {
        /// Which table.
        table: String,
        /// How many rows it has in the source.
        source_rows: u64,
        /// How many rows it has in the target.
        target_rows: u64,
    },
}

/// Copies the world at one URL to another. Both are brought up to date first. When it is called
/// again after it was interrupted, it goes on where it was.
pub async fn copy(
    from: &str,
    to: &str,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Vec<CopiedTable>, CopyError> {
    let source = Target::parse(from).map_err(CopyError::Source)?;
    let target = Target::parse(to).map_err(CopyError::Target)?;
    if source.describe() == target.describe() {
        return Err(CopyError::Same(source.describe()));
    }
    let source = open(&source).await.map_err(CopyError::Source)?;
    let target = open(&target).await.map_err(CopyError::Target)?;
    let outcome = run(&source, &target, &mut progress).await;
    connect::close(source).await;
    connect::close(target).await;
    outcome
}

async fn open(target: &Target) -> Result<DatabaseConnection, StoreError> {
    let timeout = Options::default().timeout;
    connect::migrate(target, timeout).await?;
    target.connect(Use::Maintain, timeout).await
}

async fn run(
    source: &DatabaseConnection,
    target: &DatabaseConnection,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<Vec<CopiedTable>, CopyError> {
    // It stands until the end, and nobody else writes meanwhile.
    let source = connect::begin_write(source).await.map_err(CopyError::Source)?;
    let moment = batch::take_moment(&source).await.map_err(CopyError::Source)?;
    let tables = tables().await.map_err(CopyError::Target)?;
    claim(target, &tables, moment).await?;
    for table in &tables {
        table.copy(&source, target, progress).await?;
    }
    let mut copied = Vec::with_capacity(tables.len());
    for table in &tables {
        copied.push(table.verify(&source, target, progress).await?);
    }
    release(&source, target, &tables).await?;
    // It has changed nothing.
    source.rollback().await.map_err(|error| CopyError::Source(refuse(error)))?;
    Ok(copied)
}

/// Makes the target this copy's. The row of the newest moment tells: it is the source's under
/// another id until all is done.
async fn claim(
    target: &DatabaseConnection,
    tables: &[Table],
    source: Timestamp,
) -> Result<(), CopyError> {
    let ours = async {
        let transaction = connect::begin_write(target).await?;
        sql::lock_schema(&transaction).await?;
        let claimed = sql::row(&transaction, sql::CLAIM_OF_COPY, Vec::new()).await?;
        let claimed = claimed.map(|row| sql::get::<i64>(&row, "last")).transpose()?;
        Ok((transaction, claimed))
    };
    let (transaction, claimed) = ours.await.map_err(CopyError::Target)?;
    match claimed {
        Some(claimed) if claimed == source.micros() => Ok(()),
        Some(_) => Err(CopyError::Begun),
        None => {
            for table in tables {
                let rows = table.count(&transaction).await.map_err(CopyError::Target)?;
                if rows > 0 {
                    return Err(CopyError::Occupied { table: table.name.clone(), rows });
                }
            }
            let begun =
                sql::execute(&transaction, sql::BEGIN_COPY, vec![source.micros().into()]).await;
            begun.map_err(CopyError::Target)?;
            transaction.commit().await.map_err(|error| CopyError::Target(refuse(error)))
        }
    }
}

/// Makes the target a world: what is new there follows what was in the source, also what is gone
/// since.
async fn release(
    source: &DatabaseTransaction,
    target: &DatabaseConnection,
    tables: &[Table],
) -> Result<(), CopyError> {
    let transaction = connect::begin_write(target).await.map_err(CopyError::Target)?;
    for table in tables.iter().filter(|table| table.counts) {
        let last = sql::last_id(source, &table.name).await.map_err(CopyError::Source)?;
        sql::skip_ids(&transaction, &table.name, last).await.map_err(CopyError::Target)?;
    }
    sql::execute(&transaction, sql::END_COPY, Vec::new()).await.map_err(CopyError::Target)?;
    transaction.commit().await.map_err(|error| CopyError::Target(refuse(error)))
}

/// A table as the migrations make it.
struct Table {
    name: String,
    columns: Vec<Column>,
    /// The places of the columns of its key.
    key: Vec<usize>,
    /// Whether the database gives out its ids.
    counts: bool,
}

struct Column {
    name: String,
    kind: ColumnKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Number,
    Text,
    Flag,
    Bytes,
}

/// Every table that has something of the world, those that are named by others first. A new SQLite
/// database in memory is asked: so a migration is all that it takes to have its tables and columns
/// copied.
async fn tables() -> Result<Vec<Table>, StoreError> {
    let model = Database::connect("sqlite::memory:").await.map_err(refuse)?;
    Migrator::up(&model, None).await.map_err(refuse)?;
    let names = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'seaql%' \
         AND name <> 'moment' ORDER BY rowid";
    let mut tables = Vec::new();
    for row in sql::rows(&model, names, Vec::new()).await? {
        let (name, made): (String, String) = (sql::get(&row, "name")?, sql::get(&row, "sql")?);
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        let info = "SELECT name, type AS kind, pk FROM pragma_table_info($1) ORDER BY cid";
        for (place, row) in
            sql::rows(&model, info, vec![name.as_str().into()]).await?.iter().enumerate()
        {
            let declared: String = sql::get(row, "kind")?;
            columns.push(Column { name: sql::get(row, "name")?, kind: ColumnKind::of(&declared)? });
            let in_key: i64 = sql::get(row, "pk")?;
            if in_key > 0 {
                key.push((in_key, place));
            }
        }
        key.sort_unstable();
        let key = key.into_iter().map(|(_, place)| place).collect();
        tables.push(Table {
            name,
            columns,
            key,
            counts: made.to_ascii_uppercase().contains("AUTOINCREMENT"),
        });
    }
    connect::close(model).await;
    Ok(tables)
}

impl ColumnKind {
    fn of(declared: &str) -> Result<Self, StoreError> {
        let declared = declared.to_ascii_lowercase();
        match declared.split('(').next().unwrap_or_default() {
            "integer" | "bigint" => Ok(Self::Number),
            "text" | "varchar" => Ok(Self::Text),
            "boolean" => Ok(Self::Flag),
            "blob" => Ok(Self::Bytes),
            other => {
                Err(StoreError::failed(format!("a column of the type {other:?} cannot be copied")))
            }
        }
    }

    fn read(self, row: &QueryResult, column: &str) -> Result<Value, StoreError> {
        Ok(match self {
            Self::Number => Value::from(sql::get::<Option<i64>>(row, column)?),
            Self::Text => Value::from(sql::get::<Option<String>>(row, column)?),
            Self::Flag => Value::from(sql::get::<Option<bool>>(row, column)?),
            Self::Bytes => Value::from(sql::get::<Option<Vec<u8>>>(row, column)?),
        })
    }
}

type Row = Vec<Value>;

impl Table {
    async fn copy(
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
                for batch in sql::batches(&page) {
                    let values = batch.iter().flatten().cloned().collect();
                    sql::execute(&transaction, &self.insert(batch.len()), values)
                        .await
                        .map_err(CopyError::Target)?;
                }
                written += page.len() as u64;
            }
            transaction.commit().await.map_err(|error| CopyError::Target(refuse(error)))?;
            if written == 0 {
                return Ok(());
            }
            rows += written;
        }
    }

    async fn verify(
        &self,
        source: &DatabaseTransaction,
        target: &DatabaseConnection,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<CopiedTable, CopyError> {
        let of = self.count(source).await.map_err(CopyError::Source)?;
        let mut done = 0;
        let mut read = |rows: u64| {
            done += rows;
            // Half the work is on either side.
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
                canonical(value, &mut digest)?;
            }
            read(page.len() as u64);
        }
    }

    async fn count<C: ConnectionTrait>(&self, database: &C) -> Result<u64, StoreError> {
        let row = sql::row(
            database,
            &format!("SELECT count(*) AS number FROM \"{}\"", self.name),
            Vec::new(),
        )
        .await?;
        let number: i64 =
            sql::get(&row.ok_or_else(|| corrupt("a table without a number of rows"))?, "number")?;
        u64::try_from(number).map_err(corrupt)
    }

    /// The rows that follow a key, ascending.
    async fn page<C: ConnectionTrait>(
        &self,
        database: &C,
        after: Option<&[Value]>,
    ) -> Result<Vec<Row>, StoreError> {
        let key = self.key_columns(database.get_database_backend());
        let (condition, limit) = match after {
            Some(_) => (
                format!("WHERE ({}) > ({})", key.join(", "), sql::placeholders(1, key.len())),
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
            .map(|place| self.columns[*place].kind.read(&row, &self.columns[*place].name))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn key_of(&self, row: &Row) -> Vec<Value> {
        self.key.iter().map(|place| row[*place].clone()).collect()
    }

    /// The columns of the key as they are compared: texts by their bytes, whatever a server's
    /// locale is.
    fn key_columns(&self, backend: DbBackend) -> Vec<String> {
        let compared = |place: &usize| {
            let Column { name, kind } = &self.columns[*place];
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

/// A value with its kind and its length, so that no two rows give the same bytes.
fn canonical(value: &Value, digest: &mut Sha256) -> Result<(), StoreError> {
    let (mark, content): (u8, Vec<u8>) = match value {
        Value::BigInt(Some(number)) => (b'n', number.to_be_bytes().to_vec()),
        Value::String(Some(text)) => (b't', text.as_bytes().to_vec()),
        Value::Bool(Some(flag)) => (b'f', vec![u8::from(*flag)]),
        Value::Bytes(Some(bytes)) => (b'b', bytes.clone()),
        Value::BigInt(None) | Value::String(None) | Value::Bool(None) | Value::Bytes(None) => {
            (b'-', Vec::new())
        }
        other => return Err(corrupt(format!("a value of an unknown kind: {other:?}"))),
    };
    digest.update([mark]);
    digest.update((content.len() as u64).to_be_bytes());
    digest.update(&content);
    Ok(())
}

impl CopiedTable {
    /// The digest in hexadecimal.
    pub fn digest_text(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
