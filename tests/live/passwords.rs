//! Guessing passwords: counted in every dialect and on every gateway together, slowed, then
//! refused.

use crate::harness::{Bearer, Gateway, PASSWORD, Peer, Response, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Nothing is slowed, so that the tests are not.
const AT_ONCE: (&str, &str) = ("AUTH__LOGIN_THROTTLE__INITIAL_DELAY", "0s");

async fn log_in(
    gateway: &Gateway,
    forwarded: Option<&str>,
    login: &str,
    password: &str,
) -> Response {
    let request =
        gateway.request("POST", "/api/v1/login").header("content-type", "application/json");
    let request = forwarded
        .into_iter()
        .fold(request, |request, addresses| request.header("x-forwarded-for", addresses));
    let body = json!({"username": login, "password": password}).to_string();
    gateway.send(request.body(body.into()).expect("it is a request")).await
}

/// The seconds that a refusal asks to wait.
fn wait(response: Response) -> u64 {
    let seconds = response.header("retry-after").and_then(|value| value.parse().ok());
    response.refused(429);
    seconds.expect("whole seconds are named")
}

fn auth(login: &str, password: &str) -> Value {
    json!({"mode": "auth", "timestamp": 1, "username": login, "password": password})
}

/// The status of a login by `mode`.
async fn mode(peer: &mut Peer, login: &str, password: &str) -> i64 {
    peer.ask(&auth(login, password)).await["status"].as_i64().expect("a status is a number")
}

#[tokio::test]
async fn failures_in_all_dialects_count_together() {
    let gateway = Gateway::with(&[AT_ONCE, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "5")]).await;
    Bearer::register(&gateway, "ann").await;
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let mut morelia = gateway.websocket("/morelia").await;
    let mut modern = gateway.websocket("/mode").await;
    let request =
        |password: &str| json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": password});
    let ask = |kind: &str, password: &str| json!({"type": kind, "data": {"user": {"login": "ann", "password": password}}, "jsonapi": {"version": 1.0}});
    for login in ["ann", "nobody"] {
        assert_eq!(mode(&mut modern, login, "wrong").await, 401, "{login}");
        log_in(&gateway, None, login, "wrong").await.refused(401);
    }
    assert_eq!(sndmsg.ask(&request("wrong")).await["status"], "LOGIN_WRONG_PASS");
    // Wherever a password is looked at.
    for kind in ["auth", "delete_user"] {
        assert_eq!(morelia.ask(&ask(kind, "wrong")).await["errors"]["code"], 401, "{kind}");
    }
    assert!((1..=900).contains(&wait(log_in(&gateway, None, "ANN", PASSWORD).await)));
    assert_eq!(mode(&mut modern, "ann", PASSWORD).await, 429);
    let reply = sndmsg.ask(&request(PASSWORD)).await;
    assert_eq!(
        (&reply["status"], &reply["detail"]),
        (&json!("ERROR"), &json!("too many requests, try again later"))
    );
    for kind in ["auth", "delete_user"] {
        assert_eq!(morelia.ask(&ask(kind, PASSWORD)).await["errors"]["code"], 429, "{kind}");
    }
    // One that there is not is told nothing else.
    for _ in 0..3 {
        log_in(&gateway, None, "nobody", "wrong").await.refused(401);
    }
    wait(log_in(&gateway, None, "nobody", "wrong").await);
    Bearer::register(&gateway, "bob").await;
    log_in(&gateway, None, "bob", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn failures_on_two_gateways_count_together_and_outlive_both() {
    const SECRET: (&str, &str) = ("AUTH__JWT_SECRET", "a secret of more than thirty-two bytes");
    const OPTIONS: [(&str, &str); 3] = [SECRET, AT_ONCE, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "4")];
    let mut one = Gateway::with(&OPTIONS).await;
    Bearer::register(&one, "ann").await;
    {
        let two = Gateway::beside(&one, &OPTIONS).await;
        for gateway in [&one, &two, &one, &two] {
            log_in(gateway, None, "ann", "wrong").await.refused(401);
        }
        for gateway in [&one, &two] {
            wait(log_in(gateway, None, "ann", PASSWORD).await);
        }
    }
    one.crash(&OPTIONS).await;
    wait(log_in(&one, None, "ann", PASSWORD).await);
}

#[tokio::test]
async fn the_right_password_is_let_in_when_the_window_is_over() {
    let gateway =
        Gateway::with(&[AT_ONCE, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "1"), ("AUTH__LOGIN_THROTTLE__WINDOW", "2s")]).await;
    Bearer::register(&gateway, "ann").await;
    let refused = eventually("a refusal", async || {
        let response = log_in(&gateway, None, "ann", "wrong").await;
        (response.status == 429).then_some(response)
    });
    assert!((1..=2).contains(&wait(refused.await)));
    eventually("the end of the window", async || {
        (log_in(&gateway, None, "ann", PASSWORD).await.status == 200).then_some(())
    })
    .await;
    log_in(&gateway, None, "ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_answer_after_the_free_failures_comes_later() {
    const DELAY: Duration = Duration::from_millis(300);
    let gateway =
        Gateway::with(&[("AUTH__LOGIN_THROTTLE__FREE_ATTEMPTS", "1"), ("AUTH__LOGIN_THROTTLE__INITIAL_DELAY", "300ms")]).await;
    Bearer::register(&gateway, "ann").await;
    log_in(&gateway, None, "ann", "wrong").await.refused(401);
    let started = Instant::now();
    log_in(&gateway, None, "ann", "wrong").await.refused(401);
    // The least; how long it took beyond that says nothing.
    assert!(started.elapsed() >= DELAY, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_client_behind_a_proxy_is_known_where_the_proxy_is_trusted() {
    const STRICT: [(&str, &str); 2] = [AT_ONCE, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "1")];
    let trusting = Gateway::with(
        &[&STRICT[..], &[("HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]].concat(),
    )
    .await;
    let plain = Gateway::with(&STRICT).await;
    for gateway in [&trusting, &plain] {
        Bearer::register(gateway, "ann").await;
        log_in(gateway, Some("192.0.2.1"), "ann", "wrong").await.refused(401);
    }
    wait(log_in(&trusting, Some("192.0.2.1"), "ann", PASSWORD).await);
    wait(log_in(&trusting, Some("192.0.2.9, 192.0.2.1, 10.1.1.1"), "ann", PASSWORD).await);
    log_in(&trusting, Some("192.0.2.1, 192.0.2.2"), "ann", PASSWORD).await.expect(200);
    log_in(&trusting, None, "ann", PASSWORD).await.expect(200);
    wait(log_in(&plain, Some("192.0.2.2"), "ann", PASSWORD).await);

    for (path, address, status) in [
        ("/mode", "192.0.2.1", 429),
        ("/", "192.0.2.1", 429),
        ("/mode", "192.0.2.3", 200),
        ("/", "192.0.2.3", 200),
    ] {
        let mut peer = trusting
            .try_websocket(path, &[("x-forwarded-for", address)])
            .await
            .expect("it is let in");
        assert_eq!(mode(&mut peer, "ann", PASSWORD).await, status, "{address} at {path}");
    }
}
