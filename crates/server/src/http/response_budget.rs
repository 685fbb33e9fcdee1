//! Bounds on what one HTTP connection makes the process hold.

use super::accounts::Accounts;
use super::responses::{busy, error};
use crate::memory_budget::{Account, MemoryBudget, OverBudget, Reservation};
use crate::places::Place;
use crate::request_head;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The most requests of one connection that are carried out at once, and thus the most responses
/// that wait for room.
const MAX_EXCHANGES: usize = 16;
/// The room for responses of one connection that its peer has not read, in bytes.
const MAX_UNREAD_BYTES: usize = 16 << 20;

/// The largest response, and the largest request over HTTP/1.1, in bytes, that is not counted in
/// the budget of memory.
const MAX_UNCOUNTED_BYTES: usize = 4 << 10;
/// The memory of a request beside its head and its body, in bytes.
const REQUEST_BYTES: usize = 4 << 10;

/// Bounds on what one HTTP connection makes the process hold: a peer that makes requests over
/// HTTP/2 and reads no response holds so much memory, and no more.
pub(crate) struct ResponseBudget {
    place: Arc<Place>,
    accounts: Accounts,
    exchanges: Semaphore,
    unread_bytes: Arc<Semaphore>,
}

impl ResponseBudget {
    pub(crate) fn new(place: Arc<Place>, memory: Arc<MemoryBudget>) -> Self {
        Self {
            place,
            accounts: Accounts::new(memory),
            exchanges: Semaphore::new(MAX_EXCHANGES),
            unread_bytes: Arc::new(Semaphore::new(MAX_UNREAD_BYTES)),
        }
    }

    /// The place of the connection.
    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// The account of a client in the budget of memory.
    pub(super) fn account(&self, client: IpAddr) -> Arc<Account> {
        self.accounts.of(client)
    }

    /// Reserves what a request makes the process hold until it is answered, without its body. One
    /// of HTTP/2 is one of many on its connection, and so always counts.
    pub(super) fn begin<B>(
        &self,
        client: IpAddr,
        request: &Request<B>,
    ) -> Result<Option<Reservation>, OverBudget> {
        let of_head = request_head::size(request.uri(), request.headers());
        if request.version() != Version::HTTP_2 && of_head <= MAX_UNCOUNTED_BYTES {
            return Ok(None);
        }
        self.account(client).reserve(of_head + REQUEST_BYTES).map(Some)
    }

    /// Waits until the connection has to end because it holds too much memory. One task at a time
    /// may wait.
    pub(crate) fn evicted(&self) -> impl Future<Output = ()> {
        self.accounts.evicted()
    }

    /// Carries out one request, and waits until there is room for its response. Before it is
    /// carried out, it waits at most for `limit`, because its body is held meanwhile.
    pub(super) async fn respond<F: Future<Output = Response<Bytes>>>(
        &self,
        limit: Duration,
        client: IpAddr,
        exchange: impl FnOnce() -> F,
    ) -> Response<Bytes> {
        let Ok(Ok(_permit)) = timeout(limit, self.exchanges.acquire()).await else {
            return error(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many responses of this connection wait to be read",
            );
        };
        // Boxed: a request that waits for its body, or for its turn, has no memory for it.
        let (head, body) = Box::pin(exchange()).await.into_parts();
        let reservation = match body.len() {
            0..=MAX_UNCOUNTED_BYTES => None,
            bytes => match self.account(client).reserve(bytes) {
                Ok(reservation) => Some(reservation),
                Err(_) => return busy(),
            },
        };
        // A response that is larger than the whole room passes when it is alone.
        let bytes = body.len().min(MAX_UNREAD_BYTES) as u32;
        let Ok(permit) = self.unread_bytes.clone().acquire_many_owned(bytes).await else {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        };
        Response::from_parts(
            head,
            Bytes::from_owner(UnreadBody { body, _permit: permit, _reservation: reservation }),
        )
    }
}

/// The body of a response, whose room is free again when the last of it was written.
struct UnreadBody {
    body: Bytes,
    _permit: OwnedSemaphorePermit,
    _reservation: Option<Reservation>,
}

impl AsRef<[u8]> for UnreadBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
