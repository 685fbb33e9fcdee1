//! One connection that reads, to either database.

use super::postgres::{Server, TEST_AFTER_IDLE};
use super::read_limit::ReadLimit;
use super::sqlite::File;
use super::usage::Reads;
use sea_orm::sea_query::Values;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection, Database, Executor, IntoArguments, PgConnection, Postgres,
    Sqlite, SqliteConnection,
};
use sea_orm::{DbBackend, ExecResult, QueryResult, Statement};
use sea_query_sqlx::SqlxValues;
use std::time::Duration;

/// The database that connections are opened to.
pub(super) enum Source {
    /// A file, and the time limit of a call, when its statements are interrupted.
    Sqlite(File, Duration),
    /// A server, what is read, and the time limit of a statement.
    Postgres(Server, Reads, Duration),
}

/// One connection that reads.
pub(super) enum ReadConnection {
    /// With the limit of its statements.
    Sqlite(Box<SqliteConnection>, ReadLimit),
    Postgres(Box<PgConnection>),
}

impl Source {
    pub(super) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(..) => DbBackend::Sqlite,
            Self::Postgres(..) => DbBackend::Postgres,
        }
    }

    /// The time without use after which a connection is tested. One to a file does not break.
    pub(super) fn trusted_for(&self) -> Duration {
        match self {
            Self::Sqlite(..) => Duration::MAX,
            Self::Postgres(..) => TEST_AFTER_IDLE,
        }
    }

    /// Allows the statements of the call that has just taken a connection. A server has a time
    /// limit of its own for each.
    pub(super) fn begin(&self, connection: &ReadConnection) {
        if let (Self::Sqlite(_, timeout), ReadConnection::Sqlite(_, limit)) = (self, connection) {
            limit.begin(*timeout);
        }
    }

    pub(super) async fn open(&self) -> Result<ReadConnection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(file, timeout) => {
                let (connection, limit) = file.open_reader(*timeout).await?;
                ReadConnection::Sqlite(Box::new(connection), limit)
            }
            Self::Postgres(server, reads, limit) => {
                ReadConnection::Postgres(Box::new(server.open_reader(*reads, *limit).await?))
            }
        })
    }
}

impl ReadConnection {
    /// Interrupts the statement that an abandoned call has left running. On a server it ends with
    /// its time limit.
    pub(super) fn end(&self) {
        if let Self::Sqlite(_, limit) = self {
            limit.end();
        }
    }

    pub(super) async fn execute(
        &mut self,
        statement: Statement,
    ) -> Result<ExecResult, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(connection, _) => {
                query::<Sqlite>(statement).execute(&mut **connection).await?.into()
            }
            Self::Postgres(connection) => {
                query::<Postgres>(statement).execute(&mut **connection).await?.into()
            }
        })
    }

    pub(super) async fn query_all(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(connection, _) => {
                let rows = query::<Sqlite>(statement).fetch_all(&mut **connection).await?;
                rows.into_iter().map(QueryResult::from).collect()
            }
            Self::Postgres(connection) => {
                let rows = query::<Postgres>(statement).fetch_all(&mut **connection).await?;
                rows.into_iter().map(QueryResult::from).collect()
            }
        })
    }

    /// Begins a transaction that the driver does not know of.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.execute_text("BEGIN").await
    }

    pub(super) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        self.execute_text("ROLLBACK").await
    }

    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection, _) => connection.ping().await,
            Self::Postgres(connection) => connection.ping().await,
        }
    }

    /// Closes the connection. Its failure leaves nothing to do.
    pub(super) async fn close(self) {
        let _ = match self {
            Self::Sqlite(connection, _) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }

    async fn execute_text(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection, _) => connection.execute(sql).await.map(drop),
            Self::Postgres(connection) => connection.execute(sql).await.map(drop),
        }
    }
}

/// A statement, which the connection prepares once.
fn query<D: Database>(statement: Statement) -> Query<'static, D, SqlxValues>
where
    SqlxValues: IntoArguments<D>,
{
    let Statement { sql, values, .. } = statement;
    let values = values.unwrap_or_else(|| Values(Vec::new()));
    // Every text of this crate is its own, and has no values of others in it.
    sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values))
}
