//! Photos in S3-compatible object storage.

use super::bucket_options::{BucketOptions, BucketOptionsError, BucketParts, build};
use super::error::PhotoError;
use super::key::check_key;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Blobs, PortError, StoredBlob};

/// The error code of a bucket that does not exist.
const NO_SUCH_BUCKET: &str = "NoSuchBucket";
/// A key that [`PhotoBucket::probe`] reads. Photos have other keys.
const PROBE_KEY: &str = "probe";

/// A bucket of object storage, with one object per photo. Any number of processes may share it.
#[derive(Debug)]
pub struct PhotoBucket {
    storage: AmazonS3,
    prefix: ObjectPath,
    timeout: Duration,
    name: String,
}

impl PhotoBucket {
    /// Makes the client of a bucket, which is not contacted yet. The process's environment gives
    /// the options that are left out.
    pub fn new(options: &BucketOptions) -> Result<Self, BucketOptionsError> {
        Self::with_environment(options, AmazonS3Builder::from_env())
    }

    fn with_environment(
        options: &BucketOptions,
        environment: AmazonS3Builder,
    ) -> Result<Self, BucketOptionsError> {
        let BucketParts { storage, prefix, name } = build(options, environment)?;
        Ok(Self { storage, prefix, timeout: options.timeout, name })
    }

    /// Reads an object that does not exist, to find out whether the bucket can be read.
    pub async fn probe(&self) -> Result<(), PortError> {
        self.get(PROBE_KEY).await.map(drop)
    }

    /// Makes one request, within the timeout; `None` if the object does not exist.
    async fn request<T>(
        &self,
        key: &str,
        action: &'static str,
        request: impl AsyncFnOnce(&AmazonS3, &ObjectPath) -> Result<T, object_store::Error>,
    ) -> Result<Option<T>, PhotoError> {
        check_key(key)?;
        let path: ObjectPath = self.prefix.parts().chain(ObjectPath::from(key).parts()).collect();
        let names = || (path.to_string(), self.name.clone());
        match timeout(self.timeout, request(&self.storage, &path)).await {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(error @ object_store::Error::NotFound { .. }))
                if !error.to_string().contains(NO_SUCH_BUCKET) =>
            {
                Ok(None)
            }
            Ok(Err(error)) => {
                let (object, bucket) = names();
                Err(PhotoError::Object { action, object, bucket, source: error.into() })
            }
            Err(_) => {
                let (object, bucket) = names();
                Err(PhotoError::Timeout { action, object, bucket, limit: self.timeout })
            }
        }
    }
}

impl fmt::Display for PhotoBucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[async_trait]
impl Blobs for PhotoBucket {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        let put = self.request(key, "writing", async |storage, path| {
            storage.put(path, content.into()).await.map(drop)
        });
        let vanished =
            || PhotoError::Vanished { object: key.to_owned(), bucket: self.name.clone() };
        Ok(put.await?.ok_or_else(vanished)?)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        let get = self
            .request(key, "reading", async |storage, path| storage.get(path).await?.bytes().await);
        Ok(get.await?)
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let delete =
            self.request(key, "deleting", async |storage, path| storage.delete(path).await);
        delete.await?;
        Ok(())
    }

    fn list(&self) -> BoxStream<'_, Result<StoredBlob, PortError>> {
        let prefix_length = self.prefix.parts().count();
        let photo = move |found: ObjectMeta| {
            let parts: Vec<_> = found.location.parts().skip(prefix_length).collect();
            let parts: Vec<&str> = parts.iter().map(|part| part.as_ref()).collect();
            let stored_at = Timestamp::from_micros(found.last_modified.timestamp_micros());
            StoredBlob { key: parts.join("/"), bytes: found.size, stored_at }
        };
        let failed = |error: object_store::Error| {
            let (object, bucket) = (self.prefix.to_string(), self.name.clone());
            let source = error.into();
            PortError::from(PhotoError::Object { action: "listing", object, bucket, source })
        };
        let found = self.storage.list(Some(&self.prefix)).map_ok(photo).map_err(failed);
        found.try_filter(|photo| ready(check_key(&photo.key).is_ok())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photos::{PhotoFolder, S3Credentials};
    use std::sync::Arc;
    use tolmach_domain::Secret;
    use tolmach_engine::ErrorChain;
    use tolmach_test_servers::S3;

    // Without object storage on this machine each trial reports that and runs against a folder.
    tolmach_engine::blobs_suite!(async || {
        let folder = tempfile::tempdir().unwrap();
        let storage = S3::start_or_skip();
        let photos: Arc<dyn Blobs> = match &storage {
            Some(storage) => {
                storage.make_bucket("photos");
                Arc::new(bucket(storage, "s3://photos/of/tolmach", PATIENT))
            }
            None => Arc::new(PhotoFolder::open(folder.path().join("photos")).unwrap()),
        };
        (photos, (storage, folder))
    });

    const PATIENT: Duration = Duration::from_secs(30);
    const HASTY: Duration = Duration::from_millis(300);

    fn bucket(storage: &S3, url: &str, timeout: Duration) -> PhotoBucket {
        let options = BucketOptions {
            url: Secret::new(url),
            endpoint: Some(Secret::new(storage.url())),
            credentials: Some(S3Credentials {
                access_key_id: "id".into(),
                secret_access_key: Secret::new("hunter2"),
            }),
            timeout,
            ..BucketOptions::default()
        };
        PhotoBucket::with_environment(&options, AmazonS3Builder::new()).unwrap()
    }

    #[tokio::test]
    async fn objects_lie_below_the_prefix_and_another_client_of_it_reads_them() {
        let Some(storage) = S3::start_or_skip() else { return };
        storage.make_bucket("photos");
        let [one, other] = ["s3://photos/of/tolmach/", "s3://photos/of/tolmach"]
            .map(|url| bucket(&storage, url, PATIENT));
        one.put("ab/abcd", Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(storage.keys("photos"), ["of/tolmach/ab/abcd"]);
        let content = Bytes::from_static(b"content");
        assert_eq!(other.get("ab/abcd").await.unwrap(), Some(content));
        let without_prefix = bucket(&storage, "s3://photos", PATIENT);
        assert_eq!(without_prefix.get("ab/abcd").await.unwrap(), None);
    }

    #[tokio::test]
    async fn storage_that_is_down_or_silent_is_an_error_in_time_and_recovers() {
        let Some(storage) = S3::start_or_skip() else { return };
        storage.make_bucket("photos");
        let (patient, hasty) =
            (bucket(&storage, "s3://photos", PATIENT), bucket(&storage, "s3://photos", HASTY));
        let content = Bytes::from_static(b"content");
        let recovers = async || {
            while !matches!(hasty.get("ab/abcd").await, Ok(Some(found)) if found == content) {}
        };
        patient.put("ab/abcd", content.clone()).await.unwrap();
        recovers().await;
        storage.pause();
        for error in [
            hasty.get("ab/abcd").await.unwrap_err(),
            hasty.put("ab/ef", Bytes::new()).await.unwrap_err(),
        ] {
            let text = ErrorChain(&error).to_string();
            assert!(
                text.contains("of s3://photos at http://") && !text.contains("hunter2"),
                "{text}"
            );
        }
        storage.resume();
        recovers().await;
        storage.kill();
        assert!(hasty.get("ab/abcd").await.is_err() && hasty.delete("ab/abcd").await.is_err());
        storage.start_again();
        storage.make_bucket("photos");
        patient.put("ab/abcd", content.clone()).await.unwrap();
        recovers().await;
    }

    #[tokio::test]
    async fn an_absent_bucket_is_an_error_and_not_an_absent_photo() {
        let Some(storage) = S3::start_or_skip() else { return };
        let photos = bucket(&storage, "s3://photos", PATIENT);
        for error in [
            photos.probe().await.unwrap_err(),
            photos.put("ab/abcd", Bytes::new()).await.unwrap_err(),
        ] {
            let text = ErrorChain(&error).to_string();
            assert!(text.contains("s3://photos at http://"), "{text}");
        }
        storage.make_bucket("photos");
        photos.probe().await.unwrap();
    }

    #[tokio::test]
    async fn no_key_names_an_object_outside_of_the_prefix() {
        let options = BucketOptions {
            url: Secret::new("s3://photos/of"),
            endpoint: Some(Secret::new("http://127.0.0.1:1")),
            ..BucketOptions::default()
        };
        let photos = PhotoBucket::with_environment(&options, AmazonS3Builder::new()).unwrap();
        crate::photos::key::tests::assert_malformed_keys_are_rejected(&photos).await;
    }

    #[test]
    fn no_description_shows_the_secret() {
        let options = BucketOptions {
            url: Secret::new("s3://photos"),
            credentials: Some(S3Credentials {
                access_key_id: "id".into(),
                secret_access_key: Secret::new("hunter2"),
            }),
            ..BucketOptions::default()
        };
        let photos = PhotoBucket::with_environment(&options, AmazonS3Builder::new()).unwrap();
        assert!(!format!("{options:?} {photos:?} {photos}").contains("hunter2"));
    }
}
