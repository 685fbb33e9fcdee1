//! What is told in a room: to whom, in which bytes, and to whom else.

use crate::{
    ADMINISTRATORS, MEMBERS, NOW, ask, caused, connected, flow_id, join, joined, json, message,
    message_id, notice, outcome, posted, reply, said, session_id, text, told, user, user_id,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tolmach_dialect::{Close, Delivery, Dialect, Interest, Line, Notice, Session, Variant};
use tolmach_dialect_action::Action;
use tolmach_domain::{Answer, EventKind, Fault, Message, Origin, Version};

/// The three changes that a room hears of: asked, and in which order of keys they are told.
const CHANGES: [(&str, &str); 3] = [
    (
        r#"{"action":"create_message","msg_text":"hello","request_id":"mine"}"#,
        r#"{"errors":[],"data":{"id":18,"text":"hello","user":{"id":1,"email":"ann@example.org","phone":null},"created_at":"2024-06-17T18:00:00.000Z","room":{"pk":1,"id":1,"participants":[{"id":1,"fullname":"Ann Archer","user":{"id":1,"email":"ann@example.org","phone":null}},{"id":2,"fullname":"Bob Baker","user":{"id":2,"email":"bob@example.org","phone":"+15550002"}}],"has_business":true}},"action":"create_message","response_status":201,"request_id":"mine"}"#,
    ),
    (
        r#"{"action":"edit_message","msg_id":18,"edited_msg_text":"edit","request_id":"mine"}"#,
        r#"{"errors":[],"data":{"room_id":1,"message_id":18,"message_text":"edit"},"action":"edit_message","response_status":200,"request_id":"mine"}"#,
    ),
    (
        r#"{"action":"delete_messages","msg_id_list":[18],"request_id":"mine"}"#,
        r#"{"errors":[],"data":{"room_id":1,"messages_ids":[18]},"action":"delete_messages","response_status":200,"request_id":"mine"}"#,
    ),
];

const PARTLY: &str = r#"{"action":"delete_messages","msg_id_list":[12,18,15],"request_id":"mine"}"#;

/// In which order an answer and its event reach whoever asked.
const ORDERS: [bool; 2] = [false, true];

#[test]
fn a_change_is_one_identical_frame_to_everybody_and_the_only_answer_to_its_author() {
    for (request, expected) in CHANGES {
        for answer_first in ORDERS {
            let dialect = Action::default();
            let (mut ann, mut bob) =
                (joined(&dialect, MEMBERS, 1), joined(&dialect, ADMINISTRATORS, 2));
            let ask = ask(&mut *ann, request);
            let (answer, event) = outcome(1, &ask.command);
            let (answer, notice) = (reply(&ask.echo, Ok(answer)), caused(1, &ask, event));
            if answer_first {
                assert_eq!(said(&mut *ann, &answer), []);
            }
            for session in [&mut ann, &mut bob] {
                let (frame, shared) =
                    told(&dialect, &mut **session, &notice).expect("everybody in the room is told");
                assert_eq!((text(&frame), shared), (expected, true));
            }
            if !answer_first {
                assert_eq!(said(&mut *ann, &answer), []);
            }
        }
    }
}

#[test]
fn only_whoever_deletes_hears_what_is_left() {
    for answer_first in ORDERS {
        let dialect = Action::default();
        let (mut ann, mut bob) = (joined(&dialect, MEMBERS, 1), joined(&dialect, MEMBERS, 2));
        let ask = ask(&mut *ann, PARTLY);
        let (answer, event) = outcome(1, &ask.command);
        let (answer, notice) = (reply(&ask.echo, Ok(answer)), caused(1, &ask, event));
        if answer_first {
            assert_eq!(said(&mut *ann, &answer), []);
        }
        let (theirs, shared) =
            told(&dialect, &mut *bob, &notice).expect("everybody in the room is told");
        assert_eq!((text(&theirs), shared), (CHANGES[2].1, true));
        let (own, shared) = told(&dialect, &mut *ann, &notice).expect("whoever asked is told");
        assert!(!shared);
        let error = "Not all of the requested messages were deleted! Left: 12, 15";
        assert_eq!(text(&own), CHANGES[2].1.replacen("[]", &format!("[\"{error}\"]"), 1));
        if !answer_first {
            assert_eq!(said(&mut *ann, &answer), []);
        }
    }
}

#[test]
fn the_same_request_id_may_be_used_again_and_by_others() {
    let dialect = Action::default();
    let mut ann = joined(&dialect, MEMBERS, 1);
    let first = ask(&mut *ann, PARTLY);
    let second = ask(&mut *ann, PARTLY);
    let (_, event) = outcome(1, &first.command);
    let left = |session: &mut dyn Session, notice: &Notice| {
        let (frame, _) = told(&dialect, session, notice).expect("everybody in the room is told");
        json(&frame)["errors"].as_array().is_some_and(|errors| !errors.is_empty())
    };
    assert!(!left(&mut *ann, &caused(2, &first, event.clone())), "another connection's");
    let foreign = Origin {
        connection: tolmach_domain::ConnectionId(1),
        dialect: "mode",
        tag: first.tag.clone(),
    };
    assert!(
        !left(&mut *ann, &Notice { origin: Some(foreign), ..notice(event.clone()) }),
        "another dialect's"
    );
    assert!(left(&mut *ann, &caused(1, &first, event.clone())));
    assert!(left(&mut *ann, &caused(1, &second, event.clone())));
    assert!(!left(&mut *ann, &caused(1, &second, event)), "everything was heard");
}

#[test]
fn what_was_refused_or_lost_is_not_mixed_up_with_what_follows() {
    let dialect = Action::default();
    let mut ann = joined(&dialect, MEMBERS, 1);
    // The first is refused, the event of the second is lost on its way.
    let refused = ask(&mut *ann, PARTLY);
    assert_eq!(said(&mut *ann, &reply(&refused.echo, Err(Fault::NoSuchMessage))).len(), 1);
    ask(&mut *ann, &PARTLY.replace("mine", "lost"));
    let third = ask(&mut *ann, CHANGES[2].0);
    let (_, event) = outcome(1, &third.command);
    let (frame, shared) =
        told(&dialect, &mut *ann, &caused(1, &third, event)).expect("whoever asked is told");
    assert_eq!((text(&frame), shared), (CHANGES[2].1, true));
}

#[test]
fn what_others_say_elsewhere_has_no_request_id() {
    let dialect = Action::default();
    let mut ann = joined(&dialect, MEMBERS, 1);
    let tag = Some(bytes::Bytes::from_static(b"7"));
    for (origin, id) in [
        (None, Value::Null),
        (
            Some(Origin {
                connection: tolmach_domain::ConnectionId(9),
                dialect: "mode",
                tag: tag.clone(),
            }),
            Value::Null,
        ),
        (
            Some(Origin {
                connection: tolmach_domain::ConnectionId(9),
                dialect: "action",
                tag: None,
            }),
            Value::Null,
        ),
        (
            Some(Origin { connection: tolmach_domain::ConnectionId(9), dialect: "action", tag }),
            json!(7),
        ),
    ] {
        let notice = Notice { origin, ..notice(posted(18, 2, "hi")) };
        let (frame, shared) =
            told(&dialect, &mut *ann, &notice).expect("everybody in the room is told");
        assert_eq!((&json(&frame)["request_id"], shared), (&id, true));
    }
}

#[test]
fn only_the_joined_room_is_heard() {
    let dialect = Action::default();
    let mut ann = connected(&dialect, MEMBERS, 1);
    let (here, there) = (
        notice(posted(18, 2, "hi")),
        notice(EventKind::Posted(Message { flow: flow_id(5), ..message(18, 2, "hi") })),
    );
    let hears = |session: &mut dyn Session| {
        [&here, &there].map(|notice| told(&dialect, session, notice).is_some())
    };
    assert_eq!(hears(&mut *ann), [false, false]);
    join(&mut *ann, 1, &[1, 2]);
    assert_eq!(hears(&mut *ann), [true, false]);
    join(&mut *ann, 5, &[1, 2]);
    assert_eq!(hears(&mut *ann), [false, true]);
    let leave = ask(&mut *ann, r#"{"action":"leave_room"}"#);
    said(&mut *ann, &reply(&leave.echo, Ok(Answer::User(Box::new(user(1))))));
    assert_eq!(hears(&mut *ann), [false, false]);
}

#[test]
fn whoever_leaves_early_is_told_before() {
    for (request, expected) in CHANGES {
        for goes in [
            r#"{"action":"leave_room","request_id":8}"#,
            r#"{"action":"join_room","room_pk":5,"request_id":8}"#,
            r#"{"action":"join_room","room_pk":1,"request_id":8}"#,
        ] {
            let dialect = Action::default();
            let mut ann = joined(&dialect, MEMBERS, 1);
            let change = ask(&mut *ann, request);
            let (answer, _) = outcome(1, &change.command);
            said(&mut *ann, &reply(&change.echo, Ok(answer)));
            // One more was refused, and is not told.
            let refused = ask(&mut *ann, request);
            assert_eq!(said(&mut *ann, &reply(&refused.echo, Err(Fault::NoSuchMessage))).len(), 1);
            let go = ask(&mut *ann, goes);
            let answer = match goes.contains("leave") {
                true => Answer::User(Box::new(user(1))),
                false => Answer::Flow(Box::new(crate::overview(5, &[1, 3]))),
            };
            let frames = said(&mut *ann, &reply(&go.echo, Ok(answer)));
            assert_eq!(frames.len(), 2, "{frames:?}");
            assert_eq!((text(&frames[0]), &json(&frames[1])["request_id"]), (expected, &json!(8)));
        }
    }
    let dialect = Action::default();
    let mut ann = joined(&dialect, MEMBERS, 1);
    let partly = ask(&mut *ann, PARTLY);
    let (answer, event) = outcome(1, &partly.command);
    said(&mut *ann, &reply(&partly.echo, Ok(answer.clone())));
    let frames = join(&mut *ann, 5, &[1, 3]);
    assert_eq!(
        json(&frames[0])["errors"][0],
        "Not all of the requested messages were deleted! Left: 12, 15"
    );

    let mut ann = joined(&dialect, MEMBERS, 1);
    let partly = ask(&mut *ann, PARTLY);
    said(&mut *ann, &reply(&partly.echo, Ok(answer)));
    told(&dialect, &mut *ann, &caused(1, &partly, event)).expect("whoever asked is told");
    assert_eq!(join(&mut *ann, 5, &[1, 3]).len(), 1, "what was heard is not told again");
}

#[test]
fn what_was_over_before_a_room_was_joined_is_not_told() {
    let dialect = Action::default();
    let mut ann = joined(&dialect, MEMBERS, 1);
    let change = ask(&mut *ann, CHANGES[0].0);
    let (answer, event) = outcome(1, &change.command);
    said(&mut *ann, &reply(&change.echo, Ok(answer)));
    let mut room = crate::overview(1, &[1, 2]);
    room.flow.version = Version(18);
    let again = ask(&mut *ann, r#"{"action":"join_room","room_pk":1,"request_id":8}"#);
    assert_eq!(said(&mut *ann, &reply(&again.echo, Ok(Answer::Flow(Box::new(room))))).len(), 2);
    assert_eq!(
        told(&dialect, &mut *ann, &caused(1, &change, event)),
        None,
        "it was told with the answer to joining"
    );
    // A version of 0 is none: another wire told it.
    for (version, hears) in [(17, false), (18, false), (19, true), (0, true)] {
        let notice = notice(EventKind::Posted(Message {
            version: Version(version),
            ..message(18, 2, "hi")
        }));
        assert_eq!(told(&dialect, &mut *ann, &notice).is_some(), hears, "version {version}");
    }
}

#[test]
fn a_change_whose_event_was_lost_is_answered_when_it_is_told_again() {
    for (request, expected) in &CHANGES[..2] {
        let dialect = Action::default();
        let (mut ann, mut bob) = (joined(&dialect, MEMBERS, 1), joined(&dialect, MEMBERS, 2));
        let change = ask(&mut *ann, request);
        let (answer, event) = outcome(1, &change.command);
        said(&mut *ann, &reply(&change.echo, Ok(answer)));
        let again = notice(event);
        let (own, shared) =
            told(&dialect, &mut *ann, &again).expect("everybody in the room is told");
        assert_eq!((text(&own), shared), (*expected, false));
        let (theirs, shared) =
            told(&dialect, &mut *bob, &again).expect("everybody in the room is told");
        assert_eq!((text(&theirs), shared), (&*expected.replace(r#""mine""#, "null"), true));
    }
}

#[test]
fn whoever_is_put_out_of_the_room_is_in_none() {
    let removed = |users: &[i64]| EventKind::MembersRemoved {
        flow: flow_id(1),
        users: users.iter().copied().map(user_id).collect(),
    };
    for (kind, out) in [
        (removed(&[1]), true),
        (removed(&[2, 1]), true),
        (removed(&[2]), false),
        (EventKind::FlowDeleted { flow: flow_id(1), by: user_id(2) }, true),
        (EventKind::FlowDeleted { flow: flow_id(5), by: user_id(2) }, false),
        (EventKind::MembersRemoved { flow: flow_id(5), users: vec![user_id(1)] }, false),
        (
            EventKind::MembersAdded {
                flow: flow_id(1),
                users: vec![user(3).summary()],
                version: Version(7),
            },
            false,
        ),
        (EventKind::Typing { flow: flow_id(1), user: user(2).summary(), active: true }, false),
        (EventKind::FlowCreated { flow: crate::overview(1, &[]).flow, members: vec![] }, false),
    ] {
        for path in [MEMBERS, ADMINISTRATORS] {
            let mut ann = joined(&Action::default(), path, 1);
            assert_eq!(ann.delivery(&notice(kind.clone())), Delivery::Skip, "{kind:?}");
            assert_eq!(ann.interest() == Interest::Nothing, out, "{kind:?}");
        }
    }
}

#[test]
fn a_session_that_ends_ends_the_connection() {
    for (user, session, ends) in [
        (user_id(1), None, true),
        (user_id(1), Some(session_id(100)), true),
        (user_id(1), Some(session_id(101)), false),
        (user_id(2), None, false),
        (user_id(2), Some(session_id(100)), false),
    ] {
        for path in [MEMBERS, ADMINISTRATORS] {
            let mut ann = connected(&Action::default(), path, 1);
            let delivery = ann.delivery(&notice(EventKind::SessionsEnded { user, session }));
            let expected = if ends {
                Delivery::Close(Close::new(1008, "the session has ended"))
            } else {
                Delivery::Skip
            };
            assert_eq!(delivery, expected, "{user} {session:?}");
        }
    }
}

#[test]
fn a_message_is_told_with_whoever_is_in_the_room_by_then() {
    let dialect = Action::default();
    let (mut ann, mut bob) = (connected(&dialect, MEMBERS, 1), connected(&dialect, MEMBERS, 2));
    join(&mut *ann, 1, &[1, 2, 3]);
    join(&mut *bob, 1, &[1, 2, 3]);
    let mut number = 18;
    let mut check =
        |sessions: [&mut Box<dyn Session>; 2], expected: &[(i64, bool)], business: bool| {
            number += 1;
            let notice = notice(posted(number, 3, "hi"));
            let frames = sessions.map(|session| {
                told(&dialect, &mut **session, &notice).expect("everybody in the room is told").0
            });
            assert_eq!(frames[0], frames[1], "all hear the same");
            let room = &json(&frames[0])["data"]["room"];
            let found: Vec<(i64, bool)> = room["participants"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|participant| {
                    (
                        participant["id"].as_i64().unwrap_or_default(),
                        participant["user"]["email"].is_string(),
                    )
                })
                .collect();
            assert_eq!((&found[..], &room["has_business"]), (expected, &json!(business)));
        };
    check([&mut ann, &mut bob], &[(1, true), (2, true), (3, true)], true);
    for kind in [
        EventKind::MembersAdded {
            flow: flow_id(1),
            users: vec![user(5).summary(), user(4).summary()],
            version: Version(7),
        },
        EventKind::MembersRemoved { flow: flow_id(1), users: vec![user_id(3)] },
    ] {
        for session in [&mut ann, &mut bob] {
            session.delivery(&notice(kind.clone()));
        }
    }
    check([&mut ann, &mut bob], &[(1, true), (2, true), (4, false), (5, false)], true);

    let info = ask(&mut *ann, r#"{"action":"current_room_info"}"#);
    said(&mut *ann, &reply(&info.echo, Ok(Answer::Flow(Box::new(crate::overview(1, &[1, 4, 5]))))));
    check([&mut ann, &mut bob], &[(1, true), (4, true), (5, true)], false);
}

#[test]
fn a_message_names_at_most_sixty_four_participants_and_always_its_author() {
    let dialect = Action::default();
    let everybody: Vec<i64> = (1..=200).collect();
    let mut ann = connected(&dialect, MEMBERS, 1);
    assert_eq!(
        json(&join(&mut *ann, 1, &everybody)[0])["data"]["participants"].as_array().map(Vec::len),
        Some(200)
    );
    for (author, last) in [(1, 64), (64, 64), (65, 65), (200, 200), (201, 64)] {
        let (frame, _) = told(&dialect, &mut *ann, &notice(posted(18, author, "hi")))
            .expect("everybody in the room is told");
        let data = &json(&frame)["data"];
        let named = data["room"]["participants"].as_array().expect("participants are a list");
        assert_eq!((named.len(), &named[63]["id"]), (64, &json!(last)), "author {author}");
        assert_eq!(data["user"]["email"].is_string(), author <= 200, "author {author}");
        assert_eq!(data["room"]["has_business"], true);
    }
}

#[test]
fn what_no_session_is_there_to_hear_cannot_be_rendered() {
    let dialect = Action::default();
    let hi = notice(posted(18, 2, "hi"));
    assert_eq!(dialect.render(&hi, Variant(0)).expect_err("nobody has joined").what, "posted");
    let ann = joined(&dialect, MEMBERS, 1);
    dialect.render(&hi, Variant(0)).expect("somebody has joined");
    dialect.render(&hi, Variant(1)).expect_err("there is no such variant");
    drop(ann);
    dialect.render(&hi, Variant(0)).expect_err("nobody is left");

    let mut ann = joined(&dialect, MEMBERS, 1);
    for kind in [
        EventKind::FlowCreated { flow: crate::overview(1, &[]).flow, members: vec![] },
        EventKind::FlowDeleted { flow: flow_id(1), by: user_id(1) },
        EventKind::MembersAdded { flow: flow_id(1), users: vec![], version: Version(7) },
        EventKind::MembersRemoved { flow: flow_id(1), users: vec![] },
        EventKind::Typing { flow: flow_id(1), user: user(2).summary(), active: true },
        EventKind::SessionsEnded { user: user_id(2), session: None },
    ] {
        let notice = notice(kind);
        let loss = dialect.render(&notice, Variant(0)).expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what), ("action", notice.name()));
        let line = Line::Notice(Arc::new(notice));
        assert_eq!(
            ann.encode(*NOW, &line, &mut Vec::new()).expect_err("the wire cannot say it"),
            loss
        );
    }
    let deletion = EventKind::Deleted {
        flow: flow_id(9),
        by: user_id(1),
        messages: vec![(message_id(18), Version(20))],
    };
    dialect.render(&notice(deletion), Variant(0)).expect("a deletion needs no room to be known");
}
