//! A connection to Redis: to one server, or to the nodes of a Redis Cluster.

use crate::channels::{Channels, Place};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisError, RedisResult,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(1_500);

/// The schemes of a Redis's URL.
const SCHEMES: [&str; 3] = ["redis", "rediss", "unix"];

/// Why a bus by Redis cannot be had with what it was given. The URL is never shown: it may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The scheme is another.
    #[error("the URL of a Redis begins with redis://, rediss:// (TLS) or unix://")]
    Scheme,
    /// The URL is not one.
    #[error(
        "the URL of the Redis is not one such as redis://user:password@host:6379/0; in a name or password, write characters other \
         than letters and digits as percent and two digits"
    )]
    Url,
    /// It asks not to verify certificates.
    #[error(
        "TLS without verifying certificates is not served: name the root certificate in the file that SSL_CERT_FILE names"
    )]
    Insecure,
    /// Several servers where one is meant.
    #[error(
        "{0} URLs are given; several nodes of a Redis Cluster may be named only where channels are sharded, elsewhere name one"
    )]
    Several(usize),
    /// The nodes of the cluster do not go together.
    #[error(
        "the URLs of a Redis Cluster must be of redis:// or rediss:// alike, with one user, one password and the database 0"
    )]
    Cluster,
}

/// Where Redis is.
pub(crate) enum Target {
    One(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Reads one URL, or several separated by commas.
    pub(crate) fn parse(urls: &str, sharded: bool) -> Result<Self, OpenError> {
        let nodes: Vec<ConnectionInfo> =
            urls.split(',').map(|url| parse(url.trim())).collect::<Result<_, _>>()?;
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
            (Some(node), None) => Ok(Self::One(Box::new(node))),
            _ => Err(OpenError::Several(count)),
        }
    }

    /// Connects; what Redis says of its own accord goes to `heard`, which must not wait.
    pub(crate) async fn connect(
        &self,
        heard: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Link, Broken> {
        let heard = move |push| {
            heard(push);
            Ok::<(), RedisError>(())
        };
        let connecting = async {
            match self {
                Self::One(node) => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT))
                        .set_response_timeout(Some(ANSWER))
                        .set_push_sender(heard);
                    let connection = Client::open((**node).clone())?
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?;
                    Ok(Link::One(connection))
                }
                Self::Cluster(nodes) => {
                    let client = ClusterClient::builder(nodes.clone())
                        .connection_timeout(CONNECT)
                        .response_timeout(ANSWER)
                        // Enough for a slot that has moved; whatever is worse, the whole link is
                        // made anew.
                        .retries(2)
                        .max_retry_wait(100)
                        .push_sender(heard)
                        .build()?;
                    Ok(Link::Cluster(client.get_async_connection().await?))
                }
            }
        };
        // The cluster's own limits are for each node.
        tokio::time::timeout(CONNECT + ANSWER, connecting).await.unwrap_or(Err(Broken::Silence))
    }
}

impl std::fmt::Display for Target {
    /// Names the servers, without users and passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes = match self {
            Self::One(node) => std::slice::from_ref(&**node),
            Self::Cluster(nodes) => nodes,
        };
        for (index, node) in nodes.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}{}", node.addr())?;
        }
        Ok(())
    }
}

fn parse(url: &str) -> Result<ConnectionInfo, OpenError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !SCHEMES.contains(&scheme) {
        return Err(OpenError::Scheme);
    }
    let info = url.into_connection_info().map_err(|_| OpenError::Url)?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(OpenError::Insecure);
    }
    // What is published comes in between the answers only in this version of the protocol.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// Why a connection is none, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// Redis or the library says so.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Nothing came of connecting in time.
    #[error("it does not answer")]
    Silence,
    /// It was closed by the other side.
    #[error("the connection was lost")]
    Lost,
}

/// A connection. Clones are the same connection; the last one dropped closes it.
#[derive(Clone)]
pub(crate) enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Subscribes to channels of one batch; returns when Redis has done so.
    pub(crate) async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.subscribe(channels).await,
            Self::Cluster(connection) => connection.ssubscribe(channels).await,
        }
    }

    /// The opposite of subscribing.
    pub(crate) async fn unsubscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.unsubscribe(channels).await,
            Self::Cluster(connection) => connection.sunsubscribe(channels).await,
        }
    }

    /// Publishes payloads in order, each to its places; returns when Redis has taken all of them.
    pub(crate) async fn publish(
        &self,
        channels: &Channels,
        payloads: &[(Vec<u8>, Vec<Place>)],
    ) -> RedisResult<()> {
        let command = if channels.are_sharded() { "SPUBLISH" } else { "PUBLISH" };
        let mut pipelines: BTreeMap<u16, Pipeline> = BTreeMap::new();
        for (payload, places) in payloads {
            for place in places {
                let pipeline = pipelines.entry(channels.shard(*place)).or_default();
                pipeline.cmd(command).arg(channels.name(*place)).arg(payload).ignore();
            }
        }
        try_join_all(pipelines.into_values().map(|pipeline| self.clone().execute(pipeline)))
            .await
            .map(drop)
    }

    async fn execute(self, pipeline: Pipeline) -> RedisResult<()> {
        match self {
            Self::One(mut connection) => pipeline.exec_async(&mut connection).await,
            Self::Cluster(mut connection) => pipeline.exec_async(&mut connection).await,
        }
    }

    /// Whether Redis is there: every node of it.
    pub(crate) async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self {
            Self::One(connection) => ping.exec_async(connection).await,
            Self::Cluster(connection) => ping.exec_async(connection).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_is_refused_without_being_shown() {
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
    fn servers_are_named_by_address() {
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
