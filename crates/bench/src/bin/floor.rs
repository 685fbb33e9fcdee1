//! The floor: what carrying the same bytes costs with nothing behind it.
//!
//! A bare hyper and tokio-tungstenite server. At `/room` every text message is sent to everybody
//! there, the sender too; at `/echo` it comes back. One task and one bounded queue per connection,
//! shared payloads, one flush for all that waits.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Messages that may wait for one member; a member for whom more wait is sent away.
const QUEUE: usize = 1024;
/// Messages that are put together for one flush.
const BATCH: usize = 256;
/// Allocated for every connection, so small.
const READ_BUFFER: usize = 1 << 10;

/// Everybody in the room.
#[derive(Default)]
struct Room(Mutex<Vec<mpsc::Sender<Utf8Bytes>>>);

impl Room {
    fn enter(&self) -> mpsc::Receiver<Utf8Bytes> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    fn say(&self, text: &Utf8Bytes) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|member| member.try_send(text.clone()).is_ok());
    }
}

/// What a path does with a message.
#[derive(Debug, Clone, Copy)]
enum Path {
    Room,
    Echo,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "ready http={}", listener.local_addr()?)?;
    let room = Arc::new(Room::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let room = room.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(room.clone(), request));
            // A connection that fails is the client's to report.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

async fn answer(
    room: Arc<Room>,
    mut request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = match request.uri().path() {
        "/room" => Path::Room,
        "/echo" => Path::Echo,
        _ => return Ok(refusal(StatusCode::NOT_FOUND)),
    };
    let accept =
        request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(Ok(accept)) = accept.map(|accept| HeaderValue::from_str(&accept)) else {
        return Ok(refusal(StatusCode::UPGRADE_REQUIRED));
    };
    tokio::spawn(upgrade(room, path, hyper::upgrade::on(&mut request)));
    let mut response = refusal(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

fn refusal(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

async fn upgrade(room: Arc<Room>, path: Path, upgrading: OnUpgrade) {
    if let Ok(upgraded) = upgrading.await {
        // A task of its own holds the socket once; this one would hold it twice.
        tokio::spawn(serve(room, path, upgraded));
    }
}

async fn serve(room: Arc<Room>, path: Path, upgraded: Upgraded) {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    // Copied, so that the room that reading the request took is not kept.
    let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    drop(parts.read_buf);
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    // A connection that fails is the client's to report.
    let _ = match path {
        Path::Room => attend(&room, socket).await,
        Path::Echo => echo(socket).await,
    };
}

async fn attend(room: &Room, mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let mut queue = room.enter();
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            count = queue.recv_many(&mut waiting, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                for text in waiting.drain(..) {
                    socket.feed(Message::Text(text)).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => match message.transpose()? {
                Some(Message::Text(text)) => room.say(&text),
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
