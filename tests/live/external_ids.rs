//! Objects that clients know by the ids of another server.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, message};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The kinds of object in the table of external ids.
const USER: i64 = 1;
const FLOW: i64 = 2;
const MESSAGE: i64 = 3;

/// The external id of a group, or of a message in one, with the number 0.
const GROUP_NUMBERS: u128 = 1 << 64;

/// Ids of 128 bits.
const ANN: u128 = 0x7c1f_94d1_5d0a_4c39_9a27_0b6e_58f1_aa01;
const BOB: u128 = 0x0f3d_22b8_91c4_4e6b_8d10_c4a7_3e92_bb02;
const CHAT: u128 = 0x00aa_10c2_7be3_4f51_b6d9_2f84_61d0_cc03;
const FIRST: u128 = 0xe1b0_5a73_06f8_4d2e_a3c5_9d17_42ab_dd04;

/// A store that was left by a gateway, with the objects of a conversation.
struct Store {
    url: String,
    ann: i64,
    bob: i64,
    chat: i64,
    first: i64,
    _folder: TempDir,
}

impl Store {
    /// A chat of Ann and Bob with one message of Ann's.
    async fn begin() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let url = format!("sqlite://{}", folder.path().join("shared.sqlite").display());
        let gateway = Gateway::with(&shared(&url)).await;
        let ann = Bearer::register(&gateway, "ann").await;
        let bob = Bearer::register(&gateway, "bob").await;
        let chat = ann.chat_with(bob.id).await;
        let (mut room, _) = ann.room(&format!("/chat/{chat}")).await;
        let first = room.request(&message("from before")).await;
        let first = first["id"].as_i64().expect("a message has an id");
        let (ann, bob) = (ann.id, bob.id);
        Self { url, ann, bob, chat, first, _folder: folder }
    }

    /// Adds rows of the namespace `old`: kind, object and external id.
    async fn add(&self, rows: &[(i64, i64, u128)]) {
        let database = sea_orm::Database::connect(&self.url).await.expect("the store is a file");
        let rows: Vec<String> = rows
            .iter()
            .map(|(kind, object, external)| {
                format!("('old', {kind}, X'{external:032x}', {object})")
            })
            .collect();
        let rows = rows.join(", ");
        for statement in [
            format!(
                "INSERT INTO external_id (namespace, kind, external_id, object_id) VALUES {rows}"
            ),
            "INSERT INTO id_namespace (namespace, additions) VALUES ('old', 1)".to_owned(),
        ] {
            database.execute_unprepared(&statement).await.expect("the tables are there");
        }
        database.close().await.expect("it can be closed");
    }
}

/// The options that gateways on one store share.
fn shared(url: &str) -> [(&'static str, &str); 2] {
    [("STORE__URL", url), ("AUTH__JWT_SECRET", "a secret that both of the nodes have")]
}

/// A client of the revision 1.16 of morelia.
struct Client {
    peer: Peer,
    /// The user with the token.
    caller: Value,
}

impl Client {
    async fn log_in(gateway: &Gateway, login: &str) -> Self {
        let mut peer = gateway.websocket("/morelia").await;
        let user = json!({"login": login, "password": PASSWORD});
        let reply = peer.request(&json!({"type": "auth", "data": {"user": [user]}})).await;
        assert_eq!(reply["errors"]["code"], 200, "{reply}");
        let user = &reply["data"]["user"][0];
        let caller = json!({"uuid": user["uuid"], "auth_id": user["auth_id"]});
        Self { peer, caller }
    }

    async fn request(&mut self, method: &str, mut data: Value) -> Value {
        data["user"] = json!([self.caller]);
        self.peer.request(&json!({"type": method, "data": data})).await
    }

    async fn granted(&mut self, method: &str, data: Value) -> Value {
        let mut reply = self.request(method, data).await;
        assert_eq!(reply["errors"]["code"], 200, "{method}: {reply}");
        reply["data"].take()
    }
}

/// The fields of each item.
fn fields<const N: usize>(items: &Value, names: [&str; N]) -> Vec<[Value; N]> {
    let items = items.as_array().unwrap_or_else(|| panic!("{items} is no list"));
    items.iter().map(|item| names.map(|name| item[name].clone())).collect()
}

#[tokio::test]
async fn imported_objects_keep_their_128_bits_on_two_nodes() {
    let store = Store::begin().await;
    let rows = [
        (USER, store.ann, ANN),
        (USER, store.bob, BOB),
        (FLOW, store.chat, CHAT),
        (MESSAGE, store.first, FIRST),
    ];
    store.add(&rows).await;
    let pin = "[[dialects.morelia.pin]]\nrevision = \"1.16\"\npath = \"/morelia\"\n";
    let options = [&shared(&store.url)[..], &[("DIALECTS__MORELIA__IDS", "old")]].concat();
    let one = Gateway::with_file(pin, &options).await;
    // There the first frame says the revision.
    let two = Gateway::with(&options).await;
    let mut ann = Client::log_in(&one, "ann").await;
    let mut bob = Client::log_in(&two, "bob").await;
    let (ann_id, bob_id) = (ANN.to_string(), BOB.to_string());
    let chat = format!("{CHAT:032x}");
    assert_eq!(ann.caller["uuid"], ann_id);
    assert_eq!(bob.caller["uuid"], bob_id);

    let flows = ann.granted("all_flow", json!({})).await;
    let users = json!([ann_id, bob_id]);
    assert_eq!(fields(&flows["flow"], ["uuid", "users"]), [[json!(chat), users]]);
    let text = json!([{"text": "from now", "client_id": 7}]);
    let data = json!({"flow": [{"uuid": chat}], "message": text});
    let sent = ann.granted("send_message", data).await;
    let second = store.first + 1;
    let expected = [[json!(second.to_string()), json!(ann_id), json!(chat)]];
    assert_eq!(fields(&sent["message"], ["uuid", "from_user", "from_flow"]), expected);

    let names = ["uuid", "from_user", "from_flow", "text"];
    let first = json!(FIRST.to_string());
    let before = [first.clone(), json!(ann_id), json!(chat), json!("from before")];
    let now = [json!(second.to_string()), json!(ann_id), json!(chat), json!("from now")];
    let data = json!({"time": 0, "flow": [{"uuid": chat}]});
    let page = bob.granted("all_messages", data).await;
    assert_eq!(page["flow"][0]["uuid"], chat);
    assert_eq!(fields(&page["message"], names), [before.clone(), now.clone()]);
    let page = bob.granted("get_update", json!({"time": 0})).await;
    assert_eq!(fields(&page["message"], names), [before, now]);

    // A message that came along is changed by its old id; the change is read at the other node.
    let edit = json!({"message": [{"uuid": first, "text": "edited"}]});
    ann.granted("edited_message", edit).await;
    let page = bob.granted("get_update", json!({"time": 0})).await;
    let edited = fields(&page["message"], ["uuid", "text"]);
    assert!(edited.contains(&[first.clone(), json!("edited")]), "{edited:?}");

    // Neither an id of nothing nor another user's is taken for one's own.
    let absent =
        json!({"flow": [{"uuid": format!("{:032x}", CHAT + 1)}], "message": [{"text": "lost"}]});
    let reply = ann.request("send_message", absent).await;
    assert_eq!(reply["errors"]["code"], 404, "{reply}");
    ann.caller["uuid"] = json!(bob_id);
    let reply = ann.request("all_flow", json!({})).await;
    assert_eq!(reply["errors"]["code"], 401, "{reply}");
}

#[tokio::test]
async fn a_bridge_gives_objects_of_128_bits_numbers_and_knows_them_again() {
    let store = Store::begin().await;
    let rows = [
        (USER, store.ann, ANN),
        (USER, store.bob, BOB),
        (FLOW, store.chat, CHAT),
        (MESSAGE, store.first, FIRST),
    ];
    store.add(&rows).await;
    let options = [&shared(&store.url)[..], &[("DIALECTS__MORELIA__IDS", "old")]].concat();
    let upstream = Gateway::with(&options).await;
    for revision in ["morelia/1.16", "morelia/17"] {
        let url = format!("http://{}", upstream.address);
        let arguments = ["bridge", "--upstream", &url, "--upstream-dialect", revision];
        let bridge = Gateway::with_command(&[], arguments).await;
        let mut ann = Mode::log_in(&bridge, "ann").await;
        let chats = ann.request("getChats", json!({})).await;
        let chat = chats["chats"][0]["chat_id"].as_i64().expect("an id of mode is a number");
        assert!(chat >= 1 << 52, "{chats}");
        assert_eq!(chats["chats"].as_array().map(Vec::len), Some(1), "{chats}");
        ann.send(chat, revision).await;
        // The number is the same for everybody, on every connection.
        let mut bob = Mode::log_in(&bridge, "bob").await;
        let history = bob.history(chat).await;
        assert_eq!(history.first().map(String::as_str), Some("from before"), "{history:?}");
        assert_eq!(history.last().map(String::as_str), Some(revision), "{history:?}");
    }
}

#[tokio::test]
async fn imported_objects_keep_their_numbers_in_requests_answers_and_pushes() {
    let store = Store::begin().await;
    // Bob's number is Ann's own id: she has another one.
    let rows = [
        (USER, store.ann, 500),
        (USER, store.bob, store.ann.unsigned_abs().into()),
        (FLOW, store.chat, 70),
        (MESSAGE, store.first, 9_000),
    ];
    store.add(&rows).await;
    let options = [&shared(&store.url)[..], &[("DIALECTS__BEARER__IDS", "old")]].concat();
    let one = Gateway::with(&options).await;
    let two = Gateway::with(&options).await;
    let ann = Bearer::log_in(&one, "ann").await;
    let bob = Bearer::log_in(&two, "bob").await;
    assert_eq!((ann.id, bob.id), (500, store.ann));
    assert_eq!(ann.chat_with(bob.id).await, 70);
    let (mut at_one, history) = ann.room("/chat/70").await;
    assert_eq!(history, ["from before"]);
    let (mut at_two, _) = bob.room("/chat/70").await;
    at_one.send(&message("from now")).await;
    for room in [&mut at_one, &mut at_two] {
        let pushed = room.receive().await;
        assert_eq!(pushed["text"], "from now", "{pushed}");
        assert_eq!(
            (&pushed["chat_id"], &pushed["author"]["id"]),
            (&json!(70), &json!(500)),
            "{pushed}"
        );
    }
    // The chat has another number, and nothing else has this one.
    let absent = ann.try_room(&format!("/chat/{}", store.chat)).await;
    assert!(absent.is_err(), "the number of the world is nothing on this wire");
}

/// A server with tables of chats and of groups, and of the messages of each.
#[tokio::test]
async fn a_chat_and_a_group_are_known_by_one_number() {
    let store = Store::begin().await;
    let (group, in_group) = {
        let gateway = Gateway::with(&shared(&store.url)).await;
        let ann = Bearer::log_in(&gateway, "ann").await;
        let group = ann.group("friends", &[store.bob]).await;
        let (mut room, _) = ann.room(&format!("/group/{group}")).await;
        let posted = room.request(&message("to all")).await;
        (group, posted["id"].as_i64().expect("a message has an id"))
    };
    let rows = [
        (FLOW, store.chat, 70),
        (FLOW, group, GROUP_NUMBERS + 70),
        (MESSAGE, store.first, 9_000),
        (MESSAGE, in_group, GROUP_NUMBERS + 9_000),
    ];
    store.add(&rows).await;
    let options = [&shared(&store.url)[..], &[("DIALECTS__BEARER__IDS", "old")]].concat();
    let gateway = Gateway::with(&options).await;
    let ann = Bearer::log_in(&gateway, "ann").await;
    let bob = Bearer::log_in(&gateway, "bob").await;
    let (mut chat, in_chat) = bob.room("/chat/70").await;
    let (mut group, in_group) = bob.room("/group/70").await;
    assert_eq!((in_chat, in_group), (vec!["from before".to_owned()], vec!["to all".to_owned()]));
    for path in ["/chat/70", "/group/70"] {
        let (mut room, _) = ann.room(path).await;
        room.request(&message(path)).await;
    }
    for (room, path) in [(&mut chat, "/chat/70"), (&mut group, "/group/70")] {
        let pushed = room.receive().await;
        assert_eq!((&pushed["text"], &pushed["chat_id"]), (&json!(path), &json!(70)), "{pushed}");
    }
    assert!(ann.try_room("/chat/71").await.is_err(), "nothing has this number");
}
