//! One connection with HTTP on it, until it ends or becomes a WebSocket.

use crate::drain::Drain;
use crate::http::{ResponseBudget, serve_admin_request, serve_request, serve_without_place};
use crate::places::Place;
use crate::state::ServerState;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY};
use http::{Method, Response};
use http_body_util::Full;
use hyper::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The largest head of an HTTP request, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The bytes that the peer of an HTTP/2 connection may send before they are read: over one stream,
/// and over all.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// The bytes that one stream of an HTTP/2 connection may have written before its peer takes them.
const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;

/// Serves HTTP. `peer` is the address of the other end: the client, or a proxy.
pub(crate) async fn serve_http<S>(
    state: Arc<ServerState>,
    stream: S,
    peer: IpAddr,
    place: Arc<Place>,
    drain: Drain,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header_timeout = state.http.header_timeout;
    let proof_deadline = Instant::now() + state.limits.first_proof_timeout;
    let builder = http_builder(&state);
    let received = Arc::new(AtomicBool::new(false));
    let receives = received.clone();
    let budget = Arc::new(ResponseBudget::new(place.clone(), state.memory.clone()));
    let budget_of_connection = budget.clone();
    let service = service_fn(move |request| {
        receives.store(true, Ordering::Relaxed);
        let (state, budget) = (state.clone(), budget.clone());
        // Boxed: a connection has no memory for a request before it makes one.
        Box::pin(async move {
            let hsts = state.tls.as_ref().and_then(|tls| tls.hsts().cloned());
            let is_head = request.method() == Method::HEAD;
            let Ok(mut response) = serve_request(state, budget, peer, request).await;
            if let Some(hsts) = hsts {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
            }
            Ok::<_, Infallible>(if is_head { without_body(response) } else { response })
        })
    });
    // The builder's own timers run only once the version of HTTP is known.
    let silence = async {
        sleep(header_timeout).await;
        if received.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    let unproven = async {
        sleep_until(proof_deadline).await;
        if place.is_proven() {
            pending::<()>().await;
        }
    };
    let closing = async {
        tokio::select! {
            () = unproven => {}
            () = drain.turn() => {}
        }
    };
    let ended = async {
        tokio::select! {
            () = place.evicted() => {}
            () = budget_of_connection.evicted() => {}
        }
    };
    tokio::pin!(ended);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = ended.as_mut() => return,
        () = silence => return tracing::trace!("a connection made no request in time"),
        () = closing => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                served = connection => served,
                () = ended => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended with an error");
    }
}

/// Serves a connection that has got no place: one request, in the time for its head.
pub(crate) async fn serve_http_without_place<S>(state: Arc<ServerState>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (builder, limit) = (http_builder(&state), state.http.header_timeout);
    let service = service_fn(move |request| serve_without_place(state.clone(), request));
    // It ends in any case.
    let _ = timeout(limit, builder.serve_connection(TokioIo::new(stream), service)).await;
}

/// Serves a connection of the admin listener: HTTP/1.1.
pub(crate) async fn serve_admin_http<S>(state: Arc<ServerState>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(state.http.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    let service = service_fn(move |request| serve_admin_request(state.clone(), request));
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::trace!(%error, "a connection of the admin listener ended with an error");
    }
}

/// The response to a HEAD request. Over HTTP/2 a body would be sent, which RFC 9110 section 9.3.2
/// forbids.
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(head, Full::default())
}

fn http_builder(state: &ServerState) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(state.http.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(state.http.request_limit)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(state.keepalive.ping_interval)
        .keep_alive_timeout(state.keepalive.pong_timeout);
    builder
}
