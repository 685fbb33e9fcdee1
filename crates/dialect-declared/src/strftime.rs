//! Times by the specifiers of C's strftime, in its own locale and in UTC.

use std::fmt::Write as _;
use tolmach_domain::Timestamp;

const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The specifiers that exist.
pub(crate) const SPECIFIERS: &str = "aAbBdDeFHIjmMprRSTyYZ%";

/// The first specifier of a format that does not exist.
pub(crate) fn unknown_specifier(format: &str) -> Option<String> {
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        match chars.next() {
            Some(specifier) if SPECIFIERS.contains(specifier) => {}
            Some(specifier) => return Some(format!("%{specifier}")),
            None => return Some("%".to_owned()),
        }
    }
    None
}

/// A time by a format whose specifiers all exist.
pub(crate) fn strftime(time: Timestamp, format: &str) -> String {
    let days = time.whole_seconds().div_euclid(86_400);
    let second_of_day = time.whole_seconds().rem_euclid(86_400);
    let (hour, minute, second) =
        (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    let (year, month, day) = civil(days);
    let (first_of_year, weekday) = (days_of(year), (days + 3).rem_euclid(7) as usize);
    let (half_day, hour_of_half) = (if hour < 12 { "AM" } else { "PM" }, (hour + 11) % 12 + 1);
    let (weekday, month_name) = (DAYS[weekday], MONTHS[(month - 1) as usize]);
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        let written = match chars.next() {
            Some('a') => write!(text, "{}", &weekday[..3]),
            Some('A') => write!(text, "{weekday}"),
            Some('b') => write!(text, "{}", &month_name[..3]),
            Some('B') => write!(text, "{month_name}"),
            Some('d') => write!(text, "{day:02}"),
            Some('D') => write!(text, "{month:02}/{day:02}/{:02}", year % 100),
            Some('e') => write!(text, "{day:2}"),
            Some('F') => write!(text, "{year:04}-{month:02}-{day:02}"),
            Some('H') => write!(text, "{hour:02}"),
            Some('I') => write!(text, "{hour_of_half:02}"),
            Some('j') => write!(text, "{:03}", days - first_of_year + 1),
            Some('m') => write!(text, "{month:02}"),
            Some('M') => write!(text, "{minute:02}"),
            Some('p') => write!(text, "{half_day}"),
            Some('r') => write!(text, "{hour_of_half:02}:{minute:02}:{second:02} {half_day}"),
            Some('R') => write!(text, "{hour:02}:{minute:02}"),
            Some('S') => write!(text, "{second:02}"),
            Some('T') => write!(text, "{hour:02}:{minute:02}:{second:02}"),
            Some('y') => write!(text, "{:02}", year % 100),
            Some('Y') => write!(text, "{year:04}"),
            Some('Z') => write!(text, "UTC"),
            Some('%') => write!(text, "%"),
            _ => Ok(()),
        };
        // Writing to a text cannot fail.
        let _ = written;
    }
    text
}

/// Year, month and day of a number of days since the epoch, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_of(year + 1) <= days {
        year += 1;
    }
    let mut rest = days - days_of(year);
    for month in 1..=12 {
        let length = month_length(year, month);
        if rest < length {
            return (year, month, rest + 1);
        }
        rest -= length;
    }
    (year, 12, 31)
}

/// The days from the epoch to the first of January of a year.
fn days_of(year: i64) -> i64 {
    let before = year - 1;
    (year - 1970) * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)
        - 477
}

fn month_length(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_c() {
        for (seconds, format, expected) in [
            (0, "%a %b %d %r", "Thu Jan 01 12:00:00 AM"),
            (1_700_000_000, "%A %F %T", "Tuesday 2023-11-14 22:13:20"),
            (1_709_164_800, "%j %D %e %p", "060 02/29/24 29 AM"),
            (1_735_689_599, "%Y-%m-%d %I:%M %p %%", "2024-12-31 11:59 PM %"),
            (4_107_542_400, "%F %a", "2100-03-01 Mon"),
        ] {
            let time = Timestamp::from_micros(seconds * 1_000_000);
            assert_eq!(strftime(time, format), expected, "{seconds}");
        }
    }

    #[test]
    fn every_day_has_the_date_of_the_calendar() {
        for day in (0..2_932_000).step_by(97) {
            let time = Timestamp::from_micros(day * 86_400_000_000);
            assert_eq!(strftime(time, "%F"), time.plain()[..10], "{day}");
        }
    }

    #[test]
    fn specifiers_that_do_not_exist_are_named() {
        for (format, expected) in
            [("%a %b", None), ("%Q", Some("%Q")), ("100%", Some("%")), ("%%Q", None)]
        {
            assert_eq!(unknown_specifier(format).as_deref(), expected, "{format}");
        }
    }
}
