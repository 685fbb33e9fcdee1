//! The life cycle of dialects and revisions: rules that gateways follow without a restart.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, eventually, read_to_end, within};
use crate::morelia::{Morelia, request};
use crate::nodes::{Nodes, shared};
use crate::raw_tcp::Values;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A window that contains every time of a test.
const ALWAYS: &str = "2000-01-01T00:00:00Z/2100-01-01T00:00:00Z";
/// A window that contains none.
const NEVER: &str = "2000-01-01T00:00:00Z/2000-01-02T00:00:00Z";

/// Runs `tolmach lifecycle` with these arguments, and waits until the gateway follows the change.
async fn lifecycle<const N: usize>(gateway: &Gateway, arguments: [&str; N]) -> String {
    let before = revision(gateway).await;
    let output = gateway.run(command(arguments)).await;
    let text = succeeded(&output);
    eventually("the new rules", async || (revision(gateway).await > before).then_some(())).await;
    text
}

/// The arguments of a command, of which empty ones are no arguments.
fn command<const N: usize>(arguments: [&str; N]) -> Vec<&str> {
    std::iter::once("lifecycle").chain(arguments).collect()
}

fn succeeded(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("the output is text")
}

/// The revision of the rules that a gateway follows.
async fn revision(gateway: &Gateway) -> f64 {
    gateway.metric("tolmach_serving_rules_revision", "").await
}

fn auth(name: &str, password: &str) -> Value {
    json!({"mode": "auth", "timestamp": 1, "username": name, "password": password})
}

#[tokio::test]
async fn every_node_follows_rules_and_their_removal_without_a_restart() {
    let nodes = Nodes::start().await;
    Mode::register(&nodes.one, "ann").await;
    let gateways = [&nodes.one, &nodes.two];
    let run = async |arguments: Vec<&str>, expected: f64| {
        let output = nodes.one.run_with(&shared(&nodes.url), arguments).await;
        let text = succeeded(&output);
        for gateway in gateways {
            let followed = async || (revision(gateway).await == expected).then_some(());
            eventually("the new rules", followed).await;
        }
        text
    };
    let log_in = async |gateway: &Gateway| {
        let mut peer = gateway.websocket("/mode").await;
        let reply = peer.request(&auth("ann", PASSWORD)).await;
        (reply["status"].clone(), peer)
    };
    assert_eq!(run(command(["refuse", "mode"]), 1.0).await, "rule 1\n");
    for gateway in gateways {
        let (status, mut peer) = log_in(gateway).await;
        assert_eq!(status, 422);
        assert_eq!(peer.end().await, (vec![], Some(1001)));
        let labels = "dialect=\"mode\",revision=\"doc\",state=\"refused\"";
        assert_eq!(gateway.metric("tolmach_lifecycle_requests_total", labels).await, 1.0);
    }
    assert_eq!(run(command(["clear", "mode"]), 2.0).await, "1 removed\n");
    for gateway in gateways {
        assert_eq!(log_in(gateway).await.0, 200);
    }
}

/// Reads the frames until the connection ends: one of them, with the close code of the dialect.
async fn last(mut peer: Peer, frame: &Value) -> Value {
    peer.send(frame).await;
    let (mut frames, code) = peer.end().await;
    assert_eq!((frames.len(), code), (1, Some(1001)), "{frames:?}");
    frames.remove(0)
}

#[tokio::test]
async fn each_dialect_and_revision_is_refused_with_its_own_error_and_ends() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let room = ann.group("diary", &[]).await;
    let morelia = Morelia::log_in(&gateway, "ann").await.user;
    let token = Mode::log_in(&gateway, "ann").await.token;
    let authorization = format!("Bearer {}", ann.access);
    let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
    let literal = format!(
        "{{'mode': 'auth', 'timestamp': '2024-11-21 15:46:54', 'username': 'ann', \
         'password': '{PASSWORD}'}}"
    );
    for (verb, options, code, later) in [
        ("brownout", ["--window", ALWAYS], 429, true),
        ("refuse", ["--from", "2000-01-01"], 400, false),
    ] {
        let text = if later { "try again later" } else { "this version is no longer served" };
        for version in ["mode/doc", "mode/literal", "sndmsg", "morelia", "bearer", "action"] {
            lifecycle(&gateway, [verb, version, options[0], options[1]]).await;
        }
        let status = if later { 429 } else { 422 };
        for (name, frame) in [
            ("a login", auth("ann", PASSWORD)),
            ("a request", json!({"mode": "getChats", "timestamp": 1, "token": token})),
            ("an unknown token", json!({"mode": "getChats", "timestamp": 1, "token": "x"})),
        ] {
            let reply = last(gateway.websocket("/mode").await, &frame).await;
            assert_eq!(reply["status"], status, "{name}: {reply}");
            assert!(reply["error_msg"].as_str().is_some_and(|it| it.contains(text)), "{reply}");
            assert!(reply["token"].is_null(), "{reply}");
        }
        let mut peer = gateway.websocket("/ws").await;
        peer.send_text(&literal).await;
        let reply = peer.next().await.expect("a reply");
        assert!(reply.contains("'status': '400'"), "its only status for it: {reply}");
        assert_eq!(peer.next().await, Err(Some(1001)));

        let frame = json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": PASSWORD});
        let reply = last(gateway.websocket("/sndmsg").await, &frame).await;
        assert_eq!(reply["status"], "ERROR", "{reply}");
        assert!(reply["detail"].as_str().is_some_and(|it| it.contains(text)), "{reply}");

        let user = json!({"login": "ann", "password": PASSWORD});
        let with_token = Morelia::with_token(&gateway, &morelia).await;
        let message = with_token.message(room, 1, "hello");
        for frame in [request("auth", &json!({"user": user})), message] {
            let reply = last(gateway.websocket("/morelia").await, &frame).await;
            assert_eq!(reply["errors"]["code"], code, "{reply}");
            let detail = reply["errors"]["detail"].as_str();
            assert!(detail.is_some_and(|it| it.contains(text)), "{reply}");
        }

        let body = json!({"username": "ann", "password": PASSWORD});
        let logged_in = gateway.json("POST", "/api/v1/login", None, &body).await;
        let over_http = ann.get("/user").await;
        let room = ann.try_room(&format!("/group/{room}")).await.err().expect("it is refused");
        let action = gateway.try_websocket("/ws/chat/", &headers).await;
        let action = action.err().expect("it is refused");
        for response in [logged_in, over_http, room] {
            assert_eq!(response.status.as_u16(), code, "{response:?}");
        }
        assert_eq!(action.status, 403, "the only rejection that its clients know");
        let retry_after = ann.get("/user").await.header("retry-after");
        assert_eq!(retry_after.is_some(), later, "{retry_after:?}");
        for version in ["mode/doc", "mode/literal", "sndmsg", "morelia", "bearer", "action"] {
            lifecycle(&gateway, ["clear", version]).await;
        }
    }
    assert_eq!(ann.get("/user").await.expect(200)["username"], "ann");
    Mode::log_in(&gateway, "ann").await;
}

#[tokio::test]
async fn a_client_on_raw_tcp_is_refused_and_its_stream_ends() {
    let gateway = Gateway::with(&[("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    lifecycle(&gateway, ["refuse", "sndmsg/uchat"]).await;
    let listener = gateway.sndmsg_tcp.expect("the ready line has the address");
    let connected = within("a connection", TcpStream::connect(listener)).await;
    let mut stream = connected.expect("it accepts connections");
    let sign_up = json!({"type": 1, "login": "ann", "pass": PASSWORD}).to_string();
    within("a write", stream.write_all(sign_up.as_bytes())).await.expect("it is open");
    let received = read_to_end(&mut stream).await;
    let reply: Value = serde_json::from_slice(&received).expect("one value was received");
    assert_eq!(reply["type"], 1, "{reply}");
    assert!(reply["status"].as_i64().is_some_and(|status| status != 0), "{reply}");
    lifecycle(&gateway, ["clear", "sndmsg/uchat"]).await;
    let connected = within("a connection", TcpStream::connect(listener)).await;
    Values::new(connected.expect("it accepts connections")).sign_up("ann").await;
}

#[tokio::test]
async fn a_brownout_outside_of_its_windows_refuses_nobody() {
    let gateway = Gateway::start().await;
    Mode::register(&gateway, "ann").await;
    lifecycle(&gateway, ["brownout", "mode", "--window", NEVER]).await;
    lifecycle(&gateway, ["refuse", "mode", "--from", "2100-01-01"]).await;
    Mode::log_in(&gateway, "ann").await;
    lifecycle(&gateway, ["brownout", "mode", "--window", NEVER, "--window", ALWAYS]).await;
    let reply = last(gateway.websocket("/mode").await, &auth("ann", PASSWORD)).await;
    assert_eq!(reply["status"], 429, "{reply}");
}

#[tokio::test]
async fn an_open_connection_ends_at_its_next_request() {
    let gateway = Gateway::start().await;
    let ann = Mode::register(&gateway, "ann").await;
    lifecycle(&gateway, ["refuse", "mode"]).await;
    let request = json!({"mode": "getChats", "timestamp": 1, "token": ann.token});
    assert_eq!(last(ann.peer, &request).await["status"], 422);
}

#[tokio::test]
async fn an_open_connection_without_a_request_ends_at_the_next_ping() {
    let gateway = Gateway::with(&[("KEEPALIVE__PING_INTERVAL", "1s")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let mut stranger = gateway.websocket("/mode").await;
    lifecycle(&gateway, ["refuse", "mode"]).await;
    assert_eq!(ann.peer.end().await, (vec![], Some(1001)));
    assert_eq!(stranger.end().await, (vec![], Some(1001)));
    let closed = gateway.metric("tolmach_connections_closed_total", "reason=\"refused\"").await;
    assert_eq!(closed, 2.0);
}

#[tokio::test]
async fn a_share_is_refused_after_the_password_is_proven_and_a_permitted_user_is_not() {
    let gateway = Gateway::start().await;
    for name in ["ann", "bob"] {
        Mode::register(&gateway, name).await;
    }
    lifecycle(&gateway, ["refuse", "mode", "--share", "100"]).await;
    lifecycle(&gateway, ["permit", "mode", "--user", "bob"]).await;
    let reply = last(gateway.websocket("/mode").await, &auth("ann", PASSWORD)).await;
    assert_eq!((&reply["status"], &reply["token"]), (&json!(422), &Value::Null), "{reply}");
    let mut peer = gateway.websocket("/mode").await;
    let reply = peer.request(&auth("ann", "another")).await;
    assert_eq!(reply["status"], 401, "a wrong password tells nothing of a rule: {reply}");
    let bob = Mode::log_in(&gateway, "bob").await;
    drop(bob);
    let listing = gateway.run(["lifecycle", "list"]).await;
    let listing = succeeded(&listing);
    let rows: Vec<Vec<&str>> =
        listing.lines().map(|line| line.split_whitespace().take(6).collect()).collect();
    assert_eq!(rows[0], ["RULE", "VERSION", "CLIENTS", "STATE", "TIME"]);
    assert_eq!(rows[1][..5], ["1", "mode", "100", "%", "refused"]);
    assert_eq!(rows[2], ["2", "mode", "user", "2", "(bob)", "permitted"]);
}

/// The head of the response to a WebSocket handshake.
async fn handshake_response(gateway: &Gateway, path: &str) -> String {
    let mut stream = gateway.connect().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        gateway.address
    );
    within("a write", stream.write_all(request.as_bytes())).await.expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a response", stream.read_u8()).await.expect("it is open"));
    }
    String::from_utf8(head).expect("a head is text")
}

#[tokio::test]
async fn a_deprecated_version_is_told_so_by_the_headers_of_responses_and_handshakes() {
    const LINK: &str = "https://example.org/migrate";
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let names = ["deprecation", "sunset", "link"];
    let before = ann.get("/user").await;
    assert!(names.iter().all(|name| before.header(name).is_none()), "{before:?}");
    for version in ["bearer", "mode"] {
        let times = ["--since", "2023-06-30T23:59:59Z", "--sunset", "2099-12-31T23:59:59Z"];
        let [since, from, sunset, until] = times;
        lifecycle(&gateway, ["deprecate", version, since, from, sunset, until, "--link", LINK])
            .await;
    }
    let body = json!({"username": "ann", "password": "another"});
    let refused = gateway.json("POST", "/api/v1/login", None, &body).await;
    assert_eq!(refused.status, 401);
    for response in [ann.get("/user").await, refused] {
        assert_eq!(response.header("deprecation").as_deref(), Some("@1688169599"));
        let sunset = response.header("sunset");
        assert_eq!(sunset.as_deref(), Some("Thu, 31 Dec 2099 23:59:59 GMT"));
        let links: Vec<_> = response.headers.get_all("link").iter().collect();
        assert_eq!(
            links,
            [&format!("<{LINK}>; rel=\"deprecation\""), &format!("<{LINK}>; rel=\"sunset\"")]
        );
    }
    let head = handshake_response(&gateway, "/mode").await;
    let expected = format!(
        "deprecation: @1688169599\r\nsunset: Thu, 31 Dec 2099 23:59:59 GMT\r\n\
         link: <{LINK}>; rel=\"deprecation\"\r\nlink: <{LINK}>; rel=\"sunset\"\r\n"
    );
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(&expected), "{head}");
    let head = handshake_response(&gateway, "/sndmsg").await;
    assert!(!head.contains("deprecation"), "{head}");
    Mode::log_in(&gateway, "ann").await;
    let labels = "dialect=\"mode\",revision=\"doc\",state=\"deprecated\"";
    assert_eq!(gateway.metric("tolmach_lifecycle_requests_total", labels).await, 1.0);
}

#[tokio::test]
async fn a_rule_about_what_does_not_exist_is_refused() {
    let gateway = Gateway::start().await;
    for (arguments, code, expected) in [
        (["refuse", "mood"].as_slice(), 2, "the dialects are mode"),
        (&["refuse", "mode/litteral"], 2, "it has doc, literal"),
        (&["permit", "mode", "--user", "ann"], 1, "there is no account \"ann\""),
        (&["permit", "mode", "--user", "7"], 1, "there is no account \"7\""),
        (&["clear", "3"], 1, "there is no rule 3"),
        (&["clear", "mode"], 1, "there is no rule mode"),
    ] {
        let arguments: Vec<&str> = ["lifecycle"].iter().chain(arguments).copied().collect();
        let output = gateway.run(arguments).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
