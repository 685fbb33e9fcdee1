//! Commands of operators, which may run beside a gateway.

use crate::arguments::{ListenArguments, Location};
use crate::backend::Backend;
use crate::config::{Config, Sources};
use crate::error::{CliError, UsageError};
use crate::logging;

/// The configuration, with logging started: only warnings, unless the operator chose other levels.
pub(super) fn load_config(location: &Location) -> Result<Config, UsageError> {
    let mut config = location.load_config(&ListenArguments::default())?;
    let default = Config::load(Sources::default())?;
    if config.log.filter == default.log.filter {
        config.log.filter = "warn".into();
    }
    logging::start(&config.log)?;
    Ok(config)
}

/// Runs `work` on the data of a gateway that may be running.
pub(super) async fn with_backend<T>(
    location: &Location,
    work: impl AsyncFnOnce(&Backend) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let config = load_config(location)?;
    let backend = Backend::open(&config, &location.data).await?;
    let done = work(&backend).await;
    backend.close().await;
    done
}
