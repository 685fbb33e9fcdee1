//! `tolmach import`: its options, its decisions and its files, as they are right and as they are
//! wrong.

use crate::harness::{Gateway, PASSWORD, run, tolmach, within};
use crate::import::{counts, database, folder, header, name, succeeded, text, write};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};

const UCHAT: &str = include_str!("../import/uchat.sql");

/// A database of a server that does not listen.
const REFUSED: &str = "postgres://reader:blueberry@127.0.0.1:1/chat";

/// Runs a command on a world that no gateway serves.
async fn on<const N: usize>(home: &Path, arguments: [&str; N]) -> Output {
    run(home, &[], arguments).await
}

fn source(name: &str) -> Value {
    json!({"world": {"form": "tolmach-world/1", "source": name}})
}

fn user(id: u64, login: &str, email: &str) -> Value {
    json!({"user": {"id": id, "login": login, "email": email}})
}

/// The users of a world, each with login and e-mail address.
async fn users(home: &Path) -> Value {
    let world = succeeded(&on(home, ["export"]).await);
    let records = world.lines().map(|line| line.parse::<Value>().expect("JSON"));
    let users = records.filter_map(|mut record| Some(record.get_mut("user")?.take()));
    users.map(|user| json!([user["login"], user["email"]])).collect()
}

/// The output on standard error of a command that must fail with this code.
fn failed(output: &Output, code: i32) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}{stderr}", text(&output.stdout));
    stderr
}

/// The database of another uchat, with the same ids and other users.
async fn another_uchat(folder: &Path, logins: [&str; 3]) -> String {
    let [ann, bob, carl] = logins.map(|login| format!("'{login}'"));
    let sql = UCHAT.replace("'ann'", &ann).replace("'bob'", &bob).replace("'carl'", &carl);
    database(folder, &sql).await
}

#[tokio::test]
async fn databases_of_one_kind_are_apart_by_the_names_of_their_sources() {
    let gateway = Gateway::start().await;
    let folders = [folder(), folder(), folder()];
    let first = database(folders[0].path(), UCHAT).await;
    let second = another_uchat(folders[1].path(), ["xenia", "yvonne", "zoe"]).await;
    let third = another_uchat(folders[2].path(), ["ulf", "vera", "walter"]).await;
    let expected = [[3, 0, 0], [2, 0, 0], [4, 0, 0], [4, 0, 0]];
    let existing = expected.map(|[new, ..]| [0, new, 0]);
    let output = gateway.run(["import", "--from", "uchat", &first]).await;
    assert_eq!(counts(&succeeded(&output)), expected);
    let import = ["import", "--from", "uchat", "--source", "shop", &second];
    let [command, from, kind, option, shop, url] = import;
    let dry = gateway.run([command, from, kind, option, shop, url, "--dry-run"]).await;
    assert_eq!(counts(&succeeded(&dry)), expected);
    assert_eq!(counts(&succeeded(&gateway.run(import).await)), expected);
    assert_eq!(counts(&succeeded(&gateway.run(import).await)), existing);
    let output = gateway.run(["import", "--from", "uchat", &first]).await;
    assert_eq!(counts(&succeeded(&output)), existing);

    // One that is followed has a cursor of its own: its rows have the places of those before.
    let home = gateway.data();
    let follow = ["import", "--from", "uchat", "--source", "other", &third, "--follow"];
    let mut child = tolmach(home.parent().expect("a parent"), &[], follow)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    loop {
        let line = within("the first pass", lines.next_line()).await.expect("it is text");
        let line = line.expect("it goes on");
        if line.contains("lag") {
            let expected = "other: 3 users, 2 conversations, 4 messages, 4 members new; lag";
            assert!(line.starts_with(expected), "{line}");
            break;
        }
    }
    within("the end", child.kill()).await.expect("it can be killed");
    let logins: Vec<Value> = users(home.parent().expect("a parent"))
        .await
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| user[0].clone())
        .collect();
    let expected = ["ann", "bob", "carl", "xenia", "yvonne", "zoe", "ulf", "vera", "walter"];
    assert_eq!(json!(logins), json!(expected));
}

#[tokio::test]
async fn a_renamed_user_leaves_the_address_to_the_one_before_in_the_same_source() {
    let folder = folder();
    let lines = [
        source("old"),
        user(1, "ann", "ann@example.org"),
        user(2, "annie", "ANN@example.org"),
        user(3, "bob", "bob@example.org"),
        user(4, "bobby", "bobby@example.org"),
    ];
    let file = write(folder.path(), "world.jsonl", &lines);
    let decisions = folder.path().join("decisions.jsonl");
    let import = ["import", name(&file), "--decisions", name(&decisions)];
    let stderr = failed(&on(folder.path(), import).await, 1);
    assert!(stderr.contains("user 2: another user has the e-mail address"), "{stderr}");
    let lines = [
        json!({"source": "old", "user": 2, "decision": {"rename": "annie"}}),
        json!({"source": "old", "user": 4, "decision": {"rename": "bobby-2"}}),
    ];
    write(folder.path(), "decisions.jsonl", &lines);
    let output = on(folder.path(), import).await;
    assert_eq!(counts(&succeeded(&output))[0], [4, 0, 0]);
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("no e-mail address: another user has it").count(), 1, "{stderr}");
    let expected = json!([
        ["ann", "ann@example.org"],
        ["annie", null],
        ["bob", "bob@example.org"],
        ["bobby-2", "bobby@example.org"],
    ]);
    assert_eq!(users(folder.path()).await, expected);
}

#[tokio::test]
async fn users_of_two_sources_are_the_same_user_by_one_file_of_decisions() {
    let folder = folder();
    let home = folder.path();
    let ann = [source("first"), user(1, "ann", "ann@example.org")];
    succeeded(&on(home, ["import", name(&write(home, "first", &ann))]).await);
    let decision = |source: &str| json!({"source": source, "user": 9, "decision": {"same_as": 1}});
    let file = write(home, "decisions", &[decision("second"), decision("third")]);
    for of in ["second", "third"] {
        let world = write(home, of, &[source(of), user(9, "other", "other@example.org")]);
        let import = ["import", name(&world), "--decisions", name(&file)];
        let stdout = succeeded(&on(home, import).await);
        assert_eq!(counts(&stdout)[0], [0, 1, 0]);
        assert!(stdout.contains("1 user of the source is the same as a user here"), "{stdout}");
    }
    assert_eq!(users(home).await, json!([["ann", "ann@example.org"]]));
}

#[tokio::test]
async fn a_decision_renames_to_a_login_that_users_may_have() {
    let folder = folder();
    let home = folder.path();
    let world = write(home, "world", &[source("old"), user(1, "ann", "ann@example.org")]);
    for (login, reason) in [
        ("", "must not be empty"),
        (" ann", "may have single spaces between its parts only"),
        ("an\u{200b}n", "must not have the character U+200B"),
    ] {
        let lines = [
            json!({"source": "old", "user": 5, "decision": "skip"}),
            json!({"source": "old", "user": 1, "decision": {"rename": login}}),
        ];
        let file = write(home, "decisions", &lines);
        for arguments in [vec![], vec!["--dry-run"]] {
            let mut command = tolmach(home, &[], ["import", name(&world)]);
            command.args(["--decisions", name(&file)]).args(arguments);
            let output = within("a command", command.output()).await.expect("it can be started");
            let stderr = failed(&output, 1);
            assert!(
                stderr.contains(&format!("decisions:2: decision: login: {reason}")),
                "{stderr}"
            );
        }
    }
    assert_eq!(users(home).await, json!([]));
}

#[tokio::test]
async fn a_source_tells_which_databases_and_names_it_has() {
    let folder = folder();
    let home = folder.path();
    for (arguments, code, expected) in [
        (&["ftp", "sqlite:a"][..], 2, "there are django, morelia, swiftly, uchat"),
        (&["uchat", "sqlite:a", "--name", "a=b"], 2, "`--name` is for `--from django`"),
        (&["uchat", "postgres://h/a"], 1, "uchat is read from one database, sqlite:PATH"),
        (&["uchat", "a.db"], 1, "uchat is read from one database, sqlite:PATH"),
        (&["swiftly", "sqlite:a", "sqlite:b"], 1, "two databases, each postgres://USER@HOST/NAME"),
        (&["swiftly", "postgres://h/a"], 1, "two databases, each postgres://USER@HOST/NAME"),
        (&["morelia", "a.db"], 1, "one database, sqlite:PATH or postgres://USER@HOST/NAME"),
        (&["uchat", "sqlite:old.db"], 1, "the database old.db cannot be read"),
        (&["morelia", REFUSED], 1, "the database chat at 127.0.0.1:1 cannot be read"),
        (&["django", "sqlite:a", "sqlite:b"], 1, "one database, sqlite:PATH or postgres://"),
        (&["django", "sqlite:a", "--name", "user="], 1, "user has to have a name"),
        (&["django", "sqlite:a", "--name", "room.id="], 1, "room.id has to have a name"),
    ] {
        let mut command = tolmach(home, &[], ["import"]);
        let output = within("a command", command.arg("--from").args(arguments).output()).await;
        let stderr = failed(&output.expect("the binary can be started"), code);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("blueberry"), "{stderr}");
    }
}

#[tokio::test]
async fn an_input_without_lines_is_no_world() {
    let folder = folder();
    let home = folder.path();
    for content in ["", "\n\n"] {
        let file = home.join("world.jsonl");
        std::fs::write(&file, content).expect("it can be written");
        for path in [name(&file), "-"] {
            let stderr = failed(&on(home, ["import", path]).await, 1);
            assert!(stderr.contains(&format!("{path}: the first line is no")), "{stderr}");
        }
    }
    // A second file needs no header.
    let world = write(home, "first.jsonl", &[header()]);
    let empty = write(home, "second.jsonl", &[]);
    succeeded(&on(home, ["import", name(&world), name(&empty)]).await);
}

#[tokio::test]
async fn notes_are_shown_up_to_twenty_and_counted() {
    for (notes, shows_all) in [(20, true), (21, false)] {
        let folder = folder();
        let mut lines = vec![
            header(),
            user(1, "ann", "ann@example.org"),
            json!({"flow": {"id": 1, "kind": "group", "owner": 1, "title": "all"}}),
        ];
        lines.extend((1..=notes).map(|id| {
            json!({"message": {"id": id, "flow": 1, "author": 1, "text": "a reply",
                "reply_to": 999, "posted_at": "2020-01-01T00:00:00Z"}})
        }));
        let file = write(folder.path(), "world.jsonl", &lines);
        let output = on(folder.path(), ["import", name(&file)]).await;
        let (stdout, stderr) = (succeeded(&output), text(&output.stderr));
        assert_eq!(stderr.matches(": note: no reply").count(), 20, "{stderr}");
        assert_eq!(stderr.contains("more notes are counted"), !shows_all, "{stderr}");
        assert!(stdout.contains(&format!("\n{notes} notes on records ")), "{stdout}");
        let messages = format!("{notes} messages in 1 conversation, read back, are as in");
        assert!(stdout.contains(&messages), "{stdout}");
    }
}

#[tokio::test]
async fn a_message_that_the_source_has_changed_since_is_counted_apart() {
    let folders = [folder(), folder()];
    let home = folders[0].path();
    let first = database(home, UCHAT).await;
    succeeded(&on(home, ["import", "--from", "uchat", &first]).await);
    let changed = UCHAT.replace("'hello ann'", "'hello, ann'");
    let changed = database(folders[1].path(), &changed).await;
    let stdout = succeeded(&on(home, ["import", "--from", "uchat", &changed]).await);
    assert!(stdout.contains("\n3 messages in 2 conversations, read back, are as in"), "{stdout}");
    assert!(stdout.contains("\n1 message of an earlier import differs"), "{stdout}");
}

#[tokio::test]
async fn only_the_owner_can_read_what_has_passwords() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let home = folder.path();
    let lines = [
        header(),
        json!({"user": {"id": 1, "login": "ann", "password": PASSWORD}}),
        json!({"user": {"id": 2, "login": "ANN", "password": PASSWORD}}),
    ];
    let world = write(home, "world.jsonl", &lines);
    let [plain, compressed, rejects, decisions] =
        ["plain.jsonl", "world.zst", "rejects", "decisions"].map(|name| home.join(name));
    succeeded(&on(home, ["import", name(&world), "--rejects", name(&rejects)]).await);
    succeeded(&on(home, ["export", name(&plain)]).await);
    succeeded(&on(home, ["export", name(&compressed)]).await);
    let import = ["import", name(&world), "--decisions", name(&decisions), "--dry-run"];
    on(home, import).await;
    for path in [plain, compressed, rejects, decisions] {
        let metadata = std::fs::metadata(&path).expect("it was written");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}
