//! Options of a bucket, and the client that they make.

use crate::loopback::is_loopback;
use http::Uri;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, RetryConfig, StaticCredentialProvider};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::Secret;

/// The retries of one request, as far as its time allows.
const MAX_RETRIES: usize = 3;
/// The delay before the first retry; each further one is about twice as long.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Options of a [`PhotoBucket`](super::PhotoBucket). The environment, in AWS's own variables,
/// gives what is left out.
#[derive(Debug, Clone)]
pub struct BucketOptions {
    /// `s3://bucket` or `s3://bucket/prefix`. Secret because it may hold a password by mistake.
    pub url: Secret,
    /// The `http://` or `https://` address of the storage. Default: `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<Secret>,
    /// The region. Default: `AWS_REGION` or `AWS_DEFAULT_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// The key that signs requests. Default: `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY`, a
    /// web identity, or the role of the machine.
    pub credentials: Option<S3Credentials>,
    /// Allows an endpoint without TLS that is not this machine itself. Default: false.
    pub allow_http: bool,
    /// The time that one request may take, with its retries. Default: 2 s.
    pub timeout: Duration,
}

impl Default for BucketOptions {
    /// No bucket: `url` has to be set.
    fn default() -> Self {
        Self {
            url: Secret::new(""),
            endpoint: None,
            region: None,
            credentials: None,
            allow_http: false,
            timeout: Duration::from_secs(2),
        }
    }
}

/// A key that signs requests to object storage.
#[derive(Debug, Clone)]
pub struct S3Credentials {
    /// The id of the key.
    pub access_key_id: String,
    /// The secret of the key.
    pub secret_access_key: Secret,
}

/// Options that cannot be used. Quotes none of them, because one may hold a password by mistake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketOptionsError {
    /// The URL is malformed.
    #[error(
        "s3://bucket or s3://bucket/prefix is expected, with 3 to 63 letters, digits, `.`, `-` \
         and `_` for the bucket"
    )]
    Url,
    /// The endpoint is malformed.
    #[error("http:// or https:// with a host is expected, without user, password and query")]
    Endpoint,
    /// The endpoint has no TLS.
    #[error("photos would be sent unencrypted: https:// is expected, or `allow_http` = true")]
    PlainEndpoint,
    /// The client cannot be made.
    #[error("the client of the object storage cannot be made")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

/// The parts of a bucket.
pub(super) struct BucketParts {
    pub(super) storage: AmazonS3,
    pub(super) prefix: ObjectPath,
    /// Bucket, prefix and endpoint or region, for people.
    pub(super) name: String,
}

/// Makes the client of a bucket; `environment` has the options that are left out.
pub(super) fn build(
    options: &BucketOptions,
    environment: AmazonS3Builder,
) -> Result<BucketParts, BucketOptionsError> {
    // reqwest takes the provider of the process. An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (bucket, prefix) = parse_url(options.url.expose()).ok_or(BucketOptionsError::Url)?;
    let mut builder = environment.with_bucket_name(bucket);
    if let Some(S3Credentials { access_key_id, secret_access_key }) = &options.credentials {
        // Without a token: that of the environment belongs to the environment's key.
        let credential = AwsCredential {
            key_id: access_key_id.clone(),
            secret_key: secret_access_key.expose().to_owned(),
            token: None,
        };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    let mut location = region.map_or_else(String::new, |region| format!(" in {region}"));
    let endpoint = options.endpoint.as_ref().map(|endpoint| endpoint.expose().to_owned());
    let endpoint = endpoint
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint))
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let mut plain = false;
    if let Some(endpoint) = endpoint {
        plain = is_plain(&endpoint, options.allow_http)?;
        location = format!(" at {endpoint}");
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    let client = ClientOptions::new()
        .with_allow_http(plain)
        .with_timeout(options.timeout)
        .with_connect_timeout(options.timeout);
    let backoff = BackoffConfig {
        init_backoff: INITIAL_BACKOFF,
        max_backoff: options.timeout,
        ..BackoffConfig::default()
    };
    let retry = RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: options.timeout };
    let storage = builder
        .with_client_options(client)
        .with_retry(retry)
        // Photos are deleted one by one, and not every storage implements DeleteObjects.
        .with_disable_bulk_delete(true)
        .build()
        .map_err(|error| BucketOptionsError::Client(error.into()))?;
    let slash = if prefix.as_ref().is_empty() { "" } else { "/" };
    let name = format!("s3://{bucket}{slash}{prefix}{location}");
    Ok(BucketParts { storage, prefix, name })
}

/// The bucket and the prefix of `s3://bucket/prefix`.
fn parse_url(url: &str) -> Option<(&str, ObjectPath)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !is_bucket || prefix.contains(['?', '#', '@', '%']) {
        return None;
    }
    Some((bucket, ObjectPath::parse(prefix.trim_end_matches('/')).ok()?))
}

/// True if an endpoint has no TLS, which is allowed only to this machine itself unless
/// `allow_http`.
fn is_plain(endpoint: &str, allow_http: bool) -> Result<bool, BucketOptionsError> {
    let endpoint: Uri = endpoint.parse().map_err(|_| BucketOptionsError::Endpoint)?;
    let host = endpoint
        .authority()
        .filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
        .filter(|_| endpoint.query().is_none())
        .ok_or(BucketOptionsError::Endpoint)?
        .host();
    match endpoint.scheme_str() {
        Some("https") => Ok(false),
        Some("http") if allow_http || is_loopback(host) => Ok(true),
        Some("http") => Err(BucketOptionsError::PlainEndpoint),
        _ => Err(BucketOptionsError::Endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> BucketOptions {
        BucketOptions { url: Secret::new(url), ..BucketOptions::default() }
    }

    fn at(endpoint: &str) -> BucketOptions {
        BucketOptions { endpoint: Some(Secret::new(endpoint)), ..options("s3://photos") }
    }

    fn credentials() -> S3Credentials {
        S3Credentials { access_key_id: "id".into(), secret_access_key: Secret::new("hunter2") }
    }

    #[test]
    fn options_take_precedence_over_the_environment() {
        let bare = AmazonS3Builder::new;
        let environment = || {
            bare()
                .with_region("eu-north-1")
                .with_access_key_id("id")
                .with_secret_access_key("hunter2")
                .with_token("hunter2")
        };
        let elsewhere = || environment().with_endpoint("https://elsewhere.example.org");
        let with_credentials =
            BucketOptions { credentials: Some(credentials()), ..options("s3://photos") };
        let in_region =
            BucketOptions { region: Some("eu-west-1".into()), ..options("s3://photos/") };
        let plain = BucketOptions { allow_http: true, ..at("http://here") };
        for (options, environment, expected) in [
            (options("s3://photos"), bare(), "s3://photos"),
            (in_region, environment(), "s3://photos in eu-west-1"),
            (options("s3://photos/of/us/"), environment(), "s3://photos/of/us in eu-north-1"),
            (options("s3://photos"), elsewhere(), "s3://photos at https://elsewhere.example.org"),
            (with_credentials, elsewhere(), "s3://photos at https://elsewhere.example.org"),
            (at("https://here:9000"), elsewhere(), "s3://photos at https://here:9000"),
            (at("http://127.0.0.1:9000"), bare(), "s3://photos at http://127.0.0.1:9000"),
            (at("http://[::1]:9000"), bare(), "s3://photos at http://[::1]:9000"),
            (plain, bare(), "s3://photos at http://here"),
        ] {
            let name = build(&options, environment).map(|parts| parts.name);
            assert!(name.as_ref().is_ok_and(|name| name == expected), "{name:?}, not {expected}");
        }
    }

    #[test]
    fn malformed_options_are_errors_that_do_not_quote_them() {
        use BucketOptionsError::{Endpoint, PlainEndpoint, Url};
        let plain = AmazonS3Builder::new().with_endpoint("http://hunter2.example.org");
        for (options, environment, expected) in [
            (options("hunter2"), None, Url),
            (options("gs://hunter2"), None, Url),
            (options("s3://"), None, Url),
            (options("s3://ab"), None, Url),
            (options("s3://id:hunter2@photos"), None, Url),
            (options("s3://photos/a//b"), None, Url),
            (options("s3://photos/../b"), None, Url),
            (options("s3://photos?secret=hunter2"), None, Url),
            (options("s3://photos/a?secret=hunter2"), None, Url),
            (at("hunter2"), None, Endpoint),
            (at("ftp://hunter2"), None, Endpoint),
            (at("https://id:hunter2@host"), None, Endpoint),
            (at("https://host?hunter2"), None, Endpoint),
            (at("http://hunter2"), None, PlainEndpoint),
            (options("s3://photos"), Some(plain), PlainEndpoint),
        ] {
            let error = build(&options, environment.unwrap_or_default()).err();
            let text = error.map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(text.contains(&expected.to_string()), "{options:?}: {text}");
            assert!(!text.contains("hunter2"), "{options:?}: {text}");
        }
    }
}
