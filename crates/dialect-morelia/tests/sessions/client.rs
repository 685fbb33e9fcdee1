//! The client's end: asks to requests, replies to outcomes.

use crate::{
    NOW, ask, client, flow_id, heard_reply, json, message, message_id, reply, say, server, user_id,
};
use serde_json::json;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Session, ViolationKind};
use tolmach_dialect_morelia::Morelia;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Changes, Command, Content, ContentType,
    Credentials, Fault, FlowKindFilter, Grant, GrantKind, HistoryRange, NewMessage, Secret,
    Timestamp, Tokens, UserRef,
};

fn signature() -> Credentials {
    Credentials::TokenOf(user_id(1), Secret::new("t"))
}

fn list() -> Command {
    Command::ListFlows { limit: None, offset: 0, members: false }
}

fn draft(content: Content, key: Option<&str>) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(5),
        kinds: FlowKindFilter::Any,
        content,
        key: key.map(str::to_owned),
    }))
}

fn say_ask(client: &mut dyn Session, proof: Credentials, command: Command) -> Frame {
    say(client, &Line::Ask(Ask::new(Echo::NONE, proof, command)))
}

#[test]
fn what_is_asked_is_heard_and_its_answer_too() {
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
    let deleted = tolmach_domain::Message { deleted_at: Some(*NOW), ..message(12, "") };
    let messages = vec![
        message(10, "one"),
        tolmach_domain::Message { content: content.clone(), ..message(11, "") },
        deleted,
    ];
    let changes = Changes { messages, flows: Vec::new(), user: None, until: *NOW, more: false };
    for (command, answer) in [
        (
            Command::DeleteAccount { login: "ann".into(), password: Secret::new("p") },
            Answer::AccountDeleted { user: user_id(1) },
        ),
        (
            Command::GetChanges { since: *NOW, flow: Some(flow_id(5)), limit: 1000 },
            Answer::Changes(Box::new(changes)),
        ),
        (list(), Answer::Flows(Vec::new())),
        (draft(content, Some("7")), Answer::Sent { message: None, repeated: false }),
        (
            Command::Delete { messages: vec![message_id(9)], flow: None },
            Answer::Deleted { deleted: vec![message_id(9)], left: Vec::new() },
        ),
    ] {
        let (mut client, mut server) = (client(), server());
        let frame = say(
            &mut *client,
            &Line::Ask(Ask::new(Echo::new("the client's own"), signature(), command.clone())),
        );
        let heard = ask(&mut *server, &frame);
        assert_eq!(heard.command, command);
        let frame = say(&mut *server, &reply(&heard.echo, Ok(answer.clone())));
        let heard = heard_reply(&mut *client, &frame);
        assert_eq!(
            (heard.outcome, heard.echo.get::<&str>()),
            (Ok(answer), Some(&"the client's own"))
        );
    }
}

#[test]
fn an_edit_is_heard_as_far_as_it_is_known() {
    let (mut client, mut server) = (client(), server());
    let command =
        Command::Edit { message: message_id(9), flow: Some(flow_id(5)), text: "better".into() };
    let heard = ask(&mut *server, &say_ask(&mut *client, signature(), command));
    let frame =
        say(&mut *server, &reply(&heard.echo, Ok(Answer::Edited(Box::new(message(9, "better"))))));
    let Ok(Answer::Edited(edited)) = heard_reply(&mut *client, &frame).outcome else {
        panic!("it was granted")
    };
    let known =
        (edited.id, edited.flow, edited.author.id, edited.content.text.as_str(), edited.edited_at);
    assert_eq!(known, (message_id(9), flow_id(5), user_id(1), "better", Some(*NOW)));
}

#[test]
fn a_key_is_an_integer_and_stays_the_same() {
    let id = |client: &mut dyn Session, key| {
        json(&say_ask(client, signature(), draft(Content::text("hi"), key)))["data"]["message"]["id"].as_i64()
    };
    let mut client = client();
    for key in ["7", "-7", "9007199254740991"] {
        assert_eq!(id(&mut *client, Some(key)).map(|id| id.to_string()).as_deref(), Some(key));
    }
    let named =
        ["07", "+7", "9007199254740992", "abc", "abd", ""].map(|key| id(&mut *client, Some(key)));
    assert_eq!(
        named,
        ["07", "+7", "9007199254740992", "abc", "abd", ""].map(|key| id(&mut *client, Some(key)))
    );
    let mut all = named.to_vec();
    all.extend([id(&mut *client, None), id(&mut *client, None)]);
    assert!(all.iter().all(|id| id.is_some_and(|id| (1..1 << 53).contains(&id))));
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn a_login_can_bind_the_connection() {
    let (mut client, mut server) = (client(), server());
    let mut frames = Vec::new();
    client
        .encode(
            *NOW,
            &Line::Ask(Ask::new(Echo::NONE, Credentials::Connection, list())),
            &mut frames,
        )
        .expect_err("nothing binds it yet");
    let login = Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Connection,
    };
    let heard = ask(&mut *server, &say_ask(&mut *client, Credentials::Nothing, login));
    let granted =
        Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Token(Secret::new("t")) }));
    let frame = say(&mut *server, &reply(&heard.echo, Ok(granted)));
    let heard = heard_reply(&mut *client, &frame);
    assert_eq!(heard.identity.map(|identity| identity.user), Some(user_id(1)));
    assert_eq!(
        heard.outcome,
        Ok(Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Connection })))
    );
    assert_eq!(
        json(&say_ask(&mut *client, Credentials::Connection, list()))["data"]["user"],
        json!({"id": 1, "auth_id": "t"})
    );
}

#[test]
fn a_whole_reply_may_be_followed_by_more() {
    let answer = |count: usize| {
        let rows: Vec<_> = (1..=count)
            .map(|id| json!({"id": id, "text": "x", "from_user": {"id": 2, "username": "u"}, "time": 1.5, "from_flow": {"id": 5, "type": "chat"}}))
            .collect();
        let errors =
            json!({"id": 1, "time": 1.5, "status": "OK", "code": 200, "detail": "successfully"});
        Frame::text(json!({"type": "get_update", "data": {"time": 1.5, "message": rows}, "errors": errors, "meta": {"x": 1}}).to_string())
    };
    for (count, more) in [(999, false), (1000, true)] {
        let mut client = client();
        say_ask(
            &mut *client,
            signature(),
            Command::GetChanges { since: Timestamp::default(), flow: None, limit: 1000 },
        );
        let Ok(Answer::Changes(changes)) = heard_reply(&mut *client, &answer(count)).outcome else {
            panic!("it was granted")
        };
        assert_eq!((changes.messages.len(), changes.more), (count, more));
    }
}

#[test]
fn what_the_wire_cannot_say_is_a_loss() {
    let twice = Content {
        attachments: ["QQ==", "Qg=="]
            .map(|data| Attachment { kind: AttachmentKind::Picture, data: data.into() })
            .to_vec(),
        ..Content::text("hi")
    };
    let with = |proof, command| Ask::new(Echo::NONE, proof, command);
    let login = Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: GrantKind::Pair,
    };
    for ask in [
        with(Credentials::Nothing, login),
        with(Credentials::Nothing, list()),
        with(Credentials::Token(Secret::new("t")), list()),
        with(Credentials::Bearer(Secret::new("t")), list()),
        with(signature(), draft(twice, None)),
        with(signature(), Command::Edit { message: message_id(1), flow: None, text: "x".into() }),
        with(
            signature(),
            Command::Delete { messages: vec![message_id(1), message_id(2)], flow: None },
        ),
        with(signature(), Command::GetUser { who: UserRef::Id(user_id(1)) }),
        with(
            signature(),
            Command::History {
                flow: flow_id(5),
                kinds: FlowKindFilter::Any,
                window: HistoryRange::All,
            },
        ),
        with(signature(), Command::Logout { login: None }),
        Ask { authority: Authority::Administrator, ..with(signature(), list()) },
    ] {
        let mut frames = Vec::new();
        let loss = client()
            .encode(*NOW, &Line::Ask(ask.clone()), &mut frames)
            .expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what, frames), ("morelia", ask.command.name(), vec![]));
        assert_eq!(Morelia.dial(&ask).expect_err("there is nowhere to say it"), loss);
    }
    let sticker = Content { content_type: ContentType::Sticker, ..Content::text("hi") };
    assert_eq!(
        json(&say_ask(&mut *client(), signature(), draft(sticker, Some("7"))))["data"]["message"]["text"],
        json!("hi")
    );
}

#[test]
fn replies_are_told_apart_by_type_and_order() {
    let mut client = client();
    for (number, command) in
        [(1, list()), (2, draft(Content::text("a"), None)), (3, list()), (4, list())]
    {
        say(&mut *client, &Line::Ask(Ask::new(Echo::new(number), signature(), command)));
    }
    let answer = |kind: &str, code: u16| {
        let errors = json!({"id": 1, "time": 1.5, "status": "s", "code": code, "detail": "d"});
        Frame::text(json!({"type": kind, "data": null, "errors": errors}).to_string())
    };
    for (frame, number) in [
        (answer("send_message", 200), 2),
        (answer("all_flow", 200), 1),
        (answer("error", 500), 3),
        (answer("all_flow", 401), 4),
    ] {
        assert_eq!(heard_reply(&mut *client, &frame).echo.get(), Some(&number));
    }
    for frame in [
        answer("all_flow", 200),
        answer("error", 400),
        Frame::text("[]"),
        Frame::text("{}"),
        Frame::text(r#"{"type":1}"#),
    ] {
        let violation =
            client.decode(*NOW, &frame, &mut Vec::new()).expect_err("nothing was asked");
        assert_eq!((violation.kind, violation.answer), (ViolationKind::Shape, None));
    }
}

#[test]
fn a_refusal_is_heard_on_the_other_side() {
    for fault in [
        Fault::Unauthenticated,
        Fault::NoSuchFlow,
        Fault::NotOwner,
        Fault::invalid("text", "too long"),
        Fault::Unavailable,
    ] {
        let (mut client, mut server) = (client(), server());
        let echo = ask(
            &mut *server,
            &say_ask(&mut *client, signature(), draft(Content::text("hi"), None)),
        )
        .echo;
        let frame = say(&mut *server, &reply(&echo, Err(fault.clone())));
        assert_eq!(heard_reply(&mut *client, &frame).outcome, Err(fault));
    }
}

#[test]
fn a_client_dials_a_websocket() {
    let parts = Morelia.dial(&Ask::new(Echo::NONE, signature(), list())).expect("it can be said");
    assert_eq!((parts.method, parts.uri.path()), (http::Method::GET, "/morelia"));
    assert_eq!(
        parts.headers.get("upgrade").map(http::HeaderValue::as_bytes),
        Some(&b"websocket"[..])
    );
}
