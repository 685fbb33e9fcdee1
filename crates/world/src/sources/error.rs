//! Errors of sources.

/// Error of the database of another server.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("the database of the other server cannot be read")]
    Database(#[from] sqlx::Error),
    /// No source has this name.
    #[error("there is no source {0:?}; there are morelia and uchat")]
    Unknown(String),
}
