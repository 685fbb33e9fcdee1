//! Dual running: users of one gateway served by another server, or mirrored to it, by routes.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Response, eventually};
use crate::nodes::{Nodes, shared};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tolmach_test_servers::{Durability, Postgres, Redis};

/// The options of a gateway that knows another one as `old`.
fn knows_old(url: &str) -> [(&'static str, &str); 2] {
    [("BRIDGE__OLD__URL", url), ("BRIDGE__OLD__DIALECT", "bearer")]
}

fn url_of(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address)
}

/// Runs `tolmach route` with these arguments at the first gateway, and waits until all follow.
async fn route(gateways: &[&Gateway], options: &[(&str, &str)], arguments: &[&str]) -> String {
    let revision =
        async |gateway: &Gateway| gateway.metric("tolmach_serving_rules_revision", "").await;
    let before = revision(gateways[0]).await;
    let arguments = std::iter::once("route").chain(arguments.iter().copied());
    let output = gateways[0].run_with(options, arguments).await;
    assert!(output.status.success(), "{output:?}");
    for gateway in gateways {
        let followed = async || (revision(gateway).await > before).then_some(());
        eventually("the new routes", followed).await;
    }
    String::from_utf8(output.stdout).expect("the output is text")
}

/// The number of logins that a gateway has given to a server.
async fn logins(gateway: &Gateway, server: &str) -> f64 {
    gateway.metric("tolmach_route_logins_total", &format!("server=\"{server}\"")).await
}

/// The chats that a client sees, by their ids.
async fn chats(client: &mut Mode) -> Vec<Value> {
    let reply = client.request("getChats", json!({})).await;
    assert_eq!(reply["status"], 200, "{reply}");
    reply["chats"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_pinned_user_is_served_by_the_other_server_at_every_node_until_the_rollback() {
    let old = Gateway::start().await;
    let url = url_of(&old);
    pinned_until_the_rollback(&old, &Nodes::with(&knows_old(&url)).await, &knows_old(&url)).await;
}

#[tokio::test]
async fn a_user_is_pinned_and_rolled_back_at_nodes_on_postgresql_and_redis() {
    let Some(store) = Postgres::start_or_skip(Durability::Fast) else { return };
    let Some(redis) = Redis::start_or_skip() else { return };
    let old = Gateway::start().await;
    let url = url_of(&old);
    let bus = redis.url();
    let options = [&knows_old(&url)[..], &[("BUS__URL", &bus)]].concat();
    let nodes = Nodes::on(store.url(), &options).await;
    pinned_until_the_rollback(&old, &nodes, &options).await;
}

/// Pins a user of the nodes to the old server, which they know by these options, and rolls back.
async fn pinned_until_the_rollback(old: &Gateway, nodes: &Nodes, options: &[(&str, &str)]) {
    let options = [&shared(&nodes.url)[..], options].concat();
    let both = [&nodes.one, &nodes.two];
    // The same people in two worlds, which number them differently.
    for name in ["eve", "bob", "ann"] {
        Mode::register(old, name).await;
    }
    for name in ["ann", "bob"] {
        Mode::register(&nodes.one, name).await;
    }
    let chat = {
        let ann = Bearer::log_in(old, "ann").await.id;
        Bearer::log_in(old, "bob").await.chat_with(ann).await
    };
    let mut here = Mode::log_in(&nodes.two, "ann").await;
    let mut bob = Mode::log_in(&nodes.two, "bob").await;
    assert!(chats(&mut here).await.is_empty());

    assert_eq!(route(&both, &options, &["pin", "Ann", "--to", "old"]).await, "rule 1\n");
    assert_eq!(here.peer.end().await, (vec![], Some(1001)), "its user is served elsewhere now");
    let mut there = Vec::new();
    for gateway in both {
        let mut ann = Mode::log_in(gateway, "ann").await;
        assert_eq!(chats(&mut ann).await.len(), 1);
        there.push(ann);
    }
    assert!(chats(&mut bob).await.is_empty(), "another user is not concerned");
    Mode::log_in(old, "bob").await.send(chat, "from the old server").await;
    for ann in &mut there {
        assert_eq!(ann.pushed().await, "from the old server");
    }
    there[0].send(chat, "by way of the new one").await;
    let expected = ["from the old server", "by way of the new one"];
    assert_eq!(Mode::log_in(old, "bob").await.history(chat).await, expected);
    // A token of one server is none at the other, also over HTTP, and at a node that has not
    // handed it out.
    let token = &Bearer::log_in(&nodes.one, "ann").await.access;
    let old_id = Bearer::log_in(old, "ann").await.id;
    for gateway in both {
        assert_eq!(get_user(gateway, token).await.expect(200)["id"], old_id);
    }
    let listing = nodes.one.run_with(&options, ["route", "list"]).await;
    let listing = String::from_utf8(listing.stdout).expect("the output is text");
    let rows: Vec<Vec<&str>> =
        listing.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["1", "user", "ann", "all", "served", "old"], "{listing}");

    assert_eq!(route(&both, &options, &["rollback"]).await, "1 removed\n");
    for ann in &mut there {
        assert_eq!(ann.peer.end().await.1, Some(1001));
    }
    for gateway in both {
        get_user(gateway, token).await.refused(401);
        let mut ann = Mode::log_in(gateway, "ann").await;
        assert!(chats(&mut ann).await.is_empty());
        assert!(gateway.metric("tolmach_route_moves_total", "server=\"here\"").await >= 1.0);
    }
    assert!(chats(&mut bob).await.is_empty(), "its connection has gone on");
    let there = [logins(&nodes.one, "old").await, logins(&nodes.two, "old").await];
    assert_eq!(there, [2.0, 1.0]);
}

async fn get_user(gateway: &Gateway, token: &str) -> Response {
    let request = gateway.request("GET", "/api/v1/user");
    let request = request.header("authorization", format!("Bearer {token}"));
    gateway.send(request.body(Bytes::new()).expect("a token is visible")).await
}

#[tokio::test]
async fn a_canary_has_the_same_users_in_both_directions_and_keeps_them_when_it_grows() {
    const USERS: usize = 8;
    let old = Gateway::start().await;
    let url = url_of(&old);
    let options = knows_old(&url);
    let new = Gateway::with(&options).await;
    let names: Vec<String> = (0..USERS).map(|number| format!("user{number}")).collect();
    for name in &names {
        Mode::register(&old, name).await;
        Mode::register(&new, name).await;
    }
    let served_here = async || {
        let mut here = BTreeSet::new();
        for name in &names {
            let before = logins(&new, "here").await;
            Mode::log_in(&new, name).await;
            if logins(&new, "here").await > before {
                here.insert(name.clone());
            }
        }
        here
    };
    let set = async |arguments: &[&str]| route(&[&new], &options, arguments).await;
    set(&["all", "--to", "old"]).await;
    assert_eq!(served_here().await.len(), 0);
    set(&["canary", "--share", "50", "--to", "here"]).await;
    let half = served_here().await;
    assert!((1..USERS).contains(&half.len()), "{half:?}");
    assert_eq!(served_here().await, half, "the share is stable");
    set(&["canary", "--share", "80", "--to", "here"]).await;
    assert!(served_here().await.is_superset(&half), "it keeps its users");
    assert_eq!(set(&["rollback"]).await, "1 removed\n");
    assert_eq!(served_here().await.len(), 0, "back to where all are served");
    // The other way round: the new server is the place of all, and some go to the old one.
    set(&["stop", "1"]).await;
    set(&["canary", "--share", "50", "--to", "old"]).await;
    let all: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(&all - &served_here().await, half);
}

#[tokio::test]
async fn a_mirror_gets_the_requests_with_its_own_ids_and_differences_are_counted_and_not_shown() {
    let old = Gateway::start().await;
    let url = url_of(&old);
    let options = knows_old(&url);
    let new = Gateway::with(&options).await;
    let mirrored = async |operation: &str, outcome: &str| {
        let labels = format!("operation=\"{operation}\",outcome=\"{outcome}");
        new.metric("tolmach_mirror_requests_total", &labels).await
    };
    let counted = async |operation: &'static str, outcome: &'static str, count: f64| {
        let is_there = async || (mirrored(operation, outcome).await >= count).then_some(());
        eventually("the mirror's answer", is_there).await;
    };
    // Its ids are others from here on.
    Mode::register(&old, "eve").await;
    Mode::register(&new, "before").await;
    Mode::register(&new, "earlier").await;
    route(&[&new], &options, &["mirror", "--to", "old"]).await;
    let mut ann = Mode::register(&new, "ann").await;
    let bob = Bearer::register(&new, "bob").await;
    let chat = bob.chat_with(Bearer::log_in(&new, "ann").await.id).await;
    counted("open_chat", "same", 1.0).await;
    ann.send(chat, "hello").await;
    assert_eq!(ann.history(chat).await, ["hello"]);
    counted("send", "same", 1.0).await;
    counted("history", "same", 1.0).await;
    let mut ann_there = Mode::log_in(&old, "ann").await;
    let chats_there = chats(&mut ann_there).await;
    assert_eq!(chats_there.len(), 1);
    let chat_there = chats_there[0]["chat_id"].as_i64().expect("a number");
    assert_eq!(ann_there.history(chat_there).await, ["hello"]);

    // A request with an invalid token is refused here, and not made there as the user of the
    // connection. Copies are made in their order.
    assert_eq!(ann.request("getChats", json!({"token": "x"})).await["status"], 401);
    assert_eq!(ann.history(chat).await, ["hello"]);
    counted("history", "same", 2.0).await;
    assert_eq!(mirrored("list_flows", "").await, 0.0);

    // A planted difference: the old server has a message more.
    ann_there.send(chat_there, "only there").await;
    assert_eq!(ann.history(chat).await, ["hello"]);
    counted("history", "different", 1.0).await;
    assert!(new.log().contains("the mirror's answer differs"), "{}", new.log());
    assert!(!new.log().contains("only there"), "the log has no texts of people");
    assert!(ann.has_no_pushes(), "nothing of the mirror is shown");

    // Without the mirror, nothing reaches the old server.
    route(&[&new], &options, &["rollback"]).await;
    ann.send(chat, "here only").await;
    assert_eq!(ann_there.history(chat_there).await, ["hello", "only there"]);
}

#[tokio::test]
async fn a_mirror_that_does_not_answer_or_is_gone_delays_and_closes_nobody() {
    let mut old = Gateway::start().await;
    let url = url_of(&old);
    let [name, dialect] = knows_old(&url);
    let bounds = [("BRIDGE__MIRROR_QUEUE_BYTES", "32KiB"), ("BRIDGE__ANSWER_TIMEOUT", "60s")];
    let options = [name, dialect, bounds[0], bounds[1]];
    let new = Gateway::with(&options).await;
    route(&[&new], &options, &["mirror", "--to", "old"]).await;
    let mut ann = Mode::register(&new, "ann").await;
    let bob = Bearer::register(&new, "bob").await;
    let chat = bob.chat_with(Bearer::log_in(&new, "ann").await.id).await;
    let opened = async || {
        let labels = "operation=\"open_chat\",outcome=\"same\"";
        (new.metric("tolmach_mirror_requests_total", labels).await >= 1.0).then_some(())
    };
    eventually("the mirror's answer", opened).await;
    old.signal("STOP").await;
    let text = "x".repeat(8_000);
    for _ in 0..8 {
        ann.send(chat, &text).await;
    }
    let dropped = new.metric("tolmach_mirror_requests_total", "outcome=\"dropped\"").await;
    assert!(dropped >= 1.0, "{dropped}");
    assert_eq!(ann.history(chat).await, vec![text.clone(); 8]);
    old.signal("KILL").await;
    old.ended().await;
    ann.send(chat, "after its end").await;
    assert_eq!(ann.history(chat).await.len(), 9, "the same connection");
}

#[tokio::test]
async fn a_route_to_a_server_that_a_node_does_not_know_is_told_as_unavailable() {
    let old = Gateway::start().await;
    let url = url_of(&old);
    let new =
        Gateway::with(&[("BRIDGE__OLDER__URL", &url), ("BRIDGE__OLDER__DIALECT", "mode")]).await;
    Mode::register(&new, "ann").await;
    let refused = new.run_with(&knows_old(&url), ["route", "pin", "ann", "--to", "older"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("there is no server \"older\": the servers are old, here"), "{text}");
    route(&[&new], &knows_old(&url), &["pin", "ann", "--to", "old"]).await;
    let mut peer = new.websocket("/mode").await;
    let login = json!({"mode": "auth", "timestamp": 1, "username": "ann", "password": PASSWORD});
    assert_eq!(peer.request(&login).await["status"], 503);
    assert!(new.log().contains("a rule names an upstream that the configuration does not have"));
}
