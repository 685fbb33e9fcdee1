//! Subscriptions and pushes.

use crate::{
    CONNECTION, NOW, client, decode, identity, message, respond, server, server_of, text, user_id,
};
use tolmach_dialect::{
    Configure, Delivery, Dialect, Event, Frame, Incoming, RenderContext, ServerSession,
    Subscription, Unsupported, Variant,
};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{Answer, ConnectionId, EventKind, FlowKind, Origin, Version};

const GET_CHATS: &str = r#"{"mode":"getChats","timestamp":1,"token":"one"}"#;

fn posted() -> Event {
    Event::new(*NOW, EventKind::Posted(message(10, "hi")))
}

/// Events of every other kind.
fn others() -> [Event; 8] {
    let flow = crate::flow_summary(5, FlowKind::Group, "Friends", &[]).flow;
    let user = crate::user(2).summary();
    [
        EventKind::Edited(message(10, "hi")),
        EventKind::Deleted {
            flow: flow.id,
            by: user.id,
            messages: vec![(message(10, "").id, Version(2))],
        },
        EventKind::FlowCreated { flow: flow.clone(), members: vec![user.clone()] },
        EventKind::FlowDeleted { flow: flow.id, by: user.id },
        EventKind::MembersAdded { flow: flow.id, users: vec![user.clone()], version: flow.version },
        EventKind::MembersRemoved { flow: flow.id, users: vec![user.id] },
        EventKind::Typing { flow: flow.id, user, active: true },
        EventKind::SessionsEnded { user: user_id(2), session: None },
    ]
    .map(|kind| Event::new(*NOW, kind))
}

fn render(event: &Event, variant: Variant) -> Result<Frame, Unsupported> {
    Mode::default().render(event, &RenderContext::EMPTY, variant)
}

fn deliver(server: &mut dyn ServerSession, event: &Event) -> Delivery {
    server.deliver(event, &RenderContext::EMPTY)
}

#[test]
fn a_connection_subscribes_while_it_is_authenticated() {
    let mut server = server();
    assert_eq!(server.subscription(), Subscription::None);
    let correlation = decode(&mut *server, GET_CHATS).correlation;
    assert_eq!(server.subscription(), Subscription::None);
    server.authenticated(Some(identity(1)));
    assert_eq!(server.subscription(), Subscription::AllFlows, "before the command is carried out");
    server.authenticated(Some(identity(2)));
    assert_eq!(server.subscription(), Subscription::AllFlows);
    server.authenticated(None);
    respond(&mut *server, &correlation, Some(identity(1)), Ok(Answer::Flows(Vec::new())));
    assert_eq!(server.subscription(), Subscription::None, "also after an earlier response");
    server.authenticated(Some(identity(1)));
    assert_eq!(server.subscription(), Subscription::AllFlows);
}

#[test]
fn a_message_is_pushed_in_the_form_of_the_latest_request() {
    let mut server = server();
    decode(&mut *server, GET_CHATS);
    server.authenticated(Some(identity(1)));
    assert_eq!(deliver(&mut *server, &posted()), Delivery::Shared(Variant(1)));
    let text = r#"{"mode":"getChats","timestamp":"2020-01-01 00:00:00","token":"one"}"#;
    decode(&mut *server, text);
    assert_eq!(deliver(&mut *server, &posted()), Delivery::Shared(Variant(0)));
    for other in others() {
        assert_eq!(deliver(&mut *server, &other), Delivery::Skip, "{}", other.name());
    }
}

#[test]
fn a_message_is_not_pushed_to_the_connection_that_posted_it() {
    let mut server = server();
    decode(&mut *server, GET_CHATS);
    server.authenticated(Some(identity(1)));
    for (connection, delivery) in
        [(CONNECTION, Delivery::Skip), (ConnectionId(8), Delivery::Shared(Variant(1)))]
    {
        let origin = Some(Origin { connection, dialect: "mode", client_tag: None });
        assert_eq!(deliver(&mut *server, &Event { origin, ..posted() }), delivery);
    }
}

#[test]
fn an_operator_can_switch_pushes_off() {
    let options = serde_json::from_str(r#"{"push":false}"#).expect("a JSON object");
    let mut server = server_of(&Mode::configure(options).expect("it is an option"));
    server.authenticated(Some(identity(1)));
    assert_eq!(server.subscription(), Subscription::None);
}

#[test]
fn a_push_is_rendered_and_read_back() {
    for (variant, time) in
        [(Variant(0), r#""2020-07-11 18:32:50""#), (Variant(1), "1594492370.522599")]
    {
        let frame = render(&posted(), variant).expect("a posted message is pushed");
        let expected = concat!(
            r#"{"mode":"getMessages","timestamp":TIME,"status":200,"chat_id":5,"messages":["#,
            r#"{"message_id":10,"from_id":2,"from_name":"user2","content":"hi","#,
            r#""content_type":"text","content_time":TIME}]}"#
        );
        assert_eq!(text(&frame), expected.replace("TIME", time));

        let mut incoming = Vec::new();
        client().decode(*NOW, &frame, &mut incoming).expect("a push needs no request");
        let [Incoming::Event(event)] = &incoming[..] else { panic!("{incoming:?}") };
        assert_eq!(render(event, variant), Ok(frame));
        if variant == Variant(1) {
            assert_eq!(**event, posted());
        }
    }
}

#[test]
fn only_posted_messages_can_be_pushed() {
    for other in others() {
        let expected = Unsupported { dialect: "mode", what: other.name() };
        assert_eq!(render(&other, Variant(0)), Err(expected));
    }
    render(&posted(), Variant(2)).expect_err("there is no such variant");
}
