//! Photos in a local folder, or in S3-compatible object storage.

mod bucket;
mod bucket_options;
mod error;
mod folder;
mod key;

pub use bucket::PhotoBucket;
pub use bucket_options::{BucketOptions, BucketOptionsError, S3Credentials};
pub use folder::PhotoFolder;
