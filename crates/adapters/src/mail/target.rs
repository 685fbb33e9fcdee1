//! Targets of mail.

use crate::loopback::is_loopback;
use http::Uri;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tolmach_domain::Secret;

/// The time that the server may take for each of its replies.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// The target of mail.
#[derive(Debug, Clone)]
pub enum MailTarget {
    /// A folder, where each mail becomes a file.
    Folder(PathBuf),
    /// A mail server.
    Smtp(SmtpServer),
}

/// A mail server, as its URL names it.
#[derive(Clone)]
pub struct SmtpServer {
    /// Host and port, for people.
    pub(super) name: String,
    pub(super) transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// A URL that names no target. The message never contains the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailUrlError {
    /// The scheme is unknown, or the path of a folder is relative.
    #[error(
        "folder:///path, smtp://user:password@host:port or smtps://user:password@host:port is \
         expected"
    )]
    Scheme,
    /// The part after the scheme is malformed.
    #[error(
        "user:password@host:port is expected after ://, with percent-encoding (RFC 3986 section \
         2.1) for reserved characters"
    )]
    Server,
}

impl MailTarget {
    /// Reads a URL: `folder:///path`, `smtp://…` or `smtps://…`. With `smtp://` a connection is
    /// encrypted (STARTTLS) where the server offers it, and always where there is a password,
    /// except to a loopback address.
    ///
    /// ```
    /// use tolmach_adapters::MailTarget;
    /// use tolmach_domain::Secret;
    ///
    /// let target = MailTarget::parse(&Secret::new("folder:///var/spool/chat"))?;
    /// assert_eq!(target.to_string(), "files in /var/spool/chat");
    /// # Ok::<(), tolmach_adapters::MailUrlError>(())
    /// ```
    pub fn parse(url: &Secret) -> Result<Self, MailUrlError> {
        let url = url.expose();
        match url.split_once("://") {
            Some(("folder", path)) if Path::new(path).is_absolute() => {
                Ok(Self::Folder(path.into()))
            }
            Some(("smtp" | "smtps", _)) => SmtpServer::parse(url).map(Self::Smtp),
            _ => Err(MailUrlError::Scheme),
        }
    }
}

impl fmt::Display for MailTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "files in {}", path.display()),
            Self::Smtp(server) => write!(formatter, "the server {}", server.name),
        }
    }
}

impl SmtpServer {
    fn parse(url: &str) -> Result<Self, MailUrlError> {
        let malformed = || MailUrlError::Server;
        let parsed: Uri = url.parse().map_err(|_| malformed())?;
        let authority = parsed.authority().ok_or_else(malformed)?;
        let host = authority.host();
        if host.is_empty() || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
            return Err(malformed());
        }
        if login(&parsed).is_some_and(|login| !login.contains(':')) {
            return Err(malformed());
        }
        let encryption = Encryption::of(&parsed);
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| malformed())?
            .tls(encryption.tls(host).map_err(|_| malformed())?)
            .port(authority.port_u16().unwrap_or(encryption.default_port()))
            .timeout(Some(REPLY_TIMEOUT))
            .build();
        let port = authority.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(Self { name: format!("{host}{port}"), transport })
    }
}

impl fmt::Debug for SmtpServer {
    /// Shows no password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SmtpServer").field(&self.name).finish()
    }
}

/// The encryption of connections to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    None,
    /// STARTTLS where the server offers it.
    Opportunistic,
    /// STARTTLS, or no mail.
    Required,
    /// TLS from the first byte (`smtps`).
    Implicit,
}

impl Encryption {
    fn of(url: &Uri) -> Self {
        if url.scheme_str() == Some("smtps") {
            Self::Implicit
        } else if url.host().is_some_and(is_loopback) {
            Self::None
        } else if login(url).is_some() {
            Self::Required
        } else {
            Self::Opportunistic
        }
    }

    fn tls(self, host: &str) -> Result<Tls, Error> {
        let parameters = || TlsParameters::new(host.into());
        Ok(match self {
            Self::None => Tls::None,
            Self::Opportunistic => Tls::Opportunistic(parameters()?),
            Self::Required => Tls::Required(parameters()?),
            Self::Implicit => Tls::Wrapper(parameters()?),
        })
    }

    fn default_port(self) -> u16 {
        match self {
            Self::None => SMTP_PORT,
            Self::Opportunistic | Self::Required => SUBMISSION_PORT,
            Self::Implicit => SUBMISSIONS_PORT,
        }
    }
}

/// The user and password of a URL, as it spells them.
fn login(url: &Uri) -> Option<&str> {
    let (login, _host) = url.authority()?.as_str().rsplit_once('@')?;
    Some(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_names_one_target_and_is_never_quoted() {
        for (url, expected) in [
            ("", None),
            ("folder:///var/mail", Some("files in /var/mail")),
            ("folder://var/mail", None),
            ("folder:", None),
            ("smtp://localhost", Some("the server localhost")),
            ("smtp://mail.example.org", Some("the server mail.example.org")),
            ("smtp://a:p%40ss@mail.example.org:587", Some("the server mail.example.org:587")),
            ("smtps://a:hunter2@mail.example.org:465/", Some("the server mail.example.org:465")),
            ("smtp://a@mail.example.org", None),
            ("smtp://a:hunter2@", None),
            ("smtp://", None),
            ("smtp://a:hunter2 @mail.example.org", None),
            ("smtp://mail.example.org/path", None),
            ("smtp://mail.example.org?tls=none", None),
            ("smtp://mail.example.org:99999", None),
            ("http://hunter2", None),
            ("hunter2", None),
        ] {
            match (MailTarget::parse(&Secret::new(url)), expected) {
                (Ok(target), expected) => {
                    assert_eq!(Some(target.to_string().as_str()), expected, "{url}");
                    assert!(!format!("{target:?}").contains("hunter2"), "{url}");
                }
                (Err(error), None) => assert!(
                    !error.to_string().contains("hunter2")
                        && error.to_string().contains("expected"),
                    "{url}: {error}"
                ),
                (Err(error), Some(_)) => panic!("{url}: {error}"),
            }
        }
    }

    #[tokio::test]
    async fn encryption_follows_from_the_scheme_the_host_and_the_password() {
        use Encryption::{Implicit, None, Opportunistic, Required};
        for (url, encryption, port) in [
            ("smtp://localhost", None, 25),
            ("smtp://a:b@127.0.0.1", None, 25),
            ("smtp://[::1]/", None, 25),
            ("smtp://mail.example.org", Opportunistic, 587),
            ("smtp://a:b@mail.example.org/", Required, 587),
            ("smtps://mail.example.org", Implicit, 465),
            ("smtps://a:b@mail.example.org", Implicit, 465),
            ("smtps://localhost", Implicit, 465),
        ] {
            let parsed = url.parse().unwrap();
            assert_eq!(Encryption::of(&parsed), encryption, "{url}");
            assert_eq!(encryption.default_port(), port, "{url}");
            assert!(
                matches!(
                    (encryption, encryption.tls(parsed.host().unwrap()).unwrap()),
                    (None, Tls::None)
                        | (Opportunistic, Tls::Opportunistic(_))
                        | (Required, Tls::Required(_))
                        | (Implicit, Tls::Wrapper(_))
                ),
                "{url}"
            );
            let base = url.trim_end_matches('/');
            MailTarget::parse(&Secret::new(base)).unwrap();
            for explicit in ["none", "opportunistic", "required"] {
                let url = format!("{base}?tls={explicit}");
                let refused = MailTarget::parse(&Secret::new(&url));
                assert!(matches!(refused, Err(MailUrlError::Server)), "{url}");
            }
        }
    }
}
