//! JSON values in a stream of bytes, back to back.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::IgnoredAny;
use tolmach_capture::GapReason;

/// The largest value.
const MAX_VALUE: usize = 16 << 20;

/// A stream of values of one side.
#[derive(Debug, Default)]
pub(super) struct ValueReader {
    buffer: BytesMut,
}

impl ValueReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next value, once all of it is there. Bytes that are no JSON are one value, up to the
    /// next object.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, GapReason> {
        let space = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.buffer.advance(space);
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let mut values =
            serde_json::Deserializer::from_slice(&self.buffer).into_iter::<IgnoredAny>();
        let length = match values.next() {
            Some(Ok(_)) => values.byte_offset(),
            Some(Err(error)) if error.is_eof() => {
                let is_too_large = self.buffer.len() > MAX_VALUE;
                return if is_too_large { Err(GapReason::TooLarge) } else { Ok(None) };
            }
            Some(Err(_)) | None => {
                let next = self.buffer.iter().skip(1).position(|byte| *byte == b'{');
                next.map_or(self.buffer.len(), |next| next + 1)
            }
        };
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_to_back() {
        let mut reader = ValueReader::default();
        let mut values = Vec::new();
        for byte in br#"{"a":"}"}{"b":[1]} {"c":null}{"d""# {
            reader.push(&[*byte]);
            while let Some(value) = reader.next().unwrap() {
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        assert_eq!(values, [r#"{"a":"}"}"#, r#"{"b":[1]}"#, r#"{"c":null}"#]);
    }

    #[test]
    fn what_is_no_json_is_one_value_up_to_the_next_object() {
        let mut reader = ValueReader::default();
        reader.push(b"TEST{\"a\":1}");
        assert_eq!(reader.next().unwrap().unwrap(), "TEST");
        assert_eq!(reader.next().unwrap().unwrap(), "{\"a\":1}");
    }
}
