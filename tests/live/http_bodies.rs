//! Bodies of HTTP requests: the head of a request decides if its body is read, and what is read is
//! bounded for a connection, an address and the whole gateway.

use crate::harness::{Bearer, Gateway, PASSWORD, PICTURE, eventually, read_to_end, within};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The length of the bodies that are announced and not sent, in bytes.
const ANNOUNCED: usize = 5 << 20;

/// Sends the head of a request and nothing else, and gives the whole response.
async fn response_to_head(gateway: &Gateway, head: &str) -> String {
    response_on(&mut gateway.connect().await, head).await
}

/// The same on an open connection.
async fn response_on(stream: &mut TcpStream, head: &str) -> String {
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    let mut received = Vec::new();
    let read = async {
        // Every response here is JSON or has a length; the body of the request would come next.
        while !received.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut received).await.expect("it is readable"), 0);
        }
    };
    within("a response", read).await;
    String::from_utf8(received).expect("the response is text")
}

#[tokio::test]
async fn a_body_is_refused_before_a_byte_of_it_is_sent() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let valid = format!("Authorization: Bearer {}\r\n", ann.access);
    let (json, text) = ("Content-Type: application/json\r\n", "Content-Type: text/plain\r\n");
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\n";
    let invalid = "Authorization: Bearer a.b.c\r\n";
    for (name, method, path, headers, status) in [
        ("an unknown path", "POST", "/nowhere", &[json][..], 404),
        ("an unknown path of a dialect", "POST", "/api/v1/nowhere", &[&*valid, json], 404),
        ("a wrong method", "PUT", "/api/v1/login", &[json], 405),
        ("a page that is only read", "POST", "/healthz", &[json], 405),
        ("a path of WebSockets", "POST", "/mode", &[json], 426),
        ("a form without a token", "POST", "/api/v1/user", &[multipart], 401),
        ("JSON without a token", "POST", "/api/v1/group/1/add", &[json], 401),
        ("a form with an invalid token", "POST", "/api/v1/group", &[invalid, multipart], 401),
        ("JSON with an invalid token", "DELETE", "/api/v1/group/1/delete", &[invalid, json], 401),
        ("a login as text", "POST", "/api/v1/login", &[text], 415),
        ("a form as JSON", "POST", "/api/v1/user", &[&*valid, json], 415),
        ("JSON that is too large", "POST", "/api/v1/login", &[json], 413),
        ("a body that no route reads", "GET", "/api/v1/chats", &[&*valid], 200),
    ] {
        for expects in ["", "Expect: 100-continue\r\n"] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {ANNOUNCED}\r\n{}{expects}\
                 \r\n",
                headers.concat()
            );
            let response = response_to_head(&gateway, &head).await;
            let expected = format!("HTTP/1.1 {status} ");
            assert!(response.starts_with(&expected), "{name}, {expects}: {response}");
            assert!(response.contains("\r\nconnection: close\r\n"), "{name}: {response}");
        }
    }
    let head = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: x\r\n{json}Content-Length: 2\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    let mut stream = gateway.connect().await;
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    let mut received = [0; 25];
    within("leave to send", stream.read_exact(&mut received)).await.expect("it is given");
    assert_eq!(&received, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_small_body_that_was_not_read() {
    let gateway = Gateway::start().await;
    let refused = "POST /api/v1/user HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let received = gateway.raw([refused, refused, last].concat().as_bytes()).await;
    let received = String::from_utf8(received).expect("the responses are text");
    assert_eq!(received.matches("HTTP/1.1 401 ").count(), 2, "{received}");
    assert!(received.ends_with("ok\n"), "{received}");
}

#[tokio::test]
async fn a_json_body_has_64_kib_and_a_form_takes_a_photo_of_5_mib() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let login = json!({"username": "ann", "password": PASSWORD}).to_string();
    for (bytes, status) in [(64 << 10, "200"), ((64 << 10) + 1, "413")] {
        let body = login.clone() + &" ".repeat(bytes - login.len());
        let head = "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                    Connection: close\r\n";
        for (name, request) in [
            ("announced", format!("{head}Content-Length: {bytes}\r\n\r\n{body}")),
            (
                "in chunks",
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
        ] {
            let received = gateway.raw(request.as_bytes()).await;
            let received = String::from_utf8_lossy(&received);
            let expected = format!("HTTP/1.1 {status} ");
            assert!(received.starts_with(&expected), "{bytes} bytes {name}: {received}");
        }
    }
    for (bytes, status) in [(5 << 20, 200), ((5 << 20) + 1, 413)] {
        let mut photo = PICTURE.to_vec();
        photo.resize(bytes, 0);
        let response = ann.form("/group", &json!({"name": "gallery"}), Some(&photo)).await;
        assert_eq!(response.status.as_u16(), status, "a photo of {bytes} bytes");
    }
}

/// Sends the head of a request that is refused, and reads the response. The body has this length.
async fn begin_refused(stream: &mut TcpStream, length: usize) {
    let head = format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let received = response_on(stream, &head).await;
    assert!(received.starts_with("HTTP/1.1 404 "), "{received}");
}

#[tokio::test]
async fn a_large_refused_body_is_received_beside_small_ones_and_those_of_another_address() {
    /// The turns at receiving large bodies.
    const TURNS: usize = 32;
    const SMALL: usize = 64 << 10;
    /// More than the sockets hold.
    const LARGE: usize = 16 << 20;
    let [one, other] = [[127, 0, 0, 1], [127, 0, 0, 2]];
    for (name, length, address) in
        [("small bodies", SMALL, one), ("large bodies of another address", SMALL + 1, other)]
    {
        let gateway = Gateway::start().await;
        let mut unfinished = Vec::new();
        for _ in 0..=TURNS {
            let mut stream = gateway.connect_from(one).await;
            begin_refused(&mut stream, length).await;
            unfinished.push(stream);
        }
        let mut stream = gateway.connect_from(address).await;
        begin_refused(&mut stream, LARGE).await;
        let sent = within("the body", stream.write_all(&vec![b'x'; LARGE])).await;
        sent.unwrap_or_else(|error| panic!("beside {name}: {error}"));
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A body that begins with these bytes and does not end.
fn unfinished(bytes: Bytes) -> Body {
    let first = stream::iter([Ok(Frame::data(bytes))]);
    StreamBody::new(first.chain(stream::pending()).boxed())
}

/// An HTTP/2 connection whose requests have bodies that do not end.
async fn http2(gateway: &Gateway) -> SendRequest<Body> {
    let io = TokioIo::new(gateway.connect().await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (sender, connection) = within("HTTP/2", handshake).await.expect("HTTP/2 is served");
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn bodies_over_http2_without_a_token_take_no_memory() {
    const STREAMS: usize = 250;
    const ROUNDS: usize = 8;
    const GROWTH: usize = 48 << 20;
    let gateway = Gateway::start().await;
    let body = Bytes::from(vec![b' '; ANNOUNCED]);
    let before = gateway.memory();
    for path in ["/nowhere", "/api/v1/user"] {
        let sender = http2(&gateway).await;
        for _ in 0..ROUNDS {
            let mut responses = JoinSet::new();
            for _ in 0..STREAMS {
                let request = Request::post(format!("http://{}{path}", gateway.address))
                    .header(CONTENT_TYPE, "multipart/form-data; boundary=x")
                    .body(unfinished(body.clone()))
                    .expect("the request is valid");
                responses.spawn(sender.clone().send_request(request));
            }
            while let Some(response) = within("a response", responses.join_next()).await {
                let response = response.expect("no task panics").expect("it is answered");
                let expected = if path == "/nowhere" { 404 } else { 401 };
                assert_eq!(response.status().as_u16(), expected, "{path}");
            }
        }
    }
    let after = gateway.memory();
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
}

#[tokio::test]
async fn bodies_that_do_not_end_stay_within_the_budget_and_others_are_served() {
    const STREAMS: usize = 12;
    const BUDGET: usize = 1200 << 10;
    // A buffer of 256 KiB, of which four fit beside the requests.
    const SENT: usize = 200 << 10;
    let gateway = Gateway::with(&[("LIMITS__MEMORY_BYTES_PER_CONNECTION", "1200KiB")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let sender = http2(&gateway).await;
    let mut responses = JoinSet::new();
    for _ in 0..STREAMS {
        let request = Request::post(format!("http://{}/api/v1/group", gateway.address))
            .header(AUTHORIZATION, format!("Bearer {}", ann.access))
            .header(CONTENT_TYPE, "multipart/form-data; boundary=x")
            .body(unfinished(vec![b'x'; SENT].into()))
            .expect("the request is valid");
        responses.spawn(sender.clone().send_request(request));
    }
    for _ in 0..STREAMS - 4 {
        let response = within("a response", responses.join_next()).await;
        let response = response.expect("it is one of them").expect("no task panics");
        let response = response.expect("it is answered");
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "5");
    }
    assert!(gateway.metric("tolmach_held_bytes", "").await <= BUDGET as f64);
    let refused = gateway.metric("tolmach_bodies_rejected_total", "over_budget").await;
    assert!(refused >= (STREAMS - 4) as f64, "{refused}");
    let photo = [PICTURE, &[0; SENT]].concat();
    ann.form("/group", &json!({"name": "gallery"}), Some(&photo)).await.expect(200);
    drop((sender, responses));
    eventually("the end of the reservations", async || {
        (gateway.metric("tolmach_held_bytes", "").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn heads_over_http2_stay_within_the_budget_while_their_bodies_are_awaited() {
    const STREAMS: usize = 100;
    const HEADER: usize = 15 << 10;
    const BUDGET: usize = 1 << 20;
    let gateway = Gateway::with(&[("LIMITS__MEMORY_BYTES_PER_CONNECTION", "1MiB")]).await;
    let sender = http2(&gateway).await;
    let mut responses = JoinSet::new();
    for _ in 0..STREAMS {
        let request = Request::post(format!("http://{}/api/v1/login", gateway.address))
            .header(CONTENT_TYPE, "application/json")
            .header("x-large", "x".repeat(HEADER))
            .body(unfinished(Bytes::from_static(b"{")))
            .expect("the request is valid");
        responses.spawn(sender.clone().send_request(request));
    }
    for _ in 0..STREAMS - BUDGET / HEADER {
        let response = within("a response", responses.join_next()).await;
        let response = response.expect("it is one of them").expect("no task panics");
        let response = response.expect("it is answered");
        // There is no memory for the head, or none for the body after it.
        let status = response.status();
        let refused = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        assert!(refused.contains(&status), "{status}");
        assert_eq!(response.headers()["retry-after"], "5");
    }
    let held = gateway.metric("tolmach_held_bytes", "").await;
    assert!((1.0..=BUDGET as f64).contains(&held), "{held}");
    let ann = Bearer::register(&gateway, "ann").await;
    ann.group("others are served", &[]).await;
    drop((sender, responses));
    eventually("the end of the reservations", async || {
        (gateway.metric("tolmach_held_bytes", "").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_of_an_address_wait_for_its_rate_however_many_come_at_once() {
    const BURST: u32 = 16;
    const MORE: u32 = 10;
    const PER_SECOND: u32 = 5;
    let gateway = Gateway::with(&[
        ("LIMITS__FRAMES_PER_SECOND_PER_ADDRESS", &PER_SECOND.to_string()),
        ("LIMITS__FRAME_BURST_PER_ADDRESS", &BURST.to_string()),
    ])
    .await;
    let sender = http2(&gateway).await;
    let began = Instant::now();
    let mut responses = JoinSet::new();
    for _ in 0..BURST + MORE {
        let request = Request::get(format!("http://{}/healthz", gateway.address));
        let request = request.body(unfinished(Bytes::new())).expect("the request is valid");
        responses.spawn(sender.clone().send_request(request));
    }
    while let Some(response) = within("a response", responses.join_next()).await {
        let response = response.expect("no task panics").expect("it is answered");
        assert_eq!(response.status(), StatusCode::OK);
    }
    // No request is carried out before its time, however slow the machine is.
    let (took, least) = (began.elapsed(), Duration::from_secs(1) * (MORE - 1) / PER_SECOND);
    assert!(took >= least, "{took:?}");
}

#[tokio::test]
async fn past_the_budget_of_all_the_costliest_connection_ends() {
    let gateway = Gateway::with(&[
        ("LIMITS__MEMORY_BYTES", "1MiB"),
        ("LIMITS__MEMORY_BYTES_PER_ADDRESS", "1MiB"),
        ("LIMITS__MEMORY_BYTES_PER_CONNECTION", "1MiB"),
    ])
    .await;
    let ann = Bearer::register(&gateway, "ann").await;
    let head = format!(
        "POST /api/v1/group HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {ANNOUNCED}\r\n\r\n",
        ann.access
    );
    let mut costly = gateway.connect().await;
    costly.write_all(head.as_bytes()).await.expect("the connection is open");
    costly.write_all(&[b'x'; 600 << 10]).await.expect("the connection is open");
    eventually("the reservation", async || {
        (gateway.metric("tolmach_held_bytes", "").await > f64::from(600 << 10)).then_some(())
    })
    .await;
    let photo = [PICTURE, &[0; 300 << 10]].concat();
    ann.form("/group", &json!({"name": "gallery"}), Some(&photo)).await.expect(200);
    assert_eq!(read_to_end(&mut costly).await, b"", "the connection ends without a response");
    assert!(gateway.metric("tolmach_over_budget_total", "").await > 0.0);
}

#[tokio::test]
async fn a_request_of_http_1_1_names_one_host() {
    let gateway = Gateway::start().await;
    let host = "Host: x\r\n";
    for (name, version, hosts, status) in [
        ("one", "1.1", host.to_owned(), "200"),
        ("none", "1.1", String::new(), "400"),
        ("two", "1.1", host.repeat(2), "400"),
        ("none in HTTP/1.0", "1.0", String::new(), "200"),
        ("two in HTTP/1.0", "1.0", host.repeat(2), "400"),
    ] {
        let request = format!("GET /healthz HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        let received = gateway.raw(request.as_bytes()).await;
        let received = String::from_utf8_lossy(&received);
        let expected = format!("HTTP/{version} {status} ");
        assert!(received.starts_with(&expected), "{name}: {received}");
    }
    let handshake = "GET /mode HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let received = gateway.raw(format!("{handshake}\r\n").as_bytes()).await;
    assert!(received.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&received));
}

#[tokio::test]
async fn a_loopback_origin_is_allowed_on_the_machine_of_the_gateway_only() {
    for (name, options, forwarded, is_accepted) in [
        ("on the loopback", &[][..], None, true),
        ("on every address", &[("HTTP__LISTEN", "0.0.0.0:0")][..], None, false),
        (
            "of a client behind a proxy",
            &[("HTTP__TRUSTED_PROXIES", "127.0.0.1/32")],
            Some("203.0.113.7"),
            false,
        ),
    ] {
        let gateway = Gateway::with(options).await;
        let ann = Bearer::register(&gateway, "ann").await;
        let authorization = format!("Bearer {}", ann.access);
        let mut headers = vec![("authorization", &*authorization)];
        headers.extend(forwarded.map(|address| ("x-forwarded-for", address)));
        let own = format!("http://{}", gateway.address);
        for (origin, is_accepted) in [("http://localhost:5173", is_accepted), (&*own, true)] {
            let headers = [&headers[..], &[("origin", origin)]].concat();
            let opened = gateway.try_websocket("/ws/chat/", &headers).await;
            let status = opened.map(|_| ()).map_err(|response| response.status.as_u16());
            let expected = if is_accepted { Ok(()) } else { Err(403) };
            assert_eq!(status, expected, "{origin} {name}");
        }
    }
}
