//! Photos.

use super::PortError;
use async_trait::async_trait;
use bytes::Bytes;

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
}
