//! Revisions of dialects: recognised by the first frame, on the dialect's own path and on shared
//! paths.

use crate::harness::{Gateway, Mode, PASSWORD, Peer};
use serde_json::json;

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
