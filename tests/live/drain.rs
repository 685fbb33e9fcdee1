//! What clients see when a gateway is told to stop: in which order, how fast, and what becomes of
//! what they asked.

use crate::harness::{
    Bearer, Gateway, Mode, PASSWORD, Peer, eventually, hear_to_the_end, message, within,
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

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Somebody else who writes to the store, and so keeps every change waiting until it is dropped.
struct Writer {
    process: Child,
}

impl Writer {
    async fn begin(gateway: &Gateway) -> Self {
        const HOLD: &str = "import sqlite3, sys\nstore = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n\
                            store.execute('begin immediate')\nprint('begun', flush=True)\nsys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", HOLD]).arg(gateway.data().join("tolmach.sqlite"));
        let spawned =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut process = spawned.expect("python3 can be started");
        let mut said = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        assert_eq!(
            within("the writer", said.next_line()).await.expect("it is text").as_deref(),
            Some("begun")
        );
        Self { process }
    }

    async fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(
            within("the end of the writer", self.process.wait())
                .await
                .expect("it can be waited for")
                .success()
        );
    }
}

/// Somebody who speaks one dialect, in a group of their own.
struct Speaker<'a> {
    user: Bearer<'a>,
    dialect: &'static str,
    group: i64,
}

impl<'a> Speaker<'a> {
    async fn register(gateway: &'a Gateway, dialect: &'static str) -> Self {
        let user = Bearer::register(gateway, dialect).await;
        let group = user.group("diary", &[]).await;
        Self { user, dialect, group }
    }

    /// A connection that may say something, and the frame that says it.
    async fn connect(&self) -> (Peer, Value) {
        const TEXT: &str = "said before the end";
        let (gateway, name, group) = (self.user.gateway, self.dialect, self.group);
        match self.dialect {
            "mode" => {
                let Mode { peer, token, .. } = Mode::log_in(gateway, name).await;
                let send = json!({"mode": "sendMessage", "timestamp": 1, "token": token, "chat_id": group, "content": TEXT, "content_type": "text"});
                (peer, send)
            }
            "sndmsg" => {
                let mut peer = gateway.websocket("/sndmsg").await;
                let reply = peer
                    .ask(&json!({"type": "REQUEST_LOGIN", "login": name, "pass": PASSWORD}))
                    .await;
                assert_eq!(reply["status"], "LOGIN_OK", "{reply}");
                (
                    peer,
                    json!({"type": "SND_MSG", "username": name, "room_id": group, "message": TEXT, "msg_type": "TEXT"}),
                )
            }
            "morelia" => {
                let request = |kind: &str, data: Value| json!({"type": kind, "data": data, "jsonapi": {"version": 1.0}, "meta": null});
                let mut peer = gateway.websocket("/morelia").await;
                let account = json!({"user": {"login": name, "password": PASSWORD}, "meta": null});
                let mut reply = peer.ask(&request("auth", account)).await;
                assert_eq!(reply["errors"]["code"], 200, "{reply}");
                let user = reply["data"]["user"].take();
                let said = json!({"id": 7, "text": TEXT, "time": 1.0});
                (
                    peer,
                    request(
                        "send_message",
                        json!({"user": user, "flow": {"id": group}, "message": said, "meta": null}),
                    ),
                )
            }
            "bearer" => (self.user.room(&format!("/group/{group}")).await.0, message(TEXT)),
            "action" => {
                let authorization = format!("Bearer {}", self.user.access);
                let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
                let opened = gateway.try_websocket("/ws/chat/", &headers).await;
                let mut peer = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
                let joined = peer
                    .ask(&json!({"action": "join_room", "room_pk": group, "request_id": 1}))
                    .await;
                assert_eq!(joined["response_status"], 200, "{joined}");
                (peer, json!({"action": "create_message", "msg_text": TEXT, "request_id": 2}))
            }
            other => panic!("nobody here speaks {other}"),
        }
    }
}

#[tokio::test]
async fn what_was_asked_is_answered_before_the_close_in_every_dialect() {
    let mut gateway = Gateway::with(&[("STORE__TIMEOUT", "1m")]).await;
    let (mut busy, mut idle) = (Vec::new(), Vec::new());
    for dialect in ["mode", "sndmsg", "morelia", "bearer", "action"] {
        let speaker = Speaker::register(&gateway, dialect).await;
        idle.push((dialect, speaker.connect().await.0));
        let (peer, said) = speaker.connect().await;
        busy.push((dialect, peer, said));
    }
    let body = json!({"email": "late@example.org", "password": PASSWORD}).to_string();
    let late = gateway
        .request("POST", "/api/v1/register")
        .header("content-type", "application/json")
        .body(body.into());
    let late = late.expect("it is a request");

    let before = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
    let writer = Writer::begin(&gateway).await;
    for (_, peer, said) in &mut busy {
        peer.say(said).await;
    }
    let told = async {
        eventually("what was asked", async || {
            let heard = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
            (heard >= before + 6.0).then_some(())
        })
        .await;
        gateway.signal("TERM").await;
        for (dialect, peer) in &mut idle {
            assert_eq!(peer.end().await, (vec![], Some(1001)), "an idle connection of {dialect}");
        }
        writer.end().await;
    };
    let (response, ()) = tokio::join!(gateway.send(late), told);
    assert!(
        response.expect(200)["access_token"].is_string(),
        "a request over HTTP is answered too"
    );
    for (dialect, peer, _) in &mut busy {
        let (frames, code) = peer.end().await;
        assert_eq!((frames.len(), code), (1, Some(1001)), "{dialect} was answered: {frames:?}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}

#[tokio::test]
async fn connections_that_are_open_are_told_at_once_that_it_is_not_ready_and_served_until_their_turn()
 {
    let mut gateway = Gateway::with(&[("SHUTDOWN__CONNECTIONS_PER_SECOND", "1")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    // More than a minute's worth: no HTTP connection has its turn before all of them had theirs.
    let mut peers = Vec::new();
    for _ in 0..100 {
        peers.push(gateway.websocket("/mode").await);
    }
    let mut kept = gateway.connect().await;
    kept.write_all(HEALTH).await.expect("the connection is open");
    assert!(hear_response(&mut kept, "ok\n").await.starts_with("HTTP/1.1 200"));
    let mut streams = gateway.http2().await;

    gateway.signal("TERM").await;
    eventually("the end of accepting", async || {
        tokio::net::TcpStream::connect(gateway.address).await.err()
    })
    .await;
    kept.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("the connection is open");
    assert!(hear_response(&mut kept, "draining\n").await.starts_with("HTTP/1.1 503"));
    let request = format!(
        "GET /api/v1/user HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        ann.access
    );
    kept.write_all(request.as_bytes()).await.expect("the connection is open");
    assert!(
        hear_response(&mut kept, "}").await.starts_with("HTTP/1.1 200"),
        "who is connected is served"
    );
    let request = Request::get(format!("http://{}/readyz", gateway.address))
        .body(Full::<Bytes>::default())
        .expect("it is a request");
    let response =
        within("a response", streams.send_request(request)).await.expect("the connection is open");
    assert_eq!(response.status(), 503);
    let last = peers.last_mut().expect("there are some");
    let refused = last.ask(&json!({"mode": "probe"})).await;
    assert_eq!(refused["status"], 501, "who waits for their turn is served");
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await, (Some(1), vec![]), "a second stop waits for nobody's turn");
}

/// What comes up to and with `end`.
async fn hear_response(stream: &mut tokio::net::TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let byte = within("a response", stream.read_u8()).await;
        heard.push(
            byte.unwrap_or_else(|error| {
                panic!("{error} after {}", String::from_utf8_lossy(&heard))
            }),
        );
    }
    String::from_utf8(heard).expect("it is text")
}

#[tokio::test]
async fn no_more_connections_are_closed_than_the_rate_allows() {
    const RATE: u32 = 5;
    let mut gateway = Gateway::with(&[("SHUTDOWN__CONNECTIONS_PER_SECOND", &RATE.to_string())]).await;
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
    hear_response(&mut kept, "ok\n").await;
    ends.push(tokio::spawn(async move {
        assert_eq!(hear_to_the_end(&mut kept).await, b"", "it is closed without a word");
        Instant::now()
    }));
    let io = TokioIo::new(gateway.connect().await);
    let handshake =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await;
    let (mut streams, connection) = handshake.expect("HTTP/2 is spoken");
    ends.push(tokio::spawn(async move {
        within("the end of HTTP/2", connection).await.expect("it is closed in order");
        Instant::now()
    }));
    let request = Request::get(format!("http://{}/healthz", gateway.address))
        .body(Full::default())
        .expect("it is a request");
    assert_eq!(
        within("a response", streams.send_request(request)).await.expect("it is open").status(),
        200
    );

    let begun = Instant::now();
    gateway.signal("TERM").await;
    let mut taken = Vec::new();
    for end in ends {
        taken.push(end.await.expect("it was closed as it should") - begun);
    }
    taken.sort_unstable();
    for (count, taken) in (1..).zip(&taken) {
        let least = Duration::from_secs(1) * count / RATE;
        assert!(*taken >= least, "connection {count} was closed after {taken:?}, before {least:?}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}

#[tokio::test]
async fn whoever_connected_before_the_stop_is_answered_though_it_was_not_accepted_yet() {
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
        let heard = String::from_utf8(hear_to_the_end(stream).await).expect("it is text");
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard:?}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}
