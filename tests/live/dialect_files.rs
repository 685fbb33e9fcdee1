//! Dialects of an operator's own, each a file in a folder: docs/dialects.md.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder of the example that the guide leads through.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/dialect-file/dialects");

/// A client of the example's dialect, entered.
struct Parley {
    peer: Peer,
    number: i64,
}

impl Parley {
    async fn join(gateway: &Gateway, path: &str, name: &str) -> Self {
        let mut client = Self { peer: gateway.websocket(path).await, number: 0 };
        client.granted("join", json!({"person": name, "password": PASSWORD})).await;
        client
    }

    async fn request(&mut self, name: &str, fields: Value) -> Value {
        self.number += 1;
        let mut frame = json!({"do": name, "no": self.number});
        let fields = fields.as_object().expect("the fields are an object");
        frame.as_object_mut().expect("it is one").extend(fields.clone());
        let response = self.peer.request(&frame).await;
        assert_eq!((&response["re"], &response["no"]), (&frame["do"], &frame["no"]), "{response}");
        response
    }

    async fn granted(&mut self, name: &str, fields: Value) -> Value {
        let response = self.request(name, fields).await;
        assert_eq!(response["ok"], true, "{name}: {response}");
        response
    }

    async fn error(&mut self, name: &str, fields: Value) -> String {
        let response = self.request(name, fields).await;
        assert_eq!(response["ok"], false, "{name}: {response}");
        response["error"].as_str().expect("an error is a string").to_owned()
    }
}

#[tokio::test]
async fn a_dialect_that_is_a_file_alone_talks_with_two_others_on_its_path_and_a_shared_one() {
    let gateway = Gateway::with(&[("DIALECTS__FOLDER", EXAMPLES)]).await;
    for (index, path) in ["/parley", "/ws"].into_iter().enumerate() {
        let [ann, bob, carl] = ["ann", "bob", "carl"].map(|name| format!("{name}{index}"));
        let mut mode = Mode::register(&gateway, &bob).await;
        let bearer = Bearer::register(&gateway, &carl).await;
        let mut parley = Parley::join(&gateway, path, &ann).await;

        let room = parley.granted("meet", json!({"person": bob})).await["room"].clone();
        let number: i64 = room.as_str().and_then(|room| room.parse().ok()).expect("digits");
        let said = parley.granted("say", json!({"room": room, "text": "from a file"})).await;
        assert!(said["line"].is_string() && said["at"].is_i64(), "{said}");
        assert_eq!(mode.pushed().await, "from a file", "{path}");
        mode.send(number, "from a crate").await;
        let event = parley.peer.receive().await;
        let expected = json!({"event": "said", "room": room, "line": event["line"],
            "from": bob, "text": "from a crate", "kind": "plain", "at": event["at"]});
        assert_eq!(event, expected, "{path}");

        let group = bearer.group("all", &[Bearer::log_in(&gateway, &ann).await.id]).await;
        let event = parley.peer.receive().await;
        assert_eq!(
            event,
            json!({"event": "gathered", "room": group.to_string(), "title": "all",
                "kind": "circle"}),
            "{path}"
        );
        parley.granted("say", json!({"room": group.to_string(), "text": "to all"})).await;
        let (_room, texts) = bearer.room(&format!("/group/{group}")).await;
        assert_eq!(texts, ["to all"], "{path}");

        let rooms = parley.granted("rooms", json!({})).await;
        let mut titles = crate::harness::texts(&rooms["rooms"], "title");
        titles.sort();
        assert_eq!(titles, ["all".to_owned(), bob], "{path}: {rooms}");
        let lines = parley.granted("lines", json!({"room": room, "count": 50})).await;
        let texts = crate::harness::texts(&lines["lines"], "text");
        assert_eq!(texts, ["from a file", "from a crate"], "{path}");
        for (name, fields, error) in [
            ("say", json!({"room": "99999", "text": "x"}), "no-room"),
            ("say", json!({"room": 1, "text": "x"}), "bad-value"),
            ("meet", json!({"person": "no-one"}), "no-person"),
            ("sing", json!({}), "bad-request"),
        ] {
            assert_eq!(parley.error(name, fields.clone()).await, error, "{path}: {name} {fields}");
        }
    }
    // On each path six were granted, and two refused by the engine.
    let labels = "dialect=\"parley\",revision=\"doc\"";
    assert_eq!(gateway.metric("tolmach_requests_total", labels).await, 16.0);
}

#[tokio::test]
async fn a_text_that_a_file_ignores_is_dropped_where_the_first_frame_decides_too() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let text = std::fs::read_to_string(format!("{EXAMPLES}/parley.toml"))
        .expect("the example can be read")
        .replacen("credentials =", "ignore = [\".\"]\ncredentials =", 1);
    std::fs::write(folder.path().join("parley.toml"), text).expect("the folder can be written");
    let folder = folder.path().to_str().expect("the path is text");
    let gateway = Gateway::with(&[("DIALECTS__FOLDER", folder)]).await;
    for (path, name) in [("/parley", "ann"), ("/ws", "bob")] {
        let mut peer = gateway.websocket(path).await;
        peer.send_text(".").await;
        peer.send_text(".").await;
        let join = json!({"do": "join", "no": 1, "person": name, "password": PASSWORD});
        assert_eq!(peer.request(&join).await["ok"], true, "{path}");
        peer.send_text(".").await;
        assert_eq!(peer.request(&json!({"do": "rooms", "no": 2})).await["ok"], true, "{path}");
    }
    let mut other = gateway.websocket("/ws").await;
    other.send_text("..").await;
    assert_eq!(other.receive().await["error"], "unrecognised dialect");
}

#[tokio::test]
async fn the_example_passes_its_check_and_a_spoiled_copy_does_not() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let example = format!("{EXAMPLES}/parley.toml");
    let text = std::fs::read_to_string(&example).expect("the example can be read");
    let spoiled = folder.path().join("spoiled.toml");
    std::fs::write(&spoiled, text.replacen("<identifier>", "<identifer>", 1))
        .expect("the folder can be written");
    let check = async |file: &str| {
        crate::harness::run(folder.path(), &[], ["dialect", "check", file]).await
    };
    let found = check(&example).await;
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let found = check(spoiled.to_str().expect("the path is text")).await;
    let printed = [found.stdout, found.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(!found.status.success(), "{printed}");
    assert!(printed.contains("spoiled.toml:"), "{printed}");
    assert!(printed.contains("<identifer>: no such hole; the nearest is identifier"), "{printed}");
}
