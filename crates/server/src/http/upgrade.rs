//! WebSocket handshakes, over HTTP/1.1 (RFC 6455 section 4) and HTTP/2 (RFC 8441).

use super::responses::{error, going_away, upgrade_required};
use crate::connection::{Connection, ConnectionSession, Inbound, serve_shared, websocket_config};
use crate::pinned::pinned_revision;
use crate::places::Client;
use crate::recording::RecordedTransport;
use crate::request_head::copied;
use crate::served_dialect::ServedDialect;
use crate::state::ServerState;
use crate::stream::{Stream, Writer};
use crate::write_timeout::WriteTimeoutStream;
use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tolmach_dialect::{Frame, Handshake};
use tolmach_engine::ErrorChain;

/// The request for a WebSocket.
pub(super) struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`; `None` over HTTP/2, which needs none.
    accept: Option<String>,
}

impl Upgrade {
    /// The handshake that a request begins, if it begins one, or the response that rejects it.
    pub(super) fn of(request: &Request<Incoming>) -> Option<Result<Self, Box<Response<Bytes>>>> {
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
            || !has_token(headers, UPGRADE, "websocket")
        {
            return None;
        }
        if !has_token(headers, CONNECTION, "upgrade") {
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

/// True if a comma-separated header has a token, without regard to case.
fn has_token(headers: &HeaderMap, header: http::HeaderName, token: &str) -> bool {
    let mut tokens = headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Opens a WebSocket on the path of one dialect. The requests that its handshake makes are carried
/// out first, and may reject it.
pub(super) async fn upgrade(
    state: Arc<ServerState>,
    client: Client,
    dialect: Arc<ServedDialect>,
    handshake: Upgrade,
    mut request: Request<Incoming>,
) -> Response<Bytes> {
    if state.is_draining() {
        return going_away();
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let parts = normalised(request);
    let connection = state.new_connection();
    let opening = Handshake::new(connection)
        .request(&parts)
        .websocket(true)
        .local(state.is_local(client.address))
        .max_json_depth(state.limits.max_json_depth);
    let opening = match pinned_revision(&state, &dialect, &opening, client.address).await {
        Some(revision) => opening.revision(revision),
        None => opening,
    };
    let session = match dialect.accept(&opening) {
        Ok(session) => session,
        Err(rejection) => {
            dialect.metrics.handshakes_rejected.increment(1);
            return *rejection.response;
        }
    };
    let subprotocol = session.subprotocol();
    let subscriber = state.connect(connection);
    let mut session =
        ConnectionSession::new(state.clone(), dialect.clone(), session, subscriber, client);
    let mut frames = session.initialise().await;
    let rejection = frames.iter().position(|frame| matches!(frame, Frame::Response(_)));
    if let Some(index) = rejection
        && let Frame::Response(response) = frames.swap_remove(index)
    {
        dialect.metrics.handshakes_rejected.increment(1);
        let mut response = *response;
        session.announce_lifecycle(response.headers_mut());
        return response;
    }
    session.begin_recording(RecordedTransport::WebSocket, Some(&parts));
    let mut accepted = handshake.accepted(subprotocol);
    session.announce_lifecycle(accepted.headers_mut());
    state.clone().tasks.spawn(async move {
        match upgraded.await {
            Ok(upgraded) => begin(&state, session, upgraded, frames).await,
            Err(error) => incomplete(&error),
        }
    });
    accepted
}

/// Moves the connection to a task of its own, which holds nothing else: the one that has waited for
/// the upgrade would hold it twice.
async fn begin(
    state: &ServerState,
    session: ConnectionSession,
    upgraded: Upgraded,
    frames: Vec<Frame>,
) {
    let max_frame_bytes = session.dialect().max_frame_bytes;
    match websocket(state, upgraded, max_frame_bytes, session.address()).await {
        WebSocket::Tcp(socket, writer) => {
            let connection = Connection::new(socket, Some(writer), session);
            state.tasks.spawn(connection.run(frames, None));
        }
        WebSocket::Tls(socket) => {
            let connection = Connection::new(socket, None, session);
            state.tasks.spawn(connection.run(frames, None));
        }
        WebSocket::Http2(socket) => {
            let connection = Connection::new(socket, None, session);
            state.tasks.spawn(connection.run(frames, None));
        }
    }
}

/// Opens a WebSocket on a shared path, where the first frame decides the dialect.
pub(super) fn upgrade_shared(
    state: Arc<ServerState>,
    client: Client,
    handshake: Upgrade,
    mut request: Request<Incoming>,
) -> Response<Bytes> {
    if state.is_draining() {
        return going_away();
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let parts = normalised(request);
    state.clone().tasks.spawn(async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => upgraded,
            Err(error) => return incomplete(&error),
        };
        let subscriber = state.connect(state.new_connection());
        let tasks = state.tasks.clone();
        let max_frame_bytes = state.routes().max_shared_frame_bytes();
        match websocket(&state, upgraded, max_frame_bytes, client.address).await {
            WebSocket::Tcp(socket, writer) => {
                tasks.spawn(serve_shared(state, socket, Some(writer), subscriber, client, parts))
            }
            WebSocket::Tls(socket) => {
                tasks.spawn(serve_shared(state, socket, None, subscriber, client, parts))
            }
            WebSocket::Http2(socket) => {
                tasks.spawn(serve_shared(state, socket, None, subscriber, client, parts))
            }
        };
    });
    handshake.accepted(None)
}

fn incomplete(error: &hyper::Error) {
    tracing::debug!(error = %ErrorChain(error), "the peer did not complete the handshake");
}

/// A WebSocket, by its transport.
#[expect(clippy::large_enum_variant, reason = "it is moved to its own task at once")]
enum WebSocket {
    /// Over a TCP connection of its own, which publishers write to as well.
    Tcp(WebSocketStream<Inbound<Stream>>, Writer),
    /// Over a TLS connection of its own, whose records only its owner can write.
    Tls(WebSocketStream<Inbound<TlsStream<WriteTimeoutStream>>>),
    /// Over a stream of an HTTP/2 connection.
    Http2(WebSocketStream<Inbound<TokioIo<Upgraded>>>),
}

async fn websocket(
    state: &ServerState,
    upgraded: Upgraded,
    max_frame_bytes: usize,
    address: IpAddr,
) -> WebSocket {
    let config = Some(websocket_config(max_frame_bytes));
    // Unread bytes are copied, because a vector made of the buffer itself would keep the memory
    // that reading the head of the request took for as long as the connection lasts. A connection
    // times its own writes.
    let upgraded = match downcast::<TokioIo<WriteTimeoutStream>>(upgraded) {
        Ok(parts) => {
            let stream = Stream::new(parts.io.into_inner().into_inner());
            let writer = stream.writer();
            let stream = Inbound::new(state, address, stream, &parts.read_buf);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
            return WebSocket::Tcp(socket, writer);
        }
        Err(upgraded) => upgraded,
    };
    match downcast::<TokioIo<TlsStream<WriteTimeoutStream>>>(upgraded) {
        Ok(parts) => {
            let mut stream = parts.io.into_inner();
            stream.get_mut().0.disable_timeout();
            let stream = Inbound::new(state, address, stream, &parts.read_buf);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
            WebSocket::Tls(socket)
        }
        Err(upgraded) => {
            let stream = Inbound::new(state, address, TokioIo::new(upgraded), &[]);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
            WebSocket::Http2(socket)
        }
    }
}

/// The head of a handshake, alike over HTTP/1.1 and HTTP/2.
fn normalised(request: Request<Incoming>) -> http::request::Parts {
    let mut head = copied(&request.into_parts().0);
    head.method = Method::GET;
    head
}
