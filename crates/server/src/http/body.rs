//! Bodies of requests.

use super::responses::{busy, error};
use crate::memory_budget::Reservation;
use crate::traffic::{Traffic, TrafficMeter};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// The time for which the rest of a body that was rejected is received.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest rejected body, in bytes, after which the connection goes on.
const MAX_DISCARDED_BYTES: u64 = 64 << 10;
/// The first allocation for a body, in bytes. Every further one is twice as large.
const FIRST_ALLOCATION: usize = 4 << 10;

/// The reason why a body was not read to its end.
pub(super) enum BodyError {
    /// It is larger than this, in bytes.
    TooLarge(usize),
    /// It did not arrive in time.
    TooSlow,
    /// It broke off, or is malformed.
    Broken,
    /// Too much memory is held already.
    OverBudget,
}

impl BodyError {
    /// A short stable name, for metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            BodyError::TooLarge(_) => "too_large",
            BodyError::TooSlow => "too_slow",
            BodyError::Broken => "broken",
            BodyError::OverBudget => "over_budget",
        }
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        match self {
            BodyError::TooLarge(max_bytes) => error(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("the body may have at most {max_bytes} bytes"),
            ),
            BodyError::TooSlow => {
                error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
            }
            BodyError::Broken => error(StatusCode::BAD_REQUEST, "the body could not be read"),
            BodyError::OverBudget => busy(),
        }
    }
}

/// Reads a whole body of at most `max_bytes` within `limit`. Its memory is reserved as it arrives.
pub(super) async fn read_body(
    body: &mut Incoming,
    max_bytes: usize,
    limit: Duration,
    reservation: &mut Reservation,
    meter: TrafficMeter,
) -> Result<Bytes, BodyError> {
    // A body that is announced to be too large is not waited for.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(BodyError::TooLarge(max_bytes));
    }
    match timeout(limit, collect(body, max_bytes, reservation, meter)).await {
        Ok(collected) => collected,
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Copies a body into one buffer, which grows with what arrives: neither an announced length nor
/// tiny frames, each of which keeps the buffer alive that it was received into, take more memory
/// than twice the body.
async fn collect(
    body: &mut Incoming,
    max_bytes: usize,
    reservation: &mut Reservation,
    mut meter: TrafficMeter,
) -> Result<Bytes, BodyError> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let length = collected.len() + data.len();
        if length > max_bytes {
            return Err(BodyError::TooLarge(max_bytes));
        }
        if length > collected.capacity() {
            let capacity = length.next_power_of_two().clamp(FIRST_ALLOCATION, max_bytes);
            reservation.resize(capacity).map_err(|_| BodyError::OverBudget)?;
            collected.reserve_exact(capacity - collected.len());
        }
        collected.extend_from_slice(&data);
        let mut pause = meter.count(data.len());
        drop(data);
        while let Some(duration) = pause {
            sleep(duration).await;
            pause = meter.pause();
        }
    }
    Ok(collected.into())
}

/// Completes the response to a request whose body was not read, or not to its end.
///
/// Over HTTP/1.1 what is left of the body is received and dropped for some seconds: closing before
/// it has arrived would reset the connection, and the peer might never read the response. The
/// connection ends afterwards, unless the body is known to be small. Of large bodies only some of a
/// client's `address`, and of all, are received at a time; the others are left where they are for
/// those seconds. A peer that waits for leave to send its body (RFC 9110 section 10.1.1) gets none,
/// and over HTTP/2 only the stream is reset.
pub(super) fn leave_unread(
    traffic: &Arc<Traffic>,
    address: IpAddr,
    head: &Parts,
    mut body: Incoming,
    mut response: Response<Bytes>,
) -> Response<Bytes> {
    if body.is_end_stream() || head.version == Version::HTTP_2 {
        return response;
    }
    let waits = head.headers.contains_key(EXPECT);
    let is_large = body.size_hint().upper().is_none_or(|bytes| bytes > MAX_DISCARDED_BYTES);
    if waits || is_large {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if !waits {
        let traffic = traffic.clone();
        let discarding = async move {
            let _turn = match is_large {
                true => Some(traffic.discard_turn(address).await),
                false => None,
            };
            while let Some(Ok(_)) = body.frame().await {
                yield_now().await;
            }
        };
        tokio::spawn(timeout(DISCARD_TIMEOUT, discarding));
    }
    response
}
