//! Moments, held in microseconds since the Unix epoch, UTC.

use ::time::format_description::BorrowedFormatItem;
use ::time::macros::format_description;
use ::time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use std::time::Duration;

/// A moment in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const MICROSECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const PLAIN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// The last moment that has a four-digit year.
const LAST: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// From microseconds since the epoch, held between the epoch and the end of the year 9999.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(0, LAST))
    }

    /// From seconds since the epoch; `None` unless finite and between the epoch and the end of the
    /// year 9999.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let micros = (seconds * 1e6).round();
        (micros.is_finite() && (0.0..=LAST as f64).contains(&micros)).then_some(Self(micros as i64))
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub fn whole_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch; exact to the microsecond until the year 2255.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This moment moved forward.
    pub fn after(self, duration: Duration) -> Self {
        Self::from_micros(
            self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This moment moved back, at most to the epoch.
    pub fn before(self, duration: Duration) -> Self {
        Self::from_micros(
            self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How much time has passed since an earlier moment; none since a later one.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2023-01-01T00:00:00Z`: RFC 3339 to the second, cut, not rounded.
    pub fn rfc3339(self) -> String {
        self.format(SECONDS)
    }

    /// `2023-01-01T00:00:00.000Z`.
    pub fn rfc3339_millis(self) -> String {
        self.format(MILLISECONDS)
    }

    /// `2023-01-01T00:00:00.000000Z`.
    pub fn rfc3339_micros(self) -> String {
        self.format(MICROSECONDS)
    }

    /// `2023-01-01 00:00:00`, in UTC.
    pub fn plain(self) -> String {
        self.format(PLAIN)
    }

    /// Reads any RFC 3339 moment from the epoch on.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment =
            OffsetDateTime::parse(text, &::time::format_description::well_known::Rfc3339).ok()?;
        Self::from_offset(moment)
    }

    /// Reads `2023-01-01 00:00:00` as UTC.
    pub fn parse_plain(text: &str) -> Option<Self> {
        let moment = PrimitiveDateTime::parse(text, PLAIN).ok()?;
        Self::from_offset(moment.assume_offset(UtcOffset::UTC))
    }

    fn from_offset(moment: OffsetDateTime) -> Option<Self> {
        let micros = i64::try_from(moment.unix_timestamp_nanos() / 1_000).ok()?;
        (0..=LAST).contains(&micros).then_some(Self(micros))
    }

    fn format(self, form: &[BorrowedFormatItem<'_>]) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|moment| moment.format(form).ok())
            .expect("a Timestamp lies between 1970 and 9999, where every form is defined")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let moment = Timestamp::from_micros(1_594_492_370_522_599);
        assert_eq!(moment.rfc3339(), "2020-07-11T18:32:50Z");
        assert_eq!(moment.rfc3339_millis(), "2020-07-11T18:32:50.522Z");
        assert_eq!(moment.rfc3339_micros(), "2020-07-11T18:32:50.522599Z");
        assert_eq!(moment.plain(), "2020-07-11 18:32:50");
        assert_eq!(Timestamp::parse_rfc3339(&moment.rfc3339_micros()), Some(moment));
        assert_eq!(
            Timestamp::parse_plain(&moment.plain()).map(Timestamp::plain),
            Some(moment.plain())
        );
        assert_eq!(Timestamp::from_seconds(moment.seconds()), Some(moment));
    }

    #[test]
    fn moments_out_of_range_are_refused_or_held() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(Timestamp::from_seconds(seconds), None);
        }
        assert_eq!(Timestamp::from_micros(i64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
