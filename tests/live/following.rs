//! `tolmach import --follow`: what an old server that still runs has half done, or stamps with a
//! clock of its own.

use crate::harness::{Bearer, Gateway};
use crate::import::{counts, database, folder, succeeded};
use crate::merging::{Follower, exported, store, texts};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tolmach_test_servers::{Durability, Postgres};

const DJANGO: &str = include_str!("../import/django.sql");
const DJANGO_SQLITE: &str = include_str!("../import/django_sqlite.sql");
const MORELIA: &str = include_str!("../import/morelia.sql");
const SWIFTLY_CHAT: &str = include_str!("../import/swiftly_chat.sql");
const SWIFTLY_LOGIN: &str = include_str!("../import/swiftly_login.sql");
const UCHAT: &str = include_str!("../import/uchat.sql");

#[tokio::test]
async fn an_account_comes_along_once_it_has_a_profile() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let url = |name: &str| format!("postgres://postgres@{}/{name}", server.address());
    for name in ["login", "chat"] {
        store(&url("tolmach"), &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    }
    let (accounts, chats, folder) = (url("login"), url("chat"), folder());
    store(&accounts, SWIFTLY_LOGIN).await;
    store(&chats, SWIFTLY_CHAT).await;
    let gateway = Gateway::with(&[("DIALECTS__BEARER__IDS", "swiftly")]).await;
    let mut follower = Follower::start(&gateway, "swiftly", &[&accounts, &chats]);
    follower.took(5).await;
    let users = exported(&gateway, folder.path(), "user").await;
    let logins: Vec<_> = users.iter().map(|user| user["login"].as_str()).collect();
    assert_eq!(logins, [Some("ann@example.org"), Some("bob@example.org"), Some("+300")]);

    // A chat and a membership of a group, which is older, come with the message.
    let signed_up = "INSERT INTO users VALUES
            (4, 'Dora Dale', 'dora', 'about Dora', NULL, '', '2025-01-01 13:00:00');
        INSERT INTO chats (name, created_at) VALUES ('Ann and Dora', '2025-01-02 12:00:00');
        INSERT INTO chat_users VALUES (3, 1), (3, 4);
        INSERT INTO group_users VALUES (1, 4);
        INSERT INTO chat_messages (chat_id, user_id, text, sent_at) VALUES
            (3, 4, 'hello from dora', '2025-01-03 10:05:00')";
    store(&chats, signed_up).await;
    follower.took(1).await;
    let output = follower.stopped().await;
    assert_eq!(counts(&output), [[4, 0, 0], [4, 0, 0], [6, 0, 0], [10, 0, 0]], "{output}");
    let account = json!({"email": "dora@example.org", "password": "blueberry"});
    let pair = gateway.json("POST", "/api/v1/login", None, &account).await.expect(200);
    let dora = Bearer::of(&gateway, &pair);
    assert_eq!(
        dora.get("/user").await.expect(200),
        json!({"id": 4, "name": "Dora Dale", "username": "dora", "description": "about Dora"})
    );
    let all = gateway.run(["import", "--from", "swiftly", &accounts, &chats]).await;
    assert_eq!(counts(&succeeded(&all)), [[0, 4, 0], [0, 4, 0], [0, 6, 0], [0, 10, 0]]);
}

/// Logs in by a name and a password.
async fn logs_in(gateway: &Gateway, name: &str, password: &str) {
    let account = json!({"username": name, "password": password});
    gateway.json("POST", "/api/v1/login", None, &account).await.expect(200);
}

/// The texts of all messages, by conversation and in their order.
async fn all_texts(gateway: &Gateway, folder: &TempDir) -> Vec<String> {
    texts(gateway, folder.path()).await.into_iter().map(|(_, _, text)| text).collect()
}

#[tokio::test]
async fn a_moreliatalk_that_still_runs_is_followed() {
    let folder = folder();
    let url = database(folder.path(), MORELIA).await;
    let gateway = Gateway::start().await;
    let mut follower = Follower::start(&gateway, "morelia", &[&url]);
    follower.took(3).await;
    let posted = "INSERT INTO message VALUES (4, '60000000000000000000000000000000000004',
        'still here', 1600000090, '', '', '', '', '', NULL, 0, 2, 1)";
    store(&url, posted).await;
    follower.took(1).await;
    // A new user, with the password of ann, in a new flow with ann and in the old one.
    let signed_up = "BEGIN;
        INSERT INTO user_config SELECT 4, '50000000000000000000000000000000000005', 'dora',
            password, hash_password, 'Dora', is_bot, auth_id, token_ttl, 'dora@example.org',
            avatar, 'of Dora', salt, \"key\" FROM user_config WHERE id = 1;
        INSERT INTO flow VALUES (2, '40000000000000000000000000000000000006', 1600000100, 'group',
            'Dora', '', '50000000000000000000000000000000000005');
        INSERT INTO flow_user_config VALUES (2, 4), (2, 1), (1, 4);
        INSERT INTO message VALUES
            (5, '30000000000000000000000000000000000007', 'hello from dora', 1600000110, '', '',
            '', '', '', NULL, 0, 4, 2),
            (6, '20000000000000000000000000000000000008', 'hello friends', 1600000120, '', '', '',
            '', '', NULL, 0, 4, 1);
        COMMIT";
    store(&url, signed_up).await;
    follower.took(2).await;
    let output = follower.stopped().await;
    assert_eq!(counts(&output), [[4, 0, 0], [2, 0, 0], [6, 0, 0], [5, 0, 0]], "{output}");
    let expected =
        ["hello", "hello ann", "goodbye", "still here", "hello friends", "hello from dora"];
    assert_eq!(all_texts(&gateway, &folder).await, expected);
    logs_in(&gateway, "dora", "apple pie").await;
    let all = gateway.run(["import", "--from", "morelia", &url]).await;
    assert_eq!(counts(&succeeded(&all)), [[0, 4, 0], [0, 2, 0], [0, 6, 0], [0, 5, 0]]);
}

#[tokio::test]
async fn a_django_project_that_still_runs_is_followed() {
    let folder = folder();
    let url = database(folder.path(), &format!("{DJANGO_SQLITE}{DJANGO}")).await;
    let gateway = Gateway::start().await;
    let mut follower = Follower::start(&gateway, "django", &[&url]);
    follower.took(6).await;
    let posted = "BEGIN;
        INSERT INTO chat_message (id, text, created_at, user_id, room_id)
            VALUES (22, 'with a file', '2025-01-02 10:06:00', 4, 3);
        INSERT INTO chat_messageattachment (id, file, created_at, message_id)
            VALUES (3, 'message_attachments/dog.png', '2025-01-02 10:06:00', 22);
        COMMIT";
    store(&url, posted).await;
    follower.took(1).await;
    // A new user, with the password of ann, in a new room with bob and in an old one of ann.
    let signed_up = "BEGIN;
        INSERT INTO accounts_user (id, password, is_superuser, email, phone, fullname, date_joined,
            is_active, is_staff) SELECT 9, password, false, 'dora@example.org', '+400',
            'Dora Dale', '2025-01-01 13:00:00', true, false FROM accounts_user WHERE id = 2;
        INSERT INTO chat_room (id, type) VALUES (11, 'I');
        INSERT INTO chat_room_participants (id, room_id, user_id)
            VALUES (6, 11, 9), (7, 11, 4), (8, 5, 9);
        INSERT INTO chat_message (id, text, created_at, user_id, room_id) VALUES
            (23, 'hello from dora', '2025-01-02 10:07:00', 9, 11),
            (24, 'I am', '2025-01-02 10:08:00', 9, 5);
        COMMIT";
    store(&url, signed_up).await;
    follower.took(2).await;
    let output = follower.stopped().await;
    assert_eq!(counts(&output), [[5, 0, 0], [4, 0, 0], [9, 0, 0], [7, 0, 0]], "{output}");
    let expected = [
        "hello bob",
        "hello ann\nmessage_attachments/cat.png\nmessage_attachments/paper.pdf",
        "how are you?",
        "with a file\nmessage_attachments/dog.png",
        "is anybody there?",
        "my account is gone",
        "I am",
        "hello from carl",
        "hello from dora",
    ];
    assert_eq!(all_texts(&gateway, &folder).await, expected);
    let account = json!({"email": "dora@example.org", "password": "apple pie"});
    gateway.json("POST", "/api/v1/login", None, &account).await.expect(200);
    let all = gateway.run(["import", "--from", "django", &url]).await;
    assert_eq!(counts(&succeeded(&all)), [[0, 5, 0], [0, 4, 0], [0, 9, 0], [0, 7, 0]]);
}

/// Its groups have numbers of their own, also while it has none.
#[tokio::test]
async fn the_first_groups_of_a_followed_swiftly_do_not_take_the_numbers_of_chats() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let url = |name: &str| format!("postgres://postgres@{}/{name}", server.address());
    for name in ["login", "chat"] {
        store(&url("tolmach"), &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    }
    let (accounts, chats) = (url("login"), url("chat"));
    store(&accounts, SWIFTLY_LOGIN).await;
    let without_groups = format!(
        "{SWIFTLY_CHAT} DELETE FROM group_messages; DELETE FROM group_users; DELETE FROM groups;
        ALTER SEQUENCE groups_id_seq RESTART; ALTER SEQUENCE group_messages_id_seq RESTART"
    );
    store(&chats, &without_groups).await;
    let gateway = Gateway::with(&[("DIALECTS__BEARER__IDS", "swiftly")]).await;
    let mut follower = Follower::start(&gateway, "swiftly", &[&accounts, &chats]);
    follower.took(3).await;
    let group = "BEGIN;
        INSERT INTO groups (name, description, owner_id) VALUES ('Friends', 'all of us', 2);
        INSERT INTO group_users VALUES (1, 1), (1, 2);
        INSERT INTO group_messages (group_id, user_id, text, sent_at)
            VALUES (1, 2, 'welcome', '2025-01-03 10:02:00');
        COMMIT";
    store(&chats, group).await;
    follower.took(1).await;
    follower.stopped().await;
    let account = json!({"email": "ann@example.org", "password": "apple pie"});
    let pair = gateway.json("POST", "/api/v1/login", None, &account).await.expect(200);
    let ann = Bearer::of(&gateway, &pair);
    let texts = |messages: &Value| -> Vec<[Value; 2]> {
        let messages = messages.as_array().unwrap_or_else(|| panic!("{messages} is no list"));
        messages.iter().map(|message| ["id", "text"].map(|name| message[name].clone())).collect()
    };
    let of_chat = ann.get("/chat/2/messages").await.expect(200);
    assert_eq!(json!(texts(&of_chat)), json!([[3, "hello from carl"]]));
    let (_, of_chat) = ann.room("/chat/1").await;
    assert_eq!(of_chat.len(), 2);
    let mut room = ann.try_room("/group/1").await.expect("ann is a member");
    let of_group = room.receive().await;
    assert_eq!(json!(texts(&of_group["messages"])), json!([[1, "welcome"]]), "{of_group}");
    let of_chat = ann.get("/chat/1/messages").await.expect(200);
    let ids: Vec<_> = texts(&of_chat).into_iter().map(|[id, _]| id).collect();
    assert_eq!(json!(ids), json!([2, 1]), "{of_chat}");
}

#[tokio::test]
async fn a_message_of_a_clock_that_is_ahead_waits_for_its_time_and_keeps_its_place() {
    let gateway = Gateway::start().await;
    let folder = folder();
    let url = database(folder.path(), UCHAT).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let ahead = format!(
        "INSERT INTO MSSGS VALUES (21, 5, 4, {}, 'ahead'), (22, 3, 4, 1600000300, 'after it'),
             (23, 8, 9, 1600000300, 'elsewhere')",
        now + 3
    );
    store(&url, &ahead).await;
    let mut follower = Follower::start(&gateway, "uchat", &[&url]);
    follower.took(7).await;
    let output = follower.stopped().await;
    assert_eq!(counts(&output), [[3, 0, 0], [2, 0, 0], [7, 0, 0], [4, 0, 0]], "{output}");
    let found: Vec<String> =
        texts(&gateway, folder.path()).await.into_iter().map(|(_, _, text)| text).collect();
    let expected =
        ["hello bob", "hello ann", "how are you?", "ahead", "after it", "привет", "elsewhere"];
    assert_eq!(found, expected);
}
