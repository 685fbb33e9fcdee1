//! Logs, on standard error.

use crate::config::{Log, LogFormat};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Starts logging as configured, unless the process logs already.
pub(crate) fn start(log: &Log) -> Result<(), ParseError> {
    let terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.filter)?)
        .with_writer(stderr);
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !terminal,
    };
    // An error means that the process logs already, as it may in tests.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(use_colours(terminal)).try_init()
    };
    Ok(())
}

/// True on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn use_colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
