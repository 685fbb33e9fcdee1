//! The conformance kit holds the dialect to its contract. It has no client side, so the kit plays
//! the frames of this script.

use own_gateway::TinyChat;
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, fixtures};
use tolmach_domain::{EventKind, Version};

fn send(note: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(note, Frame::text(text.to_owned()))
}

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/tinychat").header("upgrade", "websocket");
    Script { name, opening: opening.body(()).expect("the parts are valid"), steps }
}

fn conversation() -> Script {
    let message = fixtures::message(fixtures::CHAT, 2);
    let deleted = EventKind::Deleted {
        flow: message.flow,
        by: message.author.id,
        messages: vec![(message.id, Version(3))],
    };
    script(
        "conversation",
        vec![
            send("logs in", r#"{"op":"log_in","id":1,"user":"ann","secret":"correct horse"}"#),
            send("lists rooms", r#"{"op":"rooms","id":2}"#),
            send("opens a room", r#"{"op":"open","id":3,"user":"bob"}"#),
            send("sends", r#"{"op":"say","id":4,"room":1,"text":"hello"}"#),
            send("reads", r#"{"op":"read","id":5,"room":1,"limit":10}"#),
            ScriptStep::Event(EventKind::Posted(message.clone())),
            ScriptStep::Event(EventKind::Edited(message)),
            ScriptStep::Event(deleted),
            send("logs out", r#"{"op":"log_out","id":6}"#),
            send("signs up", r#"{"op":"sign_up","id":7,"user":"eve","secret":"hunter22"}"#),
        ],
    )
}

fn mistakes() -> Script {
    script(
        "mistakes",
        vec![
            send("before a login", r#"{"op":"rooms","id":1}"#),
            send("an unknown op", r#"{"op":"dance","id":2}"#),
            send("no op", r#"{"id":3}"#),
            send("a missing field", r#"{"op":"log_in","id":4,"user":"ann"}"#),
            send("a mistyped field", r#"{"op":"read","id":5,"room":"1"}"#),
            send("no room", r#"{"op":"say","id":6,"room":0,"text":"hello"}"#),
            send("no JSON", "hello"),
        ],
    )
}

tolmach_dialect_kit::conformance!(TinyChat, vec![conversation(), mistakes()]);
