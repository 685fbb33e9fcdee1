//! `tolmach import` and `tolmach export`: a world of another server comes along, with its passwords
//! and ids.

use crate::harness::{Gateway, Mode, tolmach};
use crate::morelia::request;
use crate::raw_tcp::Values;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tolmach_test_servers::{Durability, Postgres};

const UCHAT: &str = include_str!("../import/uchat.sql");
/// The environment variable with the number of kills of the trial that has some.
const KILLS: &str = "TOLMACH_IMPORT_KILLS";
const MORELIA: &str = include_str!("../import/morelia.sql");

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// The output of a command that must succeed.
pub(crate) fn succeeded(output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}

/// The counts of new, existing and refused records in the output of an import, by kind.
pub(crate) fn counts(output: &str) -> Vec<[u64; 3]> {
    let row = |name: &str| {
        let row = output.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let row = row.unwrap_or_else(|| panic!("{name} is not in {output}"));
        let numbers: Vec<u64> =
            row.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        numbers.try_into().expect("three numbers")
    };
    ["users", "conversations", "messages", "members"].map(row).to_vec()
}

/// Makes the database of another server by its own statements, and returns its URL.
pub(crate) async fn database(folder: &Path, sql: &str) -> String {
    let path = folder.join("old.db");
    let url = format!("sqlite:{}", path.display());
    let database = Database::connect(format!("{url}?mode=rwc")).await.expect("it can be made");
    database.execute_unprepared(sql).await.expect("the statements are sound");
    database.close().await.expect("it can be closed");
    url
}

pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder can be made")
}

pub(crate) fn write(folder: &Path, name: &str, lines: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, lines).expect("it can be written");
    path
}

pub(crate) fn name(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

pub(crate) fn header() -> Value {
    json!({"world": {"form": "tolmach-world/1", "source": "old"}})
}

#[tokio::test]
async fn a_client_of_uchat_finds_its_rooms_by_its_old_password_and_ids() {
    let gateway = Gateway::with(&[("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    let folder = folder();
    let url = database(folder.path(), UCHAT).await;
    let import = ["import", "--from", "uchat", &url];
    let dry = succeeded(&gateway.run(["import", "--dry-run", "--from", "uchat", &url]).await);
    assert!(dry.contains("dry run"), "{dry}");
    let expected = [[3, 0, 0], [2, 0, 0], [4, 0, 0], [4, 0, 0]];
    assert_eq!(counts(&dry), expected);
    assert_eq!(counts(&succeeded(&gateway.run(import).await)), expected, "after the dry run");
    let again = counts(&succeeded(&gateway.run(import).await));
    assert_eq!(again, [[0, 3, 0], [0, 2, 0], [0, 4, 0], [0, 4, 0]]);
    let dry = succeeded(&gateway.run(["import", "--dry-run", "--from", "uchat", &url]).await);
    assert_eq!(counts(&dry)[..2], [[0, 3, 0], [0, 2, 0]]);

    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    let mut ann = Values::new(TcpStream::connect(address).await.expect("it listens"));
    let login = |pass: &str| json!({"type": 0, "login": "ann", "pass": pass});
    assert_ne!(ann.request(login("blueberry")).await["status"], 0);
    assert_eq!(ann.request(login("apple pie")).await["status"], 0);
    let list = ann.request(json!({"type": 9, "username": "ann"})).await;
    assert_eq!((&list["id"], &list["dialogs"]), (&json!([4, 9]), &json!(["bob", "carl"])));
    let mut found = vec![ann.request(json!({"type": 4, "room_id": 4})).await];
    for _ in 0..2 {
        found.push(ann.receive().await);
    }
    let found: Vec<_> =
        found.iter().map(|message| [&message["message_id"], &message["message"]]).collect();
    assert_eq!(
        json!(found),
        json!([["11", "hello bob"], ["12", "hello ann"], ["20", "how are you?"]])
    );
}

#[tokio::test]
async fn a_client_of_moreliatalk_finds_its_flows_by_its_old_password() {
    let folder = folder();
    let url = database(folder.path(), MORELIA).await;
    let gateway = Gateway::start().await;
    let import = ["import", "--from", "morelia", &url];
    let expected = [[3, 0, 0], [1, 0, 0], [3, 0, 0], [2, 0, 0]];
    assert_eq!(counts(&succeeded(&gateway.run(import).await)), expected);
    let hashes = async || {
        let list = succeeded(&gateway.run(["user", "list", "--hashes"]).await);
        list.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(hashes().await, "in all: 2 blake2b, 1 none");
    let mut peer = gateway.websocket("/morelia").await;
    let user = |password: &str| json!({"user": {"login": "ann", "password": password}});
    let reply = peer.request(&request("auth", &user("blueberry"))).await;
    assert_ne!(reply["errors"]["code"], 200, "{reply}");
    for _ in 0..2 {
        let reply = peer.request(&request("auth", &user("apple pie"))).await;
        assert_eq!(reply["errors"]["code"], 200, "{reply}");
        assert_eq!(hashes().await, "in all: 1 bcrypt, 1 blake2b, 1 none");
    }
    let reply = peer.request(&request("auth", &user("apple pie"))).await;
    let user = &reply["data"]["user"];
    let user = json!({"id": user["id"], "auth_id": user["auth_id"]});
    let data = json!({"time": 0, "user": user});
    let reply = peer.request(&request("all_messages", &data)).await;
    let messages = reply["data"]["message"].as_array().expect("a list");
    let texts: Vec<_> = messages.iter().map(|message| &message["text"]).collect();
    assert_eq!(json!(texts), json!(["hello", "hello ann", "goodbye"]), "{reply}");
    let data = json!({"time": 1_600_000_030, "user": user});
    let reply = peer.request(&request("all_messages", &data)).await;
    let messages = reply["data"]["message"].as_array().expect("a list");
    let texts: Vec<_> = messages.iter().map(|message| &message["text"]).collect();
    assert_eq!(json!(texts), json!(["hello ann", "goodbye"]), "only what is newer: {reply}");
}

#[tokio::test]
async fn after_the_last_day_of_old_hashes_a_recovery_link_is_mailed() {
    let gateway = Gateway::with(&[("AUTH__LEGACY_HASHES_UNTIL", "2020-01-01T00:00:00Z")]).await;
    let folder = folder();
    let url = database(folder.path(), MORELIA).await;
    succeeded(&gateway.run(["import", "--from", "morelia", &url]).await);
    let mails = || std::fs::read_dir(gateway.data().join("mail")).map_or(0, Iterator::count);
    let mut peer = gateway.websocket("/morelia").await;
    for (password, mailed) in [("wrong", 0), ("apple pie", 1)] {
        let user = json!({"user": {"login": "ann", "password": password}});
        let reply = peer.request(&request("auth", &user)).await;
        assert_ne!(reply["errors"]["code"], 200, "{reply}");
        assert_eq!(mails(), mailed, "{password}");
    }
}

#[tokio::test]
async fn refused_records_are_named_with_their_lines_and_collected() {
    let gateway = Gateway::start().await;
    let folder = folder();
    Mode::register(&gateway, "taken").await;
    let file = write(
        folder.path(),
        "world.jsonl",
        &[
            header(),
            json!({"user": {"id": 7, "login": "anna", "password": "apple pie"}}),
            json!({"user": {"id": 8, "login": "TAKEN"}}),
            json!({"user": {"id": 9, "login": "dora", "password_hash": "md5$x$y"}}),
            json!({"user": {"id": 10}}),
            json!({"flow": {"id": 3, "kind": "group", "owner": 7, "title": "all"}}),
            json!({"message": {"id": 1, "flow": 3, "author": 7, "text": "one",
                "posted_at": "2020-01-01T00:00:00Z"}}),
            json!({"message": {"id": 2, "flow": 3, "author": 7, "text": "two",
                "posted_at": "9020-01-01T00:00:00Z"}}),
            json!({"message": {"id": 3, "flow": 4, "author": 7, "text": "three",
                "posted_at": "2020-01-01T00:00:00Z"}}),
            json!({"member": {"flow": 3, "user": 8}}),
            json!({"member": {"flow": 3, "user": 7, "read": 1}}),
            json!({"user": {"id": 11, "login": "emma", "email": "TAKEN@example.org"}}),
            json!({"user": {"id": 12, "login": "t\u{430}ken"}}),
        ],
    );
    let expected = [
        (3, "user.login", "another user has the login"),
        (4, "user.password_hash", ""),
        (5, "user", ""),
        (8, "message.posted_at", ""),
        (9, "message.flow", ""),
        (10, "member.user", ""),
        (12, "user.email", "another user has the e-mail address"),
        (13, "user.login", "the login looks like that of another user"),
    ];
    for dry_run in [true, false] {
        let rejects = folder.path().join("rejects.jsonl");
        let arguments = ["import", name(&file), "--rejects", name(&rejects)];
        let output = match dry_run {
            true => {
                let [import, file, option, rejects] = arguments;
                gateway.run([import, file, option, rejects, "--dry-run"]).await
            }
            false => gateway.run(arguments).await,
        };
        assert_eq!(counts(&succeeded(&output))[0], [1, 0, 4], "{dry_run}");
        let stderr = text(&output.stderr);
        let rejects = std::fs::read_to_string(rejects).expect("it was written");
        let rejects: Vec<Value> = rejects.lines().map(|line| line.parse().expect("JSON")).collect();
        let mut found: Vec<_> = rejects
            .iter()
            .map(|entry| (entry["line"].as_u64(), entry["field"].as_str().expect("text")))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected.map(|(line, field, _)| (Some(line), field)));
        for (line, field, reason) in expected {
            assert!(stderr.contains(&format!("world.jsonl:{line}: {field}: {reason}")), "{stderr}");
        }
    }
    // Without a file for them, refused records are an error.
    assert_eq!(gateway.run(["import", name(&file)]).await.status.code(), Some(1));
}

#[tokio::test]
async fn an_export_is_imported_as_it_was() {
    let gateway = Gateway::start().await;
    let source = folder();
    let url = database(source.path(), UCHAT).await;
    succeeded(&gateway.run(["import", "--from", "uchat", &url]).await);
    let file = source.path().join("world.jsonl");
    succeeded(&gateway.run(["export", name(&file)]).await);
    let other = Gateway::start().await;
    let expected = [[3, 0, 0], [2, 0, 0], [4, 0, 0], [4, 0, 0]];
    assert_eq!(counts(&succeeded(&other.run(["import", name(&file)]).await)), expected);
    let again = source.path().join("again.jsonl");
    succeeded(&other.run(["export", name(&again)]).await);
    let read = |path: &Path| std::fs::read_to_string(path).expect("it was written");
    assert_eq!(read(&file), read(&again));
    // Compressed, it is the same.
    let compressed = source.path().join("world.jsonl.zst");
    succeeded(&other.run(["export", name(&compressed)]).await);
    let frame = std::fs::read(&compressed).expect("it was written");
    assert!(frame.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "no zstd frame");
    let existing = expected.map(|[new, ..]| [0, new, 0]);
    assert_eq!(counts(&succeeded(&other.run(["import", name(&compressed)]).await)), existing);
}

/// Kills imports into a world, each time further on: the last one has everything once.
async fn kill_imports(gateway: &Gateway, store: &str) {
    let kills = match std::env::var(KILLS) {
        Ok(kills) => kills.parse().expect("a number of kills"),
        Err(_) => 3,
    };
    let messages: u64 = kills * 4_000;
    let folder = folder();
    let mut lines = vec![
        header(),
        json!({"user": {"id": 7, "login": "anna"}}),
        json!({"flow": {"id": 3, "kind": "group", "owner": 7, "title": "all"}}),
    ];
    for id in 1..=messages {
        // Every third one has an id that is no number of the world.
        let id = if id % 3 == 0 { json!((u128::from(id) << 64).to_string()) } else { json!(id) };
        lines.push(json!({"message": {"id": id, "flow": 3, "author": 7,
            "text": format!("text {id}"), "posted_at": "2020-01-01T00:00:00Z"}}));
    }
    lines.push(json!({"member": {"flow": 3, "user": 7}}));
    let file = write(folder.path(), "world.jsonl", &lines);
    let import = ["import", name(&file)];
    let options = [("STORE__URL", store)];
    let home = gateway.data();
    let home = home.parent().expect("the data folder has a parent");
    let database = Database::connect(store).await.expect("it is there");
    let stored = async || {
        let count = "SELECT count(*) AS number FROM message";
        let row = sea_orm::Statement::from_string(database.get_database_backend(), count);
        let row = database.query_one_raw(row).await.expect("readable").expect("one row");
        let number: i64 = row.try_get("", "number").expect("a number");
        u64::try_from(number).expect("a count")
    };
    let mut before = 0;
    for _ in 0..kills {
        let mut child = tolmach(home, &options, import)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        loop {
            let now = stored().await;
            if now > before || child.try_wait().expect("a child").is_some() {
                before = now;
                break;
            }
        }
        // An error means that it has ended.
        let _ = child.kill().await;
    }
    let output = succeeded(&gateway.run_with(&options, import).await);
    assert!(output.contains("resumed after") || counts(&output)[2][0] > 0, "{output}");
    assert_eq!(stored().await, messages);
    let output = succeeded(&gateway.run_with(&options, import).await);
    assert_eq!(counts(&output)[2], [0, messages, 0]);
    assert_eq!(stored().await, messages);
    database.close().await.expect("it can be closed");
}

#[tokio::test]
async fn an_import_that_is_killed_resumes_with_nothing_twice_and_nothing_missing() {
    let gateway = Gateway::start().await;
    let store = format!("sqlite://{}", gateway.data().join("tolmach.sqlite").display());
    kill_imports(&gateway, &store).await;
}

#[tokio::test]
async fn an_import_into_postgresql_that_is_killed_resumes_with_nothing_twice_or_missing() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = server.url();
    kill_imports(&Gateway::with(&[("STORE__URL", &store)]).await, &store).await;
}
