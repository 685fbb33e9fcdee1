//! Pushes: whose they are, who is skipped, how they are said and heard.

use crate::{
    NOW, ask_text, client, identity, message, opening, reply, say, server, session_id, text,
    user_id,
};
use std::sync::Arc;
use tolmach_dialect::{
    Delivery, Dialect, Interest, Line, Notice, Opening, Session, Settings, Side, Variant,
};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, ConnectionId, Credentials, EventKind, Fault, FlowKind, Grant, Identity, Origin,
    SessionId, Tokens, UserId, Version,
};

fn notice(kind: EventKind) -> Notice {
    Event::new(*NOW, kind)
}

fn posted() -> Notice {
    notice(EventKind::Posted(message(10, "hi")))
}

/// Everything else that can happen.
fn others() -> Vec<Notice> {
    let flow = crate::flow(5, FlowKind::Group, "Friends");
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
        ended(user_id(2), None).kind,
    ]
    .map(notice)
    .into()
}

fn ended(user: UserId, session: Option<SessionId>) -> Notice {
    notice(EventKind::SessionsEnded { user, session })
}

/// Asks and answers on the server's end, as a gateway does.
fn exchange(
    server: &mut dyn Session,
    request: &str,
    identity: Option<Identity>,
    outcome: Result<Answer, Fault>,
) {
    let ask = ask_text(server, request);
    let proven = identity.filter(|_| ask.proof != Credentials::Nothing);
    if let Some(identity) = proven {
        server.identified(identity);
    }
    let identity = identity.filter(|_| outcome != Ok(Answer::LoggedOut));
    say(server, &reply(&ask.echo, identity, outcome));
}

fn chats(token: &str) -> String {
    format!(r#"{{"mode":"getChats","timestamp":1,"token":"{token}"}}"#)
}

fn logout(token: &str) -> String {
    format!(r#"{{"mode":"logout","timestamp":1,"token":"{token}"}}"#)
}

const AUTH: &str = r#"{"mode":"auth","timestamp":1,"username":"ann","password":"p"}"#;

fn granted(token: &str) -> Result<Answer, Fault> {
    Ok(Answer::Granted(Box::new(Grant {
        user: None,
        tokens: Tokens::Token(tolmach_domain::Secret::new(token)),
    })))
}

fn no_chats() -> Result<Answer, Fault> {
    Ok(Answer::Flows(Vec::new()))
}

#[test]
fn a_connection_hears_the_owner_of_the_token_that_was_last_used_with_success() {
    let mut server = server();
    let hears = |server: &dyn Session, number: Option<i64>| {
        let expected =
            number.map_or(Interest::Nothing, |number| Interest::EveryFlowOf(user_id(number)));
        assert_eq!(server.interest(), expected);
    };
    hears(&*server, None);
    exchange(&mut *server, AUTH, None, Err(Fault::WrongCredentials { login_exists: true }));
    exchange(&mut *server, &chats("bad"), None, Err(Fault::Unauthenticated));
    hears(&*server, None);
    exchange(&mut *server, AUTH, Some(identity(1)), granted("one"));
    hears(&*server, Some(1));
    exchange(&mut *server, &chats("two"), Some(identity(2)), no_chats());
    hears(&*server, Some(2));
    exchange(&mut *server, &chats("one"), Some(identity(1)), Err(Fault::NoSuchFlow));
    hears(&*server, Some(1));
    exchange(&mut *server, &chats("bad"), None, Err(Fault::Unauthenticated));
    hears(&*server, Some(1));
    exchange(&mut *server, &logout("one"), Some(identity(1)), Err(Fault::Unauthenticated));
    hears(&*server, Some(1));
    exchange(&mut *server, &logout("one"), Some(identity(1)), Ok(Answer::LoggedOut));
    hears(&*server, None);
    exchange(&mut *server, &chats("two"), Some(identity(2)), no_chats());
    hears(&*server, Some(2));
}

#[test]
fn a_connection_hears_before_its_command_is_carried_out() {
    let mut server = server();
    ask_text(&mut *server, &chats("one"));
    assert_eq!(server.delivery(&posted()), Delivery::Skip);
    server.identified(identity(1));
    assert_eq!(server.interest(), Interest::EveryFlowOf(user_id(1)));
    assert_eq!(server.delivery(&posted()), Delivery::Shared(Variant(1)));
}

#[test]
fn a_session_that_ended_is_forgotten() {
    for (user, session, forgotten) in [
        (user_id(1), None, true),
        (user_id(1), Some(session_id(100)), true),
        (user_id(1), Some(session_id(101)), false),
        (user_id(2), None, false),
        (user_id(2), Some(session_id(100)), false),
    ] {
        let mut server = server();
        exchange(&mut *server, &chats("one"), Some(identity(1)), no_chats());
        let ask = ask_text(&mut *server, &chats("one"));
        assert_eq!(server.delivery(&ended(user, session)), Delivery::Skip);
        // A reply that was on its way does not bring it back.
        say(&mut *server, &reply(&ask.echo, Some(identity(1)), no_chats()));
        assert_eq!(server.interest() == Interest::Nothing, forgotten, "{user:?} {session:?}");
        assert_eq!(server.delivery(&posted()) == Delivery::Skip, forgotten, "{user:?} {session:?}");
    }
}

#[test]
fn a_message_is_pushed_in_the_form_of_the_latest_request() {
    let mut server = server();
    assert_eq!(server.delivery(&posted()), Delivery::Skip, "nobody has proven anything");
    exchange(&mut *server, &chats("one"), Some(identity(1)), no_chats());
    assert_eq!(server.delivery(&posted()), Delivery::Shared(Variant(1)));
    ask_text(
        &mut *server,
        r#"{"mode":"getChats","timestamp":"2020-01-01 00:00:00","token":"one"}"#,
    );
    assert_eq!(server.delivery(&posted()), Delivery::Shared(Variant(0)));
    for other in others() {
        assert_eq!(server.delivery(&other), Delivery::Skip, "{}", other.name());
    }
}

#[test]
fn its_own_message_is_not_pushed_to_a_connection() {
    let mut server = server();
    exchange(&mut *server, &chats("one"), Some(identity(1)), no_chats());
    for (connection, delivery) in
        [(opening().connection, Delivery::Skip), (ConnectionId(8), Delivery::Shared(Variant(1)))]
    {
        let origin = Some(Origin { connection, dialect: "mode", tag: None });
        assert_eq!(server.delivery(&Notice { origin, ..posted() }), delivery);
    }
}

#[test]
fn an_operator_can_switch_pushes_off() {
    let opening =
        Opening { settings: Settings { push: false, ..Settings::default() }, ..opening() };
    let mut server = Mode.open(&opening, Side::Server).expect("this dialect refuses no opening");
    exchange(&mut *server, &chats("one"), Some(identity(1)), no_chats());
    assert_eq!(server.interest(), Interest::Nothing);
    assert_eq!(server.delivery(&posted()), Delivery::Skip);
}

#[test]
fn a_push_is_said_shared_or_alone_in_the_same_bytes_and_heard() {
    for (timestamp, variant, moment) in
        [(r#""x""#, Variant(0), r#""2020-07-11 18:32:50""#), ("1", Variant(1), "1594492370.522599")]
    {
        let notice = Arc::new(posted());
        let shared = Mode.render(&notice, variant).expect("a posted message is pushed");
        let expected = concat!(
            r#"{"mode":"getMessages","timestamp":MOMENT,"status":200,"chat_id":5,"messages":["#,
            r#"{"message_id":10,"from_id":2,"from_name":"user2","content":"hi","content_type":"text","content_time":MOMENT}]}"#
        );
        assert_eq!(text(&shared), expected.replace("MOMENT", moment));

        let mut server = server();
        ask_text(
            &mut *server,
            &format!(r#"{{"mode":"getChats","timestamp":{timestamp},"token":"t"}}"#),
        );
        assert_eq!(say(&mut *server, &Line::Notice(notice)), shared);

        let mut lines = Vec::new();
        client().decode(*NOW, &shared, &mut lines).expect("a push is heard unasked");
        let [Line::Notice(heard)] = &lines[..] else { panic!("{lines:?} was heard") };
        assert_eq!(
            text(&Mode.render(heard, variant).expect("a posted message is pushed")),
            text(&shared)
        );
        if variant == Variant(1) {
            assert_eq!(**heard, posted());
        }
    }
}

#[test]
fn only_posted_messages_can_be_pushed() {
    for other in others() {
        let loss = Mode.render(&other, Variant(0)).expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what), ("mode", other.name()));
        let mut frames = Vec::new();
        let line = Line::Notice(Arc::new(other));
        assert_eq!(
            server().encode(*NOW, &line, &mut frames).expect_err("the wire cannot say it"),
            loss
        );
        assert!(frames.is_empty());
        client().encode(*NOW, &line, &mut frames).expect_err("a client tells no notices");
    }
    Mode.render(&posted(), Variant(2)).expect_err("there is no such variant");
}
