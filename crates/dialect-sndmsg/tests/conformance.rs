//! What every dialect is held to, with what only this wire says.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, world};
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::EventKind;

const LOGIN: &str = r#"{"type":"REQUEST_LOGIN","login":"ann","pass":"correct horse"}"#;

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/sndmsg")
        .header("upgrade", "websocket")
        .body(())
        .expect("the parts are valid");
    Script { name, opening, steps }
}

fn says(about: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(about, Frame::text(text.to_owned()))
}

/// A client as the document's reader writes one, with what may be left out left out.
fn by_the_document() -> Script {
    script(
        "by-the-document",
        vec![
            says("signs up", r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"correct horse"}"#),
            says("logs in", LOGIN),
            says("opens a room", r#"{"type":"CREATE_ROOM","username":"Ann","customer":"bob"}"#),
            says("sends", r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello"}"#),
            says("reads what is new", r#"{"type":"READ_MSG","room_id":1}"#),
            says(
                "reads what is new, spelled well",
                r#"{"type":"READ_MSG","read":"RECENT","room_id":1}"#,
            ),
            ScriptStep::Happening(EventKind::Posted(world::message(world::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            says("an unknown type", r#"{"type":"SEND_MSG","room_id":1}"#),
            says("no JSON", "{'type': 'SND_MSG'}"),
            says("no object", r#"["SND_MSG"]"#),
            says("no type", r#"{"room_id":1}"#),
            says("a number for a type", r#"{"type":2}"#),
            ScriptStep::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"type":"READ_MSG"}"#)),
            ),
            says("a login without a password", r#"{"type":"REQUEST_LOGIN","login":"ann"}"#),
            says("a sign-up without a password", r#"{"type":"REQUEST_SIGNUP","login":"ann"}"#),
            says("logs in", LOGIN),
            says(
                "another's name",
                r#"{"type":"SND_MSG","username":"bob","room_id":1,"message":"Hello","msg_type":"TEXT"}"#,
            ),
            says("a string for an id", r#"{"type":"READ_MSG","room_id":"1"}"#),
            says("a room out of range", r#"{"type":"READ_MSG","room_id":0}"#),
            says("a message out of range", r#"{"type":"DELETE_MSG","id":9007199254740992}"#),
            says(
                "an unknown type of message",
                r#"{"type":"SND_MSG","username":"ann","room_id":1,"message":"Hello","msg_type":"SOUND"}"#,
            ),
            says("an unknown part to read", r#"{"type":"READ_MSG","read":"NONE","room_id":1}"#),
        ],
    )
}

tolmach_dialect_kit::conformance!(SndMsg, vec![by_the_document(), misbehaviour()]);
