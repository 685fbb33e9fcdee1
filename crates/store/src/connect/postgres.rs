//! PostgreSQL: a server that may be slow, silent, away for a while, or replaced by another.

use super::{STATEMENT_CACHE, Use};
use crate::error::refuse;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection, Executor};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tolmach_engine::ports::{PortError, StoreError};

/// The server ends a transaction that its gateway has left lying for so long: all others wait for
/// it.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(3);

/// A connection that was idle for so long is tried before it is used.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(5);

/// A connection that is not needed is closed after so long, but for the last.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A connection is replaced after so long, and with it what the server keeps for it.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Maintenance waits for so long for what others have locked: for another that migrates, most of
/// all.
const MAINTENANCE_LOCK: Duration = Duration::from_secs(60);

/// How a session behaves that nobody tells otherwise. The server drops a connection whose other end
/// is gone without a word.
const SESSION: [(&str, &str); 6] = [
    // Our statements are short: to compile one takes longer than to run it.
    ("jit", "off"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("standard_conforming_strings", "on"),
];

/// A commit that is not on disk is not acknowledged, whatever the server does for others. Stricter
/// settings stay.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

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

    pub(super) async fn connect(
        &self,
        usage: Use,
        timeout: Duration,
    ) -> Result<DatabaseConnection, StoreError> {
        let options = self.options.as_ref().clone();
        let limit = timeout.as_millis().to_string();
        let (options, connections) = match usage {
            Use::Write => {
                let idle = IDLE_IN_TRANSACTION.as_millis().to_string();
                let options = options.options([
                    // What waits for a lock sees then what the one before it has committed.
                    ("default_transaction_isolation", "read committed"),
                    ("default_transaction_read_only", "off"),
                    ("idle_in_transaction_session_timeout", &idle),
                    ("statement_timeout", &limit),
                    ("lock_timeout", &limit),
                ]);
                (options, 1)
            }
            Use::Read { connections } => {
                let options = options.options([
                    // Every transaction is a snapshot, without a statement of its own to say so.
                    ("default_transaction_isolation", "repeatable read"),
                    ("default_transaction_read_only", "on"),
                    ("idle_in_transaction_session_timeout", &limit),
                    ("statement_timeout", &limit),
                    ("lock_timeout", &limit),
                ]);
                (options, connections.max(1))
            }
            Use::Maintain => {
                let (none, lock) = ("0", MAINTENANCE_LOCK.as_millis().to_string());
                let options = options.options([
                    ("default_transaction_isolation", "read committed"),
                    ("default_transaction_read_only", "off"),
                    ("idle_in_transaction_session_timeout", none),
                    ("statement_timeout", none),
                    ("lock_timeout", &lock),
                ]);
                (options, 1)
            }
        };
        // A caller hears that there is no connection before it stops waiting for the store.
        let (acquire, trial) = (timeout * 3 / 4, timeout / 4);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(acquire)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .before_acquire(move |connection, state| {
                Box::pin(async move {
                    if state.idle_for >= TEST_AFTER_IDLE {
                        answers(connection, trial).await?;
                    }
                    Ok(true)
                })
            })
            // Whoever gave up waiting for a statement leaves the connection in the middle of it. If
            // it does not come to its end, it goes: a connection to a server that vanished would be
            // kept for a quarter of an hour.
            .after_release(move |connection, _| {
                Box::pin(async move {
                    answers(connection, trial).await?;
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if !matches!(usage, Use::Read { .. }) {
                        connection.execute(DURABLE).await?;
                    }
                    Ok(())
                })
            });
        let refused = |error| refuse(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        let pool = pool.connect_with(options).await.map_err(refused)?;
        if matches!(usage, Use::Maintain) {
            let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
                .fetch_one(&pool)
                .await
                .map_err(refused)?;
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

async fn answers(connection: &mut PgConnection, limit: Duration) -> Result<(), sqlx::Error> {
    match tokio::time::timeout(limit, connection.ping()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
