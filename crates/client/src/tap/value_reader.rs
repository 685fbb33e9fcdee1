//! JSON values in a stream of bytes, back to back.

use crate::value_buffer::ValueBuffer;
use bytes::Bytes;
use tolmach_capture::GapReason;

/// The largest value.
const MAX_VALUE: usize = 16 << 20;

/// A stream of values of one side.
#[derive(Debug, Default)]
pub(super) struct ValueReader(ValueBuffer);

impl ValueReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// The bytes that wait.
    pub(super) fn kept(&self) -> usize {
        self.0.len()
    }

    /// The next value or word, once all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, GapReason> {
        match self.0.next() {
            None if self.0.len() > MAX_VALUE => Err(GapReason::TooLarge),
            next => Ok(next),
        }
    }

    /// The word that the end of the stream ends.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        self.0.last_word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
