//! Connections that speak a dialect through its own client session, or none to the floor.

use crate::Outcome;
use crate::world::{Member, PASSWORD};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Uri};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::SystemTime;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Opening, Session, Settings, Side};
use tolmach_dialect_action::Action;
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_mode::Mode;
use tolmach_dialect_morelia::Morelia;
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, Credentials, FlowId, FlowKindFilter, GrantKind,
    HistoryRange, NewMessage, Secret, Timestamp,
};

/// Small, since ten thousand connections have one each.
const READ_BUFFER: usize = 4 << 10;
/// How many connections have one source address: fewer than there are free ports.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Which dialect's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// Connections that are pushed every message of their user
    Mode,
    /// The same, after a login of their own
    Sndmsg,
    /// The same, validated by JSON Schema
    Morelia,
    /// Sockets of one room
    Bearer,
    /// Connections that have joined one room
    Action,
}

impl Wire {
    fn dialect(self) -> &'static dyn Dialect {
        static ACTION: LazyLock<Action> = LazyLock::new(Action::default);
        match self {
            Wire::Mode => &Mode,
            Wire::Sndmsg => &SndMsg,
            Wire::Morelia => &Morelia,
            Wire::Bearer => &Bearer,
            Wire::Action => &*ACTION,
        }
    }

    /// Whether authors are sent their own messages like everybody else. If not, they are sent an
    /// acknowledgement instead.
    pub(crate) fn returns_own(self) -> bool {
        match self {
            Wire::Bearer | Wire::Action => true,
            Wire::Mode | Wire::Sndmsg | Wire::Morelia => false,
        }
    }

    /// Whether a connection is in one room, and not in all of its user's.
    pub(crate) fn is_in_a_room(self) -> bool {
        match self {
            Wire::Bearer | Wire::Action => true,
            Wire::Mode | Wire::Sndmsg | Wire::Morelia => false,
        }
    }

    /// How a connection proves who asks.
    fn proof(self, member: &Member) -> Credentials {
        match self {
            Wire::Mode => Credentials::Token(member.token.clone()),
            Wire::Sndmsg => Credentials::Connection,
            Wire::Morelia => Credentials::TokenOf(member.id, member.token.clone()),
            Wire::Bearer | Wire::Action => Credentials::Bearer(member.access.clone()),
        }
    }

    /// What a member asks first, after whose answer it hears what is said: in `flow`, or in every
    /// flow of its own.
    fn first(self, member: &Member, flow: Option<FlowId>) -> Outcome<Ask> {
        let command = match (self, flow) {
            (Wire::Bearer, Some(flow)) => Command::History {
                flow,
                kinds: FlowKindFilter::Shared,
                window: HistoryRange::Newest { limit: 1, offset: 0 },
            },
            (Wire::Action, Some(flow)) => {
                Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true }
            }
            (Wire::Bearer | Wire::Action, None) => {
                return Err(format!("{self:?} has a connection for each room").into());
            }
            (Wire::Mode | Wire::Morelia, _) => {
                Command::ListFlows { limit: None, offset: 0, members: false }
            }
            (Wire::Sndmsg, _) => login(&member.login, GrantKind::Connection),
        };
        let proof = if self == Wire::Sndmsg { Credentials::Nothing } else { self.proof(member) };
        Ok(Ask::new(Echo::NONE, proof, command))
    }

    /// Connects `member` so that it hears what is said in `flow`, and waits until it does.
    pub(crate) async fn enter(
        self,
        server: SocketAddr,
        source: Ipv4Addr,
        member: &Member,
        flow: Option<FlowId>,
    ) -> Outcome<Peer> {
        let first = self.first(member, flow)?;
        let mut peer = Peer::dial(server, source, self, &first).await?;
        peer.ask(first).await?;
        Ok(peer)
    }

    /// An ask of `member` to say this in a group.
    pub(crate) fn say(self, member: &Member, flow: FlowId, text: String) -> Ask {
        let draft = NewMessage {
            flow,
            kinds: FlowKindFilter::Shared,
            content: Content::text(text),
            key: None,
        };
        Ask::new(Echo::NONE, self.proof(member), Command::Send(Box::new(draft)))
    }

    /// An ask of `member` for all that was said in a group, in a dialect that reads it by a
    /// request.
    pub(crate) fn read(self, member: &Member, flow: FlowId) -> Ask {
        Ask::new(
            Echo::NONE,
            self.proof(member),
            Command::History { flow, kinds: FlowKindFilter::Any, window: HistoryRange::All },
        )
    }
}

/// A login with the password that every member has.
pub(crate) fn login(identifier: &str, grant: GrantKind) -> Command {
    Command::Login { identifier: identifier.to_owned(), password: Secret::new(PASSWORD), grant }
}

/// The frame of `mode` that names a mode nobody has: it is answered without the store.
pub(crate) fn unanswerable() -> Utf8Bytes {
    Utf8Bytes::from_static(
        r#"{"mode":"ping","timestamp":1700000000.0,"token":"0000000000000000000000000000000000000000000"}"#,
    )
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
pub(crate) async fn plain(
    server: SocketAddr,
    source: Ipv4Addr,
    path: &'static str,
) -> Outcome<Socket> {
    let request = Request::get(path)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(())
        .map(Request::into_parts)?;
    handshake(server, source, &request.0).await
}

async fn handshake(
    server: SocketAddr,
    source: Ipv4Addr,
    request: &http::request::Parts,
) -> Outcome<Socket> {
    let mut request = Request::from_parts(request.clone(), ());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("ws://{server}{path}").parse::<Uri>()?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(&server.to_string())?);
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&generate_key())?);
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let stream = connect(server, source).await?;
    Ok(tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?.0)
}

/// A client session, which makes frames of asks and lines of frames.
pub(crate) struct Speech(Box<dyn Session>);

impl Speech {
    fn open(wire: Wire, request: &http::request::Parts) -> Outcome<Self> {
        // Each with a number of its own: a dialect may make keys of it.
        static OPENED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let connection = ConnectionId(OPENED.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let opening = Opening {
            request: Some(request),
            first: None,
            connection,
            websocket: true,
            settings: Settings::default(),
        };
        let refused = |refusal: tolmach_dialect::Refusal| {
            format!("the dialect refused its own request: {}", refusal.response.status())
        };
        Ok(Self(wire.dialect().open(&opening, Side::Client).map_err(refused)?))
    }

    /// The frames that ask this.
    pub(crate) fn ask(&mut self, ask: Ask) -> Outcome<Vec<Message>> {
        let mut frames = Vec::new();
        self.0.encode(now(), &Line::Ask(ask), &mut frames)?;
        frames.into_iter().map(|frame| Ok(Message::Text(text_of(frame)?))).collect()
    }

    /// What a frame says. A fault is an error.
    pub(crate) fn hear(&mut self, frame: Utf8Bytes) -> Outcome<Heard> {
        let mut lines = Vec::new();
        let decoded = self.0.decode(now(), &Frame::Text(frame.into()), &mut lines);
        decoded.map_err(|violation| format!("not understood: {violation:?}"))?;
        let mut heard = Heard::default();
        for line in lines {
            match line {
                Line::Reply(reply) => heard.answer = Some(reply.outcome?),
                Line::Notice(_) => heard.notice = true,
                Line::Ask(ask) => {
                    return Err(format!("the server asks: {}", ask.command.name()).into());
                }
            }
        }
        Ok(heard)
    }
}

/// What a frame said.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) answer: Option<Answer>,
    /// Whether something happened.
    pub(crate) notice: bool,
}

/// A WebSocket and the client session that speaks on it.
pub(crate) struct Peer {
    socket: Socket,
    speech: Speech,
}

impl Peer {
    /// Connects where the dialect says that this is asked.
    pub(crate) async fn dial(
        server: SocketAddr,
        source: Ipv4Addr,
        wire: Wire,
        ask: &Ask,
    ) -> Outcome<Self> {
        let request = wire.dialect().dial(ask)?;
        let speech = Speech::open(wire, &request)?;
        Ok(Self { socket: handshake(server, source, &request).await?, speech })
    }

    /// Asks, and waits for the answer. A fault is an error.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Outcome<Answer> {
        self.begin(ask).await?;
        self.answer().await
    }

    /// Asks, and does not wait.
    pub(crate) async fn begin(&mut self, ask: Ask) -> Outcome<()> {
        for message in self.speech.ask(ask)? {
            self.socket.send(message).await?;
        }
        Ok(())
    }

    /// Waits for the next answer.
    pub(crate) async fn answer(&mut self) -> Outcome<Answer> {
        loop {
            let frame =
                next_text(&mut self.socket).await?.ok_or("the server closed the connection")?;
            if let Some(answer) = self.speech.hear(frame)?.answer {
                return Ok(answer);
            }
        }
    }

    /// The connection, and what its session remembers.
    pub(crate) fn into_parts(self) -> (Socket, Speech) {
        (self.socket, self.speech)
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use tolmach_domain::UserId;

    #[test]
    fn every_wire_can_enter_a_room_and_speak_there() {
        let (id, secret) = (UserId::new(1).unwrap(), || Secret::new("token"));
        let member = Member { id, login: "member-0".into(), access: secret(), token: secret() };
        let flow = FlowId::new(1).unwrap();
        for wire in Wire::value_variants() {
            let first = wire.first(&member, Some(flow)).unwrap();
            let mut speech = Speech::open(*wire, &wire.dialect().dial(&first).unwrap()).unwrap();
            speech.ask(first).unwrap();
            let said = speech.ask(wire.say(&member, flow, "hello".into())).unwrap();
            assert!(
                said.iter().any(|message| message.to_text().unwrap().contains("hello")),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn the_loopback_has_a_source_for_every_connection() {
        for (number, expected) in [(0, 1), (19_999, 1), (20_000, 2), (usize::MAX, 255)] {
            assert_eq!(source(number), Ipv4Addr::new(127, 0, 0, expected), "{number}");
        }
    }
}
