//! The binary as a child process, and clients of it.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The time after which a step has failed.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which a command has failed: one that checks a dialect file plays it for long.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(240);

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The smallest data that are recognised as a PNG picture.
pub(crate) const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

/// The output of a future; panics with the name of the step if it takes too long.
pub(crate) async fn within<T>(step: &str, future: impl Future<Output = T>) -> T {
    within_time(STEP_TIMEOUT, step, future).await
}

async fn within_time<T>(time: Duration, step: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(time, future).await {
        Ok(value) => value,
        Err(_) => panic!("{step}: not done within {time:?}"),
    }
}

async fn connect(listener: SocketAddr) -> TcpStream {
    within("a connection", TcpStream::connect(listener)).await.expect("it accepts connections")
}

/// A running gateway, killed on drop.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The address of its admin listener.
    pub(crate) admin: SocketAddr,
    /// The address of `sndmsg` on raw TCP, if it is served.
    pub(crate) sndmsg_tcp: Option<SocketAddr>,
    folder: TempDir,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Gateway {
    /// A gateway with the defaults, but with a free port and fast password hashes.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A gateway with these options: environment variables without their prefix, and values.
    pub(crate) async fn with(options: &[(&str, &str)]) -> Self {
        Self::on(TempDir::new().expect("a temporary folder can be made"), options).await
    }

    /// A gateway with this configuration file, and these options.
    pub(crate) async fn with_file(text: &str, options: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let data = data_folder(folder.path());
        std::fs::create_dir(&data).expect("it can be made");
        std::fs::write(data.join("tolmach.toml"), text).expect("it can be written");
        Self::on(folder, options).await
    }

    /// A second gateway on the store of the first one, with a data folder of its own. Both need
    /// the same secret.
    pub(crate) async fn beside(first: &Self, options: &[(&str, &str)]) -> Self {
        let store = format!("sqlite://{}", first.data().join("tolmach.sqlite").display());
        Self::with(&[&[("STORE__URL", store.as_str())], options].concat()).await
    }

    /// Kills it with SIGKILL, and starts it again on the same data with these options.
    pub(crate) async fn crash(&mut self, options: &[(&str, &str)]) {
        self.signal("KILL").await;
        assert_eq!(self.ended().await.0, None, "a killed process has no exit code");
        let folder = std::mem::replace(
            &mut self.folder,
            TempDir::new().expect("a temporary folder can be made"),
        );
        *self = Self::on(folder, options).await;
    }

    /// Starts it again on the same data with the defaults.
    pub(crate) async fn restart(&mut self) {
        let folder = std::mem::replace(
            &mut self.folder,
            TempDir::new().expect("a temporary folder can be made"),
        );
        *self = Self::on(folder, &[]).await;
    }

    /// Starts it again on the same data, at the address that it had.
    pub(crate) async fn restart_at_its_address(&mut self) {
        let address = self.address.to_string();
        let folder = std::mem::replace(
            &mut self.folder,
            TempDir::new().expect("a temporary folder can be made"),
        );
        *self = Self::on(folder, &[("HTTP__LISTEN", &address)]).await;
    }

    /// Another command of the binary that serves, in a folder of its own, with these options.
    pub(crate) async fn with_command(
        options: &[(&str, &str)],
        arguments: impl IntoIterator<Item = &str>,
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        Self::running(folder, options, arguments).await
    }

    async fn on(folder: TempDir, options: &[(&str, &str)]) -> Self {
        Self::running(folder, options, ["serve"]).await
    }

    async fn running(
        folder: TempDir,
        options: &[(&str, &str)],
        arguments: impl IntoIterator<Item = &str>,
    ) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log_file(&folder))
            .expect("a log file can be made");
        let mut child = tolmach(folder.path(), options, arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = within("the start", stdout.next_line()).await.expect("standard output is text");
        let word = |name: &str| {
            let mut words = ready.as_deref()?.strip_prefix("ready ")?.split(' ');
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let (Some(address), Some(admin)) = (word("http"), word("admin")) else {
            panic!("expected the line with the addresses, found {ready:?}:\n{}", read_log(&folder));
        };
        let sndmsg_tcp = word("sndmsg-tcp");
        Self { child, address, admin, sndmsg_tcp, folder, stdout }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        data_folder(self.folder.path())
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        read_log(&self.folder)
    }

    /// Runs another command of the binary on the same data.
    pub(crate) async fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        self.run_with(&[], arguments).await
    }

    /// The same, with these options.
    pub(crate) async fn run_with<'a>(
        &self,
        options: &[(&str, &str)],
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Output {
        run(self.folder.path(), options, arguments).await
    }

    /// Sends the signal with this name.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().expect("the process was not waited for").to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &process])
            .status()
            .await
            .expect("kill can be started");
        assert!(sent.success(), "the signal {name} could not be sent");
    }

    /// Waits for the end of the process. Gives the exit code, and standard output after the first
    /// line.
    pub(crate) async fn ended(&mut self) -> (Option<i32>, Vec<String>) {
        let status = within("the end", self.child.wait()).await.expect("it can be waited for");
        let mut rest = Vec::new();
        while let Some(line) = self.stdout.next_line().await.expect("standard output is text") {
            rest.push(line);
        }
        (status.code(), rest)
    }

    /// The resident size, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let process = self.child.id().expect("the process was not waited for");
        let status =
            std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
        let pages = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("the kernel reports the size");
        pages.trim().trim_end_matches(" kB").parse::<usize>().expect("it is a number") * 1024
    }

    /// The number of its open sockets.
    pub(crate) fn open_sockets(&self) -> usize {
        let process = self.child.id().expect("the process was not waited for");
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process lives");
        // Other files vary: the store opens its database once for each concurrent reader.
        let is_socket = |file: &std::fs::DirEntry| {
            std::fs::read_link(file.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
        };
        files.flatten().filter(is_socket).count()
    }

    /// The sum of a metric over its series whose labels contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let page = self.metrics().await.text();
        let series = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        series
            .filter(|line| line.contains(labels))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The page of metrics.
    pub(crate) async fn metrics(&self) -> Response {
        let request = self.request("GET", "/metrics").body(Bytes::new()).expect("the path is one");
        self.send_to(self.admin, request).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        connect(self.address).await
    }

    /// A connection from this address of the loopback network.
    pub(crate) async fn connect_from(&self, source: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.bind((source, 0).into()).expect("it is an address of this machine");
        within("a connection", socket.connect(self.address)).await.expect("it accepts connections")
    }

    /// Sends a request over a new connection.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Response {
        self.send_to(self.address, request).await
    }

    /// Sends a request over a new connection to one of its listeners.
    pub(crate) async fn send_to(&self, listener: SocketAddr, request: Request<Bytes>) -> Response {
        let io = TokioIo::new(connect(listener).await);
        let exchange = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection);
            let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            connection.abort();
            Ok::<_, hyper::Error>(Response { status: head.status, headers: head.headers, body })
        };
        within("a response", exchange)
            .await
            .unwrap_or_else(|error| panic!("no response: {error}\n{}", self.log()))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header(HOST, self.address.to_string())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(self.request("GET", path).body(Bytes::new()).expect("the path is one")).await
    }

    /// Sends JSON.
    pub(crate) async fn json(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Response {
        let mut request = self.request(method, path).header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(body.to_string().into()).expect("the path is one")).await
    }

    /// An HTTP/2 connection without TLS, with prior knowledge. RFC 9113 section 3.3.
    pub(crate) async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.connect().await);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
        let (sender, connection) =
            within("HTTP/2", handshake).await.expect("the gateway accepts HTTP/2");
        tokio::spawn(connection);
        sender
    }

    /// Opens a WebSocket; an error is the response that rejects the handshake.
    pub(crate) async fn try_websocket(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Peer, Response> {
        self.try_websocket_on(self.connect().await, path, headers).await
    }

    /// The same on a connection that is open already.
    pub(crate) async fn try_websocket_on<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Peer<S>, Response> {
        let mut request =
            format!("ws://{}{path}", self.address).into_client_request().expect("the path is one");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("it is a header"));
        }
        match within("a handshake", tokio_tungstenite::client_async(request, stream)).await {
            Ok((socket, response)) => Ok(Peer {
                socket,
                subprotocol: header(response.headers(), "sec-websocket-protocol"),
            }),
            Err(Error::Http(response)) => {
                let (head, body) = response.into_parts();
                Err(Response {
                    status: head.status,
                    headers: head.headers,
                    body: body.unwrap_or_default().into(),
                })
            }
            Err(error) => panic!("the handshake at {path} failed: {error}"),
        }
    }

    pub(crate) async fn websocket(&self, path: &str) -> Peer {
        self.try_websocket(path, &[]).await.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
    }

    /// Sends bytes on a new connection and reads until the gateway closes it.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        // The gateway may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}---", self.log());
        }
    }
}

/// Runs a command of the binary with the data of this folder.
pub(crate) async fn run<'a>(
    folder: &Path,
    options: &[(&str, &str)],
    arguments: impl IntoIterator<Item = &'a str>,
) -> Output {
    let output = tolmach(folder, options, arguments).stdin(Stdio::null()).output();
    let output = within_time(COMMAND_TIMEOUT, "a command", output).await;
    output.expect("the binary can be started")
}

/// The binary with the data of this folder. Its environment has these options and no others.
pub(crate) fn tolmach(
    folder: &Path,
    options: &[(&str, &str)],
    arguments: impl IntoIterator<Item: AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tolmach"));
    command.current_dir(folder).args(arguments).arg("--data").arg(data_folder(folder));
    for (name, _) in std::env::vars_os().filter(|(name, _)| {
        ["TOLMACH__", "AWS_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
    }) {
        command.env_remove(name);
    }
    command.env("TOLMACH__HTTP__LISTEN", "127.0.0.1:0").env("TOLMACH__AUTH__BCRYPT_COST", "4");
    for (name, value) in options {
        command.env(format!("TOLMACH__{name}"), value);
    }
    command
}

pub(crate) fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

fn read_log(folder: &TempDir) -> String {
    std::fs::read_to_string(log_file(folder)).unwrap_or_default()
}

/// Reads until the other side closes the connection or resets it.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let _ = within("the end of a connection", stream.read_to_end(&mut received)).await;
    received
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// A response with its body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("the body is text")
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }

    /// The JSON of a response; panics if it has another status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self.value()
    }

    /// Checks a refusal: its status, and its body `{"error": "…"}`.
    pub(crate) fn refused(self, status: u16) {
        let value = self.expect(status);
        let object = value.as_object().expect("a refusal is an object");
        assert!(
            object.len() == 1 && object["error"].as_str().is_some_and(|error| !error.is_empty()),
            "{value}"
        );
    }
}

/// A WebSocket client.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) subprotocol: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        within("a write", self.socket.send(message)).await.expect("the connection is open");
    }

    /// The next text frame. An error is the end of the connection, with the close code if there is
    /// one.
    pub(crate) async fn next(&mut self) -> Result<String, Option<u16>> {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(close))) => return Err(close.map(|close| close.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(bytes))) => panic!("received a binary frame: {bytes:?}"),
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame, as JSON.
    pub(crate) async fn receive(&mut self) -> Value {
        let text = self
            .next()
            .await
            .unwrap_or_else(|code| panic!("the connection was closed with {code:?}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    pub(crate) async fn request(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        self.receive().await
    }

    /// The frames until the end of the connection, and the close code.
    pub(crate) async fn end(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(text) => frames.push(
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")),
                ),
                Err(code) => return (frames, code),
            }
        }
    }
}

/// A client of the dialect `mode`, logged in.
pub(crate) struct Mode {
    pub(crate) peer: Peer,
    pub(crate) token: String,
    /// Pushes that were received before a reply.
    pushes: VecDeque<Value>,
}

impl Mode {
    pub(crate) async fn register(gateway: &Gateway, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let request = json!({
            "mode": "register",
            "timestamp": 1,
            "username": name,
            "password": PASSWORD,
            "email": email,
        });
        Self::begin(gateway, request).await
    }

    pub(crate) async fn log_in(gateway: &Gateway, name: &str) -> Self {
        Self::begin(
            gateway,
            json!({"mode": "auth", "timestamp": 1, "username": name, "password": PASSWORD}),
        )
        .await
    }

    async fn begin(gateway: &Gateway, request: Value) -> Self {
        let mut peer = gateway.websocket("/mode").await;
        let reply = peer.request(&request).await;
        assert_eq!(reply["status"], 200, "{reply}");
        let token = reply["token"].as_str().expect("a token is a string").to_owned();
        Self { peer, token, pushes: VecDeque::new() }
    }

    /// Makes a request with this mode, a numeric timestamp and the token, unless `fields` has
    /// others. Gives the reply.
    pub(crate) async fn request(&mut self, mode: &str, fields: Value) -> Value {
        let mut request = json!({"mode": mode, "timestamp": 1_700_000_000.5, "token": self.token});
        let fields = fields.as_object().expect("the fields are an object");
        request.as_object_mut().expect("it is one").extend(fields.clone());
        self.peer.send(&request).await;
        loop {
            let frame = self.peer.receive().await;
            if frame.get("chat_id").is_none() {
                return frame;
            }
            self.pushes.push_back(frame);
        }
    }

    /// Posts a message; panics if it is refused.
    pub(crate) async fn send(&mut self, chat: i64, text: &str) {
        let reply = self
            .request(
                "sendMessage",
                json!({"chat_id": chat, "content": text, "content_type": "text"}),
            )
            .await;
        assert_eq!(reply["status"], 200, "{reply}");
    }

    /// True if no push was received before the last reply.
    pub(crate) fn has_no_pushes(&self) -> bool {
        self.pushes.is_empty()
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Value {
        match self.pushes.pop_front() {
            Some(push) => push,
            None => self.peer.receive().await,
        }
    }

    /// The content of the next push.
    pub(crate) async fn pushed(&mut self) -> String {
        let push = self.push().await;
        push["messages"][0]["content"]
            .as_str()
            .unwrap_or_else(|| panic!("not a push: {push}"))
            .to_owned()
    }

    /// The contents of a chat's messages, oldest first.
    pub(crate) async fn history(&mut self, chat: i64) -> Vec<String> {
        let reply = self.request("getMessages", json!({"chat_id": chat})).await;
        texts(&reply["messages"], "content")
    }
}

/// The text of this key in each row.
pub(crate) fn texts(rows: &Value, key: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap_or_else(|| panic!("not a list: {rows}"));
    rows.iter()
        .map(|row| row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}")).to_owned())
        .collect()
}

/// A client of the dialect `bearer`, logged in.
pub(crate) struct Bearer<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) id: i64,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl<'a> Bearer<'a> {
    /// Registers and creates the profile; the full name is the login in capitals.
    pub(crate) async fn register(gateway: &'a Gateway, login: &str) -> Self {
        let email = format!("{login}@example.org");
        let body = json!({"email": email, "password": PASSWORD, "username": login});
        let pair = gateway.json("POST", "/api/v1/register", None, &body).await.expect(200);
        let mut user = Self::of(gateway, &pair);
        let (name, description) = (login.to_uppercase(), format!("about {login}"));
        let profile = json!({"username": login, "name": name, "description": description});
        assert_eq!(user.form("/user", &profile, None).await.expect(200), json!({"status": "ok"}));
        user.find_id().await;
        user
    }

    pub(crate) async fn log_in(gateway: &'a Gateway, login: &str) -> Self {
        let pair = gateway
            .json("POST", "/api/v1/login", None, &json!({"username": login, "password": PASSWORD}))
            .await
            .expect(200);
        let mut user = Self::of(gateway, &pair);
        user.find_id().await;
        user
    }

    /// The owner of these tokens; the id is not known yet.
    pub(crate) fn of(gateway: &'a Gateway, pair: &Value) -> Self {
        let token = |key: &str| {
            pair[key].as_str().unwrap_or_else(|| panic!("no {key} in {pair}")).to_owned()
        };
        Self { gateway, id: 0, access: token("access_token"), refresh: token("refresh_token") }
    }

    async fn find_id(&mut self) {
        self.id = self.get("/user").await.expect(200)["id"].as_i64().expect("an id is a number");
    }

    fn bare(&self, method: &str, path: &str) -> Request<Bytes> {
        let request = self.gateway.request(method, &format!("/api/v1{path}"));
        request
            .header(AUTHORIZATION, format!("Bearer {}", self.access))
            .body(Bytes::new())
            .expect("the path is one")
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.gateway.send(self.bare("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str) -> Response {
        self.gateway.send(self.bare("POST", path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.gateway.send(self.bare("DELETE", path)).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Response {
        self.gateway.json(method, &format!("/api/v1{path}"), Some(&self.access), body).await
    }

    /// Posts a form.
    pub(crate) async fn form(&self, path: &str, json: &Value, photo: Option<&[u8]>) -> Response {
        let mut request = self.bare("POST", path);
        request.headers_mut().insert(
            CONTENT_TYPE,
            "multipart/form-data; boundary=boundary".parse().expect("it is a header"),
        );
        *request.body_mut() = form(&json.to_string(), photo);
        self.gateway.send(request).await
    }

    /// The id of the chat with another user.
    pub(crate) async fn chat_with(&self, other: i64) -> i64 {
        self.post(&format!("/chat/{other}")).await.expect(200)["chat"]["id"]
            .as_i64()
            .expect("an id is a number")
    }

    /// The id of a new group.
    pub(crate) async fn group(&self, name: &str, members: &[i64]) -> i64 {
        let users = named(members)["users"].take();
        let group = self
            .form("/group", &json!({"name": name, "description": "all", "users": users}), None)
            .await
            .expect(200);
        assert_eq!((&group["status"], &group["group"]["name"]), (&json!("ok"), &json!(name)));
        group["group"]["id"].as_i64().expect("an id is a number")
    }

    pub(crate) async fn try_room(&self, path: &str) -> Result<Peer, Response> {
        let authorization = format!("Bearer {}", self.access);
        self.gateway
            .try_websocket(&format!("/api/v1{path}"), &[("authorization", &authorization)])
            .await
    }

    /// Opens a room; also gives the texts of its history, newest first.
    pub(crate) async fn room(&self, path: &str) -> (Peer, Vec<String>) {
        let mut peer =
            self.try_room(path).await.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
        let history = peer.receive().await;
        assert_eq!(history["type"], "history", "{history}");
        let texts = texts(&history["messages"], "text");
        assert_eq!(history.get("error").is_some(), texts.is_empty(), "{history}");
        (peer, texts)
    }
}

/// A body with a list of users.
pub(crate) fn named(users: &[i64]) -> Value {
    let users: Vec<_> = users.iter().map(|id| json!({"id": id, "name": "any"})).collect();
    json!({"users": users})
}

/// A multipart form with the boundary `boundary`.
pub(crate) fn form(json: &str, photo: Option<&[u8]>) -> Bytes {
    let mut body =
        format!("--boundary\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n")
            .into_bytes();
    if let Some(photo) = photo {
        let head = "Content-Disposition: form-data; name=\"photo\"; filename=\"photo.png\"\r\n\
                    Content-Type: image/png\r\n\r\n";
        body.extend_from_slice(format!("--boundary\r\n{head}").as_bytes());
        body.extend_from_slice(photo);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--boundary--\r\n");
    body.into()
}

/// A frame that posts a message in a room.
pub(crate) fn message(text: &str) -> Value {
    json!({"type": "message", "text": text, "author": {"id": 1, "name": "another user"}})
}

/// Calls `find` until it gives something.
pub(crate) async fn eventually<T>(step: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    within(step, async {
        loop {
            if let Some(found) = find().await {
                return found;
            }
            // Nothing signals the change, so it is polled.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
