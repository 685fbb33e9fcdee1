//! Dialect files that are read again on SIGHUP.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, eventually};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

const RELOADS: &str = "tolmach_dialect_reloads_total";

/// A file of a dialect `tavern` whose responses have the key `answer`.
fn tavern(answer: &str) -> String {
    format!(
        r#"
[dialect]
id = "tavern"
summary = "a dialect for this trial"
paths = ["/tavern"]
opens = '{{"tavern": <_: string>}}'
credentials = "connection"

[outcomes]
columns = ["word"]
ok = ["yes"]
"*" = ["no"]

[envelope]
request = '{{"tavern": <name>}}'
response = '{{"{answer}": <outcome.word>}}'
event = '{{"{answer}": <name>}}'

[[request.register]]
name = "join"
set = {{ grant = "connection", username = "<login>", profile = true }}
frame = '{{"person"!: <login>, "password": <password>}}'

[[request.list_flows]]
name = "rooms"

[[event.posted]]
name = "said"
frame = '{{"text": <text>}}'
"#
    )
}

/// Writes a file of the folder in one step.
fn write(folder: &Path, name: &str, text: &str) {
    let unfinished = folder.join("unfinished");
    std::fs::write(&unfinished, text).expect("the folder can be written");
    std::fs::rename(unfinished, folder.join(name)).expect("it can be renamed");
}

/// Sends SIGHUP, and waits until that many readings of changed files have this outcome.
async fn reload(gateway: &Gateway, outcome: &str, count: f64) {
    gateway.signal("HUP").await;
    eventually("the files are read again", async || {
        (gateway.metric(RELOADS, outcome).await == count).then_some(())
    })
    .await;
}

/// A client that has joined; its responses have the key `answer`.
async fn join(gateway: &Gateway, path: &str, name: &str, answer: &str) -> Peer {
    let mut peer = gateway.websocket(path).await;
    let joined =
        peer.request(&json!({"tavern": "join", "person": name, "password": PASSWORD})).await;
    assert_eq!(joined, json!({answer: "yes"}), "{path}");
    peer
}

#[tokio::test]
async fn a_connection_keeps_its_file_and_new_ones_have_the_changed_one() {
    let files = TempDir::new().expect("a temporary folder can be made");
    write(files.path(), "tavern.toml", &tavern("first"));
    let folder = files.path().to_str().expect("the path is UTF-8");
    let gateway = Gateway::with(&[("DIALECTS__FOLDER", folder)]).await;
    let mut ann = join(&gateway, "/tavern", "ann", "first").await;

    write(files.path(), "tavern.toml", &tavern("second"));
    reload(&gateway, "ok", 1.0).await;
    let rooms = json!({"tavern": "rooms"});
    assert_eq!(ann.request(&rooms).await, json!({"first": "yes"}));
    let mut bob = join(&gateway, "/tavern", "bob", "second").await;
    let mut carl = join(&gateway, "/ws", "carl", "second").await;

    // One event, in the form that each connection began with.
    let mut dora = Mode::register(&gateway, "dora").await;
    let mut members = Vec::new();
    for name in ["ann", "bob", "carl"] {
        members.push(Bearer::log_in(&gateway, name).await.id);
    }
    let group = Bearer::log_in(&gateway, "dora").await.group("all", &members).await;
    dora.send(group, "hello").await;
    for (peer, answer) in [(&mut ann, "first"), (&mut bob, "second"), (&mut carl, "second")] {
        let event = peer.receive().await;
        assert_eq!(event, json!({answer: "said", "text": "hello"}));
    }
    assert_eq!(gateway.metric("tolmach_event_renders_total", "tavern").await, 2.0);
}

#[tokio::test]
async fn a_file_with_a_problem_changes_nothing_and_the_log_has_its_place() {
    let files = TempDir::new().expect("a temporary folder can be made");
    write(files.path(), "tavern.toml", &tavern("first"));
    let folder = files.path().to_str().expect("the path is UTF-8");
    let gateway = Gateway::with(&[("DIALECTS__FOLDER", folder)]).await;

    let spoiled = tavern("second").replacen("<login>", "<logn>", 1);
    write(files.path(), "tavern.toml", &spoiled);
    write(files.path(), "inn.toml", "[dialect]\nidd = \"inn\"\n");
    reload(&gateway, "failed", 1.0).await;
    for place in ["inn.toml:2:7: idd: ", "tavern.toml:21:42: <logn>: "] {
        let log = gateway.log();
        assert!(log.contains(place), "{place:?} is not in {log}");
    }
    join(&gateway, "/tavern", "ann", "first").await;

    // Of a path that another dialect has, only the server knows.
    std::fs::remove_file(files.path().join("inn.toml")).expect("it is there");
    let taken = tavern("second").replace("\"/tavern\"", "\"/mode\"");
    write(files.path(), "tavern.toml", &taken);
    reload(&gateway, "failed", 2.0).await;
    let (log, reason) = (gateway.log(), "mode and tavern are both at /mode");
    assert!(log.contains(reason), "{reason:?} is not in {log}");
    join(&gateway, "/tavern", "bob", "first").await;

    write(files.path(), "tavern.toml", &tavern("second"));
    reload(&gateway, "ok", 1.0).await;
    join(&gateway, "/tavern", "carl", "second").await;
}

#[tokio::test]
async fn a_file_can_be_added_and_removed_and_one_that_is_unchanged_is_not_read_again() {
    let files = TempDir::new().expect("a temporary folder can be made");
    let folder = files.path().to_str().expect("the path is UTF-8");
    let gateway = Gateway::with(&[("DIALECTS__FOLDER", folder)]).await;
    let refused = gateway.try_websocket("/tavern", &[]).await.err();
    assert_eq!(refused.map(|response| response.status.as_u16()), Some(404));

    write(files.path(), "tavern.toml", &tavern("first"));
    reload(&gateway, "ok", 1.0).await;
    let mut ann = join(&gateway, "/tavern", "ann", "first").await;

    gateway.signal("HUP").await;
    eventually("the files are compared", async || {
        gateway.log().contains("the dialect files are unchanged").then_some(())
    })
    .await;
    assert_eq!(gateway.metric(RELOADS, "ok").await, 1.0);

    std::fs::remove_file(files.path().join("tavern.toml")).expect("it is there");
    reload(&gateway, "ok", 2.0).await;
    let refused = gateway.try_websocket("/tavern", &[]).await.err();
    assert_eq!(refused.map(|response| response.status.as_u16()), Some(404));
    assert_eq!(ann.request(&json!({"tavern": "rooms"})).await, json!({"first": "yes"}));
}

#[tokio::test]
async fn a_signal_without_a_folder_of_files_ends_nothing() {
    let gateway = Gateway::start().await;
    gateway.signal("HUP").await;
    eventually("the signal was received", async || {
        gateway.log().contains("the dialect files are unchanged").then_some(())
    })
    .await;
    Mode::register(&gateway, "ann").await;
}
