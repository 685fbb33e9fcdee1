//! Texts of messages that carry the number of the message, in any dialect's frames.

use crate::result::BenchResult;
use std::ops::Range;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The words before a message's number.
const MARK: &str = "message number ";
/// The digits of a message's number.
const DIGITS: usize = 8;
/// The length of a message's text, in bytes.
const LENGTH: usize = 100;

/// The text of the message with this number.
pub(crate) fn text_of(number: usize) -> String {
    let mark = format!("{MARK}{number:0DIGITS$}");
    format!("{mark:.<LENGTH$}")
}

/// The number of the message that a frame carries; `None` for any other frame.
pub(crate) fn number_in(frame: &str) -> Option<usize> {
    frame[digits_in(frame)?].parse().ok()
}

/// The same frame with another number.
pub(crate) fn with_number(frame: &str, number: usize) -> BenchResult<Utf8Bytes> {
    let digits = digits_in(frame).ok_or("the frame carries no numbered message")?;
    let mut frame = frame.to_owned();
    frame.replace_range(digits, &format!("{number:0DIGITS$}"));
    Ok(frame.into())
}

/// The position of a number's digits in a frame.
fn digits_in(frame: &str) -> Option<Range<usize>> {
    let start = frame.find(MARK)? + MARK.len();
    frame.get(start..start + DIGITS)?;
    Some(start..start + DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_a_frame_and_can_be_replaced() {
        let frame = format!(r#"{{"text":"{}"}}"#, text_of(7));
        assert_eq!((text_of(7).len(), number_in(&frame)), (LENGTH, Some(7)));
        let other = with_number(&frame, 99_999_999).unwrap();
        assert_eq!((other.len(), number_in(&other)), (frame.len(), Some(99_999_999)));
        for frame in [
            r#"{"type":"history","messages":[]}"#,
            "message number 1",
            "message number abcdefgh",
            "",
        ] {
            assert_eq!(number_in(frame), None, "{frame}");
        }
        assert!(with_number("message number 1", 1).is_err());
    }
}
