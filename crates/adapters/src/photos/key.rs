//! Keys of photos.

use super::error::PhotoError;

/// The longest key, in bytes.
const MAX_BYTES: usize = 255;

/// The key unchanged; an error if it is malformed and might name a place outside of the storage's
/// folder or prefix.
pub(super) fn check_key(key: &str) -> Result<&str, PhotoError> {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.'))
    };
    if key.len() <= MAX_BYTES && key.split('/').all(is_plain) {
        Ok(key)
    } else {
        Err(PhotoError::Key { key: key.to_owned() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use tolmach_engine::ErrorChain;
    use tolmach_engine::ports::{Blobs, PortError};

    pub(crate) async fn assert_malformed_keys_are_rejected(photos: &dyn Blobs) {
        let long = "a".repeat(256);
        for key in [
            "",
            "/",
            "..",
            ".",
            "../abc",
            "ab/../../abc",
            "/etc/passwd",
            "ab//cd",
            "ab/",
            "ab\\cd",
            "AB",
            "ab\0",
            ".draft",
            &long,
        ] {
            let expected = format!("{key:?} is not the key of a photo");
            let rejected = |result: Result<(), PortError>| {
                let error = result.err().map(|error| ErrorChain(&error).to_string());
                assert!(error.is_some_and(|text| text.ends_with(&expected)), "{key:?}");
            };
            rejected(photos.get(key).await.map(drop));
            rejected(photos.put(key, Bytes::new()).await);
            rejected(photos.delete(key).await);
        }
    }
}
