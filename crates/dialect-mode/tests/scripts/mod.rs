//! Scripts of what only this wire has.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_domain::EventKind;

/// The scripts of this wire.
pub(crate) fn all() -> Vec<Script> {
    vec![moments_as_text(), misbehaviour()]
}

fn script(name: &'static str, steps: Vec<Step>) -> Script {
    Script::websocket(name, "/mode", steps)
}

/// A client that writes timestamps as strings, and reads them so.
fn moments_as_text() -> Script {
    let at = r#""timestamp":"2023-11-14 22:13:20""#;
    script(
        "moments-as-text",
        vec![
            Step::text(
                "logs in",
                format!(r#"{{"mode":"auth",{at},"username":"ann","password":"correct horse"}}"#),
            ),
            Step::text(
                "reads",
                format!(
                    r#"{{"mode":"getMessages",{at},"token":"{}","chat_id":1}}"#,
                    fixtures::ANN.token
                ),
            ),
            Step::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            Step::text("an unknown mode", r#"{"mode":"getAll","timestamp":1700000000.25}"#),
            Step::text("no JSON", "{'mode': 'auth'}"),
            Step::text("no object", r#"["auth"]"#),
            Step::text("no mode", r#"{"timestamp":1700000000.25}"#),
            Step::Frame("a binary frame", Frame::Binary(Bytes::from_static(br#"{"mode":"auth"}"#))),
            Step::text(
                "no password",
                r#"{"mode":"auth","timestamp":1700000000.25,"username":"ann"}"#,
            ),
            Step::text("no token", r#"{"mode":"getChats","timestamp":1700000000.25}"#),
            Step::text(
                "a null for a token",
                r#"{"mode":"getChats","timestamp":1700000000.25,"token":null}"#,
            ),
            Step::text(
                "a string for an id",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":"1"}"#,
            ),
            Step::text(
                "an id out of range",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":0}"#,
            ),
        ],
    )
}
