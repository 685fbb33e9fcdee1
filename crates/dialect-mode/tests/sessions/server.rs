//! The server's end: requests to asks, replies to frames, misbehaviour to its answer.

use crate::{
    NOW, ask_text, flow, flow_id, identity, json, message, overview, reply, say, server, text,
    user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use tolmach_dialect::{Dialect, Echo, Frame, Line, Opening, Settings, Side, ViolationKind};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, Command, Content, ContentType, Credentials, Fault, FlowKind, FlowKindFilter, Grant,
    GrantKind, HistoryRange, Message, MessagePage, NewMessage, RecoveryIdentifier, Registration,
    Secret, Tokens, UserSummary, Version,
};

fn registration(email: Option<&str>) -> Command {
    Command::Register(Box::new(Registration {
        login: Some("ann".into()),
        password: Secret::new("p"),
        username: Some("ann".into()),
        email: email.map(str::to_owned),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Token,
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
fn every_request_asks_its_command() {
    let token = || Credentials::Token(Secret::new("t"));
    for (request, proof, command) in [
        (
            r#"{"mode":"register","timestamp":1,"username":"ann","password":"p","email":"a@example.org"}"#,
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
            r#"{"mode":"recovery","timestamp":1,"username":"ann","known_data":"a@example.org","known_data_type":"email"}"#,
            Credentials::Nothing,
            Command::Recover { known: RecoveryIdentifier::Email("a@example.org".into()) },
        ),
        (
            r#"{"mode":"recovery","timestamp":1,"known_data":"bob","known_data_type":"username","username":null}"#,
            Credentials::Nothing,
            Command::Recover { known: RecoveryIdentifier::Login("bob".into()) },
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
                window: HistoryRange::All,
            },
        ),
        (
            r#"{"mode":"sendMessage","timestamp":1,"token":"t","chat_id":5,"content":"hi","content_type":"text"}"#,
            token(),
            send(FlowKindFilter::Any, ContentType::Text),
        ),
        (
            r#"{"mode":"sendGroupMessage","timestamp":1,"token":"t","chat_id":5,"content":"hi","content_type":"text"}"#,
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
        let ask = ask_text(&mut *server(), request);
        assert_eq!((ask.proof, ask.command), (proof, command), "{request}");
    }
}

#[test]
fn content_types_are_read_and_said() {
    let long = "ж".repeat(64);
    for (name, content_type) in [
        ("text", ContentType::Text),
        ("picture", ContentType::Image),
        ("file", ContentType::File),
        ("sticker", ContentType::Sticker),
        ("image", ContentType::Other("image".into())),
        (&long, ContentType::Other(long.as_str().into())),
    ] {
        let request = json!({"mode": "sendMessage", "token": "t", "chat_id": 5, "content": "hi", "content_type": name});
        assert_eq!(
            ask_text(&mut *server(), &request.to_string()).command,
            send(FlowKindFilter::Any, content_type.clone()),
            "{name}"
        );

        let mut server = server();
        let ask = ask_text(&mut *server, r#"{"mode":"getMessages","token":"t","chat_id":5}"#);
        let said =
            Message { content: Content { content_type, ..Content::text("hi") }, ..message(1, "") };
        let page = MessagePage { flow: flow_id(5), messages: vec![said], version: Version(1) };
        let frame = say(
            &mut *server,
            &reply(&ask.echo, Some(identity(1)), Ok(Answer::History(Box::new(page)))),
        );
        assert_eq!(json(&frame)["messages"][0]["content_type"], name);
    }
    let left_out = r#"{"mode":"sendMessage","token":"t","chat_id":5,"content":"hi"}"#;
    assert_eq!(
        ask_text(&mut *server(), left_out).command,
        send(FlowKindFilter::Any, ContentType::Text)
    );
}

#[test]
fn every_answer_has_its_reply_in_the_form_of_the_request() {
    let flows = vec![
        overview(flow(5, FlowKind::Chat, ""), &[1, 2]),
        overview(flow(6, FlowKind::Group, "Friends"), &[]),
        overview(flow(7, FlowKind::Channel, "News"), &[]),
    ];
    let author = UserSummary {
        id: user_id(2),
        login: "login2".into(),
        username: "user2".into(),
        name: "Name 2".into(),
    };
    let messages = vec![
        Message { author: author.clone(), ..message(10, "one") },
        Message { author, ..message(11, "\"two\"\nдва") },
    ];
    let page = MessagePage { flow: flow_id(5), messages, version: Version(2) };
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
                r#""status":200,"chats":[{"chat_id":5,"chat_name":"user2","chat_type":"personal"},"#,
                r#"{"chat_id":6,"chat_name":"Friends","chat_type":"group"},{"chat_id":7,"chat_name":"News","chat_type":"group"}]"#
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
                r#"{"message_id":10,"from_id":2,"from_name":"user2","content":"one","content_type":"text","content_time":MOMENT},"#,
                r#"{"message_id":11,"from_id":2,"from_name":"user2","content":"\"two\"\nдва","content_type":"text","content_time":MOMENT}]"#
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
        for (timestamp, moment) in [
            ("", r#""2020-07-11 18:32:50""#),
            (r#","timestamp":"2001-01-01 00:00:00""#, r#""2020-07-11 18:32:50""#),
            (r#","timestamp":null"#, r#""2020-07-11 18:32:50""#),
            (r#","timestamp":978307200"#, "1594492370.522599"),
        ] {
            let mut server = server();
            let ask = ask_text(&mut *server, &format!("{{{request}{timestamp}}}"));
            let frame = say(&mut *server, &reply(&ask.echo, Some(identity(1)), Ok(answer.clone())));
            let mode = request.split(',').next().expect("a split has a first part");
            let expected =
                format!(r#"{{{mode},"timestamp":{moment},{}}}"#, payload.replace("MOMENT", moment));
            assert_eq!(text(&frame), expected);
        }
    }
}

#[test]
fn every_fault_is_answered_in_the_form_of_its_operation() {
    let requests = [
        (r#"{"mode":"register","username":"ann","password":"p","email":null}"#, true),
        (r#"{"mode":"auth","username":"ann","password":"p"}"#, true),
        (r#"{"mode":"recovery","known_data":"ann","known_data_type":"username"}"#, false),
        (r#"{"mode":"logout","token":"t"}"#, false),
        (r#"{"mode":"getChats","token":"t"}"#, false),
        (r#"{"mode":"getMessages","token":"t","chat_id":5}"#, false),
        (r#"{"mode":"sendMessage","token":"t","chat_id":5,"content":"hi"}"#, false),
        (r#"{"mode":"sendGroupMessage","token":"t","chat_id":5,"content":"hi"}"#, false),
    ];
    for (fault, status) in [
        (Fault::Unauthenticated, 401),
        (Fault::WrongCredentials { login_exists: true }, 401),
        (Fault::WrongCredentials { login_exists: false }, 401),
        (Fault::LoginTaken, 409),
        (Fault::NoProfile, 403),
        (Fault::ProfileExists, 409),
        (Fault::NoSuchUser, 404),
        (Fault::NoSuchFlow, 404),
        (Fault::NoSuchMessage, 404),
        (Fault::NoPhoto, 404),
        (Fault::WrongKind, 400),
        (Fault::NotOwner, 403),
        (Fault::NotAuthor, 403),
        (Fault::NotAdministrator, 403),
        (Fault::NoBusiness, 403),
        (Fault::AlreadyMember, 409),
        (Fault::NotMember, 404),
        (Fault::invalid("password", "too long"), 422),
        (Fault::TooMany { retry_after: Duration::from_secs(30) }, 429),
        (Fault::Unavailable, 503),
        (Fault::Internal, 500),
    ] {
        for (request, token) in requests {
            let mut server = server();
            let ask = ask_text(&mut *server, request);
            let frame = say(&mut *server, &reply(&ask.echo, None, Err(fault.clone())));
            let mode =
                serde_json::from_str::<Value>(request).expect("a request is JSON")["mode"].clone();
            let said = json(&frame);
            let keys: Vec<&str> = ["mode", "timestamp", "status", "error_msg", "token"]
                .into_iter()
                .take(if token { 5 } else { 4 })
                .collect();
            let positions: Vec<_> =
                keys.iter().map(|key| text(&frame).find(&format!("\"{key}\":"))).collect();
            assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{frame:?}");
            assert_eq!(said.as_object().map(|object| object.len()), Some(keys.len()), "{frame:?}");
            assert_eq!(
                (&said["mode"], &said["status"], &said["token"]),
                (&mode, &json!(status), &Value::Null)
            );
        }
    }
}

#[test]
fn misbehaviour_is_answered_and_costs_nothing_more() {
    use ViolationKind::{FrameKind, Shape, Syntax, UnknownMethod};
    let mode64 = "m".repeat(64);
    let long_mode = format!(r#"{{"mode":"{mode64}xx"}}"#);
    let deep = format!(r#"{{"mode":"auth","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let long_type = format!(
        r#"{{"mode":"sendMessage","token":"t","chat_id":5,"content":"","content_type":"{}"}}"#,
        "x".repeat(65)
    );
    let message = |field: &str| {
        let mut request = json!({"mode": "sendMessage", "token": "t", "chat_id": 5, "content": "hi", "content_type": "text"});
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
        let mut lines = vec![];
        let mut server = server();
        let violation =
            server.decode(*NOW, &Frame::text(request.to_owned()), &mut lines).expect_err(request);
        assert!(lines.is_empty(), "{request}");
        assert_eq!((violation.kind, violation.close), (kind, None), "{request}");
        let mut expected = json!({"mode": mode, "timestamp": "2020-07-11 18:32:50", "status": status, "error_msg": error});
        if matches!(mode, Some("auth" | "register")) {
            expected["token"] = Value::Null;
        }
        assert_eq!(
            json(violation.answer.as_ref().expect("a server answers every violation")),
            expected,
            "{request}"
        );
        ask_text(&mut *server, r#"{"mode":"getChats","token":"t"}"#);
    }
    for frame in [
        Frame::Binary(Bytes::from_static(br#"{"mode":"auth"}"#)),
        Frame::Value(Bytes::from_static(b"{}")),
    ] {
        let violation =
            server().decode(*NOW, &frame, &mut Vec::new()).expect_err("only text is heard");
        assert_eq!(violation.kind, FrameKind);
        assert_eq!(
            json(violation.answer.as_ref().expect("a server answers every violation"))["status"],
            400
        );
    }
}

#[test]
fn misbehaviour_is_answered_in_the_form_of_its_timestamp() {
    for (request, status) in [
        (r#"{"timestamp":1}"#, 400),
        (r#"{"timestamp":1,"mode":"x"}"#, 501),
        (r#"{"timestamp":1,"mode":"getChats"}"#, 422),
        (r#"{"timestamp":1e999,"mode":"getChats","token":null}"#, 401),
    ] {
        let violation =
            server().decode(*NOW, &Frame::text(request), &mut Vec::new()).expect_err(request);
        let answer = json(violation.answer.as_ref().expect("a server answers every violation"));
        assert_eq!(
            (&answer["timestamp"], &answer["status"]),
            (&json!(1_594_492_370.522_599), &json!(status)),
            "{request}"
        );
    }
}

#[test]
fn the_depth_is_the_operators() {
    let opening =
        Opening { settings: Settings { depth: 2, ..Settings::default() }, ..crate::opening() };
    let mut server = Mode.open(&opening, Side::Server).expect("this dialect refuses no opening");
    ask_text(&mut *server, r#"{"mode":"getChats","token":"t","x":[]}"#);
    let deeper = Frame::text(r#"{"mode":"getChats","token":"t","x":[[]]}"#);
    assert_eq!(
        server.decode(*NOW, &deeper, &mut Vec::new()).expect_err("too deep").kind,
        ViolationKind::Shape
    );
}

#[test]
fn what_a_reply_cannot_say_is_a_loss() {
    let mut server = server();
    let auth = ask_text(&mut *server, r#"{"mode":"auth","username":"ann","password":"p"}"#);
    let chats = ask_text(&mut *server, r#"{"mode":"getChats","token":"t"}"#);
    let pair = Tokens::Pair { access: Secret::new("a"), refresh: Secret::new("r") };
    for line in [
        reply(&auth.echo, Some(identity(1)), Ok(granted(pair))),
        reply(&auth.echo, Some(identity(1)), Ok(granted(Tokens::Connection))),
        reply(&auth.echo, Some(identity(1)), Ok(Answer::LoggedOut)),
        reply(&chats.echo, Some(identity(1)), Ok(Answer::Users(Vec::new()))),
        reply(&Echo::NONE, Some(identity(1)), Ok(Answer::LoggedOut)),
        reply(&Echo::new("another dialect's"), None, Err(Fault::Internal)),
        Line::Ask(chats.clone()),
    ] {
        let mut frames = Vec::new();
        assert_eq!(
            server.encode(*NOW, &line, &mut frames).expect_err("the wire cannot say it").dialect,
            "mode"
        );
        assert!(frames.is_empty());
        assert_eq!(
            server.interest(),
            tolmach_dialect::Interest::Nothing,
            "what was not said proves nothing"
        );
    }
}

#[test]
fn a_chat_is_named_by_what_is_known() {
    let mut server = server();
    let ask = ask_text(&mut *server, r#"{"mode":"getChats","token":"t"}"#);
    for (title, members, viewer, name) in [
        ("", &[1, 2][..], Some(identity(1)), "user2"),
        ("", &[1, 2], Some(identity(2)), "user1"),
        ("user2", &[], Some(identity(1)), "user2"),
        ("user2", &[], None, "user2"),
        ("", &[1, 2], None, "user1, user2"),
        ("", &[], None, ""),
    ] {
        let flows = vec![overview(flow(5, FlowKind::Chat, title), members)];
        let frame = say(&mut *server, &reply(&ask.echo, viewer, Ok(Answer::Flows(flows))));
        assert_eq!(json(&frame)["chats"][0]["chat_name"], name, "{title:?} {members:?} {viewer:?}");
    }
}
