//! What is said unasked, and to whom.

use crate::{
    NOW, ask, client, flow_id, identity, json, message, message_id, opening, refused, reply, say,
    server, signed, user_id,
};
use serde_json::json;
use std::sync::Arc;
use tolmach_dialect::{
    Delivery, Dialect, Frame, Interest, Line, Notice, Opening, Session, Settings, Side, Variant,
};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{Answer, ConnectionId, Event, EventKind, Message, Origin, UserId, Version};

fn notice(kind: EventKind) -> Notice {
    Event::new(*NOW, kind)
}

fn pushed() -> Vec<Notice> {
    vec![
        notice(EventKind::Posted(message(10, "hi"))),
        notice(EventKind::Edited(Message { edited_at: Some(*NOW), ..message(10, "better") })),
        notice(EventKind::Deleted {
            flow: flow_id(5),
            by: user_id(2),
            messages: vec![(message_id(10), Version(0))],
        }),
        notice(EventKind::Deleted {
            flow: flow_id(5),
            by: user_id(2),
            messages: vec![(message_id(10), Version(0)), (message_id(11), Version(0))],
        }),
    ]
}

fn unsaid() -> Vec<Notice> {
    vec![
        notice(EventKind::FlowDeleted { flow: flow_id(5), by: user_id(2) }),
        notice(EventKind::MembersRemoved { flow: flow_id(5), users: vec![user_id(2)] }),
        notice(EventKind::SessionsEnded { user: user_id(2), session: None }),
    ]
}

fn hears(server: &dyn Session, user: Option<UserId>) {
    assert_eq!(server.interest(), user.map_or(Interest::Nothing, Interest::EveryFlowOf));
}

#[test]
fn the_manifest_has_pushes_off() {
    assert!(!Morelia.manifest().push_by_default);
    let opening =
        Opening { settings: Settings { push: false, ..Settings::default() }, ..opening() };
    let mut server = Morelia.open(&opening, Side::Server).expect("this dialect refuses no opening");
    server.identified(identity(1));
    hears(&*server, None);
    assert!(pushed().iter().all(|notice| server.delivery(notice) == Delivery::Skip));
}

#[test]
fn whoever_proved_something_hears_until_the_session_ends() {
    let mut server = server();
    hears(&*server, None);
    server.identified(identity(1));
    hears(&*server, Some(user_id(1)));
    for (user, session, left) in
        [(2, None, true), (1, identity(2).session, true), (1, identity(1).session, false)]
    {
        assert_eq!(
            server.delivery(&notice(EventKind::SessionsEnded { user: user_id(user), session })),
            Delivery::Skip
        );
        hears(&*server, left.then(|| user_id(1)));
    }
    server.identified(identity(2));
    for (deleted, left) in [(1, Some(user_id(2))), (2, None)] {
        let request =
            json!({"type": "delete_user", "data": {"user": {"login": "ann", "password": "p"}}});
        let heard = ask(&mut *server, &Frame::text(request.to_string()));
        say(
            &mut *server,
            &reply(&heard.echo, Ok(Answer::AccountDeleted { user: user_id(deleted) })),
        );
        hears(&*server, left);
    }
}

#[test]
fn messages_are_pushed_in_the_form_of_the_latest_request_but_not_to_where_they_come_from() {
    let mut server = server();
    server.identified(identity(1));
    for (frame, variant) in
        [(Frame::text("{}"), Variant(0)), (Frame::Binary("{}".into()), Variant(1))]
    {
        refused(&mut *server, &frame);
        for notice in pushed() {
            assert_eq!(server.delivery(&notice), Delivery::Shared(variant));
            for (connection, delivery) in [
                (opening().connection, Delivery::Skip),
                (ConnectionId(8), Delivery::Shared(variant)),
            ] {
                let origin = Some(Origin { connection, dialect: "morelia", tag: None });
                assert_eq!(server.delivery(&Notice { origin, ..notice.clone() }), delivery);
            }
        }
        assert!(unsaid().iter().all(|notice| server.delivery(notice) == Delivery::Skip));
    }
}

#[test]
fn a_push_is_said_shared_or_alone_in_the_same_bytes_and_heard() {
    for expected in pushed() {
        let notice = Arc::new(expected.clone());
        let shared = Morelia.render(&notice, Variant(0)).expect("it is pushed");
        assert_eq!(json(&shared)["meta"], json!("push"));
        assert_eq!(say(&mut *server(), &Line::Notice(notice)), shared);
        let mut lines = Vec::new();
        client().decode(*NOW, &shared, &mut lines).expect("a push is heard unasked");
        let [Line::Notice(heard)] = &lines[..] else { panic!("{lines:?} was heard") };
        assert_eq!(**heard, expected);
        let binary = Morelia.render(heard, Variant(1)).expect("it is pushed");
        assert_eq!((binary.kind(), binary.payload()), ("binary", shared.payload()));
    }
}

#[test]
fn a_push_is_not_taken_for_the_reply_that_is_waited_for() {
    let mut client = client();
    let heard = ask(&mut *server(), &signed("get_update", json!({"time": 0})));
    say(&mut *client, &Line::Ask(heard));
    let push = Morelia.render(&pushed()[0], Variant(0)).expect("it is pushed");
    let answer = json!({"type": "get_update", "data": {"time": 1.5}, "errors": {"id": 1, "time": 1.5, "status": "OK", "code": 200, "detail": "successfully"}});
    let mut lines = Vec::new();
    for frame in [push, Frame::text(answer.to_string())] {
        client.decode(*NOW, &frame, &mut lines).expect("both are heard");
    }
    assert!(matches!(&lines[..], [Line::Notice(_), Line::Reply(_)]), "{lines:?}");
}

#[test]
fn what_is_not_about_messages_cannot_be_pushed() {
    for other in unsaid() {
        let loss = Morelia.render(&other, Variant(0)).expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what), ("morelia", other.name()));
    }
    Morelia.render(&pushed()[0], Variant(2)).expect_err("there is no such variant");
}
