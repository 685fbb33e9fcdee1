//! Bytes of a frame that is being written.

use bytes::Bytes;

/// Bytes of a frame that is being written: always UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// The bytes that are allocated for a frame at first.
const FRAME_BYTES: usize = 256;

impl Writer {
    /// For a whole frame.
    pub(crate) fn for_frame() -> Self {
        Self(Vec::with_capacity(FRAME_BYTES))
    }

    pub(crate) fn push(&mut self, char: char) {
        let mut buffer = [0; 4];
        self.push_str(char.encode_utf8(&mut buffer));
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn as_vec(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}
