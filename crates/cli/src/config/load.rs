//! Loading of the configuration.

use super::error::ConfigError;
use super::schema::Schema;
use super::sections::Config;
use super::sources::Sources;

impl Config {
    /// The defaults, changed by the sources. The error has all mistakes.
    pub(crate) fn load(sources: Sources) -> Result<Self, ConfigError> {
        let (mut schema, mut mistakes) = (Schema::new()?, Vec::new());
        for assignment in sources.assignments()? {
            mistakes.extend(schema.assign(assignment).err());
        }
        if !mistakes.is_empty() {
            return Err(ConfigError::Mistakes(mistakes));
        }
        schema.read().map_err(ConfigError::Defaults)
    }
}

#[cfg(test)]
impl Config {
    /// The defaults, changed by the text of a file that has no mistake.
    pub(crate) fn with_file(text: &str) -> Self {
        let file = Some(("test.toml".into(), text.to_owned()));
        let loaded = Self::load(Sources { file, ..Sources::default() });
        loaded.unwrap_or_else(|error| panic!("{}", tolmach_engine::ErrorChain(&error)))
    }
}
