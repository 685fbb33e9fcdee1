//! The sockets of one link, and one request at a time on them.

use crate::deliveries::Deliveries;
use crate::metrics;
use crate::options::BridgeOptions;
use crate::session::Session;
use crate::wire::Wire;
use http::header::{AUTHORIZATION, UPGRADE};
use http::request::Parts;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tolmach_client::{Cause, HttpConnection, Opened, Received, ValueSocket, WebSocket};
use tolmach_dialect::placeholders::placeholder_numbered_message_id;
use tolmach_dialect::{ClientSession, Correlation, Frame, Incoming, Request, WideIdNumbers};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, Event, Fault, GrantKind, Identity,
    MessageId, Secret, SessionId, Timestamp,
};

/// The most sockets of one link: a wire may need one for each room that is read.
const MAX_SOCKETS: usize = 8;

/// The time of this machine.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The result of a future, if it comes before a timer ends.
async fn before<F: Future>(
    mut timer: Pin<&mut Sleep>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// The sockets of one link.
pub(crate) struct Transport {
    wires: Arc<Vec<Wire>>,
    options: Arc<BridgeOptions>,
    /// The number by which the upstream's dialect tells its connections apart.
    connection: ConnectionId,
    /// The part that the keys of all messages of this link begin with.
    key_prefix: String,
    numbers: Arc<WideIdNumbers>,
    sockets: Vec<Socket>,
    /// One for each wire.
    http: Vec<HttpConnection>,
    /// The number of the newest request.
    marker: u64,
    /// True if a socket has ended since that was asked last.
    has_ended: bool,
    /// The timer of answers, once there was a request on a socket.
    timer: Option<Pin<Box<Sleep>>>,
}

struct Socket {
    wire: usize,
    socket: Stream,
    session: Box<dyn ClientSession>,
    /// The login whose token its handshake had.
    handshake_of: Option<SessionId>,
    /// The login that the connection itself is of.
    logged_in: Option<SessionId>,
    /// The login of its latest request.
    used_by: Option<SessionId>,
    /// True if it only receives events.
    listens: bool,
    /// The time of its latest sign of life, or of the latest ping.
    last_sign: Instant,
    /// True if a ping was sent since its latest sign of life.
    is_pinged: bool,
}

impl Socket {
    /// True if it is of another login than this one.
    fn is_of_another(&self, session: SessionId) -> bool {
        let logins = [self.handshake_of, self.logged_in, self.used_by];
        logins.into_iter().flatten().any(|login| login != session)
    }

    /// True if it was silent for so long.
    fn is_silent(&self, time: Duration) -> bool {
        self.last_sign.elapsed() >= time
    }
}

/// A stream of frames.
enum Stream {
    WebSocket(Box<WebSocket>),
    Values(Box<ValueSocket>),
}

impl Stream {
    async fn send(&mut self, frames: &[Frame]) -> Result<(), Cause> {
        match self {
            Stream::WebSocket(socket) => socket.send(frames).await,
            Stream::Values(socket) => socket.send(frames).await,
        }
    }

    /// A raw stream has no pings: the system finds out if its server is gone.
    async fn ping(&mut self) -> Result<(), Cause> {
        match self {
            Stream::WebSocket(socket) => socket.ping().await,
            Stream::Values(_) => Ok(()),
        }
    }

    async fn close(&mut self) -> Result<(), Cause> {
        match self {
            Stream::WebSocket(socket) => socket.close().await,
            Stream::Values(_) => Ok(()),
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Cause>> {
        match self {
            Stream::WebSocket(socket) => socket.poll_receive(context),
            Stream::Values(socket) => socket.poll_receive(context),
        }
    }
}

/// The end of an attempt to make a request.
pub(crate) enum Attempt {
    /// No wire has a request for it.
    Unsupported,
    /// It was answered.
    Answered(Box<Answered>),
    /// The upstream could not be reached: it was not carried out.
    Unreachable,
    /// The upstream was lost before it answered: nobody knows if it was carried out.
    Lost,
}

/// A request that was answered.
pub(crate) struct Answered {
    /// The answer, or the fault.
    pub(crate) outcome: Result<Answer, Fault>,
    /// The user whom the wire names.
    pub(crate) identity: Option<Identity>,
    /// The events that came in the frame of the answer: those that the request caused.
    pub(crate) caused: Vec<Arc<Event>>,
    /// The socket that it was made on.
    socket: Option<usize>,
}

/// A request whose credentials depend on the wire.
pub(crate) struct Draft<'a> {
    /// With the credentials that it was made with last.
    request: Request,
    /// The login that it is made as.
    session: Option<&'a Arc<Session>>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        command: Command,
        authority: Authority,
        session: Option<&'a Arc<Session>>,
    ) -> Self {
        let request = Request::new(Correlation::NONE, Credentials::Nothing, command);
        Self { request: Request { authority, ..request }, session }
    }

    pub(crate) fn command(&self) -> &Command {
        &self.request.command
    }

    /// The token that it was made with last.
    pub(crate) fn used_token(&self) -> Option<Secret> {
        match &self.request.credentials {
            Credentials::TokenOf(_, token)
            | Credentials::Bearer(token)
            | Credentials::Token(token) => Some(token.clone()),
            Credentials::Nothing | Credentials::Connection => None,
        }
    }
}

/// A socket could not be opened, or is of no use any more.
struct SocketEnded;

impl Transport {
    pub(crate) fn new(
        wires: Arc<Vec<Wire>>,
        options: Arc<BridgeOptions>,
        connection: ConnectionId,
        numbers: Arc<WideIdNumbers>,
    ) -> Self {
        Self {
            http: wires.iter().map(|_| HttpConnection::default()).collect(),
            wires,
            options,
            connection,
            key_prefix: format!("{:016x}-", connection.0),
            numbers,
            sockets: Vec::new(),
            marker: 0,
            has_ended: false,
            timer: None,
        }
    }

    /// True if no socket is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.sockets.is_empty()
    }

    /// True if a server of the first wire recognises a message that it got before.
    pub(crate) fn knows_repeated_messages(&self) -> bool {
        self.wires.first().is_some_and(Wire::knows_repeated_messages)
    }

    /// A key for a message, which no other one to the upstream has.
    pub(crate) fn new_key(&mut self) -> String {
        self.marker += 1;
        let number = self.marker.to_string();
        [self.key_prefix.as_str(), &number].concat()
    }

    /// An id for a message of which the upstream has told none.
    pub(crate) fn new_message_id(&mut self) -> MessageId {
        self.marker += 1;
        placeholder_numbered_message_id(self.connection, self.marker)
    }

    /// Makes a request in the first form of credentials that a wire has.
    pub(crate) async fn request(
        &mut self,
        draft: &mut Draft<'_>,
        deliveries: &mut Deliveries,
    ) -> Attempt {
        let Draft { request, session } = draft;
        for wire in 0..self.wires.len() {
            let nothing = session.is_none().then_some(Credentials::Nothing);
            let of_session = session.map(|session| session.credentials());
            for credentials in nothing.into_iter().chain(of_session.into_iter().flatten()) {
                self.marker += 1;
                request.correlation = Correlation::new(self.marker);
                request.credentials = credentials;
                match self.request_over(wire, *session, request, deliveries).await {
                    Attempt::Unsupported => {}
                    attempt => return attempt,
                }
            }
        }
        Attempt::Unsupported
    }

    /// Notes that the connection of this request is of a login from now on.
    pub(crate) fn bind(&mut self, answered: &Answered, session: SessionId) {
        if let Some(socket) = answered.socket.and_then(|index| self.sockets.get_mut(index)) {
            (socket.logged_in, socket.used_by) = (Some(session), Some(session));
        }
    }

    /// True if a wire has a WebSocket that only receives events.
    pub(crate) fn has_listener(&self, session: &Session) -> bool {
        let candidates: Vec<_> = session.credentials().collect();
        let listens = |wire: &Wire| candidates.iter().any(|one| wire.listen(one).is_some());
        self.wires.iter().any(listens)
    }

    /// True if a command is requested on a WebSocket, which receives events from then on.
    pub(crate) fn is_of_socket(&self, command: &Command, session: &Session) -> bool {
        let candidates: Vec<_> = session.credentials().collect();
        let dials_socket = |wire: &Wire| {
            candidates.iter().any(|credentials| {
                let request = Request::new(Correlation::NONE, credentials.clone(), command.clone());
                let head = wire.dial(&request);
                head.is_some_and(|head| head.headers.contains_key(UPGRADE))
            })
        };
        self.wires.iter().any(dials_socket)
    }

    /// Opens the WebSockets that only receive events, where a wire has some. Returns false if the
    /// upstream cannot be reached.
    pub(crate) async fn listen(&mut self, session: &Arc<Session>) -> bool {
        for wire in 0..self.wires.len() {
            let own = |socket: &Socket| {
                socket.listens && socket.wire == wire && socket.handshake_of == Some(session.id)
            };
            if self.sockets.iter().any(own) {
                continue;
            }
            let head = session.credentials().find_map(|one| self.wires[wire].listen(&one));
            let Some(head) = head else { continue };
            match self.open(wire, head, Some(session.id)).await {
                Ok(Ok(index)) => self.sockets[index].listens = true,
                Ok(Err(_)) => {}
                Err(SocketEnded) => return false,
            }
        }
        true
    }

    /// Closes the sockets of other logins than this one. Returns true if there were some.
    pub(crate) fn leave_others(&mut self, session: SessionId) -> bool {
        let before = self.sockets.len();
        self.sockets.retain(|socket| !socket.is_of_another(session));
        self.sockets.len() < before
    }

    /// True if a socket has ended since the last call, so that events may be missed.
    pub(crate) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.has_ended)
    }

    /// Removes a socket that has ended.
    fn remove_ended(&mut self, index: usize) {
        self.sockets.remove(index);
        self.has_ended = true;
    }

    /// Closes every socket. The upstream has no notice of it but the end of the streams.
    pub(crate) fn disconnect(&mut self) {
        self.sockets.clear();
    }

    /// Says goodbye on every socket, as far as that takes no time.
    pub(crate) async fn close(&mut self) {
        for socket in &mut self.sockets {
            let _ = timeout(self.options.connect_timeout, socket.socket.close()).await;
        }
        self.disconnect();
    }

    /// Waits for the next events, or for the end of a socket. Nothing is lost if the caller stops
    /// waiting before that.
    pub(crate) async fn receive(&mut self, deliveries: &mut Deliveries) {
        let received = poll_fn(|context| self.poll_sockets(context)).await;
        let Ok((index, frame)) = received else { return };
        let mut incoming = Vec::new();
        match self.decode(index, &frame, &mut incoming) {
            Ok(()) => deliveries.deliver_all(&incoming),
            Err(SocketEnded) => self.remove_ended(index),
        }
    }

    /// Does what is to be done at intervals: pings silent sockets, and leaves those that have not
    /// answered the ping before.
    pub(crate) async fn keep_alive(&mut self) {
        let interval = self.options.ping_interval;
        let before = self.sockets.len();
        self.sockets.retain(|socket| {
            let answers_pings = matches!(socket.socket, Stream::WebSocket(_));
            !(answers_pings && socket.is_pinged && socket.is_silent(interval))
        });
        self.has_ended |= self.sockets.len() < before;
        for socket in self.sockets.iter_mut().filter(|socket| socket.is_silent(interval)) {
            // An error is found by the next read.
            let _ = timeout(self.options.connect_timeout, socket.socket.ping()).await;
            (socket.is_pinged, socket.last_sign) = (true, Instant::now());
        }
    }

    async fn request_over(
        &mut self,
        wire: usize,
        session: Option<&Arc<Session>>,
        request: &Request,
        deliveries: &mut Deliveries,
    ) -> Attempt {
        for index in 0..self.sockets.len() {
            if self.is_usable(index, wire, session) {
                match self.request_on(index, session, request, deliveries).await {
                    Attempt::Unsupported => {}
                    attempt => return attempt,
                }
            }
        }
        let Some(head) = self.wires[wire].dial(request) else { return Attempt::Unsupported };
        if !head.headers.contains_key(UPGRADE) {
            return self.exchange(wire, &head, request).await;
        }
        let handshake_of = session.filter(|_| head.headers.contains_key(AUTHORIZATION));
        let path = head.uri.path().to_owned();
        match self.open(wire, head, handshake_of.map(|session| session.id)).await {
            Ok(Ok(index)) => self.request_on(index, session, request, deliveries).await,
            Ok(Err((mut client, rejection))) => {
                if client.request(now(), request, &mut Vec::new()).is_err() {
                    return Attempt::Unsupported;
                }
                let mut incoming = Vec::new();
                match client.decode(now(), &rejection, &mut incoming) {
                    Ok(()) => self.answered(incoming, None).unwrap_or(Attempt::Unreachable),
                    Err(_) => {
                        if let Frame::Response(response) = &rejection {
                            let status = response.status().as_u16();
                            tracing::warn!(status, path, "the upstream rejected a WebSocket");
                        }
                        metrics::not_understood();
                        Attempt::Unreachable
                    }
                }
            }
            Err(SocketEnded) => Attempt::Unreachable,
        }
    }

    /// True if a request of a login may be made on a socket.
    fn is_usable(&self, index: usize, wire: usize, session: Option<&Arc<Session>>) -> bool {
        let socket = &self.sockets[index];
        let session = session.map(|session| session.id);
        socket.wire == wire
            && !socket.listens
            && (socket.handshake_of.is_none() || socket.handshake_of == session)
    }

    /// Makes a request on an open socket, after a login where the wire has that of a connection: it
    /// takes the place of the one before.
    async fn request_on(
        &mut self,
        index: usize,
        session: Option<&Arc<Session>>,
        request: &Request,
        deliveries: &mut Deliveries,
    ) -> Attempt {
        if let Some(session) = session {
            self.sockets[index].used_by = Some(session.id);
        }
        if let Some(session) = session
            && request.credentials == Credentials::Connection
            && self.sockets[index].logged_in != Some(session.id)
        {
            let login = {
                let account = session.account();
                account.login.clone().zip(account.password.clone())
            };
            let Some((login, password)) = login else { return Attempt::Unsupported };
            let identifier = login.as_str().into();
            let grant = GrantKind::Connection;
            let command = Command::Login { identifier, password, grant };
            self.marker += 1;
            let correlation = Correlation::new(self.marker);
            let login = Request::new(correlation, Credentials::Nothing, command);
            match self.send_on(index, &login, deliveries).await {
                Attempt::Answered(answered) if answered.outcome.is_ok() => {
                    self.sockets[index].logged_in = Some(session.id);
                }
                Attempt::Lost => return Attempt::Unreachable,
                attempt => return attempt,
            }
            self.marker += 1;
            let request = Request { correlation: Correlation::new(self.marker), ..request.clone() };
            return self.send_on(index, &request, deliveries).await;
        }
        self.send_on(index, request, deliveries).await
    }

    async fn send_on(
        &mut self,
        index: usize,
        request: &Request,
        deliveries: &mut Deliveries,
    ) -> Attempt {
        let Some(socket) = self.sockets.get_mut(index) else { return Attempt::Unreachable };
        let mut frames = Vec::new();
        if socket.session.request(now(), request, &mut frames).is_err() {
            return Attempt::Unsupported;
        }
        let deadline = Instant::now() + self.options.answer_timeout;
        // Moved, because moving a timer towards later times takes no lock of all timers.
        let mut timer = self.timer.take().unwrap_or_else(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        let sent = before(timer.as_mut(), pin!(socket.socket.send(&frames))).await;
        if sent.is_none_or(|sent| sent.is_err()) {
            self.remove_ended(index);
            return Attempt::Lost;
        }
        if matches!(request.command, Command::ShowTyping { .. }) {
            // No wire confirms it.
            return Attempt::Answered(Box::new(Answered {
                outcome: Ok(Answer::TypingShown),
                identity: None,
                caused: Vec::new(),
                socket: Some(index),
            }));
        }
        let attempt = self.wait(index, timer.as_mut(), deliveries).await;
        self.timer = Some(timer);
        attempt
    }

    /// Waits for the answer to the newest request, which was made on this socket.
    async fn wait(
        &mut self,
        requested_on: usize,
        mut timer: Pin<&mut Sleep>,
        deliveries: &mut Deliveries,
    ) -> Attempt {
        let mut requested_on = requested_on;
        loop {
            deliveries.room().await;
            let arrival = poll_fn(|context| self.poll_sockets(context));
            let (index, frame) = match before(timer.as_mut(), pin!(arrival)).await {
                Some(Ok(arrival)) => arrival,
                Some(Err(ended)) if ended == requested_on => return Attempt::Lost,
                Some(Err(ended)) => {
                    requested_on -= usize::from(ended < requested_on);
                    continue;
                }
                None => {
                    // A late answer would be taken for that of the next request.
                    self.remove_ended(requested_on);
                    metrics::timed_out();
                    return Attempt::Lost;
                }
            };
            let mut incoming = Vec::new();
            if self.decode(index, &frame, &mut incoming).is_err() {
                self.remove_ended(index);
                if index == requested_on {
                    return Attempt::Lost;
                }
                requested_on -= usize::from(index < requested_on);
                continue;
            }
            let is_answer = |incoming: &Incoming| match incoming {
                Incoming::Response(response) => response.correlation.get() == Some(&self.marker),
                Incoming::Event(_) => false,
            };
            if incoming.iter().any(is_answer) {
                return self.answered(incoming, Some(index)).unwrap_or(Attempt::Lost);
            }
            deliveries.deliver_all(&incoming);
        }
    }

    /// The answer to the newest request among what came in one frame.
    fn answered(&self, incoming: Vec<Incoming>, socket: Option<usize>) -> Option<Attempt> {
        let (mut found, mut caused) = (None, Vec::new());
        for incoming in incoming {
            match incoming {
                Incoming::Response(response)
                    if response.correlation.get() == Some(&self.marker) =>
                {
                    found = Some(response);
                }
                Incoming::Response(_) => {}
                Incoming::Event(event) => caused.push(event),
            }
        }
        let response = found?;
        let (outcome, identity) = (response.outcome, response.identity);
        Some(Attempt::Answered(Box::new(Answered { outcome, identity, caused, socket })))
    }

    /// One HTTP request and its response.
    async fn exchange(&mut self, wire: usize, head: &Parts, request: &Request) -> Attempt {
        let session = self.wires[wire].connect(head, self.connection, &self.numbers);
        let Some(mut session) = session else {
            return Attempt::Unsupported;
        };
        let mut frames = Vec::new();
        if session.request(now(), request, &mut frames).is_err() {
            return Attempt::Unsupported;
        }
        let Some(Frame::Request(http)) = frames.pop() else { return Attempt::Unsupported };
        let mut http = *http;
        *http.uri_mut() = head.uri.clone();
        let Wire { endpoint, trust, .. } = &self.wires[wire];
        let exchange = self.http[wire].exchange(endpoint, trust, http);
        let response = match timeout(self.options.answer_timeout, exchange).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                metrics::failed(&error.cause);
                return if error.was_sent { Attempt::Lost } else { Attempt::Unreachable };
            }
            Err(_) => {
                self.http[wire] = HttpConnection::default();
                metrics::timed_out();
                return Attempt::Lost;
            }
        };
        let mut incoming = Vec::new();
        if let Err(error) = session.decode(now(), &Frame::response(response), &mut incoming) {
            tracing::warn!(%error, "a response of the upstream is not its dialect's");
            metrics::not_understood();
            return Attempt::Lost;
        }
        self.answered(incoming, None).unwrap_or(Attempt::Lost)
    }

    /// Opens a WebSocket; the inner error is the response that rejected it.
    async fn open(
        &mut self,
        wire: usize,
        head: Parts,
        handshake_of: Option<SessionId>,
    ) -> Result<Result<usize, (Box<dyn ClientSession>, Frame)>, SocketEnded> {
        let session = self.wires[wire].connect(&head, self.connection, &self.numbers);
        let Some(session) = session else {
            return Err(SocketEnded);
        };
        let Wire { endpoint, trust, .. } = &self.wires[wire];
        let max_bytes = self.options.max_message_bytes;
        let opening = async {
            if endpoint.is_raw() {
                let socket = ValueSocket::open(endpoint, trust, max_bytes).await?;
                return Ok(Ok(Stream::Values(Box::new(socket))));
            }
            Ok::<_, Cause>(match WebSocket::open(endpoint, trust, head, max_bytes).await? {
                Opened::WebSocket(socket) => Ok(Stream::WebSocket(socket)),
                Opened::Rejected(response) => Err(response),
            })
        };
        let socket = match timeout(self.options.connect_timeout, opening).await {
            Ok(Ok(Ok(socket))) => socket,
            Ok(Ok(Err(response))) => return Ok(Err((session, response))),
            Ok(Err(cause)) => {
                metrics::failed(&cause);
                return Err(SocketEnded);
            }
            Err(_) => {
                metrics::timed_out();
                return Err(SocketEnded);
            }
        };
        if self.sockets.len() >= MAX_SOCKETS
            && let Some(oldest) = self.sockets.iter().position(|socket| !socket.listens)
        {
            self.sockets.remove(oldest);
        }
        metrics::connected();
        self.sockets.push(Socket {
            wire,
            socket,
            session,
            handshake_of,
            logged_in: None,
            used_by: None,
            listens: false,
            last_sign: Instant::now(),
            is_pinged: false,
        });
        Ok(Ok(self.sockets.len() - 1))
    }

    /// Polls every socket for a frame. An error is the place of a socket that has ended, which is
    /// removed.
    fn poll_sockets(&mut self, context: &mut Context<'_>) -> Poll<Result<(usize, Frame), usize>> {
        for index in 0..self.sockets.len() {
            while let Poll::Ready(received) = self.sockets[index].socket.poll_receive(context) {
                let socket = &mut self.sockets[index];
                (socket.last_sign, socket.is_pinged) = (Instant::now(), false);
                match received {
                    Ok(Received::Frame(frame)) => return Poll::Ready(Ok((index, frame))),
                    Ok(Received::Control) => {}
                    Ok(Received::Closed(_)) | Err(_) => {
                        self.remove_ended(index);
                        metrics::lost();
                        return Poll::Ready(Err(index));
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Decodes a frame of a socket. A server whose frames are not its dialect's is left.
    fn decode(
        &mut self,
        index: usize,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), SocketEnded> {
        let decoded = self.sockets[index].session.decode(now(), frame, out);
        decoded.map_err(|error| {
            tracing::warn!(%error, "a frame of the upstream is not its dialect's");
            metrics::not_understood();
            SocketEnded
        })
    }
}
