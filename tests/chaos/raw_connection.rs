//! A WebSocket whose client sends without waiting for responses and receives without decoding: it
//! costs less than the gateway's side of the connection.

use crate::users::{Failure, TestUser, failure};
use bytes::BufMut;
use http::HeaderValue;
use http::header::{HOST, SEC_WEBSOCKET_KEY};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tolmach_dialect::{ClientSession, Correlation, Dialect, Frame, Handshake, Incoming, Request};
use tolmach_domain::{Command, ConnectionId, Credentials, GrantKind, Timestamp};

/// The bytes that are read at once.
const READ_SIZE: usize = 256 << 10;

/// The first byte of an unfragmented text frame. RFC 6455 section 5.2.
const TEXT: u8 = 0x81;
/// The first byte of a close frame.
const CLOSE: u8 = 0x88;
/// The bit of the second byte that says that a mask follows.
const MASKED: u8 = 0x80;

/// An open WebSocket, logged in.
pub(crate) struct RawConnection {
    dialect: Arc<dyn Dialect>,
    opening: http::request::Parts,
    credentials: Credentials,
    session: Box<dyn ClientSession>,
    stream: TcpStream,
}

/// The sending half of a connection.
pub(crate) struct RawSender {
    dialect: Arc<dyn Dialect>,
    opening: http::request::Parts,
    credentials: Credentials,
    session: Box<dyn ClientSession>,
    stream: OwnedWriteHalf,
}

/// The receiving half of a connection.
pub(crate) struct RawReceiver(OwnedReadHalf);

impl RawConnection {
    /// Connects as this user, whose credentials have one of these forms, and makes the first of
    /// these requests that the dialect supports over a WebSocket. Ready after its response.
    pub(crate) async fn open(
        user: &TestUser,
        all_credentials: &[Credentials],
        node: SocketAddr,
        commands: &[Command],
    ) -> Result<Self, Failure> {
        let supported = commands.iter().find_map(|command| {
            let credentials = all_credentials.iter().find(|credentials| {
                connect(&*user.dialect, &request(command, credentials)).is_some()
            })?;
            Some((command, credentials))
        });
        let Some((command, credentials)) = supported else {
            return Err(format!("{}: no request of this dialect fits", user.login));
        };
        let first = request(command, credentials);
        let login = request(&user.login_command(GrantKind::Connection), &Credentials::Nothing);
        // Credentials of the connection are those that it logged in with.
        let requests = match credentials {
            Credentials::Connection => vec![login, first],
            _ => vec![first],
        };
        let (opening, mut session) = connect(&*user.dialect, &requests[0])
            .ok_or_else(|| format!("{}: the dialect has no login", user.login))?;
        let stream = TcpStream::connect(node).await.map_err(failure)?;
        let handshake = handshake(node, opening.clone()).map_err(failure)?;
        let (mut socket, _) =
            tokio_tungstenite::client_async(handshake, stream).await.map_err(failure)?;
        for request in &requests {
            exchange(&mut socket, &mut *session, request).await.map_err(|reason| {
                format!("{}, {}: {reason}", user.login, request.command.name())
            })?;
        }
        Ok(Self {
            dialect: user.dialect.clone(),
            opening,
            credentials: credentials.clone(),
            session,
            // Bytes that the WebSocket has read ahead belong to frames that are discarded anyway.
            stream: socket.into_inner(),
        })
    }

    /// Reads and discards until the gateway ends the connection.
    pub(crate) async fn discard_until_closed(&mut self) {
        discard(&mut self.stream).await;
    }

    /// The id of its dialect.
    pub(crate) fn dialect_id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    /// The two halves of the connection.
    pub(crate) fn split(self) -> (RawSender, RawReceiver) {
        let Self { dialect, opening, credentials, session, stream } = self;
        let (reader, writer) = stream.into_split();
        let sender = RawSender { dialect, opening, credentials, session, stream: writer };
        (sender, RawReceiver(reader))
    }
}

impl RawSender {
    /// Makes the first of these requests that the dialect supports. Ready once the socket has taken
    /// it.
    pub(crate) async fn send(&mut self, commands: &[Command]) -> Result<(), Failure> {
        for command in commands {
            let request = request(command, &self.credentials);
            let mut frames = Vec::new();
            if self.session.request(now(), &request, &mut frames).is_err() {
                // A session allows so many requests without a response; a new one goes on.
                self.session = session(&*self.dialect, &self.opening)
                    .ok_or("the dialect rejects its own handshake")?;
                if self.session.request(now(), &request, &mut frames).is_err() {
                    continue;
                }
            }
            for frame in frames {
                self.stream.write_all(&encode(TEXT, frame.payload())).await.map_err(failure)?;
            }
            return Ok(());
        }
        Err("the dialect supports none of the requests".to_owned())
    }

    /// Sends a close frame. The gateway closes the connection after its responses.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.stream.write_all(&encode(CLOSE, &[])).await.map_err(failure)
    }
}

impl RawReceiver {
    /// Reads and discards until the gateway ends the connection.
    pub(crate) async fn discard_until_closed(&mut self) {
        discard(&mut self.0).await;
    }
}

async fn discard(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = vec![0; READ_SIZE];
    // An error is an end too.
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

fn request(command: &Command, credentials: &Credentials) -> Request {
    Request::new(Correlation::NONE, credentials.clone(), command.clone())
}

/// The handshake and the session of a connection that makes this request first over a WebSocket.
fn connect(
    dialect: &dyn Dialect,
    request: &Request,
) -> Option<(http::request::Parts, Box<dyn ClientSession>)> {
    let opening = dialect.client()?.dial(request).ok()?;
    opening.headers.get(http::header::UPGRADE)?;
    session(dialect, &opening)?.request(now(), request, &mut Vec::new()).ok()?;
    let session = session(dialect, &opening)?;
    Some((opening, session))
}

fn session(
    dialect: &dyn Dialect,
    opening: &http::request::Parts,
) -> Option<Box<dyn ClientSession>> {
    dialect.client()?.connect(&Handshake::new(ConnectionId(1)).request(opening)).ok()
}

/// The request of a handshake with the headers of RFC 6455 section 4.1.
fn handshake(
    node: SocketAddr,
    mut opening: http::request::Parts,
) -> Result<http::Request<()>, http::Error> {
    let path = opening.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    opening.uri = format!("ws://{node}{path}").parse()?;
    opening.headers.insert(HOST, HeaderValue::try_from(node.to_string())?);
    opening.headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(generate_key())?);
    Ok(http::Request::from_parts(opening, ()))
}

/// Makes a request and waits for its response.
async fn exchange(
    socket: &mut WebSocketStream<TcpStream>,
    session: &mut dyn ClientSession,
    request: &Request,
) -> Result<(), Failure> {
    use futures_util::{SinkExt, StreamExt};
    let mut frames = Vec::new();
    session.request(now(), request, &mut frames).map_err(|unsupported| unsupported.to_string())?;
    for frame in frames {
        let text = String::from_utf8_lossy(frame.payload()).into_owned();
        socket.send(Message::text(text)).await.map_err(failure)?;
    }
    loop {
        let message = socket.next().await.ok_or("the connection ends before a response")?;
        let text = match message.map_err(failure)? {
            Message::Text(text) => text,
            Message::Close(close) => return Err(format!("closed before a response: {close:?}")),
            _ => continue,
        };
        let mut incoming = Vec::new();
        session
            .decode(now(), &Frame::Text(text.into()), &mut incoming)
            .map_err(|error| error.to_string())?;
        for incoming in incoming {
            if let Incoming::Response(response) = incoming {
                return response.outcome.map(drop).map_err(|fault| format!("Refused({fault:?})"));
            }
        }
    }
}

/// A client's frame on the wire. A mask of zeroes leaves the payload as it is.
fn encode(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(first_byte);
    match payload.len() {
        length @ 0..=125 => bytes.push(MASKED | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(MASKED | 126);
            bytes.put_u16(length as u16);
        }
        length => {
            bytes.push(MASKED | 127);
            bytes.put_u64(length as u64);
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
