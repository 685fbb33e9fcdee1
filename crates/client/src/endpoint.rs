//! Addresses of servers, and streams to them.

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The address of a server, as its URL has it: `ws://host:port/path`, `wss://`, `http://` or
/// `https://`; `tcp://host:port` or `tls://host:port` for a raw stream.
///
/// ```
/// let endpoint: tolmach_client::Endpoint = "wss://chat.example/ws".parse()?;
/// assert_eq!(endpoint.authority(), "chat.example");
/// assert_eq!(endpoint.path(), Some("/ws"));
/// assert!("ftp://chat.example".parse::<tolmach_client::Endpoint>().is_err());
/// # Ok::<(), tolmach_client::InvalidEndpoint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    is_secure: bool,
    is_raw: bool,
    host: String,
    port: u16,
    /// Without the port where it is the scheme's own.
    authority: String,
    path: Option<String>,
}

/// The text is no URL of a server.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no address of the form ws://host:port, wss://, http://, https:// or tcp://")]
pub struct InvalidEndpoint {
    text: String,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        Self::read(text).ok_or_else(|| InvalidEndpoint { text: text.to_owned() })
    }
}

impl From<SocketAddr> for Endpoint {
    /// Without TLS, at the paths that each dialect has.
    fn from(address: SocketAddr) -> Self {
        Self {
            is_secure: false,
            is_raw: false,
            host: address.ip().to_string(),
            port: address.port(),
            authority: address.to_string(),
            path: None,
        }
    }
}

impl Endpoint {
    fn read(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let (is_secure, own_port) = match uri.scheme_str()? {
            "ws" | "http" => (false, Some(80)),
            "wss" | "https" => (true, Some(443)),
            "tcp" => (false, None),
            "tls" => (true, None),
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || uri.query().is_some() {
            return None;
        }
        Some(Self {
            is_secure,
            is_raw: own_port.is_none(),
            host: host.to_owned(),
            port: authority.port_u16().or(own_port)?,
            authority: authority.as_str().to_owned(),
            path: Some(uri.path().to_owned()).filter(|path| path != "/"),
        })
    }

    /// True if it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// True if its frames are values on a raw stream.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// The host, and the port where the URL has one.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path of the URL; `None` where it has none but `/`.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Opens a stream to it.
    pub async fn connect(&self, trust: &Trust) -> io::Result<Stream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Each message is written at once. Fails only if the connection has ended.
        let _ = stream.set_nodelay(true);
        if !self.is_secure {
            return Ok(Stream(Inner::Plain(stream)));
        }
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(trust.0.clone()).connect(name, stream).await?;
        Ok(Stream(Inner::Tls(Box::new(stream))))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.is_raw, self.is_secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "tcp",
            (true, true) => "tls",
        };
        let path = self.path.as_deref().unwrap_or_default();
        write!(formatter, "{scheme}://{}{path}", self.authority)
    }
}

/// The certificates that servers are trusted by.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

/// A file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read, or is not PEM.
    #[error("the file of certificates cannot be read")]
    File(#[source] rustls::pki_types::pem::Error),
    /// One of its certificates is not valid.
    #[error("a certificate is not valid")]
    Certificate(#[source] rustls::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl Trust {
    /// The certificate authorities that browsers trust and, with a file of PEM certificates, those
    /// in it too.
    pub fn new(own: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(path) = own {
            for certificate in CertificateDer::pem_file_iter(path).map_err(TrustError::File)? {
                let certificate = certificate.map_err(TrustError::File)?;
                roots.add(certificate).map_err(TrustError::Certificate)?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Tls)?;
        Ok(Self(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Trust")
    }
}

/// A stream to a server, with or without TLS.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Inner::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_port_and_a_path() {
        for (text, expected) in [
            ("ws://chat.example", Some((false, "chat.example", 80, None))),
            ("https://chat.example:8443/", Some((true, "chat.example", 8443, None))),
            ("wss://chat.example/ws/", Some((true, "chat.example", 443, Some("/ws/")))),
            ("http://[::1]:80/a/b", Some((false, "::1", 80, Some("/a/b")))),
            ("ws://user@chat.example", None),
            ("ws://chat.example?token=1", None),
            ("tcp://chat.example:9090", Some((false, "chat.example", 9090, None))),
            ("tcp://chat.example", None),
            ("chat.example", None),
            ("", None),
        ] {
            let found = text.parse::<Endpoint>().ok();
            let found = found.as_ref().map(|endpoint| {
                (endpoint.is_secure, endpoint.host.as_str(), endpoint.port, endpoint.path())
            });
            assert_eq!(found, expected, "{text}");
        }
    }
}
