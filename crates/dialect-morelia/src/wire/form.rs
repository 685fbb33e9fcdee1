//! Frames as bytes: their form, and the bound on the values of a request.

use bytes::Bytes;
use tolmach_dialect::{Frame, Variant, json};

/// The form of a frame: text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    #[default]
    Text,
    Binary,
}

impl Form {
    /// A frame of this form.
    pub(crate) fn frame(self, bytes: Bytes) -> Frame {
        match self {
            Form::Text => Frame::Text(bytes),
            Form::Binary => Frame::Binary(bytes),
        }
    }

    /// The form of a frame, and its bytes; `None` for a frame that is no WebSocket message.
    pub(crate) fn of(frame: &Frame) -> Option<(Self, &Bytes)> {
        match frame {
            Frame::Text(bytes) => Some((Form::Text, bytes)),
            Frame::Binary(bytes) => Some((Form::Binary, bytes)),
            Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => None,
        }
    }

    /// The variant that events are rendered in for connections of this form.
    pub(crate) fn variant(self) -> Variant {
        Variant(self as u8)
    }

    /// The form of a variant.
    pub(crate) fn from_variant(variant: Variant) -> Option<Self> {
        [Form::Text, Form::Binary].into_iter().find(|form| form.variant() == variant)
    }
}

/// The most values of a request. A parsed value takes some thirty times the memory of its one byte,
/// and frames may be large only because files are.
pub(crate) const MAX_VALUES: usize = 10_000;

/// True if a request has more than [`MAX_VALUES`] values. Strings are skipped only where the frame
/// has that many commas at all.
pub(crate) fn has_too_many_values(bytes: &[u8]) -> bool {
    if json::count(bytes, |byte| byte == b',') < MAX_VALUES {
        return false;
    }
    let (mut commas, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string => commas += 1,
            _ => {}
        }
    }
    commas >= MAX_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_the_commas_outside_strings() {
        let commas = ",".repeat(MAX_VALUES);
        for (text, too_many) in [
            (format!("[0{}]", ",0".repeat(MAX_VALUES)), true),
            (format!("[0{}]", ",0".repeat(MAX_VALUES - 1)), false),
            (format!("[\"{commas}\"]"), false),
            (format!("[\"\\\"{commas}\"]"), false),
        ] {
            assert_eq!(has_too_many_values(text.as_bytes()), too_many);
        }
    }
}
