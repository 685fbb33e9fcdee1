//! The dialect `bearer`: every route, status, frame and close of protocols/bearer/SPEC.md.

use crate::harness::{
    Bearer, Gateway, Mode, PASSWORD, PICTURE, Peer, Response, form, message, named, texts,
};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

#[tokio::test]
async fn accounts_profiles_and_photos_are_answered_as_documented() {
    let gateway = Gateway::start().await;
    let account = json!({
        "email": "ann@example.org",
        "number": "+100",
        "password": PASSWORD,
        "username": "ann",
    });
    let pair = gateway.json("POST", "/api/v1/register", None, &account).await.expect(200);
    assert_eq!(pair.as_object().map(serde_json::Map::len), Some(2), "{pair}");
    gateway.json("POST", "/api/v1/register", None, &account).await.refused(409);

    let ann = Bearer::of(&gateway, &pair);
    ann.get("/user").await.refused(404);
    for path in ["/chats", "/user/1", "/chat/1/info", "/group/1/info", "/group/1/users"] {
        ann.get(path).await.refused(403);
    }
    let profile = json!({"username": "Ann", "name": "Ann Ek", "description": "about Ann"});
    for (name, json, photo) in [
        ("no name", json!({"username": "Ann"}), None),
        ("a number for a name", json!({"username": "Ann", "name": 1}), None),
        ("an empty username", json!({"username": "", "name": "Ann"}), None),
        ("a list", json!([]), None),
        ("a file that is no photo", profile.clone(), Some(&b"<html>"[..])),
    ] {
        let response = ann.form("/user", &json, photo).await;
        assert_eq!(response.status, 400, "{name}: {}", response.text());
    }
    assert_eq!(
        ann.form("/user", &profile, Some(PICTURE)).await.expect(200),
        json!({"status": "ok"})
    );
    ann.form("/user", &profile, None).await.refused(400);

    let me = ann.get("/user").await.expect(200);
    let id = me["id"].as_i64().expect("an id is a number");
    assert_eq!(
        me,
        json!({"id": id, "name": "Ann Ek", "username": "Ann", "description": "about Ann"})
    );
    assert_eq!(ann.get(&format!("/user/{id}")).await.expect(200), me);
    let photo = ann.get(&format!("/user/{id}/photo")).await;
    assert_eq!((photo.status.as_u16(), &photo.body[..]), (200, PICTURE));
    assert_eq!(photo.header("content-type").as_deref(), Some("image/png"));

    let bob = Bearer::register(&gateway, "bob").await;
    assert_eq!(bob.get(&format!("/user/{id}")).await.expect(200), me);
    assert_eq!(bob.get(&format!("/user/{id}/photo")).await.body, PICTURE);
    bob.get(&format!("/user/{}/photo", bob.id)).await.refused(404);
    bob.get("/user/999999").await.refused(404);
    for id in ["0", "-1", "x", "1.5", "9007199254740992", "99999999999999999999", "%31x"] {
        bob.get(&format!("/user/{id}")).await.refused(400);
    }
    for body in [
        json!({"email": "ann@example.org", "password": PASSWORD}),
        json!({"username": "ANN", "password": PASSWORD}),
    ] {
        gateway.json("POST", "/api/v1/login", None, &body).await.expect(200);
    }
    for (body, status) in [
        (json!({"username": "ann", "password": "wrong"}), 401),
        (json!({"username": "nobody", "password": "wrong"}), 401),
        (json!({"password": "wrong"}), 400),
        (json!({"username": "ann", "email": "ann@example.org", "password": PASSWORD}), 400),
        (json!({"username": "ann", "password": 1}), 400),
        (json!({"username": "ann"}), 400),
        (json!([]), 400),
    ] {
        gateway.json("POST", "/api/v1/login", None, &body).await.refused(status);
    }
}

#[tokio::test]
async fn chats_and_groups_are_answered_as_documented() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let carol = Bearer::register(&gateway, "carol").await;
    let author = |user: &Bearer<'_>, name: &str| json!({"id": user.id, "name": name});
    let (ann_named, bob_named, carol_named) =
        (author(&ann, "ANN"), author(&bob, "BOB"), author(&carol, "CAROL"));

    let chat = ann.chat_with(bob.id).await;
    assert_eq!((ann.chat_with(bob.id).await, bob.chat_with(ann.id).await), (chat, chat));
    for (path, status) in [
        ("/chat/999999", 400),
        ("/chat/0", 400),
        ("/chat/x", 400),
        (&*format!("/chat/{}", ann.id), 400),
    ] {
        ann.post(path).await.refused(status);
    }
    let info = ann.get(&format!("/chat/{chat}/info")).await.expect(200);
    assert_eq!(
        info,
        json!({"id": chat, "name": "BOB", "type": "private", "users": [ann_named, bob_named]})
    );
    assert_eq!(bob.get(&format!("/chat/{chat}/info")).await.expect(200)["name"], "ANN");

    let member = |id: i64| json!({"id": id, "name": "x"});
    let members = json!([member(bob.id), member(bob.id), member(ann.id)]);
    let body = json!({"name": "friends", "description": "all of us", "users": members});
    let made = ann.form("/group", &body, Some(PICTURE)).await.expect(200);
    let group = made["group"]["id"].as_i64().expect("an id is a number");
    assert_eq!(made, json!({"status": "ok", "group": {"id": group, "name": "friends"}}));
    let path = |rest: &str| format!("/group/{group}{rest}");
    let info = bob.get(&path("/info")).await.expect(200);
    assert_eq!(info, json!({"id": group, "name": "friends", "description": "all of us"}));
    assert_eq!(bob.get(&path("/photo")).await.body, PICTURE);
    assert_eq!(
        bob.get(&path("/users")).await.expect(200),
        json!({"users": [ann_named, bob_named]})
    );
    for (name, json, photo) in [
        ("no name", json!({"users": []}), None),
        ("an empty name", json!({"name": " ", "users": []}), None),
        ("users that are no list", json!({"name": "x", "users": {}}), None),
        ("a user without id", json!({"name": "x", "users": [{"name": "x"}]}), None),
        ("a user who is absent", json!({"name": "x", "users": [{"id": 999_999}]}), None),
        ("a file that is no photo", json!({"name": "x"}), Some(&b"text"[..])),
    ] {
        let response = ann.form("/group", &json, photo).await;
        assert_eq!(response.status, 400, "{name}: {}", response.text());
    }

    let (add, remove) = (path("/add"), path("/delete"));
    for (name, user, method, target, body, status) in [
        ("a stranger adds", &carol, "POST", &add, named(&[carol.id]), 404),
        ("a member adds", &bob, "POST", &add, named(&[carol.id]), 403),
        ("the owner adds a member", &ann, "POST", &add, named(&[bob.id]), 409),
        ("the owner adds no user", &ann, "POST", &add, named(&[]), 400),
        ("the owner adds an unknown user", &ann, "POST", &add, named(&[999_999]), 400),
        ("the owner adds a mistyped id", &ann, "POST", &add, json!({"users": [{"id": "1"}]}), 400),
        ("the owner removes a stranger", &ann, "DELETE", &remove, named(&[carol.id]), 409),
        ("a member removes", &bob, "DELETE", &remove, named(&[ann.id]), 403),
        ("the owner adds", &ann, "POST", &add, named(&[carol.id]), 200),
        ("the owner removes", &ann, "DELETE", &remove, named(&[bob.id]), 200),
        ("a removed member adds", &bob, "POST", &add, named(&[bob.id]), 404),
    ] {
        let response = user.json(method, target, &body).await;
        assert_eq!(response.status, status, "{name}: {}", response.text());
        assert_eq!(
            response.value() == json!({"status": "ok"}),
            status == 200,
            "{name}: {}",
            response.text()
        );
    }
    assert_eq!(
        ann.get(&path("/users")).await.expect(200),
        json!({"users": [ann_named, carol_named]})
    );
    for rest in ["/info", "/users", "/photo"] {
        bob.get(&path(rest)).await.refused(404);
        carol.get("/group/999999/info").await.refused(404);
    }
    carol.get(&format!("/group/{chat}/info")).await.refused(404);
    ann.get(&format!("/group/{chat}/info")).await.refused(404);
    ann.get(&format!("/chat/{group}/info")).await.refused(404);
    ann.delete(&format!("/group/{chat}")).await.refused(404);
    carol.delete(&path("")).await.refused(403);
    bob.delete(&path("")).await.refused(404);
    assert_eq!(ann.delete(&path("")).await.expect(200), json!({"status": "ok"}));
    ann.get(&path("/info")).await.refused(404);
    ann.delete(&path("")).await.refused(404);
}

#[tokio::test]
async fn chats_are_listed_by_their_newest_activity_in_pages() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    assert_eq!(ann.get("/chats").await.expect(200), json!({"rooms": []}));
    let mut groups = Vec::new();
    for name in ["a", "b", "c", "d"] {
        groups.push(ann.group(name, &[]).await);
    }
    let (mut room, _) = ann.room(&format!("/group/{}", groups[1])).await;
    let last = room.request(&message("newest")).await;
    let names = async |query: &str| {
        texts(&ann.get(&format!("/chats{query}")).await.expect(200)["rooms"], "name").concat()
    };
    let all = ann.get("/chats").await.expect(200);
    let row = |index: usize, name: &str, last: Value| {
        let id = groups[index];
        json!({"id": id, "name": name, "type": "group", "last_message": last})
    };
    let empty = |index, name| row(index, name, Value::Null);
    let rooms = json!([row(1, "b", last), empty(3, "d"), empty(2, "c"), empty(0, "a")]);
    assert_eq!(all, json!({"rooms": rooms}));
    for (query, expected) in [
        ("?limit=2", "bd"),
        ("?limit=2&offset=1", "dc"),
        ("?offset=3", "a"),
        ("?limit=0", ""),
        ("?offset=9", ""),
        ("?limit=100&other=1", "bdca"),
        ("?limit=4294967295&offset=4294967295", ""),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    for query in [
        "?limit=-1",
        "?limit=x",
        "?limit=",
        "?limit=1.5",
        "?offset=-1",
        "?limit=1&limit=2",
        "?limit=4294967296",
        "?offset=%20",
    ] {
        ann.get(&format!("/chats{query}")).await.refused(400);
    }
}

#[tokio::test]
async fn a_room_begins_with_its_history_in_pages() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    let path = format!("/group/{group}");
    let mut first = ann.try_room(&path).await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(
        first.receive().await,
        json!({"type": "history", "messages": [], "error": "no messages"})
    );
    for count in 0..105 {
        first.request(&message(&count.to_string())).await;
    }
    let newest = |skip: usize, take: usize| {
        (0..105)
            .rev()
            .skip(skip)
            .take(take)
            .map(|count: usize| count.to_string())
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", newest(0, 100)),
        ("?limit=3", newest(0, 3)),
        ("?limit=3&offset=2", newest(2, 3)),
        ("?limit=1000", newest(0, 105)),
        ("?offset=100", newest(100, 5)),
        ("?limit=0", Vec::new()),
        ("?offset=105", Vec::new()),
    ] {
        assert_eq!(ann.room(&format!("{path}{query}")).await.1, expected, "{query}");
    }
    for query in ["?limit=1001", "?limit=-1", "?offset=x"] {
        refused(ann.try_room(&format!("{path}{query}")).await, 400);
    }
}

fn refused(room: Result<Peer, Response>, status: u16) {
    match room {
        Ok(_) => panic!("the handshake was accepted"),
        Err(response) => response.refused(status),
    }
}

#[tokio::test]
async fn rooms_are_for_members_and_others_are_refused_before_the_upgrade() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let carol = Bearer::register(&gateway, "carol").await;
    let (chat, group) = (ann.chat_with(bob.id).await, ann.group("friends", &[]).await);
    for (name, user, path, status) in [
        ("a stranger in a chat", &carol, format!("/chat/{chat}"), 404),
        ("a stranger in a group", &carol, format!("/group/{group}"), 404),
        ("an absent chat", &ann, "/chat/999999".into(), 404),
        ("a chat as a group", &ann, format!("/group/{chat}"), 404),
        ("a group as a chat", &ann, format!("/chat/{group}"), 404),
        ("no id", &ann, "/chat/x".into(), 400),
        ("no room", &ann, "/user".into(), 400),
        ("an unknown path", &ann, "/nowhere".into(), 404),
    ] {
        match user.try_room(&path).await {
            Ok(_) => panic!("{name}: the handshake was accepted"),
            Err(response) => assert_eq!(response.status, status, "{name}: {response:?}"),
        }
    }
    for path in ["/chat/1", "/group/1", "/main"] {
        refused(gateway.try_websocket(&format!("/api/v1{path}"), &[]).await, 401);
        refused(
            gateway
                .try_websocket(&format!("/api/v1{path}"), &[("authorization", "Bearer invalid")])
                .await,
            401,
        );
        let response = ann.get(path).await;
        assert_eq!(
            (response.status.as_u16(), response.header("upgrade").as_deref()),
            (426, Some("websocket")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_token_may_be_offered_as_a_subprotocol() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    for (name, offer, accepted) in [
        ("after bearer", format!("bearer, {}", ann.access), true),
        ("after others", format!("chat, bearer, {}", ann.access), true),
        ("alone", ann.access.clone(), false),
        ("before bearer", format!("{}, bearer", ann.access), false),
        ("changed", format!("bearer, {}x", ann.access), false),
    ] {
        match gateway.try_websocket("/api/v1/main", &[("sec-websocket-protocol", &offer)]).await {
            Ok(peer) => assert!(
                accepted && peer.subprotocol.as_deref() == Some("bearer"),
                "{name}: {:?}",
                peer.subprotocol
            ),
            Err(response) => assert!(!accepted && response.status == 401, "{name}: {response:?}"),
        }
    }
}

#[tokio::test]
async fn messages_reach_all_in_the_room_and_typing_the_others() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let chat = ann.chat_with(bob.id).await;
    let path = format!("/chat/{chat}");
    let (mut ann_room, _) = ann.room(&path).await;
    let (mut bob_room, _) = bob.room(&path).await;
    let mut main = bob.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));

    let typing = |kind: &str| json!({"type": kind, "author": {"id": ann.id, "name": "ANN"}});
    ann_room.send(&json!({"type": "typing", "author": {"id": bob.id, "name": "BOB"}})).await;
    assert_eq!(bob_room.receive().await, typing("typing"), "the author is the owner of the token");
    ann_room.send(&json!({"type": "stop_typing"})).await;
    assert_eq!(bob_room.receive().await, typing("stop_typing"));
    let echo = ann_room.request(&message("hello")).await;
    assert_eq!(
        (&echo["type"], &echo["text"]),
        (&json!("message"), &json!("hello")),
        "typing is not sent to its author"
    );
    assert_eq!(bob_room.receive().await, echo);
    assert_eq!(main.receive().await["text"], "hello", "typing is not sent to the main connection");
    assert_eq!(bob.room(&path).await.1, ["hello"], "typing is not stored");

    for (name, frame) in [
        ("an unknown type", json!({"type": "shout", "text": "x"})),
        ("no type", json!({"text": "x"})),
        ("a type that is a number", json!({"type": 1})),
        ("a list", json!([1])),
        ("no text", json!({"type": "message"})),
        ("an empty text", json!({"type": "message", "text": ""})),
        ("a text that is a number", json!({"type": "message", "text": 1})),
    ] {
        let reply = ann_room.request(&frame).await;
        assert_eq!(reply["type"], "error", "{name}: {reply}");
        assert!(reply["error"].as_str().is_some_and(|error| !error.is_empty()), "{name}: {reply}");
    }
    assert_eq!(
        main.request(&message("x")).await["type"],
        "error",
        "the main connection takes no messages"
    );
    assert_eq!(ann_room.request(&message("still here")).await["text"], "still here");
}

#[tokio::test]
async fn the_main_connection_begins_with_the_last_message_of_every_chat_and_follows_new_ones() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let chat = ann.chat_with(bob.id).await;
    let (empty, group) = (ann.group("empty", &[bob.id]).await, ann.group("full", &[bob.id]).await);
    for (path, texts) in
        [(format!("/chat/{chat}"), ["one", "two"]), (format!("/group/{group}"), ["three", "four"])]
    {
        let (mut room, _) = ann.room(&path).await;
        for text in texts {
            room.request(&message(text)).await;
        }
    }
    let mut main = bob.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    for (chat, text) in [(chat, "two"), (group, "four")] {
        let last = main.receive().await;
        assert_eq!(
            (&last["type"], &last["chat_id"], &last["text"]),
            (&json!("last_message"), &json!(chat), &json!(text)),
            "{last}"
        );
    }
    // `later` is created after the connection was opened, and by another user.
    let later = ann.group("later", &[bob.id]).await;
    for group in [empty, later] {
        let (mut room, _) = ann.room(&format!("/group/{group}")).await;
        room.request(&message("five")).await;
        let last = main.receive().await;
        assert_eq!(
            (&last["type"], &last["chat_id"], &last["text"]),
            (&json!("last_message"), &json!(group), &json!("five")),
            "{last}"
        );
    }
}

#[tokio::test]
async fn rooms_of_removed_members_and_of_deleted_groups_are_closed() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let carol = Bearer::register(&gateway, "carol").await;
    let group = ann.group("friends", &[bob.id, carol.id]).await;
    let path = format!("/group/{group}");
    let (mut ann_room, mut bob_room, mut carol_room) =
        (ann.room(&path).await.0, bob.room(&path).await.0, carol.room(&path).await.0);
    let mut bob_main = bob.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));

    ann.json("DELETE", &format!("{path}/delete"), &named(&[bob.id])).await.expect(200);
    assert_eq!(bob_room.end().await, (vec![], Some(1008)));
    refused(bob.try_room(&path).await, 404);
    ann_room.request(&message("without him")).await;
    carol_room.receive().await;
    let chat = ann.chat_with(bob.id).await;
    ann.room(&format!("/chat/{chat}")).await.0.request(&message("to him")).await;
    assert_eq!(
        bob_main.receive().await["text"],
        "to him",
        "a removed member receives nothing of the group"
    );

    ann.delete(&path).await.expect(200);
    assert_eq!(ann_room.end().await, (vec![], Some(1008)));
    assert_eq!(carol_room.end().await, (vec![], Some(1008)));
    refused(ann.try_room(&path).await, 404);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_revokes_the_family() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let other = Bearer::log_in(&gateway, "ann").await;
    let refresh = async |token: &str| {
        gateway.json("POST", "/api/v1/refresh", None, &json!({"refresh_token": token})).await
    };

    let second = Bearer::of(&gateway, &refresh(&ann.refresh).await.expect(200));
    assert_ne!(second.refresh, ann.refresh);
    second.get("/user").await.expect(200);
    let mut main = second.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    refresh(&ann.refresh).await.refused(401);
    second.get("/user").await.refused(401);
    ann.get("/user").await.refused(401);
    refresh(&second.refresh).await.refused(401);
    assert_eq!(main.end().await.1, Some(1008), "open connections are closed");
    other.get("/user").await.expect(200);
    refresh(&other.refresh).await.expect(200);
    for body in [json!({}), json!({"refresh_token": 1}), json!({"refresh_token": ""})] {
        gateway.json("POST", "/api/v1/refresh", None, &body).await.refused(400);
    }
    refresh("unknown").await.refused(401);
    refresh(&other.access).await.refused(401);
    Bearer { access: other.refresh.clone(), ..Bearer::log_in(&gateway, "ann").await }
        .get("/user")
        .await
        .refused(401);
}

#[tokio::test]
async fn a_logout_ends_the_session_of_the_token_and_closes_its_connections() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let other = Bearer::log_in(&gateway, "ann").await;
    let mut main = ann.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let mut other_main =
        other.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(ann.post("/logout").await.expect(200), json!({"logout": "success"}));
    ann.get("/user").await.refused(401);
    ann.post("/logout").await.refused(401);
    gateway
        .json("POST", "/api/v1/refresh", None, &json!({"refresh_token": ann.refresh}))
        .await
        .refused(401);
    assert_eq!(main.end().await.1, Some(1008));
    other.get("/user").await.expect(200);
    assert_eq!(
        other_main.request(&json!({"type": "probe"})).await["type"],
        "error",
        "the other session's connection is open"
    );
}

#[tokio::test]
async fn foreign_tokens_signed_with_the_secret_are_accepted() {
    const SECRET: &str = "a secret that two servers share between them";
    let gateway = Gateway::with(&[("AUTH__JWT_SECRET", SECRET)]).await;
    tolmach_adapters::install_jwt_crypto();
    let mint = |secret: &str, claims: &Value| {
        let access = jsonwebtoken::encode(
            &Header::default(),
            claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        );
        Bearer {
            gateway: &gateway,
            id: 0,
            access: access.expect("the token can be signed"),
            refresh: String::new(),
        }
    };
    const FAR_FUTURE: u64 = 4_000_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let future = now.expect("the epoch is over").as_secs() + 3_600;
    for (name, secret, claims) in [
        (
            "another secret",
            "another secret of more than thirty-two bytes",
            json!({"id": 7, "exp": future}),
        ),
        ("expired", SECRET, json!({"id": 7, "exp": 1_000_000_000})),
        ("too long a life", SECRET, json!({"id": 7, "exp": FAR_FUTURE})),
        ("two users", SECRET, json!({"id": 7, "sub": "8", "exp": future})),
        ("without end", SECRET, json!({"id": 7})),
        ("not begun", SECRET, json!({"id": 7, "exp": future, "nbf": future - 1})),
        ("without an id", SECRET, json!({"exp": future})),
        ("a refresh token", SECRET, json!({"id": 7, "exp": future, "token_type": "refresh"})),
        ("an id of zero", SECRET, json!({"id": 0, "exp": future})),
    ] {
        let response = mint(secret, &claims).get("/user").await;
        assert_eq!(response.status, 401, "{name}: {}", response.text());
    }
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJpZCI6NywiZXhwIjo0MDAwMDAwMDAwfQ.";
    Bearer { access: unsigned.into(), ..mint(SECRET, &json!({})) }.get("/user").await.refused(401);

    for (id, claims) in [
        (7001, json!({"id": 7001, "exp": future})),
        (7002, json!({"user_id": "7002", "exp": future})),
        (7003, json!({"sub": "7003", "exp": future, "aud": "chat", "iss": "elsewhere"})),
    ] {
        let user = mint(SECRET, &claims);
        user.get("/user").await.refused(404);
        user.get("/chats").await.refused(403);
        user.post("/chat/1").await.refused(403);
        refused(user.try_room("/main").await, 403);
        let profile =
            json!({"username": format!("user{id}"), "name": "Foreign", "description": ""});
        user.form("/user", &profile, None).await.expect(200);
        assert_eq!(user.get("/user").await.expect(200)["id"], id);
        assert_eq!(user.get("/chats").await.expect(200), json!({"rooms": []}));
    }
    let other = Bearer::register(&gateway, "ann").await;
    assert_ne!(other.id, 7001, "ids are not given twice");
    other.chat_with(7001).await;
}

#[tokio::test]
async fn unserved_requests_are_refused_with_their_own_status() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let send = async |method: &str, path: &str, content_type: Option<&str>, body: Vec<u8>| {
        let mut request =
            gateway.request(method, path).header(AUTHORIZATION, format!("Bearer {}", ann.access));
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        gateway.send(request.body(body.into()).expect("the request is valid")).await
    };
    for (method, path, allow) in [
        ("PUT", "/api/v1/user", "POST, GET, HEAD"),
        ("GET", "/api/v1/login", "POST"),
        ("DELETE", "/api/v1/chats", "GET, HEAD"),
        ("PATCH", "/api/v1/group/1/add", "POST"),
        ("OPTIONS", "/api/v1/group/1", "DELETE, GET, HEAD"),
    ] {
        let response = send(method, path, None, Vec::new()).await;
        assert_eq!(
            (response.status.as_u16(), response.header("allow").as_deref()),
            (405, Some(allow)),
            "{method} {path}"
        );
        response.refused(405);
    }
    let form_type = Some("multipart/form-data; boundary=boundary");
    let json_type = Some("application/json");
    let profile = r#"{"username":"x","name":"x"}"#;
    let large = vec![b' '; (64 << 10) + 1];
    let huge = vec![b' '; 8 << 20];
    for (name, method, path, content_type, body, status) in [
        ("an unknown path", "GET", "/api/v1/nowhere", None, vec![], 404),
        ("a path below nothing", "GET", "/api/v1", None, vec![], 404),
        ("JSON without a content type", "POST", "/api/v1/login", None, b"{}".to_vec(), 415),
        ("JSON as text", "POST", "/api/v1/login", Some("text/plain"), b"{}".to_vec(), 415),
        (
            "JSON with a charset",
            "POST",
            "/api/v1/login",
            Some("application/json; charset=utf-8"),
            b"{}".to_vec(),
            400,
        ),
        ("a form as JSON", "POST", "/api/v1/user", json_type, profile.into(), 415),
        (
            "a form without a boundary",
            "POST",
            "/api/v1/user",
            Some("multipart/form-data"),
            form(profile, None).to_vec(),
            400,
        ),
        (
            "a form that is cut",
            "POST",
            "/api/v1/user",
            form_type,
            form(profile, None)[..40].to_vec(),
            400,
        ),
        (
            "a form without json",
            "POST",
            "/api/v1/group",
            form_type,
            b"--boundary--\r\n".to_vec(),
            400,
        ),
        ("JSON over 64 KiB", "POST", "/api/v1/login", json_type, large, 413),
        ("a body above all limits", "POST", "/api/v1/user", form_type, huge, 413),
        (
            "a photo over 5 MiB",
            "POST",
            "/api/v1/group",
            form_type,
            form(profile, Some(&[0xFF; (5 << 20) + 1])).to_vec(),
            413,
        ),
        ("broken JSON", "POST", "/api/v1/login", json_type, b"{".to_vec(), 400),
        (
            "no UTF-8",
            "POST",
            "/api/v1/login",
            json_type,
            b"{\"username\":\"\xFF\",\"password\":\"x\"}".to_vec(),
            400,
        ),
        (
            "deep JSON",
            "POST",
            "/api/v1/login",
            json_type,
            [vec![b'['; 1000], vec![b']'; 1000]].concat(),
            400,
        ),
    ] {
        let response = send(method, path, content_type, body).await;
        assert_eq!(response.status, status, "{name}: {}", response.text());
        response.refused(status);
    }
    for (name, authorization) in [
        ("nothing", None),
        ("another scheme", Some("Basic YTpi")),
        ("no token", Some("Bearer")),
        ("an invalid token", Some("Bearer a.b.c")),
    ] {
        let mut request = gateway.request("GET", "/api/v1/user");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response =
            gateway.send(request.body(Bytes::new()).expect("the request is valid")).await;
        assert_eq!(response.header("www-authenticate").as_deref(), Some("Bearer"), "{name}");
        response.refused(401);
    }
}

#[tokio::test]
async fn requests_and_rooms_are_served_over_http2() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    let mut sender = gateway.http2().await;
    let origin = format!("http://{}", gateway.address);
    let authorization = format!("Bearer {}", ann.access);
    let request = |method: &str, path: String| {
        http::Request::builder()
            .method(method)
            .uri(format!("{origin}/api/v1{path}"))
            .header(AUTHORIZATION, &authorization)
    };
    for (path, status) in [("/user", 200), ("/chats?limit=x", 400), ("/nowhere", 404)] {
        let response = sender
            .send_request(
                request("GET", path.into()).body(Full::default()).expect("the request is valid"),
            )
            .await;
        let response = response.expect("the request is answered");
        assert_eq!(response.status(), status, "{path}");
        let body =
            response.into_body().collect().await.expect("the response has a body").to_bytes();
        assert!(
            serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()),
            "{path}"
        );
    }

    // RFC 8441.
    let mut handshake =
        request("CONNECT", format!("/group/{group}")).header("sec-websocket-version", "13");
    handshake
        .extensions_mut()
        .expect("the request is valid")
        .insert(Protocol::from_static("websocket"));
    let response = sender
        .send_request(handshake.body(Full::default()).expect("the request is valid"))
        .await
        .expect("the request is answered");
    assert_eq!(response.status(), 200);
    let upgraded = hyper::upgrade::on(response).await.expect("the stream is a WebSocket");
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    let mut room = Peer { socket, subprotocol: None };
    assert_eq!(room.receive().await["type"], "history");
    let (mut other, _) = ann.room(&format!("/group/{group}")).await;
    assert_eq!(room.request(&message("over HTTP/2")).await, other.receive().await);
    other.send(&message("over HTTP/1.1")).await;
    assert_eq!(room.receive().await["text"], "over HTTP/1.1");
    room.send_message(Message::Close(None)).await;
    assert_eq!(room.end().await.0, [Value::Null; 0]);
}

#[tokio::test]
async fn the_openapi_document_is_served_and_names_every_route() {
    let gateway = Gateway::start().await;
    let document = gateway.get("/openapi.json").await.expect(200);
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"].as_object().expect("the document has paths");
    for (path, verbs) in [
        ("/user", &["get", "post"][..]),
        ("/user/{id}", &["get"]),
        ("/chat/{id}", &["post"]),
        ("/chat/{id}/info", &["get"]),
        ("/group", &["post"]),
        ("/group/{id}", &["delete"]),
        ("/group/{id}/info", &["get"]),
        ("/group/{id}/users", &["get"]),
        ("/group/{id}/add", &["post"]),
        ("/group/{id}/delete", &["delete"]),
        ("/chats", &["get"]),
    ] {
        let item = paths.get(&format!("/api/v1{path}")).or_else(|| paths.get(path));
        let item = item.unwrap_or_else(|| panic!("{path} is not in {:?}", paths.keys()));
        for verb in verbs {
            assert!(item.get(verb).is_some(), "{verb} {path}");
        }
    }
}

#[tokio::test]
async fn an_account_of_another_dialect_has_its_profile_already() {
    let gateway = Gateway::start().await;
    Mode::register(&gateway, "ann").await;
    let ann = Bearer::log_in(&gateway, "ann").await;
    ann.form("/user", &json!({"username": "ann", "name": "Ann", "description": ""}), None)
        .await
        .refused(400);
    assert_eq!(ann.get("/chats").await.expect(200), json!({"rooms": []}));
}
