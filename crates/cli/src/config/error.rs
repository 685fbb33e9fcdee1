//! Errors of the configuration, for the operator. None shows a secret.

use super::origin::Origin;
use crate::dialects::DialectError;
use std::io;
use std::path::PathBuf;

/// A configuration that is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not TOML. The parser's error quotes the line, which may hold a secret, so only
    /// its message is kept.
    #[error("{}, line {line}: {message}", path.display())]
    Syntax {
        /// The path of the file.
        path: PathBuf,
        /// The line where parsing stopped, from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// A variable of the environment is not UTF-8.
    #[error("{origin} is not UTF-8")]
    NotUtf8 {
        /// The variable.
        origin: Origin,
    },
    /// There is no such key.
    #[error("unknown key `{key}` in {origin}; the nearest is `{nearest}`. {existing}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The source that names it.
        origin: Origin,
        /// The existing key that is spelt most like it.
        nearest: String,
        /// A sentence that lists the keys of its section, or the sections.
        existing: String,
    },
    /// A section is given a value.
    #[error("`{key}` in {origin} is a section, not a value; it has the keys {keys}")]
    Section {
        /// The section.
        key: String,
        /// The source that gives the value.
        origin: Origin,
        /// The keys of the section.
        keys: String,
    },
    /// A value cannot be read as its key needs it.
    #[error("`{key}`{} in {origin}", given(.value))]
    Value {
        /// The key.
        key: String,
        /// The value; `None` if it may be a secret.
        value: Option<String>,
        /// The source that gives it.
        origin: Origin,
        /// The expected values.
        source: InvalidValue,
    },
    /// One mistake or several in the values of keys.
    #[error("the configuration has mistakes")]
    Mistakes(Vec<ConfigError>),
    /// The compiled-in defaults cannot be read.
    #[error("the compiled-in defaults cannot be read")]
    Defaults(#[source] toml::de::Error),
}

/// A value that its key cannot have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum InvalidValue {
    /// The message of the reader of that key: what it expects.
    #[error("{0}")]
    Unexpected(String),
    /// The message of the dialect whose option it is.
    #[error(transparent)]
    Dialect(Box<DialectError>),
}

impl From<DialectError> for InvalidValue {
    fn from(error: DialectError) -> Self {
        Self::Dialect(Box::new(error))
    }
}

fn given(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default()
}
