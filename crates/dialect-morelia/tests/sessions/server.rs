//! The server's side: frames to requests and violations, responses to frames.

use crate::{
    NOW, decode, flow_id, json, message, message_id, respond, server, signed, user_id, violation,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tolmach_dialect::{Frame, RenderContext, Response, ServerSession, ViolationKind};
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Changes, Command, Content, Credentials, Fault,
    FlowKindFilter, GrantKind, Message, NewMessage, Registration, Secret, Timestamp, UserId,
    UserRef,
};

fn send(content: Content, key: &str) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(5),
        kinds: FlowKindFilter::Any,
        content,
        key: Some(key.into()),
    }))
}

fn delete_account(user: Option<UserId>) -> Command {
    Command::DeleteAccount { user, login: "ann".into(), password: Secret::new("p") }
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
fn every_request_is_decoded() {
    let signature = || Credentials::TokenOf(user_id(1), Secret::new("t"));
    let by_password = json!({"login": "ann", "password": "p"});
    let whole = json!({"login": "ann", "password": "p", "username": "Ann",
        "email": "a@example.org", "is_bot": true, "avatar": "QQ==", "bio": "b"});
    let login = || Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Token,
    };
    let since = Timestamp::from_micros(1_500_000);
    let (at_five, to_five) = (json!({"id": 5}), json!({"id": 5, "type": "chat"}));
    for (frame, credentials, command) in [
        (
            unsigned("register_user", &by_password),
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
        (unsigned("auth", &by_password), Credentials::Nothing, login()),
        (unsigned("authentication", &by_password), Credentials::Nothing, login()),
        (unsigned("delete_user", &by_password), Credentials::Nothing, delete_account(None)),
        (signed("user_info", json!({})), signature(), Command::GetUser { user: UserRef::Me }),
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
            send(Content::text("hi"), "9"),
        ),
        (
            signed(
                "send_message",
                json!({"message": {"id": -9.0, "text": "hi", "from_flow": to_five}}),
            ),
            signature(),
            send(Content::text("hi"), "-9"),
        ),
        (
            signed(
                "send_message",
                json!({"flow": at_five, "reply_to": 3,
                    "message": {"id": 9, "from_flow": {"id": 6, "type": "group"}, "text": "hi"}}),
            ),
            signature(),
            send(Content { reply_to: Some(message_id(3)), ..Content::text("hi") }, "9"),
        ),
        (
            signed(
                "send_message",
                json!({"flow": at_five, "reply_to": 3,
                    "message": {"id": 9, "reply_to": 4, "emoji": "RQ==", "from_user": {"id": 1},
                        "file": {"document": "RA", "picture": "", "video": null,
                            "audio": "QQ=="}}}),
            ),
            signature(),
            send(
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
            Command::Delete { messages: vec![message_id(9)], flow: None, all_or_none: false },
        ),
    ] {
        let request = decode(&mut *server(), &frame);
        let expected = (credentials, command);
        assert_eq!((request.credentials, request.command), expected, "{frame:?}");
    }
}

#[test]
fn an_id_or_token_beside_a_password_must_be_of_the_deleted_account() {
    let token = || Secret::new("t");
    for (more, credentials, user) in [
        (json!({}), Credentials::Nothing, None),
        (json!({"id": null, "auth_id": null, "username": 7}), Credentials::Nothing, None),
        (json!({"id": 1}), Credentials::Nothing, Some(user_id(1))),
        (json!({"auth_id": "t"}), Credentials::Token(token()), None),
        (
            json!({"id": 1, "auth_id": "t"}),
            Credentials::TokenOf(user_id(1), token()),
            Some(user_id(1)),
        ),
    ] {
        let mut data = json!({"login": "ann", "password": "p"});
        let members = more.as_object().expect("it is an object").clone();
        data.as_object_mut().expect("it is an object").extend(members);
        let request = decode(&mut *server(), &unsigned("delete_user", &data));
        let expected = (credentials, delete_account(user));
        assert_eq!((request.credentials, request.command), expected, "{more}");
    }
}

#[test]
fn a_login_does_not_look_at_an_id_or_token() {
    for kind in ["auth", "register_user"] {
        let user = json!({"login": "ann", "password": "p", "id": "x", "auth_id": 7});
        let request = decode(&mut *server(), &unsigned(kind, &user));
        assert_eq!(request.credentials, Credentials::Nothing);
    }
}

#[test]
fn a_violation_is_answered_with_its_reason() {
    let spoofed = |kind: &str| {
        signed(
            kind,
            json!({"flow": {"id": 5},
                "message": {"id": 9, "text": "hi", "from_user": {"id": 2, "username": "u"}}}),
        )
    };
    let version = |version: Value| {
        let request = json!({"type": "all_flow", "data": {"user": {"id": 1, "auth_id": "t"}},
            "jsonapi": {"version": version}});
        Frame::text(request.to_string())
    };
    let many = format!(r#"{{"type":"all_flow","x":[0{}]}}"#, ",0".repeat(10_000));
    let deep = format!(r#"{{"type":"all_flow","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    use ViolationKind::{FrameKind, Shape, Syntax, UnknownMethod};
    for (frame, kind, named, code, detail) in [
        (Frame::text("{'type': 'auth'}"), Syntax, "error", 400, "JSON is expected"),
        (Frame::Binary(Bytes::from_static(b"\xff")), Syntax, "error", 400, "JSON is expected"),
        (Frame::text("[]"), Shape, "error", 400, "a JSON object is expected"),
        (Frame::text(many), Shape, "error", 400, "at most 10000 values are expected"),
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
        (
            unsigned("delete_user", &json!({"login": "ann", "password": "p", "id": "1"})),
            Shape,
            "delete_user",
            400,
            "/data/user/id: value is not of types \"null\", \"integer\"",
        ),
        (
            unsigned("delete_user", &json!({"login": "ann", "password": "p", "auth_id": 7})),
            Shape,
            "delete_user",
            400,
            "/data/user/auth_id: value is not of types \"null\", \"string\"",
        ),
    ] {
        let violation = violation(&mut *server(), &frame);
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
        decode(&mut *server(), &request(jsonapi));
    }
}

#[test]
fn a_reply_is_in_the_form_of_its_request() {
    let mut server = server();
    let text =
        signed("send_message", json!({"flow": {"id": 5}, "message": {"id": 9, "text": "hi"}}));
    let binary = Frame::Binary(text.payload().clone());
    let (first, second) = (decode(&mut *server, &text), decode(&mut *server, &binary));
    let sent = || Ok(Answer::Sent { message: None, repeated: false });
    assert_eq!(respond(&mut *server, &first.correlation, sent()).kind(), "text");
    assert_eq!(respond(&mut *server, &second.correlation, sent()).kind(), "binary");
    let violation = violation(&mut *server, &Frame::Binary(Bytes::from_static(b"{}")));
    assert_eq!(violation.answer.map(|frame| frame.kind()), Some("binary"));
}

#[test]
fn the_ids_of_replies_differ() {
    let mut server = server();
    let id = |frame: &Frame| json(frame)["errors"]["id"].as_i64();
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let violation = violation(&mut *server, &Frame::text("{}"));
        ids.insert(id(&violation.answer.expect("it is answered")));
        let correlation = decode(&mut *server, &signed("all_flow", json!({}))).correlation;
        ids.insert(id(&respond(&mut *server, &correlation, Err(Fault::Internal))));
    }
    assert_eq!((ids.len(), ids.contains(&None)), (100, false));
}

fn changes(server: &mut dyn ServerSession, kind: &str, messages: Vec<Message>) -> Value {
    let correlation = decode(server, &signed(kind, json!({"time": 0}))).correlation;
    let changes = Changes { messages, flows: Vec::new(), user: None, until: *NOW, more: false };
    let answer = Answer::Changes(Box::new(changes));
    json(&respond(server, &correlation, Ok(answer)))["data"].take()
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
fn a_deleted_message_has_no_content() {
    let content = Content {
        attachments: vec![Attachment { kind: AttachmentKind::Picture, data: "QQ==".into() }],
        emoji: Some("RQ==".into()),
        reply_to: Some(message_id(3)),
        ..Content::text("secret")
    };
    let deleted =
        Message { content, edited_at: Some(*NOW), deleted_at: Some(*NOW), ..message(1, "") };
    let deleted = changes(&mut *server(), "get_update", vec![deleted])["message"].take();
    assert_eq!(
        deleted,
        json!({"id": 1, "text": "", "from_user": {"id": 2, "username": "user2"},
            "time": 1_594_492_370.522_599, "from_flow": {"id": 5, "type": "group"},
            "edited_message": {"time": 1_594_492_370.522_599, "status": true}, "reply_to": null})
    );
}

#[test]
fn an_answer_of_another_request_is_unsupported() {
    let mut server = server();
    let correlation = decode(&mut *server, &signed("all_flow", json!({}))).correlation;
    let mut frames = Vec::new();
    let response = Response::new(correlation, Ok(Answer::TypingShown));
    server
        .respond(*NOW, &response, &RenderContext::EMPTY, &mut frames)
        .expect_err("it is no list of flows");
    assert!(frames.is_empty());
}
