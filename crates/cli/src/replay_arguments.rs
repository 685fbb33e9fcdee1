//! The arguments of `tolmach replay` and `tolmach diff`.

use crate::config::parse_duration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The capture, and the server that it is played against.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The capture, of the form tolmach-capture/1
    pub(crate) capture: PathBuf,
    /// The server: ws://HOST:PORT, wss://, http://, https:// or tcp://. A path is that of the
    /// server's WebSockets, in place of the captured one
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Trust the authorities of this PEM file too, beside those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The pace: `captured`, a number of times as fast as captured, or `fast`
    ///
    /// With `fast`, a client's frame leaves once everything has come that the captured clients had
    /// received before it.
    #[arg(long, value_name = "SPEED", default_value = "fast")]
    pub(crate) speed: Speed,
    /// The longest wait for a frame that the captured server sent
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// The file for the capture of what the server did
    #[arg(long, value_name = "FILE", required_unless_present = "diff")]
    pub(crate) output: Option<PathBuf>,
    /// A file of lines {"login":…,"password":…}, passwords to put in place of the captured ones,
    /// and {"captured":…,"token":…}, tokens
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// The most connections that are open at a time
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) connections: usize,
    /// The dialect of all connections, in place of those that the capture names
    #[arg(long, value_name = "ID[/REVISION]")]
    pub(crate) dialect: Option<String>,
    /// Then compare both captures, as `tolmach diff` does
    #[arg(long)]
    pub(crate) diff: bool,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

/// The captures to compare.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The capture of the first server
    pub(crate) a: PathBuf,
    /// The capture of the second server: a replay of the first
    pub(crate) b: PathBuf,
    /// The dialect of all connections, in place of those that the captures name
    #[arg(long, value_name = "ID[/REVISION]")]
    pub(crate) dialect: Option<String>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

/// The form of a report.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// The form of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
    /// The file for the report; without it, standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Frames that differ and mean the same to a client are no differences
    #[arg(long)]
    pub(crate) by_meaning: bool,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
    Html,
}

/// The pace of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// As fast as the order of the capture allows.
    Fast,
    /// A multiple of the captured speed.
    Times(f64),
}

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fast" => Ok(Speed::Fast),
            "captured" => Ok(Speed::Times(1.0)),
            number => match number.parse() {
                Ok(times) if f64::is_finite(times) && times > 0.0 => Ok(Speed::Times(times)),
                _ => Err("`captured`, `fast` or a number above 0 is expected"),
            },
        }
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or("a duration such as 500ms, 5s or 1m is expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_word_or_a_number_above_zero() {
        for (text, speed) in [
            ("fast", Some(Speed::Fast)),
            ("captured", Some(Speed::Times(1.0))),
            ("10", Some(Speed::Times(10.0))),
            ("0.5", Some(Speed::Times(0.5))),
            ("0", None),
            ("-1", None),
            ("inf", None),
            ("quick", None),
        ] {
            assert_eq!(text.parse().ok(), speed, "{text}");
        }
    }
}
