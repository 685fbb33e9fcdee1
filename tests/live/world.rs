//! One world: whoever speaks whichever dialect, users, conversations and messages are the same.

use crate::harness::{Bearer, Gateway, Mode, Peer, message, texts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn who_registers_in_one_dialect_logs_in_with_the_same_password_in_the_other() {
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
    assert_eq!(ann_elsewhere.chat_with(bob.id).await, chat, "the same pair has the same chat");
    for (user, other) in [(&mut ann, "bob"), (&mut bob_elsewhere, "ann")] {
        let chats = user.ask("getChats", json!({})).await;
        assert_eq!(
            chats["chats"],
            json!([{"chat_id": chat, "chat_name": other, "chat_type": "personal"}])
        );
    }
    ann.send(chat, "it is me").await;
    bob_elsewhere.push().await;
    let rows = bob_elsewhere.ask("getMessages", json!({"chat_id": chat})).await;
    assert_eq!(rows["messages"][0]["from_id"], ann_elsewhere.id, "it is the same user");
}

#[tokio::test]
async fn each_dialect_hears_the_other_live() {
    let gateway = Gateway::start().await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let ann_id = Bearer::log_in(&gateway, "ann").await.id;
    let bob = Bearer::register(&gateway, "bob").await;
    let chat = bob.chat_with(ann_id).await;
    let (mut room, history) = bob.room(&format!("/chat/{chat}")).await;
    assert_eq!(history, [""; 0]);
    let mut main = bob.try_room("/main").await.unwrap_or_else(|refusal| panic!("{refusal:?}"));

    ann.send(chat, "from mode").await;
    let mut heard = room.hear().await;
    let id = heard["id"].as_i64().expect("an id is a number");
    let time = heard["time"].as_str().expect("the time is a string").to_owned();
    assert!(
        time.len() >= 20 && time.ends_with('Z') && &time[10..11] == "T",
        "{time} is RFC 3339 in UTC"
    );
    let author = json!({"id": ann_id, "name": "ann"});
    assert_eq!(
        heard,
        json!({"id": id, "chat_id": chat, "type": "message", "text": "from mode", "author": author, "time": time})
    );
    heard["type"] = json!("last_message");
    assert_eq!(main.hear().await, heard, "the same message is the last one of its room");

    // The author is who the token says, whatever the frame says.
    let echo = room.ask(&message("from bearer")).await;
    assert_eq!(echo["author"], json!({"id": bob.id, "name": "BOB"}));
    let mut push = ann.push().await;
    let (moment, sent) = (push["timestamp"].take(), push["messages"][0]["content_time"].take());
    assert!(moment.is_number() && sent.is_number(), "{moment} {sent}");
    let row = json!({"message_id": echo["id"], "from_id": bob.id, "from_name": "bob", "content": "from bearer", "content_type": "text", "content_time": null});
    assert_eq!(
        push,
        json!({"mode": "getMessages", "timestamp": null, "status": 200, "chat_id": chat, "messages": [row]})
    );
    assert_eq!(main.hear().await["text"], "from bearer");
}

/// Everybody in a group, speaking at once.
struct Crowd<'a> {
    owner: Bearer<'a>,
    group: i64,
    speakers: Vec<Mode>,
    rooms: Vec<Peer>,
}

impl<'a> Crowd<'a> {
    async fn gather(gateway: &'a Gateway) -> Self {
        let owner = Bearer::register(gateway, "owner").await;
        let (mut speakers, mut members) = (Vec::new(), Vec::new());
        for name in ["ann", "bob"] {
            speakers.push(Mode::register(gateway, name).await);
            members.push(Bearer::log_in(gateway, name).await);
        }
        let ids: Vec<_> = members.iter().map(|member| member.id).collect();
        let group = owner.group("everybody", &ids).await;
        let mut rooms = Vec::new();
        for user in members.iter().chain([&owner]) {
            rooms.push(user.room(&format!("/group/{group}")).await.0);
        }
        Self { owner, group, speakers, rooms }
    }
}

#[tokio::test]
async fn all_readers_of_all_dialects_see_one_order_while_many_send_at_once() {
    const EACH: usize = 30;
    let gateway = Gateway::start().await;
    let Crowd { owner, group, mut speakers, mut rooms } = Crowd::gather(&gateway).await;
    let total = EACH * (speakers.len() + rooms.len());

    let mut tasks = Vec::new();
    for (number, mut speaker) in speakers.drain(..).enumerate() {
        tasks.push(tokio::spawn(async move {
            for count in 0..EACH {
                speaker.send(group, &format!("mode {number}:{count}")).await;
            }
            let mut heard = Vec::new();
            while heard.len() < total - EACH {
                heard.push(speaker.pushed().await);
            }
            (format!("mode {number}:"), heard, speaker.history(group).await)
        }));
    }
    for (number, mut room) in rooms.drain(..).enumerate() {
        tasks.push(tokio::spawn(async move {
            for count in 0..EACH {
                room.say(&message(&format!("room {number}:{count}"))).await;
            }
            let mut heard = Vec::new();
            while heard.len() < total {
                heard.push(
                    room.hear().await["text"].as_str().expect("a message has a text").to_owned(),
                );
            }
            (String::new(), heard, Vec::new())
        }));
    }
    let (_, mut order) = owner.room(&format!("/group/{group}?limit=1000")).await;
    let mut readers = Vec::new();
    for task in tasks {
        readers.push(task.await.expect("nobody failed"));
    }
    if order.len() < total {
        order = owner.room(&format!("/group/{group}?limit=1000")).await.1;
    }
    order.reverse();

    assert_eq!(order.len(), total, "nothing is lost and nothing is stored twice");
    for (own, heard, history) in readers {
        let expected: Vec<_> = order
            .iter()
            .filter(|text| own.is_empty() || !text.starts_with(&own))
            .cloned()
            .collect();
        assert_eq!(heard, expected, "what {own:?} heard live");
        if !own.is_empty() {
            // A reader may have asked before the last ones had sent.
            assert_eq!(history, order[..history.len()], "what {own:?} read");
        }
    }
    let mut counts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for text in &order {
        let (sender, count) = text.split_once(':').expect("the texts are ours");
        counts.entry(sender).or_default().push(count.parse().expect("it is a number"));
    }
    assert!(
        counts.values().all(|counts| counts.iter().copied().eq(0..EACH)),
        "each sender's own order is kept: {counts:?}"
    );
}

#[tokio::test]
async fn an_event_is_rendered_once_however_many_hear_it() {
    const LISTENERS: usize = 50;
    let gateway = Gateway::start().await;
    let Crowd { owner, group, mut speakers, rooms } = Crowd::gather(&gateway).await;
    drop(rooms);
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        listeners.push(owner.room(&format!("/group/{group}")).await.0);
    }
    let renders = async || {
        let mut renders = BTreeMap::new();
        for dialect in ["bearer", "mode"] {
            renders.insert(
                dialect,
                gateway.metric("tolmach_event_renders_total", &format!("dialect=\"{dialect}\"")).await,
            );
        }
        renders
    };
    let before = renders().await;
    let [ann, bob] = &mut speakers[..] else { panic!("two speak") };
    ann.send(group, "once").await;
    let mut frames = Vec::new();
    for listener in &mut listeners {
        frames.push(listener.next().await.expect("it is open"));
    }
    assert!(
        frames[0].contains("once") && frames.iter().all(|frame| *frame == frames[0]),
        "all hear the same bytes: {frames:?}"
    );
    assert_eq!(bob.pushed().await, "once");
    let after = renders().await;
    for (dialect, count) in &after {
        assert_eq!(count - before[dialect], 1.0, "{dialect}: {before:?} {after:?}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_and_a_new_start() {
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
    let chats = ann.ask("getChats", json!({})).await;
    assert_eq!(texts(&chats["chats"], "chat_name"), ["diary"]);
    assert_eq!(chats["status"], Value::from(200));
}
