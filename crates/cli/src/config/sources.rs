//! Sources of configuration.

use super::error::ConfigError;
use super::origin::Origin;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The beginning of the variables that are read from the environment.
pub(super) const ENVIRONMENT_PREFIX: &str = "TOLMACH__";

/// The name of the configuration file in the data folder.
const FILE_NAME: &str = "tolmach.toml";

/// Sources of configuration, the weakest first.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The path of a TOML file, and its text.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The whole environment; only variables that begin with `TOLMACH__` are read.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Flags of the command line: the flag, the key that it sets, and the value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// One value of a source.
pub(super) struct Assignment {
    pub(super) origin: Origin,
    /// The dotted key.
    pub(super) key: String,
    pub(super) value: Given,
}

/// A value as a source has it.
pub(super) enum Given {
    /// With its type, from TOML.
    Typed(Value),
    /// As text, from the environment or a flag.
    Text(String),
}

impl Sources {
    /// The process's environment and the file. A file that is named must exist; the one in the data
    /// folder need not.
    pub(crate) fn gather(named: Option<&Path>, data: &Path) -> Result<Self, ConfigError> {
        let path = named.map_or_else(|| data.join(FILE_NAME), Path::to_owned);
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => None,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Ok(Self { file, environment: std::env::vars_os().collect(), flags: Vec::new() })
    }

    /// All values, those of the weakest source first.
    pub(super) fn assignments(self) -> Result<Vec<Assignment>, ConfigError> {
        let mut assignments = Vec::new();
        if let Some((path, text)) = self.file {
            let table = parse(&path, &text)?;
            flatten("", table, &mut |key, value| {
                let origin = Origin::File(path.clone());
                assignments.push(Assignment { origin, key, value: Given::Typed(value) });
            });
        }
        for (name, value) in self.environment {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let origin = Origin::Environment(name.to_owned());
            let Ok(value) = value.into_string() else {
                return Err(ConfigError::NotUtf8 { origin });
            };
            let key = environment_key(key);
            assignments.push(Assignment { origin, key, value: Given::Text(value) });
        }
        for (flag, key, value) in self.flags {
            let (origin, key) = (Origin::Flag(flag), key.to_owned());
            assignments.push(Assignment { origin, key, value: Given::Text(value) });
        }
        Ok(assignments)
    }
}

/// The key of a variable of the environment, without the prefix: `HTTP__LISTEN` is `http.listen`.
pub(super) fn environment_key(name: &str) -> String {
    name.to_lowercase().replace("__", ".")
}

/// Calls `found` with every value of a table by its dotted key. A section without keys has none.
pub(super) fn flatten(prefix: &str, table: Table, found: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(table) => flatten(&key, table, found),
            value => found(key, value),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let line_of = |start: usize| text[..start.min(text.len())].lines().count().max(1);
        ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(0, |span| line_of(span.start)),
            message: error.message().to_owned(),
        }
    })
}
