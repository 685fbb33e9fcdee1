//! What every dialect is held to, with what only this wire says.

use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::Frame;
use tolmach_dialect_kit::{Script, ScriptStep, world};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{EventKind, Version};

fn script(name: &'static str, steps: Vec<ScriptStep>) -> Script {
    let opening = http::Request::get("/morelia")
        .header("upgrade", "websocket")
        .body(())
        .expect("the parts are valid");
    Script { name, opening, steps }
}

fn says(about: &'static str, frame: &Value) -> ScriptStep {
    ScriptStep::Frame(about, Frame::text(frame.to_string()))
}

fn ann() -> Value {
    json!({"id": world::ANN.number, "auth_id": world::ANN.token})
}

/// What the document has beside the asks that every dialect knows.
fn other_forms() -> Script {
    let login = json!({"login": "ann", "password": "correct horse"});
    let all_messages = json!({"type": "all_messages", "data": {"time": 1_700_000_000.25, "user": ann()}, "jsonapi": {"version": "1.0"}});
    let message = |message: Value| json!({"type": "send_message", "data": {"message": message, "reply_to": 11, "user": ann()}});
    let in_binary = Bytes::from(json!({"type": "all_flow", "data": {"user": ann()}}).to_string());
    let deleted = |ids: &[i64]| {
        ScriptStep::Happening(EventKind::Deleted {
            flow: world::flow_id(world::CHAT),
            by: world::BOB.user(),
            messages: ids
                .iter()
                .zip(5..)
                .map(|(id, version)| (world::message_id(*id), Version(version)))
                .collect(),
        })
    };
    script(
        "other-forms",
        vec![
            says(
                "logs in by the document's own name",
                &json!({"type": "authentication", "data": {"user": login}, "jsonapi": {"version": 1}}),
            ),
            says("reads every flow", &all_messages),
            says(
                "answers, the flow named in the message",
                &message(json!({"id": 7, "text": "Yes", "from_flow": {"id": 1, "type": "chat"}})),
            ),
            ScriptStep::Frame("speaks in binary", Frame::Binary(in_binary)),
            ScriptStep::Happening(EventKind::Posted(world::message(world::CHAT, 2))),
            deleted(&[12]),
            deleted(&[12, 14]),
        ],
    )
}

fn misbehaviour() -> Script {
    let signed = |kind: &str, more: Value| {
        let mut data = json!({"user": ann()});
        data.as_object_mut()
            .expect("it is one")
            .extend(more.as_object().expect("it is one").clone());
        json!({"type": kind, "data": data, "jsonapi": {"version": 1.0}, "meta": null})
    };
    let hello =
        |message: Value| signed("send_message", json!({"flow": {"id": 1}, "message": message}));
    script(
        "misbehaviour",
        vec![
            says("an unknown type", &json!({"type": "add_flow", "data": null})),
            says("an endless type", &json!({"type": "x".repeat(65)})),
            says("no type", &json!({"data": null})),
            ScriptStep::Frame("no JSON", Frame::text("{'type': 'auth'}")),
            ScriptStep::Frame("no object", Frame::text("[\"auth\"]")),
            says(
                "another version",
                &json!({"type": "all_flow", "data": {"user": ann()}, "jsonapi": {"version": 1.15}}),
            ),
            says(
                "no token",
                &json!({"type": "all_flow", "data": {"user": {"id": 1}}, "jsonapi": {"version": 1.0}}),
            ),
            says(
                "a string for an id",
                &json!({"type": "user_info", "data": {"user": {"id": "1", "auth_id": "t"}}}),
            ),
            says(
                "no flow",
                &signed("send_message", json!({"message": {"id": 1, "text": "Hello"}})),
            ),
            says(
                "in another's name",
                &hello(
                    json!({"id": 1, "text": "Hello", "from_user": {"id": 2, "username": "bob"}}),
                ),
            ),
            says(
                "an answer to nothing that is an id",
                &hello(json!({"id": 1, "text": "Hello", "reply_to": "11"})),
            ),
        ],
    )
}

tolmach_dialect_kit::conformance!(Morelia, vec![other_forms(), misbehaviour()]);
