//! The server, as the configuration has it.

use crate::backend::{Backend, server_options};
use crate::config::Config;
use crate::dialects;
use crate::error::UsageError;
use tolmach_server::{DialectOptions, Server, ServerBuilder};

/// A server over this backend, with every enabled dialect.
pub(crate) fn server_builder(
    backend: &Backend,
    config: &Config,
) -> Result<ServerBuilder, UsageError> {
    let mut builder = Server::builder(backend.engine.clone(), backend.bus.clone())
        .options(server_options(config));
    // In the order of listings, which is that of the logs.
    for id in dialects::ids() {
        let Some(section) = config.dialects.get(id).filter(|section| section.enabled) else {
            continue;
        };
        let dialect = dialects::configure(id, section.options.clone())?;
        let options = DialectOptions { max_frame_bytes: section.max_frame_bytes };
        builder = builder.dialect_with(dialect, options);
    }
    Ok(builder)
}
