//! Clients that do not wait for responses: requests are carried out and answered in their order.

use crate::harness::{Bearer, Gateway, Mode, eventually, texts, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Limits above what these clients send at once.
const UNLIMITED: [(&str, &str); 2] =
    [("LIMITS__FRAMES_PER_SECOND", "100000"), ("LIMITS__FRAME_BURST", "100000")];

fn send(token: &str, chat: i64, text: &str) -> Value {
    json!({
        "mode": "sendMessage",
        "timestamp": 1,
        "token": token,
        "chat_id": chat,
        "content": text,
        "content_type": "text",
    })
}

/// Ann, Bob, and a group of both.
async fn friends(gateway: &Gateway) -> (Mode, Bearer<'_>, i64) {
    let (ann, bob) = (Mode::register(gateway, "ann").await, Bearer::register(gateway, "bob").await);
    let group = bob.group("friends", &[Bearer::log_in(gateway, "ann").await.id]).await;
    (ann, bob, group)
}

#[tokio::test]
async fn requests_are_answered_in_their_order() {
    let gateway = Gateway::with(&UNLIMITED).await;
    let (mut ann, bob, group) = friends(&gateway).await;
    let foreign = bob.group("foreign", &[]).await;
    let (mut expected, mut posted) = (Vec::new(), Vec::new());
    for number in 0..600 {
        let text = format!("message {number}");
        // Other requests and refusals between more messages than may be in flight.
        let (frame, answer) = match number {
            77 => {
                (json!({"mode": "getChats", "timestamp": 1, "token": ann.token}), ("getChats", 200))
            }
            300 => (json!({"mode": "sing"}), ("sing", 501)),
            301 => (send(&ann.token, foreign, &text), ("sendMessage", 404)),
            302 => (send("nobody's", group, &text), ("sendMessage", 401)),
            444 => {
                let (mode, token) = ("getMessages", &ann.token);
                let read = json!({"mode": mode, "timestamp": 1, "token": token, "chat_id": group});
                (read, (mode, 200))
            }
            _ => {
                posted.push(text.clone());
                (send(&ann.token, group, &text), ("sendMessage", 200))
            }
        };
        expected.push((answer.0.to_owned(), answer.1));
        ann.peer.send(&frame).await;
    }
    let mut answers = Vec::new();
    for number in 0..expected.len() {
        let answer = ann.peer.receive().await;
        if number == 444 {
            assert_eq!(
                texts(&answer["messages"], "content"),
                posted[..440],
                "all earlier messages"
            );
        }
        answers.push((
            answer["mode"].as_str().unwrap_or_default().to_owned(),
            answer["status"].as_i64().unwrap_or_default(),
        ));
    }
    assert_eq!(answers, expected);
    assert_eq!(ann.history(group).await, posted);
}

#[tokio::test]
async fn a_client_with_large_messages_in_flight_that_reads_everything_is_not_closed() {
    for (count, size) in [(128, 10_000), (40, 60_000)] {
        let gateway = Gateway::with(&UNLIMITED).await;
        let (ann, _, group) = friends(&gateway).await;
        let Mode { peer, token, .. } = ann;
        let (mut sink, mut stream) = peer.socket.split();
        let text = "x".repeat(size);
        let sending = async {
            for _ in 0..count {
                let frame = send(&token, group, &text).to_string();
                sink.send(Message::text(frame)).await.expect("the connection is open");
            }
        };
        let mut acknowledged = 0;
        let reading = async {
            while acknowledged < count {
                match stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let reply: Value = serde_json::from_str(&text).expect("a reply is JSON");
                        assert_eq!(reply["status"], 200, "{count} of {size} bytes: {reply}");
                        acknowledged += 1;
                    }
                    Some(Ok(Message::Ping(_))) => {}
                    end => panic!("{count} of {size} bytes: {end:?} after {acknowledged}"),
                }
            }
        };
        within("the replies", async { tokio::join!(sending, reading) }).await;
        let closed = gateway.metric("tolmach_connections_closed_total", "").await;
        assert_eq!(closed, 0.0, "{count} of {size} bytes: no connection is closed");
        let mut again = Mode::log_in(&gateway, "ann").await;
        assert_eq!(again.history(group).await, vec![text; count], "{count} of {size} bytes");
    }
}

#[tokio::test]
async fn messages_of_several_users_on_one_connection_keep_their_authors_and_order() {
    let gateway = Gateway::with(&UNLIMITED).await;
    let mut ann = Mode::register(&gateway, "ann").await;
    let tom = Mode::register(&gateway, "tom").await;
    let bob = Bearer::register(&gateway, "bob").await;
    let members =
        [Bearer::log_in(&gateway, "ann").await.id, Bearer::log_in(&gateway, "tom").await.id];
    let group = bob.group("friends", &members).await;
    let authors = [("ann", ann.token.clone()), ("tom", tom.token.clone())];
    for number in 0..60 {
        let (name, token) = &authors[number / 3 % 2];
        ann.peer.send(&send(token, group, &format!("{name} {number}"))).await;
    }
    let mut answered = 0;
    while answered < 60 {
        let frame = ann.peer.receive().await;
        if frame.get("chat_id").is_none() {
            assert_eq!(
                (&frame["mode"], &frame["status"]),
                (&json!("sendMessage"), &json!(200)),
                "{frame}"
            );
            answered += 1;
        }
    }
    let history = ann.request("getMessages", json!({"chat_id": group})).await;
    for (number, row) in
        history["messages"].as_array().expect("messages are a list").iter().enumerate()
    {
        let name = authors[number / 3 % 2].0;
        assert_eq!(
            (&row["from_name"], &row["content"]),
            (&json!(name), &json!(format!("{name} {number}")))
        );
    }
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(60));
}

#[tokio::test]
async fn messages_before_the_close_are_stored() {
    let gateway = Gateway::with(&UNLIMITED).await;
    let (mut ann, _, group) = friends(&gateway).await;
    let texts: Vec<_> = (0..100).map(|number| format!("message {number}")).collect();
    for text in &texts {
        ann.peer.send(&send(&ann.token, group, text)).await;
    }
    ann.peer.send_message(Message::Close(None)).await;
    let mut again = Mode::log_in(&gateway, "ann").await;
    eventually("all messages", async || (again.history(group).await == texts).then_some(())).await;
}

#[tokio::test]
async fn requests_before_an_oversized_frame_are_answered_before_the_close() {
    let gateway = Gateway::with(&UNLIMITED).await;
    let (mut ann, _, group) = friends(&gateway).await;
    for number in 0..50 {
        ann.peer.send(&send(&ann.token, group, &format!("message {number}"))).await;
    }
    ann.peer.send_text(&"x".repeat(2 << 20)).await;
    let (answers, code) = ann.peer.end().await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_i64()).collect();
    assert_eq!((statuses, code), (vec![Some(200); 50], Some(1009)));
}
