//! The content of messages and of users as every dialect shows it: bounded, and without the contact
//! data of strangers.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, message, texts};
use crate::morelia::{Morelia, request};
use serde_json::{Value, json};

/// The largest frame that many clients accept.
const CLIENT_LIMIT: usize = 1 << 20;

/// The next frame, which is no larger than many clients accept.
async fn next(peer: &mut Peer) -> Value {
    let text = peer.next().await.expect("the connection is open");
    assert!(text.len() <= CLIENT_LIMIT, "a frame of {} bytes", text.len());
    serde_json::from_str(&text).expect("a frame is JSON")
}

async fn ask(peer: &mut Peer, frame: &Value) -> Value {
    peer.send(frame).await;
    next(peer).await
}

/// A connection of the dialect `sndmsg`, logged in.
async fn sndmsg(gateway: &Gateway, login: &str) -> Peer {
    let mut peer = gateway.websocket("/sndmsg").await;
    let frame = json!({"type": "REQUEST_LOGIN", "login": login, "pass": PASSWORD});
    assert_eq!(peer.request(&frame).await["status"], "LOGIN_OK");
    peer
}

/// A connection of the dialect `action`.
async fn action(user: &Bearer<'_>) -> Peer {
    let authorization = format!("Bearer {}", user.access);
    let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
    let opened = user.gateway.try_websocket("/ws/chat/", &headers).await;
    opened.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

async fn join(peer: &mut Peer, room: i64) -> Value {
    let joined = ask(peer, &json!({"action": "join_room", "room_pk": room, "request_id": 1})).await;
    assert_eq!(joined["response_status"], 200, "{joined}");
    joined["data"].clone()
}

/// The code and the detail of a reply of the dialect `morelia`.
fn outcome(reply: &Value) -> (i64, String) {
    let (code, detail) = (&reply["errors"]["code"], &reply["errors"]["detail"]);
    (code.as_i64().expect("a number"), detail.as_str().expect("a text").to_owned())
}

/// A request of the dialect `morelia` that posts a text and a picture.
fn with_picture(user: &Morelia, flow: i64, key: i64, text: &str, picture: &str) -> Value {
    let message = json!({"id": key, "text": text, "file": {"picture": picture}});
    let data = json!({"flow": {"id": flow}, "message": message, "user": user.user});
    request("send_message", &data)
}

#[tokio::test]
async fn a_huge_message_is_refused_and_its_addressee_is_served_in_every_dialect() {
    const HUGE: usize = 15 << 20;
    const LARGEST_TEXT: usize = 64 << 10;
    const LARGEST_FILE: usize = 768 << 10;
    let gateway = Gateway::start().await;
    let victim = Bearer::register(&gateway, "victim").await;
    let attacker = Bearer::register(&gateway, "attacker").await;
    let chat = attacker.chat_with(victim.id).await;
    let mut attacker = Morelia::log_in(&gateway, "attacker").await;

    let mut mode = Mode::log_in(&gateway, "victim").await;
    assert_eq!(mode.history(chat).await, [""; 0]);
    let mut sndmsg = sndmsg(&gateway, "victim").await;
    let (mut room, _) = victim.room(&format!("/chat/{chat}")).await;
    let mut action = action(&victim).await;
    join(&mut action, chat).await;
    let mut morelia = Morelia::log_in(&gateway, "victim").await;

    let reply = attacker.peer.request(&attacker.message(chat, 1, &"A".repeat(HUGE))).await;
    let refused = (400, "/data/message/text: must have at most 65536 bytes".to_owned());
    assert_eq!(outcome(&reply), refused);
    let frame = with_picture(&attacker, chat, 2, "look", &"A".repeat(HUGE));
    let reply = attacker.peer.request(&frame).await;
    let refused = (400, "/data/message/file: must have at most 786432 bytes in all".to_owned());
    assert_eq!(outcome(&reply), refused);
    // The largest message that is taken.
    let (text, file) = ("A".repeat(LARGEST_TEXT), "B".repeat(LARGEST_FILE));
    let reply = attacker.peer.request(&with_picture(&attacker, chat, 3, &text, &file)).await;
    assert_eq!(outcome(&reply).0, 200, "{reply}");

    // Pushed, and read later: the file is named where it cannot be carried.
    let named = format!("{text}\n[picture, {LARGEST_FILE} bytes]");
    assert_eq!(next(&mut mode.peer).await["messages"][0]["content"], named);
    assert_eq!(mode.history(chat).await, [named.as_str()]);
    assert_eq!(next(&mut sndmsg).await["message"], named);
    let read = json!({"type": "READ_MSG", "read": "ALL", "room_id": chat});
    assert_eq!(ask(&mut sndmsg, &read).await["message"], named);
    assert_eq!(next(&mut room).await["text"], named);
    assert_eq!(victim.room(&format!("/chat/{chat}")).await.1, [named.as_str()]);
    assert_eq!(next(&mut action).await["data"]["text"], named);
    let changes = request("get_update", &json!({"time": 0.0, "user": morelia.user}));
    let update = ask(&mut morelia.peer, &changes).await;
    let received = &update["data"]["message"];
    assert_eq!((&received["text"], &received["file"]["picture"]), (&json!(text), &json!(file)));
    mode.send(chat, "still here").await;
    assert_eq!(next(&mut room).await["text"], "still here");
}

#[tokio::test]
async fn the_bounds_of_content_are_the_same_in_every_dialect() {
    let gateway = Gateway::with(&[
        ("LIMITS__MAX_TEXT_BYTES", "100"),
        ("LIMITS__MAX_ATTACHMENT_BYTES", "200"),
    ])
    .await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    // Two bytes a letter.
    let fits = "\u{444}".repeat(50);
    let over = format!("{fits}A");

    let mut mode = Mode::log_in(&gateway, "ann").await;
    for (text, status) in [(&fits, 200), (&over, 422)] {
        let reply = mode.request("sendMessage", json!({"chat_id": group, "content": text})).await;
        assert_eq!(reply["status"], status, "{reply}");
    }

    let mut peer = sndmsg(&gateway, "ann").await;
    let send = |text: &str| {
        let (kind, login) = ("SND_MSG", "ann");
        json!({"type": kind, "username": login, "room_id": group, "message": text})
    };
    let sent = peer.request(&send(&fits)).await;
    assert_eq!(sent["status"], "SUCCESS", "{sent}");
    let reply = peer.request(&send(&over)).await;
    let detail = json!("message: must have at most 100 bytes");
    assert_eq!((&reply["status"], &reply["detail"]), (&json!("ERROR"), &detail), "{reply}");
    let edit = |text: &str| json!({"type": "EDIT_MSG", "id": sent["message_id"], "new_msg": text});
    assert_eq!(peer.request(&edit(&fits)).await["new_msg"], fits);
    assert_eq!(peer.request(&edit(&over)).await["status"], "ERROR");

    let mut morelia = Morelia::log_in(&gateway, "ann").await;
    for (key, text, code) in [(1, &fits, 200), (2, &over, 400)] {
        let reply = morelia.peer.request(&morelia.message(group, key, text)).await;
        assert_eq!(outcome(&reply).0, code, "{reply}");
    }
    for (key, bytes, code) in [(3, 200, 200), (4, 201, 400)] {
        let frame = with_picture(&morelia, group, key, "", &"A".repeat(bytes));
        let reply = morelia.peer.request(&frame).await;
        assert_eq!(outcome(&reply).0, code, "{reply}");
    }
    for (text, code) in [(&fits, 200), (&over, 400)] {
        let message = json!({"id": sent["message_id"], "text": text});
        let data = json!({"message": message, "user": morelia.user});
        let reply = morelia.peer.request(&request("edited_message", &data)).await;
        assert_eq!(outcome(&reply).0, code, "{reply}");
    }

    let (mut room, _) = ann.room(&format!("/group/{group}")).await;
    assert_eq!(room.request(&message(&fits)).await["text"], fits);
    assert_eq!(room.request(&message(&over)).await["type"], "error");

    let mut peer = action(&ann).await;
    join(&mut peer, group).await;
    let create = |text: &str| json!({"action": "create_message", "msg_text": text});
    let created = peer.request(&create(&fits)).await;
    assert_eq!(created["response_status"], 201, "{created}");
    let reply = peer.request(&create(&over)).await;
    let errors = json!(["msg_text: must have at most 100 bytes"]);
    assert_eq!((&reply["response_status"], &reply["errors"]), (&json!(400), &errors), "{reply}");
    for (text, status) in [(&fits, 200), (&over, 400)] {
        let id = &created["data"]["id"];
        let edit = json!({"action": "edit_message", "msg_id": id, "edited_msg_text": text});
        let reply = peer.request(&edit).await;
        assert_eq!(reply["response_status"], status, "{reply}");
    }
}

#[tokio::test]
async fn an_event_over_a_mebibyte_names_its_files() {
    const FILE: usize = 2 << 20;
    let gateway = Gateway::with(&[
        ("LIMITS__MAX_ATTACHMENT_BYTES", "4MiB"),
        ("DIALECTS__MORELIA__PUSH", "true"),
    ])
    .await;
    let bob = Bearer::register(&gateway, "bob").await;
    let ann = Bearer::register(&gateway, "ann").await;
    let chat = ann.chat_with(bob.id).await;
    let mut ann = Morelia::log_in(&gateway, "ann").await;
    let mut bob = Morelia::log_in(&gateway, "bob").await;
    let file = "A".repeat(FILE);
    for (key, file) in [(1, "UElDVFVSRQ=="), (2, &file)] {
        let reply = ann.peer.request(&with_picture(&ann, chat, key, "look", file)).await;
        assert_eq!(outcome(&reply).0, 200, "{reply}");
    }
    let small = next(&mut bob.peer).await;
    assert_eq!(small["data"]["message"]["file"], json!({"picture": "UElDVFVSRQ=="}));
    let pushed = &next(&mut bob.peer).await["data"]["message"];
    assert_eq!(pushed.get("file"), None);
    assert_eq!(pushed["text"], format!("look\n[picture, {FILE} bytes]"));
    let changes = request("get_update", &json!({"time": 0.0, "user": bob.user}));
    let update = bob.peer.request(&changes).await;
    assert_eq!(update["data"]["message"][1]["file"], json!({"picture": file}));
    let reduced = gateway.metric("tolmach_events_reduced_total", "dialect=\"morelia\"").await;
    assert_eq!(reduced, 1.0);
}

/// The e-mail address of a user among the participants of a room of the dialect `action`.
fn email(room: &Value, user: i64) -> Value {
    let participants = room["participants"].as_array().expect("a list");
    let found = participants.iter().find(|participant| participant["id"] == user);
    found.unwrap_or_else(|| panic!("{user} is not in {room}"))["user"]["email"].clone()
}

#[tokio::test]
async fn strangers_are_not_shown_addresses() {
    let gateway = Gateway::start().await;
    let victim = Bearer::register(&gateway, "victim").await;
    let stranger = Bearer::register(&gateway, "stranger").await;
    let group = stranger.group("harvest", &[victim.id]).await;
    let mut peer = action(&stranger).await;
    let list = json!({"action": "list", "request_id": 1});
    let emails = async |peer: &mut Peer| {
        let listed = email(&ask(peer, &list).await["data"][0], victim.id);
        [listed, email(&join(peer, group).await, victim.id)]
    };
    assert_eq!(emails(&mut peer).await, [Value::Null, Value::Null], "the victim was only added");
    let create = json!({"action": "create_message", "msg_text": "hello", "request_id": 2});
    let pushed = ask(&mut peer, &create).await;
    assert_eq!(email(&pushed["data"]["room"], victim.id), Value::Null, "{pushed}");
    assert_eq!(emails(&mut peer).await, [Value::Null, Value::Null], "only one has written");

    let (mut room, _) = victim.room(&format!("/group/{group}")).await;
    room.request(&message("who is there?")).await;
    let pushed = next(&mut peer).await;
    assert_eq!(pushed["data"]["user"]["email"], Value::Null, "{pushed}");
    let address = json!("victim@example.org");
    assert_eq!(emails(&mut peer).await, [address.clone(), address], "both have written");

    // An account without a username has its address as the login.
    let body = json!({"email": "address@example.org", "password": PASSWORD});
    gateway.json("POST", "/api/v1/register", None, &body).await.expect(200);
    let mut peer = sndmsg(&gateway, "stranger").await;
    for (query, expected) in [("@", json!([])), ("addr", json!([])), ("vict", json!(["victim"]))] {
        let found = peer.request(&json!({"type": "SEARCH_USER", "user": query})).await;
        assert_eq!(found["user"], expected, "{query}");
    }
    let dialogs = peer.request(&json!({"type": "OLD_DIALOGS", "username": "stranger"})).await;
    assert_eq!(texts(&json!([dialogs]), "type"), ["OLD_DIALOGS"]);
}
