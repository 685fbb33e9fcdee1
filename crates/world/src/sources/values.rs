//! Values of columns as records have them.

use crate::id::Id;
use crate::time::Time;
use tolmach_domain::{ExternalId, Timestamp};

/// The id that nothing has.
pub(super) const NOTHING: Id = Id(ExternalId(0));

/// An id that is a number; [`NOTHING`] below 0.
pub(super) fn id(number: i64) -> Id {
    Id::number(number).unwrap_or(NOTHING)
}

/// A time in seconds since 1970.
pub(super) fn seconds(seconds: i64) -> Time {
    micros(seconds.saturating_mul(1_000_000))
}

/// A time in microseconds since 1970.
pub(super) fn micros(micros: i64) -> Time {
    Time(Timestamp::from_micros(micros))
}

/// A text with the paths or addresses of its files, each on a line of its own: the files themselves
/// are not in the database.
pub(super) fn text_with_files(text: Option<String>, files: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    for name in files.unwrap_or_default().lines().filter(|name| !name.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_on_lines_after_the_text() {
        for (text, files, expected) in [
            (Some("a"), Some("b.png\nc.pdf\n"), "a\nb.png\nc.pdf"),
            (Some(""), Some("b.png"), "b.png"),
            (Some("a"), None, "a"),
            (None, None, ""),
        ] {
            let found = text_with_files(text.map(str::to_owned), files.map(str::to_owned));
            assert_eq!(found, expected);
        }
    }
}
