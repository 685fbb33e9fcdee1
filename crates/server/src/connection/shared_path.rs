//! Connections on a shared path: the first frame decides the dialect.

use super::connection::Connection;
use super::end::{CLOSE_TIMEOUT, End, Eviction, close_evicted, close_socket};
use super::inbound::Inbound;
use super::session::ConnectionSession;
use crate::hub::Subscriber;
use crate::pinned::{pinned_dialect, pinned_revision};
use crate::places::Client;
use crate::recording::RecordedTransport;
use crate::request_head;
use crate::state::ServerState;
use crate::stream::Writer;
use crate::write_buffer::WriteBuffer;
use futures_util::{SinkExt, StreamExt};
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tolmach_dialect::{Close, Frame, Handshake};

/// Waits for the first frame, and serves the dialect that it belongs to. What is done once is
/// boxed: the task has no memory for it afterwards.
pub(crate) fn serve_shared<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: Arc<ServerState>,
    socket: WebSocketStream<Inbound<S>>,
    writer: Option<Writer>,
    subscriber: Arc<Subscriber>,
    client: Client,
    request: http::request::Parts,
) -> impl Future<Output = ()> + Send {
    let negotiation = Box::pin(negotiate(state, socket, writer, subscriber, client, request));
    async move {
        if let Some(Negotiated { connection, frames, first }) = negotiation.await {
            connection.run(frames, Some(first)).await;
        }
    }
}

/// A connection whose first frame was recognised.
struct Negotiated<S> {
    connection: Box<Connection<S>>,
    /// The responses to the requests that the handshake makes.
    frames: Vec<Frame>,
    first: Box<Frame>,
}

async fn negotiate<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: Arc<ServerState>,
    mut socket: WebSocketStream<Inbound<S>>,
    writer: Option<Writer>,
    subscriber: Arc<Subscriber>,
    client: Client,
    request: http::request::Parts,
) -> Option<Negotiated<S>> {
    // A peer that sends nothing may keep it for minutes.
    let bytes = request_head::size(&request.uri, &request.headers);
    let of_head = socket.get_ref().account().reserve(bytes);
    let first = match &of_head {
        Ok(_) => first_frame(&mut socket, &subscriber, &client, &state).await,
        Err(_) => Err(End::Evicted(Eviction::Memory)),
    };
    let first = match first {
        Ok(frame) => frame,
        Err(end) => {
            state.hub.disconnect(&subscriber, None);
            let mut rest = WriteBuffer::default();
            match end {
                End::Gone => {}
                End::Close(close, reason) => {
                    crate::metrics::closed_before_dialect(reason);
                    close_socket(&mut socket, &mut rest, close).await;
                }
                End::Evicted(eviction) => {
                    crate::metrics::closed_before_dialect(eviction.name());
                    close_evicted(&mut socket, &mut rest, eviction);
                }
            }
            return None;
        }
    };
    let handshake = Handshake::new(subscriber.id)
        .request(&request)
        .websocket(true)
        .local(state.is_local(client.address))
        .first_frame(&first)
        .max_json_depth(state.limits.max_json_depth);
    let routes = state.routes();
    let chosen = match routes.recognise(&handshake) {
        Some((served, revision)) => {
            let pinned = pinned_revision(&state, served, &handshake, client.address).await;
            Some((served, pinned.unwrap_or(revision)))
        }
        None => pinned_dialect(&state, &routes, &handshake, client.address).await,
    };
    let accepted = chosen.and_then(|(served, revision)| {
        let session = served.accept(&handshake.revision(revision)).ok()?;
        Some((served.clone(), session))
    });
    let Some((dialect, session)) = accepted else {
        reject(&state, &mut socket, &subscriber).await;
        return None;
    };
    let mut session =
        ConnectionSession::new(state.clone(), dialect, session, subscriber.clone(), client);
    let frames = session.initialise().await;
    if frames.iter().any(|frame| matches!(frame, Frame::Response(_))) {
        drop(session);
        reject(&state, &mut socket, &subscriber).await;
        return None;
    }
    session.begin_recording(RecordedTransport::WebSocket, Some(&request));
    let connection = Connection::new(socket, writer, session);
    Some(Negotiated { connection, frames, first: Box::new(first) })
}

/// Answers a first frame that no dialect serves, and closes the connection.
async fn reject<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: &ServerState,
    socket: &mut WebSocketStream<Inbound<S>>,
    subscriber: &Arc<Subscriber>,
) {
    crate::metrics::unrecognised();
    state.hub.disconnect(subscriber, None);
    let answer = socket.send(Message::text(state.routes().unrecognised()));
    if timeout(CLOSE_TIMEOUT, answer).await.is_ok_and(|sent| sent.is_ok()) {
        let close = Close::new(1008, "unrecognised dialect");
        close_socket(socket, &mut WriteBuffer::default(), close).await;
    }
}

/// The first data frame that a dialect does not ignore, within its bounds.
async fn first_frame<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<Inbound<S>>,
    subscriber: &Subscriber,
    client: &Client,
    state: &ServerState,
) -> Result<Frame, End> {
    let keepalive = &state.keepalive;
    let deadline = sleep_until(client.proof_deadline);
    tokio::pin!(deadline);
    // Pings keep a proxy from ending a silent connection; a client need not answer them yet.
    let mut pings = interval_at(Instant::now() + keepalive.ping_interval, keepalive.ping_interval);
    let mut taken = Vec::new();
    loop {
        // Without a subscription, a connection takes nothing from its queue but the order to close.
        let message = tokio::select! {
            message = receive(socket) => message?,
            _ = subscriber.queue.take(&mut taken) => {
                let close = Close::new(1001, "the server is going away");
                return Err(End::Close(close, "going_away"));
            }
            () = client.place.evicted() => return Err(End::Evicted(Eviction::Place)),
            _ = pings.tick() => {
                let ping = socket.send(Message::Ping(bytes::Bytes::new()));
                timeout(keepalive.pong_timeout, ping).await.map_err(|_| End::Gone)??;
                continue;
            }
            () = deadline.as_mut() => {
                let close = Close::new(1008, "no first frame in time");
                return Err(End::Close(close, "no_proof"));
            }
        };
        let frame = match message {
            None | Some(Message::Close(_)) => return Err(End::Gone),
            Some(Message::Text(text)) => Frame::Text(text.into()),
            Some(Message::Binary(bytes)) => Frame::Binary(bytes),
            Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
        };
        if !state.routes().ignores(&frame) {
            return Ok(frame);
        }
    }
}

/// The next message. Cancelling it loses nothing.
async fn receive<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<Inbound<S>>,
) -> Result<Option<Message>, End> {
    let account = socket.get_ref().account().clone();
    loop {
        let armed = socket.get_ref().next_time();
        let timer = async {
            match armed {
                Some(time) => sleep_until(time).await,
                None => pending().await,
            }
        };
        let message = poll_fn(|context| match socket.poll_next_unpin(context) {
            Poll::Ready(message) => Poll::Ready(Some(message)),
            // A pause that has just begun, or the deadline of the message, needs the timer.
            Poll::Pending if socket.get_ref().next_time() != armed => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            message = message => match message.map(Option::transpose) {
                None => {}
                Some(Ok(message)) => return Ok(message),
                Some(Err(error)) => {
                    let refusal = socket.get_ref().refusal();
                    return Err(refusal.map_or_else(|| error.into(), End::from));
                }
            },
            () = poll_fn(|context| account.poll_evicted(context)) => {
                return Err(End::Evicted(Eviction::Memory));
            }
            () = timer => {
                let deadline = socket.get_ref().deadline();
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    let close = Close::new(1008, "the rest of the message did not come in time");
                    return Err(End::Close(close, "message_timeout"));
                }
            }
        }
    }
}
