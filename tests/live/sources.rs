//! `tolmach import --from`: clients of other servers find what they had, by their old passwords and
//! ids, in the old order.

use crate::harness::{Bearer, Gateway, Peer, message, tolmach, within};
use crate::import::{counts, database, folder, succeeded};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::process::Stdio;
use tolmach_test_servers::{Durability, Postgres};

const DJANGO: &str = include_str!("../import/django.sql");
const DJANGO_POSTGRES: &str = include_str!("../import/django_postgres.sql");
const DJANGO_SQLITE: &str = include_str!("../import/django_sqlite.sql");
const MORELIA: &str = include_str!("../import/morelia.sql");
const MORELIA_POSTGRES: &str = include_str!("../import/morelia_postgres.sql");
const SWIFTLY_CHAT: &str = include_str!("../import/swiftly_chat.sql");
const SWIFTLY_LOGIN: &str = include_str!("../import/swiftly_login.sql");

/// Runs a command on the data of a gateway, and returns its output.
async fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    let data = gateway.data();
    let home = data.parent().expect("the data folder has a parent");
    let mut command = tolmach(home, &[], std::iter::empty::<&str>());
    let output = command.args(arguments).stdin(Stdio::null()).output();
    succeeded(&within("a command", output).await.expect("the binary can be started"))
}

/// Tries an import, carries it out and repeats it; `expected` are the users, conversations,
/// messages and members. The second one changes nothing.
async fn import(gateway: &Gateway, arguments: &[&str], expected: [u64; 4]) {
    let import = [&["import"], arguments].concat();
    let dry = run(gateway, &[&import[..], &["--dry-run"]].concat()).await;
    assert_eq!(counts(&dry), expected.map(|new| [new, 0, 0]), "{dry}");
    let first = run(gateway, &import).await;
    assert_eq!(counts(&first), expected.map(|new| [new, 0, 0]), "{first}");
    let world = run(gateway, &["export"]).await;
    let again = run(gateway, &import).await;
    assert_eq!(counts(&again), expected.map(|existing| [0, existing, 0]), "{again}");
    assert_eq!(run(gateway, &["export"]).await, world);
}

/// Makes the tables of a database in PostgreSQL.
async fn fill(url: &str, sql: &str) {
    let database = Database::connect(url).await.expect("it runs");
    database.execute_unprepared(sql).await.expect("the statements are sound");
    database.close().await.expect("it can be closed");
}

/// The fields of each item.
fn fields<const N: usize>(items: &Value, names: [&str; N]) -> Vec<[Value; N]> {
    let items = items.as_array().unwrap_or_else(|| panic!("{items} is no list"));
    items.iter().map(|item| names.map(|name| item[name].clone())).collect()
}

/// A client of the revision 1.16 of morelia, whose ids are those of the server before.
async fn morelia(url: &str) {
    const ANN: &str = "226744961046384216041563213987455229431";
    const BOB: &str = "55314905170153905083210917493651284413";
    const CHARLES: &str = "81129638414606663390960213128447160325";
    const FLOW: u128 = 171_350_188_461_286_461_286_412_864_812_648_126_481;
    let pin = "[[dialects.morelia.pin]]\nrevision = \"1.16\"\npath = \"/morelia\"\n";
    let gateway = Gateway::with_file(pin, &[("DIALECTS__MORELIA__IDS", "morelia")]).await;
    import(&gateway, &["--from", "morelia", url], [3, 1, 3, 2]).await;

    let mut peer = gateway.websocket("/morelia").await;
    let login = |password: &str| {
        let user = json!({"login": "ann", "password": password});
        json!({"type": "auth", "data": {"user": [user]}})
    };
    assert_eq!(peer.request(&login("blueberry")).await["errors"]["code"], 401);
    let reply = peer.request(&login("apple pie")).await;
    assert_eq!(reply["errors"]["code"], 200, "{reply}");
    let user = &reply["data"]["user"][0];
    assert_eq!(user["uuid"], ANN);
    let caller = json!([{"uuid": user["uuid"], "auth_id": user["auth_id"]}]);

    let flow = format!("{FLOW:032x}");
    let request = json!({"type": "all_flow", "data": {"user": caller}});
    let reply = peer.request(&request).await;
    let found = fields(&reply["data"]["flow"], ["uuid", "title", "owner", "users"]);
    let expected = [json!(flow), json!("Friends"), json!(ANN), json!([ANN, BOB])];
    assert_eq!(found, [expected], "{reply}");

    let data = json!({"user": caller, "time": 0, "flow": [{"uuid": flow}]});
    let reply = peer.request(&json!({"type": "all_messages", "data": data})).await;
    let names = ["uuid", "from_user", "text", "time", "edited_time", "file_picture"];
    let found = fields(&reply["data"]["message"], names);
    let expected = json!([
        ["90000000000000000000000000000000000001", ANN, "hello", 1_600_000_000, null, null],
        [
            "80000000000000000000000000000000000002",
            BOB,
            "hello ann",
            1_600_000_060,
            1_600_000_070,
            "QUJD"
        ],
        ["70000000000000000000000000000000000003", CHARLES, "goodbye", 1_600_000_080, null, null],
    ]);
    assert_eq!(json!(found), expected, "{reply}");
}

#[tokio::test]
async fn a_client_of_moreliatalk_finds_its_uuids_that_were_in_sqlite() {
    let folder = folder();
    morelia(&database(folder.path(), MORELIA).await).await;
}

#[tokio::test]
async fn a_client_of_moreliatalk_finds_its_uuids_that_were_in_postgresql() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    fill(&server.url(), MORELIA_POSTGRES).await;
    morelia(&server.url()).await;
}

#[tokio::test]
async fn a_client_of_swiftly_finds_chats_and_groups_of_the_same_numbers() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let url = |name: &str| format!("postgres://postgres@{}/{name}", server.address());
    fill(&url("tolmach"), "CREATE DATABASE login TEMPLATE template0").await;
    fill(&url("tolmach"), "CREATE DATABASE chat TEMPLATE template0").await;
    let (accounts, chats) = (url("login"), url("chat"));
    fill(&accounts, SWIFTLY_LOGIN).await;
    fill(&chats, SWIFTLY_CHAT).await;
    let gateway = Gateway::with(&[("DIALECTS__BEARER__IDS", "swiftly")]).await;
    import(&gateway, &["--from", "swiftly", &accounts, &chats], [4, 3, 5, 7]).await;

    let login = async |user: Value| gateway.json("POST", "/api/v1/login", None, &user).await;
    login(json!({"email": "ann@example.org", "password": "blueberry"})).await.refused(401);
    let pair = login(json!({"email": "ann@example.org", "password": "apple pie"})).await;
    let ann = Bearer::of(&gateway, &pair.expect(200));
    assert_eq!(
        ann.get("/user").await.expect(200),
        json!({"id": 1, "name": "Ann Archer", "username": "ann", "description": "about Ann"})
    );
    let rooms = ann.get("/chats").await.expect(200);
    let found = fields(&rooms["rooms"], ["id", "type", "name"]);
    let expected =
        json!([[1, "group", "Friends"], [2, "private", "Carl Cook"], [1, "private", "Bob Baker"],]);
    assert_eq!(json!(found), expected, "{rooms}");
    let messages = ann.get("/chat/1/messages").await.expect(200);
    let found = fields(&messages, ["id", "text", "from_id", "created_at"]);
    let expected = json!([
        [2, "hello ann\nstorage/chats/1/photos/cat.png", 2, "2025-01-03T10:01:00Z"],
        [1, "hello bob", 1, "2025-01-03T10:00:00Z"],
    ]);
    assert_eq!(json!(found), expected, "{messages}");
    let (_, history) = ann.room("/chat/2").await;
    assert_eq!(history, ["hello from carl"]);
    let info = ann.get("/group/1/info").await.expect(200);
    assert_eq!(info, json!({"id": 1, "name": "Friends", "description": "all of us"}));
    let users = ann.get("/group/1/users").await.expect(200);
    assert_eq!(json!(fields(&users["users"], ["id"])), json!([[1], [2], [3]]));
    let mut room = ann.try_room("/group/1").await.expect("ann is a member");
    let history = room.receive().await;
    let found = fields(&history["messages"], ["id", "chat_id", "text"]);
    assert_eq!(json!(found), json!([[2, 1, "thank you"], [1, 1, "welcome"]]), "{history}");
    let posted = room.request(&message("from now")).await;
    assert_eq!((&posted["chat_id"], &posted["text"]), (&json!(1), &json!("from now")));
    let messages = ann.get("/chat/1/messages").await.expect(200);
    assert_eq!(json!(fields(&messages, ["id"])), json!([[2], [1]]), "another conversation");

    // A user without an address logs in by the number; one without a profile has none here either.
    login(json!({"username": "+300", "password": "cherry cake"})).await.expect(200);
    let pair = login(json!({"email": "dora@example.org", "password": "blueberry"})).await;
    Bearer::of(&gateway, &pair.expect(200)).get("/user").await.refused(404);
}

/// A client of the revision 2025-04 of action.
async fn django(url: &str) -> String {
    let pin = "[[dialects.action.pin]]\nrevision = \"2025-04\"\npath = \"/ws/chat/\"\n";
    let gateway = Gateway::with_file(pin, &[("DIALECTS__ACTION__IDS", "django")]).await;
    import(&gateway, &["--from", "django", url], [4, 3, 6, 4]).await;

    let login = async |password: &str| {
        let user = json!({"email": "ann@example.org", "password": password});
        gateway.json("POST", "/api/v1/login", None, &user).await
    };
    login("blueberry").await.refused(401);
    let pair = login("apple pie").await.expect(200);
    let subprotocols = format!("chat, {}", pair["access_token"].as_str().expect("a token"));
    let headers = [("sec-websocket-protocol", &*subprotocols)];
    let opened = gateway.try_websocket("/ws/chat/", &headers).await;
    let mut ann = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let rooms = done(&mut ann, "get_rooms", json!({})).await;
    let found = fields(&rooms["results"], ["id", "type"]);
    assert_eq!(json!(found), json!([[8, "M"], [3, "M"], [5, "M"]]), "{rooms}");
    let other = fields(&rooms["results"][1]["interlocutors"], ["id", "fullname", "email"]);
    assert_eq!(json!(other), json!([[4, "Bob Baker", "bob@example.org"]]), "{rooms}");

    done(&mut ann, "join_room", json!({"room_id": 3})).await;
    let page = done(&mut ann, "get_room_messages", json!({})).await;
    let found = fields(&page["results"], ["id", "text", "user", "room", "created_at"]);
    let with_files = "hello ann\nmessage_attachments/cat.png\nmessage_attachments/paper.pdf";
    let expected = json!([
        [19, "how are you?", 2, 3, "2025-01-02T10:04:00.750000Z"],
        [11, with_files, 4, 3, "2025-01-02T10:01:00.999700Z"],
        [10, "hello bob", 2, 3, "2025-01-02T10:00:00.123456Z"],
    ]);
    assert_eq!(json!(found), expected, "{page}");
    done(&mut ann, "leave_room", json!({})).await;
    done(&mut ann, "join_room", json!({"room_id": 5})).await;
    let page = done(&mut ann, "get_room_messages", json!({})).await;
    let found = fields(&page["results"], ["id", "text"]);
    assert_eq!(json!(found), json!([[14, "my account is gone"], [13, "is anybody there?"]]));
    run(&gateway, &["export"]).await
}

/// Makes a request of action, and returns the data of its answer.
async fn done(peer: &mut Peer, action: &str, mut request: Value) -> Value {
    request["action"] = json!(action);
    request["request_id"] = json!(1);
    let mut reply = peer.request(&request).await;
    assert_eq!(reply["response_status"], 200, "{action}: {reply}");
    reply["data"].take()
}

#[tokio::test]
async fn a_client_of_a_django_project_finds_its_rooms_from_either_database() {
    let folder = folder();
    let sqlite = database(folder.path(), &format!("{DJANGO_SQLITE}{DJANGO}")).await;
    let from_sqlite = django(&sqlite).await;
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    fill(&server.url(), &format!("{DJANGO_POSTGRES}{DJANGO}")).await;
    // The replaced hash of ann alone differs, by its salt.
    let without_hashes = |world: &str| -> Vec<Value> {
        let lines = world.lines().map(|line| line.parse::<Value>().expect("JSON"));
        lines
            .map(|mut record| {
                if let Some(user) = record["user"].as_object_mut() {
                    user.remove("password_hash");
                }
                record
            })
            .collect()
    };
    let from_postgres = django(&server.url()).await;
    assert_eq!(without_hashes(&from_sqlite), without_hashes(&from_postgres));
}

#[tokio::test]
async fn the_tables_and_columns_of_a_django_project_have_the_names_that_are_told() {
    let folder = folder();
    let sql = "CREATE TABLE auth_user (id integer PRIMARY KEY, username text, password text,
            first_name text, email text, is_active bool, is_staff bool, date_joined datetime);
        CREATE TABLE talk (number integer PRIMARY KEY, subject text);
        CREATE TABLE talk_people (id integer PRIMARY KEY, talk_id int, person_id int);
        CREATE TABLE post (id integer PRIMARY KEY, talk_id int, person_id int, body text,
            created datetime, edited datetime);
        INSERT INTO auth_user VALUES (1, 'ann', '!', 'Ann', '', true, true, '2025-01-01 10:00:00');
        INSERT INTO talk VALUES (6, 'Diary');
        INSERT INTO talk_people VALUES (1, 6, 1);
        INSERT INTO post VALUES
            (9, 6, 1, 'dear diary', '2025-01-02 10:00:00', '2025-01-02 10:00:01.5');";
    let url = database(folder.path(), sql).await;
    let gateway = Gateway::start().await;
    let mut arguments = vec!["--from", "django", &*url];
    for name in [
        "user=auth_user",
        "user.login=username",
        "user.name=first_name",
        "user.phone=",
        "room=talk",
        "room.id=number",
        "room.title=subject",
        "participant=talk_people",
        "participant.room=talk_id",
        "participant.user=person_id",
        "message=post",
        "message.room=talk_id",
        "message.user=person_id",
        "message.text=body",
        "message.created_at=created",
        "message.edited_at=edited",
        "attachment=",
    ] {
        arguments.extend(["--name", name]);
    }
    import(&gateway, &arguments, [1, 1, 1, 1]).await;
    let world = run(&gateway, &["export"]).await;
    let lines: Vec<Value> = world.lines().map(|line| line.parse().expect("JSON")).collect();
    let [_, user, flow, message, _] = &lines[..] else { panic!("{world}") };
    let user = fields(&json!([user["user"]]), ["id", "login", "name", "admin"]);
    assert_eq!(json!(user), json!([[1, "ann", "Ann", true]]));
    let flow = fields(&json!([flow["flow"]]), ["id", "kind", "title", "owner"]);
    assert_eq!(json!(flow), json!([[6, "group", "Diary", 1]]));
    let message = fields(&json!([message["message"]]), ["id", "text", "posted_at", "edited_at"]);
    let expected =
        json!([[9, "dear diary", "2025-01-02T10:00:00.000000Z", "2025-01-02T10:00:01.500000Z"]]);
    assert_eq!(json!(message), expected);
}
