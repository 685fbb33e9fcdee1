//! The frames of a room: their receivers and their bytes.

use crate::peers::{Received, Server, context};
use crate::values::{
    ADMINISTRATORS, MEMBERS, caused, event, flow_id, identity, json, message, message_id, outcome,
    posted, room, summary, text, user, user_id,
};
use serde_json::{Value, json};
use tolmach_dialect::{Close, Delivery, Dialect, Event, Subscription, Variant};
use tolmach_dialect_action::Action;
use tolmach_domain::{Answer, ConnectionId, EventKind, Fault, Message, Origin, Version};

/// The requests for three changes, and the frames that the whole room receives.
const CHANGES: [(&str, &str); 3] = [
    (
        r#"{"action":"create_message","msg_text":"hello","request_id":"mine"}"#,
        concat!(
            r#"{"errors":[],"data":{"id":18,"text":"hello","user":{"id":1,"#,
            r#""email":"ann@example.org","phone":null},"created_at":"2024-06-17T18:00:00.000Z","#,
            r#""room":{"pk":1,"id":1,"participants":[{"id":1,"fullname":"Ann Archer","#,
            r#""user":{"id":1,"email":"ann@example.org","phone":null}},{"id":2,"fullname":"#,
            r#""Bob Baker","user":{"id":2,"email":"bob@example.org","phone":"+15550002"}}],"#,
            r#""has_business":true}},"action":"create_message","response_status":201,"#,
            r#""request_id":"mine"}"#
        ),
    ),
    (
        r#"{"action":"edit_message","msg_id":18,"edited_msg_text":"edit","request_id":"mine"}"#,
        concat!(
            r#"{"errors":[],"data":{"room_id":1,"message_id":18,"message_text":"edit"},"#,
            r#""action":"edit_message","response_status":200,"request_id":"mine"}"#
        ),
    ),
    (
        r#"{"action":"delete_messages","msg_id_list":[18],"request_id":"mine"}"#,
        concat!(
            r#"{"errors":[],"data":{"room_id":1,"messages_ids":[18]},"#,
            r#""action":"delete_messages","response_status":200,"request_id":"mine"}"#
        ),
    ),
];

const PARTLY: &str = r#"{"action":"delete_messages","msg_id_list":[12,18,15],"request_id":"mine"}"#;

/// The orders in which a response and its event reach a session.
const RESPONSE_FIRST: [bool; 2] = [false, true];

fn received((frame, is_shared): &(tolmach_dialect::Frame, bool)) -> (&str, bool) {
    (text(frame), *is_shared)
}

fn some(received: Received) -> (tolmach_dialect::Frame, bool) {
    received.expect("the whole room receives it")
}

#[test]
fn a_change_is_one_identical_frame_for_the_whole_room_and_its_author_has_no_other() {
    for (request, expected) in CHANGES {
        for response_first in RESPONSE_FIRST {
            let mut ann = Server::joined(MEMBERS, 1);
            let mut bob = Server::joined(ADMINISTRATORS, 2);
            let request = ann.decode(request);
            let (answer, kind) = outcome(1, &request.command);
            let event = caused(1, &request, kind);
            if response_first {
                assert_eq!(ann.respond(&request, Ok(answer.clone())), []);
            }
            for server in [&mut ann, &mut bob] {
                assert_eq!(received(&some(server.receive(&event))), (expected, true));
            }
            if !response_first {
                assert_eq!(ann.respond(&request, Ok(answer)), []);
            }
        }
    }
}

#[test]
fn only_the_author_of_a_deletion_receives_what_is_left() {
    for (list, left) in [
        ("[12,18,15]", "12, 15"),
        ("[18,0]", "0"),
        ("[-1,18,12,99999999999999999999]", "-1, 12, 99999999999999999999"),
    ] {
        for response_first in RESPONSE_FIRST {
            let (mut ann, mut bob) = (Server::joined(MEMBERS, 1), Server::joined(MEMBERS, 2));
            let request = ann.decode(&PARTLY.replace("[12,18,15]", list));
            let (answer, kind) = outcome(1, &request.command);
            let event = caused(1, &request, kind);
            if response_first {
                assert_eq!(ann.respond(&request, Ok(answer.clone())), []);
            }
            assert_eq!(received(&some(bob.receive(&event))), (CHANGES[2].1, true));
            let error =
                format!("[\"Not all of the requested messages were deleted! Left: {left}\"]");
            let expected = CHANGES[2].1.replacen("[]", &error, 1);
            assert_eq!(received(&some(ann.receive(&event))), (&*expected, false));
            if !response_first {
                assert_eq!(ann.respond(&request, Ok(answer)), []);
            }
        }
    }
}

#[test]
fn a_request_id_may_be_used_again_and_by_others() {
    let mut ann = Server::joined(MEMBERS, 1);
    let (first, second) = (ann.decode(PARTLY), ann.decode(PARTLY));
    let (_, kind) = outcome(1, &first.command);
    let mut has_errors = |event: &Event| {
        let (frame, _) = some(ann.receive(event));
        json(&frame)["errors"].as_array().is_some_and(|errors| !errors.is_empty())
    };
    assert!(!has_errors(&caused(2, &first, kind.clone())), "another connection's");
    let foreign = Origin {
        connection: ConnectionId(1),
        dialect: "mode",
        client_tag: first.client_tag.clone(),
    };
    let foreign = Event { origin: Some(foreign), ..event(kind.clone()) };
    assert!(!has_errors(&foreign), "another dialect's");
    assert!(has_errors(&caused(1, &first, kind.clone())));
    assert!(has_errors(&caused(1, &second, kind.clone())));
    assert!(!has_errors(&caused(1, &second, kind)), "both were delivered");
}

#[test]
fn an_event_answers_no_change_that_was_refused_or_whose_event_was_lost() {
    let mut ann = Server::joined(MEMBERS, 1);
    let refused = ann.decode(PARTLY);
    assert_eq!(ann.respond(&refused, Err(Fault::NoSuchMessage)).len(), 1);
    ann.decode(&PARTLY.replace("mine", "lost"));
    let third = ann.decode(CHANGES[2].0);
    let (_, kind) = outcome(1, &third.command);
    let frame = some(ann.receive(&caused(1, &third, kind)));
    assert_eq!(received(&frame), (CHANGES[2].1, true));
}

#[test]
fn only_changes_of_this_dialect_have_a_request_id() {
    let mut ann = Server::joined(MEMBERS, 1);
    let origin = |dialect, tag: Option<&'static str>| {
        let client_tag = tag.map(|tag| bytes::Bytes::from_static(tag.as_bytes()));
        Some(Origin { connection: ConnectionId(9), dialect, client_tag })
    };
    for (origin, id) in [
        (None, Value::Null),
        (origin("mode", Some("7")), Value::Null),
        (origin("action", None), Value::Null),
        (origin("action", Some("")), Value::Null),
        (origin("action", Some("no JSON")), Value::Null),
        (origin("action", Some("7")), json!(7)),
    ] {
        let event = Event { origin, ..event(posted(18, 2, "hi")) };
        let (frame, is_shared) = some(ann.receive(&event));
        assert_eq!((&json(&frame)["request_id"], is_shared), (&id, true));
    }
}

#[test]
fn only_events_of_the_joined_room_are_received() {
    let mut ann = Server::connected(MEMBERS, 1);
    let here = event(posted(18, 2, "hi"));
    let there = EventKind::Posted(Message { flow: flow_id(5), ..message(18, 2, "hi") });
    let there = event(there);
    let receives = |ann: &mut Server| [&here, &there].map(|event| ann.receive(event).is_some());
    assert_eq!(receives(&mut ann), [false, false]);
    ann.join(1, &[1, 2]);
    assert_eq!(receives(&mut ann), [true, false]);
    ann.join(5, &[1, 2]);
    assert_eq!(receives(&mut ann), [false, true]);
    let leave = ann.decode(r#"{"action":"leave_room"}"#);
    ann.respond(&leave, Ok(Answer::User(Box::new(user(1)))));
    assert_eq!(receives(&mut ann), [false, false]);
}

#[test]
fn granted_changes_are_answered_before_the_room_is_left() {
    for (request, expected) in CHANGES {
        for leave in [
            r#"{"action":"leave_room","request_id":8}"#,
            r#"{"action":"join_room","room_pk":5,"request_id":8}"#,
            r#"{"action":"join_room","room_pk":1,"request_id":8}"#,
        ] {
            let mut ann = Server::joined(MEMBERS, 1);
            let change = ann.decode(request);
            let (answer, _) = outcome(1, &change.command);
            ann.respond(&change, Ok(answer));
            let refused = ann.decode(request);
            assert_eq!(ann.respond(&refused, Err(Fault::NoSuchMessage)).len(), 1);
            let answer = match leave.contains("leave") {
                true => Answer::User(Box::new(user(1))),
                false => room(5, &[1, 3]),
            };
            let leave = ann.decode(leave);
            let frames = ann.respond(&leave, Ok(answer));
            assert_eq!(frames.len(), 2, "{frames:?}");
            assert_eq!((text(&frames[0]), &json(&frames[1])["request_id"]), (expected, &json!(8)));
        }
    }
    for (list, left) in [("[12,18,15]", "12, 15"), ("[18,0]", "0")] {
        let mut ann = Server::joined(MEMBERS, 1);
        let partly = ann.decode(&PARTLY.replace("[12,18,15]", list));
        let (answer, kind) = outcome(1, &partly.command);
        ann.respond(&partly, Ok(answer.clone()));
        let error = format!("Not all of the requested messages were deleted! Left: {left}");
        assert_eq!(json(&ann.join(5, &[1, 3])[0])["errors"][0], error);

        let mut ann = Server::joined(MEMBERS, 1);
        let partly = ann.decode(PARTLY);
        ann.respond(&partly, Ok(answer));
        some(ann.receive(&caused(1, &partly, kind)));
        assert_eq!(ann.join(5, &[1, 3]).len(), 1, "a delivered change is not answered again");
    }
}

#[test]
fn events_older_than_the_joining_are_not_received() {
    let mut ann = Server::joined(MEMBERS, 1);
    let change = ann.decode(CHANGES[0].0);
    let (answer, kind) = outcome(1, &change.command);
    ann.respond(&change, Ok(answer));
    let mut room = summary(1, &[1, 2]);
    room.flow.version = Version(18);
    let again = ann.decode(r#"{"action":"join_room","room_pk":1,"request_id":8}"#);
    assert_eq!(ann.respond(&again, Ok(Answer::Flow(Box::new(room)))).len(), 2);
    assert_eq!(ann.receive(&caused(1, &change, kind)), None, "it was answered with the joining");
    // The version is 0 where another wire did not have it.
    for (version, is_received) in [(17, false), (18, false), (19, true), (0, true)] {
        let version = Version(version);
        let event = event(EventKind::Posted(Message { version, ..message(18, 2, "hi") }));
        assert_eq!(ann.receive(&event).is_some(), is_received, "{version:?}");
    }
}

#[test]
fn a_change_whose_event_was_lost_is_answered_when_it_is_read_from_the_store() {
    for (request, expected) in &CHANGES[..2] {
        let (mut ann, mut bob) = (Server::joined(MEMBERS, 1), Server::joined(MEMBERS, 2));
        let change = ann.decode(request);
        let (answer, kind) = outcome(1, &change.command);
        ann.respond(&change, Ok(answer));
        let again = event(kind);
        assert_eq!(received(&some(ann.receive(&again))), (*expected, false));
        let theirs = expected.replace(r#""mine""#, "null");
        assert_eq!(received(&some(bob.receive(&again))), (&*theirs, true));
    }
}

#[test]
fn a_removed_user_and_users_of_a_deleted_room_are_in_no_room() {
    let removed = |flow, users: &[i64]| EventKind::MembersRemoved {
        flow: flow_id(flow),
        users: users.iter().copied().map(user_id).collect(),
    };
    let deleted = |flow| EventKind::FlowDeleted { flow: flow_id(flow), by: user_id(2) };
    let (flow, version) = (flow_id(1), Version(7));
    for (kind, is_expelled) in [
        (removed(1, &[1]), true),
        (removed(1, &[2, 1]), true),
        (removed(1, &[2]), false),
        (deleted(1), true),
        (deleted(5), false),
        (removed(5, &[1]), false),
        (EventKind::MembersAdded { flow, users: vec![user(3).summary()], version }, false),
        (EventKind::Typing { flow, user: user(2).summary(), active: true }, false),
        (EventKind::FlowCreated { flow: summary(1, &[]).flow, members: vec![] }, false),
    ] {
        for path in [MEMBERS, ADMINISTRATORS] {
            let mut ann = Server::joined(path, 1);
            assert_eq!(ann.deliver(&event(kind.clone())), Delivery::Skip, "{kind:?}");
            let subscription = ann.session.subscription();
            assert_eq!(subscription == Subscription::None, is_expelled, "{kind:?}");
        }
    }
}

#[test]
fn the_end_of_its_sessions_closes_a_connection() {
    for path in [MEMBERS, ADMINISTRATORS] {
        let mut ann = Server::joined(path, 1);
        let session = identity(1).session;
        ann.session.authenticated(None);
        assert_eq!(ann.session.subscription(), Subscription::None);
        let ended = event(EventKind::SessionsEnded { user: user_id(1), session });
        let close = Close::new(1008, "the session has ended");
        assert_eq!(ann.deliver(&ended), Delivery::Close(close));
    }
}

#[test]
fn a_message_names_the_members_that_the_server_knows() {
    let (mut ann, mut bob) = (Server::connected(MEMBERS, 1), Server::connected(MEMBERS, 2));
    ann.join(1, &[1, 2, 3]);
    bob.join(1, &[1, 2, 3]);
    for (members, business, author_email) in [
        (Some(&[1, 2, 3][..]), true, json!("user3@example.org")),
        (Some(&[1, 3, 4]), false, json!("user3@example.org")),
        (Some(&[1, 2]), true, Value::Null),
        (None, false, Value::Null),
    ] {
        let frames = [&mut ann, &mut bob].map(|server| {
            server.flow = members.map(|members| summary(1, members));
            some(server.receive(&event(posted(19, 3, "hi")))).0
        });
        assert_eq!(frames[0], frames[1], "both receive the same");
        let data = &json(&frames[0])["data"];
        let participants = data["room"]["participants"].as_array().expect("a list");
        let found: Vec<Option<i64>> =
            participants.iter().map(|member| member["id"].as_i64()).collect();
        let expected: Vec<Option<i64>> =
            members.unwrap_or_default().iter().copied().map(Some).collect();
        assert_eq!((found, &data["room"]["has_business"]), (expected, &json!(business)));
        assert_eq!(data["user"]["email"], author_email);
    }
    ann.flow = Some(summary(5, &[1, 2]));
    let (frame, _) = some(ann.receive(&event(posted(20, 3, "hi"))));
    let room = &json(&frame)["data"]["room"];
    assert_eq!((&room["pk"], &room["participants"]), (&json!(1), &json!([])), "another flow");
}

#[test]
fn a_message_names_at_most_sixty_four_participants_and_always_its_author() {
    let members: Vec<i64> = (1..=200).collect();
    let mut ann = Server::connected(MEMBERS, 1);
    let joined = json(&ann.join(1, &members)[0]);
    assert_eq!(joined["data"]["participants"].as_array().map(Vec::len), Some(200));
    for (author, last) in [(1, 64), (64, 64), (65, 65), (200, 200), (201, 64)] {
        let (frame, _) = some(ann.receive(&event(posted(18, author, "hi"))));
        let data = &json(&frame)["data"];
        let named = data["room"]["participants"].as_array().expect("participants are a list");
        assert_eq!((named.len(), &named[63]["id"]), (64, &json!(last)), "author {author}");
        assert_eq!(data["user"]["email"].is_string(), author <= 200, "author {author}");
        assert_eq!(data["room"]["has_business"], true);
    }
}

#[test]
fn changes_to_messages_are_rendered_and_other_events_are_unsupported() {
    let flow = Some(summary(1, &[1, 2]));
    let render =
        |kind, variant| Action::default().render(&event(kind), &context(&flow), Variant(variant));
    let messages = vec![(message_id(18), Version(20))];
    for kind in [
        posted(18, 2, "hi"),
        EventKind::Edited(message(18, 2, "hi")),
        EventKind::Deleted { flow: flow_id(9), by: user_id(1), messages },
    ] {
        render(kind.clone(), 0).expect("it is a change to messages");
        render(kind, 1).expect_err("there is one variant");
    }
    let flow = flow_id(1);
    for kind in [
        EventKind::FlowCreated { flow: summary(1, &[]).flow, members: vec![] },
        EventKind::FlowDeleted { flow, by: user_id(1) },
        EventKind::MembersAdded { flow, users: vec![], version: Version(7) },
        EventKind::MembersRemoved { flow, users: vec![] },
        EventKind::Typing { flow, user: user(2).summary(), active: true },
        EventKind::SessionsEnded { user: user_id(2), session: None },
    ] {
        let name = event(kind.clone()).name();
        let unsupported = render(kind, 0).expect_err("the wire has no frame for it");
        assert_eq!((unsupported.dialect, unsupported.what), ("action", name));
    }
}
