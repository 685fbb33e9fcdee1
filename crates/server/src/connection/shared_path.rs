//! Connections on a shared path: the first frame decides the dialect.

use super::connection::Connection;
use super::end::{CLOSE_TIMEOUT, End, close_socket};
use super::session::ConnectionSession;
use crate::hub::Subscriber;
use crate::state::ServerState;
use crate::stream::Writer;
use crate::write_buffer::WriteBuffer;
use futures_util::{SinkExt, StreamExt};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tolmach_dialect::{Close, Frame, Handshake};

/// Waits for the first frame, and serves the dialect that it belongs to. What is done once is
/// boxed: the task has no memory for it afterwards.
pub(crate) fn serve_shared<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: Arc<ServerState>,
    socket: WebSocketStream<S>,
    writer: Option<Writer>,
    subscriber: Arc<Subscriber>,
    address: IpAddr,
    request: http::request::Parts,
) -> impl Future<Output = ()> + Send {
    let negotiation = Box::pin(negotiate(state, socket, writer, subscriber, address, request));
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
    mut socket: WebSocketStream<S>,
    writer: Option<Writer>,
    subscriber: Arc<Subscriber>,
    address: IpAddr,
    request: http::request::Parts,
) -> Option<Negotiated<S>> {
    let first = match first_frame(&state, &mut socket, &subscriber).await {
        Ok(frame) => frame,
        Err(end) => {
            state.hub.disconnect(&subscriber, None);
            if let End::Close(close, _) = end {
                close_socket(&mut socket, &mut WriteBuffer::default(), close).await;
            }
            return None;
        }
    };
    let handshake = Handshake::new(subscriber.id)
        .request(&request)
        .websocket(true)
        .first_frame(&first)
        .max_json_depth(state.limits.max_json_depth);
    let accepted = state.routes.recognise(&handshake).and_then(|(served, revision)| {
        let session = served.dialect.accept(&handshake.revision(revision)).ok()?;
        Some((served.clone(), session))
    });
    // Its headers keep the whole buffer alive that they were read into.
    drop(request);
    let Some((dialect, session)) = accepted else {
        reject(&state, &mut socket, &subscriber).await;
        return None;
    };
    let mut session =
        ConnectionSession::new(state.clone(), dialect, session, subscriber.clone(), address);
    let frames = session.initialise().await;
    if frames.iter().any(|frame| matches!(frame, Frame::Response(_))) {
        drop(session);
        reject(&state, &mut socket, &subscriber).await;
        return None;
    }
    let connection = Connection::new(socket, writer, session);
    Some(Negotiated { connection, frames, first: Box::new(first) })
}

/// Answers a first frame that no dialect serves, and closes the connection.
async fn reject<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: &ServerState,
    socket: &mut WebSocketStream<S>,
    subscriber: &Arc<Subscriber>,
) {
    crate::metrics::unrecognised();
    state.hub.disconnect(subscriber, None);
    let answer = socket.send(Message::text(state.routes.unrecognised()));
    if timeout(CLOSE_TIMEOUT, answer).await.is_ok_and(|sent| sent.is_ok()) {
        let close = Close::new(1008, "unrecognised dialect");
        close_socket(socket, &mut WriteBuffer::default(), close).await;
    }
}

/// The first data frame, within its bounds.
async fn first_frame<S: AsyncRead + AsyncWrite + Unpin + Send>(
    state: &ServerState,
    socket: &mut WebSocketStream<S>,
    subscriber: &Subscriber,
) -> Result<Frame, End> {
    let deadline = sleep(state.limits.first_frame_timeout);
    tokio::pin!(deadline);
    let mut taken = Vec::new();
    loop {
        // Without a subscription, a connection takes nothing from its queue but the order to close.
        let message = tokio::select! {
            message = socket.next() => message.transpose()?,
            _ = subscriber.queue.take(&mut taken) => {
                let close = Close::new(1001, "the server is going away");
                return Err(End::Close(close, "going_away"));
            }
            () = deadline.as_mut() => {
                let close = Close::new(1008, "no first frame in time");
                return Err(End::Close(close, "silent"));
            }
        };
        let frame = match message {
            None | Some(Message::Close(_)) => return Err(End::Gone),
            Some(Message::Text(text)) => Frame::Text(text.into()),
            Some(Message::Binary(bytes)) => Frame::Binary(bytes),
            Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
        };
        if frame.payload().len() > state.limits.max_first_frame_bytes {
            let close = Close::new(1009, "the first message is too large");
            return Err(End::Close(close, "too_large"));
        }
        return Ok(frame);
    }
}
