//! TLS of the public listener (RFC 8446, RFC 5246), with a certificate that can be replaced while
//! the server runs.

use crate::sync::lock;
use http::HeaderValue;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use std::{fmt, io};
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;

/// The time between two looks for changed files.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// The protocols over TLS, in the order of preference (ALPN, RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The options of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The PEM file of the certificate, followed by those of its intermediate authorities.
    pub certificate: PathBuf,
    /// The PEM file of the certificate's private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// The time for which browsers are told to use TLS only (`Strict-Transport-Security`, RFC
    /// 6797). `None` tells them nothing.
    pub hsts_max_age: Option<Duration>,
}

/// The certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or it is no PEM file of this content.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key is of an unknown kind, or it is not the key of the certificate.
    #[error("the certificate and the key do not fit")]
    Pair(#[source] rustls::Error),
    /// No version of TLS can be served.
    #[error("TLS cannot be served")]
    Provider(#[source] rustls::Error),
}

/// TLS of a listener, versions 1.2 and 1.3, with HTTP/2 and HTTP/1.1. Clones share the
/// certificate.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
    /// The value of `Strict-Transport-Security`.
    hsts: Option<HeaderValue>,
}

/// The certificate that new connections get.
struct Certificate {
    options: TlsOptions,
    current: Mutex<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    /// The files when they were read last, whether or not their content was good.
    stamps: [Option<Stamp>; 2],
}

/// The time of a file's last change, and its length.
type Stamp = (SystemTime, u64);

impl Tls {
    /// Reads the certificate and its key.
    pub fn open(options: TlsOptions) -> Result<Self, TlsError> {
        let hsts = options.hsts_max_age.map(|age| {
            HeaderValue::from_str(&format!("max-age={}", age.as_secs()))
                .expect("digits are valid in a header")
        });
        let current =
            Mutex::new(Current { stamps: options.stamps(), key: Arc::new(options.read()?) });
        let certificate = Arc::new(Certificate { options, current });
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(TlsError::Provider)?
                .with_no_client_auth()
                .with_cert_resolver(certificate.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self(Arc::new(Inner { acceptor, certificate, hsts })))
    }

    /// Reads the files again. If they cannot be used, the error is logged and returned, and the
    /// certificate stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.0.certificate.reload()
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.0.acceptor
    }

    /// The value of `Strict-Transport-Security`.
    pub(crate) fn hsts(&self) -> Option<&HeaderValue> {
        self.0.hsts.as_ref()
    }

    /// Reads the files again whenever they have changed.
    pub(crate) async fn watch(self) {
        let mut interval = interval(WATCH_INTERVAL);
        loop {
            interval.tick().await;
            let certificate = self.0.certificate.clone();
            let look = move || {
                if certificate.has_changed() {
                    // It was logged.
                    let _ = certificate.reload();
                }
            };
            // Fails only if it panicked.
            if let Err(error) = spawn_blocking(look).await {
                tracing::error!(%error, "the certificate is no longer watched");
                return;
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.0.certificate.options).finish()
    }
}

impl Certificate {
    fn has_changed(&self) -> bool {
        self.options.stamps() != lock(&self.current).stamps
    }

    fn reload(&self) -> Result<(), TlsError> {
        // Taken before the files are read: a change in between is found by the next look.
        let stamps = self.options.stamps();
        let read = self.options.read();
        let mut current = lock(&self.current);
        current.stamps = stamps;
        match read {
            Ok(key) => {
                current.key = Arc::new(key);
                drop(current);
                tracing::info!("the certificate was read again");
                Ok(())
            }
            Err(error) => {
                drop(current);
                tracing::error!(
                    error = %tolmach_engine::ErrorChain(&error),
                    "the certificate cannot be used, the previous one stays"
                );
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("options", &self.options).finish()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(lock(&self.current).key.clone())
    }
}

impl TlsOptions {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let certificates = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(
                |chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) },
            )
            .map_err(|error| unreadable(&self.certificate, error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable(&self.key, error))?;
        CertifiedKey::from_der(certificates, key, &ring::default_provider()).map_err(TlsError::Pair)
    }
}

/// The error about a file. The library's own would quote a line of it, which may be of the key.
fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    let source = match error {
        pem::Error::Io(error) => error,
        pem::Error::NoItemsFound => {
            io::Error::new(io::ErrorKind::InvalidData, "there is no such section in this PEM file")
        }
        _ => io::Error::new(io::ErrorKind::InvalidData, "this is no PEM file"),
    };
    TlsError::File { path: path.to_owned(), source }
}
