//! Classification of database errors: the caller's fault is decided before, so an error is either
//! of the environment or a defect of ours.

use sea_orm::sqlx::{self, error::ErrorKind, postgres::PgDatabaseError};
use sea_orm::{DbErr, RuntimeErr, SqlErr};
use std::error::Error;
use std::sync::Arc;
use tolmach_domain::Fault;
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::{PortError, StoreError};

/// Primary result codes of SQLite for errors of the environment: busy, locked, out of memory,
/// read-only, interrupted, input or output, full, cannot open, locking protocol.
const SQLITE_UNAVAILABLE: [i32; 9] = [5, 6, 7, 8, 9, 10, 13, 14, 15];

/// Classes of PostgreSQL's SQLSTATE for errors of the environment: connection, resources (disk,
/// memory, connections), operator intervention (cancelled, shutting down, starting up), operating
/// system.
const POSTGRES_UNAVAILABLE_CLASSES: [&str; 4] = ["08", "53", "57", "58"];

/// Single SQLSTATEs for errors of the environment: a plan prepared before a migration (a new
/// connection prepares a new one), a read-only server, a failed or idle transaction, a
/// serialization failure, a deadlock, a lock that was not granted in time.
const POSTGRES_UNAVAILABLE: [&str; 7] =
    ["0A000", "25006", "25P02", "25P03", "40001", "40P01", "55P03"];

/// The store's error for a database error. The text of a database error names tables and
/// constraints, and has no values.
pub(crate) fn store_error(error: DbErr) -> StoreError {
    let unavailable = match &error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            is_unavailable(error)
        }
        _ => false,
    };
    let error = PortError::caused_by("the database reports an error", error);
    if unavailable { StoreError::Unavailable(error) } else { StoreError::Failed(error) }
}

/// The store's error for an error of the driver.
pub(crate) fn sqlx_error(error: sqlx::Error) -> StoreError {
    store_error(query_error(error))
}

/// The database error for an error of the driver.
pub(crate) fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// [`Fault::LoginTaken`] for a violated unique key of users, which another node took meanwhile.
pub(crate) fn taken_or_error(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Fault::LoginTaken.into(),
        _ => store_error(error),
    }
}

/// True if PostgreSQL refuses a statement that was prepared before a migration.
pub(crate) fn is_outdated(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.code() == "0A000")
}

/// True if the transaction cannot go on; false if one statement violated a rule.
pub(crate) fn is_fatal(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => is_postgres_unavailable(error.code()),
            None => {
                let code = error.code().and_then(|code| code.parse::<i32>().ok());
                error.kind() == ErrorKind::Other
                    && code.is_some_and(|code| SQLITE_UNAVAILABLE.contains(&(code & 0xff)))
            }
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

fn is_postgres_unavailable(code: &str) -> bool {
    // The protocol violation of class 08 is a defect of ours.
    code != "08P01"
        && (POSTGRES_UNAVAILABLE_CLASSES.iter().any(|class| code.starts_with(class))
            || POSTGRES_UNAVAILABLE.contains(&code))
}

/// True if SQLite reports that another connection holds a lock.
pub(crate) fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_)) && ErrorChain(error).to_string().contains("locked")
}

/// An error about a row that no version of this program writes.
pub(crate) fn corrupt(problem: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Failed(PortError::caused_by("the database holds an invalid row", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_environment_are_unavailable() {
        for (code, expected) in [
            ("08006", true),
            ("25006", true),
            ("25P03", true),
            ("40001", true),
            ("40P01", true),
            ("53100", true),
            ("53300", true),
            ("55P03", true),
            ("57014", true),
            ("57P01", true),
            ("57P03", true),
            ("58030", true),
            ("08P01", false),
            ("22021", false),
            ("23505", false),
            ("42P01", false),
            ("42601", false),
        ] {
            assert_eq!(is_postgres_unavailable(code), expected, "{code}");
        }
    }
}
