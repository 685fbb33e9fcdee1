//! Logs, on standard error.

use crate::config::{Log, LogFormat};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Starts logging as configured, unless the process logs already.
pub(crate) fn start(log: &Log) -> Result<(), ParseError> {
    let terminal = stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !terminal,
    };
    // An error means that the process logs already, as it may in tests.
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
        Box::new(fmt::layer().with_writer(stderr).json().flatten_event(true))
    } else {
        Box::new(fmt::layer().with_writer(stderr).with_ansi(use_colours(terminal)))
    };
    let filter = EnvFilter::try_new(&log.filter)?;
    let _ =
        tracing_subscriber::registry().with(lines).with(filter).with(secrets_filter()).try_init();
    Ok(())
}

/// The levels that are logged at most, whatever the configured filter says: libraries log frames,
/// headers and queries at their lower levels, and with them passwords, tokens and messages.
fn secrets_filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target("tolmach", LevelFilter::TRACE)
}

/// True on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn use_colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
