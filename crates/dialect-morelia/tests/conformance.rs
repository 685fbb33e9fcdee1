//! The conformance trials, with scripts of frames that no story has.

use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{Configure, Frame};
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{EventKind, Version};

fn script(name: &'static str, steps: Vec<Step>) -> Script {
    Script::websocket(name, "/morelia", steps)
}

fn request(note: &'static str, frame: &Value) -> Step {
    Step::text(note, frame.to_string())
}

fn with_pushes() -> Morelia {
    let options = [("push".to_owned(), true.into())].into_iter().collect();
    Morelia::configure(options).expect("the dialect has this option")
}

fn ann() -> Value {
    json!({"id": fixtures::ANN.number, "auth_id": fixtures::ANN.token})
}

/// The forms of the document that our own client does not write.
fn other_forms() -> Script {
    let login = json!({"login": "ann", "password": "correct horse"});
    let authentication =
        json!({"type": "authentication", "data": {"user": login}, "jsonapi": {"version": 1}});
    let all_messages = json!({"type": "all_messages",
        "data": {"time": 1_700_000_000.25, "user": ann()}, "jsonapi": {"version": "1.0"}});
    let message = |message: Value| {
        json!({"type": "send_message",
            "data": {"message": message, "reply_to": 11, "user": ann()}})
    };
    let in_binary = Bytes::from(json!({"type": "all_flow", "data": {"user": ann()}}).to_string());
    let deleted = |ids: &[i64]| {
        Step::Event(EventKind::Deleted {
            flow: fixtures::flow_id(fixtures::CHAT),
            by: fixtures::BOB.user(),
            messages: ids
                .iter()
                .zip(5..)
                .map(|(id, version)| (fixtures::message_id(*id), Version(version)))
                .collect(),
        })
    };
    script(
        "other-forms",
        vec![
            request("logs in by the document's own name", &authentication),
            request("reads every flow", &all_messages),
            request(
                "answers, the flow named in the message",
                &message(json!({"id": 7, "text": "Yes", "from_flow": {"id": 1, "type": "chat"}})),
            ),
            Step::Frame("speaks in binary", Frame::Binary(in_binary)),
            Step::Event(EventKind::Posted(fixtures::message(fixtures::CHAT, 2))),
            deleted(&[12]),
            deleted(&[12, 14]),
        ],
    )
}

fn misbehaviour() -> Script {
    let signed = |kind: &str, more: Value| {
        let mut data = json!({"user": ann()});
        let members = more.as_object().expect("it is an object").clone();
        data.as_object_mut().expect("it is an object").extend(members);
        json!({"type": kind, "data": data, "jsonapi": {"version": 1.0}, "meta": null})
    };
    let hello =
        |message: Value| signed("send_message", json!({"flow": {"id": 1}, "message": message}));
    script(
        "misbehaviour",
        vec![
            request("an unknown type", &json!({"type": "add_flow", "data": null})),
            request("an endless type", &json!({"type": "x".repeat(65)})),
            request("no type", &json!({"data": null})),
            Step::text("no JSON", "{'type': 'auth'}"),
            Step::text("no object", "[\"auth\"]"),
            request(
                "another version",
                &json!({"type": "all_flow", "data": {"user": ann()}, "jsonapi": {"version": 1.15}}),
            ),
            request(
                "no token",
                &json!({"type": "all_flow", "data": {"user": {"id": 1}},
                    "jsonapi": {"version": 1.0}}),
            ),
            request(
                "a string for an id",
                &json!({"type": "user_info", "data": {"user": {"id": "1", "auth_id": "t"}}}),
            ),
            request(
                "no flow",
                &signed("send_message", json!({"message": {"id": 1, "text": "Hello"}})),
            ),
            request(
                "in another's name",
                &hello(
                    json!({"id": 1, "text": "Hello", "from_user": {"id": 2, "username": "bob"}}),
                ),
            ),
            request(
                "an answer to nothing that is an id",
                &hello(json!({"id": 1, "text": "Hello", "reply_to": "11"})),
            ),
        ],
    )
}

tolmach_dialect_kit::conformance!(with_pushes(), vec![other_forms(), misbehaviour()]);
