//! Targets of mail.

use crate::loopback::is_loopback;
use http::Uri;
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

/// A URL that names no target. Quotes nothing of it, because it may hold a password.
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
    /// except to this machine itself.
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
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| login);
        if login.is_some_and(|login| !login.contains(':')) {
            return Err(malformed());
        }
        let encryption = match (parsed.scheme_str(), is_loopback(host), login) {
            (Some("smtps"), ..) | (_, true, _) => "",
            (_, false, Some(_)) => "?tls=required",
            (_, false, None) => "?tls=opportunistic",
        };
        let url = format!("{}{encryption}", url.trim_end_matches('/'));
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url);
        let transport = builder.map_err(|_| malformed())?.timeout(Some(REPLY_TIMEOUT)).build();
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
}
