//! Reading JSON from peers, and writing it.

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::error::Category;
use std::borrow::Cow;

/// The reason why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(serde_json::Error),
    /// JSON of another shape.
    #[error("{0}")]
    Shape(serde_json::Error),
    /// Nested deeper than allowed.
    #[error("nested deeper than {0} levels")]
    Depth(usize),
}

impl JsonError {
    /// The expectation in words, of a frame that is an object.
    pub fn expectation(&self) -> Cow<'static, str> {
        match self {
            JsonError::Syntax(_) => "JSON is expected".into(),
            JsonError::Shape(_) => "a JSON object that names each field once is expected".into(),
            JsonError::Depth(depth) => {
                format!("at most {depth} levels of nesting are expected").into()
            }
        }
    }
}

/// Parses a whole frame, refusing nesting deeper than `depth`, also inside fields that are ignored.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], depth: usize) -> Result<T, JsonError> {
    if deeper_than(bytes, depth) {
        return Err(JsonError::Depth(depth));
    }
    // One check of the whole frame spares a check of each string; serde_json names the place of
    // bytes that are no UTF-8.
    let read = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    read.map_err(|error| match error.classify() {
        // serde_json counts its recursion limit as syntax; `deeper_than` has refused such frames.
        Category::Syntax | Category::Eof | Category::Io => JsonError::Syntax(error),
        Category::Data => JsonError::Shape(error),
    })
}

/// Parses a frame that is a JSON object. An array is refused, although serde would take it for a
/// struct without names.
pub fn parse_object<'a, T: Deserialize<'a>>(bytes: &'a [u8], depth: usize) -> Result<T, JsonError> {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return parse(bytes, depth);
    }
    parse::<IgnoredAny>(bytes, depth)?;
    Err(JsonError::Shape(serde_json::Error::custom("an object is expected")))
}

/// The text of a string, from its JSON as a [`serde_json::value::RawValue`] holds it; `None` for
/// another value, and for a string with a character that does not exist. Borrows the text where
/// nothing is escaped.
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let between = json.strip_prefix('"')?.strip_suffix('"')?;
    if between.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(between))
    }
}

/// The bytes that are allocated for a frame at first: most frames have fewer.
const FRAME_CAPACITY: usize = 512;

/// Writes a frame of a dialect's own.
pub fn write<T: Serialize>(frame: &T) -> Bytes {
    let mut bytes = Vec::with_capacity(FRAME_CAPACITY);
    serde_json::to_writer(&mut bytes, frame)
        .expect("a frame is a struct of strings and numbers, which JSON can always hold");
    bytes.into()
}

/// A key that may be there, whatever its value: for recognising a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Present(true))
    }
}

/// The number of bytes that `wanted` accepts. Counts in pieces of 192 bytes, whose sum fits a byte,
/// so that the compiler uses vector instructions: frames may carry whole files.
pub fn count(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes
        .chunks(192)
        .map(|piece| usize::from(piece.iter().map(|byte| u8::from(wanted(*byte))).sum::<u8>()))
        .sum()
}

/// True if brackets outside strings nest deeper than `depth`. Frames with fewer brackets than that
/// are only counted.
fn deeper_than(bytes: &[u8], depth: usize) -> bool {
    if count(bytes, |byte| matches!(byte, b'[' | b'{')) <= depth {
        return false;
    }
    let (mut level, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                level += 1;
                if level > depth {
                    return true;
                }
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        for (text, depth, deep) in [
            ("[[[]]]", 2, true),
            ("[[[]]]", 3, false),
            (r#"["[[[[[["]"#, 2, false),
            (r#"["\"[[[[[["]"#, 2, false),
            (r#"[{},{},{},{}]"#, 2, false),
            (r#"{"a":{"b":{}}}"#, 2, true),
        ] {
            assert_eq!(deeper_than(text.as_bytes(), depth), deep, "{text}");
        }
    }

    #[test]
    fn the_text_of_a_string_is_what_reading_it_gives() {
        for json in [
            "\"\"",
            "\"a б 👋\"",
            r#""\"""#,
            r#""\\""#,
            r#""a\u0062\n""#,
            r#""\ud83d\udc4b""#,
            r#""\ud800""#,
            "7",
            "null",
            "[\"a\"]",
            "{}",
        ] {
            assert_eq!(text(json).map(Cow::into_owned), serde_json::from_str(json).ok(), "{json}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_refused_where_it_is_read() {
        assert!(matches!(parse::<String>(b"\"\xff\"", 64), Err(JsonError::Syntax(_))));
        assert!(parse::<IgnoredAny>(b"\"\xff\"", 64).is_ok());
    }

    #[test]
    fn every_piece_is_counted() {
        for length in [0, 1, 191, 192, 193, 1000] {
            assert_eq!(count(&vec![b','; length], |byte| byte == b','), length);
            assert_eq!(count(&vec![b'.'; length], |byte| byte == b','), 0);
        }
    }

    #[test]
    fn ignored_fields_are_not_a_way_round_the_depth() {
        #[derive(serde::Deserialize, Debug)]
        struct Nothing {}
        let text = format!(r#"{{"x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(matches!(parse::<Nothing>(text.as_bytes(), 64), Err(JsonError::Depth(64))));
        assert!(matches!(parse::<Nothing>(b"[1", 64), Err(JsonError::Syntax(_))));
        assert!(matches!(parse::<Nothing>(b"1", 64), Err(JsonError::Shape(_))));
    }
}
