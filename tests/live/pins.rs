//! Revisions that an operator pins, for clients whose first frame does not tell them.

use crate::harness::{Bearer, Gateway, PASSWORD, Peer, message};
use serde_json::{Value, json};

/// Every revision of `morelia` that a client of the field needs, pinned by path, by network and by
/// user agent.
const MORELIA: &str = r#"
[routing]
shared_paths = ["/ws", "/1.15", "/1.16", "/17", "/server-2020"]
[[dialects.morelia.pin]]
revision = "1.15"
path = "/1.15"
[[dialects.morelia.pin]]
revision = "1.16"
path = "/1.16"
[[dialects.morelia.pin]]
revision = "17"
path = "/17"
[[dialects.morelia.pin]]
revision = "server-2020"
path = "/server-2020"
[[dialects.morelia.pin]]
revision = "1.15"
address = "127.15.0.0/16"
[[dialects.morelia.pin]]
revision = "1.16"
address = "127.16.0.0/16"
[[dialects.morelia.pin]]
revision = "17"
address = "127.17.0.0/16"
[[dialects.morelia.pin]]
revision = "server-2020"
address = "127.20.0.0/16"
[[dialects.morelia.pin]]
revision = "1.15"
user_agent = "Morelia/1.15"
[[dialects.morelia.pin]]
revision = "1.16"
user_agent = "Morelia/1.16"
[[dialects.morelia.pin]]
revision = "17"
user_agent = "Morelia/17"
[[dialects.morelia.pin]]
revision = "server-2020"
user_agent = "Morelia/2020"
"#;

/// Registers with a first frame that does not tell the revision, and checks the form of the
/// response.
async fn register(peer: &mut Peer, revision: &str, name: &str) {
    let user = json!({"login": name, "password": PASSWORD});
    let user = if revision == "server-2020" { user } else { json!([user]) };
    let reply = peer.request(&json!({"type": "register_user", "data": {"user": user}})).await;
    assert_eq!(reply["errors"]["code"], 201, "{revision} {name}: {reply}");
    let user = &reply["data"]["user"][0];
    let is_of_revision = match revision {
        "server-2020" => reply["data"].is_null(),
        "1.15" => user["uuid"].is_i64(),
        "1.16" => user["uuid"].is_string() && reply["jsonapi"] == json!({"version": "1.0"}),
        "17" => user["uuid"].is_string() && reply["jsonapi"]["revision"] == "17",
        other => panic!("{other} is no revision of this trial"),
    };
    assert!(is_of_revision, "{revision} {name}: {reply}");
}

#[tokio::test]
async fn clients_of_morelia_are_served_the_revision_that_is_pinned_by_path_network_and_agent() {
    let gateway = Gateway::with_file(MORELIA, &[]).await;
    let mut open = Vec::new();
    for (revision, second, agent) in [
        ("1.15", 15, "Morelia/1.15 Android"),
        ("1.16", 16, "Morelia/1.16 Android"),
        ("17", 17, "Morelia/17 Flutter"),
        ("server-2020", 20, "Morelia/2020"),
    ] {
        let mut by_path = gateway.websocket(&format!("/{revision}")).await;
        register(&mut by_path, revision, &format!("path-{second}")).await;
        let stream = gateway.connect_from([127, second, 0, 1]).await;
        let by_address = gateway.try_websocket_on(stream, "/morelia", &[]).await;
        let mut by_address = by_address.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        register(&mut by_address, revision, &format!("address-{second}")).await;
        let by_agent = gateway.try_websocket("/ws", &[("user-agent", agent)]).await;
        let mut by_agent = by_agent.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        register(&mut by_agent, revision, &format!("agent-{second}")).await;
        let labels = format!("dialect=\"morelia\",revision=\"{revision}\"");
        assert_eq!(gateway.metric("tolmach_connections", &labels).await, 3.0, "{revision}");
        open.extend([by_path, by_address, by_agent]);
    }
    // A client that fits no pin has the revision that its first frame tells.
    let mut other = gateway.websocket("/morelia").await;
    register(&mut other, "1.16", "other").await;
}

#[tokio::test]
async fn the_mobile_client_of_swiftly_is_pinned_by_agent_network_and_user() {
    let pins = ["user_agent = \"Dart\"", "address = \"127.9.0.0/16\"", "user = \"carl\""];
    let pins =
        pins.map(|pin| format!("[[dialects.bearer.pin]]\nrevision = \"swiftly-mobile\"\n{pin}\n"));
    let gateway = Gateway::with_file(&pins.concat(), &[]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let carl = Bearer::register(&gateway, "carl").await;
    let chat = ann.chat_with(carl.id).await;
    let path = format!("/api/v1/chat/{chat}");
    let [anns, carls] = [&ann, &carl].map(|user| format!("Bearer {}", user.access));
    let connect = async |address, token: &str, agent| {
        let stream = gateway.connect_from(address).await;
        let headers = [("authorization", token), ("user-agent", agent)];
        let opened = gateway.try_websocket_on(stream, &path, &headers).await;
        let mut room = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(room.receive().await["type"], "history");
        room
    };
    let mut rooms = [
        ("by user agent", true, connect([127, 0, 0, 1], &anns, "Dart/3.1").await),
        ("by network", true, connect([127, 9, 0, 1], &anns, "browser").await),
        ("by user", true, connect([127, 0, 0, 1], &carls, "browser").await),
        ("not pinned", false, connect([127, 0, 0, 1], &anns, "browser").await),
    ];
    rooms[3].2.send(&message("hello")).await;
    for (name, is_mobile, room) in &mut rooms {
        let received = room.receive().await;
        assert_eq!(received["text"], "hello", "{name}: {received}");
        let (time, author) = (received["time"].clone(), received["author"]["id"].clone());
        let expected = if *is_mobile { (time, author) } else { (Value::Null, Value::Null) };
        let found = (received["created_at"].clone(), received["from_id"].clone());
        assert_eq!(found, expected, "{name}: {received}");
    }
}
