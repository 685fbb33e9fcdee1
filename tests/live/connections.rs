//! Places of connections: of one address, of those who have logged in, and when none is left.

use crate::harness::{Gateway, Mode, Peer, Response, eventually};
use http::Request;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// A frame that needs no login.
fn probe() -> Value {
    json!({"mode": "probe"})
}

/// Checks a refusal for want of a place.
fn no_place(refusal: Option<Response>, name: &str) {
    let refusal = refusal.unwrap_or_else(|| panic!("{name}: it was accepted"));
    assert_eq!(refusal.header("retry-after").as_deref(), Some("5"), "{name}");
    refusal.refused(503);
}

async fn open_from(gateway: &Gateway, source: [u8; 4]) -> Result<Peer<TcpStream>, Response> {
    gateway.try_websocket_on(gateway.connect_from(source).await, "/mode", &[]).await
}

#[tokio::test]
async fn one_address_at_its_bound_leaves_others_their_places() {
    const MINE: [u8; 4] = [127, 0, 0, 2];
    let gateway = Gateway::with(&[("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "3")]).await;
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(open_from(&gateway, MINE).await.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    }
    no_place(open_from(&gateway, MINE).await.err(), "the fourth of one address");
    for source in [[127, 0, 0, 3], [127, 0, 0, 4]] {
        assert!(open_from(&gateway, source).await.is_ok(), "another address");
    }
    assert_eq!(
        gateway.metric("tolmach_connections_refused_total", "reason=\"address_full\"").await,
        1.0
    );
    no_place(open_from(&gateway, MINE).await.err(), "the fourth again");
    assert_eq!(gateway.log().matches("an address has all its connections").count(), 1);
    for peer in &mut mine {
        assert_eq!(peer.request(&probe()).await["status"], 501, "it goes on");
    }
    drop(mine.pop());
    eventually("a place that is free again", async || open_from(&gateway, MINE).await.ok()).await;
}

#[tokio::test]
async fn websockets_behind_a_trusted_proxy_count_for_the_address_of_their_client() {
    let gateway = Gateway::with(&[
        ("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "2"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let open = async |client: &str| {
        let headers: &[_] = if client.is_empty() { &[] } else { &[("x-forwarded-for", client)] };
        gateway.try_websocket("/mode", headers).await
    };
    let mut peers = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"] {
        peers.push(open(client).await.unwrap_or_else(|refusal| panic!("{client}: {refusal:?}")));
    }
    for client in ["192.0.2.1", "6.6.6.6, 192.0.2.1", "2001:db8::3"] {
        no_place(open(client).await.err(), client);
    }
    for _ in 0..3 {
        peers.push(open("").await.unwrap_or_else(|refusal| panic!("unknown: {refusal:?}")));
    }
}

#[tokio::test]
async fn the_oldest_connections_that_have_not_logged_in_make_room_for_others() {
    let gateway =
        Gateway::with(&[("HTTP__MAX_CONNECTIONS", "4"), ("HTTP__AUTHENTICATED_SHARE", "50")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let mut first = gateway.websocket("/").await;
    let mut second = gateway.websocket("/mode").await;
    assert_eq!(second.request(&probe()).await["status"], 501);
    let mut third = gateway.websocket("/mode").await;
    assert_eq!(first.end().await, (vec![], Some(1013)), "the oldest on a shared path");
    let mut fourth = gateway.websocket("/mode").await;
    assert_eq!(second.end().await, (vec![], Some(1013)), "the oldest of a dialect");
    assert_eq!(third.request(&probe()).await["status"], 501);
    assert_eq!(fourth.request(&probe()).await["status"], 501);
    assert_eq!(ann.request("getChats", json!({})).await["status"], 200);
    assert_eq!(gateway.metric("tolmach_connections_evicted_total", "").await, 2.0);
}

#[tokio::test]
async fn health_is_shown_when_every_place_is_taken_by_those_who_have_logged_in() {
    let gateway = Gateway::with(&[("HTTP__MAX_CONNECTIONS", "2")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Mode::register(&gateway, "bob").await;
    for round in 0..100 {
        no_place(gateway.try_websocket("/mode", &[]).await.err(), "a WebSocket");
        gateway.get("/api/v1/user").await.refused(503);
        assert_eq!(gateway.get("/healthz").await.text(), "ok\n", "{round}");
        assert_eq!(gateway.get("/readyz").await.text(), "ready\n", "{round}");
    }
    // More connections than are told that there is no place, and they say nothing.
    let mut silent = Vec::new();
    for number in 0..100 {
        silent.push(gateway.connect_from(Ipv4Addr::new(127, 0, 1, number).octets()).await);
    }
    assert_eq!(gateway.get("/healthz").await.text(), "ok\n");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let request = Request::get(path).header("host", "x").body(Default::default());
        let response = gateway.send_to(gateway.admin, request.expect("it is one")).await;
        assert_eq!(response.status, 200, "{path}");
    }
    assert_eq!(ann.request("getChats", json!({})).await["status"], 200);
    drop(bob);
    eventually("a place that is free again", async || {
        gateway.try_websocket("/mode", &[]).await.ok()
    })
    .await;
}

#[tokio::test]
async fn an_http_2_connection_that_proves_nothing_in_time_is_closed() {
    let gateway = Gateway::with(&[("LIMITS__FIRST_PROOF_TIMEOUT", "1s")]).await;
    let mut sender = gateway.http2().await;
    let request = Request::get(format!("http://{}/healthz", gateway.address));
    let response = sender.send_request(request.body(Default::default()).expect("it is one")).await;
    assert_eq!(response.expect("it is served").status(), 200);
    eventually("the end of the connection", async || sender.is_closed().then_some(())).await;
}
