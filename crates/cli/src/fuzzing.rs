//! The loader of the configuration, for `tests/fuzz` only.

use crate::config::{Config, Sources};
use crate::error::{CliError, UsageError};

/// Loads a configuration from the text of a file and variables of the environment. The error has a
/// line for each mistake.
pub fn load_configuration(file: &str, environment: &[(&str, &str)]) -> Result<(), Vec<String>> {
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    let sources = Sources {
        file: Some(("tolmach.toml".into(), file.to_owned())),
        environment: environment.collect(),
        ..Sources::default()
    };
    match Config::load(sources) {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::from(UsageError::from(error)).lines()),
    }
}
