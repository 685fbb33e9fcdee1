//! `tolmach import` into a world that lives: a second source, a server that still runs, and
//! gateways with clients.

use crate::harness::{Gateway, Mode, PASSWORD, tolmach, within};
use crate::import::{counts, database, folder, header, name, succeeded, text, write};
use crate::raw_tcp::Values;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};

const UCHAT: &str = include_str!("../import/uchat.sql");

/// The first line of a file of the second source.
fn second() -> Value {
    json!({"world": {"form": "tolmach-world/1", "source": "second"}})
}

fn user(id: u64, login: &str, email: &str) -> Value {
    json!({"user": {"id": id, "login": login, "email": email, "password": PASSWORD}})
}

fn chat(id: u64, pair: [u64; 2]) -> Value {
    json!({"flow": {"id": id, "kind": "chat", "owner": pair[0], "pair": pair}})
}

fn group(id: u64, owner: u64) -> Value {
    json!({"flow": {"id": id, "kind": "group", "owner": owner, "title": "all"}})
}

fn message(id: u64, flow: u64, author: u64, text: &str) -> Value {
    let posted_at = format!("2020-01-01T00:00:{:02}Z", id % 60);
    json!({"message": {"id": id, "flow": flow, "author": author, "text": text,
        "posted_at": posted_at}})
}

fn member(flow: u64, user: u64) -> Value {
    json!({"member": {"flow": flow, "user": user}})
}

/// The records of a kind in an export of the world.
pub(crate) async fn exported(gateway: &Gateway, folder: &Path, kind: &str) -> Vec<Value> {
    let file = folder.join("export.jsonl");
    succeeded(&gateway.run(["export", name(&file)]).await);
    let lines = std::fs::read_to_string(file).expect("it was written");
    let records = lines.lines().map(|line| line.parse::<Value>().expect("JSON"));
    records.filter_map(|mut record| Some(record.get_mut(kind)?.take())).collect()
}

/// The texts of all messages, each with its flow and author, in their order.
pub(crate) async fn texts(gateway: &Gateway, folder: &Path) -> Vec<(i64, i64, String)> {
    let messages = exported(gateway, folder, "message").await;
    let number = |value: &Value| value.as_i64().expect("a number");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    messages.iter().map(|m| (number(&m["flow"]), number(&m["author"]), text(&m["text"]))).collect()
}

fn decisions(path: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(path).expect("it was written");
    lines.lines().map(|line| line.parse().expect("JSON")).collect()
}

/// Fills in decisions by the ids of users at the source.
fn decide(path: &Path, of_users: &[(u64, Value)]) {
    let lines = decisions(path).into_iter().map(|mut line| {
        let user = line["user"].as_u64();
        if let Some((_, decision)) = of_users.iter().find(|(id, _)| Some(*id) == user) {
            line["decision"] = decision.clone();
        }
        format!("{line}\n")
    });
    let lines: String = lines.collect();
    std::fs::write(path, lines).expect("it can be written");
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[tokio::test]
async fn users_with_the_same_address_are_one_and_conversations_stay_apart() {
    let gateway = Gateway::start().await;
    let folder = folder();
    let first = [
        header(),
        user(1, "ann", "ann@example.org"),
        user(2, "bob", "bob@example.org"),
        chat(1, [1, 2]),
        message(1, 1, 1, "first hello"),
        member(1, 1),
        member(1, 2),
    ];
    let first = write(folder.path(), "first.jsonl", &first);
    succeeded(&gateway.run(["import", name(&first)]).await);
    let second = [
        second(),
        user(1, "bobby", "BOB@example.org"),
        user(2, "annie", "ann@example.org"),
        user(3, "carl", "carl@example.org"),
        chat(1, [1, 2]),
        group(2, 3),
        message(1, 1, 2, "second hello"),
        message(2, 2, 3, "to all"),
        message(3, 2, 1, "to all too"),
        member(1, 1),
        member(1, 2),
        member(2, 1),
        member(2, 3),
    ];
    let second = write(folder.path(), "second.jsonl", &second);
    let import = ["import", name(&second), "--match", "email"];
    let [command, file, option, rule] = import;
    let dry = gateway.run([command, file, option, rule, "--dry-run"]).await;
    let expected = [[1, 2, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]];
    for output in [dry, gateway.run(import).await] {
        let (stdout, stderr) = (succeeded(&output), text(&output.stderr));
        assert_eq!(counts(&stdout), expected);
        assert!(stdout.contains("2 users of the source are the same as users here"), "{stdout}");
        for note in [
            "second.jsonl:2: note: the same as user 2",
            "second.jsonl:3: note: the same as user 1",
            "second.jsonl:5: note: a group of the two: they have a chat",
        ] {
            assert!(stderr.contains(note), "{stderr}");
        }
    }
    let found = texts(&gateway, folder.path()).await;
    let of = |text: &str| {
        let found = found.iter().find(|(_, _, known)| known == text).expect("it is there");
        (found.0, found.1)
    };
    assert_eq!(of("first hello"), (1, 1));
    let (chat, author) = of("second hello");
    assert!(chat != 1 && author == 1, "{found:?}");
    let (group, carl) = of("to all");
    assert!(![1, chat].contains(&group) && carl > 2, "{found:?}");
    assert_eq!(of("to all too"), (group, 2));
    let flows = exported(&gateway, folder.path(), "flow").await;
    let kind = |id: i64| flows.iter().find(|flow| flow["id"] == id).map(|flow| &flow["kind"]);
    assert_eq!((kind(1), kind(chat)), (Some(&json!("chat")), Some(&json!("group"))));
    // The accounts are those of this world.
    let users = exported(&gateway, folder.path(), "user").await;
    let logins: Vec<_> = users.iter().map(|user| user["login"].as_str()).collect();
    assert_eq!(logins, [Some("ann"), Some("bob"), Some("carl")]);
    let again = counts(&succeeded(&gateway.run(import).await));
    assert_eq!(again, [[0, 3, 0], [0, 2, 0], [0, 3, 0], [0, 4, 0]]);
    assert_eq!(texts(&gateway, folder.path()).await, found);
}

#[tokio::test]
async fn users_in_conflict_wait_for_the_decisions_of_a_person() {
    let gateway = Gateway::start().await;
    let folder = folder();
    let first = [
        header(),
        user(1, "ann", "ann@example.org"),
        user(2, "bob", "bob@example.org"),
        user(3, "dora", "dora@example.org"),
    ];
    let first = write(folder.path(), "first.jsonl", &first);
    succeeded(&gateway.run(["import", name(&first)]).await);
    let second = [
        second(),
        user(11, "Ann", "other@example.org"),
        user(12, "bobby", "bob@example.org"),
        user(13, "d0ra", "d0ra@example.org"),
        user(14, "free", "free@example.org"),
        group(5, 12),
        message(1, 5, 11, "of ann"),
        message(2, 5, 13, "of the one who stays behind"),
    ];
    let second = write(folder.path(), "second.jsonl", &second);
    let (file, rejects) = (folder.path().join("decisions.jsonl"), folder.path().join("rejects"));
    let (file, rejects) = (name(&file), name(&rejects));
    let import = ["import", name(&second), "--decisions", file, "--rejects", rejects];
    let before = texts(&gateway, folder.path()).await;
    for _ in 0..2 {
        let stderr = refused(&gateway.run(import).await);
        assert!(stderr.contains("3 users of the source are in conflict"), "{stderr}");
        assert!(stderr.contains("decisions.jsonl:3: user 13: the login looks like"), "{stderr}");
    }
    assert_eq!(texts(&gateway, folder.path()).await, before, "nothing was imported");
    let users = exported(&gateway, folder.path(), "user").await;
    assert_eq!(users.len(), 3, "{users:?}");
    let lines = decisions(Path::new(file));
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            let candidate = &line["candidates"][0];
            assert_eq!(line["candidates"].as_array().map(Vec::len), Some(1), "{line}");
            [&line["user"], &line["decision"], &candidate["user"], &candidate["login"]]
        })
        .collect();
    let expected =
        [json!([11, null, 1, "ann"]), json!([12, null, 2, "bob"]), json!([13, null, 3, "dora"])];
    assert_eq!(json!(lines), json!(expected));

    let decided = |bob: Value| [(11, json!({"same_as": 1})), (12, bob), (13, json!("skip"))];
    for (bob, reason) in [
        (json!({"same_as": 99}), "there is no user 99"),
        (json!({"same_as": 1}), "user 1 is the same as another one by a line before"),
        (json!({"rename": "ANN"}), "the decision does not solve it"),
        (json!({"rename": 5}), "decision"),
    ] {
        decide(Path::new(file), &decided(bob));
        let stderr = refused(&gateway.run(import).await);
        assert!(stderr.contains("decisions.jsonl:2: "), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    decide(Path::new(file), &decided(json!({"rename": "bob-second"})));
    let [command, input, option, value, reject, refusals] = import;
    let dry = gateway.run([command, input, option, value, reject, refusals, "--dry-run"]).await;
    let expected = [[2, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]];
    for output in [dry, gateway.run(import).await] {
        let (stdout, stderr) = (succeeded(&output), text(&output.stderr));
        assert_eq!(counts(&stdout), expected, "{stderr}");
        assert!(stdout.contains("1 user was left out by a decision"), "{stdout}");
        assert!(stderr.contains("no e-mail address: another user has it"), "{stderr}");
        assert!(stderr.contains("second.jsonl:8: message.author: "), "{stderr}");
    }
    let users = exported(&gateway, folder.path(), "user").await;
    let found: Vec<_> = users.iter().map(|user| [&user["login"], &user["email"]]).collect();
    assert_eq!(
        json!(found),
        json!([
            ["ann", "ann@example.org"],
            ["bob", "bob@example.org"],
            ["dora", "dora@example.org"],
            ["bob-second", null],
            ["free", "free@example.org"],
        ])
    );
    let found = texts(&gateway, folder.path()).await;
    assert_eq!((found.len(), found[0].1), (1, 1), "{found:?}");
    let again = counts(&succeeded(&gateway.run(import).await));
    assert_eq!(again[..3], [[0, 3, 0], [0, 1, 0], [0, 1, 1]]);
}

#[tokio::test]
async fn two_users_of_a_source_are_never_one_by_a_rule() {
    let gateway = Gateway::start().await;
    let folder = folder();
    Mode::register(&gateway, "ann").await;
    let second = [
        second(),
        user(1, "anna", "ann@example.org"),
        user(2, "annie", "ANN@example.org"),
        user(3, "ann", "new@example.org"),
    ];
    let second = write(folder.path(), "second.jsonl", &second);
    let file = folder.path().join("decisions.jsonl");
    let import = ["import", name(&second), "--match", "email", "--decisions", name(&file)];
    refused(&gateway.run(import).await);
    let users = |path: &Path| -> Vec<_> {
        let lines = decisions(path);
        let mut users: Vec<_> = lines.iter().filter_map(|line| line["user"].as_u64()).collect();
        users.sort_unstable();
        users
    };
    assert_eq!(users(&file), [1, 2, 3], "the one who came first too");
    let rename = |login: &str| json!({"rename": login});
    decide(&file, &[(1, rename("anna")), (2, json!({"same_as": 1})), (3, rename("ann3"))]);
    assert_eq!(counts(&succeeded(&gateway.run(import).await))[0], [2, 1, 0]);
    // Standard input cannot be read for a rehearsal and again.
    let output = gateway.run(["import", "-", "--match", "email"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_dry_run_knows_what_earlier_imports_have_brought() {
    let gateway = Gateway::start().await;
    let folder = folder();
    let wide = |id: u64| json!((u128::from(id) << 64).to_string());
    let with_wide_id = |mut record: Value, id: u64| {
        record["message"]["id"] = wide(id);
        record
    };
    let reply = |id: u64, to: Value| {
        let mut record = message(id, 3, 1, "a reply");
        record["message"]["reply_to"] = to;
        record
    };
    let read = |user: u64, read: Value| json!({"member": {"flow": 3, "user": user, "read": read}});
    let users = [user(1, "ann", "a@x.org"), user(2, "bob", "b@x.org"), user(4, "cat", "c@x.org")];
    let start = [&[header()][..], &users, &[group(3, 1)]].concat();
    let messages = [message(10, 3, 1, "ten"), with_wide_id(message(11, 3, 1, "wide"), 11)];
    let before = [&start[..], &messages, &[member(3, 1)]].concat();
    let before = write(folder.path(), "before.jsonl", &before);
    succeeded(&gateway.run(["import", name(&before)]).await);
    let rejects = folder.path().join("rejects");
    let import = |file: &str, dry_run: bool| {
        let mut arguments =
            vec!["import".to_owned(), file.to_owned(), "--rejects".into(), name(&rejects).into()];
        arguments.extend(dry_run.then(|| "--dry-run".to_owned()));
        arguments
    };
    let run = async |arguments: Vec<String>| {
        let home = gateway.data();
        let mut command = tolmach(home.parent().expect("a parent"), &[], [arguments[0].as_str()]);
        within("an import", command.args(&arguments[1..]).output()).await.expect("it can be run")
    };
    let dry = run(import(name(&before), true)).await;
    assert_eq!(counts(&succeeded(&dry)), [[0, 3, 0], [0, 1, 0], [0, 2, 0], [0, 1, 0]]);
    // A reply to a message that is nowhere comes as none, and a membership without a mark on it.
    let after = [
        &start[..],
        &[reply(20, json!(10)), reply(21, wide(11)), reply(22, json!(99))],
        &[read(1, json!(10)), read(2, wide(11))],
    ];
    let after = write(folder.path(), "after.jsonl", &after.concat());
    let none = write(folder.path(), "none.jsonl", &[&start[..], &[read(4, json!(99))]].concat());
    for (file, expected) in [
        (&none, [[0, 3, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]),
        (&after, [[0, 3, 0], [0, 1, 0], [3, 0, 0], [1, 1, 0]]),
    ] {
        let dry = run(import(name(file), true)).await;
        let done = run(import(name(file), false)).await;
        assert_eq!(counts(&succeeded(&dry)), expected);
        assert_eq!(counts(&succeeded(&done)), expected);
        let notes = |output: &Output| {
            let stderr = text(&output.stderr);
            let told = stderr.lines().filter(|line| line.contains(".jsonl:"));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(notes(&dry), notes(&done));
        let of_records = notes(&done).into_iter().filter(|line| line.contains(": note: "));
        assert_eq!(of_records.count(), 1, "{file:?}");
    }
}

/// A command that follows a database, and its lines on standard error.
pub(crate) struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Follower {
    /// Follows the databases of a source.
    pub(crate) fn start(gateway: &Gateway, source: &str, urls: &[&str]) -> Self {
        let home = gateway.data();
        let arguments = ["import", "--follow", "--every", "50ms", "--from", source];
        let mut child = tolmach(home.parent().expect("a parent"), &[], arguments)
            .args(urls)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// Waits until passes have brought this many messages.
    pub(crate) async fn took(&mut self, messages: u64) {
        let mut found = 0;
        loop {
            let line = within("a pass", self.lines.next_line()).await.expect("it is text");
            let line = line.expect("it goes on");
            // Warnings of the log, and notes on records.
            if line.starts_with('{') || line.contains(": note: ") {
                continue;
            }
            let words: Vec<_> = line.split_whitespace().collect();
            assert!(words.contains(&"lag"), "{line}");
            let place = words.iter().position(|word| word.starts_with("messages"));
            found += words[place.expect("a count") - 1].parse::<u64>().expect("a number");
            if found >= messages {
                assert_eq!(found, messages);
                return;
            }
        }
    }

    /// Ends it by a signal, and returns its output.
    pub(crate) async fn stopped(self) -> String {
        let process = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &process]).status().await;
        assert!(sent.expect("kill can be started").success());
        let output = within("the end", self.child.wait_with_output()).await;
        succeeded(&output.expect("it can be waited for"))
    }

    async fn killed(mut self) {
        within("the end", self.child.kill()).await.expect("it can be killed");
    }
}

pub(crate) async fn store(url: &str, sql: &str) {
    let database = Database::connect(url).await.expect("it is there");
    database.execute_unprepared(sql).await.expect("the statements are sound");
    database.close().await.expect("it can be closed");
}

#[tokio::test]
async fn a_server_that_still_runs_is_followed_and_nothing_written_here_is_changed() {
    let gateway = Gateway::with(&[("TCP__SNDMSG__LISTEN", "127.0.0.1:0")]).await;
    let folder = folder();
    let url = database(folder.path(), UCHAT).await;
    let old_path = url.strip_prefix("sqlite:").expect("it is one").to_owned();
    let mut follower = Follower::start(&gateway, "uchat", &[&url]);
    follower.took(4).await;
    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    let mut ann = Values::new(TcpStream::connect(address).await.expect("it listens"));
    let login = json!({"type": 0, "login": "ann", "pass": "apple pie"});
    assert_eq!(ann.request(login).await["status"], 0);
    let changed = ["user", "set", "bob", "--email", "bob@example.org"];
    succeeded(&gateway.run(changed).await);

    // In an old room, and of a new user in a new room.
    let old = "INSERT INTO MSSGS VALUES (21, 5, 4, 1600000200, 'well')";
    store(&format!("sqlite:{old_path}"), old).await;
    follower.took(1).await;
    let new = "INSERT INTO USRS VALUES (9, 'dora', 'date cake'); \
         INSERT INTO ROOMS VALUES (12, NULL, 9, 3); \
         INSERT INTO MSSGS VALUES (22, 9, 12, 1600000300, 'hello from dora')";
    store(&format!("sqlite:{old_path}"), new).await;
    follower.took(1).await;
    follower.killed().await;

    // After the last row that was stored, and with nothing twice.
    let more = "INSERT INTO MSSGS VALUES (23, 3, 12, 1600000400, 'hello dora')";
    store(&format!("sqlite:{old_path}"), more).await;
    let mut follower = Follower::start(&gateway, "uchat", &[&url]);
    follower.took(1).await;
    let output = follower.stopped().await;
    assert_eq!(counts(&output)[2], [1, 0, 0], "{output}");

    let list = ann.request(json!({"type": 9, "username": "ann"})).await;
    assert_eq!(list["dialogs"].as_array().map(Vec::len), Some(3), "{list}");
    let found: Vec<String> =
        texts(&gateway, folder.path()).await.into_iter().map(|(_, _, text)| text).collect();
    let expected = [
        "hello bob",
        "hello ann",
        "how are you?",
        "well",
        "привет",
        "hello from dora",
        "hello dora",
    ];
    assert_eq!(found, expected);
    let users = exported(&gateway, folder.path(), "user").await;
    let bob = users.iter().find(|user| user["login"] == "bob").expect("he is there");
    assert_eq!(bob["email"], "bob@example.org", "what was changed here stays");
    // Everything that is left after the old server has stopped.
    let all = counts(&succeeded(&gateway.run(["import", "--from", "uchat", &url]).await));
    assert_eq!(all, [[0, 4, 0], [0, 3, 0], [0, 7, 0], [0, 6, 0]]);
}

#[tokio::test]
async fn listeners_do_not_get_the_past_that_is_imported_meanwhile() {
    const MESSAGES: u64 = 3_000;
    let gateway = Gateway::start().await;
    let folder = folder();
    let start = [
        header(),
        user(1, "ann", "ann@example.org"),
        user(2, "bob", "bob@example.org"),
        group(3, 1),
        message(1, 3, 1, "known"),
        member(3, 1),
        member(3, 2),
    ];
    let before = write(folder.path(), "before.jsonl", &start);
    succeeded(&gateway.run(["import", name(&before)]).await);
    let (mut ann, mut bob) =
        (Mode::log_in(&gateway, "ann").await, Mode::log_in(&gateway, "bob").await);
    assert_eq!(ann.history(3).await, ["known"]);
    let past = (2..MESSAGES + 2).map(|id| message(id, 3, 2, &format!("past {id}")));
    let after: Vec<Value> = start[..4].iter().cloned().chain(past).collect();
    let after = write(folder.path(), "after.jsonl", &after);
    let output = succeeded(&gateway.run(["import", name(&after)]).await);
    assert_eq!(counts(&output)[2], [MESSAGES, 0, 0], "{output}");
    bob.send(3, "news").await;
    assert_eq!(ann.pushed().await, "news");
    assert!(ann.has_no_pushes());
    // Both are in the history, in their order.
    let history = ann.history(3).await;
    assert_eq!(history.last().map(String::as_str), Some("news"));
    assert_eq!(history[history.len() - 2], format!("past {}", MESSAGES + 1));
}
