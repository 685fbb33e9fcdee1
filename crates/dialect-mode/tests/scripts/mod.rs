//! Scripts of what only this wire has.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, fixtures};
use tolmach_domain::EventKind;

/// The scripts of this wire.
pub(crate) fn all() -> Vec<Script> {
    vec![moments_as_text(), misbehaviour()]
}

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/mode")
        .header("upgrade", "websocket")
        .body(())
        .expect("the parts are valid");
    Script { name, opening, steps }
}

fn sends(note: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(note, Frame::text(text.to_owned()))
}

/// A client that writes timestamps as strings, and reads them so.
fn moments_as_text() -> Script {
    let at = r#""timestamp":"2023-11-14 22:13:20""#;
    script(
        "moments-as-text",
        vec![
            sends(
                "logs in",
                &format!(r#"{{"mode":"auth",{at},"username":"ann","password":"correct horse"}}"#),
            ),
            sends(
                "reads",
                &format!(
                    r#"{{"mode":"getMessages",{at},"token":"{}","chat_id":1}}"#,
                    fixtures::ANN.token
                ),
            ),
            ScriptStep::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            sends("an unknown mode", r#"{"mode":"getAll","timestamp":1700000000.25}"#),
            sends("no JSON", "{'mode': 'auth'}"),
            sends("no object", r#"["auth"]"#),
            sends("no mode", r#"{"timestamp":1700000000.25}"#),
            ScriptStep::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"mode":"auth"}"#)),
            ),
            sends("no password", r#"{"mode":"auth","timestamp":1700000000.25,"username":"ann"}"#),
            sends("no token", r#"{"mode":"getChats","timestamp":1700000000.25}"#),
            sends(
                "a null for a token",
                r#"{"mode":"getChats","timestamp":1700000000.25,"token":null}"#,
            ),
            sends(
                "a string for an id",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":"1"}"#,
            ),
            sends(
                "an id out of range",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":0}"#,
            ),
        ],
    )
}
