//! The ledger: `tolmach ledger` and `tolmach sunset` tell who uses which dialect and revision.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, eventually, read_to_end, within};
use crate::nodes::Nodes;
use crate::raw_tcp::Values;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const FULL: (&str, &str) = ("LEDGER__ADDRESSES", "full");

/// The clients that a command tells of, which has to have this exit code.
async fn clients(gateway: &Gateway, arguments: &[&str], code: i32) -> Vec<Value> {
    let arguments = arguments.iter().copied().chain(["--format", "json"]);
    let output = gateway.run(arguments).await;
    let stdout = String::from_utf8(output.stdout).expect("it is text");
    assert_eq!(output.status.code(), Some(code), "{stdout}");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

async fn ledger(gateway: &Gateway) -> Vec<Value> {
    clients(gateway, &["ledger"], 0).await
}

fn requests(clients: &[Value]) -> u64 {
    clients.iter().map(|client| client["requests"].as_u64().expect("a number")).sum()
}

/// Those with this value of a key.
fn with(clients: &[Value], key: &str, value: impl Into<Value>) -> Vec<Value> {
    let value = value.into();
    clients.iter().filter(|client| client[key] == value).cloned().collect()
}

/// Ends a gateway by SIGTERM.
async fn terminate(gateway: &mut Gateway) {
    gateway.signal("TERM").await;
    assert_eq!(gateway.ended().await.0, Some(0));
}

/// The requests that a gateway has carried out, by its metrics.
async fn carried_out(gateway: &Gateway, labels: &str) -> u64 {
    gateway.metric("tolmach_requests_total", labels).await as u64
}

#[tokio::test]
async fn requests_by_websocket_http_and_raw_tcp_are_there_after_a_shutdown() {
    let mut gateway = Gateway::with(&[FULL, ("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    let agent = [("user-agent", "dash/1.0 (Linux)")];
    let mut dash = gateway.try_websocket("/mode", &agent).await.expect("it is accepted");
    let register = json!({
        "mode": "register",
        "timestamp": 1,
        "username": "ann",
        "password": PASSWORD,
        "email": "ann@example.org",
    });
    assert_eq!(dash.request(&register).await["status"], 200);
    let mut ann = Mode::log_in(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = bob.group("group", &[]).await;
    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    let stream = within("a connection", TcpStream::connect(address)).await.expect("it listens");
    Values::new(stream).sign_up("eve").await;
    assert_eq!(ann.request("logout", json!({"username": "ann"})).await["status"], 200);
    let mut carried = Vec::new();
    for dialect in ["mode", "bearer", "sndmsg"] {
        let labels = format!("dialect=\"{dialect}\"");
        carried.push((dialect, carried_out(&gateway, &labels).await));
    }
    terminate(&mut gateway).await;

    let all = ledger(&gateway).await;
    for (dialect, carried) in carried {
        let of_dialect = with(&all, "dialect", dialect);
        assert_eq!(requests(&of_dialect), carried, "{dialect}: {all:?}");
        assert!(of_dialect.iter().all(|client| client["address"] == "127.0.0.1"), "{all:?}");
    }
    let dash = &with(&all, "agent", "dash/1.0 (Linux)")[0];
    assert_eq!((&dash["login"], &dash["operations"]), (&json!("ann"), &json!({"register": 1})));
    let eve = &with(&all, "login", "eve")[0];
    assert_eq!((&eve["dialect"], &eve["revision"]), (&json!("sndmsg"), &json!("uchat")));
    // The logout counts for the user who logged out.
    let of_ann = clients(&gateway, &["ledger", "--user", "ann"], 0).await;
    assert_eq!(of_ann.len(), 2, "two agents: {of_ann:?}");
    assert!(of_ann.iter().any(|client| client["operations"]["logout"] == 1), "{of_ann:?}");
    let of_bearer = clients(&gateway, &["ledger", "--dialect", "bearer/doc"], 0).await;
    assert_eq!(of_bearer, with(&all, "dialect", "bearer"));
    let weeks = clients(&gateway, &["ledger", "--by", "week"], 0).await;
    assert_eq!(requests(&weeks), requests(&all));
    let operations = clients(&gateway, &["ledger", "--by", "operation"], 0).await;
    let created = &with(&operations, "operation", "create_flow")[0];
    assert_eq!((&created["users"], &created["requests"]), (&json!(1), &json!(1)), "{group}");

    let there = ["ledger", "--dialect", "sndmsg", "--target", "sndmsg/uchat"];
    let of_eve = clients(&gateway, &there, 0).await;
    assert_eq!(of_eve[0]["missing"], json!({}), "she is there already");
    let cut_off = clients(&gateway, &["sunset", "sndmsg/uchat", "--simulate"], 1).await;
    assert_eq!(cut_off.len(), 1);
    assert_eq!(cut_off[0]["login"], "eve");
    let nobody = clients(&gateway, &["sunset", "sndmsg/doc", "--simulate"], 0).await;
    assert_eq!(nobody, [Value::Null; 0]);

    // Entries that name a user go with the user.
    let deleted = gateway.run(["user", "delete", "ann"]).await;
    assert!(deleted.status.success());
    assert_eq!(with(&ledger(&gateway).await, "login", "ann"), [Value::Null; 0]);
}

#[tokio::test]
async fn a_kill_loses_only_what_was_counted_since_the_last_write() {
    let mut gateway = Gateway::with(&[("LEDGER__WRITE_INTERVAL", "100ms")]).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    for _ in 0..9 {
        ann.request("probe", json!({})).await;
        ann.request("getChats", json!({})).await;
    }
    let before = carried_out(&gateway, "").await;
    eventually("the write", async || (requests(&ledger(&gateway).await) == before).then_some(()))
        .await;
    for _ in 0..5 {
        ann.request("getChats", json!({})).await;
    }
    let after = carried_out(&gateway, "").await;
    gateway.crash(&[]).await;
    let found = requests(&ledger(&gateway).await);
    assert!((before..=after).contains(&found), "{before} <= {found} <= {after}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_for_a_while_loses_no_count() {
    let options = [("LEDGER__WRITE_INTERVAL", "100ms"), ("STORE__TIMEOUT", "300ms")];
    let gateway = Gateway::with(&options).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let url = format!("sqlite://{}", gateway.data().join("tolmach.sqlite").display());
    let mut limits = ConnectOptions::new(url);
    // The lock belongs to the connection.
    limits.max_connections(1).min_connections(1);
    let other = Database::connect(limits).await.expect("the store is a file");
    other.execute_unprepared("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE").await.expect("a lock");
    let failed = async || gateway.metric("tolmach_ledger_writes_total", "failed").await;
    eventually("a write that fails", async || {
        ann.request("getChats", json!({})).await;
        (failed().await >= 2.0).then_some(())
    })
    .await;
    other.execute_unprepared("ROLLBACK").await.expect("it is unlocked");
    let carried = carried_out(&gateway, "").await;
    // A batch whose commit was not acknowledged in time may count twice.
    eventually("all counts", async || (requests(&ledger(&gateway).await) >= carried).then_some(()))
        .await;
}

#[tokio::test]
async fn the_requests_of_a_user_at_two_nodes_add_up() {
    let mut nodes = Nodes::start().await;
    let mut at_one = Mode::register(&nodes.one, "ann").await;
    let mut at_two = Mode::log_in(&nodes.two, "ann").await;
    for _ in 0..3 {
        at_one.request("getChats", json!({})).await;
        at_two.request("getChats", json!({})).await;
    }
    let carried = carried_out(&nodes.one, "").await + carried_out(&nodes.two, "").await;
    terminate(&mut nodes.two).await;
    terminate(&mut nodes.one).await;
    let options = [("STORE__URL", &*nodes.url)];
    let output = nodes.one.run_with(&options, ["ledger", "--format", "json"]).await;
    let stdout = String::from_utf8(output.stdout).expect("it is text");
    let client: Value = serde_json::from_str(&stdout).expect("there is one client");
    assert_eq!(client["requests"], json!(carried));
}

#[tokio::test]
async fn an_address_with_many_agents_is_a_few_clients_and_others_are_told_apart() {
    const AGENTS: usize = 300;
    let mut gateway = Gateway::with(&[FULL]).await;
    let mut stream = gateway.connect_from([127, 0, 0, 2]).await;
    let mut requests_of_agents = String::new();
    for number in 0..AGENTS {
        let close = if number + 1 == AGENTS { "Connection: close\r\n" } else { "" };
        requests_of_agents.push_str(&format!(
            "GET /api/v1/user HTTP/1.1\r\nHost: x\r\nUser-Agent: {number}\r\n\
             Authorization: Bearer x\r\n{close}\r\n"
        ));
    }
    let written = stream.write_all(requests_of_agents.as_bytes()).await;
    written.expect("the connection is open");
    let answers = String::from_utf8(read_to_end(&mut stream).await).expect("it is text");
    assert_eq!(answers.matches("HTTP/1.1 401").count(), AGENTS);
    let _ann = Mode::register(&gateway, "ann").await;
    terminate(&mut gateway).await;
    let all = ledger(&gateway).await;
    let hostile = with(&all, "address", "127.0.0.2");
    assert!(hostile.len() < 20, "{}", hostile.len());
    assert_eq!(requests(&hostile), AGENTS as u64);
    assert_eq!(with(&hostile, "agent", "(other)").len(), 1);
    assert_eq!(with(&all, "login", "ann").len(), 1);
}

#[tokio::test]
async fn nothing_is_written_where_the_ledger_is_off() {
    let mut gateway = Gateway::with(&[("LEDGER__ENABLED", "false")]).await;
    let _ann = Mode::register(&gateway, "ann").await;
    terminate(&mut gateway).await;
    assert_eq!(ledger(&gateway).await, [Value::Null; 0]);
}
