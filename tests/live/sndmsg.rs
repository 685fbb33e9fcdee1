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
