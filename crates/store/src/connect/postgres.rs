//! PostgreSQL: a server that may be slow, unreachable for a while, or replaced by another.

use super::usage::{Reads, STATEMENT_CACHE, Use};
use crate::error::{sqlx_error, store_error};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection, Executor};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tolmach_engine::ports::{PortError, StoreError};

/// The time after which the server aborts an idle transaction, because other writers wait for its
/// locks.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(3);

/// The idle time after which a connection is tested before use.
pub(super) const TEST_AFTER_IDLE: Duration = Duration::from_secs(5);

/// The idle time after which a connection is closed: in a pool of the driver unless it is the last,
/// in a pool of connections that read when another one is returned.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The age at which a connection is replaced, so that the server frees its memory.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The longest wait of maintenance for a lock, mostly of another migration.
const MAINTENANCE_LOCK: Duration = Duration::from_secs(60);

/// Settings of every session. The keepalives make the server drop a connection whose client
/// vanished.
const SESSION: [(&str, &str); 6] = [
    // Compiling one of our short statements takes longer than running it.
    ("jit", "off"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("standard_conforming_strings", "on"),
];

/// Settings of the session that imports. Records are found by indexes, however few the tables had
/// when the server counted them last.
const IMPORT: [(&str, &str); 2] =
    [("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan")];

/// Makes the server plan each statement once, for all values of its parameters, which is right
/// where records are found by their keys. Planning it anew takes several times as long as running
/// it: the server would do so for a list that is shorter than it expects. A page in the middle of a
/// table costs little more than the next one, because most are in memory.
const PLANNED_ONCE: [(&str, &str); 2] =
    [("plan_cache_mode", "force_generic_plan"), ("random_page_cost", "1.1")];

/// Makes commits wait for the disk, also on a server that does not do so by default. Stricter
/// settings stay.
const DURABLE: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// A database of a server.
#[derive(Clone)]
pub(crate) struct Server {
    options: Arc<PgConnectOptions>,
}

impl Server {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| PortError::caused_by("the store's URL is not valid", error))
            .map_err(StoreError::Failed)?;
        let options = options
            .application_name("tolmach")
            .statement_cache_capacity(STATEMENT_CACHE)
            .options(SESSION);
        Ok(Self { options: Arc::new(options.disable_statement_logging()) })
    }

    pub(super) fn describe(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => format!("PostgreSQL, database {database} at {}", socket.display()),
            None => format!(
                "PostgreSQL, database {database} at {}:{}",
                options.get_host(),
                options.get_port()
            ),
        }
    }

    /// The settings of a connection that writes. `timeout` is the time limit of a transaction.
    fn write_options(&self, timeout: Duration) -> PgConnectOptions {
        let idle = IDLE_IN_TRANSACTION.as_millis().to_string();
        let limit = timeout.as_millis().to_string();
        self.options.as_ref().clone().options([
            // A statement that waited for a lock sees the commit before it.
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", "off"),
            ("idle_in_transaction_session_timeout", &idle),
            ("statement_timeout", &limit),
            ("lock_timeout", &limit),
        ])
    }

    /// The settings of a connection that reads. `timeout` is the time limit of a statement.
    fn read_options(&self, timeout: Duration) -> PgConnectOptions {
        let limit = timeout.as_millis().to_string();
        self.options.as_ref().clone().options([
            // Every transaction reads a snapshot, without a statement to set the level.
            ("default_transaction_isolation", "repeatable read"),
            ("default_transaction_read_only", "on"),
            ("idle_in_transaction_session_timeout", &limit),
            ("statement_timeout", &limit),
            ("lock_timeout", &limit),
        ])
    }

    /// One connection that reads.
    pub(super) async fn open_reader(
        &self,
        reads: Reads,
        timeout: Duration,
    ) -> Result<PgConnection, sqlx::Error> {
        let options = self.read_options(timeout);
        let options = match reads {
            Reads::Pages => options.options(PLANNED_ONCE),
            Reads::Any => options,
        };
        PgConnection::connect_with(&options).await
    }

    /// One connection that posts messages, without a pool, which would test it after each use.
    pub(crate) async fn connect_one(&self, timeout: Duration) -> Result<PgConnection, StoreError> {
        let options = self.write_options(timeout).options(PLANNED_ONCE);
        let connecting = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            connection.execute(DURABLE).await?;
            Ok(connection)
        };
        connecting.await.map_err(sqlx_error)
    }

    pub(super) async fn connect(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        let options = match usage {
            Use::Write => self.write_options(timeout),
            Use::Import => self.write_options(timeout).options(IMPORT),
            Use::Read => self.read_options(timeout),
            Use::Maintain => {
                let (none, lock) = ("0", MAINTENANCE_LOCK.as_millis().to_string());
                self.options.as_ref().clone().options([
                    ("default_transaction_isolation", "read committed"),
                    ("default_transaction_read_only", "off"),
                    ("idle_in_transaction_session_timeout", none),
                    ("statement_timeout", none),
                    ("lock_timeout", &lock),
                ])
            }
        };
        // The pool fails before the call of the store times out.
        let (acquire, trial) = (timeout * 3 / 4, timeout / 4);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .acquire_timeout(acquire)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .before_acquire(move |connection, state| {
                Box::pin(async move {
                    if state.idle_for >= TEST_AFTER_IDLE {
                        within(trial, connection.ping()).await?;
                    }
                    Ok(true)
                })
            })
            // A cancelled call leaves its connection in the middle of a statement. If the
            // connection does not answer soon, it is closed: TCP would keep a connection to a
            // vanished server for a quarter of an hour.
            .after_release(move |connection, _| {
                Box::pin(async move {
                    within(trial, connection.ping()).await?;
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if !matches!(usage, Use::Read) {
                        connection.execute(DURABLE).await?;
                    }
                    Ok(())
                })
            });
        let failed = |error| store_error(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        let pool = pool.connect_with(options).await.map_err(failed)?;
        if matches!(usage, Use::Maintain) {
            let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
                .fetch_one(&pool)
                .await
                .map_err(failed)?;
            if encoding != "UTF8" {
                pool.close().await;
                return Err(StoreError::failed(format!(
                    "the database's encoding is {encoding}; UTF8 is needed, \
                     as in CREATE DATABASE … ENCODING 'UTF8'"
                )));
            }
        }
        Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    }
}

/// Succeeds if the database answers within the limit.
pub(super) async fn within(
    limit: Duration,
    answer: impl Future<Output = Result<(), sqlx::Error>>,
) -> Result<(), sqlx::Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
