//! Retries after a lost response: on another connection, after a crash, at another gateway.

use crate::harness::{Bearer, Gateway, Response, eventually, form, texts};
use crate::morelia::Morelia;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// The secret that both gateways of a test sign with.
const SECRET: (&str, &str) = ("AUTH__JWT_SECRET", "a secret of more than thirty-two bytes");

/// `POST /group` with these idempotency keys.
fn creation(user: &Bearer<'_>, keys: &[&str], group: &Value) -> Request<Bytes> {
    let request = user
        .gateway
        .request("POST", "/api/v1/group")
        .header("content-type", "multipart/form-data; boundary=boundary");
    let request = request.header("authorization", format!("Bearer {}", user.access));
    let request = keys.iter().fold(request, |request, key| request.header("idempotency-key", *key));
    request.body(form(&group.to_string(), None)).expect("the request is valid")
}

async fn create(user: &Bearer<'_>, key: &str, group: &Value) -> Response {
    user.gateway.send(creation(user, &[key], group)).await
}

fn group_id(response: Response) -> i64 {
    response.expect(200)["group"]["id"].as_i64().expect("an id is a number")
}

async fn rooms(user: &Bearer<'_>) -> Vec<String> {
    texts(&user.get("/chats").await.expect(200)["rooms"], "name")
}

/// Sends bytes on a new connection without reading.
async fn send_unread(gateway: &Gateway, bytes: &[u8]) -> TcpStream {
    let mut stream = gateway.connect().await;
    stream.write_all(bytes).await.expect("the connection is open");
    stream
}

/// A request on the wire.
fn encoded(request: Request<Bytes>) -> Vec<u8> {
    let (head, body) = request.into_parts();
    let mut bytes =
        format!("{} {} HTTP/1.1\r\ncontent-length: {}\r\n", head.method, head.uri, body.len())
            .into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat(),
        );
    }
    [&bytes, &b"\r\n"[..], &body].concat()
}

#[tokio::test]
async fn a_group_is_created_once_for_repeated_requests() {
    let gateway = Gateway::start().await;
    let (ann, bob) =
        (Bearer::register(&gateway, "ann").await, Bearer::register(&gateway, "bob").await);
    let friends = json!({"name": "friends", "users": [{"id": bob.id}]});
    let made = group_id(create(&ann, KEY, &friends).await);
    for key in [KEY, &format!("\"{KEY}\"")] {
        assert_eq!(
            create(&ann, key, &friends).await.expect(200),
            json!({"status": "ok", "group": {"id": made, "name": "friends"}})
        );
    }
    for other in [json!({"name": "foes", "users": [{"id": bob.id}]}), json!({"name": "friends"})] {
        create(&ann, KEY, &other).await.refused(422);
    }
    assert_eq!(rooms(&ann).await, ["friends"]);
    assert_ne!(group_id(create(&ann, "another", &friends).await), made);
    assert_ne!(group_id(create(&bob, KEY, &friends).await), made, "keys of users are independent");
    for keys in [&["\"open"][..], &["a b"], &[""], &["a", "a"], &[&"k".repeat(256)]] {
        gateway.send(creation(&ann, keys, &friends)).await.refused(400);
    }
    // Requests that are idempotent anyway accept a key.
    for (path, status) in [
        (format!("/api/v1/chat/{}", bob.id), 200),
        ("/api/v1/logout".to_owned(), 200),
        ("/api/v1/logout".to_owned(), 401),
    ] {
        let request = gateway
            .request("POST", &path)
            .header("authorization", format!("Bearer {}", ann.access));
        let response = gateway
            .send(
                request
                    .header("idempotency-key", KEY)
                    .body(Bytes::new())
                    .expect("the request is valid"),
            )
            .await;
        assert_eq!(response.status, status, "{path}");
    }
    let spoilt = gateway
        .request("POST", &format!("/api/v1/chat/{}", ann.id))
        .header("authorization", format!("Bearer {}", bob.access));
    gateway
        .send(
            spoilt
                .header("idempotency-key", "\"")
                .body(Bytes::new())
                .expect("the request is valid"),
        )
        .await
        .refused(400);
}

#[tokio::test]
async fn a_group_whose_response_was_lost_in_a_crash_is_not_created_again() {
    let mut gateway = Gateway::with(&[SECRET]).await;
    let friends = |bob: i64| json!({"name": "friends", "users": [{"id": bob}]});
    let (access, bob_id) = {
        let (ann, bob) =
            (Bearer::register(&gateway, "ann").await, Bearer::register(&gateway, "bob").await);
        let unread =
            send_unread(&gateway, &encoded(creation(&ann, &[KEY], &friends(bob.id)))).await;
        eventually("the commit", async || (rooms(&bob).await == ["friends"]).then_some(())).await;
        drop(unread);
        (ann.access, bob.id)
    };
    gateway.crash(&[SECRET]).await;
    let ann = Bearer { gateway: &gateway, id: 0, access, refresh: String::new() };
    let listed = ann.get("/chats").await.expect(200)["rooms"][0]["id"].as_i64();
    assert_eq!(Some(group_id(create(&ann, KEY, &friends(bob_id)).await)), listed);
    create(&ann, KEY, &json!({"name": "foes"})).await.refused(422);
    assert_eq!(rooms(&ann).await, ["friends"]);
}

#[tokio::test]
async fn a_group_is_created_once_by_two_gateways_on_one_store() {
    const TIMES: usize = 5;
    let one = Gateway::with(&[SECRET]).await;
    let two = Gateway::beside(&one, &[SECRET]).await;
    let ann = Bearer::register(&one, "ann").await;
    let there =
        Bearer { gateway: &two, id: ann.id, access: ann.access.clone(), refresh: String::new() };
    let friends = json!({"name": "friends"});
    let requests = (0..TIMES).flat_map(|_| [&ann, &there]).map(|user| create(user, KEY, &friends));
    let made: Vec<_> =
        futures_util::future::join_all(requests).await.into_iter().map(group_id).collect();
    assert!(made.iter().all(|group| *group == made[0]), "{made:?}");
    for user in [&ann, &there] {
        assert_eq!(rooms(user).await, ["friends"]);
    }
}

#[tokio::test]
async fn a_message_is_posted_once_for_repeated_requests() {
    let mut one = Gateway::with(&[SECRET]).await;
    let (group, access, user) = {
        let ann = Bearer::register(&one, "ann").await;
        let group = ann.group("diary", &[]).await;
        let (mut room, _) = ann.room(&format!("/group/{group}")).await;
        let mut author = Morelia::log_in(&one, "ann").await;
        author.peer.send(&author.message(group, 7, "hello")).await;
        // The message is committed, and its author has not read the response.
        assert_eq!(room.receive().await["text"], "hello");
        (group, ann.access, author.user)
    };
    one.crash(&[SECRET]).await;
    let two = Gateway::beside(&one, &[SECRET]).await;
    for gateway in [&one, &two, &one] {
        Morelia::with_token(gateway, &user).await.send(group, 7, "hello").await;
    }
    Morelia::with_token(&two, &user).await.send(group, 8, "bye").await;
    for gateway in [&one, &two] {
        let ann = Bearer { gateway, id: 0, access: access.clone(), refresh: String::new() };
        assert_eq!(ann.room(&format!("/group/{group}")).await.1, ["bye", "hello"]);
    }
}
