//! Photos of users and flows.

use bytes::Bytes;

/// The largest photo, in bytes.
pub const PHOTO_LIMIT: usize = 5 << 20;

/// An image as uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// The media type that the content has, such as `image/png`.
    pub media_type: String,
    /// The image file, at most [`PHOTO_LIMIT`] bytes.
    pub content: Bytes,
}

/// The location of a photo in the blob store, and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoKey {
    /// The blob's key.
    pub key: String,
    /// The media type, such as `image/png`.
    pub media_type: String,
}
