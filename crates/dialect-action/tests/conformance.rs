//! The conformance trials, with scripts of the requests that only this wire has.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_action::Action;
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_domain::{EventKind, Version};

fn handshake(path: &str, headers: &[(&str, String)]) -> http::Request<()> {
    let request = http::Request::get(path).header("upgrade", "websocket");
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, value))
        .body(())
        .expect("the parts are valid")
}

fn token() -> (&'static str, String) {
    ("authorization", format!("Bearer {}", fixtures::ANN.token))
}

fn origin(origin: &str) -> (&'static str, String) {
    ("origin", origin.to_owned())
}

fn event(kind: EventKind) -> Step {
    Step::Event(kind)
}

/// Every request of the document at the path of ordinary users, with request ids of every type.
fn member() -> Script {
    let chat = fixtures::flow_id(fixtures::CHAT);
    Script {
        name: "member",
        opening: handshake("/ws/chat", &[token(), origin("http://localhost:80")]),
        steps: vec![
            Step::text("lists", r#"{"action":"list","request_id":1500000}"#),
            Step::text("nothing can be left", r#"{"action":"leave_room","request_id":1500001}"#),
            Step::text(
                "nothing can be told of no room",
                r#"{"action":"current_room_info","request_id":1500002}"#,
            ),
            Step::text(
                "nothing can be said outside",
                r#"{"action":"create_message","msg_text":"hello","request_id":1500003}"#,
            ),
            event(EventKind::Posted(fixtures::message(fixtures::CHAT, 3))),
            Step::text("joins", r#"{"action":"join_room","room_pk":1,"request_id":"a string"}"#),
            event(EventKind::Posted(fixtures::message(fixtures::CHAT, 3))),
            event(EventKind::Edited(fixtures::edited(fixtures::message_id(13), "edited_text"))),
            event(EventKind::Deleted {
                flow: chat,
                by: fixtures::user_id(2),
                messages: vec![(fixtures::message_id(13), Version(5))],
            }),
            event(EventKind::Posted(fixtures::message(fixtures::GROUP, 3))),
            event(EventKind::Typing {
                flow: chat,
                user: fixtures::user(2).summary(),
                active: true,
            }),
            Step::text(
                "is told where it is",
                r#"{"action":"current_room_info","request_id":null}"#,
            ),
            Step::text(
                "edits",
                concat!(
                    r#"{"action":"edit_message","msg_id":13,"edited_msg_text":"edited_text","#,
                    r#""request_id":1.50}"#
                ),
            ),
            Step::text(
                "joins another",
                r#"{"action":"join_room","room_pk":2,"request_id":[1,{"a":null}]}"#,
            ),
            event(EventKind::Posted(fixtures::message(fixtures::CHAT, 4))),
            event(EventKind::MembersAdded {
                flow: fixtures::flow_id(fixtures::GROUP),
                users: vec![fixtures::user(4).summary()],
                version: Version(7),
            }),
            event(EventKind::Posted(fixtures::message(fixtures::GROUP, 3))),
            event(EventKind::MembersRemoved {
                flow: fixtures::flow_id(fixtures::GROUP),
                users: vec![fixtures::user_id(2)],
            }),
            event(EventKind::Posted(fixtures::message(fixtures::GROUP, 4))),
            Step::text("leaves", r#"{"action":"leave_room"}"#),
            event(EventKind::Posted(fixtures::message(fixtures::GROUP, 5))),
            Step::text("joins again", r#"{"action":"join_room","room_pk":2,"request_id":true}"#),
            event(EventKind::MembersRemoved {
                flow: fixtures::flow_id(fixtures::GROUP),
                users: vec![fixtures::user_id(1)],
            }),
            Step::text(
                "has been put out",
                r#"{"action":"create_message","msg_text":"hello?","request_id":1500004}"#,
            ),
            Step::text(
                "joins a last time",
                r#"{"action":"join_room","room_pk":1,"request_id":1500005}"#,
            ),
            event(EventKind::FlowDeleted { flow: chat, by: fixtures::user_id(2) }),
            Step::text(
                "the room is gone",
                r#"{"action":"delete_messages","msg_id_list":[11],"request_id":1500006}"#,
            ),
            event(EventKind::SessionsEnded { user: fixtures::user_id(2), session: None }),
            event(EventKind::SessionsEnded { user: fixtures::user_id(1), session: None }),
        ],
    }
}

fn administrators_path() -> Script {
    Script {
        name: "administrators-door",
        opening: handshake("/ws/admin-chat/", &[token(), origin("http://127.0.0.1")]),
        steps: vec![
            Step::text("lists", r#"{"action":"list","request_id":1}"#),
            Step::text("joins", r#"{"action":"join_room","room_pk":1,"request_id":2}"#),
            Step::text(
                "may not ask where it is",
                r#"{"action":"current_room_info","request_id":3}"#,
            ),
            Step::text(
                "a room that cannot be",
                r#"{"action":"join_room","room_pk":0,"request_id":4}"#,
            ),
            event(EventKind::Posted(fixtures::message(fixtures::CHAT, 3))),
            Step::text("leaves", r#"{"action":"leave_room","request_id":5}"#),
        ],
    }
}

fn misbehaviour() -> Script {
    Script {
        name: "misbehaviour",
        opening: handshake("/ws/chat/", &[token(), origin("http://localhost")]),
        steps: vec![
            Step::text("joins", r#"{"action":"join_room","room_pk":1,"request_id":1}"#),
            Step::text("an unknown action", r#"{"action":"dance","request_id":2}"#),
            Step::text("no JSON", "{'action': 'list'}"),
            Step::text("no object", r#"["list"]"#),
            Step::text("a field twice", r#"{"action":"list","action":"list","request_id":3}"#),
            Step::text("no action", r#"{"request_id":4}"#),
            Step::text("a number for an action", r#"{"action":1,"request_id":5}"#),
            Step::text(
                "a request id that is no number to most",
                r#"{"action":"list","request_id":1e999}"#,
            ),
            Step::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"action":"list"}"#)),
            ),
            Step::text("no room", r#"{"action":"join_room","request_id":6}"#),
            Step::text(
                "a string for a room",
                r#"{"action":"join_room","room_pk":"1","request_id":7}"#,
            ),
            Step::text(
                "a room that cannot be",
                r#"{"action":"join_room","room_pk":-1,"request_id":8}"#,
            ),
            Step::text("no text", r#"{"action":"create_message","request_id":9}"#),
            Step::text(
                "a number for a text",
                r#"{"action":"create_message","msg_text":1,"request_id":10}"#,
            ),
            Step::text(
                "a message that cannot be",
                r#"{"action":"edit_message","msg_id":0,"edited_msg_text":"x","request_id":11}"#,
            ),
            Step::text(
                "a number for a list",
                r#"{"action":"delete_messages","msg_id_list":123,"request_id":12}"#,
            ),
            Step::text(
                "an empty list",
                r#"{"action":"delete_messages","msg_id_list":[],"request_id":13}"#,
            ),
            Step::text("is still in the room", r#"{"action":"current_room_info","request_id":14}"#),
            Step::text(
                "numbers that are no ids",
                r#"{"action":"delete_messages","msg_id_list":[0,-1],"request_id":15}"#,
            ),
            Step::text(
                "an id and a number that is none",
                r#"{"action":"delete_messages","msg_id_list":[12,0],"request_id":16}"#,
            ),
            Step::text("leaves", r#"{"action":"leave_room","request_id":17}"#),
        ],
    }
}

fn refused(name: &'static str, headers: &[(&str, String)]) -> Script {
    Script {
        name,
        opening: handshake("/ws/chat/", headers),
        steps: vec![Step::text("is never heard", r#"{"action":"list"}"#)],
    }
}

tolmach_dialect_kit::conformance!(
    Action::default(),
    vec![
        member(),
        administrators_path(),
        misbehaviour(),
        refused("no-token", &[origin("http://localhost")]),
        refused("no-origin", &[token()]),
        refused("foreign-origin", &[token(), origin("https://elsewhere.example")]),
    ]
);
