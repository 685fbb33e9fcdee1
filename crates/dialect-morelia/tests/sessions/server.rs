//! The server's end: requests to asks, replies to frames, misbehaviour to its answer.

use crate::{
    NOW, ask, flow_id, json, message, message_id, refused, reply, say, server, signed, user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tolmach_dialect::{Frame, Line, Session, ViolationKind};
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Changes, Command, Content, Credentials, Fault,
    FlowKindFilter, GrantKind, Message, NewMessage, Registration, Secret, Timestamp, UserRef,
};

fn draft(content: Content, key: &str) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(5),
        kinds: FlowKindFilter::Any,
        content,
        key: Some(key.into()),
    }))
}

fn unsigned(kind: &str, user: &Value) -> Frame {
    Frame::text(json!({"type": kind, "data": {"user": user}}).to_string())
}

fn registration() -> Registration {
    Registration {
        login: Some("ann".into()),
        password: Secret::new("p"),
        username: None,
        email: None,
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Token,
    }
}

#[test]
fn every_request_asks_its_command() {
    let signature = || Credentials::TokenOf(user_id(1), Secret::new("t"));
    let credentials = json!({"login": "ann", "password": "p"});
    let whole = json!({"login": "ann", "password": "p", "username": "Ann", "email": "a@example.org", "is_bot": true, "avatar": "QQ==", "bio": "b"});
    let login = || Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Token,
    };
    let since = Timestamp::from_micros(1_500_000);
    let (at_five, to_five) = (json!({"id": 5}), json!({"id": 5, "type": "chat"}));
    for (frame, proof, command) in [
        (
            unsigned("register_user", &credentials),
            Credentials::Nothing,
            Command::Register(Box::new(registration())),
        ),
        (
            unsigned("register_user", &whole),
            Credentials::Nothing,
            Command::Register(Box::new(Registration {
                username: Some("Ann".into()),
                email: Some("a@example.org".into()),
                bot: true,
                avatar: Some("QQ==".into()),
                bio: Some("b".into()),
                ..registration()
            })),
        ),
        (unsigned("auth", &credentials), Credentials::Nothing, login()),
        (unsigned("authentication", &credentials), Credentials::Nothing, login()),
        (
            unsigned("delete_user", &credentials),
            Credentials::Nothing,
            Command::DeleteAccount { login: "ann".into(), password: Secret::new("p") },
        ),
        (signed("user_info", json!({})), signature(), Command::GetUser { who: UserRef::Me }),
        (
            signed("all_flow", json!({})),
            signature(),
            Command::ListFlows { limit: None, offset: 0, members: false },
        ),
        (
            signed("all_messages", json!({"time": 1.5})),
            signature(),
            Command::GetChanges { since, flow: None, limit: 1000 },
        ),
        (
            signed("get_update", json!({"time": 1.5, "flow": null})),
            signature(),
            Command::GetChanges { since, flow: None, limit: 1000 },
        ),
        (
            signed("get_update", json!({"time": 1.5, "flow": at_five})),
            signature(),
            Command::GetChanges { since, flow: Some(flow_id(5)), limit: 1000 },
        ),
        (
            signed("send_message", json!({"flow": at_five, "message": {"id": 9, "text": "hi"}})),
            signature(),
            draft(Content::text("hi"), "9"),
        ),
        (
            signed(
                "send_message",
                json!({"message": {"id": -9.0, "text": "hi", "from_flow": to_five}}),
            ),
            signature(),
            draft(Content::text("hi"), "-9"),
        ),
        (
            signed(
                "send_message",
                json!({"flow": at_five, "message": {"id": 9, "from_flow": {"id": 6, "type": "group"}, "text": "hi"}, "reply_to": 3}),
            ),
            signature(),
            draft(Content { reply_to: Some(message_id(3)), ..Content::text("hi") }, "9"),
        ),
        (
            signed(
                "send_message",
                json!({"flow": at_five, "message": {"id": 9, "reply_to": 4, "emoji": "RQ==", "from_user": {"id": 1},
                    "file": {"document": "RA", "picture": "", "video": null, "audio": "QQ=="}}, "reply_to": 3}),
            ),
            signature(),
            draft(
                Content {
                    attachments: vec![
                        Attachment { kind: AttachmentKind::Audio, data: "QQ==".into() },
                        Attachment { kind: AttachmentKind::Document, data: "RA".into() },
                    ],
                    emoji: Some("RQ==".into()),
                    reply_to: Some(message_id(4)),
                    ..Content::default()
                },
                "9",
            ),
        ),
        (
            signed(
                "edited_message",
                json!({"flow": at_five, "message": {"id": 9, "text": "better"}}),
            ),
            signature(),
            Command::Edit { message: message_id(9), flow: Some(flow_id(5)), text: "better".into() },
        ),
        (
            signed("delete_message", json!({"message": {"id": 9}})),
            signature(),
            Command::Delete { messages: vec![message_id(9)], flow: None },
        ),
    ] {
        let heard = ask(&mut *server(), &frame);
        assert_eq!((heard.proof, heard.command), (proof, command), "{frame:?}");
    }
}

#[test]
fn what_is_no_request_is_answered_by_its_reason() {
    let spoofed = |kind: &str| {
        signed(
            kind,
            json!({"flow": {"id": 5}, "message": {"id": 9, "text": "hi", "from_user": {"id": 2, "username": "u"}}}),
        )
    };
    let version = |version: Value| {
        Frame::text(json!({"type": "all_flow", "data": {"user": {"id": 1, "auth_id": "t"}}, "jsonapi": {"version": version}}).to_string())
    };
    let crowded = format!(r#"{{"type":"all_flow","x":[0{}]}}"#, ",0".repeat(10_000));
    let deep = format!(r#"{{"type":"all_flow","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    use ViolationKind::{FrameKind, Shape, Syntax, UnknownMethod};
    for (frame, kind, named, code, detail) in [
        (Frame::text("{'type': 'auth'}"), Syntax, "error", 400, "JSON is expected"),
        (Frame::Binary(Bytes::from_static(b"\xff")), Syntax, "error", 400, "JSON is expected"),
        (Frame::text("[]"), Shape, "error", 400, "a JSON object is expected"),
        (Frame::text(crowded), Shape, "error", 400, "at most 10000 values are expected"),
        (Frame::text(deep), Shape, "error", 400, "at most 64 levels of nesting are expected"),
        (Frame::text("{}"), Shape, "error", 400, "/type: a string is expected"),
        (Frame::text(r#"{"type":7}"#), Shape, "error", 400, "/type: a string is expected"),
        (
            Frame::Value(Bytes::from_static(b"{}")),
            FrameKind,
            "error",
            400,
            "a text or binary frame is expected",
        ),
        (Frame::text(r#"{"type":"ping_pong"}"#), UnknownMethod, "ping_pong", 400, "unknown type"),
        (
            Frame::text(format!(r#"{{"type":"{}"}}"#, "я".repeat(64))),
            UnknownMethod,
            &"я".repeat(64),
            400,
            "unknown type",
        ),
        (
            Frame::text(format!(r#"{{"type":"{}"}}"#, "x".repeat(65))),
            UnknownMethod,
            "error",
            400,
            "unknown type",
        ),
        (Frame::text(r#"{"type":"auth"}"#), Shape, "auth", 400, "\"data\" is a required property"),
        (
            version(json!(1.15)),
            Shape,
            "all_flow",
            400,
            "/jsonapi/version: the versions served are: 1.0",
        ),
        (
            version(json!("17")),
            Shape,
            "all_flow",
            400,
            "/jsonapi/version: the versions served are: 1.0",
        ),
        (
            signed("get_update", json!({})),
            Shape,
            "get_update",
            400,
            "/data: \"time\" is a required property",
        ),
        (
            signed("get_update", json!({"time": -1})),
            Shape,
            "get_update",
            400,
            "/data/time: value is less than the minimum of 0",
        ),
        (
            signed("send_message", json!({"message": {"id": 9, "text": "hi"}})),
            Shape,
            "send_message",
            400,
            "/data/flow/id: the flow to post to is expected",
        ),
        (
            spoofed("send_message"),
            Shape,
            "send_message",
            403,
            "/data/message/from_user/id: only the author may write in this name",
        ),
        (
            spoofed("edited_message"),
            Shape,
            "edited_message",
            403,
            "/data/message/from_user/id: only the author may write in this name",
        ),
    ] {
        let violation = refused(&mut *server(), &frame);
        let answer = json(violation.answer.as_ref().expect("it is answered"));
        assert_eq!((violation.kind, violation.close), (kind, None), "{frame:?}");
        assert_eq!(
            (&answer["type"], &answer["errors"]["code"], &answer["errors"]["detail"]),
            (&json!(named), &json!(code), &json!(detail))
        );
        assert_eq!((&answer["data"], &answer["jsonapi"]), (&Value::Null, &json!({"version": 1.0})));
    }
}

#[test]
fn the_versions_of_the_document_are_accepted() {
    let request = |jsonapi: &str| {
        Frame::text(format!(
            r#"{{"type":"all_flow","data":{{"user":{{"id":1,"auth_id":"t"}}}}{jsonapi}}}"#
        ))
    };
    for jsonapi in [
        "",
        r#","jsonapi":null"#,
        r#","jsonapi":{}"#,
        r#","jsonapi":{"version":null}"#,
        r#","jsonapi":{"version":1}"#,
        r#","jsonapi":{"version":1.0}"#,
        r#","jsonapi":{"version":"1.0"},"meta":"None""#,
    ] {
        ask(&mut *server(), &request(jsonapi));
    }
}

#[test]
fn a_reply_is_in_the_form_of_its_request() {
    let mut server = server();
    let text =
        signed("send_message", json!({"flow": {"id": 5}, "message": {"id": 9, "text": "hi"}}));
    let binary = Frame::Binary(text.payload().clone());
    let (first, second) = (ask(&mut *server, &text), ask(&mut *server, &binary));
    let sent = || Ok(Answer::Sent { message: None, repeated: false });
    assert_eq!(say(&mut *server, &reply(&first.echo, sent())).kind(), "text");
    assert_eq!(say(&mut *server, &reply(&second.echo, sent())).kind(), "binary");
    assert_eq!(
        refused(&mut *server, &Frame::Binary(Bytes::from_static(b"{}")))
            .answer
            .map(|frame| frame.kind()),
        Some("binary")
    );
}

#[test]
fn no_two_answers_have_one_id() {
    let mut server = server();
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let violation = refused(&mut *server, &Frame::text("{}"));
        ids.insert(json(&violation.answer.expect("it is answered"))["errors"]["id"].as_i64());
        let heard = ask(&mut *server, &signed("all_flow", json!({})));
        ids.insert(
            json(&say(&mut *server, &reply(&heard.echo, Err(Fault::Internal))))["errors"]["id"]
                .as_i64(),
        );
    }
    assert_eq!((ids.len(), ids.contains(&None)), (100, false));
}

fn changes(server: &mut dyn Session, kind: &str, messages: Vec<Message>) -> Value {
    let heard = ask(server, &signed(kind, json!({"time": 0})));
    let changes = Changes { messages, flows: Vec::new(), user: None, until: *NOW, more: false };
    json(&say(server, &reply(&heard.echo, Ok(Answer::Changes(Box::new(changes))))))["data"].take()
}

#[test]
fn one_message_is_an_object_several_are_a_list_and_none_has_no_key() {
    for kind in ["get_update", "all_messages"] {
        let mut server = server();
        assert_eq!(changes(&mut *server, kind, Vec::new()).get("message"), None);
        assert!(changes(&mut *server, kind, vec![message(1, "one")])["message"].is_object());
        let several = changes(&mut *server, kind, vec![message(1, "one"), message(2, "two")]);
        assert_eq!(several["message"].as_array().map(Vec::len), Some(2));
        assert_eq!(several["time"], json!(1_594_492_370.522_599));
    }
}

#[test]
fn a_deleted_message_says_nothing_but_that() {
    let content = Content {
        attachments: vec![Attachment { kind: AttachmentKind::Picture, data: "QQ==".into() }],
        emoji: Some("RQ==".into()),
        reply_to: Some(message_id(3)),
        ..Content::text("secret")
    };
    let deleted =
        Message { content, edited_at: Some(*NOW), deleted_at: Some(*NOW), ..message(1, "") };
    let told = changes(&mut *server(), "get_update", vec![deleted])["message"].take();
    assert_eq!(
        told,
        json!({"id": 1, "text": "", "from_user": {"id": 2, "username": "user2"}, "time": 1_594_492_370.522_599,
            "from_flow": {"id": 5, "type": "group"}, "edited_message": {"time": 1_594_492_370.522_599, "status": true}, "reply_to": null})
    );
}

#[test]
fn an_answer_to_something_else_is_a_loss() {
    let mut server = server();
    let heard = ask(&mut *server, &signed("all_flow", json!({})));
    let mut frames = Vec::new();
    server
        .encode(*NOW, &reply(&heard.echo, Ok(Answer::TypingShown)), &mut frames)
        .expect_err("it is no list of flows");
    server.encode(*NOW, &Line::Ask(heard), &mut frames).expect_err("a server asks nothing");
    assert!(frames.is_empty());
}
