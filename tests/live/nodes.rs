//! Several gateways on one store: clients of one receive what clients of another do. Most tests
//! have no bus, so that each gateway reads the events of the other from the store.

use crate::harness::{Bearer, Gateway, Mode, message, named};
use serde_json::json;
use tempfile::TempDir;
use tolmach_test_servers::Redis;

/// Two gateways, each with a data folder of its own, on one store.
pub(crate) struct Nodes {
    pub(crate) one: Gateway,
    pub(crate) two: Gateway,
    /// The URL of the store.
    pub(crate) url: String,
    /// The folder of a store that is a file.
    _folder: Option<TempDir>,
}

impl Nodes {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Nodes with more options.
    pub(crate) async fn with(options: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let url = format!("sqlite://{}", folder.path().join("shared.sqlite").display());
        Self { _folder: Some(folder), ..Self::on(url, options).await }
    }

    /// Nodes on this store.
    pub(crate) async fn on(url: String, options: &[(&str, &str)]) -> Self {
        let options = [&shared(&url), options].concat();
        let (one, two) = (Gateway::with(&options).await, Gateway::with(&options).await);
        Self { one, two, url, _folder: None }
    }
}

/// The options that the nodes share.
pub(crate) fn shared(url: &str) -> [(&'static str, &str); 2] {
    [("STORE__URL", url), ("AUTH__JWT_SECRET", "a secret that both of the nodes have")]
}

#[tokio::test]
async fn messages_of_both_nodes_are_received_at_both_in_one_order() {
    const ROUNDS: usize = 20;
    let nodes = Nodes::start().await;
    let ann = Bearer::register(&nodes.one, "ann").await;
    let bob = Bearer::register(&nodes.two, "bob").await;
    let mut ann_too = Mode::log_in(&nodes.two, "ann").await;
    let chat = bob.chat_with(ann.id).await;
    let (mut at_one, history) = ann.room(&format!("/chat/{chat}")).await;
    assert_eq!(history, [""; 0]);
    let (mut at_two, _) = bob.room(&format!("/chat/{chat}")).await;
    // A node has its own messages at once and the other's later; both deliver them in one order.
    for round in 0..ROUNDS {
        at_one.send(&message(&format!("one {round}"))).await;
        at_two.send(&message(&format!("two {round}"))).await;
    }
    let (mut received_at_one, mut received_at_two, mut pushed) =
        (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 * ROUNDS {
        received_at_one.push(at_one.receive().await["text"].as_str().expect("a text").to_owned());
        received_at_two.push(at_two.receive().await["text"].as_str().expect("a text").to_owned());
        pushed.push(ann_too.pushed().await);
    }
    let (_again, mut history) = ann.room(&format!("/chat/{chat}")).await;
    history.reverse();
    assert_eq!(history.len(), 2 * ROUNDS);
    assert_eq!((&received_at_one, &received_at_two, &pushed), (&history, &history, &history));
}

#[tokio::test]
async fn members_added_and_removed_at_one_node_are_so_at_the_other() {
    let nodes = Nodes::start().await;
    let ann = Bearer::register(&nodes.one, "ann").await;
    let bob = Bearer::register(&nodes.two, "bob").await;
    let mut bob_too = Mode::log_in(&nodes.two, "bob").await;
    let group = ann.group("friends", &[]).await;
    let add = named(&[bob.id]);
    ann.json("POST", &format!("/group/{group}/add"), &add).await.expect(200);
    let (mut room, _) = ann.room(&format!("/group/{group}")).await;
    room.request(&message("welcome")).await;
    assert_eq!(bob_too.pushed().await, "welcome");

    let (mut bobs_room, history) = bob.room(&format!("/group/{group}")).await;
    assert_eq!(history, ["welcome"]);
    ann.json("DELETE", &format!("/group/{group}/delete"), &add).await.expect(200);
    assert_eq!(bobs_room.end().await.1, Some(1008), "a removed member's room is closed");
    room.request(&message("he is gone")).await;
    let chat = ann.chat_with(bob.id).await;
    let (mut aside, _) = ann.room(&format!("/chat/{chat}")).await;
    aside.request(&message("between us")).await;
    assert_eq!(
        bob_too.pushed().await,
        "between us",
        "a removed member receives no message of the group"
    );
}

#[tokio::test]
async fn a_session_that_ends_at_one_node_ends_at_the_other() {
    let nodes = Nodes::start().await;
    let eve = Bearer::register(&nodes.two, "eve").await;
    for cause in ["a logout", "a new password", "a deletion"] {
        let name = cause.replace(' ', "-");
        let here = Bearer::register(&nodes.one, &name).await;
        let there = Bearer {
            gateway: &nodes.two,
            id: here.id,
            access: here.access.clone(),
            refresh: here.refresh.clone(),
        };
        let chat = there.chat_with(eve.id).await;
        let mut main =
            there.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let (mut room, _) = there.room(&format!("/chat/{chat}")).await;
        let mut pushed = Mode::log_in(&nodes.two, &name).await;
        match cause {
            "a logout" => {
                here.post("/logout").await.expect(200);
                let ended = pushed.request("logout", json!({"username": name})).await;
                assert_eq!(ended["status"], 200);
            }
            "a new password" => {
                let output = nodes
                    .one
                    .run_with(&shared(&nodes.url), ["user", "set", &name, "--password", "another"])
                    .await;
                assert!(output.status.success(), "{output:?}");
            }
            _ => {
                let output =
                    nodes.one.run_with(&shared(&nodes.url), ["user", "delete", &name]).await;
                assert!(output.status.success(), "{output:?}");
            }
        }
        for socket in [&mut main, &mut room] {
            assert_eq!(socket.end().await.1, Some(1008), "{cause}");
        }
        there.get("/user").await.refused(401);
        assert_eq!(pushed.request("getChats", json!({})).await["status"], 401, "{cause}");
        let (mut other_side, _) = eve.room(&format!("/chat/{chat}")).await;
        other_side.request(&message("are you there?")).await;
        assert_eq!(pushed.request("getChats", json!({})).await["status"], 401, "{cause}");
        assert!(pushed.has_no_pushes(), "{cause}");
    }
}

#[tokio::test]
async fn an_expired_token_closes_its_sockets() {
    let gateway = Gateway::with(&[("AUTH__ACCESS_LIFETIME", "1s")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let mut main = ann.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(main.end().await.1, Some(1008), "it is closed before its first ping");
    ann.get("/user").await.refused(401);
}

/// The store is not read for events for an hour, so that all of them come by Redis.
#[tokio::test]
async fn redis_carries_events_without_reads_of_the_store() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let nodes = Nodes::with(&[("BUS__URL", &redis.url()), ("BUS__RECONCILE_INTERVAL", "1h")]).await;
    let ann = Bearer::register(&nodes.one, "ann").await;
    let bob = Bearer::register(&nodes.two, "bob").await;
    let mut bob_too = Mode::log_in(&nodes.two, "bob").await;
    let chat = bob.chat_with(ann.id).await;
    let (mut at_one, _) = ann.room(&format!("/chat/{chat}")).await;
    let (mut at_two, _) = bob.room(&format!("/chat/{chat}")).await;
    for round in 0..20 {
        for text in [format!("one {round}"), format!("two {round}")] {
            let writer = if text.starts_with("one") { &mut at_one } else { &mut at_two };
            writer.send(&message(&text)).await;
            for receiver in [&mut at_one, &mut at_two] {
                assert_eq!(receiver.receive().await["text"], text);
            }
            assert_eq!(bob_too.pushed().await, text);
        }
    }
}
