//! Gateways that share one world: what one of them does, the others tell their clients. Here they
//! share nothing but the store, so that each of them finds out by itself what no bus told it.

use crate::harness::{Bearer, Gateway, Mode, message, named};
use serde_json::json;
use tempfile::TempDir;
use tolmach_test_servers::Redis;

/// Two gateways, each with a data folder of its own, on one SQLite file.
struct Nodes {
    one: Gateway,
    two: Gateway,
    /// Where the file is.
    url: String,
    _folder: TempDir,
}

impl Nodes {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With more options, which both of them have.
    async fn with(options: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let url = format!("sqlite://{}", folder.path().join("shared.sqlite").display());
        let options = [&shared(&url), options].concat();
        Self {
            one: Gateway::with(&options).await,
            two: Gateway::with(&options).await,
            url,
            _folder: folder,
        }
    }
}

/// What the nodes have in common.
fn shared(url: &str) -> [(&'static str, &str); 2] {
    [("STORE__URL", url), ("AUTH__JWT_SECRET", "a secret that both of the nodes have")]
}

#[tokio::test]
async fn what_is_said_at_one_node_is_heard_at_the_other_in_one_order() {
    const ROUNDS: usize = 20;
    let nodes = Nodes::start().await;
    let ann = Bearer::register(&nodes.one, "ann").await;
    let bob = Bearer::register(&nodes.two, "bob").await;
    let mut ann_too = Mode::log_in(&nodes.two, "ann").await;
    let chat = bob.chat_with(ann.id).await;
    let (mut at_one, history) = ann.room(&format!("/chat/{chat}")).await;
    assert_eq!(history, [""; 0]);
    let (mut at_two, _) = bob.room(&format!("/chat/{chat}")).await;
    // Both speak at once: each hears its own at once and the other's later, yet in the order of the
    // conversation.
    for round in 0..ROUNDS {
        at_one.say(&message(&format!("one {round}"))).await;
        at_two.say(&message(&format!("two {round}"))).await;
    }
    let (mut heard_at_one, mut heard_at_two, mut pushed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 * ROUNDS {
        heard_at_one.push(at_one.hear().await["text"].as_str().expect("a text").to_owned());
        heard_at_two.push(at_two.hear().await["text"].as_str().expect("a text").to_owned());
        pushed.push(ann_too.pushed().await);
    }
    let (_again, mut history) = ann.room(&format!("/chat/{chat}")).await;
    history.reverse();
    assert_eq!(history.len(), 2 * ROUNDS);
    assert_eq!((&heard_at_one, &heard_at_two, &pushed), (&history, &history, &history));
}

#[tokio::test]
async fn who_comes_into_a_group_at_one_node_hears_it_at_the_other_and_who_leaves_no_more() {
    let nodes = Nodes::start().await;
    let ann = Bearer::register(&nodes.one, "ann").await;
    let bob = Bearer::register(&nodes.two, "bob").await;
    let mut bob_too = Mode::log_in(&nodes.two, "bob").await;
    let group = ann.group("friends", &[]).await;
    let add = named(&[bob.id]);
    ann.json("POST", &format!("/group/{group}/add"), &add).await.expect(200);
    let (mut room, _) = ann.room(&format!("/group/{group}")).await;
    room.ask(&message("welcome")).await;
    assert_eq!(bob_too.pushed().await, "welcome");

    let (mut bobs_room, history) = bob.room(&format!("/group/{group}")).await;
    assert_eq!(history, ["welcome"]);
    ann.json("DELETE", &format!("/group/{group}/delete"), &add).await.expect(200);
    assert_eq!(bobs_room.end().await.1, Some(1008), "he was removed");
    room.ask(&message("he is gone")).await;
    let chat = ann.chat_with(bob.id).await;
    let (mut aside, _) = ann.room(&format!("/chat/{chat}")).await;
    aside.ask(&message("between us")).await;
    assert_eq!(bob_too.pushed().await, "between us", "and nothing from the group before it");
}

#[tokio::test]
async fn whatever_ends_a_session_at_one_node_ends_what_it_hears_at_the_other() {
    let nodes = Nodes::start().await;
    let eve = Bearer::register(&nodes.two, "eve").await;
    for way in ["a logout", "a new password", "a deletion"] {
        let name = way.replace(' ', "-");
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
        match way {
            "a logout" => {
                here.post("/logout").await.expect(200);
                let ended = pushed.ask("logout", json!({"username": name})).await;
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
            assert_eq!(socket.end().await.1, Some(1008), "{way}");
        }
        there.get("/user").await.refused(401);
        assert_eq!(pushed.ask("getChats", json!({})).await["status"], 401, "{way}");
        let (mut other_side, _) = eve.room(&format!("/chat/{chat}")).await;
        other_side.ask(&message("are you there?")).await;
        assert_eq!(pushed.ask("getChats", json!({})).await["status"], 401, "{way}");
        assert!(pushed.has_heard_nothing(), "{way}");
    }
}

#[tokio::test]
async fn a_token_that_expires_closes_the_sockets_that_it_opened() {
    let gateway = Gateway::with(&[("AUTH__ACCESS_LIFETIME", "1s")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let mut main = ann.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(main.end().await.1, Some(1008), "long before it would have been pinged");
    ann.get("/user").await.refused(401);
}

/// The store is not asked for an hour: what is heard came by Redis, but for what happened before
/// both of them listened.
#[tokio::test]
async fn redis_carries_what_is_said_without_the_store_being_asked() {
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
            let speaker = if text.starts_with("one") { &mut at_one } else { &mut at_two };
            speaker.say(&message(&text)).await;
            for listener in [&mut at_one, &mut at_two] {
                assert_eq!(listener.hear().await["text"], text);
            }
            assert_eq!(bob_too.pushed().await, text);
        }
    }
}
