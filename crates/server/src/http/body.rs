//! Bodies of requests.

use super::responses::error;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use std::time::Duration;
use tokio::time::timeout;

/// The time for which the rest of a body that was rejected is read.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a whole body of at most `max_bytes` within `limit`. An error is the response to send.
pub(super) async fn read_body(
    request: Request<Incoming>,
    max_bytes: usize,
    limit: Duration,
) -> Result<Request<Bytes>, Response<Bytes>> {
    let (parts, mut body) = request.into_parts();
    // A body that is announced to be too large is not waited for.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large(body, max_bytes));
    }
    match timeout(limit, Limited::new(&mut body, max_bytes).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.to_bytes())),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(too_large(body, max_bytes)),
        Ok(Err(_)) => Err(error(StatusCode::BAD_REQUEST, "the body could not be read")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

/// Rejects a body, and everything later on its connection. The rest of the body is read and
/// dropped: closing before it has arrived would reset the connection, and the peer might never read
/// why.
fn too_large(mut body: Incoming, max_bytes: usize) -> Response<Bytes> {
    let discarding = async move { while let Some(Ok(_)) = body.frame().await {} };
    tokio::spawn(timeout(DISCARD_TIMEOUT, discarding));
    let mut response = error(
        StatusCode::PAYLOAD_TOO_LARGE,
        &format!("the body may have at most {max_bytes} bytes"),
    );
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
