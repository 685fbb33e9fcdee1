//! The client's side: foreign servers, requests without a form, responses without a correlation.

use crate::support::{connect, encode, receive, socket};
use bytes::Bytes;
use http::Response;
use serde_json::json;
use std::time::Duration;
use tolmach_dialect::{
    ClientSession, Correlation, Credentials, DialectClient, Frame, Incoming, Request,
};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::fixtures::{self, ANN, BOB, CHAT, GROUP};
use tolmach_domain::{
    Answer, Authority, Command, Content, Fault, FlowKindFilter, GrantKind, HistoryRange,
    NewMessage, Secret,
};

fn dialled(request: &Request) -> Box<dyn ClientSession> {
    let parts = Bearer.dial(request).expect("the wire has a form for the request");
    connect(http::Request::from_parts(parts, ()))
}

/// The outcome that a client reads from a foreign server's response.
fn outcome_of(
    command: Command,
    credentials: Credentials,
    response: Response<&str>,
) -> Result<Answer, Fault> {
    let request = Request::new(Correlation::new("correlation"), credentials, command);
    let mut client = dialled(&request);
    let frames = encode(client.as_mut(), &request).expect("the wire has a form for the request");
    assert_eq!(frames.len(), 1);
    let response = response.map(|body| Bytes::copy_from_slice(body.as_bytes()));
    match receive(client.as_mut(), &Frame::response(response)).remove(0) {
        Incoming::Response(response) => {
            assert_eq!(response.correlation.get(), Some(&"correlation"));
            response.outcome
        }
        other => panic!("not a response: {other:?}"),
    }
}

#[test]
fn a_foreign_servers_error_is_read_by_its_status() {
    let (identifier, password) = ("ann".into(), Secret::new("x"));
    let login = Command::Login { identifier, password, grant: GrantKind::Pair };
    let group = fixtures::flow_id(GROUP);
    let delete = Command::DeleteFlow { flow: group, kinds: FlowKindFilter::Shared };
    let add = Command::AddMembers { flow: group, users: vec![BOB.user()] };
    let (flow, kinds) = (fixtures::flow_id(CHAT), FlowKindFilter::Chat);
    let info = Command::GetFlow { flow, kinds, members: true };
    let wrong_kind = r#"{"error":"this conversation is of another kind"}"#;
    let too_many = Fault::TooMany { retry_after: Duration::from_secs(1) };
    for (command, status, body, fault) in [
        (&login, 401, "nope", Fault::WrongCredentials { login_exists: false }),
        (&info, 401, "", Fault::Unauthenticated),
        (&info, 404, r#"{"error":"чат не найден"}"#, Fault::NoSuchFlow),
        (&info, 404, wrong_kind, Fault::WrongKind),
        (&delete, 403, "{}", Fault::NotOwner),
        (&add, 409, "[]", Fault::AlreadyMember),
        (&add, 400, r#"{"error":"users: too many"}"#, Fault::invalid("users", "too many")),
        (&add, 422, r#"{"error":"why not"}"#, Fault::invalid("request", "why not")),
        (&add, 429, "", too_many),
        (&add, 502, "<html>", Fault::Unavailable),
        (&add, 500, "", Fault::Internal),
        (&add, 302, "", Fault::Internal),
    ] {
        let credentials = match command {
            Command::Login { .. } => Credentials::Nothing,
            _ => Credentials::Bearer(ANN.secret()),
        };
        let response = Response::builder().status(status).body(body).unwrap();
        let outcome = outcome_of(command.clone(), credentials, response);
        assert_eq!(outcome, Err(fault), "{status} {body}");
    }
}

#[test]
fn requests_without_a_form_are_unsupported() {
    let flow = fixtures::flow_id(CHAT);
    let bearer = || Credentials::Bearer(ANN.secret());
    let list = || Command::ListFlows { limit: None, offset: 0, members: false };
    let send = |content| {
        let kinds = FlowKindFilter::Any;
        Command::Send(Box::new(NewMessage { flow, kinds, content, key: None }))
    };
    let history = |range, mark_read| {
        let kinds = FlowKindFilter::Chat;
        Command::History { flow, kinds, range, mark_read }
    };
    let newest = |limit| HistoryRange::Newest { limit, offset: 0 };
    let edit = Command::Edit { message: fixtures::message_id(11), flow: None, text: "x".into() };
    let mut as_administrator = Request::new(Correlation::NONE, bearer(), list());
    as_administrator.authority = Authority::Administrator;
    assert!(Bearer.dial(&as_administrator).is_err());
    for (name, credentials, command) in [
        ("no credentials", Credentials::Nothing, list()),
        ("a connection's identity", Credentials::Connection, list()),
        ("a token of a named user", Credentials::TokenOf(ANN.user(), ANN.secret()), list()),
        ("a token that no header carries", Credentials::Bearer(Secret::new("a\r\nb: c")), list()),
        ("a long history", bearer(), history(newest(1001), false)),
        ("a whole history", bearer(), history(HistoryRange::All, false)),
        ("an unread history", bearer(), history(HistoryRange::Unread, true)),
        ("a history that moves the read mark", bearer(), history(newest(1), true)),
        ("a message without credentials", Credentials::Nothing, send(Content::text("x"))),
        ("a logout by name", bearer(), Command::Logout { login: Some("ann".into()) }),
        ("an edit", bearer(), edit),
    ] {
        let request = Request::new(Correlation::NONE, credentials, command);
        assert!(Bearer.dial(&request).is_err(), "{name}");
    }
    for content in [fixtures::rich_content(), Content::default()] {
        let request = Request::new(Correlation::NONE, bearer(), send(content));
        assert!(encode(dialled(&request).as_mut(), &request).is_err());
    }
}

#[test]
fn a_message_answers_its_send_and_an_error_the_oldest_one() {
    let mut client = connect(socket("/api/v1/chat/1?limit=0&offset=0"));
    for text in ["one", "two", "three", "four"] {
        let (flow, kinds) = (fixtures::flow_id(CHAT), FlowKindFilter::Chat);
        let message = NewMessage { flow, kinds, content: Content::text(text), key: None };
        let command = Command::Send(Box::new(message));
        let request = Request::new(Correlation::new(text), Credentials::Connection, command);
        encode(client.as_mut(), &request).unwrap();
    }
    let message = |text: &str| {
        let frame = json!({
            "id": 1,
            "chat_id": 1,
            "type": "message",
            "text": text,
            "author": {"id": 2, "name": "b"},
            "time": "2023-01-01T00:00:00Z",
        });
        Frame::text(frame.to_string())
    };
    let error = Frame::text(r#"{"type":"error","error":"no"}"#);
    for (frame, expected) in [
        (message("another user's"), &[(None, true)][..]),
        (message("two"), &[(Some("two"), true), (None, true)]),
        (error.clone(), &[(Some("three"), false)]),
        (message("four"), &[(Some("four"), true), (None, true)]),
        (error, &[(None, false)]),
    ] {
        let incoming: Vec<_> = receive(client.as_mut(), &frame)
            .into_iter()
            .map(|incoming| match incoming {
                Incoming::Response(response) => {
                    (response.correlation.get().copied(), response.outcome.is_ok())
                }
                Incoming::Event(_) => (None, true),
            })
            .collect();
        assert_eq!(incoming, expected);
    }
}
