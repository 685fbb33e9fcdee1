//! Pushes: subscription, delivery, rendering and reading.

use crate::{
    CONNECTION, NOW, client, decode, encode, flow_id, handshake, identity, json, message,
    message_id, morelia, server, signed, user_id, violation,
};
use serde_json::json;
use tolmach_dialect::{
    Configure, Delivery, Dialect, Event, Frame, Incoming, RenderContext, ServerSession,
    Subscription, Unsupported, Variant,
};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{ConnectionId, EventKind, Message, Origin, Version};

fn event(kind: EventKind) -> Event {
    Event::new(*NOW, kind)
}

fn pushed() -> Vec<Event> {
    let deleted = |messages: &[i64]| {
        let messages = messages.iter().map(|number| (message_id(*number), Version(0))).collect();
        event(EventKind::Deleted { flow: flow_id(5), by: user_id(2), messages })
    };
    vec![
        event(EventKind::Posted(message(10, "hi"))),
        event(EventKind::Edited(Message { edited_at: Some(*NOW), ..message(10, "better") })),
        deleted(&[10]),
        deleted(&[10, 11]),
    ]
}

fn not_pushed() -> Vec<Event> {
    vec![
        event(EventKind::FlowDeleted { flow: flow_id(5), by: user_id(2) }),
        event(EventKind::MembersRemoved { flow: flow_id(5), users: vec![user_id(2)] }),
        event(EventKind::SessionsEnded { user: user_id(2), session: None }),
    ]
}

fn deliver(server: &mut dyn ServerSession, event: &Event) -> Delivery {
    server.deliver(event, &RenderContext::EMPTY)
}

fn render(event: &Event, variant: Variant) -> Result<Frame, Unsupported> {
    Morelia::default().render(event, &RenderContext::EMPTY, variant)
}

#[test]
fn nothing_is_pushed_by_default() {
    for dialect in [Morelia::default(), morelia(false)] {
        let mut server = dialect.accept(&handshake()).expect("every handshake is accepted");
        server.authenticated(Some(identity(1)));
        assert_eq!(server.subscription(), Subscription::None);
    }
    let unknown = [("pushes".to_owned(), true.into())].into_iter().collect();
    let error = Morelia::configure(unknown).expect_err("there is no such option").to_string();
    assert!(error.contains("`pushes`") && error.contains("`push`"), "{error}");
}

#[test]
fn an_authenticated_connection_subscribes_to_all_flows() {
    let mut server = server();
    assert_eq!(server.subscription(), Subscription::None);
    for (identity, subscription) in [
        (Some(identity(1)), Subscription::AllFlows),
        (Some(identity(2)), Subscription::AllFlows),
        (None, Subscription::None),
    ] {
        server.authenticated(identity);
        assert_eq!(server.subscription(), subscription);
    }
}

#[test]
fn messages_are_pushed_in_the_form_of_the_latest_request_but_not_to_their_cause() {
    let mut server = server();
    server.authenticated(Some(identity(1)));
    for (frame, variant) in
        [(Frame::text("{}"), Variant(0)), (Frame::Binary("{}".into()), Variant(1))]
    {
        violation(&mut *server, &frame);
        for event in pushed() {
            assert_eq!(deliver(&mut *server, &event), Delivery::Shared(variant));
            for (connection, delivery) in
                [(CONNECTION, Delivery::Skip), (ConnectionId(8), Delivery::Shared(variant))]
            {
                let origin = Some(Origin { connection, dialect: "morelia", client_tag: None });
                assert_eq!(deliver(&mut *server, &Event { origin, ..event.clone() }), delivery);
            }
        }
        for event in not_pushed() {
            assert_eq!(deliver(&mut *server, &event), Delivery::Skip);
        }
    }
}

#[test]
fn a_push_is_read_as_its_event_in_either_form() {
    for expected in pushed() {
        let text = render(&expected, Variant(0)).expect("it is pushed");
        assert_eq!(json(&text)["meta"], json!("push"));
        let binary = render(&expected, Variant(1)).expect("it is pushed");
        assert_eq!((binary.kind(), binary.payload()), ("binary", text.payload()));
        for frame in [text, binary] {
            let mut incoming = Vec::new();
            client().decode(*NOW, &frame, &mut incoming).expect("a push needs no request");
            let [Incoming::Event(event)] = &incoming[..] else { panic!("{incoming:?}") };
            assert_eq!(**event, expected);
        }
    }
}

#[test]
fn a_push_is_not_taken_for_the_pending_reply() {
    let mut client = client();
    let request = decode(&mut *server(), &signed("get_update", json!({"time": 0})));
    encode(&mut *client, &request);
    let push = render(&pushed()[0], Variant(0)).expect("it is pushed");
    let reply = json!({"type": "get_update", "data": {"time": 1.5}, "errors": {"id": 1, "time": 1.5,
        "status": "OK", "code": 200, "detail": "successfully"}});
    let mut incoming = Vec::new();
    for frame in [push, Frame::text(reply.to_string())] {
        client.decode(*NOW, &frame, &mut incoming).expect("both are read");
    }
    let expected = matches!(&incoming[..], [Incoming::Event(_), Incoming::Response(_)]);
    assert!(expected, "{incoming:?}");
}

#[test]
fn other_events_and_variants_cannot_be_rendered() {
    for other in not_pushed() {
        let unsupported = render(&other, Variant(0)).expect_err("the wire has no frame for it");
        assert_eq!((unsupported.dialect, unsupported.what), ("morelia", other.name()));
    }
    render(&pushed()[0], Variant(2)).expect_err("there is no such variant");
}
