//! The gateway itself: slow readers, rates, dead peers, shutdown, its own pages and its log.

use crate::harness::{
    Bearer, Gateway, Mode, PASSWORD, PICTURE, Peer, eventually, message, read_to_end, within,
};
use crate::hostile::frame;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Opens a room through a socket with a small receive buffer.
async fn slow_room(user: &Bearer<'_>, path: &str) -> Peer {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_recv_buffer_size(4096).expect("its size can be set");
    let stream = socket.connect(user.gateway.address).await.expect("it accepts connections");
    let mut request = format!("ws://{}/api/v1{path}", user.gateway.address)
        .into_client_request()
        .expect("the path is one");
    request.headers_mut().insert(
        "authorization",
        format!("Bearer {}", user.access).parse().expect("it is a header"),
    );
    let (socket, _) =
        tokio_tungstenite::client_async(request, stream).await.expect("the handshake is accepted");
    Peer { socket, subprotocol: None }
}

#[tokio::test]
async fn a_reader_whose_socket_takes_nothing_is_closed_and_others_are_served() {
    const SIZE: usize = 200_000;
    let gateway = Gateway::with(&[
        ("LIMITS__SEND_QUEUE_BYTES", "512KiB"),
        ("LIMITS__MAX_TEXT_BYTES", "256KiB"),
        ("LIMITS__MAX_ANSWER_BYTES", "128MiB"),
    ])
    .await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("flood", &[]).await;
    let path = format!("/group/{group}");
    let mut slow = slow_room(&ann, &path).await;
    let (mut writer, _) = ann.room(&path).await;
    let (mut reader, _) = ann.room(&path).await;

    let mut sent = 0;
    while gateway.metric("tolmach_connections_closed_total", "reason=\"slow_reader\"").await == 0.0
    {
        assert!(sent < 500, "{} bytes wait for a slow reader", sent * SIZE);
        let text = format!("{sent} {}", "x".repeat(SIZE));
        let echo = writer.request(&message(&text)).await;
        assert_eq!(echo["text"], text, "a reader receives everything");
        assert_eq!(reader.receive().await["text"], text, "a reader receives everything");
        sent += 1;
    }
    let (frames, code) = slow.end().await;
    assert_eq!(code, Some(1013));
    let received: Vec<_> = frames
        .iter()
        .skip(1)
        .map(|frame| {
            frame["text"]
                .as_str()
                .and_then(|text| text.split_once(' '))
                .expect("every text has a number")
                .0
        })
        .collect();
    let expected: Vec<_> = (0..received.len()).map(|number| number.to_string()).collect();
    assert_eq!(received, expected, "no gap before the close");
    assert!(received.len() < sent, "some messages were not received");
    let (_, history) = ann.room(&format!("{path}?limit=1000")).await;
    assert_eq!(history.len(), sent, "missed messages are in the history");
}

#[tokio::test]
async fn a_reader_that_pauses_receives_everything_in_order_afterwards() {
    const SIZE: usize = 200_000;
    const COUNT: usize = 60;
    let gateway = Gateway::with(&[
        ("LIMITS__SEND_QUEUE_BYTES", "64MiB"),
        ("LIMITS__MAX_TEXT_BYTES", "256KiB"),
        ("KEEPALIVE__PONG_TIMEOUT", "60s"),
    ])
    .await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("flood", &[]).await;
    let path = format!("/group/{group}");
    let mut pausing = slow_room(&ann, &path).await;
    assert_eq!(pausing.receive().await["type"], "history", "the room is open");
    let (mut writer, _) = ann.room(&path).await;
    // More than any socket takes: the first frames are written at once, one in part, and the
    // others wait.
    let texts: Vec<String> =
        (0..COUNT).map(|number| format!("{number} {}", "x".repeat(SIZE))).collect();
    for text in &texts {
        assert_eq!(writer.request(&message(text)).await["text"], *text);
    }
    for text in &texts {
        assert_eq!(pausing.receive().await["text"], *text);
    }
    for text in ["again", "and again"] {
        writer.request(&message(text)).await;
        assert_eq!(pausing.receive().await["text"], text, "it receives as before");
    }
}

#[tokio::test]
async fn a_peer_that_requests_and_never_reads_is_closed() {
    const GROWTH: usize = 64 << 20;
    let gateway = Gateway::with(&[("KEEPALIVE__PONG_TIMEOUT", "1s")]).await;
    let ann = Mode::register(&gateway, "ann").await;
    let group = Bearer::log_in(&gateway, "ann").await.group("archive", &[]).await;
    let mut other = Mode::log_in(&gateway, "ann").await;
    for _ in 0..20 {
        other.send(group, &"x".repeat(50_000)).await;
    }
    let before = gateway.memory();
    let request = json!({"mode": "getMessages", "token": ann.token, "chat_id": group}).to_string();
    let mut greedy = gateway.websocket("/mode").await;
    // Each response has a million bytes. The gateway holds one of them and reads no further.
    let requesting = async {
        while greedy.socket.get_mut().write_all(&frame(0x81, request.as_bytes())).await.is_ok() {}
    };
    within("the close", requesting).await;
    let after = gateway.memory();
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
    assert_eq!(
        gateway.metric("tolmach_connections_closed_total", "reason=\"slow_reader\"").await,
        1.0
    );
    assert_eq!(other.history(group).await.len(), 20, "others are served");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_http_response_is_closed() {
    const PEERS: usize = 8;
    let gateway = Gateway::with(&[("KEEPALIVE__PONG_TIMEOUT", "500ms")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let picture = [PICTURE, &vec![0; (5 << 20) - PICTURE.len()]].concat();
    let made = ann.form("/group", &json!({"name": "gallery"}), Some(&picture)).await.expect(200);
    let path = format!("/api/v1/group/{}/photo", made["group"]["id"]);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", ann.access);
    gateway.get("/healthz").await;
    let before = gateway.open_sockets();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_recv_buffer_size(4096).expect("its size can be set");
        let mut peer = socket.connect(gateway.address).await.expect("it accepts connections");
        peer.write_all(request.as_bytes()).await.expect("the connection is open");
        let first = within("the begin of a response", peer.read_u8())
            .await
            .expect("the connection is open");
        assert_eq!(first, b'H');
        peers.push(peer);
    }
    eventually("the close of all peers that do not read", async || {
        (gateway.open_sockets() <= before).then_some(())
    })
    .await;
    for mut peer in peers {
        assert!(read_to_end(&mut peer).await.len() < picture.len(), "the response is cut");
    }
    assert_eq!(
        ann.get(path.trim_start_matches("/api/v1")).await.body.len(),
        picture.len(),
        "a peer that reads has all of it"
    );
}

#[tokio::test]
async fn responses_that_an_http2_peer_does_not_take_are_bounded_in_bytes() {
    const REQUESTS: usize = 100;
    const SIZE: usize = 5 << 20;
    // The limits of the server: 16 MiB of responses, and 16 requests that wait for room.
    const CARRIED_OUT: f64 = 3.0 + 16.0;
    const GROWTH: usize = 200 << 20;
    // The budget of memory leaves room for all of them.
    let gateway = Gateway::with(&[
        ("LIMITS__MEMORY_BYTES_PER_CONNECTION", "256MiB"),
        ("LIMITS__MEMORY_BYTES_PER_ADDRESS", "256MiB"),
    ])
    .await;
    let ann = Bearer::register(&gateway, "ann").await;
    let picture = [PICTURE, &vec![0; SIZE - PICTURE.len()]].concat();
    let made = ann.form("/group", &json!({"name": "gallery"}), Some(&picture)).await.expect(200);
    let url = format!("http://{}/api/v1/group/{}/photo", gateway.address, made["group"]["id"]);
    let before = gateway.memory();

    let io = TokioIo::new(gateway.connect().await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let handshake = builder
        .initial_stream_window_size(16 << 10)
        .initial_connection_window_size(1 << 20)
        .handshake(io);
    let (sender, connection) =
        within("HTTP/2", handshake).await.expect("the gateway accepts HTTP/2");
    tokio::spawn(connection);
    let mut responses = FuturesUnordered::new();
    for _ in 0..REQUESTS {
        let request = Request::get(&url)
            .header("authorization", format!("Bearer {}", ann.access))
            .body(Full::<Bytes>::default());
        let (mut sender, request) = (sender.clone(), request.expect("the request is valid"));
        responses.push(async move {
            sender.ready().await?;
            sender.send_request(request).await
        });
    }
    let carried_out =
        async || gateway.metric("tolmach_requests_total", "operation=\"get_photo\"").await;
    let mut begun = Vec::new();
    let settled = eventually("the requests that are carried out", async || {
        (carried_out().await >= CARRIED_OUT).then_some(())
    });
    tokio::pin!(settled);
    loop {
        tokio::select! {
            () = settled.as_mut() => break,
            Some(response) = responses.next() => {
                begun.push(response.expect("the request is answered"));
            }
        }
    }
    // No more are carried out after many round trips.
    for _ in 0..50 {
        ann.get("/user").await.expect(200);
    }
    assert_eq!(carried_out().await, CARRIED_OUT);
    assert!(
        gateway.memory() < before + GROWTH,
        "{before} bytes before, {} after",
        gateway.memory()
    );
    // A response that is read is sent, and more requests are carried out.
    let response = begun.pop().expect("a response has begun");
    assert_eq!(response.status(), 200);
    let (body, _) = tokio::join!(response.into_body().collect(), responses.next());
    assert_eq!(body.expect("the body is whole").to_bytes().len(), SIZE);
    eventually("the next request", async || (carried_out().await > CARRIED_OUT).then_some(()))
        .await;
}

#[tokio::test]
async fn frames_above_the_rate_are_read_later_and_not_lost() {
    const RATE: u32 = 40;
    const BURST: u32 = 10;
    const FRAMES: u32 = 50;
    let gateway = Gateway::with(&[
        ("LIMITS__FRAMES_PER_SECOND", &RATE.to_string()),
        ("LIMITS__FRAME_BURST", &BURST.to_string()),
    ])
    .await;
    let mut fast = gateway.websocket("/mode").await;
    let mut other = gateway.websocket("/mode").await;
    let started = Instant::now();
    for number in 0..FRAMES {
        fast.send(&json!({"mode": format!("probe {number}")})).await;
    }
    assert_eq!(other.request(&json!({"mode": "probe"})).await["status"], 501);
    for number in 0..FRAMES {
        assert_eq!(fast.receive().await["mode"], format!("probe {number}"));
    }
    // A lower bound only: a busy machine takes longer.
    let least = Duration::from_secs(1) * (FRAMES - BURST - 1) / RATE;
    assert!(started.elapsed() >= least, "it was not delayed: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_dead_peer_is_closed() {
    let gateway =
        Gateway::with(&[("KEEPALIVE__PING_INTERVAL", "200ms"), ("KEEPALIVE__PONG_TIMEOUT", "1s")])
            .await;
    let Mode { peer: mut living, .. } = Mode::register(&gateway, "ann").await;
    let mut dead = gateway.connect().await;
    let handshake = "GET /mode HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Before a proof, silence ends a connection by the deadline of the proof alone.
    let login = json!({"mode": "auth", "timestamp": 1, "username": "ann", "password": PASSWORD});
    dead.write_all(&[handshake.as_bytes(), &frame(0x81, login.to_string().as_bytes())].concat())
        .await
        .expect("the connection is open");
    let received = tokio::select! {
        received = read_to_end(&mut dead) => received,
        // Reading answers pings.
        frame = living.next() => panic!("received {frame:?}"),
    };
    assert!(
        received.ends_with(&[0x89, 0]),
        "the last frame is a ping: {}",
        String::from_utf8_lossy(&received)
    );
    assert_eq!(
        living.request(&json!({"mode": "probe"})).await["status"],
        501,
        "a peer that answers pings stays"
    );
}

/// A registration, which takes as long as hashing its password.
fn slow_registration(name: &str) -> Value {
    json!({
        "mode": "register",
        "timestamp": 1,
        "username": name,
        "password": PASSWORD,
        "email": null,
    })
}

/// Waits until the gateway has received so many frames and requests.
async fn received_frames(gateway: &Gateway, count: f64) {
    eventually("the frames", async || {
        let received = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
        (received >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn shutdown_answers_requests_in_progress_and_closes_all_connections() {
    let mut gateway = Gateway::with(&[("AUTH__BCRYPT_COST", "13")]).await;
    let mut busy = gateway.websocket("/mode").await;
    let mut idle = gateway.websocket("/mode").await;
    let mut undecided = gateway.websocket("/").await;
    idle.request(&json!({"mode": "probe"})).await;
    busy.send(&slow_registration("ann")).await;
    let body = json!({"email": "bob@example.org", "password": PASSWORD});
    let request = gateway
        .request("POST", "/api/v1/register")
        .header("content-type", "application/json")
        .body(body.to_string().into());
    let exchange = gateway.send(request.expect("the request is valid"));
    let (response, ()) = tokio::join!(exchange, async {
        received_frames(&gateway, 3.0).await;
        gateway.signal("TERM").await;
    });
    let pair = response.expect(200);
    assert!(pair["access_token"].is_string(), "{pair}");
    let (replies, code) = busy.end().await;
    assert_eq!(
        (replies.len(), &replies[0]["status"], code),
        (1, &json!(200), Some(1001)),
        "{replies:?}"
    );
    for (name, peer) in [("idle", &mut idle), ("without a dialect", &mut undecided)] {
        assert_eq!(peer.end().await, (vec![], Some(1001)), "{name}");
    }
    assert_eq!(gateway.ended().await, (Some(0), vec![]), "standard output has the first line only");
    gateway.restart().await;
    Mode::log_in(&gateway, "ann").await;
}

#[tokio::test]
async fn shutdown_accepts_no_connection_and_a_second_signal_ends_it_at_once() {
    let mut gateway =
        Gateway::with(&[("AUTH__BCRYPT_COST", "17"), ("SHUTDOWN__GRACE_PERIOD", "10m")]).await;
    let mut busy = gateway.websocket("/mode").await;
    busy.send(&slow_registration("ann")).await;
    received_frames(&gateway, 1.0).await;
    gateway.signal("TERM").await;
    eventually("the end of accepting", async || {
        tokio::net::TcpStream::connect(gateway.address).await.err()
    })
    .await;
    gateway.signal("TERM").await;
    let (code, lines) = gateway.ended().await;
    assert_eq!((code, lines), (Some(1), vec![]));
    assert_eq!(busy.end().await.0, [Value::Null; 0], "it does not wait for the response");
}

#[tokio::test]
async fn shutdown_ends_after_its_grace_period() {
    let mut gateway =
        Gateway::with(&[("SHUTDOWN__GRACE_PERIOD", "100ms"), ("HTTP__BODY_TIMEOUT", "10m")]).await;
    let mut stream = gateway.connect().await;
    stream
        .write_all(b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        .await
        .expect("the connection is open");
    gateway.get("/healthz").await;
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await, (Some(0), vec![]));
}

#[tokio::test]
async fn own_pages_show_health_readiness_and_metrics() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    ann.peer.request(&json!({"mode": "fly"})).await;
    ann.request("getMessages", json!({"chat_id": 1})).await;
    for (method, path, status, body) in [
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ready\n"),
        ("HEAD", "/healthz", 200, ""),
        ("GET", "/metrics", 404, "{\"error\":\"there is nothing at this path\"}"),
        ("GET", "/healthz?query", 200, "ok\n"),
    ] {
        let response = gateway
            .send(
                gateway
                    .request(method, path)
                    .body(Default::default())
                    .expect("the request is valid"),
            )
            .await;
        assert_eq!(
            (response.status.as_u16(), &*response.text()),
            (status, body),
            "{method} {path}"
        );
    }
    for (method, path, status, body) in [
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ready\n"),
        ("HEAD", "/metrics", 200, ""),
        ("POST", "/metrics", 405, "{\"error\":\"this page can only be read\"}"),
        ("GET", "/openapi.json", 404, "{\"error\":\"there is nothing at this path\"}"),
        ("GET", "/mode", 404, "{\"error\":\"there is nothing at this path\"}"),
    ] {
        let request = gateway.request(method, path).body(Default::default());
        let response = gateway.send_to(gateway.admin, request.expect("the request is valid")).await;
        assert_eq!(
            (response.status.as_u16(), &*response.text()),
            (status, body),
            "the admin listener: {method} {path}"
        );
    }
    for path in ["/healthz", "/openapi.json"] {
        let response = gateway.json("POST", path, None, &json!({})).await;
        assert_eq!(
            (response.status.as_u16(), response.header("allow").as_deref()),
            (405, Some("GET, HEAD")),
            "{path}"
        );
    }
    let page = gateway.metrics().await;
    assert!(
        page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
        "{page:?}"
    );
    let mode = "dialect=\"mode\"";
    for (name, labels, value) in [
        ("tolmach_connections", vec![mode], 1.0),
        ("tolmach_connections_total", vec![mode], 1.0),
        ("tolmach_frames_total", vec![mode, "direction=\"in\""], 3.0),
        ("tolmach_frames_total", vec![mode, "direction=\"out\""], 3.0),
        ("tolmach_requests_total", vec![mode, "operation=\"register\"", "outcome=\"ok\""], 1.0),
        (
            "tolmach_requests_total",
            vec![mode, "operation=\"history\"", "outcome=\"no_such_flow\""],
            1.0,
        ),
        ("tolmach_violations_total", vec![mode, "kind=\"unknown_method\""], 1.0),
        ("tolmach_request_duration_seconds_count", vec![mode, "operation=\"history\""], 1.0),
    ] {
        let page = gateway.metrics().await.text();
        let series = page
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        let found = series.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        assert_eq!(found, Some(value), "{name} {labels:?} in\n{page}");
    }
    for name in
        ["tolmach_bytes_total", "tolmach_event_renders_total", "tolmach_handshakes_rejected_total"]
    {
        assert!(gateway.metrics().await.text().contains(name), "{name}");
    }
}

#[tokio::test]
async fn logs_are_json_without_secrets() {
    const WRONG: &str = "a password that is not right";
    const NEXT: &str = "a password that comes next";
    const SECRET: &str = "a secret that signs the access tokens";
    let mut gateway =
        Gateway::with(&[("LOG__FILTER", "debug"), ("AUTH__JWT_SECRET", SECRET)]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let mut secrets: Vec<String> = [PASSWORD, WRONG, NEXT, SECRET].map(str::to_owned).into();
    secrets.push(ann.token.clone());
    ann.peer.request(&json!({"mode": "auth", "username": "ann", "password": WRONG})).await;
    ann.peer.send_text(&format!("{{\"mode\":\"auth\",\"password\":\"{WRONG}\"")).await;
    ann.peer.receive().await;
    ann.peer.request(&json!({"mode": ["auth"], "password": WRONG})).await;
    ann.peer.request(&json!({"mode": "getChats", "token": [ann.token]})).await;
    let user = Bearer::log_in(&gateway, "ann").await;
    for body in
        [json!({"username": "ann", "password": WRONG}), json!({"username": 1, "password": WRONG})]
    {
        gateway.json("POST", "/api/v1/login", None, &body).await;
    }
    user.form("/user", &json!({"username": "ann", "name": "Ann"}), Some(PICTURE)).await;
    let group = user.group("diary", &[]).await;
    let (mut room, _) = user.room(&format!("/group/{group}")).await;
    room.request(&message("a private conversation")).await;
    let offer = format!("bearer, {}", user.access);
    gateway
        .try_websocket("/api/v1/main", &[("sec-websocket-protocol", &offer)])
        .await
        .expect("the handshake is accepted");
    let next = Bearer::of(
        &gateway,
        &gateway
            .json("POST", "/api/v1/refresh", None, &json!({"refresh_token": user.refresh}))
            .await
            .expect(200),
    );
    gateway
        .json("POST", "/api/v1/refresh", None, &json!({"refresh_token": user.refresh}))
        .await
        .refused(401);
    secrets.extend([
        user.access,
        user.refresh,
        next.access,
        next.refresh,
        "private conversation".into(),
    ]);

    ann.request("recovery", json!({"known_data": "ann", "known_data_type": "username"})).await;
    let mail = eventually("a mail", async || {
        let file = std::fs::read_dir(gateway.data().join("mail")).ok()?.find_map(Result::ok)?;
        std::fs::read_to_string(file.path()).ok().filter(|mail| mail.contains("token="))
    })
    .await;
    let token = mail
        .split_once("token=")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .expect("the mail has a link")
        .to_owned();
    gateway.get(&format!("/recover?token={token}")).await;
    let form = format!("token={token}&password={NEXT}&repeat={NEXT}").replace(' ', "+");
    let request = gateway
        .request("POST", "/recover")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into());
    assert_eq!(gateway.send(request.expect("the request is valid")).await.status, 200);
    secrets.extend([token, NEXT.replace(' ', "+")]);

    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await, (Some(0), vec![]), "standard output has the first line only");
    let log = gateway.log();
    assert!(log.contains("\"DEBUG\""), "the level is debug:\n{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "the log has {secret:?}");
    }
}
