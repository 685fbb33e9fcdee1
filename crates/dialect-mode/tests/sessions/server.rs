//! The server's side: requests are decoded, responses encoded, violations answered.

use crate::{
    CONNECTION, NOW, decode, flow_id, flow_summary, identity, json, message, respond, server, text,
    user, violation,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{
    Correlation, Dialect, Frame, Handshake, RenderContext, Response, ViolationKind,
};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, Command, Content, ContentType, Credentials, Fault, FlowKind, FlowKindFilter, Grant,
    GrantKind, HistoryRange, Message, MessagePage, NewMessage, RecoveryIdentifier, Registration,
    Secret, Tokens,
};

fn registration(email: Option<&str>) -> Command {
    Command::Register(Box::new(Registration {
        email: email.map(str::to_owned),
        ..Registration::new("ann", Secret::new("p"), GrantKind::Token)
    }))
}

fn send(kinds: FlowKindFilter, content_type: ContentType) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(5),
        kinds,
        content: Content { content_type, ..Content::text("hi") },
        key: None,
    }))
}

fn granted(tokens: Tokens) -> Answer {
    Answer::Granted(Box::new(Grant { user: None, tokens }))
}

#[test]
fn every_request_is_decoded() {
    let token = || Credentials::Token(Secret::new("t"));
    for (request, credentials, command) in [
        (
            concat!(
                r#"{"mode":"register","timestamp":1,"username":"ann","password":"p","#,
                r#""email":"a@example.org"}"#
            ),
            Credentials::Nothing,
            registration(Some("a@example.org")),
        ),
        (
            r#"{"mode":"register","timestamp":1,"username":"ann","password":"p","email":null}"#,
            Credentials::Nothing,
            registration(None),
        ),
        (
            r#"{"mode":"auth","timestamp":1,"username":"ann","password":"p"}"#,
            Credentials::Nothing,
            Command::Login {
                identifier: "ann".into(),
                password: Secret::new("p"),
                grant: GrantKind::Token,
            },
        ),
        (
            concat!(
                r#"{"mode":"recovery","timestamp":1,"username":"ann","#,
                r#""known_data":"a@example.org","known_data_type":"email"}"#
            ),
            Credentials::Nothing,
            Command::Recover { identifier: RecoveryIdentifier::Email("a@example.org".into()) },
        ),
        (
            concat!(
                r#"{"mode":"recovery","timestamp":1,"known_data":"bob","#,
                r#""known_data_type":"username","username":null}"#
            ),
            Credentials::Nothing,
            Command::Recover { identifier: RecoveryIdentifier::Login("bob".into()) },
        ),
        (
            r#"{"mode":"logout","timestamp":1,"token":"t","username":"ann"}"#,
            token(),
            Command::Logout { login: Some("ann".into()) },
        ),
        (
            r#"{"mode":"logout","timestamp":1,"token":"t"}"#,
            token(),
            Command::Logout { login: None },
        ),
        (
            r#"{"mode":"getChats","timestamp":1,"token":"t"}"#,
            token(),
            Command::ListFlows { limit: None, offset: 0, members: false },
        ),
        (
            r#"{"mode":"getMessages","timestamp":1,"token":"t","chat_id":5}"#,
            token(),
            Command::History {
                flow: flow_id(5),
                kinds: FlowKindFilter::Any,
                range: HistoryRange::All,
                mark_read: false,
            },
        ),
        (
            concat!(
                r#"{"mode":"sendMessage","timestamp":1,"token":"t","chat_id":5,"#,
                r#""content":"hi","content_type":"text"}"#
            ),
            token(),
            send(FlowKindFilter::Any, ContentType::Text),
        ),
        (
            concat!(
                r#"{"mode":"sendGroupMessage","timestamp":1,"token":"t","chat_id":5,"#,
                r#""content":"hi","content_type":"text"}"#
            ),
            token(),
            send(FlowKindFilter::Shared, ContentType::Text),
        ),
        // Without a timestamp, in another order, with fields of other operations and of none.
        (
            r#" {"x":[{}],"password":7,"token":"t","mode":"getChats"}"#,
            token(),
            Command::ListFlows { limit: None, offset: 0, members: false },
        ),
    ] {
        let decoded = decode(&mut *server(), request);
        assert_eq!((decoded.credentials, decoded.command), (credentials, command), "{request}");
    }
}

#[test]
fn content_types_are_decoded_and_encoded() {
    let long = "ж".repeat(64);
    for (name, content_type) in [
        ("text", ContentType::Text),
        ("picture", ContentType::Image),
        ("file", ContentType::File),
        ("sticker", ContentType::Sticker),
        ("image", ContentType::Other("image".into())),
        (&long, ContentType::Other(long.as_str().into())),
    ] {
        let request = json!({"mode": "sendMessage", "token": "t", "chat_id": 5,
            "content": "hi", "content_type": name});
        assert_eq!(
            decode(&mut *server(), &request.to_string()).command,
            send(FlowKindFilter::Any, content_type.clone()),
            "{name}"
        );

        let mut server = server();
        let correlation =
            decode(&mut *server, r#"{"mode":"getMessages","token":"t","chat_id":5}"#).correlation;
        let content = Content { content_type, ..Content::text("hi") };
        let page = MessagePage::new(flow_id(5), vec![Message { content, ..message(1, "") }]);
        let history = Ok(Answer::History(Box::new(page)));
        let frame = respond(&mut *server, &correlation, Some(identity(1)), history);
        assert_eq!(json(&frame)["messages"][0]["content_type"], name);
    }
    let left_out = r#"{"mode":"sendMessage","token":"t","chat_id":5,"content":"hi"}"#;
    assert_eq!(
        decode(&mut *server(), left_out).command,
        send(FlowKindFilter::Any, ContentType::Text)
    );
}

#[test]
fn every_answer_is_encoded_in_the_form_of_its_request() {
    let flows = vec![
        flow_summary(5, FlowKind::Chat, "", &[1, 2]),
        flow_summary(6, FlowKind::Group, "Friends", &[]),
        flow_summary(7, FlowKind::Channel, "News", &[]),
    ];
    let author = user(2).summary();
    let messages = vec![
        Message { author: author.clone(), ..message(10, "one") },
        Message { author, ..message(11, "\"two\"\nдва") },
    ];
    let page = MessagePage::new(flow_id(5), messages);
    let sent = Answer::Sent { message: Some(Box::new(message(1, "hi"))), repeated: false };
    for (request, answer, payload) in [
        (
            r#""mode":"register","username":"ann","password":"p","email":"a@example.org""#,
            granted(Tokens::Token(Secret::new("t"))),
            r#""status":200,"token":"t""#,
        ),
        (
            r#""mode":"auth","username":"ann","password":"p""#,
            granted(Tokens::Token(Secret::new("t"))),
            r#""status":200,"token":"t""#,
        ),
        (
            r#""mode":"recovery","known_data":"ann","known_data_type":"username""#,
            Answer::RecoveryAccepted,
            r#""status":202"#,
        ),
        (r#""mode":"logout","token":"t""#, Answer::LoggedOut, r#""status":200"#),
        (
            r#""mode":"getChats","token":"t""#,
            Answer::Flows(flows),
            concat!(
                r#""status":200,"chats":[{"chat_id":5,"chat_name":"user2","#,
                r#""chat_type":"personal"},"#,
                r#"{"chat_id":6,"chat_name":"Friends","chat_type":"group"},{"chat_id":7,"#,
                r#""chat_name":"News","chat_type":"group"}]"#
            ),
        ),
        (
            r#""mode":"getChats","token":"t""#,
            Answer::Flows(Vec::new()),
            r#""status":200,"chats":[]"#,
        ),
        (
            r#""mode":"getMessages","token":"t","chat_id":5"#,
            Answer::History(Box::new(page)),
            concat!(
                r#""status":200,"messages":["#,
                r#"{"message_id":10,"from_id":2,"from_name":"user2","content":"one","#,
                r#""content_type":"text","content_time":TIME},"#,
                r#"{"message_id":11,"from_id":2,"from_name":"user2","#,
                r#""content":"\"two\"\nдва","content_type":"text","content_time":TIME}]"#
            ),
        ),
        (
            r#""mode":"sendMessage","token":"t","chat_id":5,"content":"hi""#,
            sent.clone(),
            r#""status":200"#,
        ),
        (
            r#""mode":"sendGroupMessage","token":"t","chat_id":5,"content":"hi""#,
            sent,
            r#""status":200"#,
        ),
    ] {
        for (timestamp, time) in [
            ("", r#""2020-07-11 18:32:50""#),
            (r#","timestamp":"2001-01-01 00:00:00""#, r#""2020-07-11 18:32:50""#),
            (r#","timestamp":null"#, r#""2020-07-11 18:32:50""#),
            (r#","timestamp":[1]"#, r#""2020-07-11 18:32:50""#),
            (r#","timestamp":978307200"#, "1594492370.522599"),
            (r#","timestamp":-1.5"#, "1594492370.522599"),
        ] {
            let mut server = server();
            let request = format!("{{{request}{timestamp}}}");
            let correlation = decode(&mut *server, &request).correlation;
            let identity = Some(identity(1));
            let frame = respond(&mut *server, &correlation, identity, Ok(answer.clone()));
            let mode = request.split(',').next().expect("a split has a first part");
            let payload = payload.replace("TIME", time);
            let expected = format!(r#"{mode},"timestamp":{time},{payload}}}"#);
            assert_eq!(text(&frame), expected);
        }
    }
}

#[test]
fn a_violation_is_answered_and_the_session_goes_on() {
    use ViolationKind::{FrameKind, Shape, Syntax, UnknownMethod};
    let mode64 = "m".repeat(64);
    let long_mode = format!(r#"{{"mode":"{mode64}xx"}}"#);
    let deep = format!(r#"{{"mode":"auth","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let long_type = format!(
        r#"{{"mode":"sendMessage","token":"t","chat_id":5,"content":"","content_type":"{}"}}"#,
        "x".repeat(65)
    );
    let message = |field: &str| {
        let mut request = json!({"mode": "sendMessage", "token": "t", "chat_id": 5,
            "content": "hi", "content_type": "text"});
        let edit: Value = serde_json::from_str(field).expect("an edit is JSON");
        for (key, value) in edit.as_object().expect("an edit is an object") {
            request[key] = value.clone();
        }
        request.to_string()
    };
    let expected_type = "content_type: 1 to 64 characters are expected";
    let expected_id = "chat_id: an integer is expected";
    let no_token = "the token is missing, unknown or expired";
    for (request, kind, mode, status, error) in [
        ("", Syntax, None, 400, "JSON is expected"),
        ("{'mode': 'auth'}", Syntax, None, 400, "JSON is expected"),
        (r#"{"mode":"auth""#, Syntax, None, 400, "JSON is expected"),
        ("[]", Shape, None, 400, "a JSON object that names each field once is expected"),
        (r#"["auth"]"#, Shape, None, 400, "a JSON object that names each field once is expected"),
        ("null", Shape, None, 400, "a JSON object that names each field once is expected"),
        (
            r#"{"mode":"auth","mode":"auth"}"#,
            Shape,
            None,
            400,
            "a JSON object that names each field once is expected",
        ),
        (&deep, Shape, None, 400, "at most 64 levels of nesting are expected"),
        ("{}", Shape, None, 400, "mode: a string is expected"),
        (r#"{"mode":null}"#, Shape, None, 400, "mode: a string is expected"),
        (r#"{"mode":{"mode":"auth"}}"#, Shape, None, 400, "mode: a string is expected"),
        (r#"{"mode":"Auth"}"#, UnknownMethod, Some("Auth"), 501, "unknown mode"),
        (r#"{"mode":""}"#, UnknownMethod, Some(""), 501, "unknown mode"),
        (&long_mode, UnknownMethod, Some(&*mode64), 501, "unknown mode"),
        (r#"{"mode":"getChats"}"#, Shape, Some("getChats"), 422, "token: missing"),
        (
            r#"{"mode":"getChats","token":5}"#,
            Shape,
            Some("getChats"),
            422,
            "token: a string is expected",
        ),
        (r#"{"mode":"getChats","token":null}"#, Shape, Some("getChats"), 401, no_token),
        (r#"{"mode":"getMessages","token":null}"#, Shape, Some("getMessages"), 401, no_token),
        (
            r#"{"mode":"getMessages","token":"t"}"#,
            Shape,
            Some("getMessages"),
            422,
            "chat_id: missing",
        ),
        (&message(r#"{"chat_id":null}"#), Shape, Some("sendMessage"), 422, expected_id),
        (&message(r#"{"chat_id":"5"}"#), Shape, Some("sendMessage"), 422, expected_id),
        (&message(r#"{"chat_id":5.5}"#), Shape, Some("sendMessage"), 422, expected_id),
        (&message(r#"{"chat_id":true}"#), Shape, Some("sendMessage"), 422, expected_id),
        (&message(r#"{"chat_id":0}"#), Shape, Some("sendMessage"), 404, "no such chat"),
        (&message(r#"{"chat_id":-5}"#), Shape, Some("sendMessage"), 404, "no such chat"),
        (
            &message(r#"{"chat_id":9007199254740992}"#),
            Shape,
            Some("sendMessage"),
            404,
            "no such chat",
        ),
        (
            r#"{"mode":"getMessages","token":"t","chat_id":1e999}"#,
            Shape,
            Some("getMessages"),
            422,
            expected_id,
        ),
        (
            &message(r#"{"content":null}"#),
            Shape,
            Some("sendMessage"),
            422,
            "content: a string is expected",
        ),
        (
            &message(r#"{"content":["hi"]}"#),
            Shape,
            Some("sendMessage"),
            422,
            "content: a string is expected",
        ),
        (
            &message(r#"{"content_type":1}"#),
            Shape,
            Some("sendMessage"),
            422,
            "content_type: a string is expected",
        ),
        (&message(r#"{"content_type":""}"#), Shape, Some("sendMessage"), 422, expected_type),
        (&message(r#"{"content_type":"a\u0000"}"#), Shape, Some("sendMessage"), 422, expected_type),
        (&long_type, Shape, Some("sendMessage"), 422, expected_type),
        (r#"{"mode":"auth","username":"ann"}"#, Shape, Some("auth"), 422, "password: missing"),
        (
            r#"{"mode":"auth","username":null,"password":"p"}"#,
            Shape,
            Some("auth"),
            422,
            "username: a string is expected",
        ),
        (
            r#"{"mode":"auth","username":"\ud800","password":"p"}"#,
            Shape,
            Some("auth"),
            422,
            "username: a string is expected",
        ),
        (
            r#"{"mode":"register","username":"ann","password":"p"}"#,
            Shape,
            Some("register"),
            422,
            "email: missing",
        ),
        (
            r#"{"mode":"register","username":"ann","password":"p","email":1}"#,
            Shape,
            Some("register"),
            422,
            "email: a string is expected",
        ),
        (
            r#"{"mode":"recovery","known_data":"ann"}"#,
            Shape,
            Some("recovery"),
            422,
            "known_data_type: missing",
        ),
        (
            r#"{"mode":"recovery","known_data":"ann","known_data_type":"phone"}"#,
            Shape,
            Some("recovery"),
            422,
            "known_data_type: \"email\" or \"username\" is expected",
        ),
        (
            r#"{"mode":"recovery","username":1,"known_data":"ann","known_data_type":"username"}"#,
            Shape,
            Some("recovery"),
            422,
            "username: a string is expected",
        ),
        (
            r#"{"mode":"logout","token":"t","username":{}}"#,
            Shape,
            Some("logout"),
            422,
            "username: a string is expected",
        ),
    ] {
        let mut server = server();
        let (violation, answer) = violation(&mut *server, &Frame::text(request.to_owned()));
        assert_eq!(violation.kind, kind, "{request}");
        let mut expected = json!({"mode": mode, "timestamp": "2020-07-11 18:32:50",
            "status": status, "error_msg": error});
        if matches!(mode, Some("auth" | "register")) {
            expected["token"] = Value::Null;
        }
        assert_eq!(answer, expected, "{request}");
        decode(&mut *server, r#"{"mode":"getChats","token":"t"}"#);
    }
    for frame in [
        Frame::Binary(Bytes::from_static(br#"{"mode":"auth"}"#)),
        Frame::Value(Bytes::from_static(b"{}")),
    ] {
        let (violation, answer) = violation(&mut *server(), &frame);
        assert_eq!((violation.kind, &answer["status"]), (FrameKind, &json!(400)));
    }
}

#[test]
fn a_violation_is_answered_in_the_form_of_its_timestamp() {
    for (request, status) in [
        (r#"{"timestamp":1}"#, 400),
        (r#"{"timestamp":1,"mode":"x"}"#, 501),
        (r#"{"timestamp":1,"mode":"getChats"}"#, 422),
        (r#"{"timestamp":1e999,"mode":"getChats","token":null}"#, 401),
    ] {
        let (_, answer) = violation(&mut *server(), &Frame::text(request));
        assert_eq!(
            (&answer["timestamp"], &answer["status"]),
            (&json!(1_594_492_370.522_599), &json!(status)),
            "{request}"
        );
    }
}

#[test]
fn the_server_sets_the_depth_of_nesting() {
    let handshake = Handshake::new(CONNECTION).max_json_depth(2);
    let mut server = Mode::default().accept(&handshake).expect("every handshake is accepted");
    decode(&mut *server, r#"{"mode":"getChats","token":"t","x":[]}"#);
    let deeper = Frame::text(r#"{"mode":"getChats","token":"t","x":[[]]}"#);
    assert_eq!(violation(&mut *server, &deeper).0.kind, ViolationKind::Shape);
}

#[test]
fn responses_without_a_frame_are_unsupported() {
    let mut server = server();
    let mut correlation = |request| decode(&mut *server, request).correlation;
    let auth = correlation(r#"{"mode":"auth","username":"ann","password":"p"}"#);
    let chats = correlation(r#"{"mode":"getChats","token":"t"}"#);
    let pair = Tokens::Pair { access: Secret::new("a"), refresh: Secret::new("r") };
    for (correlation, outcome) in [
        (auth.clone(), Ok(granted(pair))),
        (auth.clone(), Ok(granted(Tokens::Connection))),
        (auth, Ok(Answer::LoggedOut)),
        (chats, Ok(Answer::Users(Vec::new()))),
        (Correlation::NONE, Ok(Answer::LoggedOut)),
        (Correlation::new("another dialect's"), Err(Fault::Internal)),
    ] {
        let response = Response { correlation, identity: Some(identity(1)), outcome };
        let mut frames = Vec::new();
        let error = server
            .respond(*NOW, &response, &RenderContext::EMPTY, &mut frames)
            .expect_err("the wire has no frame for it");
        assert_eq!((error.dialect, frames), ("mode", vec![]));
    }
}

#[test]
fn a_chat_has_the_name_that_can_be_known() {
    let mut server = server();
    let correlation = decode(&mut *server, r#"{"mode":"getChats","token":"t"}"#).correlation;
    for (title, members, viewer, name) in [
        ("", &[1, 2][..], Some(identity(1)), "user2"),
        ("", &[1, 2], Some(identity(2)), "user1"),
        ("user2", &[], Some(identity(1)), "user2"),
        ("user2", &[], None, "user2"),
        ("", &[1, 2], None, "user1, user2"),
        ("", &[], None, ""),
    ] {
        let flows = Answer::Flows(vec![flow_summary(5, FlowKind::Chat, title, members)]);
        let frame = respond(&mut *server, &correlation, viewer, Ok(flows));
        assert_eq!(json(&frame)["chats"][0]["chat_name"], name, "{title:?} {members:?} {viewer:?}");
    }
}
