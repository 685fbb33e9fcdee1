//! Users, conversations and messages are the same in every dialect.

use crate::harness::{Bearer, Gateway, Mode, Peer, message, texts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn an_account_of_one_dialect_logs_in_with_its_password_in_another() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let ann_elsewhere = Bearer::log_in(&gateway, "ann").await;
    let mut bob_elsewhere = Mode::log_in(&gateway, "bob").await;

    let profile = ann_elsewhere.get("/user").await.expect(200);
    assert_eq!(
        profile,
        json!({"id": ann_elsewhere.id, "name": "ann", "username": "ann", "description": ""})
    );
    let chat = bob.chat_with(ann_elsewhere.id).await;
    assert_eq!(ann_elsewhere.chat_with(bob.id).await, chat, "a pair of users has one chat");
    for (user, other) in [(&mut ann, "bob"), (&mut bob_elsewhere, "ann")] {
        let chats = user.request("getChats", json!({})).await;
        assert_eq!(
            chats["chats"],
            json!([{"chat_id": chat, "chat_name": other, "chat_type": "personal"}])
        );
    }
    ann.send(chat, "from mode").await;
    bob_elsewhere.push().await;
    let rows = bob_elsewhere.request("getMessages", json!({"chat_id": chat})).await;
    assert_eq!(rows["messages"][0]["from_id"], ann_elsewhere.id, "both dialects give one id");
}

#[tokio::test]
async fn each_dialect_receives_messages_of_the_other() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let ann_id = Bearer::log_in(&gateway, "ann").await.id;
    let bob = Bearer::register(&gateway, "bob").await;
    let chat = bob.chat_with(ann_id).await;
    let (mut room, history) = bob.room(&format!("/chat/{chat}")).await;
    assert_eq!(history, [""; 0]);
    let mut main = bob.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));

    ann.send(chat, "from mode").await;
    let mut received = room.receive().await;
    let id = received["id"].as_i64().expect("an id is a number");
    let time = received["time"].as_str().expect("the time is a string").to_owned();
    assert!(
        time.len() >= 20 && time.ends_with('Z') && &time[10..11] == "T",
        "{time} is RFC 3339 in UTC"
    );
    let author = json!({"id": ann_id, "name": "ann"});
    assert_eq!(
        received,
        json!({
            "id": id,
            "chat_id": chat,
            "type": "message",
            "text": "from mode",
            "author": author,
            "time": time,
        })
    );
    received["type"] = json!("last_message");
    assert_eq!(
        main.receive().await,
        received,
        "/main has the same message as the last one of its room"
    );

    // The author is the owner of the token, whatever the frame has.
    let echo = room.request(&message("from bearer")).await;
    assert_eq!(echo["author"], json!({"id": bob.id, "name": "BOB"}));
    let mut push = ann.push().await;
    let (pushed_at, sent_at) =
        (push["timestamp"].take(), push["messages"][0]["content_time"].take());
    assert!(pushed_at.is_number() && sent_at.is_number(), "{pushed_at} {sent_at}");
    let row = json!({
        "message_id": echo["id"],
        "from_id": bob.id,
        "from_name": "bob",
        "content": "from bearer",
        "content_type": "text",
        "content_time": null,
    });
    let expected = json!({
        "mode": "getMessages",
        "timestamp": null,
        "status": 200,
        "chat_id": chat,
        "messages": [row],
    });
    assert_eq!(push, expected);
    assert_eq!(main.receive().await["text"], "from bearer");
}

/// A group with an owner and two members, who write over `mode`, and an open room of each.
struct Group<'a> {
    owner: Bearer<'a>,
    id: i64,
    writers: Vec<Mode>,
    rooms: Vec<Peer>,
}

impl<'a> Group<'a> {
    async fn create(gateway: &'a Gateway) -> Self {
        let owner = Bearer::register(gateway, "owner").await;
        let (mut writers, mut members) = (Vec::new(), Vec::new());
        for name in ["ann", "bob"] {
            writers.push(Mode::register(gateway, name).await);
            members.push(Bearer::log_in(gateway, name).await);
        }
        let ids: Vec<_> = members.iter().map(|member| member.id).collect();
        let id = owner.group("all", &ids).await;
        let mut rooms = Vec::new();
        for user in members.iter().chain([&owner]) {
            rooms.push(user.room(&format!("/group/{id}")).await.0);
        }
        Self { owner, id, writers, rooms }
    }
}

#[tokio::test]
async fn all_readers_of_all_dialects_see_one_order_while_many_send_at_once() {
    const EACH: usize = 30;
    let gateway = Gateway::start().await;
    let Group { owner, id: group, mut writers, mut rooms } = Group::create(&gateway).await;
    let total = EACH * (writers.len() + rooms.len());

    let mut tasks = Vec::new();
    for (number, mut writer) in writers.drain(..).enumerate() {
        tasks.push(tokio::spawn(async move {
            for count in 0..EACH {
                writer.send(group, &format!("mode {number}:{count}")).await;
            }
            let mut received = Vec::new();
            while received.len() < total - EACH {
                received.push(writer.pushed().await);
            }
            (format!("mode {number}:"), received, writer.history(group).await)
        }));
    }
    for (number, mut room) in rooms.drain(..).enumerate() {
        tasks.push(tokio::spawn(async move {
            for count in 0..EACH {
                room.send(&message(&format!("room {number}:{count}"))).await;
            }
            let mut received = Vec::new();
            while received.len() < total {
                received.push(
                    room.receive().await["text"].as_str().expect("a message has a text").to_owned(),
                );
            }
            (String::new(), received, Vec::new())
        }));
    }
    let (_, mut order) = owner.room(&format!("/group/{group}?limit=1000")).await;
    let mut readers = Vec::new();
    for task in tasks {
        readers.push(task.await.expect("no client panics"));
    }
    if order.len() < total {
        order = owner.room(&format!("/group/{group}?limit=1000")).await.1;
    }
    order.reverse();

    assert_eq!(order.len(), total, "every message is stored once");
    for (own, received, history) in readers {
        let expected: Vec<_> = order
            .iter()
            .filter(|text| own.is_empty() || !text.starts_with(&own))
            .cloned()
            .collect();
        assert_eq!(received, expected, "received by {own:?}");
        if !own.is_empty() {
            // A writer may have read the history before the last messages were posted.
            assert_eq!(history, order[..history.len()], "read by {own:?}");
        }
    }
    let mut counts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for text in &order {
        let (sender, count) = text.split_once(':').expect("every text has a sender and a count");
        counts.entry(sender).or_default().push(count.parse().expect("the count is a number"));
    }
    assert!(
        counts.values().all(|counts| counts.iter().copied().eq(0..EACH)),
        "each sender's messages are in order: {counts:?}"
    );
}

#[tokio::test]
async fn an_event_is_rendered_once_for_all_receivers() {
    const RECEIVERS: usize = 50;
    let gateway = Gateway::start().await;
    let Group { owner, id: group, mut writers, rooms } = Group::create(&gateway).await;
    drop(rooms);
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        receivers.push(owner.room(&format!("/group/{group}")).await.0);
    }
    let renders = async || {
        let mut renders = BTreeMap::new();
        for dialect in ["bearer", "mode"] {
            renders.insert(
                dialect,
                gateway
                    .metric("tolmach_event_renders_total", &format!("dialect=\"{dialect}\""))
                    .await,
            );
        }
        renders
    };
    let before = renders().await;
    let [ann, bob] = &mut writers[..] else { panic!("the group has two writers") };
    ann.send(group, "once").await;
    let mut frames = Vec::new();
    for receiver in &mut receivers {
        frames.push(receiver.next().await.expect("the connection is open"));
    }
    assert!(
        frames[0].contains("once") && frames.iter().all(|frame| *frame == frames[0]),
        "all receive the same bytes: {frames:?}"
    );
    assert_eq!(bob.pushed().await, "once");
    let after = renders().await;
    for (dialect, count) in &after {
        assert_eq!(count - before[dialect], 1.0, "{dialect}: {before:?} {after:?}");
    }
}

#[tokio::test]
async fn acknowledged_messages_are_there_after_a_kill_and_a_restart() {
    let mut gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let owner = Bearer::log_in(&gateway, "ann").await;
    let group = owner.group("diary", &[]).await;
    for count in 0..20 {
        ann.send(group, &count.to_string()).await;
    }
    gateway.signal("KILL").await;
    gateway.ended().await;
    gateway.restart().await;
    let mut ann = Mode::log_in(&gateway, "ann").await;
    let expected: Vec<_> = (0..20).map(|count: usize| count.to_string()).collect();
    assert_eq!(ann.history(group).await, expected);
    let chats = ann.request("getChats", json!({})).await;
    assert_eq!(texts(&chats["chats"], "chat_name"), ["diary"]);
    assert_eq!(chats["status"], Value::from(200));
}
