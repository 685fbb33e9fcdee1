//! Captured clients, played against gateways by `tolmach replay`, and compared by `tolmach diff`.

use crate::captures::{dialects, stories, title};
use crate::harness::{self, Bearer, Gateway, Mode, PASSWORD, eventually};
use crate::raw_tcp::Values;
use crate::recording::captures;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tolmach_capture::{Header, Line, Recorder, Sender, Writer};
use tolmach_dialect::{DOC, Dialect};

/// Runs the binary in a folder.
async fn tolmach(folder: &TempDir, arguments: &[&str]) -> Output {
    harness::run(folder.path(), &[], arguments.iter().copied()).await
}

fn exit_code(output: &Output, expected: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(expected), "{printed}\n{errors}");
    printed + &errors
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A number that no script reaches.
const MANY: &str = "100000";

/// With these, scripts may log in and register as often as they like.
const OPTIONS: [(&str, &str); 7] = [
    ("AUTH__LOGIN_THROTTLE__FREE_ATTEMPTS", MANY),
    ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN_AND_ADDRESS", MANY),
    ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_LOGIN", MANY),
    ("AUTH__LOGIN_THROTTLE__MAX_FAILURES_PER_ADDRESS", MANY),
    ("AUTH__REGISTRATION_THROTTLE__MAX_PER_ADDRESS", MANY),
    ("AUTH__REGISTRATION_THROTTLE__MAX_IN_ALL", MANY),
    ("AUTH__RECOVERY_THROTTLE__MAX_PER_ADDRESS", MANY),
];

/// A gateway with these options.
async fn gateway() -> Gateway {
    Gateway::with(&OPTIONS).await
}

/// The same, with connections of a revision known by their user agent.
async fn pinning_gateway() -> Gateway {
    let mut pins = String::new();
    for dialect in dialects() {
        let title = title(&*dialect);
        if let Some((id, revision)) = title.split_once('/')
            && revision != DOC
        {
            let pin = format!("revision = {revision:?}\nuser_agent = {title:?}");
            writeln!(pins, "[[dialects.{id}.pin]]\n{pin}").expect("a string takes every text");
        }
    }
    Gateway::with_file(&pins, &OPTIONS).await
}

/// A capture of one HTTP connection: requests to `bearer` (method, path, body; `null` for none)
/// with what was answered.
fn exchanges(
    connection: u64,
    token: &str,
    exchanges: &[(&str, &str, Value, u16, Value)],
) -> Vec<Line> {
    let mut lines = vec![line(json!({
        "type": "open", "connection": connection, "at": 0, "transport": "http",
        "dialect": "bearer", "revision": "doc",
    }))];
    for (method, uri, request, status, answer) in exchanges {
        let headers = json!([["content-type", "application/json"]]);
        let mut frame = json!({
            "type": "frame", "connection": connection, "at": 0, "from": "client",
            "kind": "request", "method": method, "uri": uri, "headers": headers,
        });
        if request.is_null() {
            frame["headers"] = json!([["authorization", format!("Bearer {token}")]]);
        } else {
            frame["text"] = request.to_string().into();
        }
        lines.push(line(frame));
        lines.push(line(json!({
            "type": "frame", "connection": connection, "at": 0, "from": "server",
            "kind": "response", "status": status, "headers": headers, "text": answer.to_string(),
        })));
    }
    lines.push(line(json!({"type": "close", "connection": connection, "at": 0, "by": "client"})));
    lines
}

/// A capture of one WebSocket: a request to `mode` with what was answered.
fn mode_exchange(connection: u64, request: &Value, answer: &Value) -> [Line; 4] {
    let frame = |from: &str, frame: &Value| {
        json!({
            "type": "frame", "connection": connection, "at": 0, "from": from, "kind": "text",
            "text": frame.to_string(),
        })
    };
    [
        json!({
            "type": "open", "connection": connection, "at": 0, "transport": "websocket",
            "dialect": "mode", "revision": "doc",
            "request": {"method": "GET", "uri": "/mode", "headers": []},
        }),
        frame("client", request),
        frame("server", answer),
        json!({"type": "close", "connection": connection, "at": 0, "by": "client"}),
    ]
    .map(line)
}

/// A line of a capture, from its JSON.
fn line(line: Value) -> Line {
    let text = format!(
        "{}\n{line}\n",
        json!({
            "type": "capture", "form": "tolmach-capture/1", "recorder": "proxy",
        })
    );
    let mut lines = tolmach_capture::Reader::new("a test", text.as_bytes());
    lines.nth(1).expect("there are two lines").unwrap_or_else(|error| panic!("{error:?}: {line}"))
}

fn write(path: &Path, lines: &[Line]) {
    let file = std::fs::File::create(path).expect("a file can be made");
    let header = Header::new(Recorder::Proxy, Vec::new());
    let mut writer = Writer::new(file, header).expect("a file can be written");
    for line in lines {
        writer.write(line).expect("a file can be written");
    }
}

/// The stories of a dialect as one capture: first their users register and log in, which teaches
/// their tokens and ids.
fn captured_stories(dialect: &dyn Dialect) -> Vec<Line> {
    use tolmach_dialect_kit::fixtures::{ANN, BOB, CAROL};
    let mut lines = Vec::new();
    for (connection, persona) in (1..).zip([&ANN, &BOB, &CAROL]) {
        let mut account = json!({"username": persona.login, "password": persona.password});
        let tokens = json!({"access_token": persona.token, "refresh_token": persona.refresh});
        let login = ("POST", "/api/v1/login", account.clone(), 200, tokens);
        let profile = json!({"id": persona.number, "username": persona.login});
        account["email"] = format!("{}@example.org", persona.login).into();
        account["mode"] = "register".into();
        account["timestamp"] = 1.into();
        let registered = json!({"mode": "register", "status": 200, "token": "first-token"});
        lines.extend(mode_exchange(10 + connection, &account, &registered));
        let own = ("GET", "/api/v1/user", Value::Null, 200, profile);
        lines.extend(exchanges(connection, persona.token, &[login, own]));
    }
    let title = title(dialect);
    for (mut line, is_event) in stories(dialect) {
        match &mut line {
            Line::Open(open) => {
                let headers = open.request.as_mut().map(|request| &mut request.headers);
                headers.into_iter().for_each(|to| to.push(("user-agent".into(), title.clone())));
            }
            // A close that another user of the story causes: here the client closes.
            Line::Close(close) if is_event => close.by = Some(Sender::Client),
            _ => {}
        }
        lines.push(line);
    }
    lines
}

/// Plays the stories of a dialect against one gateway, and what was recorded against another one,
/// which has other ids.
async fn replays_without_a_difference(dialect: &dyn Dialect) {
    let title = title(dialect);
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let (stories, first, second) = (file("stories.jsonl"), file("a.jsonl"), file("b.jsonl"));
    write(&stories, &captured_stories(dialect));
    let old = gateway_with_ids_from(7_000).await;
    let to = format!("http://{}", old.address);
    let played = tolmach(
        &folder,
        &["replay", path(&stories), "--to", &to, "--output", path(&first), "--wait", "1s"],
    )
    .await;
    let summary = exit_code(&played, 0);
    let new = gateway_with_ids_from(5_000).await;
    let to = format!("http://{}", new.address);
    let compared = tolmach(
        &folder,
        &["replay", path(&first), "--to", &to, "--output", path(&second), "--diff"],
    )
    .await;
    let report = exit_code(&compared, 0);
    assert!(report.contains("no differences"), "{title}: {summary}{report}");
    // A revision that was not recognised would be played as another one.
    let text = std::fs::read_to_string(&second).expect("it was written");
    let (id, revision) = title.split_once('/').expect("it has a revision");
    let named = format!("\"dialect\":\"{id}\",\"revision\":\"{revision}\"");
    assert!(text.contains(&named), "{title} was not played");
    let again = tolmach(&folder, &["diff", path(&first), path(&second)]).await;
    assert!(exit_code(&again, 0).contains("no differences"), "{title}");
}

#[tokio::test]
async fn a_replay_of_all_stories_against_the_same_gateway_shows_no_difference() {
    let dialects = dialects();
    let played = futures_util::stream::iter(&dialects)
        .map(|dialect| replays_without_a_difference(&**dialect))
        .buffer_unordered(5);
    assert_eq!(played.count().await, dialects.len());
}

/// A pinning gateway whose objects have ids from this number on: no id of a story means one of
/// them by chance.
async fn gateway_with_ids_from(id: u64) -> Gateway {
    let gateway = pinning_gateway().await;
    let file = gateway.data().join("world.jsonl");
    let records = [
        json!({"world": {"form": "tolmach-world/1", "source": "others"}}),
        json!({"user": {"id": id, "login": "xxx"}}),
        json!({"flow": {"id": id, "kind": "group", "owner": id, "title": "Others"}}),
        json!({"message": {
            "id": id, "flow": id, "author": id, "text": "Hello",
            "posted_at": "2023-11-14T22:13:23Z",
        }}),
    ];
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(&file, lines).expect("the folder can be written to");
    exit_code(&gateway.run(["import", path(&file)]).await, 0);
    gateway
}

/// One conversation as a capture: registration, login, a message by WebSocket.
fn conversation() -> Vec<Line> {
    let mut lines = vec![line(json!({
        "type": "open", "connection": 1, "at": 0, "transport": "websocket", "dialect": "mode",
        "revision": "doc", "request": {"method": "GET", "uri": "/mode", "headers": []},
    }))];
    let mut text = |at: u64, from: &str, value: Value| {
        lines.push(line(json!({
            "type": "frame", "connection": 1, "at": at, "from": from, "kind": "text",
            "text": value.to_string(),
        })));
    };
    for (at, name) in [(1_000, "ann"), (2_000, "bob")] {
        let account = json!({
            "mode": "register", "timestamp": 1.5, "username": name, "password": "pseudonym",
            "email": format!("{name}@example.org"),
        });
        text(at, "client", account);
        let token = format!("{name}-captured-token");
        let answer = json!({"mode": "register", "timestamp": 1.5, "status": 200, "token": token});
        text(at + 500, "server", answer);
    }
    text(
        3_000,
        "client",
        json!({"mode": "getChats", "timestamp": 2.5, "token": "ann-captured-token"}),
    );
    text(
        3_500,
        "server",
        json!({"mode": "getChats", "timestamp": 2.5, "status": 200, "chats": []}),
    );
    lines.push(line(json!({
        "type": "close", "connection": 1, "at": 4_000, "by": "client", "code": 1000,
    })));
    lines
}

#[tokio::test]
async fn a_replay_with_diff_tells_by_its_exit_code_what_differs_and_reports_in_three_forms() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("a.jsonl");
    let lines = conversation();
    for (name, speed, expected) in [("fast", "fast", 0), ("captured", "captured", 0)] {
        write(&capture, &lines);
        let gateway = gateway().await;
        let to = format!("ws://{}", gateway.address);
        let arguments = ["replay", path(&capture), "--to", &to, "--diff", "--speed", speed];
        let output = tolmach(&folder, &arguments).await;
        let report = exit_code(&output, expected);
        assert!(report.contains("no differences"), "{name}: {report}");
    }
    // A server that answers otherwise than captured.
    let mut other = lines.clone();
    for line in &mut other {
        if let Line::Frame(frame) = line {
            frame.text = frame.text.as_ref().map(|text| text.replace("\"chats\":[]", "\"c\":[]"));
        }
    }
    write(&capture, &other);
    // The file of the capture, or any that is there, is not written over.
    let arguments = ["replay", path(&capture), "--to", "ws://127.0.0.1:9", "--output"];
    let output = tolmach(&folder, &[&arguments[..], &[path(&capture)]].concat()).await;
    assert!(exit_code(&output, 1).contains("a.jsonl"));
    assert!(std::fs::metadata(&capture).expect("it is there").len() > 0);
    let (page, replay) = (folder.path().join("page.html"), folder.path().join("b.jsonl"));
    let gateway = gateway().await;
    let to = format!("ws://{}", gateway.address);
    let output = tolmach(
        &folder,
        &[
            "replay",
            path(&capture),
            "--to",
            &to,
            "--diff",
            "--format",
            "html",
            "--report",
            path(&page),
            "--output",
            path(&replay),
        ],
    )
    .await;
    assert!(exit_code(&output, 1).contains("frames that differ: 1"));
    let html = std::fs::read_to_string(&page).expect("the page was written");
    assert!(html.contains("<code>chats</code>") && html.contains("getChats"), "{html}");
    let arguments = ["diff", path(&capture), path(&replay), "--format", "json"];
    let output = tolmach(&folder, &arguments).await;
    exit_code(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["operations"]["getChats"]["differs"], 1, "{report}");
    assert_eq!(report["total"]["same"], 2, "{report}");
}

#[tokio::test]
async fn clients_of_raw_tcp_are_played_too() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("a.jsonl");
    let mut lines = vec![line(json!({
        "type": "open", "connection": 1, "at": 0, "transport": "tcp", "dialect": "sndmsg",
        "revision": "uchat",
    }))];
    for (from, value) in [
        ("client", json!({"type": 1, "login": "ann", "pass": "pseudonym"})),
        ("server", json!({"type": 1, "status": 0})),
        ("client", json!({"type": 5, "user": "nobody"})),
        ("server", json!({"type": 5, "status": 0, "user": []})),
    ] {
        lines.push(line(json!({
            "type": "frame", "connection": 1, "at": 1_000, "from": from, "kind": "value",
            "text": value.to_string(),
        })));
    }
    write(&capture, &lines);
    let gateway = Gateway::with(&[("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    let to = format!("tcp://{address}");
    let output = tolmach(&folder, &["replay", path(&capture), "--to", &to, "--diff"]).await;
    assert!(exit_code(&output, 0).contains("no differences"));
}

/// Ends a gateway that records, once its clients are gone, and gives its only capture.
async fn captured(gateway: &mut Gateway) -> PathBuf {
    eventually("the end of the connections", async || {
        let open = gateway.metric("tolmach_connections", "").await;
        (open == 0.0).then_some(())
    })
    .await;
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await.0, Some(0));
    let mut files = captures(gateway);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[tokio::test]
async fn a_gateways_recording_played_against_another_one_shows_no_difference() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let mut old = Gateway::with(&[&OPTIONS[..], &[("RECORD__ENABLED", "true")]].concat()).await;
    // The answer to a registration over `bearer` has the user's id, which a replay learns.
    let member = Bearer::register(&old, "ann").await.id;
    let bob = Bearer::register(&old, "bob").await;
    let group = bob.group("Readers", &[member]).await;
    let mut ann = Mode::log_in(&old, "ann").await;
    let (mut room, _) = bob.room(&format!("/group/{group}")).await;
    ann.send(group, "hello").await;
    assert_eq!(room.receive().await["text"], "hello");
    assert_eq!(ann.history(group).await, ["hello"]);
    let mut cat = old.websocket("/sndmsg").await;
    let sign_up = json!({"type": "REQUEST_SIGNUP", "login": "cat", "pass": PASSWORD});
    cat.request(&sign_up).await;
    let login = json!({"type": "REQUEST_LOGIN", "login": "cat", "pass": PASSWORD});
    assert_eq!(cat.request(&login).await["status"], "LOGIN_OK");
    drop((ann, room, cat));
    let capture = captured(&mut old).await;
    let new = gateway().await;
    // Users that are there before, so that the ids differ.
    Mode::register(&new, "zoe").await;
    let to = format!("http://{}", new.address);
    let output = tolmach(&folder, &["replay", path(&capture), "--to", &to, "--diff"]).await;
    let report = exit_code(&output, 0);
    assert!(report.contains("no differences"), "{report}");
    let posted = new.metric("tolmach_requests_total", "operation=\"send\"").await;
    assert_eq!(posted, 1.0, "{report}");
}

#[tokio::test]
async fn a_gateways_recording_of_raw_tcp_played_against_another_one_shows_no_difference() {
    const LISTEN: (&str, &str) = ("TCP__SNDMSG__LISTEN", "127.0.0.1:0");
    let folder = TempDir::new().expect("a temporary folder can be made");
    let mut old = Gateway::with(&[LISTEN, ("RECORD__ENABLED", "true")]).await;
    let address = old.sndmsg_tcp.expect("the ready line has the address");
    let connect = async || Values::new(TcpStream::connect(address).await.expect("it listens"));
    let (mut ann, mut bob) = (connect().await, connect().await);
    ann.sign_up("ann").await;
    bob.sign_up("bob").await;
    let opened = bob.request(json!({"type": 2, "sender": "bob", "receiver": "ann"})).await;
    let room = opened["id"].clone();
    let message = json!({
        "type": 3, "username": "bob", "room_id": room, "message": "hi", "msg_type": 0,
    });
    assert_eq!(bob.request(message).await["status"], 0);
    // The history of a room is a value for each message.
    assert_eq!(ann.request(json!({"type": 4, "room_id": room})).await["message"], "hi");
    drop((ann, bob));
    let capture = captured(&mut old).await;
    let text = std::fs::read_to_string(&capture).expect("the capture is there");
    for part in ["\"transport\":\"tcp\"", "\"revision\":\"uchat\"", "\"kind\":\"value\""] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(!text.contains("\"type\":\"gap\""), "{text}");
    let new = Gateway::with(&[LISTEN]).await;
    let to = format!("tcp://{}", new.sndmsg_tcp.expect("the ready line has the address"));
    let output = tolmach(&folder, &["replay", path(&capture), "--to", &to, "--diff"]).await;
    assert!(exit_code(&output, 0).contains("no differences"));
}

#[tokio::test]
async fn passwords_are_put_in_place_of_pseudonyms() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let (capture, accounts) = (folder.path().join("a.jsonl"), folder.path().join("accounts"));
    let gateway = gateway().await;
    let added = gateway.run(["user", "add", "ann", "--password", PASSWORD]).await;
    exit_code(&added, 0);
    let login = json!({
        "mode": "auth", "timestamp": 1.5, "username": "ann", "password": "pseudonym",
    });
    let mut lines = conversation();
    lines.drain(2..lines.len() - 1);
    let Line::Frame(frame) = &mut lines[1] else { panic!("a frame follows the opening") };
    frame.text = Some(login.to_string());
    let answer = json!({
        "mode": "auth", "timestamp": 1.5, "status": 200, "token": "ann-captured-token",
    });
    let answer = line(json!({
        "type": "frame", "connection": 1, "at": 1_500, "from": "server", "kind": "text",
        "text": answer.to_string(),
    }));
    lines.insert(2, answer);
    write(&capture, &lines);
    let mut text = String::new();
    writeln!(text, "{}", json!({"login": "ann", "password": PASSWORD})).expect("it is a string");
    std::fs::write(&accounts, text).expect("a file can be written");
    let to = format!("ws://{}", gateway.address);
    let arguments = ["replay", path(&capture), "--to", &to, "--diff"];
    let output = tolmach(&folder, &arguments).await;
    assert!(exit_code(&output, 1).contains("status: 200 | 401"));
    let with_accounts = [&arguments[..], &["--credentials", path(&accounts)]].concat();
    let output = tolmach(&folder, &with_accounts).await;
    assert!(exit_code(&output, 0).contains("no differences"));
}

#[tokio::test]
async fn what_cannot_be_read_or_reached_is_told_with_its_place() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("a.jsonl");
    write(&capture, &conversation());
    // A port without a listener.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    drop(listener);
    let to = format!("ws://{address}");
    let output = tolmach(&folder, &["replay", path(&capture), "--to", &to, "--diff"]).await;
    assert!(exit_code(&output, 2).contains("a.jsonl:2: the server was lost"));
    let broken = folder.path().join("broken.jsonl");
    let text = std::fs::read_to_string(&capture).expect("it was written");
    std::fs::write(&broken, text.replacen("\"kind\":\"text\"", "\"kind\":\"talk\"", 1))
        .expect("a file can be written");
    let output = tolmach(&folder, &["diff", path(&capture), path(&broken)]).await;
    assert!(exit_code(&output, 2).contains("broken.jsonl:3: kind"));
    let output =
        tolmach(&folder, &["diff", path(&capture), path(&capture), "--dialect", "mood"]).await;
    assert!(exit_code(&output, 2).contains("mood"));
    let to = "ftp://127.0.0.1";
    let output = tolmach(&folder, &["replay", path(&capture), "--to", to, "--diff"]).await;
    assert!(exit_code(&output, 2).contains("`--to`"));
}

/// A capture of one WebSocket: its client sends these frames, each of which has this answer.
fn frames_of_a_client(texts: impl IntoIterator<Item = String>, answer: Option<Value>) -> Vec<Line> {
    let mut lines = vec![line(json!({
        "type": "open", "connection": 1, "at": 0, "transport": "websocket", "dialect": "mode",
        "revision": "doc", "request": {"method": "GET", "uri": "/mode", "headers": []},
    }))];
    let frame = |from: &str, text: String| {
        line(json!({
            "type": "frame", "connection": 1, "at": 0, "from": from, "kind": "text", "text": text,
        }))
    };
    for text in texts {
        lines.push(frame("client", text));
        lines.extend(answer.as_ref().map(|answer| frame("server", answer.to_string())));
    }
    lines
}

/// A push of `mode` of some kilobytes.
fn push() -> Message {
    let messages = json!([{"message_id": 1, "from_id": 2, "content": "x".repeat(8_192)}]);
    let push = json!({"mode": "getMessages", "status": 200, "chat_id": 1, "messages": messages});
    Message::text(push.to_string())
}

/// The address of a server of one WebSocket.
async fn server<F>(serve: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let to = format!("ws://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the replay connects");
        let socket = tokio_tungstenite::accept_async(stream).await.expect("it is a handshake");
        serve(socket).await;
    });
    to
}

#[tokio::test]
async fn a_server_that_pushes_and_never_answers_does_not_prolong_the_wait() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("a.jsonl");
    let request = json!({"mode": "getChats", "timestamp": 1.5, "token": "t"}).to_string();
    let answer = json!({"mode": "getChats", "timestamp": 1.5, "status": 200, "chats": []});
    write(&capture, &frames_of_a_client([request], Some(answer)));
    let to = server(|mut socket| async move { while socket.send(push()).await.is_ok() {} }).await;
    let replayed = folder.path().join("b.jsonl");
    let arguments = ["replay", path(&capture), "--to", &to, "--wait", "200ms"];
    let output = tolmach(&folder, &[&arguments[..], &["--output", path(&replayed)]].concat()).await;
    assert!(exit_code(&output, 0).contains("1 captured frames had no counterpart"));
}

#[tokio::test]
async fn a_server_that_reads_once_its_own_frames_are_read_does_not_stop_a_replay() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("a.jsonl");
    // More in both directions than the buffers of the system and of the replay hold.
    let content = "x".repeat(65_536);
    let request = json!({"mode": "sendMessage", "chat_id": 1, "content": content}).to_string();
    write(&capture, &frames_of_a_client(std::iter::repeat_n(request, 300), None));
    let to = server(|mut socket| async move {
        for _ in 0..3_000 {
            socket.send(push()).await.expect("the replay reads");
        }
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    let replayed = folder.path().join("b.jsonl");
    let arguments = ["replay", path(&capture), "--to", &to, "--output", path(&replayed)];
    let output = tolmach(&folder, &arguments).await;
    assert!(exit_code(&output, 0).contains("300 frames sent, 3000 received"));
}
