//! The client.

use crate::error::{Cause, ClientError};
use crate::net;
use crate::observer::{Direction, FrameObserver};
use crate::outcome::{Notification, Outcome};
use crate::socket::{self, Arrival, ArrivalContent, Handshaken, Socket};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, Frame, Handshake, Incoming, InvalidReply, Request,
    Response, WideIdNumbers,
};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, Event, Fault, Timestamp,
};

/// The time that any step may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most frames that are read and not decoded yet.
const CAPACITY: usize = 1_024;

/// A client of one dialect.
pub struct Client {
    name: String,
    dialect: Arc<dyn Dialect>,
    address: SocketAddr,
    observer: Arc<dyn FrameObserver>,
    /// Forms of its credentials; the first that the wire has is used.
    credentials: Vec<Credentials>,
    authority: Authority,
    /// Headers of its handshakes and requests beside those of the dialect.
    headers: HeaderMap,
    /// The numbers of the server's ids of 128 bits.
    wide_ids: Arc<WideIdNumbers>,
    /// The number of the newest request.
    request_number: u64,
    /// `None` where the server has closed it.
    sockets: Vec<Option<Socket>>,
    arrivals: mpsc::Receiver<Arrival>,
    arrivals_sender: mpsc::Sender<Arrival>,
    decoded: VecDeque<Incoming>,
    notifications: Vec<Notification>,
    /// The number of notifications that `next_notification` gave.
    notifications_read: usize,
}

/// The next value for a client that waits.
enum Next {
    Response(Response),
    Event(Arc<Event>),
    Pong(Bytes),
    /// This socket is closed.
    Closed(usize, Option<u16>),
}

impl Client {
    /// A client that has not connected yet and has no credentials.
    pub fn new(
        name: impl Into<String>,
        dialect: Arc<dyn Dialect>,
        address: SocketAddr,
        observer: Arc<dyn FrameObserver>,
    ) -> Self {
        let (arrivals_sender, arrivals) = mpsc::channel(CAPACITY);
        Self {
            name: name.into(),
            dialect,
            address,
            observer,
            credentials: vec![Credentials::Nothing],
            authority: Authority::Member,
            headers: HeaderMap::new(),
            wide_ids: Arc::default(),
            request_number: 0,
            sockets: Vec::new(),
            arrivals,
            arrivals_sender,
            decoded: VecDeque::new(),
            notifications: Vec::new(),
            notifications_read: 0,
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dialect.
    pub fn dialect(&self) -> &Arc<dyn Dialect> {
        &self.dialect
    }

    /// Later requests carry one of these credentials: the first that the wire has a form for.
    pub fn set_credentials(&mut self, credentials: Vec<Credentials>) {
        self.credentials = credentials;
    }

    /// The credentials of its requests.
    pub fn credentials(&self) -> &[Credentials] {
        &self.credentials
    }

    /// Later requests claim this right.
    pub fn set_authority(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// Later handshakes and HTTP requests have this header, unless the dialect sets it.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Everything that came without a request.
    pub fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// Makes the first of these requests that its dialect supports, and waits for the response.
    pub async fn request_any(&mut self, commands: &[Command]) -> Result<Outcome, ClientError> {
        for command in commands {
            for credentials in self.credentials.clone() {
                self.request_number += 1;
                let correlation = Correlation::new(self.request_number);
                let request = Request {
                    authority: self.authority,
                    ..Request::new(correlation, credentials, command.clone())
                };
                let outcome = timeout(TIMEOUT, self.request(&request)).await;
                match outcome.map_err(|_| self.failure(command.name(), Cause::Timeout))?? {
                    Some(Ok(answer)) => return Ok(Outcome::Answer(answer)),
                    Some(Err(fault)) => return Ok(Outcome::Refused(fault)),
                    None => {}
                }
            }
        }
        Ok(Outcome::Unsupported)
    }

    /// The first notification for which `find` gives something, among those that came already and
    /// those that still come.
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&Notification) -> Option<T>,
    ) -> Result<T, ClientError> {
        let mut looked_at = 0;
        let waiting = async {
            loop {
                while let Some(notification) = self.notifications.get(looked_at) {
                    looked_at += 1;
                    if let Some(found) = find(notification) {
                        return Ok(found);
                    }
                }
                let next = self.next().await?;
                self.note(next);
            }
        };
        match timeout(TIMEOUT, waiting).await {
            Ok(found) => found,
            Err(_) => {
                let reason = format!("no {what} came, only {:?}", self.notifications);
                Err(self.error("receiving", reason))
            }
        }
    }

    /// The next notification, however long it takes. Cancellation safe: dropping the future loses
    /// nothing.
    pub async fn next_notification(&mut self) -> Result<Notification, ClientError> {
        loop {
            if let Some(notification) = self.notifications.get(self.notifications_read) {
                self.notifications_read += 1;
                return Ok(notification.clone());
            }
            let next = self.next().await?;
            self.note(next);
        }
    }

    /// Reads and discards frames until a connection ends; gives its close code.
    pub async fn discard_until_closed(&mut self) -> Result<Option<u16>, ClientError> {
        loop {
            let Some(Arrival { socket, content }) = self.arrivals.recv().await else {
                return Err(self.failure("receiving", Cause::NotConnected));
            };
            if let ArrivalContent::End(end) = content {
                self.sockets[socket] = None;
                return end.map_err(|cause| self.failure("receiving", cause));
            }
        }
    }

    /// An error of this client, for its users: during an action, for a reason.
    pub fn error(&self, action: &str, reason: impl Display) -> ClientError {
        self.failure(action, Cause::Other(reason.to_string()))
    }

    fn failure(&self, action: &str, cause: impl Into<Cause>) -> ClientError {
        ClientError::new(&self.name, self.dialect.manifest().id, action, cause.into())
    }

    /// `None` where the dialect has no request for it.
    async fn request(
        &mut self,
        request: &Request,
    ) -> Result<Option<Result<Answer, Fault>>, ClientError> {
        for socket in 0..self.sockets.len() {
            if let Some(outcome) = self.request_on(socket, request).await? {
                return Ok(Some(outcome));
            }
        }
        let dialect = self.dialect.clone();
        let Some(Ok(mut head)) = dialect.client().map(|client| client.dial(request)) else {
            return Ok(None);
        };
        for (name, value) in &self.headers {
            head.headers.entry(name).or_insert_with(|| value.clone());
        }
        if !head.headers.contains_key(http::header::UPGRADE) {
            return self.exchange(head, request).await;
        }
        match self.connect(head).await? {
            Ok(socket) => self.request_on(socket, request).await,
            Err((mut session, rejection)) => {
                if session.request(now(), request, &mut Vec::new()).is_err() {
                    return Ok(None);
                }
                self.decode(&mut *session, &rejection)?;
                self.response(None).await.map(Some)
            }
        }
    }

    async fn request_on(
        &mut self,
        number: usize,
        request: &Request,
    ) -> Result<Option<Result<Answer, Fault>>, ClientError> {
        let Some(socket) = &mut self.sockets[number] else { return Ok(None) };
        let mut frames = Vec::new();
        if socket.session.request(now(), request, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.observe(Direction::Sent, &frame);
            let message = net::message(&frame)
                .ok_or_else(|| self.failure("sending", Cause::FrameKind(frame.kind())))?;
            self.send(number, message).await?;
        }
        if matches!(request.command, Command::ShowTyping { .. }) {
            // No wire has to confirm it. A connection is served in order, so a pong means that no
            // refusal follows.
            self.send(number, Message::Ping(self.barrier())).await?;
        }
        self.response(Some(number)).await.map(Some)
    }

    async fn send(&mut self, number: usize, message: Message) -> Result<(), ClientError> {
        let Some(socket) = &mut self.sockets[number] else {
            return Err(self.failure("sending", Cause::NotConnected));
        };
        let sent = socket.send(message).await;
        sent.map_err(|cause| self.failure("sending", cause))
    }

    fn barrier(&self) -> Bytes {
        Bytes::copy_from_slice(&self.request_number.to_be_bytes())
    }

    /// Waits for the response to the newest request, which was made on this socket if on one.
    async fn response(
        &mut self,
        requested_on: Option<usize>,
    ) -> Result<Result<Answer, Fault>, ClientError> {
        loop {
            match self.next().await? {
                Next::Response(response)
                    if response.correlation.get() == Some(&self.request_number) =>
                {
                    return Ok(response.outcome);
                }
                Next::Pong(barrier) if barrier == self.barrier() => {
                    return Ok(Ok(Answer::TypingShown));
                }
                Next::Closed(socket, code) if Some(socket) == requested_on => {
                    return Err(self.failure("receiving", Cause::Closed(code)));
                }
                next => self.note(next),
            }
        }
    }

    async fn next(&mut self) -> Result<Next, ClientError> {
        loop {
            match self.decoded.pop_front() {
                Some(Incoming::Response(response)) => return Ok(Next::Response(response)),
                Some(Incoming::Event(event)) => return Ok(Next::Event(event)),
                None => {}
            }
            let Some(Arrival { socket: number, content }) = self.arrivals.recv().await else {
                return Err(self.failure("receiving", Cause::NotConnected));
            };
            match content {
                ArrivalContent::Pong(barrier) => return Ok(Next::Pong(barrier)),
                ArrivalContent::End(end) => {
                    self.sockets[number] = None;
                    let code = end.map_err(|cause| self.failure("receiving", cause))?;
                    return Ok(Next::Closed(number, code));
                }
                ArrivalContent::Frame(frame) => {
                    self.observe(Direction::Received, &frame);
                    let Some(socket) = &mut self.sockets[number] else { continue };
                    let mut incoming = Vec::new();
                    let decoded = socket.session.decode(now(), &frame, &mut incoming);
                    self.queue(decoded, incoming, &frame)?;
                }
            }
        }
    }

    fn note(&mut self, next: Next) {
        match next {
            Next::Event(event) => self.notifications.push(Notification::Event(event)),
            Next::Closed(_, code) => self.notifications.push(Notification::Closed(code)),
            Next::Response(_) | Next::Pong(_) => {}
        }
    }

    /// One HTTP request and its response.
    async fn exchange(
        &mut self,
        head: http::request::Parts,
        request: &Request,
    ) -> Result<Option<Result<Answer, Fault>>, ClientError> {
        let mut session = self.open(&head)?;
        let mut frames = Vec::new();
        if session.request(now(), request, &mut frames).is_err() {
            return Ok(None);
        }
        for frame in frames {
            self.observe(Direction::Sent, &frame);
            let Frame::Request(request) = frame else {
                return Err(self.failure("sending", Cause::FrameKind(frame.kind())));
            };
            let response = net::fetch(self.address, *request)
                .await
                .map_err(|cause| self.failure("sending", cause))?;
            self.decode(&mut *session, &Frame::response(response))?;
        }
        self.response(None).await.map(Some)
    }

    fn decode(
        &mut self,
        session: &mut dyn ClientSession,
        frame: &Frame,
    ) -> Result<(), ClientError> {
        self.observe(Direction::Received, frame);
        let mut incoming = Vec::new();
        let decoded = session.decode(now(), frame, &mut incoming);
        self.queue(decoded, incoming, frame)
    }

    fn queue(
        &mut self,
        decoded: Result<(), InvalidReply>,
        incoming: Vec<Incoming>,
        frame: &Frame,
    ) -> Result<(), ClientError> {
        decoded.map_err(|error| {
            let payload = String::from_utf8_lossy(frame.payload()).into_owned();
            self.failure("receiving", Cause::InvalidReply { error, payload })
        })?;
        self.decoded.extend(incoming);
        Ok(())
    }

    fn open(&self, head: &http::request::Parts) -> Result<Box<dyn ClientSession>, ClientError> {
        let Some(client) = self.dialect.client() else {
            return Err(self.failure("connecting", Cause::NoClientSide));
        };
        let handshake = Handshake::new(ConnectionId(self.request_number)).request(head);
        let handshake = handshake.wide_id_numbers(&self.wide_ids);
        client.connect(&handshake).map_err(|rejection| {
            let status = rejection.response.status();
            self.failure("connecting", Cause::OwnRequestRejected(status))
        })
    }

    /// Opens a WebSocket; the inner error is the response that rejected it.
    async fn connect(
        &mut self,
        head: http::request::Parts,
    ) -> Result<Result<usize, (Box<dyn ClientSession>, Frame)>, ClientError> {
        let session = self.open(&head)?;
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| self.failure("connecting", error))?;
        let request = http::Request::from_parts(head.clone(), Bytes::new());
        self.observe(Direction::Sent, &Frame::request(request));
        let handshaken = socket::handshake(stream, self.address, head).await;
        match handshaken.map_err(|cause| self.failure("connecting", cause))? {
            Handshaken::Rejected(response) => Ok(Err((session, response))),
            Handshaken::Open(stream) => {
                let number = self.sockets.len();
                let arrivals = self.arrivals_sender.clone();
                self.sockets.push(Some(Socket::start(session, *stream, number, arrivals)));
                Ok(Ok(number))
            }
        }
    }

    fn observe(&self, direction: Direction, frame: &Frame) {
        self.observer.frame(&self.name, self.dialect.manifest().id, direction, frame);
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
