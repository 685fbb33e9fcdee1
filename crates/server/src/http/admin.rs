//! The pages of the admin listener, and the responses where every place is taken.

use super::own_pages::{health, metrics, read_only, readiness};
use super::responses::{error, no_place};
use crate::state::ServerState;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;

/// Responds to a request to the admin listener.
pub(crate) async fn serve_admin_request(
    state: Arc<ServerState>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let page = match request.uri().path() {
        "/metrics" => metrics(&state),
        path => health_page(&state, path).await,
    };
    let not_found = || error(StatusCode::NOT_FOUND, "there is nothing at this path");
    Ok(page.map_or_else(not_found, |page| read_only(request.method(), page)).map(Full::new))
}

/// Responds to the only request of a connection that has got no place: with the health pages, and
/// to all others that there is none.
pub(crate) async fn serve_without_place(
    state: Arc<ServerState>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match health_page(&state, request.uri().path()).await {
        Some(page) => read_only(request.method(), page),
        None => no_place(),
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response.map(Full::new))
}

async fn health_page(state: &ServerState, path: &str) -> Option<Response<Bytes>> {
    match path {
        "/healthz" => Some(health()),
        "/readyz" => Some(readiness(state).await),
        _ => None,
    }
}
