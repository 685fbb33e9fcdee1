//! SND_MSG in the field: uchat's client over raw TCP, whose every crash is avoided.

use crate::peer::{Peer, claims, json};
use serde_json::json;
use tolmach_dialect::{Event, Subscription};
use tolmach_dialect_kit::fixtures::{self, BOB, CHAT, GROUP, flow_id};
use tolmach_domain::{Answer, Command, EventKind, Fault, MessagePage};

const FILE: &str = "sndmsg-uchat.toml";
const LOGIN: &str = "{\n\t\"type\":\t0,\n\t\"login\":\t\"ann\",\n\t\"pass\":\t\"secret1\"\n}";
const READ: &str = "{\n\t\"type\":\t4,\n\t\"room_id\":\t1\n}";

/// A connection that has logged in.
fn ann() -> Peer {
    let mut ann = Peer::tcp(FILE);
    let granted = ann.exchange(LOGIN, None).expect("a login is answered");
    assert_eq!(json(&granted), json!({"type": 0, "status": 0}));
    ann
}

fn posted(flow: i64) -> Event {
    Event::new(fixtures::time(9), EventKind::Posted(fixtures::message(flow, 2)))
}

#[test]
fn an_integer_type_is_claimed() {
    assert!(claims(FILE, LOGIN));
    assert!(!claims(FILE, r#"{"type": "REQUEST_LOGIN", "login": "ann", "pass": "secret1"}"#));
}

#[test]
fn signing_up_logs_in() {
    let mut peer = Peer::tcp(FILE);
    let sign_up = "{\n\t\"type\":\t1,\n\t\"login\":\t\"ann\",\n\t\"pass\":\t\"secret1\"\n}";
    assert_eq!(json(&peer.exchange(sign_up, None).unwrap()), json!({"type": 1, "status": 0}));
    let request = &peer.decode(READ).unwrap()[0];
    assert!(matches!(&request.command, Command::History { .. }));
    let taken = Peer::tcp(FILE).exchange(sign_up, Some(Err(Fault::LoginTaken)));
    assert_eq!(json(&taken.unwrap()), json!({"type": 1, "status": 4}));
    let wrong = Err(Fault::WrongCredentials { login_exists: false });
    let refused = Peer::tcp(FILE).exchange(LOGIN, Some(wrong));
    assert_eq!(json(&refused.unwrap()), json!({"type": 0, "status": 3}));
}

#[test]
fn the_client_is_answered_as_its_server_did() {
    for (frame, expected) in [
        (r#"{"type":5,"user":"bob"}"#, json!({"type": 5, "status": 0, "user": ["bob"]})),
        (
            r#"{"type":2,"sender":"ann","receiver":"bob"}"#,
            json!({"type": 2, "status": 0, "id": 1, "customer": "bob"}),
        ),
        (
            r#"{"type":3,"username":"ann","room_id":1,"message":"hello world","msg_type":0}"#,
            json!({"type": 3, "status": 0, "room_id": 1, "message_id": 13,
                   "date": "Tue Nov 14 10:13:23 PM"}),
        ),
        (
            r#"{"type":9,"username":"ann"}"#,
            json!({"type": 9, "status": 0, "dialogs": ["Друзья & co", "bob", "News"],
                   "id": [2, 1, 3]}),
        ),
        (
            r#"{"type":8,"id":11,"new_msg":"changed"}"#,
            json!({"type": 8, "status": 0, "id": 11, "new_msg": "changed"}),
        ),
        (r#"{"type":7,"id":11}"#, json!({"type": 7, "status": 0, "id": 11})),
        (r#"{"type":6,"id":1}"#, json!({"type": 6, "status": 0, "id": 1})),
    ] {
        let answer = ann().exchange(frame, None).expect("the request is answered");
        assert_eq!(json(&answer), expected, "{frame}");
    }
}

#[test]
fn a_room_is_read_as_a_frame_a_message_that_the_client_survives() {
    let rows = ann().answers(
        READ,
        Ok(fixtures::answer(&fixtures::ANN, &ann().decode(READ).unwrap()[0].command)),
    );
    assert_eq!(rows.len(), 2);
    let row = json(&rows[1]);
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    let expected = [
        "type",
        "status",
        "room_id",
        "message_id",
        "msg_type",
        "message",
        "date",
        "sender",
        "update",
    ];
    assert_eq!(keys.len(), expected.len(), "{row}");
    assert!(expected.iter().all(|key| row.get(key).is_some()), "{row}");
    assert_eq!((&row["room_id"], &row["message_id"]), (&json!("1"), &json!("12")));
    assert_eq!((&row["update"], &row["sender"]), (&json!(0), &json!(BOB.login)));
}

#[test]
fn an_empty_room_is_answered_by_nothing_and_a_refusal_by_a_status() {
    let empty = Answer::History(Box::new(MessagePage::new(flow_id(CHAT), Vec::new())));
    assert!(ann().answers(READ, Ok(empty)).is_empty());
    let refused = ann().answers(READ, Err(Fault::NoSuchFlow));
    assert_eq!(json(&refused[0]), json!({"type": 4, "status": 5}));
}

#[test]
fn a_room_that_cannot_be_opened_is_answered_by_nothing() {
    let open = r#"{"type":2,"sender":"ann","receiver":"nobody"}"#;
    assert!(ann().answers(open, Err(Fault::NoSuchUser)).is_empty());
    // Another's name, a missing key and one of another kind.
    for frame in [
        r#"{"type":2,"sender":"bob","receiver":"carol"}"#,
        r#"{"type":2,"sender":"ann"}"#,
        r#"{"type":2,"sender":"ann","receiver":5}"#,
    ] {
        assert_eq!(ann().decode(frame).unwrap_err(), None, "{frame}");
    }
}

#[test]
fn no_frame_without_a_number_for_its_type_is_ever_sent() {
    for frame in ["{", "[]", "{}", r#"{"type":"SND_MSG"}"#, r#"{"type":null}"#] {
        assert_eq!(ann().decode(frame).unwrap_err(), None, "{frame}");
    }
    let unknown = ann().decode(r#"{"type":10}"#).unwrap_err();
    assert_eq!(json(&unknown.unwrap()), json!({"type": 10, "status": 1}));
    assert!(ann().decode("TEST").unwrap().is_empty());
}

#[test]
fn only_the_room_that_was_read_last_is_heard() {
    let mut ann = ann();
    assert_eq!(ann.subscription(), Subscription::None);
    assert!(ann.hears(&posted(CHAT)).is_empty());
    ann.answers(READ, Err(Fault::NoSuchFlow));
    assert!(ann.hears(&posted(CHAT)).is_empty());
    let empty = Answer::History(Box::new(MessagePage::new(flow_id(CHAT), Vec::new())));
    ann.answers(READ, Ok(empty));
    assert_eq!(ann.subscription(), Subscription::Flow(flow_id(CHAT)));
    let frames = ann.hears(&posted(CHAT));
    assert_eq!(json(&frames[0])["message_id"], json!("12"));
    assert!(ann.hears(&posted(GROUP)).is_empty());
}

#[test]
fn what_is_found_fits_into_one_read_of_the_client() {
    let users = |count| Ok(Answer::Users((1..=count).map(|_| long_login()).collect()));
    let search = r#"{"type":5,"user":"x"}"#;
    let command = ann().decode(search).unwrap()[0].command.clone();
    assert!(matches!(command, Command::SearchUsers { limit: 14, .. }));
    let found = ann().answers(search, users(14));
    assert!(found[0].len() < 1024, "{} bytes", found[0].len());
}

/// A user with the longest login.
fn long_login() -> tolmach_domain::User {
    tolmach_domain::User { login: "x".repeat(64), ..fixtures::user(2) }
}
