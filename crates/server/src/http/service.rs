//! HTTP requests, each to what answers its path.

use super::body::read_body;
use super::exchange::exchange;
use super::own_pages::{own_page, readiness};
use super::response_budget::ResponseBudget;
use super::responses::{error, upgrade_required};
use super::upgrade::{Upgrade, upgrade, upgrade_shared};
use crate::pages::recover::recover;
use crate::routes::RouteMatch;
use crate::state::ServerState;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tolmach_dialect::Transport;

/// The largest form of the server's own pages, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;

/// Responds to one request. `peer` is the address of the other end of the connection: the client,
/// or a proxy.
pub(crate) async fn serve_request(
    state: Arc<ServerState>,
    budget: Arc<ResponseBudget>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A panic is a defect of ours: it must cost this request, and no other.
    let response = AssertUnwindSafe(respond(state, &budget, peer, request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("a request panicked");
            error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        });
    Ok(response.map(Full::new))
}

async fn respond(
    state: Arc<ServerState>,
    budget: &ResponseBudget,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    let address = state.proxies.client(peer, request.headers());
    match Upgrade::of(&request) {
        Some(Ok(handshake)) => {
            let permit = budget.permit();
            match state.routes.find(&path) {
                RouteMatch::Dialect(dialect, _) => {
                    let dialect = dialect.clone();
                    upgrade(state, permit, address, dialect, handshake, request).await
                }
                RouteMatch::Shared => upgrade_shared(state, permit, address, handshake, request),
                RouteMatch::NotFound => not_found(),
            }
        }
        Some(Err(rejection)) => match state.routes.find(&path) {
            RouteMatch::Dialect(..) | RouteMatch::Shared => *rejection,
            RouteMatch::NotFound => not_found(),
        },
        None => respond_to_request(&state, budget, address, &path, request).await,
    }
}

/// Responds to a request that is no WebSocket handshake.
async fn respond_to_request(
    state: &ServerState,
    budget: &ResponseBudget,
    address: IpAddr,
    path: &str,
    request: Request<Incoming>,
) -> Response<Bytes> {
    if let Some(response) = own_page(state, path, request.method()) {
        return response;
    }
    let body_timeout = state.http.body_timeout;
    match path {
        "/readyz" => return readiness(state).await,
        "/recover" => {
            return match read_body(request, MAX_FORM_BYTES, body_timeout).await {
                Ok(request) => recover(&state.engine, request).await,
                Err(response) => response,
            };
        }
        _ => {}
    }
    match state.routes.find(path) {
        RouteMatch::Dialect(dialect, Transport::Http) => {
            match read_body(request, dialect.max_body_bytes, body_timeout).await {
                Ok(request) => {
                    let exchange = exchange(state, address, dialect, request);
                    budget.respond(state.keepalive.pong_timeout, exchange).await
                }
                Err(response) => response,
            }
        }
        RouteMatch::Dialect(_, Transport::WebSocket) | RouteMatch::Shared => upgrade_required(),
        RouteMatch::NotFound => not_found(),
    }
}

fn not_found() -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "there is nothing at this path")
}
