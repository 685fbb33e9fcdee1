//! What every dialect is held to, with what only this wire says.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_action::Action;
use tolmach_dialect_kit::{Script, ScriptStep, world};
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
    ("authorization", format!("Bearer {}", world::ANN.token))
}

fn origin(origin: &str) -> (&'static str, String) {
    ("origin", origin.to_owned())
}

fn says(about: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(about, Frame::text(text.to_owned()))
}

fn happens(kind: EventKind) -> ScriptStep {
    ScriptStep::Happening(kind)
}

/// Everything that the document describes at the door of ordinary users, with request ids of every
/// type.
fn member() -> Script {
    let chat = world::flow_id(world::CHAT);
    Script {
        name: "member",
        opening: handshake("/ws/chat", &[token(), origin("http://localhost:80")]),
        steps: vec![
            says("lists", r#"{"action":"list","request_id":1500000}"#),
            says("nothing can be left", r#"{"action":"leave_room","request_id":1500001}"#),
            says(
                "nothing can be told of no room",
                r#"{"action":"current_room_info","request_id":1500002}"#,
            ),
            says(
                "nothing can be said outside",
                r#"{"action":"create_message","msg_text":"hello","request_id":1500003}"#,
            ),
            happens(EventKind::Posted(world::message(world::CHAT, 3))),
            says("joins", r#"{"action":"join_room","room_pk":1,"request_id":"a string"}"#),
            happens(EventKind::Posted(world::message(world::CHAT, 3))),
            happens(EventKind::Edited(world::edited(world::message_id(13), "edited_text"))),
            happens(EventKind::Deleted {
                flow: chat,
                by: world::user_id(2),
                messages: vec![(world::message_id(13), Version(5))],
            }),
            happens(EventKind::Posted(world::message(world::GROUP, 3))),
            happens(EventKind::Typing { flow: chat, user: world::user(2).summary(), active: true }),
            says("is told where it is", r#"{"action":"current_room_info","request_id":null}"#),
            says(
                "edits",
                r#"{"action":"edit_message","msg_id":13,"edited_msg_text":"edited_text","request_id":1.50}"#,
            ),
            says(
                "joins another",
                r#"{"action":"join_room","room_pk":2,"request_id":[1,{"a":null}]}"#,
            ),
            happens(EventKind::Posted(world::message(world::CHAT, 4))),
            happens(EventKind::MembersAdded {
                flow: world::flow_id(world::GROUP),
                users: vec![world::user(4).summary()],
                version: Version(7),
            }),
            happens(EventKind::Posted(world::message(world::GROUP, 3))),
            happens(EventKind::MembersRemoved {
                flow: world::flow_id(world::GROUP),
                users: vec![world::user_id(2)],
            }),
            happens(EventKind::Posted(world::message(world::GROUP, 4))),
            says("leaves", r#"{"action":"leave_room"}"#),
            happens(EventKind::Posted(world::message(world::GROUP, 5))),
            says("joins again", r#"{"action":"join_room","room_pk":2,"request_id":true}"#),
            happens(EventKind::MembersRemoved {
                flow: world::flow_id(world::GROUP),
                users: vec![world::user_id(1)],
            }),
            says(
                "has been put out",
                r#"{"action":"create_message","msg_text":"hello?","request_id":1500004}"#,
            ),
            says("joins a last time", r#"{"action":"join_room","room_pk":1,"request_id":1500005}"#),
            happens(EventKind::FlowDeleted { flow: chat, by: world::user_id(2) }),
            says(
                "the room is gone",
                r#"{"action":"delete_messages","msg_id_list":[11],"request_id":1500006}"#,
            ),
            happens(EventKind::SessionsEnded { user: world::user_id(2), session: None }),
            happens(EventKind::SessionsEnded { user: world::user_id(1), session: None }),
        ],
    }
}

fn administrators_door() -> Script {
    Script {
        name: "administrators-door",
        opening: handshake("/ws/admin-chat/", &[token(), origin("http://127.0.0.1")]),
        steps: vec![
            says("lists", r#"{"action":"list","request_id":1}"#),
            says("joins", r#"{"action":"join_room","room_pk":1,"request_id":2}"#),
            says("may not ask where it is", r#"{"action":"current_room_info","request_id":3}"#),
            says("a room that cannot be", r#"{"action":"join_room","room_pk":0,"request_id":4}"#),
            happens(EventKind::Posted(world::message(world::CHAT, 3))),
            says("leaves", r#"{"action":"leave_room","request_id":5}"#),
        ],
    }
}

fn misbehaviour() -> Script {
    Script {
        name: "misbehaviour",
        opening: handshake("/ws/chat/", &[token(), origin("http://localhost")]),
        steps: vec![
            says("joins", r#"{"action":"join_room","room_pk":1,"request_id":1}"#),
            says("an unknown action", r#"{"action":"dance","request_id":2}"#),
            says("no JSON", "{'action': 'list'}"),
            says("no object", r#"["list"]"#),
            says("a field twice", r#"{"action":"list","action":"list","request_id":3}"#),
            says("no action", r#"{"request_id":4}"#),
            says("a number for an action", r#"{"action":1,"request_id":5}"#),
            says(
                "a request id that is no number to most",
                r#"{"action":"list","request_id":1e999}"#,
            ),
            ScriptStep::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"action":"list"}"#)),
            ),
            says("no room", r#"{"action":"join_room","request_id":6}"#),
            says("a string for a room", r#"{"action":"join_room","room_pk":"1","request_id":7}"#),
            says("a room that cannot be", r#"{"action":"join_room","room_pk":-1,"request_id":8}"#),
            says("no text", r#"{"action":"create_message","request_id":9}"#),
            says(
                "a number for a text",
                r#"{"action":"create_message","msg_text":1,"request_id":10}"#,
            ),
            says(
                "a message that cannot be",
                r#"{"action":"edit_message","msg_id":0,"edited_msg_text":"x","request_id":11}"#,
            ),
            says(
                "a number for a list",
                r#"{"action":"delete_messages","msg_id_list":123,"request_id":12}"#,
            ),
            says(
                "an empty list",
                r#"{"action":"delete_messages","msg_id_list":[],"request_id":13}"#,
            ),
            says("is still in the room", r#"{"action":"current_room_info","request_id":14}"#),
        ],
    }
}

fn refused(name: &'static str, headers: &[(&str, String)]) -> Script {
    Script {
        name,
        opening: handshake("/ws/chat/", headers),
        steps: vec![says("is never heard", r#"{"action":"list"}"#)],
    }
}

tolmach_dialect_kit::conformance!(
    Action::default(),
    vec![
        member(),
        administrators_door(),
        misbehaviour(),
        refused("no-token", &[origin("http://localhost")]),
        refused("no-origin", &[token()]),
        refused("foreign-origin", &[token(), origin("https://elsewhere.example")]),
    ]
);
