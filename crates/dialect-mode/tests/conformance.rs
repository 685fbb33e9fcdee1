//! What every dialect is held to, with what only this wire says.

use bytes::Bytes;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, world};
use tolmach_dialect_mode::Mode;
use tolmach_domain::EventKind;

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/mode")
        .header("upgrade", "websocket")
        .body(())
        .expect("the parts are valid");
    Script { name, opening, steps }
}

fn says(about: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(about, Frame::text(text.to_owned()))
}

/// A client that writes moments as strings, and hears them so.
fn moments_as_text() -> Script {
    let at = r#""timestamp":"2023-11-14 22:13:20""#;
    script(
        "moments-as-text",
        vec![
            says(
                "logs in",
                &format!(r#"{{"mode":"auth",{at},"username":"ann","password":"correct horse"}}"#),
            ),
            says(
                "reads",
                &format!(
                    r#"{{"mode":"getMessages",{at},"token":"{}","chat_id":1}}"#,
                    world::ANN.token
                ),
            ),
            ScriptStep::Happening(EventKind::Posted(world::message(world::CHAT, 2))),
        ],
    )
}

fn misbehaviour() -> Script {
    script(
        "misbehaviour",
        vec![
            says("an unknown mode", r#"{"mode":"getAll","timestamp":1700000000.25}"#),
            says("no JSON", "{'mode': 'auth'}"),
            says("no object", r#"["auth"]"#),
            says("no mode", r#"{"timestamp":1700000000.25}"#),
            ScriptStep::Frame(
                "a binary frame",
                Frame::Binary(Bytes::from_static(br#"{"mode":"auth"}"#)),
            ),
            says("no password", r#"{"mode":"auth","timestamp":1700000000.25,"username":"ann"}"#),
            says("no token", r#"{"mode":"getChats","timestamp":1700000000.25}"#),
            says(
                "a null for a token",
                r#"{"mode":"getChats","timestamp":1700000000.25,"token":null}"#,
            ),
            says(
                "a string for an id",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":"1"}"#,
            ),
            says(
                "an id out of range",
                r#"{"mode":"getMessages","timestamp":1700000000.25,"token":"t","chat_id":0}"#,
            ),
        ],
    )
}

tolmach_dialect_kit::conformance!(Mode, vec![moments_as_text(), misbehaviour()]);
