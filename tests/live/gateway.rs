//! The gateway itself: slow readers, rates, dead peers, stopping, its own pages, and what it tells
//! whom.

use crate::harness::{
    Bearer, Gateway, Mode, PASSWORD, PICTURE, Peer, eventually, hear_to_the_end, message,
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

/// Enters a room through a socket that the system buffers little for.
async fn slow_room(user: &Bearer<'_>, path: &str) -> Peer {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("its size can be set");
    let stream = socket.connect(user.gateway.address).await.expect("it accepts connections");
    let mut request = format!("ws://{}/api/v1{path}", user.gateway.address)
        .into_client_request()
        .expect("the path is one");
    request.headers_mut().insert(
        "authorization",
        format!("Bearer {}", user.access).parse().expect("it is a header"),
    );
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("it is let in");
    Peer { socket, subprotocol: None }
}

#[tokio::test]
async fn a_reader_who_does_not_keep_up_is_closed_while_others_go_on() {
    const SIZE: usize = 200_000;
    let gateway = Gateway::with(&[("LIMITS__SEND_QUEUE_BYTES", "512KiB")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("flood", &[]).await;
    let path = format!("/group/{group}");
    let mut slow = slow_room(&ann, &path).await;
    let (mut writer, _) = ann.room(&path).await;
    let (mut reader, _) = ann.room(&path).await;

    let mut sent = 0;
    while gateway.metric("tolmach_connections_closed_total", "reason=\"slow_reader\"").await == 0.0 {
        assert!(sent < 500, "it holds {} bytes for a slow reader", sent * SIZE);
        let text = format!("{sent} {}", "x".repeat(SIZE));
        let echo = writer.ask(&message(&text)).await;
        assert_eq!(echo["text"], text, "who reads hears everything");
        assert_eq!(reader.hear().await["text"], text, "who reads hears everything");
        sent += 1;
    }
    let (frames, code) = slow.end().await;
    assert_eq!(code, Some(1013));
    let heard: Vec<_> = frames
        .iter()
        .skip(1)
        .map(|frame| {
            frame["text"].as_str().and_then(|text| text.split_once(' ')).expect("it is ours").0
        })
        .collect();
    let expected: Vec<_> = (0..heard.len()).map(|number| number.to_string()).collect();
    assert_eq!(heard, expected, "what it heard before has no gaps");
    assert!(heard.len() < sent, "it missed some");
    let (_, history) = ann.room(&format!("{path}?limit=1000")).await;
    assert_eq!(history.len(), sent, "what it missed is in the history");
}

#[tokio::test]
async fn a_reader_who_pauses_hears_everything_whole_and_in_order_when_it_reads_again() {
    const SIZE: usize = 200_000;
    const COUNT: usize = 60;
    let gateway = Gateway::with(&[("LIMITS__SEND_QUEUE_BYTES", "64MiB"), ("KEEPALIVE__PONG_TIMEOUT", "60s")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("flood", &[]).await;
    let path = format!("/group/{group}");
    let mut pausing = slow_room(&ann, &path).await;
    assert_eq!(pausing.hear().await["type"], "history", "it is let in");
    let (mut writer, _) = ann.room(&path).await;
    // More than any socket takes: the first are written as they are told, one is cut, and the
    // others wait for the rest of it.
    let texts: Vec<String> =
        (0..COUNT).map(|number| format!("{number} {}", "x".repeat(SIZE))).collect();
    for text in &texts {
        assert_eq!(writer.ask(&message(text)).await["text"], *text);
    }
    for text in &texts {
        assert_eq!(pausing.hear().await["text"], *text);
    }
    for text in ["again", "and again"] {
        writer.ask(&message(text)).await;
        assert_eq!(pausing.hear().await["text"], text, "it is told as before");
    }
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_not_waited_for() {
    const GROWTH: usize = 64 << 20;
    let gateway = Gateway::with(&[("KEEPALIVE__PONG_TIMEOUT", "1s")]).await;
    let ann = Mode::register(&gateway, "ann").await;
    let group = Bearer::log_in(&gateway, "ann").await.group("archive", &[]).await;
    let mut other = Mode::log_in(&gateway, "ann").await;
    for _ in 0..20 {
        other.send(group, &"x".repeat(50_000)).await;
    }
    let before = gateway.memory();
    let ask = json!({"mode": "getMessages", "token": ann.token, "chat_id": group}).to_string();
    let mut greedy = gateway.websocket("/mode").await;
    // Each answer is a million bytes: the gateway holds one of them, and reads no further.
    let asking = async {
        while greedy.socket.get_mut().write_all(&frame(0x81, ask.as_bytes())).await.is_ok() {}
    };
    crate::harness::within("the end of asking", asking).await;
    let after = gateway.memory();
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
    assert_eq!(gateway.metric("tolmach_connections_closed_total", "reason=\"slow_reader\"").await, 1.0);
    assert_eq!(other.history(group).await.len(), 20, "others are served");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_response_is_not_waited_for() {
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
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(4096).expect("its size can be set");
        let mut peer = socket.connect(gateway.address).await.expect("it accepts connections");
        peer.write_all(request.as_bytes()).await.expect("the connection is open");
        let first = crate::harness::within("the begin of a response", peer.read_u8())
            .await
            .expect("the connection is open");
        assert_eq!(first, b'H');
        peers.push(peer);
    }
    eventually("the end of all who do not read", async || {
        (gateway.open_sockets() <= before).then_some(())
    })
    .await;
    for mut peer in peers {
        assert!(hear_to_the_end(&mut peer).await.len() < picture.len(), "it was not sent whole");
    }
    assert_eq!(
        ann.get(path.trim_start_matches("/api/v1")).await.body.len(),
        picture.len(),
        "who reads has all of it"
    );
}

#[tokio::test]
async fn a_peer_that_takes_no_response_over_http2_holds_a_bounded_number_of_bytes() {
    const REQUESTS: usize = 100;
    const SIZE: usize = 5 << 20;
    // What src/http.rs allows: responses that are whole for 16 MiB, and 16 more that wait for room.
    const CARRIED_OUT: f64 = 3.0 + 16.0;
    const GROWTH: usize = 200 << 20;
    let gateway = Gateway::start().await;
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
        crate::harness::within("HTTP/2", handshake).await.expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    let mut asked = FuturesUnordered::new();
    for _ in 0..REQUESTS {
        let request = Request::get(&url)
            .header("authorization", format!("Bearer {}", ann.access))
            .body(Full::<Bytes>::default());
        let (mut sender, request) = (sender.clone(), request.expect("it is a request"));
        asked.push(async move {
            sender.ready().await?;
            sender.send_request(request).await
        });
    }
    let carried_out =
        async || gateway.metric("tolmach_requests_total", "operation=\"get_photo\"").await;
    let mut begun = Vec::new();
    let settled = eventually("all that is carried out", async || {
        (carried_out().await >= CARRIED_OUT).then_some(())
    });
    tokio::pin!(settled);
    loop {
        tokio::select! {
            () = settled.as_mut() => break,
            Some(response) = asked.next() => begun.push(response.expect("it is answered")),
        }
    }
    // Many round trips later it is no more.
    for _ in 0..50 {
        ann.get("/user").await.expect(200);
    }
    assert_eq!(carried_out().await, CARRIED_OUT);
    assert!(
        gateway.memory() < before + GROWTH,
        "{before} bytes before, {} after",
        gateway.memory()
    );
    // Whoever goes on reading is sent all of it, and the next are carried out.
    let response = begun.pop().expect("some have begun");
    assert_eq!(response.status(), 200);
    let (body, _) = tokio::join!(response.into_body().collect(), asked.next());
    assert_eq!(body.expect("it is sent whole").to_bytes().len(), SIZE);
    eventually("the next", async || (carried_out().await > CARRIED_OUT).then_some(())).await;
}

#[tokio::test]
async fn whoever_sends_too_fast_is_read_more_slowly_and_loses_nothing() {
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
        fast.say(&json!({"mode": format!("probe {number}")})).await;
    }
    assert_eq!(other.ask(&json!({"mode": "probe"})).await["status"], 501);
    for number in 0..FRAMES {
        assert_eq!(fast.hear().await["mode"], format!("probe {number}"));
    }
    // The least that the rate allows; how long it took beyond that says nothing.
    let least = Duration::from_secs(1) * (FRAMES - BURST - 1) / RATE;
    assert!(started.elapsed() >= least, "it was not held back: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_noticed() {
    let gateway =
        Gateway::with(&[("KEEPALIVE__PING_INTERVAL", "200ms"), ("KEEPALIVE__PONG_TIMEOUT", "1s")]).await;
    let mut living = gateway.websocket("/mode").await;
    let mut dead = gateway.connect().await;
    let handshake = "GET /mode HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    dead.write_all(&[handshake.as_bytes(), &frame(0x81, br#"{"mode":"probe"}"#)].concat())
        .await
        .expect("the connection is open");
    let heard = tokio::select! {
        heard = hear_to_the_end(&mut dead) => heard,
        // Reading answers its pings.
        frame = living.next() => panic!("{frame:?} came"),
    };
    assert!(heard.ends_with(&[0x89, 0]), "it was pinged last: {}", String::from_utf8_lossy(&heard));
    assert_eq!(living.ask(&json!({"mode": "probe"})).await["status"], 501, "who answers stays");
}

/// A registration that takes as long as its password takes to hash.
fn slow_registration(name: &str) -> Value {
    json!({"mode": "register", "timestamp": 1, "username": name, "password": PASSWORD, "email": null})
}

async fn asked(gateway: &Gateway, count: f64) {
    eventually("the asks", async || {
        let heard = gateway.metric("tolmach_frames_total", "direction=\"in\"").await;
        (heard >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_closes_everybody() {
    let mut gateway = Gateway::with(&[("AUTH__BCRYPT_COST", "13")]).await;
    let mut busy = gateway.websocket("/mode").await;
    let mut idle = gateway.websocket("/mode").await;
    let mut undecided = gateway.websocket("/").await;
    idle.ask(&json!({"mode": "probe"})).await;
    busy.say(&slow_registration("ann")).await;
    let body = json!({"email": "bob@example.org", "password": PASSWORD});
    let request = gateway
        .request("POST", "/api/v1/register")
        .header("content-type", "application/json")
        .body(body.to_string().into());
    let exchange = gateway.send(request.expect("it is a request"));
    let (response, ()) = tokio::join!(exchange, async {
        asked(&gateway, 3.0).await;
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
    for (name, peer) in [("an idle one", &mut idle), ("one without a dialect", &mut undecided)] {
        assert_eq!(peer.end().await, (vec![], Some(1001)), "{name}");
    }
    assert_eq!(
        gateway.ended().await,
        (Some(0), vec![]),
        "nothing but the first line is on standard output"
    );
    gateway.restart().await;
    Mode::log_in(&gateway, "ann").await;
}

#[tokio::test]
async fn a_stop_accepts_nobody_and_a_second_one_waits_for_nothing() {
    let mut gateway =
        Gateway::with(&[("AUTH__BCRYPT_COST", "17"), ("SHUTDOWN__GRACE_PERIOD", "10m")]).await;
    let mut busy = gateway.websocket("/mode").await;
    busy.say(&slow_registration("ann")).await;
    asked(&gateway, 1.0).await;
    gateway.signal("TERM").await;
    eventually("the end of accepting", async || {
        tokio::net::TcpStream::connect(gateway.address).await.err()
    })
    .await;
    gateway.signal("TERM").await;
    let (code, lines) = gateway.ended().await;
    assert_eq!((code, lines), (Some(1), vec![]));
    assert_eq!(busy.end().await.0, [Value::Null; 0], "it did not wait for the answer");
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_grace() {
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
async fn its_own_pages_tell_how_it_is() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    ann.peer.ask(&json!({"mode": "fly"})).await;
    ann.ask("getMessages", json!({"chat_id": 1})).await;
    for (method, path, status, says) in [
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ready\n"),
        ("HEAD", "/healthz", 200, ""),
        ("HEAD", "/metrics", 200, ""),
        ("GET", "/healthz?query", 200, "ok\n"),
    ] {
        let response = gateway
            .send(gateway.request(method, path).body(Default::default()).expect("it is a request"))
            .await;
        assert_eq!(
            (response.status.as_u16(), &*response.text()),
            (status, says),
            "{method} {path}"
        );
    }
    for path in ["/healthz", "/metrics", "/openapi.json"] {
        let response = gateway.json("POST", path, None, &json!({})).await;
        assert_eq!(
            (response.status.as_u16(), response.header("allow").as_deref()),
            (405, Some("GET, HEAD")),
            "{path}"
        );
    }
    let page = gateway.get("/metrics").await;
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
        let page = gateway.get("/metrics").await.text();
        let series = page
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        let found = series.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        assert_eq!(found, Some(value), "{name} {labels:?} in\n{page}");
    }
    for name in ["tolmach_bytes_total", "tolmach_event_renders_total", "tolmach_handshakes_rejected_total"] {
        assert!(gateway.get("/metrics").await.text().contains(name), "{name}");
    }
}

#[tokio::test]
async fn logs_are_json_and_hold_no_secret() {
    const WRONG: &str = "a password that is not right";
    const NEXT: &str = "a password that comes next";
    const SECRET: &str = "a secret that signs the access tokens";
    let mut gateway =
        Gateway::with(&[("LOG__FILTER", "debug"), ("AUTH__JWT_SECRET", SECRET)]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let mut secrets: Vec<String> = [PASSWORD, WRONG, NEXT, SECRET].map(str::to_owned).into();
    secrets.push(ann.token.clone());
    ann.peer.ask(&json!({"mode": "auth", "username": "ann", "password": WRONG})).await;
    ann.peer.say_text(&format!("{{\"mode\":\"auth\",\"password\":\"{WRONG}\"")).await;
    ann.peer.hear().await;
    ann.peer.ask(&json!({"mode": ["auth"], "password": WRONG})).await;
    ann.peer.ask(&json!({"mode": "getChats", "token": [ann.token]})).await;
    let user = Bearer::log_in(&gateway, "ann").await;
    for body in
        [json!({"username": "ann", "password": WRONG}), json!({"username": 1, "password": WRONG})]
    {
        gateway.json("POST", "/api/v1/login", None, &body).await;
    }
    user.form("/user", &json!({"username": "ann", "name": "Ann"}), Some(PICTURE)).await;
    let group = user.group("diary", &[]).await;
    let (mut room, _) = user.room(&format!("/group/{group}")).await;
    room.ask(&message("what we say is nobody's business")).await;
    let offer = format!("bearer, {}", user.access);
    gateway
        .try_websocket("/api/v1/main", &[("sec-websocket-protocol", &offer)])
        .await
        .expect("it is let in");
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
        "nobody's business".into(),
    ]);

    ann.ask("recovery", json!({"known_data": "ann", "known_data_type": "username"})).await;
    let mail = eventually("a mail", async || {
        let file = std::fs::read_dir(gateway.data().join("mail")).ok()?.find_map(Result::ok)?;
        std::fs::read_to_string(file.path()).ok().filter(|mail| mail.contains("token="))
    })
    .await;
    let token = mail
        .split_once("token=")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .expect("it has a link")
        .to_owned();
    gateway.get(&format!("/recover?token={token}")).await;
    let form = format!("token={token}&password={NEXT}&repeat={NEXT}").replace(' ', "+");
    let request = gateway
        .request("POST", "/recover")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into());
    assert_eq!(gateway.send(request.expect("it is a request")).await.status, 200);
    secrets.extend([token, NEXT.replace(' ', "+")]);

    gateway.signal("TERM").await;
    assert_eq!(
        gateway.ended().await,
        (Some(0), vec![]),
        "nothing but the first line is on standard output"
    );
    let log = gateway.log();
    assert!(log.contains("\"DEBUG\""), "it was asked to tell much:\n{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret:?} is in the log");
    }
}
