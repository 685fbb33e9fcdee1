//! Scripts of what only this wire has.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, fixtures};
use tolmach_domain::EventKind;

const LOGIN: &str = r#"{"type":"REQUEST_LOGIN","login":"ann","pass":"correct horse"}"#;

/// The scripts of this wire.
pub(crate) fn all() -> Vec<Script> {
    vec![by_the_document(), misbehaviour()]
}

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/sndmsg")
        .header("upgrade", "websocket")
        .body(())
        .expect("the parts are valid");
    Script { name, opening, steps }
}

fn sends(note: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(note, Frame::text(text.to_owned()))
}

/// A client written after the document, which leaves out every optional field.
fn by_the_document() -> Script {
    script(
        "by-the-document",
        vec![
            sends("signs up", r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"correct horse"}"#),
            sends("logs in", LOGIN),
            sends("opens a room", r#"{"type":"CREATE_ROOM","username":"Ann","customer":"bob"}"#),
            sends("sends", r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello"}"#),
            sends("reads what is new", r#"{"type":"READ_MSG","room_id":1}"#),
            sends(
                "reads what is new, spelled well",
                r#"{"type":"READ_MSG","read":"RECENT","room_id":1}"#,
            ),
            ScriptStep::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            sends("an unknown type", r#"{"type":"SEND_MSG","room_id":1}"#),
            sends("no JSON", "{'type': 'SND_MSG'}"),
            sends("no object", r#"["SND_MSG"]"#),
            sends("no type", r#"{"room_id":1}"#),
            sends("a number for a type", r#"{"type":2}"#),
            ScriptStep::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"type":"READ_MSG"}"#)),
            ),
            sends("a login without a password", r#"{"type":"REQUEST_LOGIN","login":"ann"}"#),
            sends("a sign-up without a password", r#"{"type":"REQUEST_SIGNUP","login":"ann"}"#),
            sends("logs in", LOGIN),
            sends(
                "another's name",
                concat!(
                    r#"{"type":"SND_MSG","username":"bob","room_id":1,"message":"Hello","#,
                    r#""msg_type":"TEXT"}"#
                ),
            ),
            sends("a string for an id", r#"{"type":"READ_MSG","room_id":"1"}"#),
            sends("a room out of range", r#"{"type":"READ_MSG","room_id":0}"#),
            sends("a message out of range", r#"{"type":"DELETE_MSG","id":9007199254740992}"#),
            sends(
                "an unknown type of message",
                concat!(
                    r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello","#,
                    r#""msg_type":"SOUND"}"#
                ),
            ),
            sends("an unknown part to read", r#"{"type":"READ_MSG","read":"NONE","room_id":1}"#),
        ],
    )
}
