//! Points in time.

use ::time::format_description::BorrowedFormatItem;
use ::time::macros::format_description;
use ::time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use std::time::Duration;

/// A point in time, in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const PLAIN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// The last microsecond with a four-digit year.
const LAST: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// From microseconds since the epoch, clamped to the epoch and the end of the year 9999.
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

    /// This time plus a duration.
    pub fn after(self, duration: Duration) -> Self {
        Self::from_micros(
            self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This time minus a duration, at least the epoch.
    pub fn before(self, duration: Duration) -> Self {
        Self::from_micros(
            self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// The duration since an earlier time; zero since a later one.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2023-01-01T00:00:00Z`: RFC 3339, truncated to the second.
    pub fn rfc3339(self) -> String {
        self.format(SECONDS)
    }

    /// `2023-01-01T00:00:00.000Z`.
    pub fn rfc3339_millis(self) -> String {
        self.format(MILLISECONDS)
    }

    /// `2023-01-01T00:00:00.000000Z`.
    pub fn rfc3339_micros(self) -> String {
        // Written digit by digit, because many frames have it.
        let text = "0000-00-00T00:00:00.000000Z";
        let date = OffsetDateTime::UNIX_EPOCH + ::time::Duration::microseconds(self.0);
        let numbers = [
            (0, 4, date.year().unsigned_abs()),
            (5, 2, u8::from(date.month()).into()),
            (8, 2, date.day().into()),
            (11, 2, date.hour().into()),
            (14, 2, date.minute().into()),
            (17, 2, date.second().into()),
            (20, 6, date.microsecond()),
        ];
        let mut bytes = text.as_bytes().to_vec();
        for (first, digits, mut number) in numbers {
            for byte in bytes[first..first + digits].iter_mut().rev() {
                *byte += (number % 10) as u8;
                number /= 10;
            }
        }
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// `2023-01-01 00:00:00`, in UTC.
    pub fn plain(self) -> String {
        self.format(PLAIN)
    }

    /// Parses RFC 3339; `None` before the epoch.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time =
            OffsetDateTime::parse(text, &::time::format_description::well_known::Rfc3339).ok()?;
        Self::from_offset(time)
    }

    /// Parses `2023-01-01 00:00:00` as UTC.
    pub fn parse_plain(text: &str) -> Option<Self> {
        let time = PrimitiveDateTime::parse(text, PLAIN).ok()?;
        Self::from_offset(time.assume_offset(UtcOffset::UTC))
    }

    fn from_offset(time: OffsetDateTime) -> Option<Self> {
        let micros = i64::try_from(time.unix_timestamp_nanos() / 1_000).ok()?;
        (0..=LAST).contains(&micros).then_some(Self(micros))
    }

    fn format(self, form: &[BorrowedFormatItem<'_>]) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|time| time.format(form).ok())
            .expect("a Timestamp lies between 1970 and 9999, where every form is defined")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_parsed_as_formatted() {
        let time = Timestamp::from_micros(1_594_492_370_522_599);
        assert_eq!(time.rfc3339(), "2020-07-11T18:32:50Z");
        assert_eq!(time.rfc3339_millis(), "2020-07-11T18:32:50.522Z");
        assert_eq!(time.rfc3339_micros(), "2020-07-11T18:32:50.522599Z");
        assert_eq!(Timestamp::from_micros(0).rfc3339_micros(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp(LAST).rfc3339_micros(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(time.plain(), "2020-07-11 18:32:50");
        assert_eq!(Timestamp::parse_rfc3339(&time.rfc3339_micros()), Some(time));
        assert_eq!(Timestamp::parse_plain(&time.plain()).map(Timestamp::plain), Some(time.plain()));
        assert_eq!(Timestamp::from_seconds(time.seconds()), Some(time));
    }

    #[test]
    fn times_out_of_range_are_refused_or_clamped() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(Timestamp::from_seconds(seconds), None);
        }
        assert_eq!(Timestamp::from_micros(i64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
