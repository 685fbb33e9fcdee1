//! What a database error means to the engine.

use sea_orm::sqlx::{self, error::ErrorKind};
use sea_orm::{DbErr, RuntimeErr};
use tolmach_engine::ports::StoreError;

/// Primary result codes of SQLite that tell of the world and not of our statement: busy, locked, out of memory, read-only,
/// interrupted, input or output, full, cannot open, locking protocol.
const SQLITE_UNAVAILABLE: [i32; 9] = [5, 6, 7, 8, 9, 10, 13, 14, 15];

/// The text is SQLite's or PostgreSQL's own: it names tables and rules, and holds no values.
pub(crate) fn refuse(error: DbErr) -> StoreError {
    let unavailable = match &error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => is_unavailable(error),
        _ => false,
    };
    let text = error.to_string();
    if unavailable { StoreError::Unavailable(text) } else { StoreError::Failed(text) }
}

/// Whether the database as a whole is in trouble, rather than one statement against its rules.
pub(crate) fn is_fatal(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            error.kind() == ErrorKind::Other && code.is_some_and(|code| SQLITE_UNAVAILABLE.contains(&(code & 0xff)))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// A row that must not be.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("the database holds what it must not: {what}"))
}
