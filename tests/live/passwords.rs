//! The login throttle: failed logins of all dialects and gateways count together, are delayed, and
//! then refused.

use crate::harness::{Bearer, Gateway, PASSWORD, Peer, Response, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// No delay, so that the tests are fast.
const NO_DELAY: (&str, &str) = ("AUTH__LOGIN_THROTTLE__INITIAL_DELAY", "0s");

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
    gateway.send(request.body(body.into()).expect("the request is valid")).await
}

/// The seconds of a refusal's `Retry-After`.
fn retry_after(response: Response) -> u64 {
    let seconds = response.header("retry-after").and_then(|value| value.parse().ok());
    response.refused(429);
    seconds.expect("Retry-After is a number of seconds")
}

fn auth(login: &str, password: &str) -> Value {
    json!({"mode": "auth", "timestamp": 1, "username": login, "password": password})
}

/// The status of a login over `mode`.
async fn mode_status(peer: &mut Peer, login: &str, password: &str) -> i64 {
    peer.request(&auth(login, password)).await["status"].as_i64().expect("a status is a number")
}

#[tokio::test]
async fn failures_of_all_dialects_count_together() {
    let gateway = Gateway::with(&[
        NO_DELAY,
        ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "5"),
    ])
    .await;
    Bearer::register(&gateway, "ann").await;
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let mut morelia = gateway.websocket("/morelia").await;
    let mut mode = gateway.websocket("/mode").await;
    let request =
        |password: &str| json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": password});
    let by_password = |method: &str, password: &str| {
        let user = json!({"login": "ann", "password": password});
        json!({"type": method, "data": {"user": user}, "jsonapi": {"version": 1.0}})
    };
    for login in ["ann", "nobody"] {
        assert_eq!(mode_status(&mut mode, login, "wrong").await, 401, "{login}");
        log_in(&gateway, None, login, "wrong").await.refused(401);
    }
    assert_eq!(sndmsg.request(&request("wrong")).await["status"], "LOGIN_WRONG_PASS");
    // Every method with a password.
    for method in ["auth", "delete_user"] {
        assert_eq!(
            morelia.request(&by_password(method, "wrong")).await["errors"]["code"],
            401,
            "{method}"
        );
    }
    assert!((1..=900).contains(&retry_after(log_in(&gateway, None, "ANN", PASSWORD).await)));
    assert_eq!(mode_status(&mut mode, "ann", PASSWORD).await, 429);
    let reply = sndmsg.request(&request(PASSWORD)).await;
    assert_eq!(
        (&reply["status"], &reply["detail"]),
        (&json!("ERROR"), &json!("too many requests, try again later"))
    );
    for method in ["auth", "delete_user"] {
        assert_eq!(
            morelia.request(&by_password(method, PASSWORD)).await["errors"]["code"],
            429,
            "{method}"
        );
    }
    // An unknown login is answered like a known one.
    for _ in 0..3 {
        log_in(&gateway, None, "nobody", "wrong").await.refused(401);
    }
    retry_after(log_in(&gateway, None, "nobody", "wrong").await);
    Bearer::register(&gateway, "bob").await;
    log_in(&gateway, None, "bob", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn failures_at_two_gateways_count_together_and_survive_a_crash() {
    const SECRET: (&str, &str) = ("AUTH__JWT_SECRET", "a secret of more than thirty-two bytes");
    const OPTIONS: [(&str, &str); 3] =
        [SECRET, NO_DELAY, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "4")];
    let mut one = Gateway::with(&OPTIONS).await;
    Bearer::register(&one, "ann").await;
    {
        let two = Gateway::beside(&one, &OPTIONS).await;
        for gateway in [&one, &two, &one, &two] {
            log_in(gateway, None, "ann", "wrong").await.refused(401);
        }
        for gateway in [&one, &two] {
            retry_after(log_in(gateway, None, "ann", PASSWORD).await);
        }
    }
    one.crash(&OPTIONS).await;
    retry_after(log_in(&one, None, "ann", PASSWORD).await);
}

#[tokio::test]
async fn the_right_password_is_accepted_after_the_window() {
    let gateway = Gateway::with(&[
        NO_DELAY,
        ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "1"),
        ("AUTH__LOGIN_THROTTLE__WINDOW", "2s"),
    ])
    .await;
    Bearer::register(&gateway, "ann").await;
    let refused = eventually("a refusal", async || {
        let response = log_in(&gateway, None, "ann", "wrong").await;
        (response.status == 429).then_some(response)
    });
    assert!((1..=2).contains(&retry_after(refused.await)));
    eventually("the end of the window", async || {
        (log_in(&gateway, None, "ann", PASSWORD).await.status == 200).then_some(())
    })
    .await;
    log_in(&gateway, None, "ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn failures_after_the_free_ones_are_delayed() {
    const DELAY: Duration = Duration::from_millis(300);
    let gateway = Gateway::with(&[
        ("AUTH__LOGIN_THROTTLE__FREE_ATTEMPTS", "1"),
        ("AUTH__LOGIN_THROTTLE__INITIAL_DELAY", "300ms"),
    ])
    .await;
    Bearer::register(&gateway, "ann").await;
    log_in(&gateway, None, "ann", "wrong").await.refused(401);
    let started = Instant::now();
    log_in(&gateway, None, "ann", "wrong").await.refused(401);
    // A lower bound only: a busy machine takes longer.
    assert!(started.elapsed() >= DELAY, "{:?}", started.elapsed());
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_trusted_proxies() {
    const STRICT: [(&str, &str); 2] =
        [NO_DELAY, ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", "1")];
    let trusting = Gateway::with(
        &[&STRICT[..], &[("HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]].concat(),
    )
    .await;
    let plain = Gateway::with(&STRICT).await;
    for gateway in [&trusting, &plain] {
        Bearer::register(gateway, "ann").await;
        log_in(gateway, Some("192.0.2.1"), "ann", "wrong").await.refused(401);
    }
    retry_after(log_in(&trusting, Some("192.0.2.1"), "ann", PASSWORD).await);
    retry_after(log_in(&trusting, Some("192.0.2.9, 192.0.2.1, 10.1.1.1"), "ann", PASSWORD).await);
    log_in(&trusting, Some("192.0.2.1, 192.0.2.2"), "ann", PASSWORD).await.expect(200);
    log_in(&trusting, None, "ann", PASSWORD).await.expect(200);
    retry_after(log_in(&plain, Some("192.0.2.2"), "ann", PASSWORD).await);

    for (path, address, status) in [
        ("/mode", "192.0.2.1", 429),
        ("/", "192.0.2.1", 429),
        ("/mode", "192.0.2.3", 200),
        ("/", "192.0.2.3", 200),
    ] {
        let mut peer = trusting
            .try_websocket(path, &[("x-forwarded-for", address)])
            .await
            .expect("the handshake is accepted");
        assert_eq!(mode_status(&mut peer, "ann", PASSWORD).await, status, "{address} at {path}");
    }
}
