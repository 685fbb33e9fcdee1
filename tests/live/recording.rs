//! Captures: `tolmach record` before a server, and `[record]` of a gateway.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, tolmach, within};
use crate::hostile::frame;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// A proxy that records.
struct Proxy {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Proxy {
    async fn before(upstream: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let common = ["record", "--upstream", upstream, "--listen", "127.0.0.1:0"];
        let output = ["--output", "capture.jsonl"];
        let mut child = tolmach(folder.path(), &[], [&common[..], &output, arguments].concat())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let stdout = child.stdout.take().expect("it is piped");
        let ready = within("the start", BufReader::new(stdout).lines().next_line()).await;
        let ready = ready.expect("standard output is text").unwrap_or_default();
        let address = ready.split_once('=').and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("not the line with the address: {ready}"));
        Self { child, address, folder }
    }

    /// Ends it, and gives the capture.
    async fn end(mut self) -> Capture {
        let process = self.child.id().expect("it was not waited for").to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &process]).status().await;
        assert!(sent.expect("kill can be started").success());
        let status = within("the end", self.child.wait()).await.expect("it can be waited for");
        assert_eq!(status.code(), Some(0));
        Capture::read(&self.folder.path().join("capture.jsonl"))
    }
}

/// The text and the lines of a capture.
struct Capture {
    text: String,
    lines: Vec<Value>,
}

impl Capture {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the capture is there");
        let line = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        let lines: Vec<Value> = text.lines().map(line).flat_map(frames).collect();
        assert_eq!(lines[0]["form"], "tolmach-capture/1");
        Self { text, lines }
    }

    /// The only capture of a gateway that has ended.
    async fn of(mut gateway: Gateway) -> Self {
        gateway.signal("TERM").await;
        assert_eq!(gateway.ended().await.0, Some(0));
        let files = captures(&gateway);
        assert_eq!(files.len(), 1, "{files:?}");
        Self::read(&files[0])
    }

    fn of_type(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }

    /// The sides of all frames, with the names of their commands and events.
    fn commands(&self) -> Vec<(String, String)> {
        let text = |line: &'_ Value, field: &str| line[field].as_str().unwrap_or("-").to_owned();
        let frames = self.of_type("frame");
        frames.map(|line| (text(line, "from"), text(line, "command"))).collect()
    }

    /// True if a side has sent this command or event.
    fn has(&self, side: &str, name: &str) -> bool {
        self.commands().contains(&(side.to_owned(), name.to_owned()))
    }

    /// The different values of a field of the openings.
    fn openings(&self, field: &str) -> BTreeSet<String> {
        self.of_type("open").map(|line| line[field].to_string()).collect()
    }
}

/// A line of its own for each frame of a line `frames`.
fn frames(mut line: Value) -> Vec<Value> {
    if line["type"] != "frames" {
        return vec![line];
    }
    line["type"] = json!("frame");
    let (to, at) = (line["to"].take(), line["at"].take());
    let frame = |to: &Value| {
        let mut line = line.clone();
        line["connection"] = to[0].clone();
        line["at"] = json!(at.as_u64().zip(to[1].as_u64()).map(|(at, after)| at + after));
        line
    };
    to.as_array().expect("the form has a list there").iter().map(frame).collect()
}

/// The captures of a gateway.
pub(crate) fn captures(gateway: &Gateway) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(gateway.data().join("captures"));
    let mut files: Vec<PathBuf> =
        entries.into_iter().flatten().map(|entry| entry.expect("it is read").path()).collect();
    files.sort();
    files
}

fn record(options: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&[("RECORD__ENABLED", "true")], options].concat()
}

#[tokio::test]
async fn a_proxy_passes_every_byte_and_records_every_frame() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let upstream = format!("http://{}", server.local_addr().expect("it is bound"));
    let proxy = Proxy::before(&upstream, &["--dialect", "mode"]).await;
    let mut client = TcpStream::connect(proxy.address).await.expect("it listens");
    let (mut accepted, _) = within("a connection", server.accept()).await.expect("it comes");
    let auth = json!({"mode": "auth", "timestamp": 1, "username": "ann", "password": PASSWORD});
    // Odd forms: headers in any case, a fragment, a mask, what no parser knows at the end.
    let fragment = [&[0x01, 0x83, 9, 9, 9, 9][..], &[b'"' ^ 9, b'a' ^ 9, b'b' ^ 9]].concat();
    let requests = [
        b"GET /mode?x=1 HTTP/1.1\r\nHoSt: a\r\nUPGRADE: WebSocket\r\n\r\n".to_vec(),
        frame(0x81, auth.to_string().as_bytes()),
        fragment,
        frame(0x80, b"c\""),
        frame(0x8F, b"?"),
        b"\xFF\xFF\xFF".to_vec(),
    ]
    .concat();
    let answers = [
        &b"HTTP/1.1 101 Switching Protocols\r\nx: y\r\n\r\n"[..],
        b"\x81\x0e{\"status\":200}",
        b"\x88\x02\x03\xE8",
    ]
    .concat();
    let expected = requests.clone();
    let one = async {
        client.write_all(&requests).await.expect("it is open");
        let mut received = vec![0; answers.len()];
        client.read_exact(&mut received).await.expect("all of it comes");
        assert_eq!(received, answers, "the bytes of the server");
    };
    let other = async {
        let mut received = vec![0; expected.len()];
        // The server answers once it has the request's head.
        accepted.read_exact(&mut received[..10]).await.expect("the beginning comes");
        accepted.write_all(&answers).await.expect("it is open");
        accepted.read_exact(&mut received[10..]).await.expect("all of it comes");
        assert_eq!(received, expected, "the bytes of the client");
    };
    within("the conversation", async { tokio::join!(one, other) }).await;
    drop((client, accepted));
    let capture = proxy.end().await;
    assert_eq!(capture.openings("transport"), BTreeSet::from(["\"websocket\"".to_owned()]));
    let texts: Vec<&Value> = capture.of_type("frame").map(|line| &line["text"]).collect();
    assert!(texts.contains(&&json!("{\"status\":200}")), "{}", capture.text);
    assert!(capture.has("client", "login"), "{}", capture.text);
    assert!(!capture.text.contains(PASSWORD));
    assert_eq!(capture.of_type("gap").count(), 1, "what is no frame is a gap: {}", capture.text);
}

#[tokio::test]
async fn a_proxy_recognises_dialects_and_their_commands() {
    let mut gateway = Gateway::start().await;
    let proxy = Proxy::before(&format!("http://{}", gateway.address), &["--texts"]).await;
    let direct = std::mem::replace(&mut gateway.address, proxy.address);
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = bob.group("Secret society", &[1]).await;
    ann.send(group, "a private word").await;
    assert_eq!(ann.history(group).await, ["a private word"]);
    // The dialect of an HTTP connection is that of a later request.
    let mut kept_alive = TcpStream::connect(proxy.address).await.expect("it listens");
    let requests = format!(
        "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n\
         GET /api/v1/user HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         authorization: Bearer {}\r\n\r\n",
        bob.access
    );
    kept_alive.write_all(requests.as_bytes()).await.expect("it is open");
    let mut responses = Vec::new();
    kept_alive.read_to_end(&mut responses).await.expect("the server ends it");
    let mut shared = gateway.websocket("/ws").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": PASSWORD});
    assert_eq!(shared.request(&login).await["status"], "LOGIN_OK");
    let (token, access) = (ann.token.clone(), bob.access.clone());
    gateway.address = direct;
    drop((ann, shared));
    let capture = proxy.end().await;
    let dialects = capture.openings("dialect");
    for dialect in ["\"mode\"", "\"bearer\"", "\"sndmsg\""] {
        assert!(dialects.contains(dialect), "{dialects:?}");
    }
    let later = |line: &&Value| line["uri"] == "/api/v1/user" && line["dialect"] == "bearer";
    let later = capture.of_type("frame").find(later);
    assert!(later.is_some_and(|line| line["command"] == "get_user"), "{}", capture.text);
    for command in ["register", "login", "create_flow", "send", "history"] {
        assert!(capture.has("client", command), "{command}: {}", capture.text);
    }
    for told in [PASSWORD, &token, &access, "private word", "Secret society", "bob@example.org"] {
        assert!(!capture.text.contains(told), "{told} is told");
    }
    assert_eq!(capture.of_type("gap").count(), 0, "{}", capture.text);
    let refused = gateway
        .run(["record", "--upstream", "https://x", "--listen", "127.0.0.1:0", "--output", "x"])
        .await;
    assert_eq!(refused.status.code(), Some(2), "TLS is not read");
}

#[tokio::test]
async fn a_gateway_records_what_its_configuration_asks_for_and_no_secret() {
    let gateway = Gateway::with(&record(&[("RECORD__TEXTS", "true")])).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = bob.group("Secret society", &[1]).await;
    let (mut room, _) = bob.room(&format!("/group/{group}")).await;
    ann.send(group, "a private word").await;
    assert_eq!(room.receive().await["text"], "a private word");
    assert!(gateway.metric("tolmach_recorded_frames_total", "").await >= 8.0);
    assert_eq!(gateway.metric("tolmach_unrecorded_frames_total", "").await, 0.0);
    let (token, access) = (ann.token.clone(), bob.access.clone());
    let capture = Capture::of(gateway).await;
    assert_eq!(capture.lines[0]["recorder"], "gateway");
    assert_eq!(capture.openings("transport").len(), 2, "{}", capture.text);
    for (side, name) in [
        ("client", "register"),
        ("client", "create_flow"),
        ("client", "send"),
        ("server", "posted"),
    ] {
        assert!(capture.has(side, name), "{name}: {}", capture.text);
    }
    for told in [PASSWORD, &token, &access, "private word", "Secret society"] {
        assert!(!capture.text.contains(told), "{told} is told");
    }
    let (opened, closed) = (capture.of_type("open").count(), capture.of_type("close").count());
    assert_eq!(opened, closed, "every connection has an end: {}", capture.text);
}

#[tokio::test]
async fn each_filter_of_a_gateways_recording_holds() {
    for (filter, dialects) in [
        ("share = 0", &[][..]),
        ("user = 1", &["\"mode\""]),
        ("user = 2", &["\"bearer\""]),
        ("addresses = [\"127.0.0.0/8\"]", &["\"bearer\"", "\"mode\""]),
        ("addresses = [\"10.0.0.0/8\"]", &[]),
        ("dialects = [\"bearer\"]", &["\"bearer\""]),
        ("dialects = [\"mode/literal\"]", &[]),
        ("dialects = [\"mode/doc\"]", &["\"mode\""]),
    ] {
        let file = format!("[record]\nenabled = true\n{filter}\n");
        let gateway = Gateway::with_file(&file, &[]).await;
        let mut ann = Mode::register(&gateway, "ann").await;
        ann.request("getChats", json!({})).await;
        let bob = Bearer::register(&gateway, "bob").await;
        bob.get("/user").await;
        let capture = Capture::of(gateway).await;
        let expected: BTreeSet<String> = dialects.iter().map(ToString::to_string).collect();
        assert_eq!(capture.openings("dialect"), expected, "{filter} {}", capture.text);
        if let Some(user) = filter.strip_prefix("user = ") {
            assert_eq!(capture.openings("user"), BTreeSet::from([user.to_owned()]));
            let name = if dialects[0] == "\"mode\"" { "register" } else { "get_user" };
            assert!(
                capture.has("client", name),
                "what came before the login is recorded too: {}",
                capture.text
            );
        }
    }
}

#[tokio::test]
async fn a_full_queue_is_counted_and_files_are_bounded() {
    let options = record(&[
        ("RECORD__QUEUE_BYTES", "4KiB"),
        ("RECORD__MAX_FILE_BYTES", "4KiB"),
        ("RECORD__MAX_FILES", "2"),
    ]);
    let mut gateway = Gateway::with(&options).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let group = Bearer::log_in(&gateway, "ann").await.group("flood", &[]).await;
    // No one of these fits into the queue.
    for _ in 0..3 {
        ann.send(group, &"x".repeat(5_000)).await;
    }
    for _ in 0..40 {
        ann.send(group, "short").await;
    }
    assert!(gateway.metric("tolmach_unrecorded_frames_total", "").await >= 3.0);
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await.0, Some(0));
    let files = captures(&gateway);
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        assert!(std::fs::metadata(file).expect("it is there").len() < 16 << 10);
        Capture::read(file);
    }
}
