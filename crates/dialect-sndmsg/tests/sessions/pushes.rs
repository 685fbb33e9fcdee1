//! Pushes: whose they are, who is skipped, how they are said.

use crate::{NOW, opening, say, server, server_of, session, text};
use std::sync::Arc;
use tolmach_dialect::{Delivery, Dialect, Interest, Line, Notice, Settings, Side, Variant};
use tolmach_dialect_kit::world::{self, ANN, BOB, CHAT, GROUP, flow_id, message_id, user};
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::{ConnectionId, EventKind, Origin, SessionId, Version};

const SHARED: Delivery = Delivery::Shared(Variant(0));

fn notice(kind: EventKind) -> Notice {
    Event::new(*NOW, kind)
}

fn deleted(ids: &[i64]) -> EventKind {
    let messages = ids.iter().map(|id| (message_id(*id), Version(5))).collect();
    EventKind::Deleted { flow: flow_id(CHAT), by: ANN.user(), messages }
}

fn created(number: i64) -> EventKind {
    EventKind::FlowCreated {
        flow: world::flow(number),
        members: vec![user(1).summary(), user(2).summary()],
    }
}

/// What happens, and how it reaches a connection that did not cause it.
fn happenings() -> Vec<(EventKind, Delivery)> {
    let flow = flow_id(CHAT);
    vec![
        (EventKind::Posted(world::message(CHAT, 2)), SHARED),
        (EventKind::Edited(world::edited(message_id(11), "x")), SHARED),
        (deleted(&[11]), SHARED),
        (deleted(&[11, 13]), Delivery::Private),
        (EventKind::FlowDeleted { flow, by: ANN.user() }, SHARED),
        (created(CHAT), Delivery::Private),
        (created(GROUP), Delivery::Skip),
        (
            EventKind::MembersAdded { flow, users: vec![user(4).summary()], version: Version(7) },
            Delivery::Skip,
        ),
        (EventKind::MembersRemoved { flow, users: vec![user(4).id] }, Delivery::Skip),
        (EventKind::Typing { flow, user: user(2).summary(), active: true }, Delivery::Skip),
        (EventKind::SessionsEnded { user: BOB.user(), session: None }, Delivery::Skip),
    ]
}

#[test]
fn what_happens_reaches_every_connection_but_the_one_that_caused_it() {
    for (kind, delivery) in happenings() {
        let notice = notice(kind);
        let caused_by = |connection| Notice {
            origin: Some(Origin { connection, dialect: "sndmsg", tag: None }),
            ..notice.clone()
        };
        assert_eq!(
            server().delivery(&notice),
            Delivery::Skip,
            "nobody has logged in, {}",
            notice.name()
        );
        assert_eq!(server_of(&ANN).delivery(&notice), delivery, "{}", notice.name());
        assert_eq!(
            server_of(&ANN).delivery(&caused_by(ConnectionId(8))),
            delivery,
            "{}",
            notice.name()
        );
        assert_eq!(
            server_of(&ANN).delivery(&caused_by(opening().connection)),
            Delivery::Skip,
            "{}",
            notice.name()
        );
    }
}

#[test]
fn an_operator_can_switch_new_messages_off_and_nothing_else() {
    for (kind, delivery) in happenings() {
        let mut server = session(Side::Server, Settings { push: false, ..Settings::default() });
        crate::log_in(&mut *server, &ANN);
        let expected = if matches!(kind, EventKind::Posted(_)) { Delivery::Skip } else { delivery };
        assert_eq!(server.delivery(&notice(kind)), expected);
    }
}

#[test]
fn what_is_shared_is_said_in_the_same_bytes_to_one_alone() {
    for (kind, delivery) in happenings() {
        let notice = Arc::new(notice(kind));
        match (SndMsg.render(&notice, Variant(0)), delivery) {
            (Ok(frame), SHARED) => {
                assert_eq!(say(&mut *server_of(&BOB), &Line::Notice(notice)), [text(&frame)])
            }
            (Err(loss), Delivery::Private | Delivery::Skip) => assert_eq!(loss.what, notice.name()),
            (rendered, delivery) => panic!("{rendered:?} for {delivery:?}"),
        }
    }
    SndMsg.render(&notice(deleted(&[11])), Variant(1)).expect_err("there is no such variant");
}

#[test]
fn a_new_room_is_called_by_the_other_one_of_the_two() {
    for (speaker, customer) in [(&ANN, "bob"), (&BOB, "ann")] {
        let said = say(&mut *server_of(speaker), &Line::Notice(Arc::new(notice(created(CHAT)))));
        assert_eq!(said, [format!(r#"{{"type":"CREATE_ROOM","id":1,"customer":"{customer}"}}"#)]);
    }
}

#[test]
fn messages_deleted_together_are_told_of_one_by_one() {
    let said = say(&mut *server_of(&BOB), &Line::Notice(Arc::new(notice(deleted(&[11, 13])))));
    assert_eq!(said, [r#"{"type":"DELETE_MSG","id":11}"#, r#"{"type":"DELETE_MSG","id":13}"#]);
}

#[test]
fn a_session_that_ended_is_forgotten() {
    let other = SessionId::new(999).expect("it is an id");
    for (user, session, forgotten) in [
        (ANN.user(), None, true),
        (ANN.user(), ANN.identity().session, true),
        (ANN.user(), Some(other), false),
        (BOB.user(), None, false),
    ] {
        let mut server = server_of(&ANN);
        assert_eq!(
            server.delivery(&notice(EventKind::SessionsEnded { user, session })),
            Delivery::Skip
        );
        assert_eq!(server.interest() == Interest::Nothing, forgotten, "{user:?} {session:?}");
    }
}
