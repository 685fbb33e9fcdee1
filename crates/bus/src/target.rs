//! The address of a Redis.

use redis::cluster::ClusterClient;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// The schemes of a Redis's URL.
const SCHEMES: [&str; 3] = ["redis", "rediss", "unix"];

/// Error of a bus's URL. The URL is never shown: it may have a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The scheme is unknown.
    #[error("the URL of a Redis begins with redis://, rediss:// (TLS) or unix://")]
    Scheme,
    /// The URL is malformed.
    #[error(
        "the URL of the Redis is not one such as redis://user:password@host:6379/0; in a name or \
         password, write characters other than letters and digits as percent and two digits"
    )]
    Url,
    /// The URL turns off the verification of certificates.
    #[error(
        "TLS without verifying certificates is not served: name the root certificate in the file \
         that SSL_CERT_FILE names"
    )]
    Insecure,
    /// Several URLs without sharded channels.
    #[error(
        "{0} URLs are given; several nodes of a Redis Cluster may be named only where channels \
         are sharded, elsewhere name one"
    )]
    Several(usize),
    /// The URLs of a cluster's nodes differ in user, password or scheme, or name a database.
    #[error(
        "the URLs of a Redis Cluster must be of redis:// or rediss:// alike, with one user, one \
         password and the database 0"
    )]
    Cluster,
}

/// The address of a Redis.
pub(crate) enum Target {
    /// One server.
    Server(Box<ConnectionInfo>),
    /// Nodes of a cluster.
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Parses one URL, or several separated by commas.
    pub(crate) fn parse(urls: &str, sharded: bool) -> Result<Self, OpenError> {
        let nodes: Vec<ConnectionInfo> =
            urls.split(',').map(|url| parse_url(url.trim())).collect::<Result<_, _>>()?;
        if nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. })) {
            // rustls has no default provider where a binary compiles two; an earlier choice stands.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        if sharded {
            ClusterClient::new(nodes.clone()).map_err(|_| OpenError::Cluster)?;
            if nodes.iter().any(|node| node.redis_settings().db() != 0) {
                return Err(OpenError::Cluster);
            }
            return Ok(Self::Cluster(nodes));
        }
        let count = nodes.len();
        let mut nodes = nodes.into_iter();
        match (nodes.next(), nodes.next()) {
            (Some(node), None) => Ok(Self::Server(Box::new(node))),
            _ => Err(OpenError::Several(count)),
        }
    }
}

impl std::fmt::Display for Target {
    /// The addresses of the servers, without users and passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes = match self {
            Self::Server(node) => std::slice::from_ref(&**node),
            Self::Cluster(nodes) => nodes,
        };
        for (index, node) in nodes.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}{}", node.addr())?;
        }
        Ok(())
    }
}

fn parse_url(url: &str) -> Result<ConnectionInfo, OpenError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !SCHEMES.contains(&scheme) {
        return Err(OpenError::Scheme);
    }
    let info = url.into_connection_info().map_err(|_| OpenError::Url)?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(OpenError::Insecure);
    }
    // Only this version of the protocol sends published messages between the replies.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_url_is_refused_and_not_shown() {
        for (urls, sharded, expected) in [
            ("", false, Some(OpenError::Scheme)),
            ("hunter2", false, Some(OpenError::Scheme)),
            ("http://:hunter2@host", false, Some(OpenError::Scheme)),
            ("redis://:hunter2/@host", false, Some(OpenError::Url)),
            ("redis://:hunter2@host/hunter2", false, Some(OpenError::Url)),
            ("redis://:hunter2@host?protocol=hunter2", false, Some(OpenError::Url)),
            ("rediss://:hunter2@host#insecure", false, Some(OpenError::Insecure)),
            ("redis://:hunter2@a,redis://:hunter2@b", false, Some(OpenError::Several(2))),
            ("redis://:hunter2@a,redis://:hunter3@b", true, Some(OpenError::Cluster)),
            ("redis://:hunter2@a/3", true, Some(OpenError::Cluster)),
            ("unix:///hunter2", true, Some(OpenError::Cluster)),
            ("redis://a, redis://b:1", true, None),
            ("redis://user:hunter2@host:1/3", false, None),
            ("rediss://user:hunter2@host", false, None),
            ("unix:///run/redis?pass=hunter2", false, None),
        ] {
            let target = Target::parse(urls, sharded);
            let shown = target.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            assert!(!shown.contains("hunter"), "{shown}");
            assert_eq!(target.err(), expected, "{urls}");
        }
    }

    #[test]
    fn a_target_is_displayed_by_its_addresses() {
        for (urls, expected) in [
            ("redis://user:word@host", "host:6379"),
            ("redis://:word@a:1,redis://:word@b:2", "a:1, b:2"),
        ] {
            assert_eq!(
                Target::parse(urls, true).unwrap_or_else(|error| panic!("{error}")).to_string(),
                expected
            );
        }
    }
}
