//! A client of any dialect: it says canonical lines over real connections.

use super::super::Failure;
use super::transcript::{Transcript, Way};
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{self, Message};
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Opening, Session, Settings, Side};
use tolmach_domain::{Answer, Command, ConnectionId, EventKind, Fault, Proof, Timestamp};

/// How long anything may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames that may wait to be looked at.
const WAITING: usize = 1_024;
/// The largest answer that is read, in bytes.
const BODY_LIMIT: usize = 16 << 20;

/// What came of an ask.
pub(super) enum Told {
    Answer(Answer),
    /// This dialect has no words for it.
    Unsayable,
}

/// A client of one dialect.
pub(super) struct Client {
    name: String,
    dialect: Arc<dyn Dialect>,
    address: SocketAddr,
    transcript: Arc<Transcript>,
    /// How it may prove who it is; the first that the wire knows is used.
    proofs: Vec<Proof>,
    asked: u64,
    sockets: Vec<Socket>,
    arrivals: mpsc::Receiver<Arrival>,
    arrival: mpsc::Sender<Arrival>,
    lines: VecDeque<Line>,
    /// What others said while it listened.
    heard: BTreeSet<String>,
}

/// An open WebSocket.
struct Socket {
    session: Box<dyn Session>,
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

/// What came over one of the sockets: a frame, or the reason why none follows.
struct Arrival {
    socket: usize,
    frame: Result<Frame, String>,
}

impl Client {
    pub(super) fn new(name: String, dialect: Arc<dyn Dialect>, address: SocketAddr, transcript: Arc<Transcript>) -> Self {
        let (arrival, arrivals) = mpsc::channel(WAITING);
        Self {
            name,
            dialect,
            address,
            transcript,
            proofs: vec![Proof::Nothing],
            asked: 0,
            sockets: Vec::new(),
            arrivals,
            arrival,
            lines: VecDeque::new(),
            heard: BTreeSet::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn dialect(&self) -> &dyn Dialect {
        &*self.dialect
    }

    pub(super) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// From now on asks are proven in one of these ways.
    pub(super) fn prove_by(&mut self, proofs: Vec<Proof>) {
        self.proofs = proofs;
    }

    /// Says the first of these that its dialect has words for, and waits for the answer. A refusal ends the demo.
    pub(super) async fn say_any(&mut self, commands: &[Command]) -> Result<Told, Failure> {
        for command in commands {
            for proof in self.proofs.clone() {
                self.asked += 1;
                let ask = Ask::new(Echo::new(self.asked), proof, command.clone());
                let said = timeout(PATIENCE, self.say(&Line::Ask(ask.clone()), &ask)).await;
                let outcome = said.map_err(|_| self.failure(command.name(), "not answered in time"))??;
                if let Some(outcome) = outcome {
                    return outcome.map(Told::Answer).map_err(|fault| self.failure(command.name(), fault));
                }
            }
        }
        Ok(Told::Unsayable)
    }

    /// Waits until it has heard all of this from others.
    pub(super) async fn hear(&mut self, expected: &BTreeSet<String>) -> Result<(), Failure> {
        let listening = async {
            while !expected.is_subset(&self.heard) {
                let line = self.next_line().await?;
                self.note(&line);
            }
            Ok::<(), Failure>(())
        };
        match timeout(PATIENCE, listening).await {
            Ok(heard) => heard,
            Err(_) => Err(self.failure("listening", format!("not heard: {:?}", expected.difference(&self.heard).collect::<Vec<_>>()))),
        }
    }

    /// A failure by an answer that belongs to something else.
    pub(super) fn puzzled(&self, answer: &Answer) -> Failure {
        self.failure("understanding", format!("this answers something else: {answer:?}"))
    }

    fn failure(&self, doing: &str, reason: impl Display) -> Failure {
        Failure::Failed(format!("{} ({}), {doing}: {reason}", self.name, self.dialect.manifest().id))
    }

    /// `None` where the dialect has no words for it.
    async fn say(&mut self, line: &Line, ask: &Ask) -> Result<Option<Result<Answer, Fault>>, Failure> {
        for socket in 0..self.sockets.len() {
            if let Some(outcome) = self.say_on(socket, line).await? {
                return Ok(Some(outcome));
            }
        }
        let Ok(request) = self.dialect.dial(ask) else { return Ok(None) };
        if !request.headers.contains_key(http::header::UPGRADE) {
            return self.exchange(request, line).await;
        }
        match self.connect(request).await? {
            Ok(socket) => self.say_on(socket, line).await,
            Err((mut session, refusal)) => {
                let mut frames = Vec::new();
                if session.encode(now(), line, &mut frames).is_err() {
                    return Ok(None);
                }
                self.understand(&mut *session, &refusal)?;
                self.reply().await.map(Some)
            }
        }
    }

    async fn say_on(&mut self, number: usize, line: &Line) -> Result<Option<Result<Answer, Fault>>, Failure> {
        let mut frames = Vec::new();
        if self.sockets[number].session.encode(now(), line, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.show(Way::Sent, &frame);
            let message = message(&frame).ok_or_else(|| self.failure("saying", format!("a {} frame on a WebSocket", frame.kind())))?;
            let sent = self.sockets[number].sink.send(message).await;
            sent.map_err(|error| self.failure("saying", error))?;
        }
        self.reply().await.map(Some)
    }

    /// Waits for the reply to what was asked last.
    async fn reply(&mut self) -> Result<Result<Answer, Fault>, Failure> {
        loop {
            let line = self.next_line().await?;
            match line {
                Line::Reply(reply) if reply.echo.get() == Some(&self.asked) => return Ok(reply.outcome),
                line => self.note(&line),
            }
        }
    }

    async fn next_line(&mut self) -> Result<Line, Failure> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let Some(Arrival { socket, frame }) = self.arrivals.recv().await else {
                return Err(self.failure("listening", "nothing is open"));
            };
            let frame = frame.map_err(|reason| self.failure("listening", reason))?;
            let mut lines = Vec::new();
            let decoded = self.sockets[socket].session.decode(now(), &frame, &mut lines);
            self.show(Way::Received, &frame);
            decoded.map_err(|violation| self.failure("listening", format!("not understood: {}", violation.kind.name())))?;
            self.lines.extend(lines);
        }
    }

    fn note(&mut self, line: &Line) {
        if let Line::Notice(notice) = line
            && let EventKind::Posted(message) = &notice.kind
        {
            self.heard.insert(message.content.text.clone());
        }
    }

    /// One HTTP request and its response.
    async fn exchange(&mut self, request: http::request::Parts, line: &Line) -> Result<Option<Result<Answer, Fault>>, Failure> {
        let mut session = self.open(&request, false)?;
        let mut frames = Vec::new();
        if session.encode(now(), line, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.show(Way::Sent, &frame);
            let Frame::Request(request) = frame else { return Err(self.failure("saying", "an HTTP exchange that is no request")) };
            let response = fetch(self.address, request).await.map_err(|reason| self.failure("saying", reason))?;
            self.understand(&mut *session, &Frame::Response(response))?;
        }
        self.reply().await.map(Some)
    }

    fn understand(&mut self, session: &mut dyn Session, frame: &Frame) -> Result<(), Failure> {
        self.show(Way::Received, frame);
        let mut lines = Vec::new();
        let decoded = session.decode(now(), frame, &mut lines);
        decoded.map_err(|violation| self.failure("listening", format!("not understood: {}", violation.kind.name())))?;
        self.lines.extend(lines);
        Ok(())
    }

    fn open(&self, request: &http::request::Parts, websocket: bool) -> Result<Box<dyn Session>, Failure> {
        let opening =
            Opening { request: Some(request), first: None, connection: ConnectionId(self.asked), websocket, settings: Settings::default() };
        let opened = self.dialect.open(&opening, Side::Client);
        opened.map_err(|refusal| self.failure("connecting", format!("our own request is refused with {}", refusal.response.status())))
    }

    /// Opens a WebSocket; also what refused it.
    async fn connect(&mut self, request: http::request::Parts) -> Result<Result<usize, (Box<dyn Session>, Frame)>, Failure> {
        let session = self.open(&request, true)?;
        let stream = TcpStream::connect(self.address).await.map_err(|error| self.failure("connecting", error))?;
        self.show(Way::Sent, &Frame::Request(http::Request::from_parts(request.clone(), Bytes::new())));
        let handshake = handshake(self.address, request).map_err(|error| self.failure("connecting", error))?;
        let stream = match tokio_tungstenite::client_async(handshake, stream).await {
            Ok((stream, _)) => stream,
            Err(tungstenite::Error::Http(response)) => {
                return Ok(Err((session, Frame::Response(response.map(|body| Bytes::from(body.unwrap_or_default()))))));
            }
            Err(error) => return Err(self.failure("connecting", error)),
        };
        let (sink, mut frames) = stream.split();
        let (socket, arrival) = (self.sockets.len(), self.arrival.clone());
        self.sockets.push(Socket { session, sink });
        tokio::spawn(async move {
            while let Some(message) = frames.next().await {
                let frame = match message {
                    Ok(Message::Text(text)) => Ok(Frame::Text(text.into())),
                    Ok(Message::Binary(bytes)) => Ok(Frame::Binary(bytes)),
                    Ok(Message::Close(close)) => Err(format!("closed by the gateway: {close:?}")),
                    Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                    Err(error) => Err(error.to_string()),
                };
                let last = frame.is_err();
                if arrival.send(Arrival { socket, frame }).await.is_err() || last {
                    break;
                }
            }
        });
        Ok(Ok(socket))
    }

    fn show(&self, way: Way, frame: &Frame) {
        self.transcript.frame(&self.name, self.dialect.manifest().id, way, frame);
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

fn message(frame: &Frame) -> Option<Message> {
    match frame {
        Frame::Text(text) => Some(Message::Text(text.clone().try_into().ok()?)),
        Frame::Binary(bytes) => Some(Message::Binary(bytes.clone())),
        Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => None,
    }
}

/// The request of a handshake with what the WebSocket needs; RFC 6455 section 4.1.
fn handshake(address: SocketAddr, mut request: http::request::Parts) -> Result<http::Request<()>, http::Error> {
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    request.uri = format!("ws://{address}{path}").parse()?;
    let mut handshake = http::Request::from_parts(request, ());
    let headers = handshake.headers_mut();
    headers.insert(http::header::HOST, address.to_string().try_into()?);
    headers.insert(http::header::SEC_WEBSOCKET_KEY, generate_key().try_into()?);
    Ok(handshake)
}

async fn fetch(address: SocketAddr, mut request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let host = address.to_string().try_into().map_err(|error: http::header::InvalidHeaderValue| error.to_string())?;
    request.headers_mut().insert(http::header::HOST, host);
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| error.to_string())?.to_bytes();
    driving.abort();
    Ok(http::Response::from_parts(parts, body))
}
