//! The ends of JSON values that stand back to back.

/// The search for the end of an object or array, which reads each byte once.
#[derive(Debug, Default)]
pub(crate) struct ValueEnd {
    /// The bytes that were looked at.
    scanned: usize,
    /// The objects and arrays that are open.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl ValueEnd {
    /// True if a part of an object was looked at, and its end was not found.
    pub(crate) fn has_begun(&self) -> bool {
        self.scanned > 0
    }

    /// The length of the object or array that `bytes` begin with, once all of it is there.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (place, byte) in bytes.iter().enumerate().skip(self.scanned) {
            self.scanned = place + 1;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        *self = Self::default();
                        return Some(place + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
