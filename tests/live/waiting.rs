//! Clients that open their connection when their window opens, and log in when their user has
//! typed.

use crate::harness::{Gateway, Mode, PASSWORD, Peer, eventually, read_to_end, within};
use crate::raw_tcp::Values;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Every path where a WebSocket waits for its first frame, with one that registers, and the keys
/// of the response that grants it.
fn paths() -> [(&'static str, Value, &'static [&'static str], Value); 5] {
    let mode = |name: &str| {
        json!({"mode": "register", "timestamp": 1, "username": name, "password": PASSWORD,
            "email": format!("{name}@example.org")})
    };
    let sndmsg = json!({"type": "REQUEST_SIGNUP", "login": "sndmsg", "pass": PASSWORD});
    let user = json!({"login": "morelia", "password": PASSWORD});
    let morelia = crate::morelia::request("register_user", &json!({"user": user}));
    [
        ("/", mode("root"), &["status"], json!(200)),
        ("/ws", mode("shared"), &["status"], json!(200)),
        ("/mode", mode("mode"), &["status"], json!(200)),
        ("/sndmsg", sndmsg, &["status"], json!("SINGUP_OK")),
        ("/morelia", morelia, &["errors", "code"], json!(200)),
    ]
}

/// A connection to `sndmsg` on raw TCP.
async fn raw(gateway: &Gateway) -> TcpStream {
    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    within("a connection", TcpStream::connect(address)).await.expect("it listens")
}

#[tokio::test]
async fn a_client_that_is_silent_and_answers_no_ping_may_log_in_on_every_path() {
    let gateway = Gateway::with(&[
        ("TCP__SNDMSG__LISTEN", "127.0.0.1:0"),
        ("KEEPALIVE__PING_INTERVAL", "100ms"),
        ("KEEPALIVE__PONG_TIMEOUT", "100ms"),
    ])
    .await;
    let mut waiting = Vec::new();
    for (path, first, keys, granted) in paths() {
        waiting.push((path, gateway.websocket(path).await, first, keys, granted));
    }
    let mut values = Values::new(raw(&gateway).await);
    // Nothing of it is read, so that no ping is answered: a user's connection ends by that.
    let mut witness = Mode::register(&gateway, "witness").await;
    eventually("the end of a user's silent connection", async || {
        (gateway.metric("tolmach_connections", "mode").await == 1.0).then_some(())
    })
    .await;
    for (path, mut peer, first, keys, granted) in waiting {
        peer.send(&first).await;
        let reply = peer.receive().await;
        let found = keys.iter().fold(&reply, |value, key| &value[key]);
        assert_eq!(*found, granted, "{path}: {reply}");
    }
    values.sign_up("values").await;
    assert_eq!(witness.peer.next().await, Err(None));
}

#[tokio::test]
async fn a_client_that_never_logs_in_is_closed_after_the_deadline_in_its_way() {
    let gateway = Gateway::with(&[
        ("TCP__SNDMSG__LISTEN", "127.0.0.1:0"),
        ("LIMITS__FIRST_PROOF_TIMEOUT", "500ms"),
    ])
    .await;
    let mut waiting = Vec::new();
    for (path, ..) in paths() {
        waiting.push((path, gateway.websocket(path).await));
    }
    // uchat reads any frame, and connects again after the end of the stream.
    let mut values = raw(&gateway).await;
    assert_eq!(read_to_end(&mut values).await, b"");
    for (path, mut peer) in waiting {
        assert_eq!(peer.end().await, (Vec::new(), Some(1008)), "{path}");
    }
    let closed = gateway.metric("tolmach_connections_closed_total", "no_proof").await;
    assert_eq!(closed, 6.0);
}

/// The next frame of a WebSocket, of whatever kind.
async fn next(peer: &mut Peer) -> Message {
    let message = within("a frame", peer.socket.next()).await.expect("the connection is open");
    message.expect("it is a frame")
}

#[tokio::test]
async fn a_silent_client_is_pinged_on_every_path_for_the_proxies_in_between() {
    let gateway = Gateway::with(&[
        ("KEEPALIVE__PING_INTERVAL", "100ms"),
        ("KEEPALIVE__PONG_TIMEOUT", "100ms"),
    ])
    .await;
    for (path, ..) in paths() {
        let mut peer = gateway.websocket(path).await;
        for _ in 0..2 {
            assert!(matches!(next(&mut peer).await, Message::Ping(_)), "{path}");
        }
    }
}
