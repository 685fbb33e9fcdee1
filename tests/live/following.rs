//! `tolmach import --follow`: what an old server that still runs has half done, or stamps with a
//! clock of its own.

use crate::harness::{Bearer, Gateway};
use crate::import::{counts, database, folder, succeeded};
use crate::merging::{Follower, exported, store, texts};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use tolmach_test_servers::{Durability, Postgres};

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
