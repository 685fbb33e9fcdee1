//! Hostile peers: whatever a peer sends is answered with an error at most. It never ends the
//! process or another connection, and never takes unbounded memory.

use crate::harness::{Bearer, Gateway, Mode, Peer, eventually, message, read_to_end, within};
use serde_json::json;
use tokio::io::AsyncWriteExt;

/// A WebSocket frame on the wire, with this first byte, masked with zeroes. RFC 6455 section 5.2.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const FRAME_LIMIT: usize = 1 << 20;

/// Bytes on an open WebSocket, the number of frames that answer them, and the close code if the
/// gateway closes the connection.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    answers: usize,
    close: Option<u16>,
}

/// The attacks on every dialect.
fn attacks() -> Vec<Attack> {
    let text = |payload: &[u8]| frame(TEXT, payload);
    let attack = |name, bytes, answers, close| Attack { name, bytes, answers, close };
    let deep = |open: &str, depth: usize, close: &str| {
        text(format!("{}{}", open.repeat(depth), close.repeat(depth)).as_bytes())
    };
    let mut at_limit = vec![b' '; FRAME_LIMIT - 2];
    at_limit.extend_from_slice(b"{}");
    vec![
        attack("broken JSON", text(b"{\"mode\": \"auth\""), 1, None),
        attack("an empty text", text(b""), 1, None),
        attack("NUL", text(b"\0"), 1, None),
        attack("a number", text(b"1e999"), 1, None),
        attack("null", text(b"null"), 1, None),
        attack(
            "wrong types",
            text(br#"{"mode":[1],"type":{"a":null},"text":7,"token":[]}"#),
            1,
            None,
        ),
        attack("a lone surrogate", text(br#"{"mode":"\ud800","type":"\ud800"}"#), 1, None),
        attack("deep lists", deep("[", 100_000, "]"), 1, None),
        attack("deep objects", deep("{\"a\":", 100_000, "}"), 1, None),
        attack("deep lists without end", deep("[", 500_000, ""), 1, None),
        attack(
            "deep in an unknown field",
            text(
                format!(
                    "{{\"mode\":\"x\",\"type\":\"x\",\"y\":{}{}}}",
                    "[".repeat(9999),
                    "]".repeat(9999)
                )
                .as_bytes(),
            ),
            1,
            None,
        ),
        attack("binary where text is meant", frame(BINARY, b"{\"mode\":\"auth\"}"), 1, None),
        attack("random binary", frame(BINARY, &[0xFF; 1000]), 1, None),
        attack("a frame at the limit", text(&at_limit), 1, None),
        attack("a frame over the limit", text(&[b' '; FRAME_LIMIT + 1]), 0, Some(1009)),
        attack("a frame far over the limit", text(&[b' '; 8 << 20]), 0, Some(1009)),
        attack(
            "fragments over the limit",
            [frame(0x01, &[b' '; FRAME_LIMIT]), frame(0x00, b"  ")].concat(),
            0,
            Some(1009),
        ),
        attack(
            "an announced length above all limits",
            [&[TEXT, 0xFF, 0x3F][..], &[0xFF; 7], &[0; 4]].concat(),
            0,
            Some(1009),
        ),
        attack("text that is not UTF-8", text(b"{\"mode\":\"\xFF\"}"), 0, Some(1007)),
        attack("an overlong encoding", text(b"\xC0\xAF"), 0, Some(1007)),
        attack(
            "nine frames that are not JSON, and one that is",
            [text(b"?").repeat(9), text(b"{}"), text(b"?").repeat(9)].concat(),
            19,
            None,
        ),
        attack("ten frames that are not JSON", text(b"?").repeat(10), 10, Some(1008)),
        attack("a frame that is not masked", vec![TEXT, 2, b'{', b'}'], 0, Some(1002)),
        attack("a reserved bit", frame(TEXT | 0x40, b"{}"), 0, Some(1002)),
        attack("an unknown opcode", frame(0x83, b"{}"), 0, Some(1002)),
        attack("a continuation of nothing", frame(0x80, b"{}"), 0, Some(1002)),
        attack(
            "a message inside another",
            [frame(0x01, b"{"), frame(TEXT, b"{}")].concat(),
            0,
            Some(1002),
        ),
        attack("a ping that is too long", frame(0x89, &[0; 126]), 0, Some(1002)),
        attack("a ping in fragments", frame(0x09, b""), 0, Some(1002)),
        attack("a thousand pings", frame(0x89, b"ping").repeat(1000), 0, None),
        attack(
            "a thousand empty fragments",
            [frame(0x01, b""), frame(0x00, b"").repeat(1000), frame(0x80, b"{}")].concat(),
            1,
            None,
        ),
    ]
}

impl Attack {
    /// Sends the bytes, and checks the answers. If the connection stays open, `probe` is answered
    /// with one more frame.
    async fn on(&self, peer: &mut Peer, probe: &[u8]) {
        // The gateway may close before it has read everything.
        let _ = within(self.name, peer.socket.get_mut().write_all(&self.bytes)).await;
        for _ in 0..self.answers {
            peer.receive().await;
        }
        match self.close {
            Some(code) => assert_eq!(peer.end().await, (vec![], Some(code)), "{}", self.name),
            None => {
                peer.socket.get_mut().write_all(probe).await.expect("the connection is open");
                let reply = peer.receive().await;
                assert!(reply.to_string().contains("probe"), "{}: {reply}", self.name);
            }
        }
    }
}

/// Two other connections, which show that the gateway still serves other clients.
struct Bystanders<'a> {
    gateway: &'a Gateway,
    mode: Mode,
    room: Peer,
    group: i64,
    user: Bearer<'a>,
}

impl<'a> Bystanders<'a> {
    async fn new(gateway: &'a Gateway) -> Self {
        let mode = Mode::register(gateway, "ann").await;
        let user = Bearer::log_in(gateway, "ann").await;
        let group = user.group("diary", &[]).await;
        let room = user.room(&format!("/group/{group}")).await.0;
        Self { gateway, mode, room, group, user }
    }

    async fn open(&self, dialect: &str) -> Peer {
        match dialect {
            "mode" => Mode::log_in(self.gateway, "ann").await.peer,
            _ => self.user.room(&format!("/group/{}?limit=1", self.group)).await.0,
        }
    }

    async fn are_served(&mut self, after: &str) {
        self.mode.send(self.group, after).await;
        assert_eq!(self.room.receive().await["text"], after, "after {after}");
        assert_eq!(self.gateway.get("/healthz").await.status, 200, "after {after}");
    }
}

/// A frame whose answer contains `probe`.
fn probe(dialect: &str) -> Vec<u8> {
    match dialect {
        "mode" => frame(TEXT, br#"{"mode":"probe"}"#),
        _ => frame(TEXT, message("probe").to_string().as_bytes()),
    }
}

#[tokio::test]
async fn attacks_on_a_websocket_are_answered_and_others_are_served() {
    let gateway = Gateway::start().await;
    let mut bystanders = Bystanders::new(&gateway).await;
    for dialect in ["mode", "bearer"] {
        for attack in attacks() {
            let mut peer = bystanders.open(dialect).await;
            // A message in the room reaches the bystanders too.
            attack.on(&mut peer, &probe(dialect)).await;
            drop(peer);
            if dialect == "bearer" && attack.close.is_none() {
                assert_eq!(bystanders.room.receive().await["text"], "probe", "{}", attack.name);
                assert_eq!(bystanders.mode.pushed().await, "probe", "{}", attack.name);
            }
            bystanders.are_served(attack.name).await;
        }
    }
}

#[tokio::test]
async fn memory_stays_bounded_under_a_thousand_rounds_of_attacks() {
    const ROUNDS: usize = 1000;
    const GROWTH: usize = 64 << 20;
    let gateway = Gateway::start().await;
    let attacks = attacks();
    Mode::register(&gateway, "ann").await;
    let round = async |number: usize| {
        let mut peer = Mode::log_in(&gateway, "ann").await.peer;
        attacks[number % attacks.len()].on(&mut peer, &probe("mode")).await;
    };
    // Each attack once first, for memory that is allocated once.
    for number in 0..attacks.len() {
        round(number).await;
    }
    let before = gateway.memory();
    for number in 0..ROUNDS {
        round(number).await;
    }
    let after = gateway.memory();
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
}

const HANDSHAKE: &str = "GET /mode HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

#[tokio::test]
async fn garbage_on_the_port_is_refused_and_others_are_served() {
    let gateway =
        Gateway::with(&[("HTTP__HEADER_TIMEOUT", "1s"), ("HTTP__BODY_TIMEOUT", "1s")]).await;
    let mut bystanders = Bystanders::new(&gateway).await;
    let many = (0..2000).map(|number| format!("x-{number}: x\r\n")).collect::<String>();
    let login = |head: &str, body: &str| {
        format!(
            "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             {head}\r\n{body}"
        )
    };
    let bytes = |text: &str| text.as_bytes().to_vec();
    for (name, bytes, expected) in [
        ("silence", vec![], &[""][..]),
        ("half a preface of HTTP/2", bytes("PRI * HT"), &[""]),
        ("zeroes", vec![0; 4096], &["HTTP/1.1 400 ", ""]),
        (
            "a TLS greeting",
            bytes("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03"),
            &["HTTP/1.1 400 ", ""],
        ),
        ("text", bytes("hello there\r\n\r\n"), &["HTTP/1.1 400 ", ""]),
        (
            "a preface of HTTP/2 and garbage",
            bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage and more garbage"),
            &["\0\0"],
        ),
        (
            "an endless line",
            bytes(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000))),
            &["HTTP/1.1 414 ", "HTTP/1.1 431 ", "HTTP/1.1 400 "],
        ),
        (
            "an oversized header",
            bytes(&format!(
                "GET /healthz HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n",
                "x".repeat(100_000)
            )),
            &["HTTP/1.1 431 "],
        ),
        (
            "many headers",
            bytes(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
            &["HTTP/1.1 431 "],
        ),
        ("a slow head", bytes("GET /healthz HTTP/1.1\r\nHost: x\r\n"), &["", "HTTP/1.1 408 "]),
        ("half a handshake", bytes(HANDSHAKE), &["", "HTTP/1.1 408 "]),
        ("a missing body", bytes(&login("Content-Length: 10\r\n", "{")), &["HTTP/1.1 408 "]),
        (
            "missing chunks",
            bytes(&login("Transfer-Encoding: chunked\r\n", "5\r\n{")),
            &["HTTP/1.1 408 "],
        ),
        (
            "malformed chunks",
            bytes(&login("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n")),
            &["HTTP/1.1 400 "],
        ),
        ("a negative length", bytes(&login("Content-Length: -1\r\n", "")), &["HTTP/1.1 400 "]),
        (
            "two lengths",
            bytes(&login("Content-Length: 2\r\nContent-Length: 3\r\n", "{}")),
            &["HTTP/1.1 400 "],
        ),
        (
            "a body over the limit",
            bytes(&login("Content-Length: 99999999999\r\n", "{}")),
            &["HTTP/1.1 413 "],
        ),
        (
            "a handshake without a key",
            bytes(&format!("{HANDSHAKE}Connection: close\r\n\r\n")),
            &["HTTP/1.1 400 "],
        ),
        (
            "a handshake of another version",
            bytes(&format!("{HANDSHAKE}\r\n").replace(": 13", ": 8")),
            &["HTTP/1.1 426 "],
        ),
        (
            "a tunnel",
            bytes(
                "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\
                 Connection: close\r\n\r\n",
            ),
            &["HTTP/1.1 404 "],
        ),
    ] {
        let received = gateway.raw(&bytes).await;
        let received = String::from_utf8_lossy(&received);
        let fits = |expected: &&str| {
            if expected.is_empty() { received.is_empty() } else { received.starts_with(*expected) }
        };
        assert!(expected.iter().any(fits), "{name}: {received:?}");
        bystanders.are_served(name).await;
    }
}

#[tokio::test]
async fn connections_that_break_off_anywhere_are_forgotten() {
    let gateway = Gateway::start().await;
    let mut bystanders = Bystanders::new(&gateway).await;
    let handshake = format!("{HANDSHAKE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    let whole = [
        handshake.as_bytes(),
        &frame(TEXT, json!({"mode": "probe", "x": "y".repeat(200)}).to_string().as_bytes()),
    ]
    .concat();
    let open = gateway.metric("tolmach_connections", "dialect=\"mode\"").await;
    for length in (0..whole.len()).step_by(7) {
        let mut stream = gateway.connect().await;
        stream.write_all(&whole[..length]).await.expect("the connection is open");
        drop(stream);
    }
    for length in [handshake.len(), whole.len()] {
        let mut stream = gateway.connect().await;
        stream.write_all(&whole[..length]).await.expect("the connection is open");
        stream.shutdown().await.expect("the connection is open");
        read_to_end(&mut stream).await;
    }
    eventually("the end of the broken connections", async || {
        (gateway.metric("tolmach_connections", "dialect=\"mode\"").await == open).then_some(())
    })
    .await;
    bystanders.are_served("broken connections").await;
}
