//! Photos.

use super::PortError;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tolmach_domain::Timestamp;

/// Stores photos.
///
/// - Keys consist of lower-case letters, digits, `/` and `.`.
/// - A blob that was put can be read until it is deleted; putting again replaces it; deleting an
///   absent one succeeds.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Stores a blob.
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError>;

    /// Reads a blob; `None` if there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError>;

    /// Deletes a blob.
    async fn delete(&self, key: &str) -> Result<(), PortError>;

    /// All blobs, in any order. One that is put or deleted meanwhile may be left out.
    fn list(&self) -> BoxStream<'_, Result<StoredBlob, PortError>>;
}

/// A blob without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The time at which it was put.
    pub stored_at: Timestamp,
}
