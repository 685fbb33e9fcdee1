//! The values of a raw stream, which nothing delimits.
//!
//! An object or an array ends with the bracket that closes it. Any other text is a word, which ends
//! before white space and before an object or array: a peer may send a bare word that its revision
//! ignores. Numbers, strings and constants are words too.

/// Divides a raw stream into values, words and white space, however the network cuts it. Each byte
/// is read once.
///
/// ```
/// use tolmach_dialect::{RawKind, RawPart, RawValues};
///
/// let mut values = RawValues::default();
/// let part = values.next(b"{\"a\":1}TEST");
/// assert_eq!(part, Some(RawPart { kind: RawKind::Value, length: 7, is_last: true }));
/// let part = values.next(b"TEST");
/// assert_eq!(part, Some(RawPart { kind: RawKind::Word, length: 4, is_last: false }));
/// ```
#[derive(Debug, Default)]
pub struct RawValues {
    unit: Unit,
}

/// Bytes of one kind that stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawPart {
    /// The kind.
    pub kind: RawKind,
    /// The number of bytes: of a word 0, if the byte behind its end is the first.
    pub length: usize,
    /// True if the value or word ends there. White space has no end of its own.
    pub is_last: bool,
}

/// The kinds of bytes in a raw stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKind {
    /// White space between values.
    Space,
    /// An object or an array.
    Value,
    /// Any other text.
    Word,
}

/// The unit whose bytes come.
#[derive(Debug, Default)]
enum Unit {
    /// White space, or the beginning of something else.
    #[default]
    Between,
    Value(Nesting),
    Word,
}

/// The place within a value.
#[derive(Debug, Default)]
struct Nesting {
    /// The number of open brackets.
    depth: usize,
    in_string: bool,
    /// True behind a backslash in a string.
    is_escaped: bool,
}

impl RawValues {
    /// The first part of the next bytes of the stream; `None` if there are none. The next call
    /// begins behind it.
    pub fn next(&mut self, bytes: &[u8]) -> Option<RawPart> {
        let first = *bytes.first()?;
        if matches!(self.unit, Unit::Between) {
            if is_space(first) {
                let length = bytes.iter().take_while(|byte| is_space(**byte)).count();
                return Some(RawPart { kind: RawKind::Space, length, is_last: false });
            }
            self.unit =
                if is_opening(first) { Unit::Value(Nesting::default()) } else { Unit::Word };
        }
        let (kind, end) = match &mut self.unit {
            Unit::Value(nesting) => (RawKind::Value, nesting.end(bytes)),
            Unit::Between | Unit::Word => {
                let ends = |byte: &u8| is_space(*byte) || is_opening(*byte);
                (RawKind::Word, bytes.iter().position(ends))
            }
        };
        if end.is_some() {
            self.unit = Unit::Between;
        }
        Some(RawPart { kind, length: end.unwrap_or(bytes.len()), is_last: end.is_some() })
    }
}

impl Nesting {
    /// Goes on through `bytes`. Returns how many of them the value has, if it ends there.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// True for the white space of JSON. RFC 8259 section 2.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_opening(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values and words of a stream that comes in pieces of so many bytes, with the last one
    /// that has not ended.
    fn units(stream: &str, size: usize) -> (Vec<String>, String) {
        let (mut values, mut units, mut unit) = (RawValues::default(), Vec::new(), Vec::new());
        for mut piece in stream.as_bytes().chunks(size) {
            while let Some(part) = values.next(piece) {
                let (own, rest) = piece.split_at(part.length);
                piece = rest;
                if part.kind != RawKind::Space {
                    unit.extend_from_slice(own);
                }
                if part.is_last {
                    units.push(String::from_utf8(std::mem::take(&mut unit)).unwrap());
                }
            }
        }
        (units, String::from_utf8(unit).unwrap())
    }

    #[test]
    fn values_and_words_end_where_others_begin_however_they_are_cut() {
        for (stream, expected, rest) in [
            ("", &[][..], ""),
            (" \r\n\t", &[], ""),
            ("{\"a\":1}{\"b\":[2]}[3]", &["{\"a\":1}", "{\"b\":[2]}", "[3]"], ""),
            (
                r#"{"a":"}{]["}{"b":"\"}"}{"c":"\\"}"#,
                &[r#"{"a":"}{]["}"#, r#"{"b":"\"}"}"#, r#"{"c":"\\"}"#],
                "",
            ),
            ("{\"я\":\"€\"}я{}", &["{\"я\":\"€\"}", "я", "{}"], ""),
            ("null 12\n\"a\" {}", &["null", "12", "\"a\"", "{}"], ""),
            ("}]{}", &["}]", "{}"], ""),
            ("{]{}", &["{]", "{}"], ""),
            ("{}{\"a\":", &["{}"], "{\"a\":"),
            ("{}TEST", &["{}"], "TEST"),
        ] {
            for size in 1..=stream.len().max(1) {
                let expected: Vec<String> = expected.iter().map(|&unit| unit.into()).collect();
                assert_eq!(units(stream, size), (expected, rest.into()), "{stream} by {size}");
            }
        }
    }
}
