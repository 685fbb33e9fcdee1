//! The storage of photos.

use crate::config::{self, Config};
use crate::error::UsageError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tolmach_adapters::{
    BucketOptions, BucketOptionsError, CreateFolderError, PhotoBucket, PhotoFolder, S3Credentials,
};
use tolmach_domain::Secret;
use tolmach_engine::ports::Blobs;

/// The storage of photos, not opened yet.
pub(crate) enum PhotoTarget {
    /// A folder, with one file per photo.
    Folder(PathBuf),
    /// A bucket, with one object per photo.
    Bucket(PhotoBucket),
}

impl PhotoTarget {
    /// Creates the folder unless it exists. A bucket is not contacted yet, so that a gateway can
    /// start while it is away.
    pub(super) fn open(self) -> Result<Arc<dyn Blobs>, CreateFolderError> {
        Ok(match self {
            Self::Folder(folder) => Arc::new(PhotoFolder::open(folder)?),
            Self::Bucket(bucket) => Arc::new(bucket),
        })
    }
}

impl fmt::Display for PhotoTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
            Self::Bucket(bucket) => write!(formatter, "{bucket}"),
        }
    }
}

/// The storage that is configured, or a folder in the data folder.
pub(crate) fn photo_target(config: &Config, data: &Path) -> Result<PhotoTarget, UsageError> {
    let blobs = &config.blobs;
    if blobs.url.expose().is_empty() {
        let configured = Some(&blobs.folder).filter(|folder| !folder.as_os_str().is_empty());
        let folder = configured.map_or_else(|| data.join("photos"), PathBuf::clone);
        return Ok(PhotoTarget::Folder(folder));
    }
    let options = BucketOptions {
        url: blobs.url.clone(),
        endpoint: Some(blobs.endpoint.clone()).filter(is_set),
        region: Some(blobs.region.clone()).filter(|region| !region.is_empty()),
        credentials: credentials(blobs)?,
        allow_http: blobs.allow_http,
        timeout: blobs.timeout,
    };
    let bucket = PhotoBucket::new(&options).map_err(|source| {
        let key = match source {
            BucketOptionsError::Endpoint | BucketOptionsError::PlainEndpoint => "blobs.endpoint",
            _ => "blobs.url",
        };
        UsageError::Photos { key, source }
    })?;
    Ok(PhotoTarget::Bucket(bucket))
}

fn credentials(blobs: &config::Blobs) -> Result<Option<S3Credentials>, UsageError> {
    const ID: &str = "blobs.access_key_id";
    const SECRET: &str = "blobs.secret_access_key";
    match (!blobs.access_key_id.is_empty(), is_set(&blobs.secret_access_key)) {
        (false, false) => Ok(None),
        (false, true) => Err(UsageError::MissingBeside { key: ID, other: SECRET }),
        (true, false) => Err(UsageError::MissingBeside { key: SECRET, other: ID }),
        (true, true) => Ok(Some(S3Credentials {
            access_key_id: blobs.access_key_id.clone(),
            secret_access_key: blobs.secret_access_key.clone(),
        })),
    }
}

fn is_set(secret: &Secret) -> bool {
    !secret.expose().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_engine::ErrorChain;

    fn target(file: &str) -> Result<String, String> {
        let config = Config::with_file(&format!("[blobs]\n{file}"));
        let target = photo_target(&config, Path::new("data"));
        target.map(|target| target.to_string()).map_err(|error| ErrorChain(&error).to_string())
    }

    #[test]
    fn a_bucket_takes_precedence_over_a_folder() {
        let endpoint = "endpoint = \"https://here:9000\"";
        for (file, expected) in [
            ("", "data/photos"),
            ("folder = \"/var/photos\"", "/var/photos"),
            (
                &format!("url = \"s3://photos\"\nfolder = \"/var/photos\"\n{endpoint}"),
                "s3://photos at https://here:9000",
            ),
        ] {
            assert_eq!(target(file).as_deref(), Ok(expected), "{file}");
        }
    }

    #[test]
    fn a_mistake_is_reported_with_its_key_and_without_its_value() {
        let bucket = "url = \"s3://photos\"\n";
        for (file, expected) in [
            ("url = \"hunter2\"", "`blobs.url`: s3://bucket"),
            (&format!("{bucket}endpoint = \"hunter2\""), "`blobs.endpoint`: http:// or https://"),
            (
                &format!("{bucket}endpoint = \"http://hunter2\""),
                "`blobs.endpoint`: photos would be sent unencrypted",
            ),
            (
                &format!("{bucket}secret_access_key = \"hunter2\""),
                "`blobs.access_key_id` is missing beside `blobs.secret_access_key`",
            ),
            (
                &format!("{bucket}access_key_id = \"hunter2\""),
                "`blobs.secret_access_key` is missing beside `blobs.access_key_id`",
            ),
        ] {
            let error = target(file).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{file}: {error}");
        }
    }
}
