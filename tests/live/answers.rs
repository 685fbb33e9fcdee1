//! Answers are bounded in bytes in every dialect, however long the history and the lists are.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, texts};
use crate::morelia::{Morelia, request};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MAX_ANSWER: usize = 64 << 10;
const MESSAGES: usize = 40;
const GROUPS: usize = 20;

/// A text whose JSON is nearly twice as long.
fn long_text(number: usize) -> String {
    format!("{number}:{}", "\"".repeat(4 << 10))
}

/// A reply that the bound holds for, with its length.
async fn ask(peer: &mut Peer, frame: &Value) -> Value {
    peer.send(frame).await;
    let text = peer.next().await.expect("the connection is open");
    assert!(text.len() <= MAX_ANSWER, "a frame of {} bytes", text.len());
    serde_json::from_str(&text).expect("a frame is JSON")
}

/// Checks that these are the newest messages of all, oldest first, and as many as fit.
fn check_newest(texts: &[String]) {
    let all: Vec<String> = (0..MESSAGES).map(long_text).collect();
    assert!((5..8).contains(&texts.len()), "{} messages", texts.len());
    assert!(texts == &all[MESSAGES - texts.len()..], "not the newest part");
}

async fn gateway() -> Gateway {
    Gateway::with(&[("LIMITS__MAX_ANSWER_BYTES", "64KiB")]).await
}

#[tokio::test]
async fn a_history_is_cut_to_its_newest_part_in_every_dialect() {
    let gateway = gateway().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = ann.group("group", &[bob.id]).await;
    let mut mode = Mode::log_in(&gateway, "ann").await;
    for number in 0..MESSAGES {
        mode.send(group, &long_text(number)).await;
    }

    let history = json!({"mode": "getMessages", "timestamp": 1, "token": mode.token,
        "chat_id": group});
    let reply = ask(&mut mode.peer, &history).await;
    check_newest(&texts(&reply["messages"], "content"));

    let mut newest_first = bob.room(&format!("/group/{group}?limit=1000")).await.1;
    newest_first.reverse();
    check_newest(&newest_first);

    // Each message is a frame of its own; the whole is bounded.
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": "bob", "pass": PASSWORD});
    assert_eq!(sndmsg.request(&login).await["status"], "LOGIN_OK");
    sndmsg.send(&json!({"type": "READ_MSG", "read": "ALL", "room_id": group})).await;
    sndmsg.send(&json!({"type": "SEARCH_USER", "user": ""})).await;
    let mut read = Vec::new();
    loop {
        let frame = sndmsg.receive().await;
        match frame["message"].as_str() {
            Some(text) => read.push(text.to_owned()),
            None => break,
        }
    }
    check_newest(&read);

    // Changes continue where an answer ended, without gap or repeat.
    for method in ["get_update", "all_messages"] {
        let mut morelia = Morelia::log_in(&gateway, "bob").await;
        let (mut time, mut received) = (json!(0.0), Vec::new());
        loop {
            let frame = request(method, &json!({"time": time, "user": morelia.user}));
            let data = ask(&mut morelia.peer, &frame).await["data"].take();
            let messages = match &data["message"] {
                Value::Array(messages) => messages.clone(),
                Value::Null => break,
                message => vec![message.clone()],
            };
            received.extend(messages.iter().map(|message| message["text"].clone()));
            assert_ne!(data["time"], time);
            time = data["time"].clone();
        }
        let expected: Vec<String> = (0..MESSAGES).map(long_text).collect();
        assert!(received == expected, "{method}: {} messages", received.len());
    }
}

#[tokio::test]
async fn a_list_of_conversations_is_cut_in_every_dialect_and_continues_where_it_has_pages() {
    let gateway = gateway().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let mut mode = Mode::log_in(&gateway, "ann").await;
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let (name, description) = (format!("group {number}"), "i".repeat(4_000));
        let group = json!({"name": name, "description": description, "users": []});
        let group = ann.form("/group", &group, None).await.expect(200);
        let id = group["group"]["id"].as_i64().expect("an id is a number");
        mode.send(id, &"\u{44f}".repeat(4 << 10)).await;
        groups.insert(0, id);
    }

    // The newest conversations; of the last messages the first KiB.
    let (mut listed, mut offset) = (Vec::new(), 0);
    loop {
        let response = ann.get(&format!("/chats?offset={offset}")).await;
        assert!(response.text().len() <= MAX_ANSWER);
        let rooms = response.expect(200)["rooms"].take();
        let rooms = rooms.as_array().expect("a list");
        if rooms.is_empty() {
            break;
        }
        assert!(rooms.len() < GROUPS);
        for room in rooms {
            assert_eq!(room["last_message"]["text"], "\u{44f}".repeat(512));
            listed.push(room["id"].as_i64().expect("an id is a number"));
        }
        offset += rooms.len();
    }
    assert_eq!(listed, groups);

    let chats = json!({"mode": "getChats", "timestamp": 1, "token": mode.token});
    let reply = ask(&mut mode.peer, &chats).await;
    let rows = reply["chats"].as_array().expect("a list");
    let ids: Vec<&Value> = rows.iter().map(|row| &row["chat_id"]).collect();
    assert!(!ids.is_empty() && ids.len() < GROUPS);
    assert!(ids.iter().zip(&groups).all(|(id, group)| **id == json!(group)));

    let authorization = format!("Bearer {}", ann.access);
    let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
    let mut action = gateway.try_websocket("/ws/chat/", &headers).await.expect("she is a user");
    let rooms = ask(&mut action, &json!({"action": "list", "request_id": 1})).await;
    let rooms = rooms["data"].as_array().expect("a list").len();
    assert!((1..GROUPS).contains(&rooms), "{rooms}");

    let mut morelia = Morelia::log_in(&gateway, "ann").await;
    let reply = ask(&mut morelia.peer, &request("all_flow", &json!({"user": morelia.user}))).await;
    let flows = reply["data"]["flow"].as_array().expect("a list").len();
    assert!((1..GROUPS).contains(&flows), "{flows}");
    // Changes have all of them.
    let (mut time, mut flows) = (json!(0.0), BTreeSet::new());
    loop {
        let frame = request("get_update", &json!({"time": time, "user": morelia.user}));
        let data = ask(&mut morelia.peer, &frame).await["data"].take();
        match &data["flow"] {
            Value::Array(changed) => {
                flows.extend(changed.iter().map(|flow| flow["id"].as_i64()));
            }
            Value::Null => break,
            flow => {
                flows.insert(flow["id"].as_i64());
            }
        }
        time = data["time"].clone();
    }
    assert_eq!(flows, groups.iter().map(|group| Some(*group)).collect());
}

#[tokio::test]
async fn a_search_for_900_kilobytes_finds_nothing() {
    let gateway = Gateway::start().await;
    Mode::register(&gateway, "ann").await;
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": PASSWORD});
    assert_eq!(sndmsg.request(&login).await["status"], "LOGIN_OK");
    let search = |text: &str| json!({"type": "SEARCH_USER", "user": text});
    let found = sndmsg.request(&search("AN")).await;
    let nothing = sndmsg.request(&search("nobody")).await;
    assert_ne!(found, nothing);
    assert_eq!(sndmsg.request(&search(&"a".repeat(900_000))).await, nothing);
}
