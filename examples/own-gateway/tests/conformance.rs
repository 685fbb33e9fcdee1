//! The conformance kit holds the dialect to its contract. It has no client side, so the kit plays
//! the frames of this script.

use own_gateway::TinyChat;
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_domain::{EventKind, Version};

fn script(name: &'static str, steps: Vec<Step>) -> Script {
    Script::websocket(name, "/tinychat", steps)
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
            Step::text(
                "logs in",
                r#"{"op":"log_in","id":1,"user":"ann","secret":"correct horse"}"#,
            ),
            Step::text("lists rooms", r#"{"op":"rooms","id":2}"#),
            Step::text("opens a room", r#"{"op":"open","id":3,"user":"bob"}"#),
            Step::text("sends", r#"{"op":"say","id":4,"room":1,"text":"hello"}"#),
            Step::text("reads", r#"{"op":"read","id":5,"room":1,"limit":10}"#),
            Step::Event(EventKind::Posted(message.clone())),
            Step::Event(EventKind::Edited(message)),
            Step::Event(deleted),
            Step::text("logs out", r#"{"op":"log_out","id":6}"#),
            Step::text("signs up", r#"{"op":"sign_up","id":7,"user":"eve","secret":"hunter22"}"#),
        ],
    )
}

fn mistakes() -> Script {
    script(
        "mistakes",
        vec![
            Step::text("before a login", r#"{"op":"rooms","id":1}"#),
            Step::text("an unknown op", r#"{"op":"dance","id":2}"#),
            Step::text("no op", r#"{"id":3}"#),
            Step::text("a missing field", r#"{"op":"log_in","id":4,"user":"ann"}"#),
            Step::text("a mistyped field", r#"{"op":"read","id":5,"room":"1"}"#),
            Step::text("no room", r#"{"op":"say","id":6,"room":0,"text":"hello"}"#),
            Step::text("no JSON", "hello"),
        ],
    )
}

tolmach_dialect_kit::conformance!(TinyChat, vec![conversation(), mistakes()]);
