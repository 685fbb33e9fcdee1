//! Unfair users: quotas of one user, leaving, and blocks.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, Response, eventually, message, named};
use serde_json::{Value, json};
use std::process::Output;

/// The output of a command that must succeed.
fn stdout_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// Checks that a request was refused as too many, with the time until the count ends.
fn too_many(response: Response, window: u64) {
    let seconds = response.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0 && seconds <= window), "{response:?}");
    response.refused(429);
}

const HOUR: u64 = 3600;

async fn try_group(user: &Bearer<'_>, members: &[i64]) -> Response {
    let users = named(members)["users"].take();
    user.form("/group", &json!({"name": "flood", "users": users}), None).await
}

async fn chats(user: &Bearer<'_>) -> Vec<i64> {
    let list = user.get("/chats").await.expect(200);
    let rooms = list["rooms"].as_array().expect("it is a list");
    rooms.iter().map(|room| room["id"].as_i64().expect("an id is a number")).collect()
}

async fn sndmsg(gateway: &Gateway, login: &str) -> Peer {
    let mut peer = gateway.websocket("/sndmsg").await;
    let login = json!({"type": "REQUEST_LOGIN", "login": login, "pass": PASSWORD});
    let reply = peer.request(&login).await;
    assert_eq!(reply["status"], "LOGIN_OK", "{reply}");
    peer
}

#[tokio::test]
async fn a_flood_of_groups_ends_at_the_quota_and_its_victim_leaves_them() {
    const ATTEMPTS: usize = 638;
    const QUOTA: usize = 5;
    let gateway = Gateway::with(&[("QUOTAS__GROUPS_PER_DAY", "5")]).await;
    let mallory = Bearer::register(&gateway, "mallory").await;
    let victim = Bearer::register(&gateway, "victim").await;
    for attempt in 0..ATTEMPTS {
        let response = try_group(&mallory, &[victim.id]).await;
        if attempt < QUOTA {
            response.expect(200);
        } else {
            too_many(response, 24 * HOUR);
        }
    }
    let flood = chats(&victim).await;
    assert_eq!(flood.len(), QUOTA);

    // By bearer: the victim removes itself, and no other member.
    let [by_wire, by_operator, ..] = flood[..] else { panic!("{flood:?}") };
    let path = format!("/group/{by_wire}");
    let (mut room, _) = victim.room(&path).await;
    let (mut owners_room, _) = mallory.room(&path).await;
    let removal = format!("{path}/delete");
    victim.json("DELETE", &removal, &named(&[mallory.id])).await.refused(403);
    victim.json("DELETE", &removal, &named(&[victim.id])).await.expect(200);
    assert_eq!(room.end().await, (vec![], Some(1008)));
    owners_room.request(&message("without the victim")).await;
    assert!(!chats(&victim).await.contains(&by_wire));

    // By the operator, while the gateway runs.
    let path = format!("/group/{by_operator}");
    let (mut room, _) = victim.room(&path).await;
    let flow = by_operator.to_string();
    assert_eq!(stdout_of(&gateway.run(["user", "leave", "victim", &flow]).await), "");
    assert_eq!(room.end().await, (vec![], Some(1008)), "its listeners notice");
    assert_eq!(chats(&victim).await.len(), QUOTA - 2);
    let again = gateway.run(["user", "leave", "victim", &flow]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");

    // The owner leaves too: nothing is left of the group.
    mallory.json("DELETE", &format!("{path}/delete"), &named(&[mallory.id])).await.expect(200);
    mallory.get(&format!("{path}/info")).await.refused(404);
    let refused =
        gateway.metric("tolmach_requests_total", "operation=\"create_flow\",outcome=\"too_many\"");
    assert_eq!(refused.await, (ATTEMPTS - QUOTA) as f64);
}

#[tokio::test]
async fn added_members_and_strangers_are_counted_over_all_dialects() {
    let gateway =
        Gateway::with(&[("QUOTAS__MEMBERS_PER_DAY", "2"), ("QUOTAS__STRANGERS_PER_HOUR", "2")])
            .await;
    let mallory = Bearer::register(&gateway, "mallory").await;
    let mut others = Vec::new();
    for name in ["ann", "bob", "carol"] {
        others.push(Bearer::register(&gateway, name).await.id);
    }
    let group = mallory.group("friends", &others[..1]).await;
    let add = format!("/group/{group}/add");
    too_many(mallory.json("POST", &add, &named(&others[1..])).await, 24 * HOUR);
    mallory.json("POST", &add, &named(&others[1..2])).await.expect(200);
    too_many(mallory.json("POST", &add, &named(&others[2..])).await, 24 * HOUR);

    mallory.chat_with(others[0]).await;
    let mut peer = sndmsg(&gateway, "mallory").await;
    let room_with =
        |name: &str| json!({"type": "CREATE_ROOM", "username": "mallory", "customer": name});
    let opened = peer.request(&room_with("bob")).await;
    assert_eq!(opened["customer"], "bob", "{opened}");
    let refused = peer.request(&room_with("carol")).await;
    assert_eq!(
        (&refused["status"], &refused["detail"]),
        (&json!("ERROR"), &json!("too many requests, try again later"))
    );
    too_many(mallory.post(&format!("/chat/{}", others[2])).await, HOUR);
    mallory.chat_with(others[0]).await;
    let opened = peer.request(&room_with("bob")).await;
    assert_eq!(opened["customer"], "bob", "a chat that exists is open: {opened}");
}

#[tokio::test]
async fn a_stranger_does_not_learn_that_a_group_is_full() {
    let gateway = Gateway::with(&[("LIMITS__MAX_MEMBERS", "3")]).await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let carol = Bearer::register(&gateway, "carol").await;
    let stranger = Bearer::register(&gateway, "stranger").await;
    let group = ann.group("full", &[bob.id, carol.id]).await;
    let add = async |user: &Bearer<'_>, group: i64| {
        let path = format!("/group/{group}/add");
        user.json("POST", &path, &named(&[stranger.id])).await
    };
    let (full, absent) = (add(&stranger, group).await, add(&stranger, 999_999).await);
    assert_eq!((full.status, full.text()), (absent.status, absent.text()));
    full.refused(404);
    add(&bob, group).await.refused(403);
    let over = add(&ann, group).await;
    assert!(over.text().contains("at most 3 members"), "{over:?}");
}

#[tokio::test]
async fn a_login_beyond_the_quota_of_sessions_ends_the_oldest() {
    let gateway = Gateway::with(&[("QUOTAS__SESSIONS", "2")]).await;
    let mut first = Mode::register(&gateway, "ann").await;
    let mut second = Mode::log_in(&gateway, "ann").await;
    assert_eq!(first.request("getChats", json!({})).await["status"], 200);
    let mut third = Mode::log_in(&gateway, "ann").await;
    eventually("the end of the first session", async || {
        let mut peer = gateway.websocket("/mode").await;
        let list = json!({"mode": "getChats", "timestamp": 1, "token": first.token});
        (peer.request(&list).await["status"] == 401).then_some(())
    })
    .await;
    for session in [&mut second, &mut third] {
        assert_eq!(session.request("getChats", json!({})).await["status"], 200);
    }
}

/// A reply of `mode` without what differs between two replies.
fn without_time(mut reply: Value) -> Value {
    reply.as_object_mut().expect("it is an object").remove("timestamp");
    reply
}

#[tokio::test]
async fn a_block_by_the_operator_holds_in_every_dialect_while_the_gateway_runs() {
    const ABSENT: i64 = 999_999;
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let carol = Bearer::register(&gateway, "carol").await;
    let chat = bob.chat_with(ann.id).await;
    let group = ann.group("friends", &[bob.id, carol.id]).await;
    let (path, group_path) = (format!("/chat/{chat}"), format!("/group/{group}"));
    let (mut ann_room, mut bob_room) = (ann.room(&path).await.0, bob.room(&path).await.0);
    assert_eq!(stdout_of(&gateway.run(["user", "block", "ann", "bob"]).await), "");
    assert_eq!(stdout_of(&gateway.run(["user", "block", "carol", "bob@example.org"]).await), "");
    let list = stdout_of(&gateway.run(["user", "blocks", "ann"]).await);
    assert!(list.lines().count() == 2 && list.contains("bob"), "{list}");

    // In the chat that exists: as in one that does not.
    let refused = bob_room.request(&message("hello?")).await;
    assert_eq!(refused["type"], "error", "{refused}");
    let mut mode = Mode::log_in(&gateway, "bob").await;
    let send = |chat: i64| json!({"chat_id": chat, "content": "hello?", "content_type": "text"});
    let refused = without_time(mode.request("sendMessage", send(chat)).await);
    assert_eq!(refused["status"], 404, "{refused}");
    assert_eq!(refused, without_time(mode.request("sendMessage", send(ABSENT)).await));
    let mut peer = sndmsg(&gateway, "bob").await;
    let text = json!({"type": "SND_MSG", "username": "bob", "room_id": chat, "message": "hello?"});
    let refused = peer.request(&text).await;
    assert_eq!(refused["status"], "ROOM_DOES_NOT_EXIST", "{refused}");

    // A new chat, and a new group: as with a user who does not exist.
    let (blocked, absent) = (
        bob.post(&format!("/chat/{}", carol.id)).await,
        bob.post(&format!("/chat/{ABSENT}")).await,
    );
    assert!(blocked.status.is_client_error(), "{blocked:?}");
    assert_eq!((blocked.status, blocked.text()), (absent.status, absent.text()));
    let (blocked, absent) = (try_group(&bob, &[carol.id]).await, try_group(&bob, &[ABSENT]).await);
    assert!(blocked.status.is_client_error(), "{blocked:?}");
    assert_eq!((blocked.status, blocked.text()), (absent.status, absent.text()));

    // Typing is not shown, groups go on, and Ann may write.
    bob_room.send(&json!({"type": "typing"})).await;
    let mut group_room = ann.room(&group_path).await.0;
    bob.room(&group_path).await.0.request(&message("to all")).await;
    assert_eq!(group_room.receive().await["text"], "to all");
    assert_eq!(ann_room.request(&message("stop it")).await["text"], "stop it");
    assert_eq!(bob_room.receive().await["text"], "stop it");

    assert_eq!(stdout_of(&gateway.run(["user", "unblock", "ann", "bob"]).await), "");
    assert_eq!(bob_room.request(&message("sorry")).await["text"], "sorry");
    assert_eq!(ann_room.receive().await["text"], "sorry", "nothing came before");
}
