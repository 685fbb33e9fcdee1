//! Revisions of dialects: recognised by the first frame, on the dialect's own path and on shared
//! paths, or pinned by the operator.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, message};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The frame with which a client that speaks Python literals registers.
fn literal_registration(name: &str) -> String {
    format!(
        "{{'mode': 'register', 'timestamp': '2024-11-21 15:46:54', 'username': '{name}', \
         'email': '{name}@example.org', 'password': '{PASSWORD}'}}"
    )
}

/// The text of the next frame.
async fn next(peer: &mut Peer) -> String {
    peer.next().await.expect("the connection is open")
}

/// The text between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("{after} is not in {rest}")).0
}

#[tokio::test]
async fn a_client_of_python_literals_talks_with_one_of_the_document_on_every_path() {
    let gateway = Gateway::start().await;
    for (index, path) in ["/mode", "/ws"].into_iter().enumerate() {
        let (console, web) = (format!("console{index}"), format!("web{index}"));
        let mut json = gateway.websocket(path).await;
        let reply = json
            .request(&json!({"mode": "register", "timestamp": 1, "username": web,
                "password": PASSWORD, "email": format!("{web}@example.org")}))
            .await;
        assert_eq!(reply["status"], 200, "{path}: {reply}");

        let mut literal = gateway.websocket(path).await;
        literal.send_text(&literal_registration(&console)).await;
        let reply = next(&mut literal).await;
        assert!(reply.contains("'status': '200'"), "{path}: {reply}");
        let token = between(&reply, "'token': '", "'").to_owned();

        literal
            .send_text(&format!(
                "{{'mode': 'createPersonalChat', 'timestamp': '2024-11-21 15:46:55', \
                 'token': '{token}', 'contact_value': '{web}', 'contact_mode': 'username'}}"
            ))
            .await;
        let reply = next(&mut literal).await;
        assert!(reply.contains("'status': '200'"), "{path}: {reply}");
        let chat = between(&reply, "'chat_id': ", "}").split(',').next().unwrap_or_default();
        literal
            .send_text(&format!(
                "{{'mode': 'sendMessage', 'timestamp': '2024-11-21 15:46:56', 'token': '{token}', \
                 'chat_id': '{chat}', 'content': \"it's me\", 'content_type': 'text'}}"
            ))
            .await;
        let pushed = json.receive().await;
        assert_eq!(pushed["messages"][0]["content"], "it's me", "{path}: {pushed}");
    }
}

#[tokio::test]
async fn the_metrics_tell_the_connections_and_requests_of_each_revision() {
    let gateway = Gateway::start().await;
    let _web = Mode::register(&gateway, "web").await;
    let mut literal = gateway.websocket("/mode").await;
    literal.send_text(&literal_registration("console")).await;
    let reply = next(&mut literal).await;
    assert!(reply.contains("'status': '200'"), "{reply}");
    for revision in ["doc", "literal"] {
        let labels = format!("dialect=\"mode\",revision=\"{revision}\"");
        assert_eq!(gateway.metric("tolmach_connections", &labels).await, 1.0, "{revision}");
        assert_eq!(gateway.metric("tolmach_requests_total", &labels).await, 1.0, "{revision}");
    }
}

/// The first frame of a client that opens a path with this user agent and asks for an unknown
/// operation in JSON, and also in Python.
async fn probed(gateway: &Gateway, path: &str, agent: &str) -> String {
    let opened = gateway.try_websocket(path, &[("user-agent", agent)]).await;
    let mut peer = opened.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
    peer.send(&json!({"mode": "probe", "timestamp": 1})).await;
    next(&mut peer).await
}

#[tokio::test]
async fn a_pin_by_path_and_one_by_user_agent_are_stronger_than_the_first_frame() {
    let gateway = Gateway::with_file(
        "[[dialects.mode.pin]]\nrevision = \"literal\"\npath = \"/mode\"\n\
         [[dialects.mode.pin]]\nrevision = \"literal\"\naddress = \"127.0.0.0/8\"\n\
         user_agent = \"Dash\"\n",
        &[],
    )
    .await;
    for (path, agent, revision) in [
        ("/mode", "browser", "literal"),
        ("/mode/", "browser", "literal"),
        ("/ws", "Dash/1.0", "literal"),
        ("/ws", "browser", "doc"),
    ] {
        let reply = probed(&gateway, path, agent).await;
        let is_literal = reply.starts_with("{'");
        assert_eq!(is_literal, revision == "literal", "{path} {agent}: {reply}");
    }
}

#[tokio::test]
async fn a_revision_that_is_disabled_is_not_recognised() {
    let gateway = Gateway::with(&[("DIALECTS__MODE__DISABLED_REVISIONS", "literal")]).await;
    let mut peer = gateway.websocket("/ws").await;
    peer.send_text(&literal_registration("console")).await;
    let (frames, code) = peer.end().await;
    assert_eq!(code, Some(1008), "{frames:?}");
}

#[tokio::test]
async fn an_own_revision_is_pinned_for_the_user_whose_token_the_handshake_has() {
    let files = TempDir::new().expect("a temporary folder can be made");
    let file = "[dialect]\nextends = \"action-2025-03.toml\"\nrevision = \"own\"\n\
                credentials = \"header\"\n";
    std::fs::write(files.path().join("own.toml"), file).expect("it can be written");
    let folder = files.path().to_str().expect("the path is UTF-8");
    let pin = "[[dialects.action.pin]]\nrevision = \"own\"\nuser = \"Ann\"\n";
    let gateway = Gateway::with_file(pin, &[("DIALECTS__FOLDER", folder)]).await;
    let mut open = Vec::new();
    for login in ["ann", "bob"] {
        let user = Bearer::register(&gateway, login).await;
        let authorization = format!("Bearer {}", user.access);
        let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
        let mut peer = gateway
            .try_websocket("/ws/chat/", &headers)
            .await
            .unwrap_or_else(|refusal| panic!("{login}: {refusal:?}"));
        peer.request(&json!({"action": "probe", "request_id": 1})).await;
        open.push(peer);
    }
    for revision in ["own", "doc"] {
        let labels = format!("dialect=\"action\",revision=\"{revision}\"");
        assert_eq!(gateway.metric("tolmach_connections", &labels).await, 1.0, "{revision}");
    }
}

#[tokio::test]
async fn an_unknown_revision_and_a_faulty_file_are_refused_with_what_exists_and_the_place() {
    let files = TempDir::new().expect("a temporary folder can be made");
    let gateway = Gateway::start().await;
    for (key, value, expected) in [
        ("DIALECTS__MODE__DISABLED_REVISIONS", "litteral", "mode has no revision \"litteral\""),
        ("DIALECTS__MODE__DISABLED_REVISIONS", "litteral", "it has literal"),
        ("DIALECTS__FOLDER", files.path().to_str().expect("it is UTF-8"), "own.toml:2:7: idd: "),
    ] {
        std::fs::write(files.path().join("own.toml"), "[dialect]\nidd = \"x\"\n")
            .expect("it can be written");
        let checked = gateway.run_with(&[(key, value)], ["check"]).await;
        let errors = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{key}: {errors}");
        assert!(errors.contains(expected), "{key}: {expected:?} is not in {errors}");
    }
}

#[tokio::test]
async fn a_page_of_python_literals_checks_its_token_by_http() {
    let gateway = Gateway::start().await;
    let user = Mode::register(&gateway, "ann").await;
    let other = format!("{}x", user.token);
    for (token, status, body) in
        [(Some(&user.token), 200, "True"), (Some(&other), 401, "False"), (None, 401, "False")]
    {
        let request = gateway.request("GET", "/api").header("sec-fetch-mode", "token_validation");
        let request = match token {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        let request = request.body(Bytes::new()).expect("the parts are valid");
        let response = gateway.send(request).await;
        assert_eq!((response.status.as_u16(), response.text().as_str()), (status, body));
    }
}

/// A connection of `action` whose token is in a subprotocol.
async fn by_subprotocol(gateway: &Gateway, user: &Bearer<'_>) -> Peer {
    let subprotocols = format!("chat, {}", user.access);
    let headers = [("sec-websocket-protocol", &*subprotocols)];
    let opened = gateway.try_websocket("/ws/chat/", &headers).await;
    opened.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[tokio::test]
async fn a_connection_by_subprotocol_gets_events_as_the_revision_of_its_first_frame() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = ann.group("friends", &[bob.id]).await;
    let mut peer = by_subprotocol(&gateway, &bob).await;
    let (mut room, _) = ann.room(&format!("/group/{group}")).await;
    room.request(&message("before the first frame")).await;
    let join = json!({"action": "join_room", "room_pk": group, "request_id": "1"});
    let joined = peer.request(&json!({"stream": "chat", "payload": join})).await;
    assert_eq!(joined["payload"]["response_status"], 200, "{joined}");
    room.request(&message("after it")).await;
    let pushed = peer.receive().await;
    assert_eq!(pushed["payload"]["data"]["text"], "after it", "{pushed}");
}

#[tokio::test]
async fn one_message_of_another_author_keeps_all_that_a_request_of_2025_deletes() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = ann.group("friends", &[bob.id]).await;
    let path = format!("/group/{group}");
    let mut posted = Vec::new();
    for (author, text) in [(&ann, "a1"), (&bob, "b1"), (&ann, "a2")] {
        let (mut room, _) = author.room(&path).await;
        posted.push(room.request(&message(text)).await["id"].clone());
    }
    let mut peer = by_subprotocol(&gateway, &ann).await;
    let join = json!({"action": "join_room", "room_id": group, "request_id": 1});
    assert_eq!(peer.request(&join).await["response_status"], 200);
    let mut delete = async |ids: &[&Value]| {
        let frame = json!({"action": "delete_messages", "messages_ids": ids, "request_id": 2});
        peer.request(&frame).await
    };
    let refused = delete(&[&posted[0], &posted[1], &posted[2]]).await;
    let errors = json!(["Not all messages exist! Nothing was deleted."]);
    let found = (&refused["response_status"], &refused["errors"]);
    assert_eq!(found, (&json!(404), &errors), "{refused}");
    assert_eq!(ann.room(&path).await.1, ["a2", "b1", "a1"]);
    let deleted = delete(&[&posted[0], &posted[2]]).await;
    assert_eq!(deleted["response_status"], 200, "{deleted}");
    assert_eq!(deleted["data"]["messages_ids"], json!([posted[0], posted[2]]), "{deleted}");
    assert_eq!(ann.room(&path).await.1, ["b1"]);
}
