//! HTTP requests, each to what answers its path.

use super::body::{leave_unread, read_body};
use super::exchange::exchange;
use super::own_pages::{own_page, readiness};
use super::response_budget::ResponseBudget;
use super::responses::{busy, error, no_place, upgrade_required};
use super::upgrade::{Upgrade, upgrade, upgrade_shared};
use crate::metrics;
use crate::pages::recover;
use crate::places::{Client, Place};
use crate::routes::RouteMatch;
use crate::state::ServerState;
use crate::traffic::TrafficMeter;
use crate::user_agent::user_agent;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HOST;
use http::{Request, Response, StatusCode, Version};
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
    let address = state.proxies.client(peer, request.headers());
    if !names_its_host(&request) {
        let (head, body) = request.into_parts();
        let response = error(StatusCode::BAD_REQUEST, "one Host header is expected");
        return leave_unread(&state.traffic, address, &head, body, response);
    }
    let path = request.uri().path().to_owned();
    let Ok(_of_request) = budget.begin(address, &request) else {
        let (head, body) = request.into_parts();
        return leave_unread(&state.traffic, address, &head, body, busy());
    };
    match Upgrade::of(&request) {
        Some(Ok(handshake)) => {
            let place = match place_of_websocket(&state, budget, address, request.version()) {
                Ok(place) => place,
                Err(response) => return *response,
            };
            let client = Client {
                user_agent: user_agent(request.headers()),
                ..Client::new(address, place, state.limits.first_proof_timeout)
            };
            match state.routes().find(&path) {
                RouteMatch::Dialect(dialect, _) => {
                    let dialect = dialect.clone();
                    upgrade(state, client, dialect, handshake, request).await
                }
                RouteMatch::Shared => upgrade_shared(state, client, handshake, request),
                RouteMatch::NotFound => not_found(),
            }
        }
        Some(Err(rejection)) => match state.routes().find(&path) {
            RouteMatch::Dialect(..) | RouteMatch::Shared => *rejection,
            RouteMatch::NotFound => not_found(),
        },
        None => respond_to_request(&state, budget, address, &path, request).await,
    }
}

/// The place of a WebSocket that a client begins; an error is the response to it.
fn place_of_websocket(
    state: &ServerState,
    budget: &ResponseBudget,
    address: IpAddr,
    version: Version,
) -> Result<Arc<Place>, Box<Response<Bytes>>> {
    // All clients behind a proxy that does not tell their addresses would count as one.
    let known = (!state.proxies.trusts(address)).then_some(address);
    budget.place().of_websocket(version, known).map_err(|reason| {
        metrics::connection_refused(reason.name());
        Box::new(no_place())
    })
}

/// Responds to a request that is no WebSocket handshake.
async fn respond_to_request(
    state: &ServerState,
    budget: &ResponseBudget,
    address: IpAddr,
    path: &str,
    request: Request<Incoming>,
) -> Response<Bytes> {
    state.traffic.admit_request(address).await;
    let own = match path {
        "/readyz" => Some(readiness(state).await),
        "/recover" if state.upstream.is_none() => {
            return recovery(state, budget, address, request).await;
        }
        path => own_page(state, path, request.method()),
    };
    let routes = state.routes();
    let response = match own {
        Some(response) => response,
        None => match routes.find(path) {
            RouteMatch::Dialect(dialect, Transport::Http) => {
                return exchange(state, budget, address, dialect, request).await;
            }
            RouteMatch::Dialect(_, Transport::WebSocket) | RouteMatch::Shared => upgrade_required(),
            RouteMatch::NotFound => not_found(),
        },
    };
    let (head, body) = request.into_parts();
    leave_unread(&state.traffic, address, &head, body, response)
}

/// The page of a mailed recovery link. The body of any request but its own form is left unread.
async fn recovery(
    state: &ServerState,
    budget: &ResponseBudget,
    address: IpAddr,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let (head, mut body) = request.into_parts();
    if !recover::reads_body(&head) {
        let request = Request::from_parts(head.clone(), Bytes::new());
        let response = recover::recover(&state.engine, request).await;
        return leave_unread(&state.traffic, address, &head, body, response);
    }
    let mut reservation = budget.account(address).reservation();
    let meter = TrafficMeter::new(state.traffic.clone(), address);
    let limit = state.http.body_timeout;
    match read_body(&mut body, MAX_FORM_BYTES, limit, &mut reservation, meter).await {
        Ok(form) => recover::recover(&state.engine, Request::from_parts(head, form)).await,
        Err(reason) => {
            metrics::body_rejected(reason.name());
            leave_unread(&state.traffic, address, &head, body, reason.response())
        }
    }
}

/// True if a request has one host: RFC 9112 section 3.2. Only HTTP/1.1 needs the header; a second
/// one is an attempt to have two servers read two hosts.
fn names_its_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

fn not_found() -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "there is nothing at this path")
}
