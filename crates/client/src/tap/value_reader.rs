//! JSON values in a stream of bytes, back to back.

use crate::value_end::ValueEnd;
use bytes::{Buf, Bytes, BytesMut};
use tolmach_capture::GapReason;

/// The largest value.
const MAX_VALUE: usize = 16 << 20;

/// A stream of values of one side.
#[derive(Debug, Default)]
pub(super) struct ValueReader {
    buffer: BytesMut,
    end: ValueEnd,
}

impl ValueReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes that wait.
    pub(super) fn kept(&self) -> usize {
        self.buffer.len()
    }

    /// The next object or array, once all of it is there. Bytes that begin neither are one value,
    /// up to the next object.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, GapReason> {
        if !self.end.has_begun() {
            let space = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.advance(space);
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{' | b'[') => {}
                Some(_) => {
                    let next = self.buffer.iter().position(|byte| *byte == b'{');
                    let length = next.unwrap_or(self.buffer.len());
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
        }
        match self.end.find(&self.buffer) {
            Some(length) => Ok(Some(self.buffer.split_to(length).freeze())),
            None if self.buffer.len() > MAX_VALUE => Err(GapReason::TooLarge),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_to_back() {
        let mut reader = ValueReader::default();
        let mut values = Vec::new();
        for byte in br#"{"a":"}"}{"b":[1]} {"c":null}[{}]{"d""# {
            reader.push(&[*byte]);
            while let Some(value) = reader.next().unwrap() {
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        assert_eq!(values, [r#"{"a":"}"}"#, r#"{"b":[1]}"#, r#"{"c":null}"#, "[{}]"]);
        assert_eq!(reader.kept(), 4);
    }

    #[test]
    fn what_is_no_json_is_one_value_up_to_the_next_object() {
        let mut reader = ValueReader::default();
        reader.push(b"TEST{\"a\":1}");
        assert_eq!(reader.next().unwrap().unwrap(), "TEST");
        assert_eq!(reader.next().unwrap().unwrap(), "{\"a\":1}");
    }

    #[test]
    fn a_value_that_comes_in_small_pieces_is_read_once() {
        let mut reader = ValueReader::default();
        reader.push(b"[\"");
        // Reading all of it at every piece would take hours.
        for _ in 0..MAX_VALUE / 16 {
            reader.push(b"0123456789abcdef");
            assert_eq!(
                reader.next(),
                if reader.kept() > MAX_VALUE { Err(GapReason::TooLarge) } else { Ok(None) }
            );
        }
    }
}
