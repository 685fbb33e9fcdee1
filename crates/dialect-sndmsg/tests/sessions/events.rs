//! Subscriptions and pushes.

use crate::options::configured;
use crate::{CONNECTION, NOW, log_in, logged_in_server, server, server_of, texts};
use tolmach_dialect::{
    Delivery, Dialect, Event, Frame, RenderContext, ServerSession, Subscription, Unsupported,
    Variant,
};
use tolmach_dialect_kit::fixtures::{self, ANN, BOB, CHAT, GROUP, flow_id, message_id, user};
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::{ConnectionId, EventKind, Origin, Version};

fn event(kind: EventKind) -> Event {
    Event::new(*NOW, kind)
}

fn deleted(ids: &[i64]) -> EventKind {
    let messages = ids.iter().map(|id| (message_id(*id), Version(5))).collect();
    EventKind::Deleted { flow: flow_id(CHAT), by: ANN.user(), messages }
}

fn created(number: i64) -> EventKind {
    let members = vec![user(1).summary(), user(2).summary()];
    EventKind::FlowCreated { flow: fixtures::flow(number), members }
}

/// The ways in which an event reaches a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Skip,
    Shared,
    Private,
}

/// Events, and the way in which each reaches a connection that did not cause it.
fn events() -> Vec<(EventKind, Way)> {
    let flow = flow_id(CHAT);
    let users = vec![user(4).summary()];
    vec![
        (EventKind::Posted(fixtures::message(CHAT, 2)), Way::Shared),
        (EventKind::Edited(fixtures::edited(message_id(11), "x")), Way::Shared),
        (deleted(&[11]), Way::Shared),
        (deleted(&[11, 13]), Way::Private),
        (EventKind::FlowDeleted { flow, by: ANN.user() }, Way::Shared),
        (created(CHAT), Way::Private),
        (created(GROUP), Way::Skip),
        (EventKind::MembersAdded { flow, users, version: Version(7) }, Way::Skip),
        (EventKind::MembersRemoved { flow, users: vec![user(4).id] }, Way::Skip),
        (EventKind::Typing { flow, user: user(2).summary(), active: true }, Way::Skip),
        (EventKind::SessionsEnded { user: BOB.user(), session: None }, Way::Skip),
    ]
}

fn way(server: &mut dyn ServerSession, event: &Event) -> Way {
    match server.deliver(event, &RenderContext::EMPTY) {
        Delivery::Skip => Way::Skip,
        Delivery::Shared(Variant(0)) => Way::Shared,
        Delivery::Private(_) => Way::Private,
        other => panic!("{other:?} of {event:?}"),
    }
}

/// The frames of an event that a connection has for itself.
fn private(server: &mut dyn ServerSession, kind: EventKind) -> Vec<String> {
    match server.deliver(&event(kind), &RenderContext::EMPTY) {
        Delivery::Private(frames) => texts(&frames),
        other => panic!("{other:?} instead of private frames"),
    }
}

fn render(event: &Event, variant: Variant) -> Result<Frame, Unsupported> {
    SndMsg::default().render(event, &RenderContext::EMPTY, variant)
}

#[test]
fn an_event_reaches_every_connection_but_the_one_that_caused_it() {
    for (kind, expected) in events() {
        let event = event(kind);
        let caused_by = |connection| Event {
            origin: Some(Origin { connection, dialect: "sndmsg", client_tag: None }),
            ..event.clone()
        };
        for (event, expected) in [
            (event.clone(), expected),
            (caused_by(ConnectionId(8)), expected),
            (caused_by(CONNECTION), Way::Skip),
        ] {
            assert_eq!(way(&mut *logged_in_server(&ANN), &event), expected, "{event:?}");
        }
    }
}

#[test]
fn an_operator_can_switch_new_messages_off_and_nothing_else() {
    for (kind, expected) in events() {
        let mut server = server_of(&configured(r#"{"push":false}"#));
        log_in(&mut *server, &ANN);
        let expected = if matches!(kind, EventKind::Posted(_)) { Way::Skip } else { expected };
        assert_eq!(way(&mut *server, &event(kind)), expected);
    }
}

#[test]
fn only_shared_events_are_rendered() {
    for (kind, way) in events() {
        let event = event(kind);
        match render(&event, Variant(0)) {
            Ok(_) => assert_eq!(way, Way::Shared, "{event:?}"),
            Err(error) => {
                assert_ne!(way, Way::Shared, "{event:?}");
                assert_eq!((error.dialect, error.what), ("sndmsg", event.name()));
            }
        }
    }
    render(&event(deleted(&[11])), Variant(1)).expect_err("there is no such variant");
}

#[test]
fn a_new_room_is_named_after_the_other_one_of_the_two() {
    for (persona, customer) in [(&ANN, "bob"), (&BOB, "ann")] {
        let expected = format!(r#"{{"type":"CREATE_ROOM","id":1,"customer":"{customer}"}}"#);
        assert_eq!(private(&mut *logged_in_server(persona), created(CHAT)), [expected]);
    }
}

#[test]
fn messages_deleted_together_are_pushed_in_a_frame_each() {
    let frames = private(&mut *logged_in_server(&BOB), deleted(&[11, 13]));
    assert_eq!(frames, [r#"{"type":"DELETE_MSG","id":11}"#, r#"{"type":"DELETE_MSG","id":13}"#]);
}

#[test]
fn a_connection_subscribes_from_its_login_to_the_end_of_its_session() {
    let mut server = server();
    assert_eq!(server.subscription(), Subscription::None);
    log_in(&mut *server, &ANN);
    assert_eq!(server.subscription(), Subscription::AllFlows);
    server.authenticated(None);
    assert_eq!(server.subscription(), Subscription::None);
    let ended = event(EventKind::SessionsEnded { user: ANN.user(), session: None });
    assert_eq!(way(&mut *server, &ended), Way::Skip);
    log_in(&mut *server, &BOB);
    assert_eq!(server.subscription(), Subscription::AllFlows);
}
