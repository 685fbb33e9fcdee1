//! A connection to Redis: to one server, or to the nodes of a Redis Cluster.

use crate::channels::{Channels, Destination};
use crate::target::Target;
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, RedisError, RedisResult};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Error of a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// Redis or its library reports an error.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Connecting took too long.
    #[error("it does not answer")]
    Timeout,
    /// The connection was closed by the server.
    #[error("the connection was lost")]
    Lost,
}

/// A connection. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub(crate) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects. Push messages go to `on_push`, which must not wait.
    pub(crate) async fn open(
        target: &Target,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Self, ConnectionError> {
        let on_push = move |push| {
            on_push(push);
            Ok::<(), RedisError>(())
        };
        let connecting = async {
            match target {
                Target::Server(server) => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT_TIMEOUT))
                        .set_response_timeout(Some(REPLY_TIMEOUT))
                        .set_push_sender(on_push);
                    let connection = Client::open((**server).clone())?
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?;
                    Ok(Self::Server(connection))
                }
                Target::Cluster(nodes) => {
                    let client = ClusterClient::builder(nodes.clone())
                        .connection_timeout(CONNECT_TIMEOUT)
                        .response_timeout(REPLY_TIMEOUT)
                        // Enough for a slot that moved; after other errors the whole connection is
                        // made anew.
                        .retries(2)
                        .max_retry_wait(100)
                        .push_sender(on_push)
                        .build()?;
                    Ok(Self::Cluster(client.get_async_connection().await?))
                }
            }
        };
        // The limits of the cluster's client are for each node.
        tokio::time::timeout(CONNECT_TIMEOUT + REPLY_TIMEOUT, connecting)
            .await
            .unwrap_or(Err(ConnectionError::Timeout))
    }

    /// Subscribes to channels of one shard; returns when Redis has done so.
    pub(crate) async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        match self {
            Self::Server(connection) => connection.subscribe(channels).await,
            Self::Cluster(connection) => connection.ssubscribe(channels).await,
        }
    }

    /// Unsubscribes from channels of one shard; returns when Redis has done so.
    pub(crate) async fn unsubscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        match self {
            Self::Server(connection) => connection.unsubscribe(channels).await,
            Self::Cluster(connection) => connection.sunsubscribe(channels).await,
        }
    }

    /// Publishes payloads in order, each to its destinations; returns when Redis has all of them.
    pub(crate) async fn publish(
        &self,
        channels: &Channels,
        payloads: &[(Vec<u8>, Vec<Destination>)],
    ) -> RedisResult<()> {
        let command = if channels.are_sharded() { "SPUBLISH" } else { "PUBLISH" };
        let mut pipelines: BTreeMap<u16, Pipeline> = BTreeMap::new();
        for (payload, destinations) in payloads {
            for destination in destinations {
                let pipeline = pipelines.entry(channels.shard(*destination)).or_default();
                pipeline.cmd(command).arg(channels.name(*destination)).arg(payload).ignore();
            }
        }
        try_join_all(pipelines.into_values().map(|pipeline| self.clone().execute(pipeline)))
            .await
            .map(drop)
    }

    /// Succeeds if Redis answers, each of its nodes.
    pub(crate) async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self {
            Self::Server(connection) => ping.exec_async(connection).await,
            Self::Cluster(connection) => ping.exec_async(connection).await,
        }
    }

    async fn execute(self, pipeline: Pipeline) -> RedisResult<()> {
        match self {
            Self::Server(mut connection) => pipeline.exec_async(&mut connection).await,
            Self::Cluster(mut connection) => pipeline.exec_async(&mut connection).await,
        }
    }
}
