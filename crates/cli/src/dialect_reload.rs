//! Reading the dialect files again while the gateway serves.

use crate::config::Config;
use crate::configured_dialects::{ConfiguredDialect, configured_dialects};
use crate::dialect_folder::read_texts;
use crate::dialects::DialectError;
use crate::error::{CliError, UsageError};
use crate::serving::enabled;
use metrics::{counter, describe_counter};
use tolmach_server::DialectReloader;

/// The readings of changed files, by outcome.
const RELOADS: &str = "tolmach_dialect_reloads_total";

/// The dialects that are served, and the files that they were read from.
pub(crate) struct ServedDialects {
    /// The names and texts of the files.
    files: Vec<(String, String)>,
    dialects: Vec<ConfiguredDialect>,
}

impl ServedDialects {
    /// The dialects of a configuration.
    pub(crate) fn read(config: &Config) -> Result<Self, DialectError> {
        describe_counter!(
            RELOADS,
            "Readings of changed dialect files while serving, by outcome (ok, failed)"
        );
        if !config.dialects.folder.as_os_str().is_empty() {
            // Both series exist from the start.
            for outcome in ["ok", "failed"] {
                counter!(RELOADS, "outcome" => outcome).increment(0);
            }
        }
        // Read before they are compiled: a change in between is found the next time.
        let files = files(config)?;
        Ok(Self { files, dialects: configured_dialects(config)? })
    }

    /// The dialects, in the order of listings.
    pub(crate) fn list(&self) -> &[ConfiguredDialect] {
        &self.dialects
    }

    /// Reads the files again if one has changed, and gives new connections what they say now. If
    /// one has a problem, everything stays as it was, and the log has each problem with its place.
    pub(crate) fn reload(&mut self, config: &Config, server: &DialectReloader) {
        match self.try_reload(config, server) {
            Ok(None) => tracing::info!("the dialect files are unchanged"),
            Ok(Some(count)) => {
                counter!(RELOADS, "outcome" => "ok").increment(1);
                tracing::info!(count, "the dialect files were read again");
            }
            Err(error) => {
                counter!(RELOADS, "outcome" => "failed").increment(1);
                for problem in CliError::from(error).lines() {
                    tracing::error!(
                        %problem,
                        "the dialect files cannot be used, the previous ones stay"
                    );
                }
            }
        }
    }

    /// The number of files, if one has changed.
    fn try_reload(
        &mut self,
        config: &Config,
        server: &DialectReloader,
    ) -> Result<Option<usize>, UsageError> {
        let files = files(config)?;
        if files == self.files {
            return Ok(None);
        }
        let mut dialects = configured_dialects(config)?;
        // The same value goes on, so that an event is rendered once for its old connections and
        // its new ones.
        for new in dialects.iter_mut().filter(|new| !new.has_files) {
            let id = new.dialect.manifest().id;
            let mut old = self.dialects.iter().filter(|old| !old.has_files);
            if let Some(old) = old.find(|old| old.dialect.manifest().id == id) {
                new.dialect = old.dialect.clone();
            }
        }
        server.replace(enabled(&dialects).collect()).map_err(UsageError::Routes)?;
        *self = Self { files, dialects };
        Ok(Some(self.files.len()))
    }
}

/// The names and texts of the operator's dialect files; none without a folder.
fn files(config: &Config) -> Result<Vec<(String, String)>, DialectError> {
    let folder = &config.dialects.folder;
    Ok(if folder.as_os_str().is_empty() { Vec::new() } else { read_texts(folder)? })
}
