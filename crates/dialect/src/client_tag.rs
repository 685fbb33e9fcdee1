//! Request ids that outlive their frames.

use bytes::Bytes;

/// The longest request id that needs one allocation, in bytes.
const MAX_SHORT: usize = 23;

/// A short request id.
struct ShortTag {
    bytes: [u8; MAX_SHORT],
    length: u8,
}

impl AsRef<[u8]> for ShortTag {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A copy of a request id, for [`crate::Request::client_tag`]. A copied slice is allocated again
/// once it is cloned, as each request id is: one for the response, one for the event. A short one
/// is allocated together with its count of clones.
pub fn client_tag(bytes: &[u8]) -> Bytes {
    let mut short = [0; MAX_SHORT];
    match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
        (Some(start), Ok(length)) => {
            start.copy_from_slice(bytes);
            Bytes::from_owner(ShortTag { bytes: short, length })
        }
        _ => Bytes::copy_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_it_was_made_of_whatever_its_length() {
        for length in [0, 1, MAX_SHORT, MAX_SHORT + 1, 1_000] {
            let bytes = vec![b'7'; length];
            assert_eq!(client_tag(&bytes), bytes);
        }
    }
}
