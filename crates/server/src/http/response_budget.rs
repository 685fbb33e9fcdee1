//! Bounds on the responses of one HTTP connection.

use super::responses::error;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The most requests of one connection that are carried out at once, and thus the most responses
/// that wait for room.
const MAX_EXCHANGES: usize = 16;
/// The room for responses of one connection that its peer has not read, in bytes.
const MAX_UNREAD_BYTES: usize = 16 << 20;

/// A connection's share of [`crate::HttpOptions::max_connections`], held by all that serves it.
pub(crate) type ConnectionPermit = Arc<OwnedSemaphorePermit>;

/// Bounds on the responses of one HTTP connection: a peer that makes requests over HTTP/2 and reads
/// no response holds so much memory, and no more.
pub(crate) struct ResponseBudget {
    permit: ConnectionPermit,
    exchanges: Semaphore,
    unread_bytes: Arc<Semaphore>,
}

impl ResponseBudget {
    pub(crate) fn new(permit: ConnectionPermit) -> Self {
        Self {
            permit,
            exchanges: Semaphore::new(MAX_EXCHANGES),
            unread_bytes: Arc::new(Semaphore::new(MAX_UNREAD_BYTES)),
        }
    }

    pub(super) fn permit(&self) -> ConnectionPermit {
        self.permit.clone()
    }

    /// Carries out one request, and waits until there is room for its response. Before it is
    /// carried out, it waits at most for `limit`, because its body is held meanwhile.
    pub(super) async fn respond(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Response<Bytes>>,
    ) -> Response<Bytes> {
        let Ok(Ok(_permit)) = timeout(limit, self.exchanges.acquire()).await else {
            return error(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many responses of this connection wait to be read",
            );
        };
        let (head, body) = exchange.await.into_parts();
        // A response that is larger than the whole room passes when it is alone.
        let bytes = body.len().min(MAX_UNREAD_BYTES) as u32;
        let Ok(permit) = self.unread_bytes.clone().acquire_many_owned(bytes).await else {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        };
        Response::from_parts(head, Bytes::from_owner(UnreadBody { body, _permit: permit }))
    }
}

/// The body of a response, whose room is free again when the last of it was written.
struct UnreadBody {
    body: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for UnreadBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
