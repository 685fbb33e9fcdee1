//! Photos in a local folder, or in S3-compatible object storage.

use super::mailer::is_this_machine;
use super::private_file::{create_private_folder, write_whole};
use crate::config;
use async_trait::async_trait;
use bytes::Bytes;
use http::Uri;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::path::Path as ObjectPath;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStoreExt, RetryConfig, StaticCredentialProvider,
};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tolmach_engine::ports::{Blobs, PortError};

/// How often a request to object storage is repeated, as far as its time allows.
const RETRIES: usize = 3;
/// How long the first repetition waits. Each further one waits about twice as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// What object storage answers where the bucket itself is absent.
const NO_BUCKET: &str = "NoSuchBucket";

/// Where photos are kept.
pub(crate) enum BlobTarget {
    /// Each is a file.
    Folder(PathBuf),
    /// Each is an object.
    Bucket(Bucket),
}

impl BlobTarget {
    /// Reads what the configuration says; `folder` is used where it says nothing, and `environment`
    /// has what it leaves to the environment. The error names the key, and quotes no value: one may
    /// hold a password by mistake.
    pub(crate) fn parse(
        blobs: &config::Blobs,
        folder: PathBuf,
        environment: AmazonS3Builder,
    ) -> Result<Self, PortError> {
        if !blobs.url.expose().is_empty() {
            return Bucket::parse(blobs, environment).map(Self::Bucket);
        }
        Ok(Self::Folder(if blobs.folder.as_os_str().is_empty() {
            folder
        } else {
            blobs.folder.clone()
        }))
    }

    /// Makes the folder unless it exists. Of a bucket nothing is asked yet: it may be down and come
    /// back.
    pub(crate) fn open(self) -> io::Result<Arc<dyn Blobs>> {
        Ok(match self {
            Self::Folder(folder) => Arc::new(LocalBlobs::open(folder)?),
            Self::Bucket(bucket) => Arc::new(bucket),
        })
    }
}

impl fmt::Display for BlobTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
            Self::Bucket(bucket) => formatter.write_str(&bucket.name),
        }
    }
}

/// A bucket of object storage, with one object a photo.
#[derive(Debug)]
pub(crate) struct Bucket {
    storage: AmazonS3,
    prefix: ObjectPath,
    /// How long one request may take, repetitions and all.
    patience: Duration,
    /// Where it is, for people.
    name: String,
}

impl Bucket {
    fn parse(blobs: &config::Blobs, environment: AmazonS3Builder) -> Result<Self, PortError> {
        let wrong = |key: &str, expected: &str| PortError(format!("`blobs.{key}`: {expected}"));
        let expected = "s3://bucket or s3://bucket/prefix is expected, with 3 to 63 letters, digits, `.`, `-` and `_` for the bucket";
        let rest =
            blobs.url.expose().strip_prefix("s3://").ok_or_else(|| wrong("url", expected))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let known = bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if !known || !(3..=63).contains(&bucket.len()) || prefix.contains(['?', '#', '@', '%']) {
            return Err(wrong("url", expected));
        }
        let prefix =
            ObjectPath::parse(prefix.trim_end_matches('/')).map_err(|_| wrong("url", expected))?;

        let mut builder = environment.with_bucket_name(bucket);
        match (blobs.access_key_id.as_str(), blobs.secret_access_key.expose()) {
            ("", "") => {}
            ("", _) => {
                return Err(wrong(
                    "access_key_id",
                    "it is missing beside `blobs.secret_access_key`",
                ));
            }
            (_, "") => {
                return Err(wrong(
                    "secret_access_key",
                    "it is missing beside `blobs.access_key_id`",
                ));
            }
            (id, secret) => {
                // In place of all that the environment has: its session token would not go with
                // them.
                let credential = AwsCredential {
                    key_id: id.to_owned(),
                    secret_key: secret.to_owned(),
                    token: None,
                };
                builder =
                    builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
            }
        }
        if !blobs.region.is_empty() {
            builder = builder.with_region(&blobs.region);
        }
        let mut endpoint = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
        endpoint = endpoint.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
        if !blobs.endpoint.expose().is_empty() {
            endpoint = Some(blobs.endpoint.expose().to_owned());
        }
        let mut plain = false;
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let mut place = region.map_or_else(String::new, |region| format!(" in {region}"));
        if let Some(endpoint) = endpoint {
            plain = is_plain(&endpoint, blobs.allow_http)
                .map_err(|expected| wrong("endpoint", expected))?;
            place = format!(" at {endpoint}");
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let backoff = BackoffConfig {
            init_backoff: BACKOFF,
            max_backoff: blobs.timeout,
            ..BackoffConfig::default()
        };
        let storage = builder
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(plain)
                    .with_timeout(blobs.timeout)
                    .with_connect_timeout(blobs.timeout),
            )
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: blobs.timeout })
            // Photos go one at a time, and not every storage knows how to delete many.
            .with_disable_bulk_delete(true)
            .build()
            .map_err(|error| PortError(format!("`blobs.url`: {error}")))?;
        let name = format!(
            "s3://{bucket}{}{prefix}{place}",
            if prefix.as_ref().is_empty() { "" } else { "/" }
        );
        Ok(Self { storage, prefix, patience: blobs.timeout, name })
    }

    /// Whether it can be asked: for operators, who want to know before the first photo comes.
    pub(crate) async fn probe(&self) -> Result<(), PortError> {
        self.get("probe").await.map(drop)
    }

    /// Makes one request of it, within its time.
    async fn ask<T>(
        &self,
        key: &str,
        doing: &str,
        request: impl AsyncFnOnce(&AmazonS3, &ObjectPath) -> Result<T, object_store::Error>,
    ) -> Result<Option<T>, PortError> {
        check_key(key)?;
        let path: ObjectPath = self.prefix.parts().chain(ObjectPath::from(key).parts()).collect();
        let failed =
            |why: &dyn fmt::Display| PortError(format!("{doing} {path} of {}: {why}", self.name));
        match timeout(self.patience, request(&self.storage, &path)).await {
            Ok(Ok(done)) => Ok(Some(done)),
            // An absent object is told from an absent bucket, which is a mistake.
            Ok(Err(error @ object_store::Error::NotFound { .. }))
                if !error.to_string().contains(NO_BUCKET) =>
            {
                Ok(None)
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&format_args!("nothing came of it within {:?}", self.patience))),
        }
    }
}

/// Whether the address of object storage is one without TLS, which only this machine's own may be
/// unless the operator allows it; or what is expected instead.
fn is_plain(endpoint: &str, allowed: bool) -> Result<bool, &'static str> {
    let expected =
        "http:// or https:// with a host is expected, without a user, a password or a query";
    let endpoint: Uri = endpoint.parse().map_err(|_| expected)?;
    let authority = endpoint
        .authority()
        .filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    let host = authority.filter(|_| endpoint.query().is_none()).ok_or(expected)?.host();
    match endpoint.scheme_str() {
        Some("https") => Ok(false),
        Some("http") if allowed || is_this_machine(host) => Ok(true),
        Some("http") => Err(
            "photos would travel in the clear: https:// is expected, or `blobs.allow_http` = true",
        ),
        _ => Err(expected),
    }
}

#[async_trait]
impl Blobs for Bucket {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        let put = self.ask(key, "writing", async |storage, path| {
            storage.put(path, content.into()).await.map(drop)
        });
        put.await?
            .ok_or_else(|| PortError(format!("writing {key} to {}: it is not found", self.name)))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        self.ask(key, "reading", async |storage, path| storage.get(path).await?.bytes().await).await
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        self.ask(key, "deleting", async |storage, path| storage.delete(path).await).await.map(drop)
    }
}

/// The key as it is; an error if it is none, and could lead out of where photos are kept.
fn check_key(key: &str) -> Result<&str, PortError> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.'))
    };
    if key.len() <= 255 && key.split('/').all(plain) {
        return Ok(key);
    }
    Err(PortError(format!("{key:?} is not the key of a blob")))
}

/// A folder with one file a photo.
#[derive(Debug)]
pub(crate) struct LocalBlobs {
    folder: PathBuf,
}

impl LocalBlobs {
    /// Makes the folder unless it exists.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        create_private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Does file work off the async threads.
    async fn work<T: Send + 'static>(
        &self,
        key: &str,
        doing: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let file = self.folder.join(check_key(key)?);
        let done = tokio::task::spawn_blocking(move || {
            work(&file).map_err(|error| format!("{doing} {}: {error}", file.display()))
        })
        .await;
        done.map_err(|error| PortError(format!("{doing} a blob: {error}")))?.map_err(PortError)
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        let put = move |file: &Path| {
            file.parent().map_or(Ok(()), create_private_folder)?;
            write_whole(file, &content)
        };
        self.work(key, "writing", put).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        let get = |file: &Path| match std::fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Bytes::from).map(Some),
        };
        self.work(key, "reading", get).await
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let delete = |file: &Path| match std::fs::remove_file(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        self.work(key, "deleting", delete).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use tolmach_domain::Secret;
    use tolmach_test_servers::S3;

    mod local {
        use super::*;

        tolmach_engine::blobs_suite!(async || {
            let folder = tempfile::tempdir().unwrap();
            let blobs: Arc<dyn Blobs> =
                Arc::new(LocalBlobs::open(folder.path().join("photos")).unwrap());
            (blobs, folder)
        });
    }

    mod bucket {
        use super::*;

        // Where there is no object storage each trial says so and is held against a folder, which
        // it has passed already.
        tolmach_engine::blobs_suite!(async || {
            let folder = tempfile::tempdir().unwrap();
            let storage = S3::start_or_skip();
            let blobs: Arc<dyn Blobs> = match &storage {
                Some(storage) => {
                    storage.make_bucket("photos");
                    Arc::new(bucket(storage, "s3://photos/of/tolmach", "30s"))
                }
                None => Arc::new(LocalBlobs::open(folder.path().join("photos")).unwrap()),
            };
            (blobs, (storage, folder))
        });
    }

    fn options(file: &str) -> config::Blobs {
        let sources = Sources {
            file: Some(("test.toml".into(), format!("[blobs]\n{file}"))),
            ..Sources::default()
        };
        Config::load(sources, &[]).unwrap().blobs
    }

    fn bucket(storage: &S3, url: &str, timeout: &str) -> Bucket {
        let keys = "access_key_id = \"id\"\nsecret_access_key = \"hunter2\"";
        let options = options(&format!(
            "url = \"{url}\"\nendpoint = \"{}\"\ntimeout = \"{timeout}\"\n{keys}",
            storage.url()
        ));
        Bucket::parse(&options, AmazonS3Builder::new()).unwrap()
    }

    fn target(file: &str, environment: AmazonS3Builder) -> Result<String, String> {
        let target = BlobTarget::parse(&options(file), "data/photos".into(), environment);
        target.map(|target| target.to_string()).map_err(|PortError(reason)| reason)
    }

    #[test]
    fn the_configuration_is_stronger_than_the_environment_and_a_bucket_than_a_folder() {
        let bare = AmazonS3Builder::new;
        let environment = || {
            bare()
                .with_region("eu-north-1")
                .with_access_key_id("id")
                .with_secret_access_key("hunter2")
                .with_token("hunter2")
        };
        let elsewhere = || environment().with_endpoint("https://elsewhere.example.org");
        let keys = "access_key_id = \"id\"\nsecret_access_key = \"hunter2\"";
        for (file, environment, expected) in [
            ("", elsewhere(), "data/photos"),
            ("folder = \"/var/photos\"", bare(), "/var/photos"),
            ("url = \"s3://photos\"\nfolder = \"/var/photos\"", bare(), "s3://photos"),
            (
                "url = \"s3://photos/\"\nregion = \"eu-west-1\"",
                environment(),
                "s3://photos in eu-west-1",
            ),
            ("url = \"s3://photos/of/us/\"", environment(), "s3://photos/of/us in eu-north-1"),
            ("url = \"s3://photos\"", elsewhere(), "s3://photos at https://elsewhere.example.org"),
            (
                &format!("url = \"s3://photos\"\n{keys}"),
                elsewhere(),
                "s3://photos at https://elsewhere.example.org",
            ),
            (
                "url = \"s3://photos\"\nendpoint = \"https://here:9000\"",
                elsewhere(),
                "s3://photos at https://here:9000",
            ),
            (
                "url = \"s3://photos\"\nendpoint = \"http://127.0.0.1:9000\"",
                bare(),
                "s3://photos at http://127.0.0.1:9000",
            ),
            (
                "url = \"s3://photos\"\nendpoint = \"http://[::1]:9000\"",
                bare(),
                "s3://photos at http://[::1]:9000",
            ),
            (
                "url = \"s3://photos\"\nendpoint = \"http://here\"\nallow_http = true",
                bare(),
                "s3://photos at http://here",
            ),
        ] {
            assert_eq!(target(file, environment).as_deref(), Ok(expected), "{file}");
        }
    }

    #[test]
    fn what_cannot_be_a_bucket_is_named_without_showing_it() {
        let bucket = "url = \"s3://photos\"\n";
        let in_the_clear = AmazonS3Builder::new().with_endpoint("http://hunter2.example.org");
        for (file, environment, expected) in [
            ("url = \"hunter2\"", None, "`blobs.url`: s3://bucket"),
            ("url = \"gs://hunter2\"", None, "`blobs.url`: s3://bucket"),
            ("url = \"s3://\"", None, "`blobs.url`"),
            ("url = \"s3://ab\"", None, "`blobs.url`"),
            ("url = \"s3://id:hunter2@photos\"", None, "`blobs.url`"),
            ("url = \"s3://photos/a//b\"", None, "`blobs.url`"),
            ("url = \"s3://photos/../b\"", None, "`blobs.url`"),
            ("url = \"s3://photos?secret=hunter2\"", None, "`blobs.url`"),
            ("url = \"s3://photos/a?secret=hunter2\"", None, "`blobs.url`"),
            (
                &format!("{bucket}endpoint = \"hunter2\""),
                None,
                "`blobs.endpoint`: http:// or https://",
            ),
            (
                &format!("{bucket}endpoint = \"ftp://hunter2\""),
                None,
                "`blobs.endpoint`: http:// or https://",
            ),
            (
                &format!("{bucket}endpoint = \"https://id:hunter2@host\""),
                None,
                "`blobs.endpoint`: http:// or https://",
            ),
            (
                &format!("{bucket}endpoint = \"https://host?hunter2\""),
                None,
                "`blobs.endpoint`: http:// or https://",
            ),
            (
                &format!("{bucket}endpoint = \"http://hunter2\""),
                None,
                "`blobs.endpoint`: photos would travel in the clear",
            ),
            (bucket, Some(in_the_clear), "`blobs.endpoint`: photos would travel in the clear"),
            (
                &format!("{bucket}secret_access_key = \"hunter2\""),
                None,
                "`blobs.access_key_id`: it is missing",
            ),
            (
                &format!("{bucket}access_key_id = \"hunter2\""),
                None,
                "`blobs.secret_access_key`: it is missing",
            ),
        ] {
            let error = target(file, environment.unwrap_or_default()).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{file}: {error}");
        }
    }

    #[tokio::test]
    async fn objects_lie_below_the_prefix_and_another_bucket_of_it_finds_them() {
        let Some(storage) = S3::start_or_skip() else { return };
        storage.make_bucket("photos");
        let [one, other] = ["s3://photos/of/tolmach/", "s3://photos/of/tolmach"]
            .map(|url| bucket(&storage, url, "30s"));
        one.put("ab/abcd", Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(storage.keys("photos"), ["of/tolmach/ab/abcd"]);
        assert_eq!(other.get("ab/abcd").await, Ok(Some(Bytes::from_static(b"content"))));
        assert_eq!(bucket(&storage, "s3://photos", "30s").get("ab/abcd").await, Ok(None));
    }

    #[tokio::test]
    async fn storage_that_is_down_or_silent_is_an_error_in_time_and_what_it_keeps_is_there_again_later()
     {
        let Some(storage) = S3::start_or_skip() else { return };
        storage.make_bucket("photos");
        let (blobs, hasty) =
            (bucket(&storage, "s3://photos", "30s"), bucket(&storage, "s3://photos", "300ms"));
        let content = Bytes::from_static(b"content");
        let recovers = async || while hasty.get("ab/abcd").await != Ok(Some(content.clone())) {};
        blobs.put("ab/abcd", content.clone()).await.unwrap();
        recovers().await;
        storage.pause();
        for error in [
            hasty.get("ab/abcd").await.unwrap_err(),
            hasty.put("ab/ef", Bytes::new()).await.unwrap_err(),
        ] {
            assert!(
                error.0.contains("of s3://photos at http://") && !error.0.contains("hunter2"),
                "{error}"
            );
        }
        storage.resume();
        recovers().await;
        storage.kill();
        assert!(hasty.get("ab/abcd").await.is_err() && hasty.delete("ab/abcd").await.is_err());
        storage.start_again();
        storage.make_bucket("photos");
        blobs.put("ab/abcd", content.clone()).await.unwrap();
        recovers().await;
    }

    #[tokio::test]
    async fn an_absent_bucket_is_a_mistake_and_no_absent_photo() {
        let Some(storage) = S3::start_or_skip() else { return };
        let blobs = bucket(&storage, "s3://photos", "30s");
        for error in [
            blobs.probe().await.unwrap_err(),
            blobs.put("ab/abcd", Bytes::new()).await.unwrap_err(),
        ] {
            assert!(error.0.contains("s3://photos at http://"), "{error}");
        }
        storage.make_bucket("photos");
        assert_eq!(blobs.probe().await, Ok(()));
    }

    #[test]
    fn no_description_shows_the_secret() {
        let options = options(
            "url = \"s3://photos\"\naccess_key_id = \"id\"\nsecret_access_key = \"hunter2\"",
        );
        assert_eq!(options.secret_access_key, Secret::new("hunter2"));
        let bucket = Bucket::parse(&options, AmazonS3Builder::new()).unwrap();
        assert!(!format!("{bucket:?} {}", bucket.name).contains("hunter2"));
    }

    #[tokio::test]
    async fn what_was_put_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || LocalBlobs::open(folder.path().join("photos")).unwrap();
        open().put("ab/abcd", Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(open().get("ab/abcd").await, Ok(Some(Bytes::from_static(b"content"))));
    }

    #[tokio::test]
    async fn no_key_leads_out_of_where_photos_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("abc"), "outside").unwrap();
        let local = LocalBlobs::open(folder.path().join("photos")).unwrap();
        let nowhere = options("url = \"s3://photos/of\"\nendpoint = \"http://127.0.0.1:1\"");
        let bucket = Bucket::parse(&nowhere, AmazonS3Builder::new()).unwrap();
        let long = "a".repeat(256);
        for blobs in [&local as &dyn Blobs, &bucket] {
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
                let refused = Err(PortError(format!("{key:?} is not the key of a blob")));
                assert_eq!(blobs.get(key).await.map(drop), refused);
                assert_eq!(blobs.put(key, Bytes::new()).await, refused);
                assert_eq!(blobs.delete(key).await, refused);
            }
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("abc")).unwrap(), "outside");
    }
}
