//! Doors: which dialect answers where, and how the first frame of a shared door decides.

use crate::harness::{Bearer, Gateway, Mode};
use crate::hostile::frame;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

/// A frame that any door of `mode` answers with 501.
fn probe() -> Value {
    json!({"mode": "probe"})
}

#[tokio::test]
async fn mode_answers_at_its_own_door_and_at_the_shared_ones() {
    let gateway = Gateway::start().await;
    for path in ["/mode", "/mode/", "/", "/ws", "/ws/", "/ws?with=query"] {
        let mut peer = gateway.websocket(path).await;
        for _ in 0..2 {
            let reply = peer.ask(&probe()).await;
            assert_eq!(
                (&reply["mode"], &reply["status"]),
                (&json!("probe"), &json!(501)),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_door_is_not_found_and_a_door_wants_a_websocket() {
    let gateway = Gateway::start().await;
    for (path, status) in [
        ("/", 426),
        ("/ws", 426),
        ("/mode", 426),
        ("/nowhere", 404),
        ("/modes", 404),
        ("/mode/x", 404),
        ("/api", 404),
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
async fn a_first_frame_that_nobody_knows_is_told_what_is_expected_and_closed() {
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
        peer.say_message(first.clone()).await;
        let (frames, code) = peer.end().await;
        assert_eq!(code, Some(1008), "{first}");
        let [frame] = &frames[..] else { panic!("{first}: {frames:?}") };
        assert_eq!(frame["error"], "unrecognised dialect", "{first}");
        let expected = frame["expected"].as_array().expect("a list of what is expected");
        let text = frame["expected"].to_string();
        assert!(!expected.is_empty() && text.contains("mode"), "{frame}");
    }
    assert_eq!(gateway.metric("tolmach_unrecognised_total", "").await, 11.0);
}

#[tokio::test]
async fn a_first_frame_that_does_not_come_in_time_ends_the_connection() {
    let gateway = Gateway::with(&[("LIMITS__FIRST_FRAME_TIMEOUT", "200ms")]).await;
    let mut own = gateway.websocket("/mode").await;
    let mut chosen = gateway.websocket("/").await;
    assert_eq!(chosen.ask(&probe()).await["status"], 501);
    let mut silent = gateway.websocket("/").await;
    silent.say_message(Message::Ping(Default::default())).await;
    assert_eq!(silent.end().await, (vec![], Some(1008)));
    for (name, peer) in [("a door of its own", &mut own), ("a dialect that is known", &mut chosen)]
    {
        assert_eq!(peer.ask(&probe()).await["status"], 501, "{name} waits longer");
    }
}

#[tokio::test]
async fn a_first_frame_has_a_bound_of_its_own() {
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
        ("over the bound at the dialect's own door", "/mode", BOUND + 1, None),
    ] {
        let mut peer = gateway.websocket(path).await;
        let text = padded(size);
        assert_eq!(text.len(), size);
        // Whoever refuses it need not read all of it.
        let _ = futures_util::SinkExt::send(&mut peer.socket, Message::text(text)).await;
        match code {
            None => assert_eq!(peer.hear().await["status"], 501, "{name}"),
            Some(code) => assert_eq!(peer.end().await, (vec![], Some(code)), "{name}"),
        }
    }
    let mut later = gateway.websocket("/").await;
    later.ask(&probe()).await;
    later.say_text(&padded(BOUND + 1)).await;
    assert_eq!(later.hear().await["status"], 501, "the bound is for the first frame only");
}

#[tokio::test]
async fn frames_in_the_same_segment_as_the_handshake_are_not_lost() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    let authorization = format!("Authorization: Bearer {}\r\n", ann.access);
    let said = r#"{"mode":"probe","type_of":"x"}"#;
    let room = format!("/api/v1/group/{group}");
    for (path, headers, said, expected) in [
        ("/", "", said, r#""status":501"#),
        ("/ws", "", said, r#""status":501"#),
        ("/mode", "", said, r#""status":501"#),
        (&*room, &*authorization, r#"{"type":"message","text":"early"}"#, r#""text":"early""#),
    ] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        // One message in two fragments, then a close.
        let (first, second) = said.as_bytes().split_at(10);
        let bytes = [head.as_bytes(), &frame(0x01, first), &frame(0x80, second)].concat();
        let mut stream = gateway.connect().await;
        stream.write_all(&bytes).await.expect("the connection is open");
        let mut heard = String::new();
        while !heard.contains(expected) {
            let mut buffer = [0; 4096];
            let count = crate::harness::within("an answer", stream.read(&mut buffer))
                .await
                .expect("it can be read");
            assert_ne!(count, 0, "{path}: the end came instead of {expected}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(
            heard.starts_with("HTTP/1.1 101 ") && heard.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{path}: {heard}"
        );
    }
}

#[tokio::test]
async fn a_disabled_dialect_is_served_nowhere() {
    let gateway = Gateway::with(&[("DIALECTS__MODE__ENABLED", "false")]).await;
    let refusal = gateway.try_websocket("/mode", &[]).await.err();
    assert_eq!(refusal.map(|response| response.status.as_u16()), Some(404));
    assert_eq!(gateway.get("/mode").await.status, 404);
    let mut socket = gateway.websocket("/").await;
    let answer = socket.ask(&probe()).await;
    assert_eq!(answer["error"], "unrecognised dialect", "{answer}");
    let names: Vec<_> = answer["expected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|dialect| dialect["dialect"].clone())
        .collect();
    assert!(!names.is_empty() && !names.contains(&"mode".into()), "{answer}");

    let nobody = ["MODE", "SNDMSG", "MORELIA", "ACTION"]
        .map(|id| (format!("DIALECTS__{id}__ENABLED"), "false"));
    let gateway =
        Gateway::with(&nobody.each_ref().map(|(key, value)| (key.as_str(), *value))).await;
    let refusal = gateway.try_websocket("/", &[]).await.err();
    assert_eq!(
        refusal.map(|response| response.status.as_u16()),
        Some(404),
        "nobody is left to answer there"
    );
    Bearer::register(&gateway, "ann").await;

    let gateway = Gateway::with(&[("DIALECTS__BEARER__ENABLED", "false")]).await;
    for path in ["/api/v1/user", "/openapi.json"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    Mode::register(&gateway, "ann").await;
}

#[tokio::test]
async fn an_operator_chooses_the_shared_doors() {
    let gateway = Gateway::with(&[("ROUTING__SHARED_PATHS", "/chat,/old/chat")]).await;
    for path in ["/chat", "/old/chat/"] {
        assert_eq!(gateway.websocket(path).await.ask(&probe()).await["status"], 501, "{path}");
    }
    for path in ["/", "/ws"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
}
