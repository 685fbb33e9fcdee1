//! The dialect `mode`: every operation, status, form of time and push of protocols/mode/SPEC.md.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, eventually, message, texts};
use serde_json::{Value, json};
use std::path::Path;
use tokio_tungstenite::tungstenite::Message;

/// A client of `mode`, a chat and a group with another user, and a group without the client.
struct Setup<'a> {
    ann: Mode,
    bob: Bearer<'a>,
    chat: i64,
    group: i64,
    foreign: i64,
}

async fn set_up(gateway: &Gateway) -> Setup<'_> {
    let ann = Mode::register(gateway, "ann").await;
    let ann_id = Bearer::log_in(gateway, "ann").await.id;
    let bob = Bearer::register(gateway, "bob").await;
    let chat = bob.chat_with(ann_id).await;
    let group = bob.group("friends", &[ann_id]).await;
    let foreign = bob.group("foreign", &[]).await;
    Setup { ann, bob, chat, group, foreign }
}

#[tokio::test]
async fn every_operation_is_answered_as_documented() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, chat, group, .. } = set_up(&gateway).await;
    let mut reply = async |mode: &str, fields: Value| {
        let mut reply = ann.request(mode, fields).await;
        assert!(reply["timestamp"].take().is_number(), "{reply}");
        reply
    };
    for (mode, chat, text) in [
        ("sendMessage", chat, "Hello"),
        ("sendMessage", group, "all"),
        ("sendGroupMessage", group, "again"),
    ] {
        let sent =
            reply(mode, json!({"chat_id": chat, "content": text, "content_type": "text"})).await;
        assert_eq!(sent, json!({"mode": mode, "timestamp": null, "status": 200}));
    }
    let chats = reply("getChats", json!({})).await;
    let group_row = json!({"chat_id": group, "chat_name": "friends", "chat_type": "group"});
    let chat_row = json!({"chat_id": chat, "chat_name": "bob", "chat_type": "personal"});
    let expected = json!({
        "mode": "getChats",
        "timestamp": null,
        "status": 200,
        "chats": [group_row, chat_row],
    });
    assert_eq!(chats, expected, "the newest activity comes first");

    let messages = reply("getMessages", json!({"chat_id": group})).await;
    assert_eq!(texts(&messages["messages"], "content"), ["all", "again"], "the oldest comes first");
    let row = &messages["messages"][0];
    let keys: Vec<_> =
        row.as_object().expect("a row is an object").keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["content", "content_time", "content_type", "from_id", "from_name", "message_id"]
    );
    assert_eq!((&row["from_name"], &row["content_type"]), (&json!("ann"), &json!("text")));

    let recovery = reply(
        "recovery",
        json!({"username": "ann", "known_data": "ann", "known_data_type": "username"}),
    )
    .await;
    assert_eq!(recovery, json!({"mode": "recovery", "timestamp": null, "status": 202}));
    let out = reply("logout", json!({"username": "ANN"})).await;
    assert_eq!(out, json!({"mode": "logout", "timestamp": null, "status": 200}));
    let refused = reply("getChats", json!({})).await;
    assert_eq!(refused["status"], 401, "the token has ended");
}

#[tokio::test]
async fn the_keys_of_a_reply_come_in_the_documented_order() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    for (mode, expected) in [
        ("getChats", [r#"{"mode":"getChats","timestamp":"#, r#","status":200,"chats":[]}"#]),
        ("auth", [r#"{"mode":"auth","timestamp":"#, r#","token":null}"#]),
        (
            "unknown",
            [r#"{"mode":"unknown","timestamp":"#, r#","status":501,"error_msg":"unknown mode"}"#],
        ),
    ] {
        ann.peer.send(&json!({"mode": mode, "timestamp": 1, "token": ann.token})).await;
        let reply = ann.peer.next().await.expect("the connection is open");
        assert!(reply.starts_with(expected[0]) && reply.ends_with(expected[1]), "{reply}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_status_and_leaves_the_connection_open() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, chat, group, foreign, .. } = set_up(&gateway).await;
    let token = ann.token.clone();
    let long = "x".repeat(65);
    let account = |mode: &str, username: Value, password: Value| {
        let email = Value::Null;
        json!({"mode": mode, "username": username, "password": password, "email": email})
    };
    let send = |chat: Value, content: Value, content_type: Value| {
        json!({
            "mode": "sendMessage",
            "token": token,
            "chat_id": chat,
            "content": content,
            "content_type": content_type,
        })
    };
    let read = |chat: Value| json!({"mode": "getMessages", "token": token, "chat_id": chat});
    let recover = |data: Value, data_type: Value| {
        let mode = "recovery";
        json!({"mode": mode, "known_data": data, "known_data_type": data_type})
    };
    for (name, frame, status) in [
        ("an unknown mode", json!({"mode": "fly"}), 501),
        ("a mode in other case", json!({"mode": "getchats", "token": token}), 501),
        (
            "a register without e-mail",
            json!({"mode": "register", "username": "carol", "password": "x"}),
            422,
        ),
        ("a register with a number for a name", account("register", json!(1), json!("x")), 422),
        ("a register with an empty name", account("register", json!(""), json!("x")), 422),
        ("a register with a long name", account("register", json!(long), json!("x")), 422),
        ("a register with an empty password", account("register", json!("carol"), json!("")), 422),
        (
            "a register of a taken name in other case",
            account("register", json!("ANN"), json!("x")),
            409,
        ),
        ("an auth with a wrong password", account("auth", json!("ann"), json!("wrong")), 401),
        ("an auth of an unknown user", account("auth", json!("nobody"), json!("wrong")), 401),
        ("an auth without password", json!({"mode": "auth", "username": "ann"}), 422),
        ("an auth with a null password", account("auth", json!("ann"), json!(null)), 422),
        ("no token", json!({"mode": "getChats"}), 422),
        ("a null token", json!({"mode": "getChats", "token": null}), 401),
        ("a token that is a number", json!({"mode": "getChats", "token": 7}), 422),
        ("an unknown token", json!({"mode": "getChats", "token": "x"}), 401),
        ("an empty token", json!({"mode": "getChats", "token": ""}), 401),
        ("no chat", json!({"mode": "getMessages", "token": token}), 422),
        ("a chat that is a string", read(json!(chat.to_string())), 422),
        ("a chat that is a fraction", read(json!(1.5)), 422),
        ("a chat that is absent", read(json!(999_999)), 404),
        ("a chat of others", read(json!(foreign)), 404),
        ("a chat with a negative id", read(json!(-1)), 404),
        ("a chat with id zero", read(json!(0)), 404),
        ("a chat with an id out of range", read(json!(u64::MAX)), 404),
        ("a message to a chat of others", send(json!(foreign), json!("x"), json!("text")), 404),
        (
            "a message without content",
            json!({"mode": "sendMessage", "token": token, "chat_id": chat}),
            422,
        ),
        ("a message whose content is a number", send(json!(chat), json!(5), json!("text")), 422),
        ("a message whose content is empty", send(json!(chat), json!(""), json!("text")), 422),
        ("a content type that is a number", send(json!(chat), json!("x"), json!(1)), 422),
        ("a content type that is empty", send(json!(chat), json!("x"), json!("")), 422),
        ("a content type that is too long", send(json!(chat), json!("x"), json!(long)), 422),
        (
            "a group message to a personal chat",
            json!({"mode": "sendGroupMessage", "token": token, "chat_id": chat, "content": "x"}),
            400,
        ),
        ("a recovery of an unknown kind", recover(json!("ann"), json!("phone")), 422),
        ("a recovery without data", recover(json!(null), json!("email")), 422),
        (
            "a logout of another user",
            json!({"mode": "logout", "token": token, "username": "bob"}),
            401,
        ),
    ] {
        let reply = ann.peer.request(&frame).await;
        assert_eq!(reply["status"], status, "{name}: {reply}");
        assert_eq!(reply["mode"], frame["mode"], "{name}: {reply}");
        assert!(
            reply["error_msg"].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: {reply}"
        );
        let hands_out = matches!(frame["mode"].as_str(), Some("register" | "auth"));
        assert_eq!(reply.get("token"), hands_out.then_some(&Value::Null), "{name}: {reply}");
    }
    for (name, message, status) in [
        ("half an object", Message::text("{"), 400),
        ("an empty frame", Message::text(""), 400),
        ("a list", Message::text("[]"), 400),
        ("a string", Message::text("\"mode\""), 400),
        ("null", Message::text("null"), 400),
        ("an object without mode", Message::text("{}"), 400),
        ("a mode that is a number", Message::text(r#"{"mode":1}"#), 400),
        ("a key twice", Message::text(r#"{"mode":"auth","mode":"auth"}"#), 400),
        ("a binary frame", Message::binary(&br#"{"mode":"getChats"}"#[..]), 400),
    ] {
        ann.peer.send_message(message).await;
        let reply = ann.peer.receive().await;
        assert_eq!(
            (&reply["status"], &reply["mode"]),
            (&json!(status), &Value::Null),
            "{name}: {reply}"
        );
    }
    for (name, mode, fields) in [
        (
            "a null content type",
            "sendMessage",
            json!({"chat_id": chat, "content": "x", "content_type": null}),
        ),
        ("no content type", "sendGroupMessage", json!({"chat_id": group, "content": "x"})),
        (
            "a custom content type",
            "sendMessage",
            json!({"chat_id": group, "content": "x", "content_type": "poem"}),
        ),
        ("unknown fields", "getChats", json!({"more": {"and": ["more"]}})),
    ] {
        let reply = ann.request(mode, fields).await;
        assert_eq!(reply["status"], 200, "{name}: {reply}");
    }
}

#[tokio::test]
async fn a_login_is_by_name_or_address_in_any_case_and_does_not_reveal_unknown_users() {
    let gateway = Gateway::start().await;
    Mode::register(&gateway, "ann").await;
    let mut peer = gateway.websocket("/mode").await;
    let mut auth = async |username: &str, password: &str| {
        let request =
            json!({"mode": "auth", "timestamp": 1, "username": username, "password": password});
        let mut reply = peer.request(&request).await;
        reply["timestamp"].take();
        reply
    };
    for username in ["ann", "ANN", "ann@example.org", "Ann@Example.Org"] {
        assert_eq!(auth(username, PASSWORD).await["status"], 200, "{username}");
    }
    let wrong = auth("ann", "wrong").await;
    assert_eq!((&wrong["status"], &wrong["token"]), (&json!(401), &Value::Null));
    assert_eq!(auth("nobody", "wrong").await, wrong);
    assert_ne!(
        auth("ann", PASSWORD).await["token"],
        auth("ann", PASSWORD).await["token"],
        "each login grants a new token"
    );
}

/// True for `YYYY-MM-DD hh:mm:ss`.
fn is_plain(time: &Value) -> bool {
    let Some(text) = time.as_str() else { return false };
    text.len() == 19
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

#[tokio::test]
async fn times_have_the_form_of_the_request() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, chat, .. } = set_up(&gateway).await;
    ann.send(chat, "x").await;
    for (timestamp, number) in [
        (json!(1_700_000_000), true),
        (json!(1.5), true),
        (json!(-1e300), true),
        (json!("2023-11-14 22:13:20"), false),
        (json!("tomorrow"), false),
        (json!(null), false),
        (json!([]), false),
    ] {
        let reply =
            ann.request("getMessages", json!({"chat_id": chat, "timestamp": timestamp})).await;
        for time in [&reply["timestamp"], &reply["messages"][0]["content_time"]] {
            assert!(if number { time.is_number() } else { is_plain(time) }, "{timestamp}: {reply}");
        }
    }
    let reply = ann.peer.request(&json!({"mode": "getChats", "token": ann.token})).await;
    assert!(is_plain(&reply["timestamp"]), "no timestamp: {reply}");
}

/// A connection that receives pushes by this token, after a request with this timestamp.
async fn receiver(gateway: &Gateway, token: &str, timestamp: Value) -> Peer {
    let mut peer = gateway.websocket("/mode").await;
    let reply =
        peer.request(&json!({"mode": "getChats", "timestamp": timestamp, "token": token})).await;
    assert_eq!(reply["status"], 200, "{reply}");
    peer
}

#[tokio::test]
async fn a_message_is_pushed_in_each_receivers_form_and_not_to_its_sender() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, bob, chat, .. } = set_up(&gateway).await;
    let mut numbers = receiver(&gateway, &ann.token, json!(1)).await;
    let mut strings = receiver(&gateway, &ann.token, json!("2023-11-14 22:13:20")).await;
    let (mut room, _) = bob.room(&format!("/chat/{chat}")).await;

    ann.send(chat, "mine").await;
    for (peer, number) in [(&mut numbers, true), (&mut strings, false)] {
        let push = peer.receive().await;
        assert_eq!(
            (&push["mode"], &push["status"], &push["chat_id"]),
            (&json!("getMessages"), &json!(200), &json!(chat))
        );
        assert_eq!(
            texts(&push["messages"], "content"),
            ["mine"],
            "the author's other connections receive it"
        );
        for time in [&push["timestamp"], &push["messages"][0]["content_time"]] {
            assert!(if number { time.is_number() } else { is_plain(time) }, "{push}");
        }
    }
    room.receive().await;
    room.request(&message("theirs")).await;
    assert_eq!(ann.pushed().await, "theirs", "the sender does not receive its own message");
}

#[tokio::test]
async fn pushes_begin_with_a_token_and_end_with_its_session() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, bob, chat, .. } = set_up(&gateway).await;
    let mut other_session =
        receiver(&gateway, &Mode::log_in(&gateway, "ann").await.token, json!(1)).await;
    let mut silent = gateway.websocket("/mode").await;
    let mut same_session = receiver(&gateway, &ann.token, json!(1)).await;
    let (mut room, _) = bob.room(&format!("/chat/{chat}")).await;

    room.request(&message("before")).await;
    for peer in [&mut other_session, &mut same_session, &mut ann.peer] {
        assert_eq!(peer.receive().await["messages"][0]["content"], "before");
    }
    assert_eq!(ann.request("logout", json!({})).await["status"], 200);
    room.request(&message("after")).await;
    assert_eq!(
        other_session.receive().await["messages"][0]["content"],
        "after",
        "the other session still receives"
    );
    for (name, peer) in [
        ("no token", &mut silent),
        ("logged out", &mut ann.peer),
        ("logged out elsewhere", &mut same_session),
    ] {
        assert_eq!(
            peer.request(&json!({"mode": "probe"})).await["status"],
            501,
            "{name}: no push was received"
        );
    }
    ann.token = Mode::log_in(&gateway, "ann").await.token;
    assert_eq!(ann.request("getChats", json!({})).await["status"], 200);
    room.request(&message("again")).await;
    assert_eq!(ann.pushed().await, "again");
}

#[tokio::test]
async fn pushes_can_be_switched_off() {
    let gateway = Gateway::with(&[("DIALECTS__MODE__PUSH", "false")]).await;
    let Setup { mut ann, bob, chat, .. } = set_up(&gateway).await;
    let (mut room, _) = bob.room(&format!("/chat/{chat}")).await;
    room.request(&message("not pushed")).await;
    let (mut again, history) = bob.room(&format!("/chat/{chat}")).await;
    assert_eq!(history, ["not pushed"]);
    again.request(&message("nor this")).await;
    let reply = ann
        .peer
        .request(&json!({"mode": "getMessages", "token": ann.token, "chat_id": chat}))
        .await;
    assert_eq!(
        texts(&reply["messages"], "content"),
        ["not pushed", "nor this"],
        "no push before it"
    );
}

/// The mails in a folder.
fn mails(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    files.map(|file| std::fs::read_to_string(file.path()).expect("a mail is text")).collect()
}

/// The path of the recovery page in a mail.
fn link(mail: &str) -> String {
    let start = mail.find("/recover?token=").unwrap_or_else(|| panic!("no link in {mail}"));
    mail[start..].split_whitespace().next().expect("the link is not empty").to_owned()
}

#[tokio::test]
async fn recovery_mails_a_link_that_sets_a_new_password_once_and_ends_all_sessions() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, chat, .. } = set_up(&gateway).await;
    let pair = Bearer::log_in(&gateway, "ann").await;
    let (mut room, _) = pair.room(&format!("/chat/{chat}")).await;
    let folder = gateway.data().join("mail");

    for (data, kind) in [
        ("nobody@example.org", "email"),
        ("nobody", "username"),
        ("", "email"),
        ("ann@example.org", "email"),
    ] {
        let reply = ann
            .request(
                "recovery",
                json!({"username": "ann", "known_data": data, "known_data_type": kind}),
            )
            .await;
        assert_eq!(
            (&reply["status"], reply.as_object().map(serde_json::Map::len)),
            (&json!(202), Some(3)),
            "{data}: {reply}"
        );
    }
    let mail = eventually("a mail", async || mails(&folder).pop()).await;
    assert_eq!(mails(&folder).len(), 1, "no other user is mailed");
    assert!(mail.contains("To: ann@example.org"), "{mail}");
    assert!(
        mail.contains(&format!("http://{}/recover?token=", gateway.address)),
        "the link leads back here: {mail}"
    );
    let path = link(&mail);
    let token = path.split_once('=').expect("the link has a token").1.to_owned();

    let page = gateway.get(&path).await;
    assert_eq!(
        (page.status.as_u16(), page.text().contains("<form")),
        (200, true),
        "{}",
        page.text()
    );
    let submit = async |token: &str, password: &str| {
        let body = format!("token={token}&password={password}&repeat={password}");
        let request = gateway
            .request("POST", "/recover")
            .header("content-type", "application/x-www-form-urlencoded");
        gateway.send(request.body(body.into()).expect("the path is one")).await.status.as_u16()
    };
    assert!((400..500).contains(&submit("0000", "new+secret").await), "another token");
    assert!((400..500).contains(&submit(&token, "").await), "an empty password");
    assert_eq!(submit(&token, "new+secret").await, 200);
    assert!((400..500).contains(&submit(&token, "third").await), "the link was spent");
    assert_ne!(
        gateway.get(&path).await.status.as_u16(),
        200,
        "the page of a spent link has no form"
    );

    assert_eq!(
        ann.request("getChats", json!({})).await["status"],
        401,
        "the old tokens have ended"
    );
    assert_eq!(room.end().await.1, Some(1008), "an open room is closed");
    pair.get("/user").await.refused(401);
    gateway
        .json("POST", "/api/v1/refresh", None, &json!({"refresh_token": pair.refresh}))
        .await
        .refused(401);
    let auth = async |password: &str| {
        let body = json!({"username": "ann", "password": password});
        gateway.json("POST", "/api/v1/login", None, &body).await.status.as_u16()
    };
    assert_eq!((auth(PASSWORD).await, auth("new secret").await), (401, 200));
}

#[tokio::test]
async fn recovery_links_begin_with_the_public_address() {
    let gateway = Gateway::with(&[("HTTP__PUBLIC_URL", "https://chat.example.org")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    ann.request(
        "recovery",
        json!({"username": null, "known_data": "ANN", "known_data_type": "username"}),
    )
    .await;
    let mail = eventually("a mail", async || mails(&gateway.data().join("mail")).pop()).await;
    assert!(mail.contains("https://chat.example.org/recover?token="), "{mail}");
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_in_their_order() {
    let gateway = Gateway::start().await;
    let Setup { mut ann, chat, .. } = set_up(&gateway).await;
    for count in 0..50 {
        let (token, content) = (&ann.token, count.to_string());
        let send =
            json!({"mode": "sendMessage", "token": token, "chat_id": chat, "content": content});
        ann.peer.send(&send).await;
        ann.peer.send(&json!({"mode": format!("probe {count}")})).await;
    }
    for count in 0..50 {
        assert_eq!(ann.peer.receive().await["mode"], "sendMessage");
        assert_eq!(ann.peer.receive().await["mode"], format!("probe {count}"));
    }
    let expected: Vec<_> = (0..50).map(|count: usize| count.to_string()).collect();
    assert_eq!(ann.history(chat).await, expected);
}
