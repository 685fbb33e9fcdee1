//! The server's own pages.

use super::responses::{error, text};
use crate::state::ServerState;
use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Response, StatusCode};
use tolmach_engine::ErrorChain;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The page at `path`, if it is one of the server's own or a document of a dialect.
pub(super) fn own_page(
    state: &ServerState,
    path: &str,
    method: &Method,
) -> Option<Response<Bytes>> {
    let response = match path {
        "/healthz" => health(),
        path => {
            let document = state.routes().document(path)?;
            text(StatusCode::OK, document.media_type, (document.content)())
        }
    };
    Some(read_only(method, response))
}

/// A page that can only be read.
pub(super) fn read_only(method: &Method, page: Response<Bytes>) -> Response<Bytes> {
    if *method == Method::GET || *method == Method::HEAD {
        return page;
    }
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The health page: the process runs.
pub(super) fn health() -> Response<Bytes> {
    text(StatusCode::OK, PLAIN, "ok\n")
}

/// The page of metrics, if there are any.
pub(super) fn metrics(state: &ServerState) -> Option<Response<Bytes>> {
    let metrics = state.metrics.as_ref()?.render();
    Some(text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics))
}

/// The readiness page: requests can be served if the store answers, or the upstream in
/// its place, and the server is not draining.
pub(super) async fn readiness(state: &ServerState) -> Response<Bytes> {
    if state.is_draining() {
        return text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "draining\n");
    }
    if let Some(upstream) = &state.upstream {
        return match upstream.last_error() {
            None => text(StatusCode::OK, PLAIN, "ready\n"),
            Some(problem) => {
                let page = format!("the upstream does not answer: {problem}\n");
                text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, page)
            }
        };
    }
    match state.engine.ready().await {
        // Without the bus, requests are served all the same, and the events of other nodes are read
        // from the store. Other nodes are no better off.
        Ok(()) => match state.bus.last_error() {
            None => text(StatusCode::OK, PLAIN, "ready\n"),
            Some(error) => {
                text(StatusCode::OK, PLAIN, format!("ready, but the bus is down: {error}\n"))
            }
        },
        Err(error) => {
            tracing::warn!(error = %ErrorChain(&error), "not ready");
            text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "the store does not answer\n")
        }
    }
}
