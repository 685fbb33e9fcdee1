//! Connections that speak a dialect through its own client session, or none to the floor.

use crate::Outcome;
use crate::world::Member;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Opening, Session, Settings, Side, Variant};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, Draft, Event, EventKind, FlowId, FlowKind, Kinds, MessageId, Person, Proof, Timestamp, UserId,
    Version,
};

/// Small, since ten thousand connections have one each.
const READ_BUFFER: usize = 4 << 10;
/// How many connections have one source address: fewer than there are free ports.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Which dialect's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// Sockets of one room
    Bearer,
    /// Connections that are pushed every message of their user
    Mode,
}

impl Wire {
    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Wire::Bearer => &Bearer,
            Wire::Mode => &Mode,
        }
    }

    /// The form in which members that came in as [`Wire::enter`] does are told of a message.
    fn variant(self) -> Variant {
        match self {
            Wire::Bearer => Variant(0),
            // With moments as numbers, since that is how its client session asks.
            Wire::Mode => Variant(1),
        }
    }

    /// Whether authors are sent their own messages like everybody else. If not, they are sent an acknowledgement instead.
    pub(crate) fn returns_own(self) -> bool {
        match self {
            Wire::Bearer => true,
            Wire::Mode => false,
        }
    }

    /// Connects `member` so that it hears what is said in `flow`, and waits until it does.
    pub(crate) async fn enter(self, server: SocketAddr, source: Ipv4Addr, member: &Member, flow: Option<FlowId>) -> Outcome<Socket> {
        match (self, flow) {
            (Wire::Bearer, Some(flow)) => {
                let mut peer = Peer::dial(server, source, self.dialect(), &send(member, flow, String::new())).await?;
                // The history, which comes unasked.
                peer.frame().await?;
                Ok(peer.socket)
            }
            (Wire::Bearer, None) => Err("bearer has a socket for each room".into()),
            (Wire::Mode, _) => {
                let ask = Ask::new(Echo::NONE, token(member), Command::ListFlows { limit: None, offset: 0, members: false });
                let mut peer = Peer::dial(server, source, self.dialect(), &ask).await?;
                peer.ask(ask).await?;
                Ok(peer.socket)
            }
        }
    }

    /// The frame with which `member` says this in `flow`.
    pub(crate) fn said(self, member: &Member, flow: FlowId, text: String) -> Outcome<Utf8Bytes> {
        let ask = send(member, flow, text);
        let request = self.dialect().dial(&ask)?;
        // A session of its own for each frame, so that none waits for replies that nobody reads.
        let mut frames = Vec::new();
        open(self.dialect(), &request, true)?.encode(now(), &Line::Ask(ask), &mut frames)?;
        text_of(frames.pop().ok_or("nothing is said")?)
    }

    /// The frame with which the gateway would tell of this, for a floor that carries the same bytes.
    pub(crate) fn told(self, text: String) -> Outcome<Utf8Bytes> {
        let version = Version(1_000);
        let message = tolmach_domain::Message {
            id: MessageId::new(1_000)?,
            flow: FlowId::new(1)?,
            flow_kind: FlowKind::Group,
            author: Person { id: UserId::new(1)?, login: "member-0".into(), username: "member-0".into(), name: "".into() },
            content: Content::text(text),
            posted: version,
            version,
            posted_at: now(),
            edited_at: None,
            deleted_at: None,
            changed_at: now(),
        };
        let notice = Event { at: now(), moment: None, origin: None, kind: EventKind::Posted(message) };
        text_of(self.dialect().render(&notice, self.variant())?)
    }
}

/// The frame of `mode` that names a mode nobody has: it is answered without the store.
pub(crate) fn unanswerable() -> Utf8Bytes {
    Utf8Bytes::from_static(r#"{"mode":"ping","timestamp":1700000000.0,"token":"0000000000000000000000000000000000000000000"}"#)
}

/// An ask to say this in a group.
fn send(member: &Member, flow: FlowId, text: String) -> Ask {
    let draft = Draft { flow, kinds: Kinds::Shared, content: Content::text(text), key: None };
    Ask::new(Echo::NONE, token(member), Command::Send(Box::new(draft)))
}

/// The member's token; both dialects know it by its place.
fn token(member: &Member) -> Proof {
    Proof::Token(member.token.clone())
}

fn text_of(frame: Frame) -> Outcome<Utf8Bytes> {
    match frame {
        Frame::Text(text) => Ok(Utf8Bytes::try_from(text)?),
        frame => Err(format!("a text frame was expected, not a {}", frame.kind()).into()),
    }
}

pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}

/// A loopback address for the connection with this number to come from.
pub(crate) fn source(number: usize) -> Ipv4Addr {
    let host = u8::try_from(number / CONNECTIONS_PER_SOURCE + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, host)
}

async fn connect(server: SocketAddr, source: Ipv4Addr) -> Outcome<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if source != Ipv4Addr::LOCALHOST {
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A WebSocket to a path of the floor.
pub(crate) async fn plain(server: SocketAddr, source: Ipv4Addr, path: &'static str) -> Outcome<Socket> {
    let request = Request::get(path)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(())
        .map(Request::into_parts)?;
    handshake(server, source, &request.0).await
}

async fn handshake(server: SocketAddr, source: Ipv4Addr, request: &http::request::Parts) -> Outcome<Socket> {
    let mut request = Request::from_parts(request.clone(), ());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("ws://{server}{path}").parse::<Uri>()?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(&server.to_string())?);
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key())?);
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let stream = connect(server, source).await?;
    Ok(tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?.0)
}

fn open(dialect: &dyn Dialect, request: &http::request::Parts, websocket: bool) -> Outcome<Box<dyn Session>> {
    let settings = Settings::default();
    let opening = Opening { request: Some(request), first: None, connection: ConnectionId(0), websocket, settings };
    let refused = |refusal: tolmach_dialect::Refusal| format!("the dialect refused its own request: {}", refusal.response.status());
    Ok(dialect.open(&opening, Side::Client).map_err(refused)?)
}

/// The answer among these lines.
fn answer(lines: Vec<Line>) -> Outcome<Option<Answer>> {
    for line in lines {
        if let Line::Reply(reply) = line {
            return Ok(Some(reply.outcome?));
        }
    }
    Ok(None)
}

/// A WebSocket and the client session that speaks on it.
pub(crate) struct Peer {
    socket: Socket,
    session: Box<dyn Session>,
}

impl Peer {
    /// Connects where `dialect` says that this is asked.
    async fn dial(server: SocketAddr, source: Ipv4Addr, dialect: &dyn Dialect, ask: &Ask) -> Outcome<Self> {
        let request = dialect.dial(ask)?;
        let session = open(dialect, &request, true)?;
        Ok(Self { socket: handshake(server, source, &request).await?, session })
    }

    /// Connects to speak `mode`, as nobody yet.
    pub(crate) async fn mode(server: SocketAddr) -> Outcome<Self> {
        let anything = Ask::new(Echo::NONE, Proof::Nothing, Command::ListFlows { limit: None, offset: 0, members: false });
        Self::dial(server, Ipv4Addr::LOCALHOST, &Mode, &anything).await
    }

    /// Asks, and waits for the answer. A fault is an error.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Outcome<Answer> {
        let mut frames = Vec::new();
        self.session.encode(now(), &Line::Ask(ask), &mut frames)?;
        for frame in frames {
            self.socket.send(Message::Text(text_of(frame)?)).await?;
        }
        loop {
            let frame = Frame::Text(self.frame().await?.into());
            let mut lines = Vec::new();
            self.session.decode(now(), &frame, &mut lines).map_err(|violation| format!("not understood: {violation:?}"))?;
            if let Some(answer) = answer(lines)? {
                return Ok(answer);
            }
        }
    }

    /// Says this in a group, and waits until it is acknowledged.
    pub(crate) async fn send(&mut self, member: &Member, flow: FlowId, text: String) -> Outcome<()> {
        self.ask(send(member, flow, text)).await.map(|_| ())
    }

    /// The connection without what its session remembers.
    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    async fn frame(&mut self) -> Outcome<Utf8Bytes> {
        next_text(&mut self.socket).await?.ok_or_else(|| "the server closed the connection".into())
    }
}

/// The next text message; `None` when the connection has ended.
pub(crate) async fn next_text<S, E>(socket: &mut S) -> Outcome<Option<Utf8Bytes>>
where
    S: futures_util::Stream<Item = Result<Message, E>> + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// A connection that asks in `bearer`'s HTTP requests.
pub(crate) struct Rest {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Rest {
    pub(crate) async fn connect(server: SocketAddr) -> Outcome<Self> {
        let stream = TokioIo::new(connect(server, Ipv4Addr::LOCALHOST).await?);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        // Its failure is also that of the request under way.
        tokio::spawn(connection);
        Ok(Self { sender, host: HeaderValue::from_str(&server.to_string())? })
    }

    /// Asks, and waits for the answer. A fault is an error.
    pub(crate) async fn ask(&mut self, proof: Proof, command: Command) -> Outcome<Answer> {
        let ask = Ask::new(Echo::NONE, proof, command);
        let mut session = open(&Bearer, &Bearer.dial(&ask)?, false)?;
        let mut frames = Vec::new();
        session.encode(now(), &Line::Ask(ask), &mut frames)?;
        let Some(Frame::Request(mut request)) = frames.pop() else { return Err("an HTTP request was expected".into()) };
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request.map(Full::new)).await?.into_parts();
        let response = Frame::response(http::Response::from_parts(parts, body.collect().await?.to_bytes()));
        let mut lines = Vec::new();
        session.decode(now(), &response, &mut lines).map_err(|violation| format!("not understood: {violation:?}"))?;
        answer(lines)?.ok_or_else(|| "the response answers nothing".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::Secret;

    #[test]
    fn what_the_floor_carries_is_what_a_client_of_the_dialect_hears() {
        let member = Member { id: UserId::new(1).unwrap(), access: Secret::new("access"), token: Secret::new("token") };
        let flow = FlowId::new(1).unwrap();
        for wire in [Wire::Bearer, Wire::Mode] {
            let request = wire.dialect().dial(&send(&member, flow, "hello".into())).unwrap();
            let mut session = open(wire.dialect(), &request, true).unwrap();
            let frame = Frame::Text(wire.told("hello".into()).unwrap().into());
            let mut lines = Vec::new();
            session.decode(now(), &frame, &mut lines).unwrap();
            let texts: Vec<_> = lines
                .iter()
                .filter_map(|line| match line {
                    Line::Notice(notice) => match &notice.kind {
                        EventKind::Posted(message) => Some(message.content.text.as_str()),
                        _ => None,
                    },
                    _ => None,
                })
                .collect();
            assert_eq!(texts, ["hello"], "{wire:?}");
        }
    }

    #[test]
    fn the_loopback_has_a_source_for_every_connection() {
        for (number, expected) in [(0, 1), (19_999, 1), (20_000, 2), (usize::MAX, 255)] {
            assert_eq!(source(number), Ipv4Addr::new(127, 0, 0, expected), "{number}");
        }
    }
}
