//! The drain of a gateway after SIGTERM: the order and rate in which connections are closed, and
//! the responses to requests that are in progress.

use crate::harness::{
    Bearer, Gateway, Mode, PASSWORD, Peer, eventually, message, read_to_end, within,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tolmach_cli::dialects::ids;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Another process with a write transaction on the store: every change waits until it ends.
struct StoreLock {
    process: Child,
}

impl StoreLock {
    async fn take(gateway: &Gateway) -> Self {
        const HOLD: &str = "\
            import sqlite3, sys\n\
            store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n\
            store.execute('begin immediate')\n\
            print('begun', flush=True)\n\
            sys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", HOLD]).arg(gateway.data().join("tolmach.sqlite"));
        let spawned =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut process = spawned.expect("python3 can be started");
        let stdout = process.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(stdout).lines();
        assert_eq!(
            within("the lock", lines.next_line())
                .await
                .expect("standard output is text")
                .as_deref(),
            Some("begun")
        );
        Self { process }
    }

    async fn release(mut self) {
        drop(self.process.stdin.take());
        assert!(
            within("the release of the lock", self.process.wait())
                .await
                .expect("the process can be waited for")
                .success()
        );
    }
}

/// A user of one dialect, with a group.
struct Writer<'a> {
    user: Bearer<'a>,
    dialect: &'static str,
    group: i64,
}

impl<'a> Writer<'a> {
    async fn register(gateway: &'a Gateway, dialect: &'static str) -> Self {
        let user = Bearer::register(gateway, dialect).await;
        let group = user.group("diary", &[]).await;
        Self { user, dialect, group }
    }

    /// A connection that may post a message, and the frame that posts it.
    async fn connect(&self) -> (Peer, Value) {
        const TEXT: &str = "posted before the end";
        let (gateway, name, group) = (self.user.gateway, self.dialect, self.group);
        match self.dialect {
            "mode" => {
                let Mode { peer, token, .. } = Mode::log_in(gateway, name).await;
                let send = json!({
                    "mode": "sendMessage",
                    "timestamp": 1,
                    "token": token,
                    "chat_id": group,
                    "content": TEXT,
                    "content_type": "text",
                });
                (peer, send)
            }
            "sndmsg" => {
                let mut peer = gateway.websocket("/sndmsg").await;
                let reply = peer
                    .request(&json!({"type": "REQUEST_LOGIN", "login": name, "pass": PASSWORD}))
                    .await;
                assert_eq!(reply["status"], "LOGIN_OK", "{reply}");
                let send = json!({
                    "type": "SND_MSG",
                    "username": name,
                    "room_id": group,
                    "message": TEXT,
                    "msg_type": "TEXT",
                });
                (peer, send)
            }
            "morelia" => {
                let request = |method: &str, data: Value| {
                    json!({
                        "type": method,
                        "data": data,
                        "jsonapi": {"version": 1.0},
                        "meta": null,
                    })
                };
                let mut peer = gateway.websocket("/morelia").await;
                let account = json!({"user": {"login": name, "password": PASSWORD}, "meta": null});
                let mut reply = peer.request(&request("auth", account)).await;
                assert_eq!(reply["errors"]["code"], 200, "{reply}");
                let user = reply["data"]["user"].take();
                let data = json!({
                    "user": user,
                    "flow": {"id": group},
                    "message": {"id": 7, "text": TEXT, "time": 1.0},
                    "meta": null,
                });
                (peer, request("send_message", data))
            }
            "bearer" => (self.user.room(&format!("/group/{group}")).await.0, message(TEXT)),
            "action" => {
                let authorization = format!("Bearer {}", self.user.access);
                let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
                let opened = gateway.try_websocket("/ws/chat/", &headers).await;
                let mut peer = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
                let joined = peer
                    .request(&json!({"action": "join_room", "room_pk": group, "request_id": 1}))
                    .await;
                assert_eq!(joined["response_status"], 200, "{joined}");
                (peer, json!({"action": "create_message", "msg_text": TEXT, "request_id": 2}))
            }
            other => panic!("this test needs a message of the dialect {other}"),
        }
    }
}

#[tokio::test]
async fn requests_in_progress_are_answered_before_the_close_in_every_dialect() {
    let mut gateway = Gateway::with(&[("STORE__TIMEOUT", "1m")]).await;
    let (mut busy, mut idle) = (Vec::new(), Vec::new());
    for dialect in ids() {
        let writer = Writer::register(&gateway, dialect).await;
        idle.push((dialect, writer.connect().await.0));
        let (peer, frame) = writer.connect().await;
        busy.push((dialect, peer, frame));
    }
    let body = json!({"email": "late@example.org", "password": PASSWORD}).to_string();
    let late = gateway
        .request("POST", "/api/v1/register")
        .header("content-type", "application/json")
        .body(body.into());
    let late = late.expect("the request is valid");

    let before = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
    let expected = before + busy.len() as f64 + 1.0;
    let lock = StoreLock::take(&gateway).await;
    for (_, peer, frame) in &mut busy {
        peer.send(frame).await;
    }
    let draining = async {
        eventually("the requests", async || {
            let received = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
            (received >= expected).then_some(())
        })
        .await;
        gateway.signal("TERM").await;
        for (dialect, peer) in &mut idle {
            assert_eq!(peer.end().await, (vec![], Some(1001)), "an idle connection of {dialect}");
        }
        lock.release().await;
    };
    let (response, ()) = tokio::join!(gateway.send(late), draining);
    assert!(response.expect(200)["access_token"].is_string(), "a request over HTTP is answered");
    for (dialect, peer, _) in &mut busy {
        let (frames, code) = peer.end().await;
        assert_eq!(
            (frames.len(), code),
            (1, Some(1001)),
            "{dialect}: one answer, then the close: {frames:?}"
        );
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}

#[tokio::test]
async fn open_connections_are_served_until_their_turn_and_see_that_it_is_not_ready() {
    let mut gateway = Gateway::with(&[("SHUTDOWN__CONNECTIONS_PER_SECOND", "1")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    // At one a second these take more than a minute, and HTTP connections are closed after them.
    let mut peers = Vec::new();
    for _ in 0..100 {
        peers.push(gateway.websocket("/mode").await);
    }
    let mut kept = gateway.connect().await;
    kept.write_all(HEALTH).await.expect("the connection is open");
    assert!(read_response(&mut kept, "ok\n").await.starts_with("HTTP/1.1 200"));
    let mut streams = gateway.http2().await;

    gateway.signal("TERM").await;
    eventually("the end of accepting", async || {
        tokio::net::TcpStream::connect(gateway.address).await.err()
    })
    .await;
    kept.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("the connection is open");
    assert!(read_response(&mut kept, "draining\n").await.starts_with("HTTP/1.1 503"));
    let request = format!(
        "GET /api/v1/user HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        ann.access
    );
    kept.write_all(request.as_bytes()).await.expect("the connection is open");
    assert!(
        read_response(&mut kept, "}").await.starts_with("HTTP/1.1 200"),
        "an open connection is served"
    );
    let request = Request::get(format!("http://{}/readyz", gateway.address))
        .body(Full::<Bytes>::default())
        .expect("the request is valid");
    let response =
        within("a response", streams.send_request(request)).await.expect("the connection is open");
    assert_eq!(response.status(), 503);
    let last = peers.last_mut().expect("there are peers");
    let refused = last.request(&json!({"mode": "probe"})).await;
    assert_eq!(refused["status"], 501, "a WebSocket is served until its turn");
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await, (Some(1), vec![]), "a second SIGTERM ends it at once");
}

/// Reads up to and including `end`.
async fn read_response(stream: &mut tokio::net::TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        let byte = within("a response", stream.read_u8()).await;
        received.push(byte.unwrap_or_else(|error| {
            panic!("{error} after {}", String::from_utf8_lossy(&received))
        }));
    }
    String::from_utf8(received).expect("the response is text")
}

#[tokio::test]
async fn no_more_connections_are_closed_than_the_rate_allows() {
    const RATE: u32 = 5;
    let mut gateway =
        Gateway::with(&[("SHUTDOWN__CONNECTIONS_PER_SECOND", &RATE.to_string())]).await;
    let mut ends: Vec<tokio::task::JoinHandle<Instant>> = Vec::new();
    for path in ["/mode", "/sndmsg", "/morelia", "/ws", "/"] {
        let mut peer = gateway.websocket(path).await;
        ends.push(tokio::spawn(async move {
            assert_eq!(peer.end().await, (vec![], Some(1001)));
            Instant::now()
        }));
    }
    let mut kept = gateway.connect().await;
    kept.write_all(HEALTH).await.expect("the connection is open");
    read_response(&mut kept, "ok\n").await;
    ends.push(tokio::spawn(async move {
        assert_eq!(read_to_end(&mut kept).await, b"", "nothing is sent before the close");
        Instant::now()
    }));
    let io = TokioIo::new(gateway.connect().await);
    let handshake =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await;
    let (mut streams, connection) = handshake.expect("the gateway accepts HTTP/2");
    ends.push(tokio::spawn(async move {
        within("the end of HTTP/2", connection).await.expect("the connection is closed in order");
        Instant::now()
    }));
    let request = Request::get(format!("http://{}/healthz", gateway.address))
        .body(Full::default())
        .expect("the request is valid");
    assert_eq!(
        within("a response", streams.send_request(request))
            .await
            .expect("the connection is open")
            .status(),
        200
    );

    let begun = Instant::now();
    gateway.signal("TERM").await;
    let mut taken = Vec::new();
    for end in ends {
        taken.push(end.await.expect("the connection was closed as expected") - begun);
    }
    taken.sort_unstable();
    for (count, taken) in (1..).zip(&taken) {
        let least = Duration::from_secs(1) * count / RATE;
        assert!(*taken >= least, "connection {count} was closed after {taken:?}, before {least:?}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}

#[tokio::test]
async fn connections_in_the_backlog_of_the_listener_are_answered() {
    let mut gateway = Gateway::with(&[("SHUTDOWN__CONNECTIONS_PER_SECOND", "1")]).await;
    gateway.signal("STOP").await;
    let mut early = Vec::new();
    for _ in 0..10 {
        let mut stream = gateway.connect().await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .expect("the connection is open");
        early.push(stream);
    }
    gateway.signal("TERM").await;
    gateway.signal("CONT").await;
    for stream in &mut early {
        let received = String::from_utf8(read_to_end(stream).await).expect("the response is text");
        assert!(received.starts_with("HTTP/1.1 200"), "{received:?}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}
