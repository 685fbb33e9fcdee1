//! Routing: each dialect on its own paths, and recognition by the first frame on shared paths.

use crate::harness::{Bearer, Gateway, Mode};
use crate::hostile::frame;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tolmach_cli::dialects::all;

/// A frame that `mode` answers with 501.
fn probe() -> Value {
    json!({"mode": "probe"})
}

/// The option that enables a dialect.
fn enabled_key(id: &str) -> String {
    format!("DIALECTS__{}__ENABLED", id.to_uppercase())
}

#[tokio::test]
async fn mode_is_served_on_its_own_path_and_on_shared_paths() {
    let gateway = Gateway::start().await;
    for path in ["/mode", "/mode/", "/", "/ws", "/ws/", "/ws?with=query"] {
        let mut peer = gateway.websocket(path).await;
        for _ in 0..2 {
            let reply = peer.request(&probe()).await;
            assert_eq!(
                (&reply["mode"], &reply["status"]),
                (&json!("probe"), &json!(501)),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_and_endpoints_require_a_websocket() {
    let gateway = Gateway::start().await;
    for (path, status) in [
        ("/", 426),
        ("/ws", 426),
        ("/mode", 426),
        ("/nowhere", 404),
        ("/modes", 404),
        ("/mode/x", 404),
        ("/api/v2", 404),
    ] {
        let response = gateway.get(path).await;
        assert_eq!(response.status, status, "{path}: {}", response.text());
        assert_eq!(response.header("upgrade").is_some(), status == 426, "{path}");
        if status == 404 {
            let refusal = gateway.try_websocket(path, &[]).await.err();
            assert_eq!(refusal.map(|response| response.status.as_u16()), Some(404), "{path}");
        }
    }
}

#[tokio::test]
async fn an_unrecognised_first_frame_is_answered_with_the_expected_ones_and_closed() {
    let gateway = Gateway::start().await;
    for first in [
        Message::text("hello"),
        Message::text(""),
        Message::text("{}"),
        Message::text("[]"),
        Message::text("null"),
        Message::text(r#"{"mode":1}"#),
        Message::text(r#"{"mode":"auth","type":"SND_MSG"}"#),
        Message::text(r#"{"MODE":"auth"}"#),
        Message::text(r#"{"mode":"auth""#),
        Message::binary(&br#"{"mode":"auth"}"#[..]),
        Message::binary(&b"\x00\xFF"[..]),
    ] {
        let mut peer = gateway.websocket("/ws").await;
        peer.send_message(first.clone()).await;
        let (frames, code) = peer.end().await;
        assert_eq!(code, Some(1008), "{first}");
        let [frame] = &frames[..] else { panic!("{first}: {frames:?}") };
        assert_eq!(frame["error"], "unrecognised dialect", "{first}");
        let expected = frame["expected"].as_array().expect("the expected frames are a list");
        let text = frame["expected"].to_string();
        assert!(!expected.is_empty() && text.contains("mode"), "{frame}");
    }
    assert_eq!(gateway.metric("tolmach_unrecognised_total", "").await, 11.0);
}

#[tokio::test]
async fn a_connection_without_a_login_in_time_is_closed_though_it_answers_pings() {
    let gateway = Gateway::with(&[
        ("LIMITS__FIRST_PROOF_TIMEOUT", "2s"),
        ("KEEPALIVE__PING_INTERVAL", "100ms"),
    ])
    .await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let mut chosen = gateway.websocket("/").await;
    assert_eq!(chosen.request(&probe()).await["status"], 501);
    for (name, path) in
        [("a shared path", "/"), ("mode", "/mode"), ("sndmsg", "/sndmsg"), ("morelia", "/morelia")]
    {
        let mut silent = gateway.websocket(path).await;
        silent.send_message(Message::Ping(Default::default())).await;
        assert_eq!(silent.end().await, (vec![], Some(1008)), "{name}");
    }
    assert_eq!(chosen.end().await, (vec![], Some(1008)), "a frame alone proves nothing");
    assert_eq!(ann.request("getChats", json!({})).await["status"], 200);
}

#[tokio::test]
async fn a_first_frame_has_its_own_size_limit() {
    const BOUND: usize = 64 << 10;
    let gateway = Gateway::start().await;
    let padded = |size: usize| {
        let bare = r#"{"mode":"probe","padding":""}"#;
        bare.replace(r#""}"#, &format!("{}\"}}", "x".repeat(size - bare.len())))
    };
    for (name, path, size, code) in [
        ("at the bound", "/", BOUND, None),
        ("over the bound", "/", BOUND + 1, Some(1009)),
        ("far over the bound", "/ws", 3 << 20, Some(1009)),
        ("at the bound on the dialect's own path", "/mode", BOUND, None),
        ("over the bound on the dialect's own path", "/mode", BOUND + 1, Some(1009)),
    ] {
        let mut peer = gateway.websocket(path).await;
        let text = padded(size);
        assert_eq!(text.len(), size);
        // The gateway need not read all of a frame that it refuses.
        let _ = futures_util::SinkExt::send(&mut peer.socket, Message::text(text)).await;
        match code {
            None => assert_eq!(peer.receive().await["status"], 501, "{name}"),
            Some(code) => assert_eq!(peer.end().await, (vec![], Some(code)), "{name}"),
        }
    }
    for path in ["/", "/mode"] {
        let mut later = gateway.websocket(path).await;
        later.request(&probe()).await;
        later.send_text(&padded(BOUND)).await;
        assert_eq!(later.receive().await["status"], 501, "{path}: a later one at the bound");
        let _ =
            futures_util::SinkExt::send(&mut later.socket, Message::text(padded(BOUND + 1))).await;
        assert_eq!(later.end().await, (vec![], Some(1009)), "{path}: a later one without a login");
    }
    let mut ann = Mode::register(&gateway, "ann").await.peer;
    ann.send_text(&padded(BOUND + 1)).await;
    assert_eq!(ann.receive().await["status"], 501, "frames after a login have a larger limit");
}

#[tokio::test]
async fn frames_in_the_same_segment_as_the_handshake_are_not_lost() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    let authorization = format!("Authorization: Bearer {}\r\n", ann.access);
    let frame_text = r#"{"mode":"probe","type_of":"x"}"#;
    let room = format!("/api/v1/group/{group}");
    for (path, headers, text, expected) in [
        ("/", "", frame_text, r#""status":501"#),
        ("/ws", "", frame_text, r#""status":501"#),
        ("/mode", "", frame_text, r#""status":501"#),
        (&*room, &*authorization, r#"{"type":"message","text":"early"}"#, r#""text":"early""#),
    ] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
             Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        // One message in two fragments.
        let (first, second) = text.as_bytes().split_at(10);
        let bytes = [head.as_bytes(), &frame(0x01, first), &frame(0x80, second)].concat();
        let mut stream = gateway.connect().await;
        stream.write_all(&bytes).await.expect("the connection is open");
        let mut received = String::new();
        while !received.contains(expected) {
            let mut buffer = [0; 4096];
            let count = crate::harness::within("an answer", stream.read(&mut buffer))
                .await
                .expect("the connection is open");
            assert_ne!(count, 0, "{path}: the end instead of {expected}, after {received}");
            received.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(
            received.starts_with("HTTP/1.1 101 ")
                && received.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{path}: {received}"
        );
    }
}

#[tokio::test]
async fn a_disabled_dialect_is_not_served() {
    let gateway = Gateway::with(&[("DIALECTS__MODE__ENABLED", "false")]).await;
    let refusal = gateway.try_websocket("/mode", &[]).await.err();
    assert_eq!(refusal.map(|response| response.status.as_u16()), Some(404));
    assert_eq!(gateway.get("/mode").await.status, 404);
    let mut socket = gateway.websocket("/").await;
    let answer = socket.request(&probe()).await;
    assert_eq!(answer["error"], "unrecognised dialect", "{answer}");
    let names: Vec<_> = answer["expected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|dialect| dialect["dialect"].clone())
        .collect();
    assert!(!names.is_empty() && !names.contains(&"mode".into()), "{answer}");

    let shared = all().into_iter().filter(|dialect| dialect.manifest().opening.is_some());
    let disabled: Vec<_> = shared.map(|dialect| enabled_key(dialect.manifest().id)).collect();
    let options: Vec<_> = disabled.iter().map(|key| (key.as_str(), "false")).collect();
    let gateway = Gateway::with(&options).await;
    let refusal = gateway.try_websocket("/", &[]).await.err();
    assert_eq!(
        refusal.map(|response| response.status.as_u16()),
        Some(404),
        "no dialect is left on shared paths"
    );
    Bearer::register(&gateway, "ann").await;

    let gateway = Gateway::with(&[("DIALECTS__BEARER__ENABLED", "false")]).await;
    for path in ["/api/v1/user", "/openapi.json"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    Mode::register(&gateway, "ann").await;
}

#[tokio::test]
async fn shared_paths_are_configured() {
    let gateway = Gateway::with(&[("ROUTING__SHARED_PATHS", "/chat,/old/chat")]).await;
    for path in ["/chat", "/old/chat/"] {
        assert_eq!(gateway.websocket(path).await.request(&probe()).await["status"], 501, "{path}");
    }
    for path in ["/", "/ws"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
}
