//! Photos of users and flows.

use bytes::Bytes;

/// The largest photo, in bytes.
pub const PHOTO_LIMIT: usize = 5 << 20;

/// An image as uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// The media type that the content shows, such as `image/png`.
    pub media_type: String,
    /// The image file, at most [`PHOTO_LIMIT`] bytes.
    pub content: Bytes,
}

/// Where a photo lies in the blob store, and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoKey {
    /// The blob's key.
    pub key: String,
    /// Such as `image/png`.
    pub media_type: String,
}
