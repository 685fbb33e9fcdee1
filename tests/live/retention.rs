//! The removal of old records, beside a running gateway: `[retention]` of the configuration.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, PICTURE, Peer, eventually, texts};
use crate::morelia::{Morelia, request};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

/// The messages of a conversation that are old, and those that are not.
const OLD: [&str; 3] = ["one", "two", "three"];
const NEW: &str = "four";

const WEEK: [(&str, &str); 1] = [("RETENTION__GROUPS", "7d")];

/// The standard output of a command that must succeed.
async fn run<const N: usize>(
    gateway: &Gateway,
    options: &[(&str, &str)],
    arguments: [&str; N],
) -> String {
    let output = gateway.run_with(options, arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    // A line of the log warns of a slow transaction, as on a busy machine.
    let errors = stderr.lines().find(|line| !line.starts_with('{'));
    assert_eq!((output.status.code(), errors), (Some(0), None), "{stdout}");
    stdout
}

/// The number of records of a kind in a report.
fn records(report: &str, kind: &str) -> u64 {
    let row = report.lines().find_map(|line| line.strip_prefix(kind));
    row.map_or(0, |row| {
        let number = row.split_whitespace().next().expect("a row has numbers");
        number.parse().expect("it is a number")
    })
}

/// Runs a statement on the database of the gateway.
async fn execute(gateway: &Gateway, sql: &str) {
    let database = database(gateway).await;
    database.execute_unprepared(sql).await.expect("the statement is right");
    database.close().await.expect("it can be closed");
}

async fn database(gateway: &Gateway) -> sea_orm::DatabaseConnection {
    let url = format!("sqlite://{}", gateway.data().join("tolmach.sqlite").display());
    Database::connect(url).await.expect("the store is a file")
}

/// Makes all messages but the last one 8 days old, and all keys of retries expire.
async fn age(gateway: &Gateway) {
    execute(
        gateway,
        "UPDATE message SET posted_at = posted_at - 8 * 86400000000 \
         WHERE id < (SELECT max(id) FROM message); \
         UPDATE message_key SET used_at = used_at - 8 * 86400000000",
    )
    .await;
}

async fn sndmsg(gateway: &Gateway, login: &str) -> Peer {
    let mut peer = gateway.websocket("/sndmsg").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": login, "pass": PASSWORD});
    assert_eq!(peer.request(&login).await["status"], "LOGIN_OK");
    peer
}

/// The texts that `READ_MSG` gives.
async fn sndmsg_texts(peer: &mut Peer, range: &str, room: i64) -> Vec<String> {
    peer.send(&json!({"type": "READ_MSG", "read": range, "room_id": room})).await;
    peer.send(&json!({"type": "SEARCH_USER", "user": ""})).await;
    let mut texts = Vec::new();
    loop {
        let frame = peer.receive().await;
        if frame["type"] == "SEARCH_USER" {
            return texts;
        }
        texts.extend(frame["message"].as_str().map(str::to_owned));
    }
}

/// The texts of the messages in an answer of `morelia`.
async fn morelia_texts(morelia: &mut Morelia, method: &str) -> Vec<String> {
    let frame = request(method, &json!({"time": 0.0, "user": morelia.user}));
    match &morelia.peer.request(&frame).await["data"]["message"] {
        Value::Null => Vec::new(),
        Value::Array(messages) => texts(&json!(messages), "text"),
        message => texts(&json!([message]), "text"),
    }
}

#[tokio::test]
async fn what_was_pruned_is_not_there_in_any_dialect() {
    let gateway = Gateway::with(&[("DIALECTS__SNDMSG__PUSH", "false")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let group = ann.group("group", &[bob.id]).await;
    let mut mode = Mode::log_in(&gateway, "ann").await;
    let mut morelia = Morelia::log_in(&gateway, "bob").await;
    let mut reader = sndmsg(&gateway, "bob").await;
    let mut writer = sndmsg(&gateway, "ann").await;
    let authorization = format!("Bearer {}", ann.access);
    let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
    let mut action = gateway.try_websocket("/ws/chat/", &headers).await.expect("she is a user");
    let list = json!({"action": "list", "request_id": 1});

    for text in OLD {
        mode.send(group, text).await;
    }
    let history = json!({"chat_id": group});
    let first = mode.request("getMessages", history.clone()).await["messages"][0].take();
    let first = first["message_id"].as_i64().expect("an id is a number");
    assert_eq!(sndmsg_texts(&mut reader, "RESENT", group).await, OLD, "they are read");
    mode.send(group, NEW).await;
    age(&gateway).await;

    let told = run(&gateway, &WEEK, ["prune", "--dry-run"]).await;
    assert_eq!(records(&told, "messages"), 3, "{told}");
    assert_eq!(mode.history(group).await.len(), 4, "a dry run removes nothing");
    let done = run(&gateway, &WEEK, ["prune"]).await;
    assert_eq!(done, told, "what was told is removed");
    let none = run(&gateway, &WEEK, ["prune", "--dry-run"]).await;
    assert_eq!(records(&none, "in all"), 0, "{none}");

    // Histories have the rest, and read marks stay.
    assert_eq!(mode.history(group).await, [NEW]);
    assert_eq!(bob.room(&format!("/group/{group}?limit=100")).await.1, [NEW]);
    assert_eq!(bob.room(&format!("/group/{group}?limit=100&offset=1")).await.1, [""; 0]);
    assert_eq!(sndmsg_texts(&mut reader, "RESENT", group).await, [NEW]);
    assert_eq!(sndmsg_texts(&mut reader, "ALL", group).await, [NEW]);
    for method in ["get_update", "all_messages"] {
        assert_eq!(morelia_texts(&mut morelia, method).await, [NEW], "{method}");
    }
    // A single message is as absent as one that never was.
    for id in [first, 999_999] {
        let message = json!({"id": id, "text": "new", "time": 1.5});
        let data = json!({"flow": {"id": group}, "message": message, "user": morelia.user});
        for method in ["edited_message", "delete_message"] {
            let reply = morelia.peer.request(&request(method, &data)).await;
            assert_eq!(reply["errors"]["code"], 404, "{method} {id}: {reply}");
        }
        for change in [
            json!({"type": "EDIT_MSG", "id": id, "new_msg": "new"}),
            json!({"type": "DELETE_MSG", "id": id}),
        ] {
            let reply = writer.request(&change).await;
            assert_eq!(reply["status"], "ERROR", "{change}: {reply}");
        }
        let join = json!({"action": "join_room", "room_pk": group, "request_id": 1});
        assert_eq!(action.request(&join).await["response_status"], 200);
        for change in [
            json!({"action": "edit_message", "msg_id": id, "edited_msg_text": "new",
                "request_id": 2}),
            json!({"action": "delete_messages", "msg_id_list": [id], "request_id": 2}),
        ] {
            let reply = action.request(&change).await;
            assert_eq!(reply["response_status"], 404, "{change}: {reply}");
        }
    }

    // With the last message the conversation is empty, and it goes on.
    execute(&gateway, "UPDATE message SET posted_at = posted_at - 8 * 86400000000").await;
    run(&gateway, &WEEK, ["prune"]).await;
    assert_eq!(mode.request("getMessages", history).await["messages"], json!([]));
    // A page that was read a moment ago may be given once more.
    eventually("an empty page", async || {
        bob.room(&format!("/group/{group}?limit=100")).await.1.is_empty().then_some(())
    })
    .await;
    assert_eq!(sndmsg_texts(&mut reader, "ALL", group).await, [""; 0]);
    assert_eq!(morelia_texts(&mut morelia, "get_update").await, [""; 0]);
    let rooms = ann.get("/chats").await.expect(200)["rooms"].take();
    assert_eq!(rooms.as_array().map(Vec::len), Some(1), "{rooms}");
    assert!(!rooms.to_string().contains(NEW), "{rooms}");
    let rooms = action.request(&list).await;
    let room = &rooms["data"][0];
    assert_eq!((&room["id"], &room["last_message"]), (&json!(group), &Value::Null), "{rooms}");
    let (mut room, _) = bob.room(&format!("/group/{group}")).await;
    mode.send(group, "five").await;
    assert_eq!(room.receive().await["text"], "five");
    assert_eq!(sndmsg_texts(&mut reader, "RESENT", group).await, ["five"]);
    assert_eq!(mode.history(group).await, ["five"]);
    let database = database(&gateway).await;
    let sql = "SELECT f.version AS flow, m.version AS message \
         FROM flow f JOIN message m ON m.flow_id = f.id";
    let row = database.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await;
    let row = row.expect("the statement is right").expect("there is one message");
    let version = |column| row.try_get::<i64>("", column).expect("it is a number");
    assert_eq!((version("flow"), version("message")), (5, 5), "versions do not go back");
}

#[tokio::test]
async fn a_conversation_has_a_retention_of_its_own_by_command() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let (kept, short) = (ann.group("kept", &[]).await, ann.group("short", &[]).await);
    let mut mode = Mode::log_in(&gateway, "ann").await;
    for group in [kept, short] {
        mode.send(group, OLD[0]).await;
    }
    mode.send(kept, NEW).await;
    age(&gateway).await;
    let (kept_id, short_id) = (kept.to_string(), short.to_string());
    let retention = ["flow", "retention"];
    let [flow, command] = retention;
    assert_eq!(run(&gateway, &[], [flow, command, &short_id]).await, "default\n");
    assert_eq!(run(&gateway, &[], [flow, command, &short_id, "7"]).await, "");
    assert_eq!(run(&gateway, &[], [flow, command, &short_id]).await, "7\n");
    assert_eq!(run(&gateway, &[], [flow, command, &kept_id, "forever"]).await, "");
    let absent = gateway.run([flow, command, "999", "7"]).await;
    let error = String::from_utf8(absent.stderr).expect("it is text");
    assert_eq!((absent.status.code(), &*error), (Some(1), "error: there is no conversation 999\n"));
    let day = [("RETENTION__GROUPS", "1d")];
    assert_eq!(records(&run(&gateway, &day, ["prune"]).await, "messages"), 1);
    assert_eq!(mode.history(short).await, [""; 0]);
    assert_eq!(mode.history(kept).await, [OLD[0], NEW]);
    assert_eq!(run(&gateway, &[], [flow, command, &kept_id, "default"]).await, "");
    assert_eq!(records(&run(&gateway, &day, ["prune"]).await, "messages"), 1);
    assert_eq!(mode.history(kept).await, [NEW]);
}

#[tokio::test]
async fn a_file_shrinks_when_its_messages_are_pruned_and_old_files_when_compacted() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("group", &[]).await;
    let mut mode = Mode::log_in(&gateway, "ann").await;
    mode.send(group, "first").await;
    mode.send(group, NEW).await;
    execute(
        &gateway,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO message (flow_id, author_id, content_type, text, posted, version, posted_at, \
         changed_at) SELECT m.flow_id, m.author_id, m.content_type, hex(zeroblob(2500)), \
         -i, -i, 1000000, -i FROM n, message m WHERE m.text = 'first'",
    )
    .await;
    let pages = async || {
        let database = database(&gateway).await;
        let sql = "SELECT page_count AS number FROM pragma_page_count";
        let row = database.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await;
        let row = row.expect("the statement is right").expect("a file has pages");
        row.try_get::<i64>("", "number").expect("it is a number")
    };
    let full = pages().await;
    let done = run(&gateway, &WEEK, ["prune"]).await;
    assert_eq!(records(&done, "messages"), 3_000, "{done}");
    let pruned = pages().await;
    // Some free pages are kept for what comes.
    assert!(full > 3_000 && pruned < full / 2, "{full} pages, then {pruned}");
    let compacted = run(&gateway, &WEEK, ["prune", "--compact"]).await;
    assert!(compacted.contains("compacted: "), "{compacted}");
    assert!(pages().await < pruned / 2, "{compacted}");
    assert_eq!(mode.history(group).await, ["first", NEW]);
}

#[tokio::test]
async fn old_mails_and_photos_that_nothing_names_are_removed() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let body = json!({"name": "group", "description": "all", "users": []});
    let group = ann.form("/group", &body, Some(PICTURE)).await.expect(200);
    let id = group["group"]["id"].as_i64().expect("an id is a number");
    let mails = gateway.data().join("mail");
    let photos = gateway.data().join("photos");
    let named = walk(&photos).pop().expect("the photo of the group");
    let write = |path: std::path::PathBuf| {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        std::fs::write(path, "content").expect("it can be written");
    };
    write(mails.join("new.eml"));
    write(mails.join("old.eml"));
    write(photos.join("ab/abcd"));
    write(photos.join("ab/new"));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 24 * 60 * 60);
    for path in [mails.join("old.eml"), photos.join("ab/abcd"), named] {
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|file| file.set_modified(old)).expect("its time can be set");
    }
    let report = run(&gateway, &[], ["prune", "--dry-run"]).await;
    assert_eq!((records(&report, "mails"), records(&report, "photos")), (1, 0), "{report}");
    let month = [("RETENTION__UNNAMED_PHOTOS", "30d")];
    let report = run(&gateway, &month, ["prune"]).await;
    assert_eq!((records(&report, "mails"), records(&report, "photos")), (1, 1), "{report}");
    assert!(mails.join("new.eml").exists() && !mails.join("old.eml").exists());
    assert!(photos.join("ab/new").exists() && !photos.join("ab/abcd").exists());
    let photo = ann.get(&format!("/group/{id}/photo")).await;
    assert_eq!((photo.status.as_u16(), &*photo.body), (200, PICTURE), "it is named");
}

/// The files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it is a folder");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
