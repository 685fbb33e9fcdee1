//! The server, as the configuration has it.

use crate::backend::{Backend, server_options};
use crate::config::Config;
use crate::configured_dialects::ConfiguredDialect;
use std::sync::Arc;
use tolmach_dialect::Dialect;
use tolmach_server::{DialectOptions, Server, ServerBuilder};

/// A server over this backend, with those of these dialects that are enabled.
pub(crate) fn server_builder(
    backend: &Backend,
    config: &Config,
    dialects: &[ConfiguredDialect],
) -> ServerBuilder {
    let mut builder = Server::builder(backend.engine.clone(), backend.bus.clone())
        .options(server_options(config));
    // In the order of listings, which is that of the logs.
    for (dialect, options) in enabled(dialects) {
        builder = builder.dialect_with(dialect, options);
    }
    builder
}

/// Those of these dialects that are enabled.
pub(crate) fn enabled(
    dialects: &[ConfiguredDialect],
) -> impl Iterator<Item = (Arc<dyn Dialect>, DialectOptions)> {
    let enabled = dialects.iter().filter(|one| one.is_enabled);
    enabled.map(|one| (one.dialect.clone(), one.options.clone()))
}
