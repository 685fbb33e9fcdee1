//! `tolmach bridge` when the server behind it is lost, and what it keeps of its own.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, eventually};
use serde_json::json;

/// A bridge to a gateway by this dialect.
async fn bridge(upstream: &Gateway, dialect: &str) -> Gateway {
    let url = format!("http://{}", upstream.address);
    let arguments = ["bridge", "--upstream", &url, "--upstream-dialect", dialect];
    Gateway::with_command(&[("BRIDGE__ANSWER_TIMEOUT", "5s")], arguments).await
}

/// A gateway that takes its port again when it is started once more.
async fn crash(gateway: &mut Gateway) {
    let address = gateway.address.to_string();
    gateway.crash(&[("HTTP__LISTEN", &address)]).await;
}

#[tokio::test]
async fn a_lost_upstream_is_told_and_nothing_is_lost_or_sent_twice_when_it_is_back() {
    let mut upstream = Gateway::start().await;
    let bridge = bridge(&upstream, "sndmsg").await;
    let mut ann = Mode::register(&bridge, "ann").await;
    let chat = {
        let ann_id = Bearer::log_in(&upstream, "ann").await.id;
        Bearer::register(&upstream, "bob").await.chat_with(ann_id).await
    };
    ann.send(chat, "before").await;

    upstream.signal("STOP").await;
    let refused = ann
        .request("sendMessage", json!({"chat_id": chat, "content": "?", "content_type": "text"}))
        .await;
    assert_eq!(refused["status"], 503, "{refused}");
    assert!(bridge.metric("tolmach_bridge_failures_total", "timeout").await >= 1.0);
    // The stopped gateway has read nothing, and what it has not read is lost with it.
    crash(&mut upstream).await;

    let mut bob = Mode::log_in(&upstream, "bob").await;
    bob.send(chat, "while it was lost").await;
    assert_eq!(ann.pushed().await, "while it was lost");
    ann.send(chat, "after").await;
    let expected = ["before", "while it was lost", "after"];
    assert_eq!(ann.history(chat).await, expected);
    assert_eq!(bob.history(chat).await, expected);
    bob.send(chat, "live").await;
    assert_eq!(ann.pushed().await, "live", "nothing is pushed twice");
}

#[tokio::test]
async fn a_client_learns_at_once_that_the_upstream_cannot_be_reached() {
    let mut upstream = Gateway::start().await;
    let bridge = bridge(&upstream, "morelia").await;
    let mut ann = Mode::register(&bridge, "ann").await;
    upstream.signal("KILL").await;
    upstream.ended().await;
    let refused = ann.request("getChats", json!({})).await;
    assert_eq!(refused["status"], 503, "{refused}");
    let ready = bridge.get("/readyz").await;
    assert_eq!(ready.status.as_u16(), 503, "{ready:?}");
    upstream.restart_at_its_address().await;
    let chats = eventually("an answer", async || {
        Some(ann.request("getChats", json!({})).await).filter(|reply| reply["status"] == 200)
    });
    assert_eq!(chats.await["chats"], json!([]));
    assert_eq!(bridge.get("/readyz").await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_upstream_that_rejects_websockets_is_told_in_the_log() {
    let upstream = Gateway::start().await;
    let url = format!("ws://{}/nowhere", upstream.address);
    let arguments = ["bridge", "--upstream", &url, "--upstream-dialect", "morelia"];
    let bridge = Gateway::with_command(&[], arguments).await;
    let mut client = bridge.websocket("/mode").await;
    let log_in = json!({"mode": "auth", "timestamp": 1, "username": "ann", "password": PASSWORD});
    assert_eq!(client.request(&log_in).await["status"], 503);
    let log = bridge.log();
    assert!(log.contains("the upstream rejected a WebSocket"), "{log}");
    assert!(log.contains("/nowhere") && log.contains("404"), "{log}");
}

#[tokio::test]
async fn the_bridge_keeps_the_tokens_and_logins_that_the_upstream_has_not() {
    let upstream = Gateway::start().await;
    let bridge = bridge(&upstream, "sndmsg").await;
    let mut ann = Mode::register(&bridge, "ann").await;
    // A second connection with the token of the first: `sndmsg` knows logins of connections only.
    let mut second = bridge.websocket("/mode").await;
    let list = |token: &str| json!({"mode": "getChats", "timestamp": 1, "token": token});
    assert_eq!(second.request(&list(&ann.token)).await["status"], 200);
    assert_eq!(second.request(&list("another token")).await["status"], 401);
    // Over HTTP, the same account by tokens of another kind.
    let body = json!({"username": "ann", "password": PASSWORD});
    let pair = bridge.json("POST", "/api/v1/login", None, &body).await.expect(200);
    let over_http = Bearer::of(&bridge, &pair);
    assert_eq!(over_http.get("/user").await.expect(200)["username"], "ann");
    let refresh = json!({"refresh_token": over_http.refresh});
    let renewed = bridge.json("POST", "/api/v1/refresh", None, &refresh).await.expect(200);
    assert_ne!(renewed["access_token"], renewed["refresh_token"]);
    bridge.json("POST", "/api/v1/refresh", None, &refresh).await.refused(401);
    // A logout ends the token, which the upstream's wire cannot do.
    assert_eq!(ann.request("logout", json!({})).await["status"], 200);
    assert_eq!(second.request(&list(&ann.token)).await["status"], 401);
}

#[tokio::test]
async fn an_upstream_without_a_request_for_it_refuses_in_the_clients_dialect() {
    let upstream = Gateway::start().await;
    let bridge = bridge(&upstream, "mode").await;
    let bob = Bearer::register(&bridge, "bob").await;
    // `mode` has no request for a group.
    let group = json!({"name": "a group", "description": "", "users": []});
    bob.form("/group", &group, None).await.refused(400);
}

#[tokio::test]
async fn clients_reach_a_server_of_raw_values_that_ends_idle_connections() {
    let upstream = Gateway::with(&[("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    let address = upstream.sndmsg_tcp.expect("it is served");
    let url = format!("tcp://{address}");
    let arguments = ["bridge", "--upstream", &url, "--upstream-dialect", "sndmsg/uchat"];
    let bridge = Gateway::with_command(&[], arguments).await;
    let mut ann = Mode::register(&bridge, "ann").await;
    let chat = {
        let ann_id = Bearer::log_in(&upstream, "ann").await.id;
        Bearer::register(&upstream, "bob").await.chat_with(ann_id).await
    };
    ann.send(chat, "over raw values").await;
    assert_eq!(ann.history(chat).await, ["over raw values"]);
}

#[tokio::test]
async fn a_second_login_on_a_connection_receives_nothing_of_the_first() {
    let upstream = Gateway::start().await;
    let bridge = bridge(&upstream, "bearer").await;
    let bob = Bearer::register(&upstream, "bob").await;
    let eve = Bearer::register(&upstream, "eve").await;
    let mut client = Mode::register(&bridge, "ann").await;
    let chat = bob.chat_with(Bearer::log_in(&upstream, "ann").await.id).await;
    let chat_of_eve = bob.chat_with(eve.id).await;
    let mut bob = Mode::log_in(&upstream, "bob").await;
    bob.send(chat, "for ann").await;
    assert_eq!(client.pushed().await, "for ann");

    let log_in = json!({"username": "eve", "password": PASSWORD});
    let granted = client.request("auth", log_in).await;
    client.token = granted["token"].as_str().expect("it is granted").to_owned();
    assert_eq!(client.request("getChats", json!({})).await["status"], 200);
    bob.send(chat, "for ann only").await;
    // It follows the message before, if that is pushed.
    bob.send(chat_of_eve, "for eve").await;
    assert_eq!(client.pushed().await, "for eve");
}
