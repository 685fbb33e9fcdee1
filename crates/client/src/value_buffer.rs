//! The values of a raw stream, as it comes.

use bytes::{Buf, Bytes, BytesMut};
use tolmach_dialect::{RawKind, RawValues};

/// Bytes of a raw stream, until the values and words that they belong to are whole. Each byte is
/// looked at once.
#[derive(Debug, Default)]
pub(crate) struct ValueBuffer {
    bytes: BytesMut,
    values: RawValues,
    /// The bytes of the value that were looked at.
    scanned: usize,
    /// True if they are those of a word.
    is_word: bool,
}

impl ValueBuffer {
    /// Adds bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The buffer, to read into behind its end.
    pub(crate) fn bytes_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The number of bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The next value or word, once all of it is there.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let part = self.values.next(&self.bytes[self.scanned..])?;
            if part.kind == RawKind::Space {
                self.bytes.advance(part.length);
                continue;
            }
            self.scanned += part.length;
            self.is_word = part.kind == RawKind::Word;
            if part.is_last {
                return Some(self.take());
            }
        }
    }

    /// The word that the end of the stream ends.
    pub(crate) fn last_word(&mut self) -> Option<Bytes> {
        let is_word = self.is_word && self.scanned > 0;
        is_word.then(|| self.take())
    }

    fn take(&mut self) -> Bytes {
        self.bytes.split_to(std::mem::take(&mut self.scanned)).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_words_are_given_once_they_have_ended() {
        let mut buffer = ValueBuffer::default();
        let mut values = Vec::new();
        for byte in br#"{"a":"}"}{"b":[1]} TEST{"c":null}[{}] {"d""# {
            buffer.push(&[*byte]);
            values.extend(std::iter::from_fn(|| buffer.next()));
        }
        assert_eq!(values, [r#"{"a":"}"}"#, r#"{"b":[1]}"#, "TEST", r#"{"c":null}"#, "[{}]"]);
        assert_eq!(buffer.len(), 4);
        assert_eq!(buffer.last_word(), None, "a part of a value is no word");
    }

    #[test]
    fn the_end_of_the_stream_ends_a_word() {
        let mut buffer = ValueBuffer::default();
        buffer.push(b" {} TEST");
        assert_eq!(buffer.next().unwrap(), "{}");
        assert_eq!((buffer.next(), buffer.len()), (None, 4));
        assert_eq!(buffer.last_word().unwrap(), "TEST");
        assert_eq!((buffer.last_word(), buffer.len()), (None, 0));
    }
}
