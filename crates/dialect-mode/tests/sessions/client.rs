//! The client's end: asks to requests, replies to outcomes.

use crate::{
    NOW, ask, client, flow, flow_id, heard_reply, json, message, overview, reply, say, server,
    text, user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Session, ViolationKind};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Command, Content, ContentType, Credentials,
    Fault, FlowKind, FlowKindFilter, Grant, GrantKind, HistoryRange, MessagePage, NewFlow,
    NewMessage, PhotoOf, Profile, RecoveryIdentifier, Registration, Secret, Timestamp, Tokens,
    UserRef, Version,
};

fn token() -> Credentials {
    Credentials::Token(Secret::new("t"))
}

fn registration() -> Registration {
    Registration {
        login: Some("ann".into()),
        password: Secret::new("p"),
        username: Some("ann".into()),
        email: Some("a@example.org".into()),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Token,
    }
}

fn login(grant: GrantKind) -> Command {
    Command::Login { identifier: "ann".into(), password: Secret::new("p"), grant }
}

fn list(limit: Option<u32>, offset: u32) -> Command {
    Command::ListFlows { limit, offset, members: false }
}

fn history(kinds: FlowKindFilter, window: HistoryRange) -> Command {
    Command::History { flow: flow_id(5), kinds, window }
}

fn draft(kinds: FlowKindFilter, content: Content) -> Command {
    Command::Send(Box::new(NewMessage { flow: flow_id(5), kinds, content, key: None }))
}

/// What this wire says whole: the ask, its frame, an answer that it says whole.
fn whole() -> Vec<(Credentials, Command, &'static str, Answer)> {
    let granted =
        || Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Token(Secret::new("t")) }));
    let at = Timestamp::default();
    let flows = [flow(5, FlowKind::Chat, "user2"), flow(6, FlowKind::Group, "Friends")]
        .into_iter()
        .map(|flow| {
            overview(
                tolmach_domain::Flow {
                    owner: None,
                    version: Version(0),
                    created_at: at,
                    changed_at: at,
                    ..flow
                },
                &[],
            )
        })
        .collect();
    let page = MessagePage {
        flow: flow_id(5),
        messages: vec![message(10, "one"), message(11, "two")],
        version: Version(0),
    };
    vec![
        (
            Credentials::Nothing,
            Command::Register(Box::new(registration())),
            r#"{"mode":"register","timestamp":NOW,"username":"ann","password":"p","email":"a@example.org"}"#,
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
            Command::Recover { known: RecoveryIdentifier::Email("a@example.org".into()) },
            r#"{"mode":"recovery","timestamp":NOW,"known_data":"a@example.org","known_data_type":"email"}"#,
            Answer::RecoveryAccepted,
        ),
        (
            Credentials::Nothing,
            Command::Recover { known: RecoveryIdentifier::Login("ann".into()) },
            r#"{"mode":"recovery","timestamp":NOW,"known_data":"ann","known_data_type":"username"}"#,
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
            draft(FlowKindFilter::Any, Content::text("hi")),
            r#"{"mode":"sendMessage","timestamp":NOW,"token":"t","chat_id":5,"content":"hi","content_type":"text"}"#,
            Answer::Sent { message: None, repeated: false },
        ),
        (
            token(),
            draft(
                FlowKindFilter::Shared,
                Content { content_type: ContentType::Image, ..Content::text("hi") },
            ),
            r#"{"mode":"sendGroupMessage","timestamp":NOW,"token":"t","chat_id":5,"content":"hi","content_type":"picture"}"#,
            Answer::Sent { message: None, repeated: false },
        ),
    ]
}

#[test]
fn what_is_said_is_heard_on_the_other_side() {
    for (proof, command, request, answer) in whole() {
        let (mut client, mut server) = (client(), server());
        let said = Ask::new(Echo::new("the client's own"), proof, command);
        let frame = say(&mut *client, &Line::Ask(said.clone()));
        assert_eq!(text(&frame), request.replace("NOW", "1594492370.522599"));

        let heard = ask(&mut *server, &frame);
        assert_eq!(
            (heard.proof, heard.authority, heard.command),
            (said.proof, said.authority, said.command)
        );

        let frame = say(&mut *server, &reply(&heard.echo, None, Ok(answer.clone())));
        let heard = heard_reply(&mut *client, &frame);
        assert_eq!((heard.outcome, heard.identity), (Ok(answer), None), "{request}");
        assert_eq!(heard.echo.get::<&str>(), Some(&"the client's own"));
    }
}

#[test]
fn a_refusal_is_heard_on_the_other_side() {
    for fault in [
        Fault::Unauthenticated,
        Fault::WrongCredentials { login_exists: false },
        Fault::LoginTaken,
        Fault::NoProfile,
        Fault::ProfileExists,
        Fault::NoSuchUser,
        Fault::NoSuchFlow,
        Fault::NoSuchMessage,
        Fault::NoPhoto,
        Fault::WrongKind,
        Fault::NotOwner,
        Fault::NotAuthor,
        Fault::NotAdministrator,
        Fault::NoBusiness,
        Fault::AlreadyMember,
        Fault::NotMember,
        Fault::invalid("password", "too long"),
        Fault::TooMany { retry_after: Duration::from_secs(1) },
        Fault::Unavailable,
        Fault::Internal,
    ] {
        for (proof, command, request, _) in whole() {
            let (mut client, mut server) = (client(), server());
            let frame = say(&mut *client, &Line::Ask(Ask::new(Echo::NONE, proof, command)));
            let echo = ask(&mut *server, &frame).echo;
            let frame = say(&mut *server, &reply(&echo, None, Err(fault.clone())));
            assert_eq!(heard_reply(&mut *client, &frame).outcome, Err(fault.clone()), "{request}");
        }
    }
}

#[test]
fn what_the_wire_says_in_part_is_said() {
    let attached = Content {
        attachments: vec![Attachment { kind: AttachmentKind::Picture, data: "UA==".into() }],
        emoji: Some("RQ==".into()),
        ..Content::text("hi")
    };
    let sent = json!({"mode": "sendMessage", "timestamp": 1_594_492_370.522_599, "token": "t",
        "chat_id": 5, "content": "hi", "content_type": "text"});
    let chats = json!({"mode": "getChats", "timestamp": 1_594_492_370.522_599, "token": "t"});
    let unproven = json!({"mode": "getChats", "timestamp": 1_594_492_370.522_599, "token": null});
    let register = |username: &str, email: Value| json!({"mode": "register", "timestamp": 1_594_492_370.522_599, "username": username, "password": "p", "email": email});
    for (proof, command, expected) in [
        (token(), draft(FlowKindFilter::Any, attached), sent.clone()),
        (token(), draft(FlowKindFilter::Chat, Content::text("hi")), sent),
        (Credentials::TokenOf(user_id(1), Secret::new("t")), list(None, 0), chats.clone()),
        (Credentials::Bearer(Secret::new("t")), list(Some(1), 3), chats),
        (Credentials::Nothing, list(None, 0), unproven.clone()),
        (Credentials::Connection, list(None, 0), unproven),
        (
            Credentials::Nothing,
            Command::Register(Box::new(Registration {
                username: Some("Ann A.".into()),
                bot: true,
                ..registration()
            })),
            register("ann", json!("a@example.org")),
        ),
        (
            Credentials::Nothing,
            Command::Register(Box::new(Registration {
                login: None,
                username: None,
                profile: false,
                ..registration()
            })),
            register("a@example.org", json!("a@example.org")),
        ),
    ] {
        let frame = say(&mut *client(), &Line::Ask(Ask::new(Echo::NONE, proof, command)));
        assert_eq!(json(&frame), expected);
    }
}

#[test]
fn what_the_wire_cannot_say_is_a_loss() {
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
        draft(FlowKindFilter::Any, emoji_only),
        Command::Refresh { token: Secret::new("r") },
        Command::ResetPassword { token: Secret::new("r"), password: Secret::new("p") },
        Command::DeleteAccount { login: "ann".into(), password: Secret::new("p") },
        Command::CreateProfile(Box::new(profile)),
        Command::GetUser { who: UserRef::Me },
        Command::SearchUsers { query: "a".into(), limit: 1 },
        Command::GetPhoto { of: PhotoOf::Flow(flow) },
        Command::OpenChat { with: UserRef::Id(user_id(2)) },
        Command::CreateFlow(Box::new(group)),
        Command::DeleteFlow { flow, kinds },
        Command::GetFlow { flow, kinds, members: true },
        Command::AddMembers { flow, users: users.clone() },
        Command::RemoveMembers { flow, users },
        Command::Edit { message: one, flow: None, text: "x".into() },
        Command::Delete { messages: vec![one], flow: None },
        Command::GetChanges { since: *NOW, flow: None, limit: 1 },
        Command::ShowTyping { flow, active: true },
    ] {
        let ask = Ask::new(Echo::NONE, token(), command);
        let mut frames = Vec::new();
        let loss = client()
            .encode(*NOW, &Line::Ask(ask.clone()), &mut frames)
            .expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what, frames), ("mode", ask.command.name(), vec![]));
        assert_eq!(Mode.dial(&ask).expect_err("there is nowhere to say it"), loss);
    }
    let as_administrator =
        Ask { authority: Authority::Administrator, ..Ask::new(Echo::NONE, token(), list(None, 0)) };
    for line in [Line::Ask(as_administrator), reply(&Echo::NONE, None, Ok(Answer::LoggedOut))] {
        client().encode(*NOW, &line, &mut Vec::new()).expect_err("a client cannot say it");
    }
}

#[test]
fn a_client_dials_a_websocket() {
    for (proof, command, request, _) in whole() {
        let parts = Mode.dial(&Ask::new(Echo::NONE, proof, command)).expect(request);
        assert_eq!((parts.method, parts.uri.path()), (http::Method::GET, "/mode"));
        assert_eq!(
            parts.headers.get("upgrade").map(http::HeaderValue::as_bytes),
            Some(&b"websocket"[..])
        );
    }
}

fn say_echo(client: &mut dyn Session, number: u32, command: Command) -> Frame {
    say(client, &Line::Ask(Ask::new(Echo::new(number), token(), command)))
}

fn hear_echo(client: &mut dyn Session, frame: &str) -> Option<u32> {
    heard_reply(client, &Frame::text(frame.to_owned())).echo.get().copied()
}

#[test]
fn replies_are_told_apart_by_mode_and_order() {
    let mut client = client();
    for (number, command) in [
        (1, list(None, 0)),
        (2, draft(FlowKindFilter::Any, Content::text("a"))),
        (3, draft(FlowKindFilter::Any, Content::text("b"))),
        (4, list(None, 0)),
    ] {
        say_echo(&mut *client, number, command);
    }
    let sent = r#"{"mode":"sendMessage","timestamp":1,"status":200}"#;
    let chats = r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[]}"#;
    let nameless = r#"{"mode":null,"timestamp":1,"status":500,"error_msg":"internal error"}"#;
    for (frame, number) in [(sent, 2), (chats, 1), (nameless, 3), (chats, 4)] {
        assert_eq!(hear_echo(&mut *client, frame), Some(number));
    }
    for frame in [chats, nameless] {
        let violation = client
            .decode(*NOW, &Frame::text(frame), &mut Vec::new())
            .expect_err("nothing was asked");
        assert_eq!(violation.kind, ViolationKind::Shape);
    }
}

#[test]
fn asks_wait_for_their_replies_in_bounded_number() {
    let mut client = client();
    for number in 0..1024 {
        say_echo(&mut *client, number, list(None, 0));
    }
    let one_more = Line::Ask(Ask::new(Echo::NONE, token(), list(None, 0)));
    client.encode(*NOW, &one_more, &mut Vec::new()).expect_err("too many wait");
    assert_eq!(
        hear_echo(&mut *client, r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[]}"#),
        Some(0)
    );
    say(&mut *client, &one_more);
}

#[test]
fn a_part_is_cut_out_of_the_whole() {
    let rows: Vec<Value> = (1..=4)
        .map(|number| {
            json!({"message_id": number, "from_id": 2, "from_name": "b", "content": "", "content_type": "text", "content_time": 1})
        })
        .collect();
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
        say_echo(
            &mut *client,
            1,
            history(FlowKindFilter::Any, HistoryRange::Newest { limit, offset }),
        );
        let Ok(Answer::History(page)) =
            heard_reply(&mut *client, &Frame::text(messages.clone())).outcome
        else {
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
        say_echo(&mut *client, 1, list(limit, offset));
        let Ok(Answer::Flows(flows)) =
            heard_reply(&mut *client, &Frame::text(chats.clone())).outcome
        else {
            panic!("no chats")
        };
        let ids: Vec<i64> = flows.iter().map(|overview| overview.flow.id.get()).collect();
        assert_eq!(ids, expected, "{limit:?} {offset}");
    }
}

#[test]
fn the_kind_of_a_history_is_the_one_that_was_meant() {
    let rows = json!([{"message_id": 1, "from_id": 2, "from_name": "b", "content": "", "content_type": "x", "content_time": 1}]);
    let messages =
        json!({"mode": "getMessages", "timestamp": 1, "status": 200, "messages": rows}).to_string();
    for (kinds, kind) in [
        (FlowKindFilter::Any, FlowKind::Chat),
        (FlowKindFilter::Chat, FlowKind::Chat),
        (FlowKindFilter::Shared, FlowKind::Group),
    ] {
        let mut client = client();
        say_echo(&mut *client, 1, history(kinds, HistoryRange::All));
        let Ok(Answer::History(page)) =
            heard_reply(&mut *client, &Frame::text(messages.clone())).outcome
        else {
            panic!("no history")
        };
        assert_eq!(page.messages.first().map(|message| message.flow_kind), Some(kind));
    }
}

#[test]
fn a_connection_that_is_logged_in_signs_with_its_token() {
    let mut client = client();
    let asked = |client: &mut dyn Session, command| {
        json(&say(client, &Line::Ask(Ask::new(Echo::NONE, Credentials::Connection, command))))
    };
    let hear = |client: &mut dyn Session, text: &str| {
        heard_reply(client, &Frame::text(text.to_owned())).outcome
    };

    asked(&mut *client, login(GrantKind::Connection));
    let granted =
        hear(&mut *client, r#"{"mode":"auth","timestamp":1,"status":200,"token":"secret"}"#);
    assert_eq!(
        granted,
        Ok(Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Connection })))
    );

    assert_eq!(
        asked(&mut *client, login(GrantKind::Connection)).get("token"),
        None,
        "a login is not signed"
    );
    hear(&mut *client, r#"{"mode":"auth","timestamp":1,"status":401,"error_msg":"","token":null}"#)
        .expect_err("refused");
    assert_eq!(asked(&mut *client, list(None, 0))["token"], "secret");
    assert_eq!(asked(&mut *client, Command::Logout { login: None })["token"], "secret");
    assert_eq!(
        hear(&mut *client, r#"{"mode":"logout","timestamp":1,"status":200}"#),
        Ok(Answer::LoggedOut)
    );
    assert_eq!(asked(&mut *client, list(None, 0))["token"], Value::Null);
}

#[test]
fn nonsense_of_a_server_is_a_violation_that_is_not_answered() {
    use ViolationKind::{FrameKind, Shape, Syntax};
    let row = |key: &str, value: Value| {
        let mut row = json!({"message_id": 1, "from_id": 2, "from_name": "b", "content": "", "content_type": "text", "content_time": 1});
        row[key] = value;
        json!({"mode": "getMessages", "timestamp": 1, "status": 200, "chat_id": 5, "messages": [row]}).to_string()
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
            r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[{"chat_id":0,"chat_name":"","chat_type":"group"}]}"#,
            Shape,
        ),
        (
            r#"{"mode":"getChats","timestamp":1,"status":200,"chats":[{"chat_id":1,"chat_name":"","chat_type":"x"}]}"#,
            Shape,
        ),
        (r#"{"mode":"auth","timestamp":1,"status":200,"token":null}"#, Shape),
        (r#"{"mode":"getMessages","timestamp":1,"status":200,"chat_id":0,"messages":[]}"#, Shape),
        (r#"{"mode":"getMessages","timestamp":1,"status":200,"chat_id":1}"#, Shape),
        (
            r#"{"mode":"getMessages","timestamp":"now","status":200,"chat_id":1,"messages":[]}"#,
            Shape,
        ),
        (&row("message_id", json!(0)), Shape),
        (&row("from_id", json!(-1)), Shape),
        (&row("content_type", json!("")), Shape),
        (&row("content_time", json!(-1)), Shape),
        (&row("content_time", json!("yesterday")), Shape),
    ] {
        let mut client = client();
        say_echo(&mut *client, 1, list(None, 0));
        say(
            &mut *client,
            &Line::Ask(Ask::new(Echo::NONE, Credentials::Nothing, login(GrantKind::Token))),
        );
        let mut lines = Vec::new();
        let violation =
            client.decode(*NOW, &Frame::text(frame.to_owned()), &mut lines).expect_err(frame);
        assert_eq!(
            (violation.kind, violation.answer, violation.close),
            (kind, None, None),
            "{frame}"
        );
        assert!(lines.is_empty(), "{frame}");
    }
    let binary = Frame::Binary(Bytes::from_static(b"{}"));
    assert_eq!(
        client().decode(*NOW, &binary, &mut Vec::new()).expect_err("only text is heard").kind,
        FrameKind
    );
}
