//! The client's side: requests to frames, replies to responses.

use crate::{
    NOW, client, decode, encode, flow_id, json, message, message_id, respond, response, server,
    user_id,
};
use serde_json::json;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, Frame, InvalidReply, Request, Unsupported, ViolationKind,
};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Changes, Command, Content, ContentType,
    Credentials, Fault, FlowKindFilter, Grant, GrantKind, HistoryRange, Message, NewMessage,
    Secret, Timestamp, Tokens, UserRef,
};

fn signature() -> Credentials {
    Credentials::TokenOf(user_id(1), Secret::new("t"))
}

fn list() -> Command {
    Command::ListFlows { limit: None, offset: 0, members: false }
}

fn send(content: Content, key: Option<&str>) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(5),
        kinds: FlowKindFilter::Any,
        content,
        key: key.map(str::to_owned),
    }))
}

fn delete_account(user: Option<i64>) -> Command {
    let user = user.map(user_id);
    Command::DeleteAccount { user, login: "ann".into(), password: Secret::new("p") }
}

fn request(credentials: Credentials, command: Command) -> Request {
    Request::new(Correlation::NONE, credentials, command)
}

/// The request is refused by the session, and nothing is written.
fn unsupported(client: &mut dyn ClientSession, request: &Request) -> Unsupported {
    let mut frames = Vec::new();
    let unsupported = client.request(*NOW, request, &mut frames);
    assert!(frames.is_empty());
    unsupported.expect_err("the wire has no frame for it")
}

#[test]
fn requests_and_their_answers_survive_the_wire() {
    let file = |kind, data: &str| Attachment { kind, data: data.into() };
    let content = Content {
        attachments: vec![
            file(AttachmentKind::Picture, "QQ=="),
            file(AttachmentKind::Document, "RA=="),
        ],
        emoji: Some("RQ==".into()),
        reply_to: Some(message_id(3)),
        ..Content::text("hi")
    };
    let deleted = Message { deleted_at: Some(*NOW), ..message(12, "") };
    let messages =
        vec![message(10, "one"), Message { content: content.clone(), ..message(11, "") }, deleted];
    let changes = Changes { messages, flows: Vec::new(), user: None, until: *NOW, more: false };
    for (command, answer) in [
        (delete_account(Some(1)), Answer::AccountDeleted { user: user_id(1) }),
        (
            Command::GetChanges { since: *NOW, flow: Some(flow_id(5)), limit: 1000 },
            Answer::Changes(Box::new(changes)),
        ),
        (list(), Answer::Flows(Vec::new())),
        (send(content, Some("7")), Answer::Sent { message: None, repeated: false }),
        (
            Command::Delete { messages: vec![message_id(9)], flow: None, all_or_none: false },
            Answer::Deleted { deleted: vec![message_id(9)], left: Vec::new() },
        ),
    ] {
        let (mut client, mut server) = (client(), server());
        let correlation = Correlation::new("the client's own");
        let request = Request::new(correlation, signature(), command.clone());
        let decoded = decode(&mut *server, &encode(&mut *client, &request));
        assert_eq!((decoded.credentials, decoded.command), (signature(), command));
        let reply = respond(&mut *server, &decoded.correlation, Ok(answer.clone()));
        let response = response(&mut *client, &reply);
        assert_eq!(response.outcome, Ok(answer));
        assert_eq!(response.correlation.get::<&str>(), Some(&"the client's own"));
    }
}

#[test]
fn an_account_is_deleted_with_whatever_names_it() {
    let token = || Secret::new("t");
    for (credentials, user, expected, expected_user) in [
        (Credentials::Nothing, None, Credentials::Nothing, None),
        (Credentials::Nothing, Some(1), Credentials::Nothing, Some(1)),
        (Credentials::Token(token()), None, Credentials::Token(token()), None),
        (Credentials::Token(token()), Some(1), signature(), Some(1)),
        (signature(), None, signature(), Some(1)),
        (signature(), Some(1), signature(), Some(1)),
    ] {
        let request = request(credentials, delete_account(user));
        let decoded = decode(&mut *server(), &encode(&mut *client(), &request));
        let expected = (expected, delete_account(expected_user));
        assert_eq!((decoded.credentials, decoded.command), expected, "{request:?}");
    }
    for (credentials, user) in
        [(signature(), Some(2)), (Credentials::Bearer(Secret::new("t")), None)]
    {
        unsupported(&mut *client(), &request(credentials, delete_account(user)));
    }
}

#[test]
fn an_edit_is_read_as_far_as_it_is_known() {
    let (mut client, mut server) = (client(), server());
    let command =
        Command::Edit { message: message_id(9), flow: Some(flow_id(5)), text: "better".into() };
    let frame = encode(&mut *client, &request(signature(), command));
    let correlation = decode(&mut *server, &frame).correlation;
    let answer = Answer::Edited(Box::new(message(9, "better")));
    let frame = respond(&mut *server, &correlation, Ok(answer));
    let Ok(Answer::Edited(edited)) = response(&mut *client, &frame).outcome else {
        panic!("it was granted")
    };
    let known =
        (edited.id, edited.flow, edited.author.id, edited.content.text.as_str(), edited.edited_at);
    assert_eq!(known, (message_id(9), flow_id(5), user_id(1), "better", Some(*NOW)));
}

#[test]
fn a_key_is_an_integer_and_stays_the_same() {
    let id = |client: &mut dyn ClientSession, key| {
        let frame = encode(client, &request(signature(), send(Content::text("hi"), key)));
        json(&frame)["data"]["message"]["id"].as_i64()
    };
    let mut client = client();
    for key in ["7", "-7", "9007199254740991"] {
        assert_eq!(id(&mut *client, Some(key)).map(|id| id.to_string()).as_deref(), Some(key));
    }
    let keys = ["07", "+7", "9007199254740992", "abc", "abd", ""];
    let numbers = keys.map(|key| id(&mut *client, Some(key)));
    assert_eq!(numbers, keys.map(|key| id(&mut *client, Some(key))));
    let mut all = numbers.to_vec();
    all.extend([id(&mut *client, None), id(&mut *client, None)]);
    assert!(all.iter().all(|id| id.is_some_and(|id| (1..1 << 53).contains(&id))));
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn a_login_can_bind_the_connection() {
    let (mut client, mut server) = (client(), server());
    let by_connection = request(Credentials::Connection, list());
    unsupported(&mut *client, &by_connection);
    let login = Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Connection,
    };
    let login = encode(&mut *client, &request(Credentials::Nothing, login));
    let correlation = decode(&mut *server, &login).correlation;
    let granted = |tokens| Answer::Granted(Box::new(Grant { user: None, tokens }));
    let answer = granted(Tokens::Token(Secret::new("t")));
    let response = response(&mut *client, &respond(&mut *server, &correlation, Ok(answer)));
    assert_eq!(response.identity.map(|identity| identity.user), Some(user_id(1)));
    assert_eq!(response.outcome, Ok(granted(Tokens::Connection)));
    let frame = encode(&mut *client, &by_connection);
    assert_eq!(json(&frame)["data"]["user"], json!({"id": 1, "auth_id": "t"}));
}

#[test]
fn a_reply_with_the_most_messages_may_be_followed_by_more() {
    let reply = |count: usize| {
        let row = |id| {
            json!({"id": id, "text": "x", "from_user": {"id": 2, "username": "u"}, "time": 1.5,
                "from_flow": {"id": 5, "type": "chat"}})
        };
        let rows: Vec<_> = (1..=count).map(row).collect();
        let errors =
            json!({"id": 1, "time": 1.5, "status": "OK", "code": 200, "detail": "successfully"});
        let data = json!({"time": 1.5, "message": rows});
        let reply = json!({"type": "get_update", "data": data, "errors": errors, "meta": {"x": 1}});
        Frame::text(reply.to_string())
    };
    for (count, more) in [(999, false), (1000, true)] {
        let mut client = client();
        let command = Command::GetChanges { since: Timestamp::default(), flow: None, limit: 1000 };
        encode(&mut *client, &request(signature(), command));
        let Ok(Answer::Changes(changes)) = response(&mut *client, &reply(count)).outcome else {
            panic!("it was granted")
        };
        assert_eq!((changes.messages.len(), changes.more), (count, more));
    }
}

#[test]
fn other_requests_are_unsupported() {
    let twice = Content {
        attachments: ["QQ==", "Qg=="]
            .map(|data| Attachment { kind: AttachmentKind::Picture, data: data.into() })
            .to_vec(),
        ..Content::text("hi")
    };
    let login = Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Pair,
    };
    let edit = Command::Edit { message: message_id(1), flow: None, text: "x".into() };
    let messages = vec![message_id(1), message_id(2)];
    let two = Command::Delete { messages, flow: None, all_or_none: false };
    let history = Command::History {
        flow: flow_id(5),
        kinds: FlowKindFilter::Any,
        range: HistoryRange::All,
        mark_read: false,
    };
    for request in [
        request(Credentials::Nothing, login),
        request(Credentials::Nothing, list()),
        request(Credentials::Token(Secret::new("t")), list()),
        request(Credentials::Bearer(Secret::new("t")), list()),
        request(signature(), send(twice, None)),
        request(signature(), edit),
        request(signature(), two),
        request(signature(), Command::GetUser { user: UserRef::Id(user_id(1)) }),
        request(signature(), history),
        request(signature(), Command::Logout { login: None }),
        Request { authority: Authority::Administrator, ..request(signature(), list()) },
    ] {
        let error = unsupported(&mut *client(), &request);
        assert_eq!((error.dialect, error.what), ("morelia", request.command.name()));
        assert_eq!(dial(&request).expect_err("no connection helps"), error);
    }
    let sticker = Content { content_type: ContentType::Sticker, ..Content::text("hi") };
    let frame = encode(&mut *client(), &request(signature(), send(sticker, Some("7"))));
    assert_eq!(json(&frame)["data"]["message"]["text"], json!("hi"));
}

#[test]
fn replies_are_matched_by_type_and_order() {
    let mut client = client();
    for (number, command) in
        [(1, list()), (2, send(Content::text("a"), None)), (3, list()), (4, list())]
    {
        let request = Request::new(Correlation::new(number), signature(), command);
        encode(&mut *client, &request);
    }
    let reply = |kind: &str, code: u16| {
        let errors = json!({"id": 1, "time": 1.5, "status": "s", "code": code, "detail": "d"});
        Frame::text(json!({"type": kind, "data": null, "errors": errors}).to_string())
    };
    for (frame, number) in [
        (reply("send_message", 200), 2),
        (reply("all_flow", 200), 1),
        (reply("error", 500), 3),
        (reply("all_flow", 401), 4),
    ] {
        assert_eq!(response(&mut *client, &frame).correlation.get(), Some(&number));
    }
    for frame in [
        reply("all_flow", 200),
        reply("error", 400),
        Frame::text("[]"),
        Frame::text("{}"),
        Frame::text(r#"{"type":1}"#),
    ] {
        let error = client.decode(*NOW, &frame, &mut Vec::new()).expect_err("nothing is pending");
        assert_eq!(error, InvalidReply::new(ViolationKind::Shape));
    }
}

#[test]
fn a_refusal_is_read_as_its_fault() {
    for fault in [
        Fault::Unauthenticated,
        Fault::NoSuchFlow,
        Fault::NotOwner,
        Fault::invalid("text", "too long"),
        Fault::Unavailable,
    ] {
        let (mut client, mut server) = (client(), server());
        let request = request(signature(), send(Content::text("hi"), None));
        let correlation = decode(&mut *server, &encode(&mut *client, &request)).correlation;
        let frame = respond(&mut *server, &correlation, Err(fault.clone()));
        assert_eq!(response(&mut *client, &frame).outcome, Err(fault));
    }
}

fn dial(request: &Request) -> Result<http::request::Parts, Unsupported> {
    Morelia::default().client().expect("this dialect has a client").dial(request)
}

#[test]
fn a_client_dials_a_websocket() {
    let parts = dial(&request(signature(), list())).expect("the wire has a frame for it");
    assert_eq!((parts.method, parts.uri.path()), (http::Method::GET, "/morelia"));
    assert_eq!(
        parts.headers.get("upgrade").map(http::HeaderValue::as_bytes),
        Some(&b"websocket"[..])
    );
}
