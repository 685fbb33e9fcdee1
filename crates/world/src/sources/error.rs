//! Errors of sources.

/// Error of the database of another server.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("the database of the other server cannot be read")]
    Database(#[from] sqlx::Error),
    /// No source has this name.
    #[error("there is no source {0:?}; there are django, morelia, swiftly and uchat")]
    Unknown(String),
    /// The URL is of another kind of database.
    #[error("a database is sqlite:PATH or postgres://USER@HOST/NAME")]
    Url,
    /// The source has another number of databases.
    #[error("{name} is read from {expected}")]
    Databases {
        /// The name of the source.
        name: &'static str,
        /// Its databases, in their order.
        expected: &'static str,
    },
    /// The rows of a table do not ascend by their keys as integers do.
    #[error("the {0} cannot be read: their keys must be integers that ascend")]
    Keys(&'static str),
    /// Names of tables and columns were given for a source whose names are known.
    #[error("the tables and columns of {0} have names that are known")]
    FixedNames(&'static str),
    /// No table or column has this key.
    #[error("there is no table or column {key:?}; there are {known}")]
    UnknownName {
        /// The key.
        key: String,
        /// The keys that there are.
        known: String,
    },
}
