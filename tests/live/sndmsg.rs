//! The dialect `sndmsg` at a gateway: protocols/sndmsg/SPEC.md.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer};
use serde_json::{Value, json};

/// The texts of a room; `None` in the one frame of an answer without messages.
async fn read(peer: &mut Peer, range: &str, room: i64) -> Vec<Option<String>> {
    peer.send(&json!({"type": "READ_MSG", "read": range, "room_id": room})).await;
    // No frame is marked as the last one. The reply to this request comes after it.
    peer.send(&json!({"type": "SEARCH_USER", "user": ""})).await;
    let mut texts = Vec::new();
    loop {
        let frame = peer.receive().await;
        match frame["type"].as_str() {
            Some("READ_MSG") => texts.push(frame["message"].as_str().map(str::to_owned)),
            Some("SEARCH_USER") => return texts,
            _ => panic!("expected a message, found {frame}"),
        }
    }
}

fn texts(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn reading_all_moves_the_read_mark() {
    const OPTION: [(&str, &str); 1] = [("DIALECTS__SNDMSG__PUSH", "false")];
    let gateway = Gateway::with(&OPTION).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let room = bob.chat_with(Bearer::log_in(&gateway, "ann").await.id).await;
    let mut peer = gateway.websocket("/sndmsg").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": "bob", "pass": PASSWORD});
    let reply: Value = peer.request(&login).await;
    assert_eq!(reply["status"], "LOGIN_OK", "{reply}");

    for text in ["one", "two"] {
        ann.send(room, text).await;
    }
    assert_eq!(read(&mut peer, "RESENT", room).await, texts(&["one", "two"]), "both are unread");
    assert_eq!(read(&mut peer, "RESENT", room).await, [None], "reading unread ones marks them");
    ann.send(room, "three").await;
    assert_eq!(read(&mut peer, "ALL", room).await, texts(&["one", "two", "three"]));
    assert_eq!(read(&mut peer, "RESENT", room).await, [None], "reading all marks all");
    ann.send(room, "four").await;
    assert_eq!(read(&mut peer, "RESENT", room).await, texts(&["four"]));
    assert_eq!(read(&mut peer, "ALL", room).await, texts(&["one", "two", "three", "four"]));
}

#[tokio::test]
async fn messages_that_a_lost_peer_never_took_stay_unread() {
    /// Together more bytes than the two sockets hold, and less than one answer may have.
    const MESSAGES: usize = 120;
    const BYTES: usize = 60 << 10;
    let gateway = Gateway::with(&[("DIALECTS__SNDMSG__PUSH", "false")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let room = bob.chat_with(Bearer::log_in(&gateway, "ann").await.id).await;
    let sent: Vec<String> =
        (0..MESSAGES).map(|number| format!("{number}:{}", "x".repeat(BYTES))).collect();
    for text in &sent {
        ann.send(room, text).await;
    }
    let log_in = async || {
        let mut peer = gateway.websocket("/sndmsg").await;
        let login = json!({"type": "REQUEST_LOGIN", "login": "bob", "pass": PASSWORD});
        assert_eq!(peer.request(&login).await["status"], "LOGIN_OK");
        peer
    };
    let mut lost = log_in().await;
    lost.send(&json!({"type": "READ_MSG", "read": "RESENT", "room_id": room})).await;
    assert_eq!(lost.receive().await["message"], sent[0], "the answer is on its way");
    drop(lost);
    let mut peer = log_in().await;
    let all: Vec<Option<String>> = sent.into_iter().map(Some).collect();
    assert!(read(&mut peer, "RESENT", room).await == all, "the same messages, all of them");
    assert_eq!(read(&mut peer, "RESENT", room).await, [None], "this peer took them");
}
