//! The floor: a bare hyper and tokio-tungstenite server, which shows the cost of carrying the same
//! bytes with nothing behind it.
//!
//! At `/broadcast` every text message is sent to all connections of that path, the sender's too; at
//! `/echo` it is sent back. One task and one bounded queue per connection, shared payloads, one
//! flush for all queued messages.
//!
//! With the address of a server for an argument it is a proxy instead: each WebSocket has another
//! one to that server, and messages are copied between them as they are.

mod proxy;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Messages that may be queued for one connection; a connection whose queue is full is closed.
const QUEUE: usize = 1024;
/// Messages that are written with one flush.
const BATCH: usize = 256;
/// The read buffer of a connection, in bytes: small, as every connection has one.
const READ_BUFFER: usize = 1 << 10;

/// The queues of all connections of `/broadcast`.
#[derive(Default)]
struct Subscribers(Mutex<Vec<mpsc::Sender<Utf8Bytes>>>);

impl Subscribers {
    fn subscribe(&self) -> mpsc::Receiver<Utf8Bytes> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    fn publish(&self, text: &Utf8Bytes) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|subscriber| subscriber.try_send(text.clone()).is_ok());
    }
}

/// The treatment of a connection's messages.
enum Treatment {
    Broadcast(Arc<Subscribers>),
    Echo,
    /// Copied to this connection of a server, and from there.
    Copy(Box<WebSocketStream<TcpStream>>),
}

/// The state that all connections share.
#[derive(Clone)]
struct Floor {
    subscribers: Arc<Subscribers>,
    /// The server behind a proxy.
    upstream: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).map(|address| address.parse()).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "ready http={}", listener.local_addr()?)?;
    let floor = Floor { subscribers: Arc::default(), upstream };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let floor = floor.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(floor.clone(), request));
            // The client reports connections that fail.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

async fn answer(
    floor: Floor,
    mut request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let accept =
        request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(Ok(accept)) = accept.map(|accept| HeaderValue::from_str(&accept)) else {
        return Ok(empty_response(StatusCode::UPGRADE_REQUIRED));
    };
    let mut protocol = None;
    let treatment = match (floor.upstream, request.uri().path()) {
        (Some(upstream), _) => match proxy::connect(upstream, &request).await {
            Ok((socket, chosen)) => {
                protocol = chosen;
                Treatment::Copy(Box::new(socket))
            }
            Err(_) => return Ok(empty_response(StatusCode::BAD_GATEWAY)),
        },
        (None, "/broadcast") => Treatment::Broadcast(floor.subscribers),
        (None, "/echo") => Treatment::Echo,
        (None, _) => return Ok(empty_response(StatusCode::NOT_FOUND)),
    };
    tokio::spawn(upgrade(treatment, hyper::upgrade::on(&mut request)));
    let mut response = empty_response(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

fn empty_response(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

async fn upgrade(treatment: Treatment, upgrading: OnUpgrade) {
    if let Ok(upgraded) = upgrading.await {
        // A task of its own, which is smaller: this one has space for the upgrade too.
        tokio::spawn(serve(treatment, upgraded));
    }
}

async fn serve(treatment: Treatment, upgraded: Upgraded) {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    // A copy, so that the larger buffer that the request was read into is freed.
    let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    drop(parts.read_buf);
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    // The client reports connections that fail.
    let _ = match treatment {
        Treatment::Broadcast(subscribers) => broadcast(&subscribers, socket).await,
        Treatment::Echo => echo(socket).await,
        Treatment::Copy(upstream) => proxy::copy(socket, *upstream).await,
    };
}

async fn broadcast(
    subscribers: &Subscribers,
    mut socket: WebSocketStream<TcpStream>,
) -> Result<(), Error> {
    let mut queue = subscribers.subscribe();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = queue.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                for text in batch.drain(..) {
                    socket.feed(Message::Text(text)).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => match message.transpose()? {
                Some(Message::Text(text)) => subscribers.publish(&text),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    while let Some(message) = socket.next().await.transpose()? {
        if message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
