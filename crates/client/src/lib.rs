//! A client of any dialect: it says canonical commands over real connections, in the words of the
//! dialect's own client side.
//!
//! It knows no dialect. Where to connect, how to prove who asks and what an answer means is what
//! [`Dialect`] and its sessions tell, so that whatever speaks to a gateway here speaks every
//! dialect that there will be.

mod net;

use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tolmach_dialect::{
    Ask, Dialect, Echo, Frame, Line, Notice, Opening, Reply, Session, Settings, Side,
};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, Fault, Timestamp, Tokens, UserId,
};

/// How long anything may take before a client gives up on it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames that may wait to be looked at.
const WAITING: usize = 1_024;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The client says it.
    Sent,
    /// The gateway says it.
    Received,
}

/// Sees every frame as it comes and goes. A handshake is a frame too: its request, and the response
/// that refuses it.
pub trait Witness: Send + Sync {
    /// One frame of the client called `who`.
    fn frame(&self, who: &str, dialect: &'static str, way: Way, frame: &Frame);
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// It was granted.
    Answer(Answer),
    /// It was refused.
    Refused(Fault),
    /// This dialect has no words for it.
    Unsayable,
}

/// What came without having been asked for.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Something happened.
    Notice(Arc<Notice>),
    /// The gateway closed a connection, with this code where it gave one.
    Closed(Option<u16>),
}

/// A conversation with the gateway that went wrong: nothing came in time, or nothing that this
/// dialect understands.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{who} ({dialect}), {doing}: {reason}")]
pub struct Trouble {
    who: String,
    dialect: &'static str,
    doing: String,
    reason: String,
}

/// How the tokens of a login may be put to use: a wire has one of these ways.
pub fn proofs(user: UserId, tokens: &Tokens) -> Vec<Credentials> {
    match tokens {
        Tokens::Nothing => vec![Credentials::Nothing],
        Tokens::Connection => vec![Credentials::Connection],
        Tokens::Token(token) => {
            vec![Credentials::Token(token.clone()), Credentials::TokenOf(user, token.clone())]
        }
        Tokens::Pair { access, refresh: _ } => {
            vec![Credentials::Bearer(access.clone()), Credentials::Connection]
        }
    }
}

/// A client of one dialect.
pub struct Client {
    name: String,
    dialect: Arc<dyn Dialect>,
    address: SocketAddr,
    witness: Arc<dyn Witness>,
    /// How it may prove who it is; the first that the wire knows is used.
    proofs: Vec<Credentials>,
    authority: Authority,
    asked: u64,
    /// `None` where the gateway has closed it.
    sockets: Vec<Option<Socket>>,
    arrivals: mpsc::Receiver<Arrival>,
    arrival: mpsc::Sender<Arrival>,
    lines: VecDeque<Line>,
    heard: Vec<Heard>,
    /// How much of that was listened to.
    listened: usize,
}

/// An open WebSocket.
struct Socket {
    session: Box<dyn Session>,
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

/// What came over one of the sockets.
struct Arrival {
    socket: usize,
    what: Arrived,
}

enum Arrived {
    Frame(Box<Frame>),
    Pong(Bytes),
    /// Nothing follows: it was closed with this code, or it broke.
    End(Result<Option<u16>, String>),
}

/// What a client that listens comes upon.
enum Next {
    Reply(Reply),
    Notice(Arc<Notice>),
    Pong(Bytes),
    /// This socket is closed.
    Closed(usize, Option<u16>),
}

impl Client {
    /// A client that has not connected yet and proves nothing.
    pub fn new(
        name: impl Into<String>,
        dialect: Arc<dyn Dialect>,
        address: SocketAddr,
        witness: Arc<dyn Witness>,
    ) -> Self {
        let (arrival, arrivals) = mpsc::channel(WAITING);
        Self {
            name: name.into(),
            dialect,
            address,
            witness,
            proofs: vec![Credentials::Nothing],
            authority: Authority::Member,
            asked: 0,
            sockets: Vec::new(),
            arrivals,
            arrival,
            lines: VecDeque::new(),
            heard: Vec::new(),
            listened: 0,
        }
    }

    /// What it is called in reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dialect that it speaks.
    pub fn dialect(&self) -> &Arc<dyn Dialect> {
        &self.dialect
    }

    /// From now on asks are proven in one of these ways: the first that the wire knows.
    pub fn prove_by(&mut self, proofs: Vec<Credentials>) {
        self.proofs = proofs;
    }

    /// How it proves who it is.
    pub fn proofs(&self) -> &[Credentials] {
        &self.proofs
    }

    /// From now on it asks in this right.
    pub fn act_as(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// Everything that came without having been asked for.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Says the first of these that its dialect has words for, and waits for the answer.
    pub async fn say_any(&mut self, commands: &[Command]) -> Result<Told, Trouble> {
        for command in commands {
            for proof in self.proofs.clone() {
                self.asked += 1;
                let ask = Ask {
                    authority: self.authority,
                    ..Ask::new(Echo::new(self.asked), proof, command.clone())
                };
                let said = timeout(PATIENCE, self.ask(&ask)).await;
                match said.map_err(|_| self.trouble(command.name(), "not answered in time"))?? {
                    Some(Ok(answer)) => return Ok(Told::Answer(answer)),
                    Some(Err(fault)) => return Ok(Told::Refused(fault)),
                    None => {}
                }
            }
        }
        Ok(Told::Unsayable)
    }

    /// What `find` finds among all that was heard so far, or as soon as it comes.
    pub async fn hear<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, Trouble> {
        let mut looked_at = 0;
        let listening = async {
            loop {
                while let Some(heard) = self.heard.get(looked_at) {
                    looked_at += 1;
                    if let Some(found) = find(heard) {
                        return Ok(found);
                    }
                }
                let next = self.next().await?;
                self.note(next);
            }
        };
        match timeout(PATIENCE, listening).await {
            Ok(found) => found,
            Err(_) => {
                Err(self
                    .trouble("listening", format!("{what} was not heard, only {:?}", self.heard)))
            }
        }
    }

    /// What comes next without having been asked for, however long that takes. Nothing is lost
    /// where the wait is given up.
    pub async fn listen(&mut self) -> Result<Heard, Trouble> {
        loop {
            if let Some(heard) = self.heard.get(self.listened) {
                self.listened += 1;
                return Ok(heard.clone());
            }
            let next = self.next().await?;
            self.note(next);
        }
    }

    /// Reads on without looking at what comes, until a connection ends; its close code.
    pub async fn discard(&mut self) -> Result<Option<u16>, Trouble> {
        loop {
            let Some(Arrival { socket, what }) = self.arrivals.recv().await else {
                return Err(self.trouble("listening", "nothing is open"));
            };
            if let Arrived::End(end) = what {
                self.sockets[socket] = None;
                return end.map_err(|reason| self.trouble("listening", reason));
            }
        }
    }

    /// A trouble of this client.
    pub fn trouble(&self, doing: &str, reason: impl Display) -> Trouble {
        Trouble {
            who: self.name.clone(),
            dialect: self.dialect.manifest().id,
            doing: doing.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// `None` where the dialect has no words for it.
    async fn ask(&mut self, ask: &Ask) -> Result<Option<Result<Answer, Fault>>, Trouble> {
        let line = Line::Ask(ask.clone());
        for socket in 0..self.sockets.len() {
            if let Some(outcome) = self.ask_on(socket, &line, &ask.command).await? {
                return Ok(Some(outcome));
            }
        }
        let Ok(request) = self.dialect.dial(ask) else { return Ok(None) };
        if !request.headers.contains_key(http::header::UPGRADE) {
            return self.exchange(request, &line).await;
        }
        match self.connect(request).await? {
            Ok(socket) => self.ask_on(socket, &line, &ask.command).await,
            Err((mut session, refusal)) => {
                if session.encode(now(), &line, &mut Vec::new()).is_err() {
                    return Ok(None);
                }
                self.understand(&mut *session, &refusal)?;
                self.reply(None).await.map(Some)
            }
        }
    }

    async fn ask_on(
        &mut self,
        number: usize,
        line: &Line,
        command: &Command,
    ) -> Result<Option<Result<Answer, Fault>>, Trouble> {
        let Some(socket) = &mut self.sockets[number] else { return Ok(None) };
        let mut frames = Vec::new();
        if socket.session.encode(now(), line, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.show(Way::Sent, &frame);
            let message = net::message(&frame).ok_or_else(|| {
                self.trouble("saying", format!("a {} frame on a WebSocket", frame.kind()))
            })?;
            self.send(number, message).await?;
        }
        if matches!(command, Command::ShowTyping { .. }) {
            // No wire has to say that it was granted. A connection is served in order, so a pong
            // says that no refusal follows.
            self.send(number, Message::Ping(self.barrier())).await?;
        }
        self.reply(Some(number)).await.map(Some)
    }

    async fn send(&mut self, number: usize, message: Message) -> Result<(), Trouble> {
        let Some(socket) = &mut self.sockets[number] else {
            return Err(self.trouble("saying", "the connection is closed"));
        };
        let sent = socket.sink.send(message).await;
        sent.map_err(|error| self.trouble("saying", error))
    }

    fn barrier(&self) -> Bytes {
        Bytes::copy_from_slice(&self.asked.to_be_bytes())
    }

    /// Waits for the reply to what was asked last, on this socket if on one.
    async fn reply(&mut self, asked_on: Option<usize>) -> Result<Result<Answer, Fault>, Trouble> {
        loop {
            match self.next().await? {
                Next::Reply(reply) if reply.echo.get() == Some(&self.asked) => {
                    return Ok(reply.outcome);
                }
                Next::Pong(barrier) if barrier == self.barrier() => {
                    return Ok(Ok(Answer::TypingShown));
                }
                Next::Closed(socket, code) if Some(socket) == asked_on => {
                    return Err(self.trouble(
                        "listening",
                        format!("closed by the gateway with {code:?} instead of an answer"),
                    ));
                }
                next => self.note(next),
            }
        }
    }

    async fn next(&mut self) -> Result<Next, Trouble> {
        loop {
            match self.lines.pop_front() {
                Some(Line::Reply(reply)) => return Ok(Next::Reply(reply)),
                Some(Line::Notice(notice)) => return Ok(Next::Notice(notice)),
                Some(Line::Ask(ask)) => {
                    return Err(self.trouble(
                        "listening",
                        format!("the gateway asks: {}", ask.command.name()),
                    ));
                }
                None => {}
            }
            let Some(Arrival { socket: number, what }) = self.arrivals.recv().await else {
                return Err(self.trouble("listening", "nothing is open"));
            };
            match what {
                Arrived::Pong(barrier) => return Ok(Next::Pong(barrier)),
                Arrived::End(end) => {
                    self.sockets[number] = None;
                    let code = end.map_err(|reason| self.trouble("listening", reason))?;
                    return Ok(Next::Closed(number, code));
                }
                Arrived::Frame(frame) => {
                    self.show(Way::Received, &frame);
                    let Some(socket) = &mut self.sockets[number] else { continue };
                    let mut lines = Vec::new();
                    let decoded = socket.session.decode(now(), &frame, &mut lines);
                    self.understood(decoded, lines, &frame)?;
                }
            }
        }
    }

    fn note(&mut self, next: Next) {
        match next {
            Next::Notice(notice) => self.heard.push(Heard::Notice(notice)),
            Next::Closed(_, code) => self.heard.push(Heard::Closed(code)),
            Next::Reply(_) | Next::Pong(_) => {}
        }
    }

    /// One HTTP request and its response.
    async fn exchange(
        &mut self,
        request: http::request::Parts,
        line: &Line,
    ) -> Result<Option<Result<Answer, Fault>>, Trouble> {
        let mut session = self.open(&request, false)?;
        let mut frames = Vec::new();
        if session.encode(now(), line, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.show(Way::Sent, &frame);
            let Frame::Request(request) = frame else {
                return Err(self.trouble("saying", "an HTTP exchange that is no request"));
            };
            let response = net::fetch(self.address, *request)
                .await
                .map_err(|reason| self.trouble("saying", reason))?;
            self.understand(&mut *session, &Frame::response(response))?;
        }
        self.reply(None).await.map(Some)
    }

    fn understand(&mut self, session: &mut dyn Session, frame: &Frame) -> Result<(), Trouble> {
        self.show(Way::Received, frame);
        let mut lines = Vec::new();
        let decoded = session.decode(now(), frame, &mut lines);
        self.understood(decoded, lines, frame)
    }

    fn understood(
        &mut self,
        decoded: Result<(), tolmach_dialect::Violation>,
        lines: Vec<Line>,
        frame: &Frame,
    ) -> Result<(), Trouble> {
        decoded.map_err(|violation| {
            let payload = String::from_utf8_lossy(frame.payload());
            self.trouble(
                "listening",
                format!("not understood, {}: {payload}", violation.kind.name()),
            )
        })?;
        self.lines.extend(lines);
        Ok(())
    }

    fn open(
        &self,
        request: &http::request::Parts,
        websocket: bool,
    ) -> Result<Box<dyn Session>, Trouble> {
        let opening = Opening {
            request: Some(request),
            first: None,
            connection: ConnectionId(self.asked),
            websocket,
            settings: Settings::default(),
        };
        let opened = self.dialect.open(&opening, Side::Client);
        opened.map_err(|refusal| {
            self.trouble(
                "connecting",
                format!("our own request is refused with {}", refusal.response.status()),
            )
        })
    }

    /// Opens a WebSocket; also what refused it.
    async fn connect(
        &mut self,
        request: http::request::Parts,
    ) -> Result<Result<usize, (Box<dyn Session>, Frame)>, Trouble> {
        let session = self.open(&request, true)?;
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| self.trouble("connecting", error))?;
        self.show(
            Way::Sent,
            &Frame::request(http::Request::from_parts(request.clone(), Bytes::new())),
        );
        let handshake = net::handshake(self.address, request)
            .map_err(|error| self.trouble("connecting", error))?;
        let stream = match tokio_tungstenite::client_async(handshake, stream).await {
            Ok((stream, _)) => stream,
            Err(tungstenite::Error::Http(response)) => {
                return Ok(Err((
                    session,
                    Frame::response(response.map(|body| Bytes::from(body.unwrap_or_default()))),
                )));
            }
            Err(error) => return Err(self.trouble("connecting", error)),
        };
        let (sink, mut messages) = stream.split();
        let (socket, arrival) = (self.sockets.len(), self.arrival.clone());
        self.sockets.push(Some(Socket { session, sink }));
        tokio::spawn(async move {
            loop {
                let what = match messages.next().await {
                    Some(Ok(Message::Text(text))) => {
                        Arrived::Frame(Box::new(Frame::Text(text.into())))
                    }
                    Some(Ok(Message::Binary(bytes))) => {
                        Arrived::Frame(Box::new(Frame::Binary(bytes)))
                    }
                    Some(Ok(Message::Pong(barrier))) => Arrived::Pong(barrier),
                    Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(close))) => {
                        Arrived::End(Ok(close.map(|close| close.code.into())))
                    }
                    Some(Err(error)) => Arrived::End(Err(error.to_string())),
                    None => Arrived::End(Ok(None)),
                };
                let last = matches!(what, Arrived::End(_));
                if arrival.send(Arrival { socket, what }).await.is_err() || last {
                    break;
                }
            }
        });
        Ok(Ok(socket))
    }

    fn show(&self, way: Way, frame: &Frame) {
        self.witness.frame(&self.name, self.dialect.manifest().id, way, frame);
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
