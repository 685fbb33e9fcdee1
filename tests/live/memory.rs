//! Unfinished messages, floods of frames and of bytes: a peer takes no more memory and time than
//! its share, whatever it sends.

use crate::harness::{Bearer, Gateway, Mode, Peer, eventually, within};
use crate::hostile::frame;
use crate::morelia::Morelia;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const TEXT: u8 = 0x81;
/// A text that other frames go on with.
const BEGIN: u8 = 0x01;
const MIDDLE: u8 = 0x00;
const LAST: u8 = 0x80;
const PONG: u8 = 0x8A;

const KIB: usize = 1 << 10;
/// The largest message before a login.
const BEFORE_LOGIN: usize = 64 * KIB;

/// The paths that take WebSockets without credentials.
const PATHS: [&str; 5] = ["/", "/ws", "/mode", "/sndmsg", "/morelia"];

/// A message of so many bytes that every path answers.
fn probe(bytes: usize) -> Vec<u8> {
    let mut text = json!({"mode": "probe", "type": "SND_MSG"}).to_string().into_bytes();
    text.resize(bytes, b' ');
    text
}

/// The header of a frame that announces so many bytes.
fn announced(first: u8, bytes: u64) -> Vec<u8> {
    let mut header = vec![first, 0x80 | 127];
    header.extend_from_slice(&bytes.to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    header
}

/// Sends bytes, which the gateway need not read to their end.
async fn send(peer: &mut Peer, bytes: &[u8]) {
    let _ = within("a write", peer.socket.get_mut().write_all(bytes)).await;
}

/// A WebSocket from another address of this machine.
async fn websocket_from(gateway: &Gateway, last: u8, path: &str) -> Peer {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let own = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    socket.bind(SocketAddr::new(own, 0)).expect("all of 127.0.0.0/8 is this machine");
    let stream = within("a connection", socket.connect(gateway.address)).await;
    let stream = stream.expect("the gateway listens");
    let url = format!("ws://{}{path}", gateway.address);
    let (socket, _) = within("a handshake", client_async(url, stream)).await.expect("it is served");
    Peer { socket, subprotocol: None }
}

/// Two users who talk in a group.
struct Talk {
    ann: Mode,
    bob: Mode,
    group: i64,
}

impl Talk {
    async fn new(gateway: &Gateway) -> Self {
        let (ann, mut bob) =
            (Mode::register(gateway, "ann").await, Mode::register(gateway, "bob").await);
        let member = Bearer::log_in(gateway, "bob").await.id;
        let group = Bearer::log_in(gateway, "ann").await.group("talk", &[member]).await;
        // Proves who it is on its connection, which is sent pushes from then on.
        bob.history(group).await;
        Self { ann, bob, group }
    }

    async fn goes_on(&mut self, text: &str) {
        self.ann.send(self.group, text).await;
        assert_eq!(self.bob.pushed().await, text);
    }
}

#[tokio::test]
async fn before_a_login_a_message_has_at_most_64_kib_on_every_path() {
    let gateway = Gateway::start().await;
    for path in PATHS {
        let mut peer = gateway.websocket(path).await;
        send(&mut peer, &frame(TEXT, &probe(BEFORE_LOGIN))).await;
        peer.receive().await;
        let mut peer = gateway.websocket(path).await;
        let text = probe(BEFORE_LOGIN);
        let (begin, rest) = text.split_at(BEFORE_LOGIN / 3);
        send(&mut peer, &[frame(BEGIN, begin), frame(LAST, rest)].concat()).await;
        peer.receive().await;
        for (name, bytes) in [
            ("one byte more", frame(TEXT, &probe(BEFORE_LOGIN + 1))),
            ("announced, and nothing sent", announced(TEXT, BEFORE_LOGIN as u64 + 1)),
            ("announced in a fragment", announced(BEGIN, 16 << 20)),
            (
                "one byte more in a fragment",
                [frame(BEGIN, &probe(BEFORE_LOGIN)), announced(LAST, 1)].concat(),
            ),
        ] {
            let mut peer = gateway.websocket(path).await;
            send(&mut peer, &bytes).await;
            assert_eq!(peer.end().await, (vec![], Some(1009)), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn a_login_raises_the_bound_for_the_next_message_even_if_it_has_come_already() {
    let gateway = Gateway::start().await;
    let token = Mode::register(&gateway, "ann").await.token;
    let first = json!({"mode": "getChats", "timestamp": 1, "token": token}).to_string();
    for (path, bytes, closed) in [("/mode", 1 << 20, false), ("/", (1 << 20) + 1, true)] {
        let mut peer = gateway.websocket(path).await;
        let bytes = [frame(TEXT, first.as_bytes()), frame(TEXT, &probe(bytes))].concat();
        send(&mut peer, &bytes).await;
        peer.receive().await;
        if closed {
            assert_eq!(peer.end().await, (vec![], Some(1009)));
        } else {
            peer.receive().await;
        }
    }
}

#[tokio::test]
async fn unfinished_messages_of_one_address_take_no_more_than_its_share() {
    const SHARE: usize = 1 << 20;
    const PEERS: usize = 50;
    const HELD: usize = 60 * KIB;
    /// The first bytes of each connection are free.
    const COUNTED: usize = HELD - 4 * KIB;
    let share = SHARE.to_string();
    let options =
        [("LIMITS__MEMORY_BYTES_PER_ADDRESS", share.as_str()), ("LIMITS__MESSAGE_TIMEOUT", "1h")];
    let gateway = Gateway::with(&options).await;
    let mut talk = Talk::new(&gateway).await;
    let mut over_budget = 0;
    for path in PATHS {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let mut peer = websocket_from(&gateway, 2, path).await;
            send(&mut peer, &frame(BEGIN, &probe(HELD))).await;
            peers.push(peer);
        }
        over_budget += PEERS - SHARE / COUNTED;
        eventually("the costliest go", async || {
            let refused = gateway.metric("tolmach_over_budget_total", "bound=\"address\"").await;
            let held = gateway.metric("tolmach_held_bytes", "").await;
            (refused == over_budget as f64 && held <= SHARE as f64).then_some(())
        })
        .await;
        talk.goes_on(path).await;
        drop(peers);
        eventually("nothing is held any more", async || {
            (gateway.metric("tolmach_held_bytes", "").await == 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn large_handshakes_on_shared_paths_take_no_more_than_the_share_of_their_address() {
    const SHARE: usize = 1 << 20;
    const PEERS: usize = 120;
    const HEADER: usize = 15 * KIB;
    let share = SHARE.to_string();
    let gateway = Gateway::with(&[("LIMITS__MEMORY_BYTES_PER_ADDRESS", share.as_str())]).await;
    let mut talk = Talk::new(&gateway).await;
    for path in ["/", "/ws"] {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let stream = gateway.connect_from([127, 0, 0, 2]).await;
            let url = format!("ws://{}{path}", gateway.address);
            let mut request = url.into_client_request().expect("it is a URL");
            let value = "x".repeat(HEADER).parse().expect("it is a value");
            request.headers_mut().insert("x-large", value);
            let opened = within("a handshake", client_async(request, stream)).await;
            // One for which there is no room is answered 503.
            peers.extend(opened.ok());
        }
        let expected = (SHARE - HEADER) as f64..=SHARE as f64;
        eventually("the costliest go, and the others stay", async || {
            let held = gateway.metric("tolmach_held_bytes", "").await;
            expected.contains(&held).then_some(())
        })
        .await;
        talk.goes_on(path).await;
        drop(peers);
        eventually("nothing is held any more", async || {
            (gateway.metric("tolmach_held_bytes", "").await == 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn past_the_budget_the_costliest_connection_of_the_costliest_address_goes() {
    let mib = |count: usize| (count << 20).to_string();
    let (total, most) = (mib(4), mib(3));
    let options = [
        ("LIMITS__MEMORY_BYTES", total.as_str()),
        ("LIMITS__MEMORY_BYTES_PER_ADDRESS", most.as_str()),
        ("LIMITS__MEMORY_BYTES_PER_CONNECTION", most.as_str()),
    ];
    let gateway = Gateway::with(&options).await;
    let mut talk = Talk::new(&gateway).await;
    let user = Morelia::log_in(&gateway, "ann").await.user;
    let mut holding = Vec::new();
    // The second address has the costliest connection, the first is the costliest address.
    for (last, kib) in [(2, 900), (2, 1000), (3, 1500)] {
        let mut peer = websocket_from(&gateway, last, "/morelia").await;
        let data = json!({"user": user});
        let proof = crate::morelia::request("user_info", &data).to_string();
        send(&mut peer, &frame(TEXT, proof.as_bytes())).await;
        peer.receive().await;
        send(&mut peer, &frame(BEGIN, &probe(kib * KIB))).await;
        holding.push(peer);
    }
    eventually("all is held", async || {
        let held = gateway.metric("tolmach_held_bytes", "").await;
        (held == ((900 + 1000 + 1500 - 3 * 4) * KIB) as f64).then_some(())
    })
    .await;
    let mut last = websocket_from(&gateway, 4, "/morelia").await;
    let proof = crate::morelia::request("user_info", &json!({"user": user})).to_string();
    send(&mut last, &frame(TEXT, proof.as_bytes())).await;
    last.receive().await;
    send(&mut last, &frame(BEGIN, &probe(900 * KIB))).await;
    assert_eq!(holding[1].end().await, (vec![], Some(1013)));
    assert_eq!(gateway.metric("tolmach_over_budget_total", "bound=\"total\"").await, 1.0);
    talk.goes_on("and others go on").await;
    // The other messages can still be finished.
    holding.remove(1);
    for peer in holding.iter_mut().chain([&mut last]) {
        send(peer, &frame(LAST, b" ")).await;
        peer.receive().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_begun_message_has_a_deadline_that_pongs_and_fragments_do_not_prolong() {
    let gateway = Gateway::with(&[("LIMITS__MESSAGE_TIMEOUT", "1s")]).await;
    let mut talk = Talk::new(&gateway).await;
    let user = Morelia::log_in(&gateway, "ann").await.user;
    for path in ["/", "/mode", "/morelia", "with a login"] {
        let mut peer = if path == "with a login" {
            let mut morelia = Morelia::with_token(&gateway, &user).await;
            let proof = crate::morelia::request("user_info", &json!({"user": user}));
            morelia.peer.request(&proof).await;
            morelia.peer
        } else {
            gateway.websocket(path).await
        };
        send(&mut peer, &frame(BEGIN, b"{")).await;
        // Goes on until the gateway closes.
        let more = [frame(PONG, b""), frame(MIDDLE, b" ")].concat();
        let closed = within("the close", async {
            loop {
                send(&mut peer, &more).await;
                tokio::select! {
                    end = peer.end() => return end,
                    () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
                }
            }
        });
        assert_eq!(closed.await, (vec![], Some(1008)), "{path}");
        talk.goes_on(path).await;
    }
}

#[tokio::test]
async fn empty_fragments_count_as_frames_and_end_with_the_deadline_of_their_message() {
    let options = [
        ("LIMITS__FRAMES_PER_SECOND", "1"),
        ("LIMITS__FRAME_BURST", "100"),
        ("LIMITS__MESSAGE_TIMEOUT", "1s"),
    ];
    let gateway = Gateway::with(&options).await;
    let mut talk = Talk::new(&gateway).await;
    for path in ["/", "/mode"] {
        let before = gateway.metric("tolmach_paused_reads_total", "reason=\"frames\"").await;
        let mut peer = gateway.websocket(path).await;
        send(&mut peer, &[frame(BEGIN, b""), frame(MIDDLE, b"").repeat(10_000)].concat()).await;
        assert_eq!(peer.end().await, (vec![], Some(1008)), "{path}");
        let paused = gateway.metric("tolmach_paused_reads_total", "reason=\"frames\"").await;
        assert!(paused > before, "{path}");
        talk.goes_on(path).await;
    }
}

#[tokio::test]
async fn a_user_who_sends_too_many_bytes_is_read_more_slowly_and_others_are_not() {
    let options =
        [("LIMITS__BYTES_PER_SECOND_PER_USER", "64KiB"), ("LIMITS__BYTE_BURST_PER_USER", "16KiB")];
    let gateway = Gateway::with(&options).await;
    let mut talk = Talk::new(&gateway).await;
    let mut second = Mode::log_in(&gateway, "ann").await;
    send(&mut talk.ann.peer, &frame(TEXT, &probe(100 * KIB))).await;
    send(&mut second.peer, &frame(TEXT, &probe(100 * KIB))).await;
    eventually("a pause", async || {
        let paused = gateway.metric("tolmach_paused_reads_total", "reason=\"user_bytes\"").await;
        (paused > 0.0).then_some(())
    })
    .await;
    let mut bob = Mode::log_in(&gateway, "bob").await;
    for number in 0..10 {
        bob.send(talk.group, &number.to_string()).await;
        assert_eq!(talk.bob.pushed().await, number.to_string());
    }
    // It is no error, and nothing is lost.
    let mut answered = 0;
    for peer in [&mut talk.ann.peer, &mut second.peer] {
        while peer.receive().await.get("status").is_none() {}
        answered += 1;
    }
    assert_eq!(answered, 2);
}

#[tokio::test]
async fn an_address_that_sends_too_many_bytes_is_read_more_slowly_and_others_are_not() {
    let options = [
        ("LIMITS__BYTES_PER_SECOND_PER_ADDRESS", "64KiB"),
        ("LIMITS__BYTE_BURST_PER_ADDRESS", "16KiB"),
    ];
    let gateway = Gateway::with(&options).await;
    let mut talk = Talk::new(&gateway).await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        let mut peer = websocket_from(&gateway, 2, "/mode").await;
        send(&mut peer, &frame(TEXT, &probe(60 * KIB))).await;
        peers.push(peer);
    }
    eventually("a pause", async || {
        let paused = gateway.metric("tolmach_paused_reads_total", "reason=\"address_bytes\"").await;
        (paused > 0.0).then_some(())
    })
    .await;
    talk.goes_on("another address").await;
    for peer in &mut peers {
        peer.receive().await;
    }
}
