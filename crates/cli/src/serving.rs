//! The server, as the configuration has it.

use crate::backend::{Backend, server_options};
use crate::config::Config;
use crate::configured_dialects::configured_dialects;
use crate::error::UsageError;
use tolmach_server::{Server, ServerBuilder};

/// A server over this backend, with every enabled dialect.
pub(crate) fn server_builder(
    backend: &Backend,
    config: &Config,
) -> Result<ServerBuilder, UsageError> {
    let mut builder = Server::builder(backend.engine.clone(), backend.bus.clone())
        .options(server_options(config));
    // In the order of listings, which is that of the logs.
    for configured in configured_dialects(config)?.into_iter().filter(|one| one.is_enabled) {
        builder = builder.dialect_with(configured.dialect, configured.options);
    }
    Ok(builder)
}
