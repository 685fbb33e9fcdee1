//! The client's side: requests are encoded, replies decoded.

use crate::{
    NOW, client, decode, encode, flow_id, flow_summary, json, message, respond, response, server,
    text, user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, Frame, InvalidReply, Request, Unsupported, ViolationKind,
};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Command, Content, ContentType, Credentials,
    FlowKind, FlowKindFilter, Grant, GrantKind, HistoryRange, MessagePage, NewFlow, NewMessage,
    PhotoOf, Profile, RecoveryIdentifier, Registration, Secret, Tokens, UserRef,
};

fn request(credentials: Credentials, command: Command) -> Request {
    Request::new(Correlation::NONE, credentials, command)
}

fn token() -> Credentials {
    Credentials::Token(Secret::new("t"))
}

fn registration() -> Registration {
    Registration {
        email: Some("a@example.org".into()),
        ..Registration::new("ann", Secret::new("p"), GrantKind::Token)
    }
}

fn login(grant: GrantKind) -> Command {
    Command::Login { identifier: "ann".into(), password: Secret::new("p"), grant }
}

fn list(limit: Option<u32>, offset: u32) -> Command {
    Command::ListFlows { limit, offset, members: false }
}

fn history(kinds: FlowKindFilter, range: HistoryRange) -> Command {
    Command::History { flow: flow_id(5), kinds, range, mark_read: false }
}

fn send(kinds: FlowKindFilter, content: Content) -> Command {
    Command::Send(Box::new(NewMessage { flow: flow_id(5), kinds, content, key: None }))
}

/// Requests that the wire carries without loss: the request, its frame, and an answer that the wire
/// carries without loss too.
fn lossless() -> Vec<(Credentials, Command, &'static str, Answer)> {
    let granted =
        || Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Token(Secret::new("t")) }));
    let flows = vec![
        flow_summary(5, FlowKind::Chat, "user2", &[]),
        flow_summary(6, FlowKind::Group, "Friends", &[]),
    ];
    let page = MessagePage::new(flow_id(5), vec![message(10, "one"), message(11, "two")]);
    vec![
        (
            Credentials::Nothing,
            Command::Register(Box::new(registration())),
            concat!(
                r#"{"mode":"register","timestamp":NOW,"username":"ann","password":"p","#,
                r#""email":"a@example.org"}"#
            ),
            granted(),
        ),
        (
            Credentials::Nothing,
            Command::Register(Box::new(Registration { email: None, ..registration() })),
            r#"{"mode":"register","timestamp":NOW,"username":"ann","password":"p","email":null}"#,
            granted(),
        ),
        (
            Credentials::Nothing,
            login(GrantKind::Token),
            r#"{"mode":"auth","timestamp":NOW,"username":"ann","password":"p"}"#,
            granted(),
        ),
        (
            Credentials::Nothing,
            Command::Recover { identifier: RecoveryIdentifier::Email("a@example.org".into()) },
            concat!(
                r#"{"mode":"recovery","timestamp":NOW,"known_data":"a@example.org","#,
                r#""known_data_type":"email"}"#
            ),
            Answer::RecoveryAccepted,
        ),
        (
            Credentials::Nothing,
            Command::Recover { identifier: RecoveryIdentifier::Login("ann".into()) },
            concat!(
                r#"{"mode":"recovery","timestamp":NOW,"known_data":"ann","#,
                r#""known_data_type":"username"}"#
            ),
            Answer::RecoveryAccepted,
        ),
        (
            token(),
            Command::Logout { login: Some("ann".into()) },
            r#"{"mode":"logout","timestamp":NOW,"token":"t","username":"ann"}"#,
            Answer::LoggedOut,
        ),
        (
            token(),
            Command::Logout { login: None },
            r#"{"mode":"logout","timestamp":NOW,"token":"t"}"#,
            Answer::LoggedOut,
        ),
        (
            token(),
            list(None, 0),
            r#"{"mode":"getChats","timestamp":NOW,"token":"t"}"#,
            Answer::Flows(flows),
        ),
        (
            token(),
            history(FlowKindFilter::Any, HistoryRange::All),
            r#"{"mode":"getMessages","timestamp":NOW,"token":"t","chat_id":5}"#,
            Answer::History(Box::new(page)),
        ),
        (
            token(),
            send(FlowKindFilter::Any, Content::text("hi")),
            concat!(
                r#"{"mode":"sendMessage","timestamp":NOW,"token":"t","chat_id":5,"#,
                r#""content":"hi","content_type":"text"}"#
            ),
            Answer::Sent { message: None, repeated: false },
        ),
        (
            token(),
            send(
                FlowKindFilter::Shared,
                Content { content_type: ContentType::Image, ..Content::text("hi") },
            ),
            concat!(
                r#"{"mode":"sendGroupMessage","timestamp":NOW,"token":"t","chat_id":5,"#,
                r#""content":"hi","content_type":"picture"}"#
            ),
            Answer::Sent { message: None, repeated: false },
        ),
    ]
}

#[test]
fn requests_and_answers_are_read_on_the_other_side() {
    for (credentials, command, expected, answer) in lossless() {
        let (mut client, mut server) = (client(), server());
        let request = Request::new(Correlation::new("the client's own"), credentials, command);
        let frame = encode(&mut *client, &request);
        assert_eq!(text(&frame), expected.replace("NOW", "1594492370.522599"));

        let decoded = decode(&mut *server, text(&frame));
        assert_eq!(
            (decoded.credentials, decoded.authority, decoded.command),
            (request.credentials, request.authority, request.command)
        );

        let frame = respond(&mut *server, &decoded.correlation, None, Ok(answer.clone()));
        let response = response(&mut *client, text(&frame));
        assert_eq!((response.outcome, response.identity), (Ok(answer), None), "{expected}");
        assert_eq!(response.correlation.get::<&str>(), Some(&"the client's own"));
    }
}

#[test]
fn requests_are_encoded_without_what_the_wire_lacks() {
    let attached = Content {
        attachments: vec![Attachment { kind: AttachmentKind::Picture, data: "UA==".into() }],
        emoji: Some("RQ==".into()),
        ..Content::text("hi")
    };
    let sent = json!({"mode": "sendMessage", "timestamp": 1_594_492_370.522_599, "token": "t",
        "chat_id": 5, "content": "hi", "content_type": "text"});
    let chats = json!({"mode": "getChats", "timestamp": 1_594_492_370.522_599, "token": "t"});
    let without_token =
        json!({"mode": "getChats", "timestamp": 1_594_492_370.522_599, "token": null});
    let register = |username: &str| {
        json!({"mode": "register", "timestamp": 1_594_492_370.522_599, "username": username,
            "password": "p", "email": "a@example.org"})
    };
    for (credentials, command, expected) in [
        (token(), send(FlowKindFilter::Any, attached), sent.clone()),
        (token(), send(FlowKindFilter::Chat, Content::text("hi")), sent),
        (Credentials::TokenOf(user_id(1), Secret::new("t")), list(None, 0), chats.clone()),
        (Credentials::Bearer(Secret::new("t")), list(Some(1), 3), chats),
        (Credentials::Nothing, list(None, 0), without_token.clone()),
        (Credentials::Connection, list(None, 0), without_token),
        (
            Credentials::Nothing,
            Command::Register(Box::new(Registration {
                username: Some("Ann A.".into()),
                bot: true,
                ..registration()
            })),
            register("ann"),
        ),
        (
            Credentials::Nothing,
            Command::Register(Box::new(Registration {
                login: None,
                username: None,
                profile: false,
                ..registration()
            })),
            register("a@example.org"),
        ),
    ] {
        assert_eq!(json(&encode(&mut *client(), &request(credentials, command))), expected);
    }
}

#[test]
fn requests_without_a_frame_are_unsupported() {
    let emoji_only = Content { emoji: Some("RQ==".into()), ..Content::default() };
    let profile =
        Profile { username: "a".into(), name: "A".into(), bio: String::new(), photo: None };
    let group = NewFlow {
        kind: FlowKind::Group,
        title: "g".into(),
        info: String::new(),
        members: vec![],
        photo: None,
        key: None,
    };
    let (flow, kinds, users) = (flow_id(5), FlowKindFilter::Any, vec![user_id(2)]);
    let one = message(1, "").id;
    for command in [
        Command::Register(Box::new(Registration { grant: GrantKind::Pair, ..registration() })),
        Command::Register(Box::new(Registration { login: None, email: None, ..registration() })),
        login(GrantKind::Pair),
        history(FlowKindFilter::Any, HistoryRange::Unread),
        send(FlowKindFilter::Any, emoji_only),
        Command::Refresh { token: Secret::new("r") },
        Command::ResetPassword { token: Secret::new("r"), password: Secret::new("p") },
        Command::DeleteAccount { user: None, login: "ann".into(), password: Secret::new("p") },
        Command::CreateProfile(Box::new(profile)),
        Command::GetUser { user: UserRef::Me },
        Command::SearchUsers { query: "a".into(), limit: 1 },
        Command::GetPhoto { of: PhotoOf::Flow(flow) },
        Command::OpenChat { with: UserRef::Id(user_id(2)) },
        Command::CreateFlow(Box::new(group)),
        Command::DeleteFlow { flow, kinds },
        Command::GetFlow { flow, kinds, members: true },
        Command::AddMembers { flow, users: users.clone() },
        Command::RemoveMembers { flow, users },
        Command::Edit { message: one, flow: None, text: "x".into() },
        Command::Delete { messages: vec![one], flow: None, all_or_none: false },
        Command::GetChanges { since: *NOW, flow: None, limit: 1 },
        Command::ShowTyping { flow, active: true },
    ] {
        let request = request(token(), command);
        let mut frames = Vec::new();
        let error = client()
            .request(*NOW, &request, &mut frames)
            .expect_err("the wire has no frame for it");
        assert_eq!((error.dialect, error.what, frames), ("mode", request.command.name(), vec![]));
        assert_eq!(dial(&request).expect_err("nor a connection"), error);
    }
    let request = request(token(), list(None, 0));
    let as_administrator = Request { authority: Authority::Administrator, ..request };
    client().request(*NOW, &as_administrator, &mut Vec::new()).expect_err("there is no such right");
}

fn dial(request: &Request) -> Result<http::request::Parts, Unsupported> {
    Mode::default().client().expect("the dialect has a client's side").dial(request)
}

#[test]
fn a_client_opens_a_websocket() {
    for (credentials, command, frame, _) in lossless() {
        let parts = dial(&request(credentials, command)).expect(frame);
        assert_eq!((parts.method, parts.uri.path()), (http::Method::GET, "/mode"));
        let upgrade = parts.headers.get("upgrade").map(http::HeaderValue::as_bytes);
        assert_eq!(upgrade, Some(&b"websocket"[..]));
    }
}

fn encode_numbered(client: &mut dyn ClientSession, number: u32, command: Command) {
    encode(client, &Request::new(Correlation::new(number), token(), command));
}

/// The number of the request that a frame answers.
fn answered(client: &mut dyn ClientSession, frame: &str) -> Option<u32> {
    response(client, frame).correlation.get().copied()
}

#[test]
fn replies_are_matched_by_mode_and_order() {
    let mut client = client();
    for (number, command) in [
        (1, list(None, 0)),
        (2, send(FlowKindFilter::Any, Content::text("a"))),
        (3, send(FlowKindFilter::Any, Content::text("b"))),
        (4, list(None, 0)),
    ] {
        encode_numbered(&mut *client, number, command);
    }
    let sent = r#"{"mode":"sendMessage","timestamp":1,"status":200}"#;
    let chats = r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[]}"#;
    let without_mode = r#"{"mode":null,"timestamp":1,"status":500,"error_msg":"internal error"}"#;
    for (frame, number) in [(sent, 2), (chats, 1), (without_mode, 3), (chats, 4)] {
        assert_eq!(answered(&mut *client, frame), Some(number));
    }
    for frame in [chats, without_mode] {
        let decoded = client.decode(*NOW, &Frame::text(frame), &mut Vec::new());
        assert_eq!(decoded, Err(InvalidReply::SHAPE), "no request waits");
    }
}

#[test]
fn the_number_of_pending_requests_is_bounded() {
    let mut client = client();
    for number in 0..1024 {
        encode_numbered(&mut *client, number, list(None, 0));
    }
    let one_more = request(token(), list(None, 0));
    client.request(*NOW, &one_more, &mut Vec::new()).expect_err("too many wait");
    assert_eq!(
        answered(&mut *client, r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[]}"#),
        Some(0)
    );
    encode(&mut *client, &one_more);
}

/// A row of `messages`.
fn row(number: i64) -> Value {
    json!({"message_id": number, "from_id": 2, "from_name": "b", "content": "",
        "content_type": "text", "content_time": 1})
}

#[test]
fn the_part_that_a_request_wants_is_cut_out_of_the_reply() {
    let rows: Vec<Value> = (1..=4).map(row).collect();
    let messages =
        json!({"mode": "getMessages", "timestamp": 1, "status": 200, "messages": rows}).to_string();
    for (limit, offset, expected) in [
        (2, 0, vec![3, 4]),
        (2, 1, vec![2, 3]),
        (9, 0, vec![1, 2, 3, 4]),
        (9, 3, vec![1]),
        (9, 9, vec![]),
        (0, 0, vec![]),
    ] {
        let mut client = client();
        encode_numbered(
            &mut *client,
            1,
            history(FlowKindFilter::Any, HistoryRange::Newest { limit, offset }),
        );
        let Ok(Answer::History(page)) = response(&mut *client, &messages).outcome else {
            panic!("no history")
        };
        let ids: Vec<i64> = page.messages.iter().map(|message| message.id.get()).collect();
        assert_eq!(ids, expected, "{limit} {offset}");
    }

    let rows: Vec<Value> = (1..=3)
        .map(|number| json!({"chat_id": number, "chat_name": "c", "chat_type": "group"}))
        .collect();
    let chats =
        json!({"mode": "getChats", "timestamp": 1, "status": 200, "chats": rows}).to_string();
    for (limit, offset, expected) in [
        (None, 0, vec![1, 2, 3]),
        (Some(2), 0, vec![1, 2]),
        (Some(2), 2, vec![3]),
        (None, 5, vec![]),
    ] {
        let mut client = client();
        encode_numbered(&mut *client, 1, list(limit, offset));
        let Ok(Answer::Flows(flows)) = response(&mut *client, &chats).outcome else {
            panic!("no chats")
        };
        let ids: Vec<i64> = flows.iter().map(|summary| summary.flow.id.get()).collect();
        assert_eq!(ids, expected, "{limit:?} {offset}");
    }
}

#[test]
fn a_history_has_the_kind_of_flow_that_its_request_meant() {
    let rows = [row(1)];
    let messages =
        json!({"mode": "getMessages", "timestamp": 1, "status": 200, "messages": rows}).to_string();
    for (kinds, kind) in [
        (FlowKindFilter::Any, FlowKind::Chat),
        (FlowKindFilter::Chat, FlowKind::Chat),
        (FlowKindFilter::Shared, FlowKind::Group),
    ] {
        let mut client = client();
        encode_numbered(&mut *client, 1, history(kinds, HistoryRange::All));
        let Ok(Answer::History(page)) = response(&mut *client, &messages).outcome else {
            panic!("no history")
        };
        assert_eq!(page.messages.first().map(|message| message.flow_kind), Some(kind));
    }
}

#[test]
fn requests_of_a_connection_that_has_logged_in_have_its_token() {
    let mut client = client();
    let asked = |client: &mut dyn ClientSession, command| {
        json(&encode(client, &request(Credentials::Connection, command)))
    };
    let answered = |client: &mut dyn ClientSession, text: &str| response(client, text).outcome;

    asked(&mut *client, login(GrantKind::Connection));
    let granted =
        answered(&mut *client, r#"{"mode":"auth","timestamp":1,"status":200,"token":"secret"}"#);
    assert_eq!(
        granted,
        Ok(Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Connection })))
    );

    assert_eq!(
        asked(&mut *client, login(GrantKind::Connection)).get("token"),
        None,
        "a login has no token"
    );
    answered(
        &mut *client,
        r#"{"mode":"auth","timestamp":1,"status":401,"error_msg":"","token":null}"#,
    )
    .expect_err("refused");
    assert_eq!(asked(&mut *client, list(None, 0))["token"], "secret");
    assert_eq!(asked(&mut *client, Command::Logout { login: None })["token"], "secret");
    assert_eq!(
        answered(&mut *client, r#"{"mode":"logout","timestamp":1,"status":200}"#),
        Ok(Answer::LoggedOut)
    );
    assert_eq!(asked(&mut *client, list(None, 0))["token"], Value::Null);
}

#[test]
fn invalid_frames_of_a_server_are_refused() {
    use ViolationKind::{FrameKind, Shape, Syntax};
    let push = |key: &str, value: Value| {
        let mut row = row(1);
        row[key] = value;
        json!({"mode": "getMessages", "timestamp": 1, "status": 200, "chat_id": 5,
            "messages": [row]})
        .to_string()
    };
    for (frame, kind) in [
        ("", Syntax),
        ("{", Syntax),
        ("[]", Shape),
        ("{}", Shape),
        (r#"{"mode":"getChats","timestamp":1}"#, Shape),
        (r#"{"mode":"getChats","timestamp":1,"status":"200","chats":[]}"#, Shape),
        (r#"{"mode":"getChats","timestamp":1,"status":70000,"chats":[]}"#, Shape),
        (r#"{"mode":"getChats","timestamp":{},"status":200,"chats":[]}"#, Shape),
        (r#"{"mode":"getChats","timestamp":1,"status":200}"#, Shape),
        (
            concat!(
                r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[{"chat_id":0,"#,
                r#""chat_name":"","chat_type":"group"}]}"#
            ),
            Shape,
        ),
        (
            concat!(
                r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[{"chat_id":1,"#,
                r#""chat_name":"","chat_type":"x"}]}"#
            ),
            Shape,
        ),
        (r#"{"mode":"auth","timestamp":1,"status":200,"token":null}"#, Shape),
        (r#"{"mode":"getMessages","timestamp":1,"status":200,"chat_id":0,"messages":[]}"#, Shape),
        (r#"{"mode":"getMessages","timestamp":1,"status":200,"chat_id":1}"#, Shape),
        (
            r#"{"mode":"getMessages","timestamp":"now","status":200,"chat_id":1,"messages":[]}"#,
            Shape,
        ),
        (&push("message_id", json!(0)), Shape),
        (&push("from_id", json!(-1)), Shape),
        (&push("content_type", json!("")), Shape),
        (&push("content_time", json!(-1)), Shape),
        (&push("content_time", json!("yesterday")), Shape),
    ] {
        let mut client = client();
        encode_numbered(&mut *client, 1, list(None, 0));
        encode(&mut *client, &request(Credentials::Nothing, login(GrantKind::Token)));
        let mut incoming = Vec::new();
        let decoded = client.decode(*NOW, &Frame::text(frame.to_owned()), &mut incoming);
        assert_eq!(decoded, Err(InvalidReply::new(kind)), "{frame}");
        assert!(incoming.is_empty(), "{frame}");
    }
    let binary = Frame::Binary(Bytes::from_static(b"{}"));
    assert_eq!(
        client().decode(*NOW, &binary, &mut Vec::new()),
        Err(InvalidReply::new(FrameKind)),
        "only text is read"
    );
}
