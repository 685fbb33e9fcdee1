//! Errors of sources.

/// Error of the database of another server.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("the database {database} cannot be read")]
    Database {
        /// The path, or the name and the address of its server.
        database: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// A row has a value of another type.
    #[error("a row of the database of the other server cannot be read")]
    Row(#[from] sqlx::Error),
    /// No source has this name.
    #[error("there is no source {name:?}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The URL is of another kind of database.
    #[error("a database is sqlite:PATH or postgres://USER@HOST/NAME")]
    Url,
    /// The source has another number of databases, or of another kind.
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
    /// A table or column that is needed was told to have no name.
    #[error("{0} has to have a name: nothing can be read without it")]
    NoName(&'static str),
    /// No table or column has this key.
    #[error("there is no table or column {key:?}; there are {known}")]
    UnknownName {
        /// The key.
        key: String,
        /// The keys that there are.
        known: String,
    },
}
