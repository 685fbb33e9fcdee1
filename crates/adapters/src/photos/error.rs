//! Errors of photo storage, for the log.

use object_store::Error as StorageError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tolmach_engine::ports::PortError;

/// A photo that could not be read, written or deleted.
#[derive(Debug, thiserror::Error)]
pub(super) enum PhotoError {
    #[error("{key:?} is not the key of a photo")]
    Key { key: String },
    #[error("{action} the file {}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{action} the file of a photo")]
    Cancelled { action: &'static str, source: tokio::task::JoinError },
    #[error("{action} {object} of {bucket}")]
    Object { action: &'static str, object: String, bucket: String, source: Box<StorageError> },
    #[error("{action} {object} of {bucket}: no response within {limit:?}")]
    Timeout { action: &'static str, object: String, bucket: String, limit: Duration },
    #[error("writing {object} to {bucket}: it is not found")]
    Vanished { object: String, bucket: String },
}

impl From<PhotoError> for PortError {
    fn from(error: PhotoError) -> Self {
        Self::caused_by("the photo storage failed", error)
    }
}
