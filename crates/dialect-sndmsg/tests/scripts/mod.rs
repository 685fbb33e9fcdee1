//! Scripts of what only this wire has.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_domain::EventKind;

const LOGIN: &str = r#"{"type":"REQUEST_LOGIN","login":"ann","pass":"correct horse"}"#;

/// The scripts of this wire.
pub(crate) fn all() -> Vec<Script> {
    vec![by_the_document(), misbehaviour()]
}

fn script(name: &'static str, steps: Vec<Step>) -> Script {
    Script::websocket(name, "/sndmsg", steps)
}

/// A client written after the document, which leaves out every optional field.
fn by_the_document() -> Script {
    script(
        "by-the-document",
        vec![
            Step::text(
                "signs up",
                r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"correct horse"}"#,
            ),
            Step::text("logs in", LOGIN),
            Step::text(
                "opens a room",
                r#"{"type":"CREATE_ROOM","username":"Ann","customer":"bob"}"#,
            ),
            Step::text(
                "sends",
                r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello"}"#,
            ),
            Step::text("reads what is new", r#"{"type":"READ_MSG","room_id":1}"#),
            Step::text(
                "reads what is new, spelled well",
                r#"{"type":"READ_MSG","read":"RECENT","room_id":1}"#,
            ),
            Step::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            Step::text("an unknown type", r#"{"type":"SEND_MSG","room_id":1}"#),
            Step::text("no JSON", "{'type': 'SND_MSG'}"),
            Step::text("no object", r#"["SND_MSG"]"#),
            Step::text("no type", r#"{"room_id":1}"#),
            Step::text("a number for a type", r#"{"type":2}"#),
            Step::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"type":"READ_MSG"}"#)),
            ),
            Step::text("a login without a password", r#"{"type":"REQUEST_LOGIN","login":"ann"}"#),
            Step::text(
                "a sign-up without a password",
                r#"{"type":"REQUEST_SIGNUP","login":"ann"}"#,
            ),
            Step::text("logs in", LOGIN),
            Step::text(
                "another's name",
                concat!(
                    r#"{"type":"SND_MSG","username":"bob","room_id":1,"message":"Hello","#,
                    r#""msg_type":"TEXT"}"#
                ),
            ),
            Step::text("a string for an id", r#"{"type":"READ_MSG","room_id":"1"}"#),
            Step::text("a room out of range", r#"{"type":"READ_MSG","room_id":0}"#),
            Step::text("a message out of range", r#"{"type":"DELETE_MSG","id":9007199254740992}"#),
            Step::text(
                "an unknown type of message",
                concat!(
                    r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello","#,
                    r#""msg_type":"SOUND"}"#
                ),
            ),
            Step::text(
                "an unknown part to read",
                r#"{"type":"READ_MSG","read":"NONE","room_id":1}"#,
            ),
        ],
    )
}
