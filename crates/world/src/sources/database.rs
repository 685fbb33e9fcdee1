//! A database of another server, opened for reading only, and its rows.

use super::error::SourceError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Decode, Executor, Postgres, Sqlite, Type,
};
use std::str::FromStr;

/// An open database. Statements name their arguments `$1` and so on, in both kinds.
pub(super) struct Database {
    /// The path, or the name and the address of its server: without a password.
    name: String,
    connection: Connection,
}

enum Connection {
    /// Each page is read by itself: a transaction would keep the writers of a database without
    /// write-ahead log waiting.
    Sqlite(SqliteConnection),
    /// In one transaction, so that everything is read as it was when the database was opened.
    Postgres(PgConnection),
}

impl Database {
    /// Opens `sqlite:PATH` or `postgres://…`.
    pub(super) async fn open(url: &str) -> Result<Self, SourceError> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(unreadable(url))?;
            let name = options.get_filename().display().to_string();
            let options = options.read_only(true).disable_statement_logging();
            let connection = options.connect().await.map_err(unreadable(&name))?;
            return Ok(Self { name, connection: Connection::Sqlite(connection) });
        }
        if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(SourceError::Url);
        }
        let options = PgConnectOptions::from_str(url).map_err(unreadable("of the URL"))?;
        let database = options.get_database().unwrap_or(options.get_username());
        let name = format!("{database} at {}:{}", options.get_host(), options.get_port());
        let connection = begin(options).await.map_err(unreadable(&name))?;
        Ok(Self { name, connection: Connection::Postgres(connection) })
    }

    /// True if it is an SQLite database.
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.connection, Connection::Sqlite(_))
    }

    /// Reads all rows of a statement, which is a constant or made of quoted names.
    pub(super) async fn rows(
        &mut self,
        statement: &str,
        arguments: &[i64],
    ) -> Result<Vec<Row>, SourceError> {
        let statement = AssertSqlSafe(statement);
        let rows = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut query = sqlx::query::<Sqlite>(statement);
                for argument in arguments {
                    query = query.bind(*argument);
                }
                let rows = query.fetch_all(connection).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Connection::Postgres(connection) => {
                let mut query = sqlx::query::<Postgres>(statement);
                for argument in arguments {
                    query = query.bind(*argument);
                }
                let rows = query.fetch_all(connection).await;
                rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        rows.map_err(unreadable(&self.name))
    }

    /// Reads a number: the column `count` of the first row.
    pub(super) async fn count(&mut self, statement: &str) -> Result<u64, SourceError> {
        let rows = self.rows(statement, &[]).await?;
        let count: Option<i64> = rows.first().map(|row| row.get("count")).transpose()?.flatten();
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
    }

    /// Closes it.
    pub(super) async fn close(self) -> Result<(), SourceError> {
        let closed = match self.connection {
            Connection::Sqlite(connection) => connection.close().await,
            Connection::Postgres(connection) => connection.close().await,
        };
        closed.map_err(unreadable(&self.name))
    }
}

/// Connects, and begins the transaction that reads.
async fn begin(options: PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.disable_statement_logging().connect().await?;
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // The first query takes the snapshot.
    connection.execute("SELECT 1").await?;
    Ok(connection)
}

fn unreadable(database: &str) -> impl Fn(sqlx::Error) -> SourceError {
    move |source| SourceError::Database { database: database.to_owned(), source }
}

/// A row of either kind of database.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column; `None` where there is none.
    pub(super) fn get<T>(&self, column: &str) -> Result<Option<T>, sqlx::Error>
    where
        T: for<'row> Decode<'row, Sqlite> + Type<Sqlite>,
        T: for<'row> Decode<'row, Postgres> + Type<Postgres>,
    {
        use sqlx::Row as _;
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A text; `None` where it is empty or missing.
    pub(super) fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        Ok(self.get::<String>(column)?.filter(|text| !text.is_empty()))
    }

    /// A number; 0 where there is none.
    pub(super) fn number(&self, column: &str) -> Result<i64, sqlx::Error> {
        Ok(self.get(column)?.unwrap_or_default())
    }

    /// True if the column says so.
    pub(super) fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        Ok(self.get(column)?.unwrap_or_default())
    }
}
