//! Sources of values, for messages.

use std::fmt;
use std::path::PathBuf;

/// The source of a value.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Environment(name) => write!(formatter, "the environment ({name})"),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}
