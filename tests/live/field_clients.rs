//! Clients in the field of several dialects in one room: a browser page with subprotocols, uchat's
//! integers and a console of Python literals.

use crate::harness::{Bearer, Gateway, PASSWORD, Peer};
use serde_json::{Value, json};

/// A page of 2025: neither `Authorization` nor `Origin`, the token is the last subprotocol.
async fn page(gateway: &Gateway, token: &str) -> Peer {
    let offer = format!("chat, {token}");
    let opened = gateway.try_websocket("/ws/chat/", &[("sec-websocket-protocol", &offer)]).await;
    let page = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(page.subprotocol.as_deref(), Some("chat"));
    page
}

#[tokio::test]
async fn a_page_with_subprotocols_talks_with_a_client_of_integers_and_one_of_literals() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let mut page = page(&gateway, &ann.access).await;
    let rooms = page.request(&json!({"action": "get_rooms", "page": 1, "request_id": 7})).await;
    assert_eq!(rooms["data"], json!({"count": 0, "results": [], "next": null}), "{rooms}");

    let mut bob = gateway.websocket("/sndmsg").await;
    let granted = bob.request(&json!({"type": 1, "login": "bob", "pass": PASSWORD})).await;
    assert_eq!(granted, json!({"type": 1, "status": 0}));
    let opened = bob.request(&json!({"type": 2, "sender": "bob", "receiver": "ann"})).await;
    let room = opened["id"].clone();
    assert_eq!(opened, json!({"type": 2, "status": 0, "id": room, "customer": "ann"}));
    // The room that is read is the one that is heard; it is empty, and answered by nothing.
    bob.send(&json!({"type": 4, "room_id": room})).await;
    let sent = bob
        .request(&json!({"type": 3, "username": "bob", "room_id": room, "message": "hi",
            "msg_type": 0}))
        .await;
    assert_eq!((&sent["type"], &sent["status"]), (&json!(3), &json!(0)), "{sent}");

    // A participant hears without having joined.
    let heard = page.receive().await;
    assert_eq!(heard["action"], "create_message", "{heard}");
    let (text, id) = (&heard["data"]["text"], &heard["request_id"]);
    assert_eq!((text, id), (&json!("hi"), &Value::Null), "{heard}");
    let join = page.request(&json!({"action": "join_room", "room_id": room})).await;
    assert_eq!(join["data"], json!({"id": room, "type": "M"}), "{join}");
    let created = page
        .request(&json!({"action": "create_message", "text": "hello", "attachments_ids": [],
            "request_id": 8}))
        .await;
    assert_eq!((&created["response_status"], &created["request_id"]), (&json!(201), &json!(8)));
    let heard = bob.receive().await;
    assert_eq!((&heard["type"], &heard["message"]), (&json!(4), &json!("hello")), "{heard}");
    assert_eq!(heard["room_id"], json!(room.to_string()), "{heard}");

    let mut console = gateway.websocket("/ws").await;
    let time = "'timestamp': '2024-11-21 15:46:54'";
    let login = format!("{{'mode': 'auth', {time}, 'username': 'bob', 'password': '{PASSWORD}'}}");
    console.send_text(&login).await;
    let granted = console.next().await.expect("it is answered");
    let (_, token) = granted.split_once("'token': '").expect("a token is granted");
    let (token, _) = token.split_once('\'').expect("the token ends");
    let read =
        format!("{{'mode': 'getMessages', {time}, 'token': '{token}', 'chat_id': '{room}'}}");
    console.send_text(&read).await;
    let read = console.next().await.expect("it is answered");
    assert!(read.contains("'content': 'hi'") && read.contains("'content': 'hello'"), "{read}");

    // Once: the next frame is the answer to the next request.
    let left = page.request(&json!({"action": "leave_room", "request_id": 9})).await;
    assert_eq!(left["request_id"], 9, "{left}");
}

#[tokio::test]
async fn a_token_in_a_subprotocol_that_is_not_valid_is_rejected_with_403() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    for (path, offer) in [
        ("/ws/chat/", "chat, word".to_owned()),
        ("/ws/chat/", format!("chat, {}x", ann.access)),
        ("/ws/chat/", ann.access.clone()),
        ("/ws/admin-chat/", format!("admin-chat, {}", ann.access)),
    ] {
        let opened = gateway.try_websocket(path, &[("sec-websocket-protocol", &offer)]).await;
        let refusal = opened.err().unwrap_or_else(|| panic!("{path} {offer} is accepted"));
        assert_eq!(refusal.status, 403, "{path} {offer}");
    }
}

/// The frame with which a client of MoreliaTalk before 1.0 logs in or registers.
fn reg(password: &str) -> Value {
    json!({"mode": "reg", "username": "ann", "password": password})
}

#[tokio::test]
async fn a_client_of_the_first_moreliatalk_registers_logs_in_and_talks_in_its_one_room() {
    let gateway = Gateway::start().await;
    for path in ["/ws", "/morelia"] {
        let status = if path == "/ws" { "newreg" } else { "true" };
        let mut ann = gateway.websocket(path).await;
        assert_eq!(ann.request(&reg(PASSWORD)).await, json!({"mode": "reg", "status": status}));
        let mut stranger = gateway.websocket(path).await;
        let refused = stranger.request(&reg("another password")).await;
        assert_eq!(refused, json!({"mode": "reg", "status": "false"}), "{path}");
    }

    let mut bob = gateway.websocket("/sndmsg").await;
    bob.request(&json!({"type": 1, "login": "bob", "pass": PASSWORD})).await;
    let opened = bob.request(&json!({"type": 2, "sender": "bob", "receiver": "ann"})).await;
    let room = opened["id"].clone();
    bob.send(&json!({"type": 4, "room_id": room})).await;
    let send = |text: &str| {
        json!({"type": 3, "username": "bob", "room_id": room, "message": text,
            "msg_type": 0})
    };
    assert_eq!(bob.request(&send("before")).await["status"], 0);

    let mut ann = gateway.websocket("/ws").await;
    assert_eq!(ann.request(&reg(PASSWORD)).await, json!({"mode": "reg", "status": "true"}));
    let history = ann.receive().await;
    assert_eq!((&history["username"], &history["text"]), (&json!("bob"), &json!("before")));
    assert!(history["timestamp"].is_f64(), "{history}");
    let shown = ann.request(&json!({"mode": "message", "username": "ann", "text": "hello"})).await;
    assert_eq!((&shown["mode"], &shown["text"]), (&json!("message"), &json!("hello")), "{shown}");
    let heard = bob.receive().await;
    assert_eq!((&heard["type"], &heard["message"]), (&json!(4), &json!("hello")), "{heard}");
    assert_eq!(bob.request(&send("after")).await["status"], 0);
    let heard = ann.receive().await;
    assert_eq!((&heard["username"], &heard["text"]), (&json!("bob"), &json!("after")), "{heard}");
}
