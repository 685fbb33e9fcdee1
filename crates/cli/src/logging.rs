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
    let secrets = secrets_filter(filter.max_level_hint());
    let _ = tracing_subscriber::registry().with(lines).with(filter).with(secrets).try_init();
    Ok(())
}

/// The levels that are logged at most, whatever the configured filter says: libraries log frames,
/// headers and queries at their lower levels, and with them passwords, tokens and messages.
///
/// `configured` is the lowest level that the configured filter lets through. An event of a library
/// below the lowest level of both filters is dropped before either is asked: TRACE in this one
/// would cost 6 % of a request.
fn secrets_filter(configured: Option<LevelFilter>) -> Targets {
    let own = configured.unwrap_or(LevelFilter::TRACE);
    Targets::new().with_default(LevelFilter::INFO.min(own)).with_target("tolmach", own)
}

/// True on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn use_colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_asked_for_no_level_that_the_configured_filter_drops() {
        for (configured, level) in [
            ("error", LevelFilter::ERROR),
            ("info", LevelFilter::INFO),
            ("info,tolmach=debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ] {
            let filter = EnvFilter::try_new(configured).unwrap();
            let secrets = secrets_filter(filter.max_level_hint());
            let both = tracing_subscriber::registry().with(filter).with(secrets);
            assert_eq!(tracing::Subscriber::max_level_hint(&both), Some(level), "{configured}");
        }
    }
}
