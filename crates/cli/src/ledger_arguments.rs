//! The arguments of `tolmach ledger` and `tolmach sunset`.

use crate::lifecycle_arguments::Version;
use clap::{Args, ValueEnum};
use std::num::NonZeroU32;
use std::str::FromStr;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::LedgerDay;

/// The most days that are looked back.
const MAX_DAYS: u32 = 36_500;

/// The part of the ledger to print, and the way.
#[derive(Debug, Args)]
pub(crate) struct LedgerArguments {
    /// Only clients of this dialect, or of this revision of it
    #[arg(long, value_name = "DIALECT[/REVISION]")]
    pub(crate) dialect: Option<Version>,
    /// Only clients of this user: a login or an e-mail address
    #[arg(long, value_name = "LOGIN")]
    pub(crate) user: Option<String>,
    /// Only requests since then: a date, or a number of days such as 7d, today included; UTC
    #[arg(long, value_name = "DAY", default_value = "30d")]
    pub(crate) since: Since,
    /// The rows: one for each client, for each operation of a revision, or for each week
    #[arg(long, value_enum, value_name = "ROWS", default_value = "client")]
    pub(crate) by: LedgerRows,
    /// Tell which of the operations that each client uses it would miss there
    #[arg(long, value_name = "DIALECT[/REVISION]")]
    pub(crate) target: Option<Version>,
    /// A table, or JSON Lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// The rows of a report about the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LedgerRows {
    /// Clients, those first that stopped first
    Client,
    /// Operations of each revision
    Operation,
    /// Weeks of each revision, which begin on Monday
    Week,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A table
    Text,
    /// A JSON object on each line
    Json,
}

/// The version that would go, and the time to look at.
#[derive(Debug, Args)]
pub(crate) struct SunsetArguments {
    /// The dialect, and after a slash its revision: mode, or mode/literal
    #[arg(value_name = "DIALECT[/REVISION]")]
    pub(crate) version: Version,
    /// Change nothing, and tell who would have been cut off; `tolmach lifecycle refuse` cuts off
    #[arg(long, required = true)]
    pub(crate) simulate: bool,
    /// The days to look at, today included; UTC
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = days)]
    pub(crate) days: NonZeroU32,
    /// A table, or JSON Lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// The first day of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// This day.
    Day(LedgerDay),
    /// A number of days, today included.
    Days(NonZeroU32),
}

impl Since {
    /// The day, counted from now.
    pub(crate) fn day(self, now: Timestamp) -> LedgerDay {
        match self {
            Self::Day(day) => day,
            Self::Days(days) => LedgerDay(LedgerDay::of(now).0 + 1 - i64::from(days.get())),
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let midnight = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
        let day = midnight.map(|time| Self::Day(LedgerDay::of(time)));
        let number = || text.strip_suffix('d').and_then(|number| days(number).ok());
        day.or_else(|| number().map(Self::Days))
            .ok_or("a date such as 2026-12-31 or a number of days such as 30d is expected")
    }
}

/// Reads a number of days.
fn days(text: &str) -> Result<NonZeroU32, &'static str> {
    let days = text.parse().ok().filter(|days: &NonZeroU32| days.get() <= MAX_DAYS);
    days.ok_or("1 to 36500 days are expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_begins_on_a_day_or_so_many_days_ago() {
        let now = LedgerDay(20_000).start();
        for (text, day) in [
            ("2024-10-03", Some(19_999)),
            ("1d", Some(20_000)),
            ("7d", Some(19_994)),
            ("0d", None),
            ("36501d", None),
            ("7", None),
            ("yesterday", None),
        ] {
            let since: Option<Since> = text.parse().ok();
            assert_eq!(since.map(|since| since.day(now).0), day, "{text}");
        }
    }
}
