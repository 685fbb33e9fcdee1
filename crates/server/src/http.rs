//! HTTP requests: the gateway's own pages, dialects that speak HTTP, and WebSocket handshakes.

use crate::connection::{Connection, Presence, serve_shared, websocket_config};
use crate::doors::{Entry, Place};
use crate::gateway::{Answered, Gateway};
use crate::pages;
use crate::patient::Patient;
use crate::server::Permit;
use crate::stream::Stream;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;
use tolmach_dialect::{Frame, Line, Opening, Side, Transport};

/// The largest form that the gateway's own pages take, in bytes.
const FORM_LIMIT: usize = 16 << 10;
/// How long the rest of a body that was refused is waited for.
const LINGER: Duration = Duration::from_secs(5);

/// How many requests of one connection are carried out at once, and so how many responses may wait
/// for room.
const CARRIED_OUT: usize = 16;
/// The room for responses of one connection that its peer has not taken, in bytes.
const UNTAKEN: usize = 16 << 20;

/// What one HTTP connection may have of the gateway: a peer that asks over HTTP/2 and takes no
/// response holds so much, and no more.
pub(crate) struct Allowance {
    /// The connection's place among all.
    place: Permit,
    carried_out: Semaphore,
    untaken: Arc<Semaphore>,
}

impl Allowance {
    pub(crate) fn new(place: Permit) -> Self {
        Self {
            place,
            carried_out: Semaphore::new(CARRIED_OUT),
            untaken: Arc::new(Semaphore::new(UNTAKEN)),
        }
    }

    /// Has one request carried out, when there is room for its response.
    async fn answer(
        &self,
        gateway: &Gateway,
        exchange: impl Future<Output = Response<Bytes>>,
    ) -> Response<Bytes> {
        // Its body is held meanwhile, so it does not wait for ever.
        let Ok(Ok(_turn)) = timeout(gateway.bounds.timeout, self.carried_out.acquire()).await
        else {
            return error(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many responses of this connection wait to be read",
            );
        };
        let (head, body) = exchange.await.into_parts();
        // A response larger than all the room passes when it is alone.
        let room = body.len().min(UNTAKEN) as u32;
        let Ok(room) = self.untaken.clone().acquire_many_owned(room).await else {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        };
        Response::from_parts(head, Bytes::from_owner(Untaken { body, _room: room }))
    }
}

/// A response's body, with its room, which is free again when the last of it has been written.
struct Untaken {
    body: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Answers one request.
/// `peer` is whoever is connected: the client, or a proxy.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    allowance: Arc<Allowance>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A panic is our mistake: it must cost this request, and no other.
    let response = AssertUnwindSafe(route(gateway, &allowance, peer, request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            tracing::error!("a request panicked");
            error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        });
    Ok(response.map(Full::new))
}

async fn route(
    gateway: Arc<Gateway>,
    allowance: &Allowance,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let handshake = Handshake::of(&request);
    let path = request.uri().path().to_owned();
    let client = gateway.proxies.client(peer, request.headers());
    if handshake.is_none()
        && let Some(response) = own_page(&gateway, &path, request.method())
    {
        return response;
    }
    if path == "/readyz" && handshake.is_none() {
        return ready(&gateway).await;
    }
    if path == "/recover" && handshake.is_none() {
        return match collect(&gateway, request, FORM_LIMIT).await {
            Ok(request) => pages::recover::recover(&gateway.engine, request).await,
            Err(response) => response,
        };
    }
    match (gateway.doors.find(&path), handshake) {
        (Place::Dialect(entry, _), Some(handshake)) => {
            let entry = entry.clone();
            match handshake {
                Ok(handshake) => {
                    upgrade(gateway, allowance.place.clone(), client, entry, handshake, request)
                        .await
                }
                Err(response) => *response,
            }
        }
        (Place::Dialect(entry, Transport::Http), None) => {
            let entry = entry.clone();
            match collect(&gateway, request, entry.body_limit).await {
                Ok(request) => {
                    allowance.answer(&gateway, exchange(&gateway, client, &entry, request)).await
                }
                Err(response) => response,
            }
        }
        (Place::Shared, Some(handshake)) => match handshake {
            Ok(handshake) => {
                upgrade_shared(gateway, allowance.place.clone(), client, handshake, request)
            }
            Err(response) => *response,
        },
        (Place::Dialect(_, Transport::WebSocket) | Place::Shared, None) => upgrade_required(),
        (Place::Nowhere, _) => error(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; `tolmach dialects` lists what is served where",
        ),
    }
}

/// The pages that are the gateway's own.
fn own_page(gateway: &Gateway, path: &str, method: &Method) -> Option<Response<Bytes>> {
    let respond = match path {
        "/healthz" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/metrics" => text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            gateway.metrics.render(),
        ),
        path => {
            let document = gateway.doors.document(path)?;
            text(StatusCode::OK, document.media_type, (document.content)())
        }
    };
    if *method != Method::GET && *method != Method::HEAD {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    Some(respond)
}

/// Whether requests can be served: the store answers, and the gateway is not about to stop.
async fn ready(gateway: &Gateway) -> Response<Bytes> {
    if gateway.is_draining() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "draining\n");
    }
    match gateway.engine.ready().await {
        // Whoever connects here is served, and what other nodes say is read from the store: the
        // others are no better off.
        Ok(()) => match gateway.bus.last_error() {
            None => text(StatusCode::OK, "text/plain; charset=utf-8", "ready\n"),
            Some(trouble) => text(
                StatusCode::OK,
                "text/plain; charset=utf-8",
                format!("ready, but the bus is down: {trouble}\n"),
            ),
        },
        Err(error) => {
            tracing::warn!(%error, "not ready");
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain; charset=utf-8",
                "the store does not answer\n",
            )
        }
    }
}

/// One HTTP request of a dialect: a session of one frame each way.
async fn exchange(
    gateway: &Gateway,
    client: IpAddr,
    entry: &Arc<Entry>,
    request: Request<Bytes>,
) -> Response<Bytes> {
    let connection = gateway.new_connection();
    let (parts, body) = request.into_parts();
    let opening = Opening {
        request: Some(&parts),
        first: None,
        connection,
        websocket: false,
        settings: entry.settings,
    };
    let mut session = match entry.dialect.open(&opening, Side::Server) {
        Ok(session) => session,
        Err(refusal) => {
            entry.metrics.refusals.increment(1);
            return *refusal.response;
        }
    };
    entry.metrics.frames_in.increment(1);
    entry.metrics.bytes_in.increment(body.len() as u64);
    let mut frames = Vec::new();
    let frame = Frame::request(Request::from_parts(parts, body));
    let mut lines = Vec::new();
    match session.decode(gateway.engine.now(), &frame, &mut lines) {
        Ok(()) => {
            for line in lines {
                let Line::Ask(ask) = line else { continue };
                let caller = gateway.engine.authenticate(&ask.proof, None).await;
                let Answered { reply, .. } =
                    gateway.submit(entry, connection, client, caller, ask).await.answered().await;
                if let Err(loss) =
                    session.encode(gateway.engine.now(), &Line::Reply(reply), &mut frames)
                {
                    tracing::error!(dialect = entry.id(), %loss, "a reply was lost");
                }
            }
        }
        Err(violation) => {
            entry.metrics.violated(violation.kind.name());
            frames.extend(violation.answer);
        }
    }
    let response = frames.into_iter().find_map(|frame| match frame {
        Frame::Response(response) => Some(*response),
        _ => None,
    });
    let response =
        response.unwrap_or_else(|| error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
    entry.metrics.frames_out.increment(1);
    entry.metrics.bytes_out.increment(response.body().len() as u64);
    response
}

/// Reads a whole body, within its bounds.
async fn collect(
    gateway: &Gateway,
    request: Request<Incoming>,
    limit: usize,
) -> Result<Request<Bytes>, Response<Bytes>> {
    let (parts, mut body) = request.into_parts();
    // What is announced to be too large is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(body, limit));
    }
    match timeout(gateway.bounds.body_timeout, Limited::new(&mut body, limit).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.to_bytes())),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(too_large(body, limit)),
        Ok(Err(_)) => Err(error(StatusCode::BAD_REQUEST, "the body could not be read")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

/// Refuses a body and what more is sent on its connection. What is under way is dropped as it
/// comes: closing before it has come would reset the connection, and the peer might never read why.
fn too_large(mut body: Incoming, limit: usize) -> Response<Bytes> {
    tokio::spawn(timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
    let mut response =
        error(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body may have at most {limit} bytes"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A WebSocket handshake.
struct Handshake {
    /// The value for `Sec-WebSocket-Accept`; `None` over HTTP/2, which needs none.
    accept: Option<String>,
}

impl Handshake {
    /// The handshake that a request starts, if it starts one; or why it is not a valid one.
    fn of(request: &Request<Incoming>) -> Option<Result<Self, Box<Response<Bytes>>>> {
        if request.method() == Method::CONNECT {
            let websocket = request
                .extensions()
                .get::<Protocol>()
                .is_some_and(|protocol| protocol.as_str() == "websocket");
            return Some(if websocket {
                Ok(Self { accept: None })
            } else {
                Err(Box::new(error(StatusCode::NOT_IMPLEMENTED, "this is not a proxy")))
            });
        }
        let headers = request.headers();
        if request.version() != Version::HTTP_11
            || request.method() != Method::GET
            || !names(headers, UPGRADE, "websocket")
        {
            return None;
        }
        if !names(headers, CONNECTION, "upgrade") {
            return Some(Err(Box::new(error(
                StatusCode::BAD_REQUEST,
                "the Connection header must name Upgrade",
            ))));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Some(Err(Box::new(upgrade_required())));
        }
        Some(match headers.get(SEC_WEBSOCKET_KEY) {
            Some(key) => Ok(Self { accept: Some(derive_accept_key(key.as_bytes())) }),
            None => Err(Box::new(error(
                StatusCode::BAD_REQUEST,
                "the Sec-WebSocket-Key header is missing",
            ))),
        })
    }

    /// The response that accepts it.
    fn accepted(self, subprotocol: Option<&'static str>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        if let Some(subprotocol) = subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        if let Some(accept) = self.accept.and_then(|accept| HeaderValue::from_str(&accept).ok()) {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        response
    }
}

/// Whether a comma-separated header names a token, without regard to case.
fn names(headers: &HeaderMap, header: http::HeaderName, token: &str) -> bool {
    let mut tokens = headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// A WebSocket at a dialect's own door: what the opening asks is answered first, and may refuse it.
async fn upgrade(
    gateway: Arc<Gateway>,
    place: Permit,
    client: IpAddr,
    entry: Arc<Entry>,
    handshake: Handshake,
    mut request: Request<Incoming>,
) -> Response<Bytes> {
    if gateway.is_draining() {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the server is going away");
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let parts = plain(request);
    let connection = gateway.new_connection();
    let opening = Opening {
        request: Some(&parts),
        first: None,
        connection,
        websocket: true,
        settings: entry.settings,
    };
    let mut session = match entry.dialect.open(&opening, Side::Server) {
        Ok(session) => session,
        Err(refusal) => {
            entry.metrics.refusals.increment(1);
            return *refusal.response;
        }
    };
    let mut lines = Vec::new();
    session.greet(gateway.engine.now(), &mut lines);
    let subprotocol = session.subprotocol();
    let listener = gateway.connect(connection);
    let mut presence = Presence::new(gateway.clone(), entry.clone(), session, listener, client);
    let mut greeting = Vec::new();
    for line in lines {
        if let Line::Ask(ask) = line {
            presence.greeted(ask, &mut greeting).await;
        }
    }
    let refusal = greeting.iter().position(|frame| matches!(frame, Frame::Response(_)));
    if let Some(index) = refusal
        && let Frame::Response(response) = greeting.swap_remove(index)
    {
        entry.metrics.refusals.increment(1);
        return *response;
    }
    let tasks = gateway.tasks.clone();
    gateway.tasks.spawn(async move {
        match upgraded.await {
            Ok(upgraded) => begin(&tasks, presence, place, upgraded, greeting).await,
            Err(error) => tracing::debug!(%error, "the peer did not complete the handshake"),
        }
    });
    handshake.accepted(subprotocol)
}

/// Hands the connection to a task of its own, which holds nothing else: the one that has waited for
/// it would hold it twice.
async fn begin(
    tasks: &TaskTracker,
    presence: Presence,
    place: Permit,
    upgraded: hyper::upgrade::Upgraded,
    greeting: Vec<Frame>,
) {
    let config = websocket_config(presence.entry.frame_limit);
    match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<Patient>>(upgraded) {
        Ok(parts) => {
            let (stream, unread) =
                (Stream::new(parts.io.into_inner().into_inner()), unread(parts.read_buf));
            let writer = stream.writer();
            let socket =
                WebSocketStream::from_partially_read(stream, unread, Role::Server, Some(config))
                    .await;
            tasks.spawn(serve(Connection::new(socket, Some(writer), presence), greeting, place));
        }
        Err(upgraded) => {
            let socket = WebSocketStream::from_raw_socket(
                TokioIo::new(upgraded),
                Role::Server,
                Some(config),
            )
            .await;
            tasks.spawn(serve(Connection::new(socket, None, presence), greeting, place));
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    connection: Box<Connection<S>>,
    greeting: Vec<Frame>,
    _place: Permit,
) {
    connection.run(greeting, None).await;
}

/// What of the connection was read with the head of its request. Copied, because a vector made of
/// the buffer itself would keep the room that reading the head took for as long as the connection
/// lasts.
fn unread(buffer: Bytes) -> Vec<u8> {
    buffer.to_vec()
}

/// A WebSocket at a shared door: the first frame decides.
fn upgrade_shared(
    gateway: Arc<Gateway>,
    place: Permit,
    client: IpAddr,
    handshake: Handshake,
    mut request: Request<Incoming>,
) -> Response<Bytes> {
    if gateway.is_draining() {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the server is going away");
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let parts = plain(request);
    let (tasks, limit) = (gateway.tasks.clone(), gateway.doors.shared_frame_limit());
    gateway.clone().tasks.spawn(async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "the peer did not complete the handshake"),
        };
        let listener = gateway.connect(gateway.new_connection());
        let config = websocket_config(limit);
        match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<Patient>>(upgraded) {
            Ok(upgraded) => {
                let (stream, unread) =
                    (Stream::new(upgraded.io.into_inner().into_inner()), unread(upgraded.read_buf));
                let writer = Some(stream.writer());
                let socket = WebSocketStream::from_partially_read(
                    stream,
                    unread,
                    Role::Server,
                    Some(config),
                )
                .await;
                tasks.spawn(async move {
                    serve_shared(gateway, socket, writer, listener, client, parts).await;
                    drop(place);
                });
            }
            Err(upgraded) => {
                let socket = WebSocketStream::from_raw_socket(
                    TokioIo::new(upgraded),
                    Role::Server,
                    Some(config),
                )
                .await;
                tasks.spawn(async move {
                    serve_shared(gateway, socket, None, listener, client, parts).await;
                    drop(place);
                });
            }
        }
    });
    handshake.accepted(None)
}

/// The head of a handshake, alike over HTTP/1.1 and HTTP/2.
fn plain(request: Request<Incoming>) -> http::request::Parts {
    let (mut parts, _) = request.into_parts();
    parts.method = Method::GET;
    parts.extensions.clear();
    parts
}

fn upgrade_required() -> Response<Bytes> {
    let mut response =
        error(StatusCode::UPGRADE_REQUIRED, "this door takes WebSocket connections, version 13");
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// `{"error": …}`, the form of every error that is the gateway's own.
fn error(status: StatusCode, message: &str) -> Response<Bytes> {
    text(status, "application/json", serde_json::json!({ "error": message }).to_string())
}

fn text(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
