//! Faults on the wire, in both directions.

use crate::{client, decode, encode, json, respond, response, server, text};
use serde_json::{Value, json};
use std::time::Duration;
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Command, Credentials, Fault, Secret};

/// Every fault as the wire carries it, with its status.
fn faults() -> Vec<(Fault, u16)> {
    vec![
        (Fault::Unauthenticated, 401),
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
        (Fault::KeyReused, 409),
        (Fault::invalid("login", "at most 64 characters"), 422),
        (Fault::invalid("flow", "too old"), 422),
        (Fault::invalid("password", "too long"), 422),
        (Fault::invalid("request", "a: b: c"), 422),
        (Fault::TooMany { retry_after: Duration::from_secs(1) }, 429),
        (Fault::Unavailable, 503),
        (Fault::Internal, 500),
    ]
}

const REGISTER: &str = r#"{"mode":"register","username":"ann","password":"p","email":null}"#;
const AUTH: &str = r#"{"mode":"auth","username":"ann","password":"p"}"#;
const RECOVERY: &str = r#"{"mode":"recovery","known_data":"ann","known_data_type":"username"}"#;
const LOGOUT: &str = r#"{"mode":"logout","token":"t"}"#;
const GET_CHATS: &str = r#"{"mode":"getChats","token":"t"}"#;
const GET_MESSAGES: &str = r#"{"mode":"getMessages","token":"t","chat_id":5}"#;
const SEND_MESSAGE: &str = r#"{"mode":"sendMessage","token":"t","chat_id":5,"content":"hi"}"#;
const SEND_GROUP_MESSAGE: &str =
    r#"{"mode":"sendGroupMessage","token":"t","chat_id":5,"content":"hi"}"#;

/// The error that answers a request, which a fault refuses.
fn error(request: &str, fault: &Fault) -> String {
    let mut server = server();
    let correlation = decode(&mut *server, request).correlation;
    text(&respond(&mut *server, &correlation, None, Err(fault.clone()))).to_owned()
}

/// The fault that a client reads in an error to a request.
fn read(request: &str, error: &str) -> Fault {
    let mut client = client();
    encode(&mut *client, &decode(&mut *server(), request));
    response(&mut *client, error).outcome.expect_err(error)
}

#[test]
fn every_fault_is_answered_in_the_form_of_its_operation_and_read_back() {
    for (fault, status) in faults() {
        for (request, has_token) in [
            (REGISTER, true),
            (AUTH, true),
            (RECOVERY, false),
            (LOGOUT, false),
            (GET_CHATS, false),
            (GET_MESSAGES, false),
            (SEND_MESSAGE, false),
            (SEND_GROUP_MESSAGE, false),
        ] {
            let error = error(request, &fault);
            let keys = ["mode", "timestamp", "status", "error_msg", "token"];
            let keys = if has_token { &keys[..] } else { &keys[..4] };
            let positions: Vec<_> =
                keys.iter().map(|key| error.find(&format!("\"{key}\":"))).collect();
            assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{error}");
            let value: Value = serde_json::from_str(&error).expect("a frame is JSON");
            let mode = serde_json::from_str::<Value>(request).expect("JSON")["mode"].clone();
            assert_eq!(value.as_object().map(serde_json::Map::len), Some(keys.len()), "{error}");
            assert_eq!(
                (&value["mode"], &value["status"], &value["token"]),
                (&mode, &json!(status), &Value::Null)
            );
            let length = value["error_msg"].as_str().map_or(0, str::len);
            assert!((1..=64).contains(&length), "{error}");
            assert_eq!(read(request, &error), fault, "{error}");
        }
    }
}

#[test]
fn an_error_does_not_show_whether_a_login_exists() {
    for request in [AUTH, GET_CHATS] {
        assert_eq!(
            error(request, &Fault::WrongCredentials { login_exists: true }),
            error(request, &Fault::WrongCredentials { login_exists: false })
        );
    }
}

#[test]
fn fields_have_their_names_on_the_wire() {
    for (field, expected) in [
        ("login", "username: too long"),
        ("username", "username: too long"),
        ("identifier", "username: too long"),
        ("flow", "chat_id: too long"),
        ("text", "content: too long"),
        ("password", "password: too long"),
        ("title", "title: too long"),
    ] {
        let first = error(REGISTER, &Fault::invalid(field, "too long"));
        assert!(first.contains(expected), "{first}");
        assert_eq!(error(REGISTER, &read(REGISTER, &first)), first, "{field}");
    }
}

#[test]
fn errors_of_other_servers_are_read_by_status_and_operation() {
    for (request, status, fault) in [
        (AUTH, 401, Fault::WrongCredentials { login_exists: false }),
        (GET_CHATS, 401, Fault::Unauthenticated),
        (GET_MESSAGES, 403, Fault::NotOwner),
        (GET_MESSAGES, 404, Fault::NoSuchFlow),
        (AUTH, 404, Fault::NoSuchUser),
        (REGISTER, 409, Fault::LoginTaken),
        (SEND_GROUP_MESSAGE, 400, Fault::WrongKind),
        (SEND_MESSAGE, 400, Fault::invalid("request", "not acceptable")),
        (SEND_MESSAGE, 429, Fault::TooMany { retry_after: Duration::from_secs(1) }),
        (SEND_MESSAGE, 500, Fault::Internal),
        (SEND_MESSAGE, 501, Fault::Internal),
        (SEND_MESSAGE, 502, Fault::Unavailable),
        (SEND_MESSAGE, 302, Fault::Internal),
        (SEND_MESSAGE, 65535, Fault::Internal),
    ] {
        for text in [r#","error_msg":"""#, ""] {
            let error = format!(r#"{{"mode":null,"timestamp":1,"status":{status}{text}}}"#);
            assert_eq!(read(request, &error), fault, "{request} {status}");
        }
    }
}

#[test]
fn a_refused_logout_keeps_the_token_of_the_connection() {
    let mut client = client();
    let logout = Command::Logout { login: None };
    let request = Request::new(Correlation::NONE, Credentials::Connection, logout);
    let login = Command::Login {
        identifier: "ann".into(),
        password: Secret::new("p"),
        grant: tolmach_domain::GrantKind::Connection,
    };
    encode(&mut *client, &Request::new(Correlation::NONE, Credentials::Nothing, login));
    response(&mut *client, r#"{"mode":"auth","timestamp":1,"status":200,"token":"secret"}"#)
        .outcome
        .expect("it is granted");
    for _ in 0..2 {
        assert_eq!(json(&encode(&mut *client, &request))["token"], "secret");
        response(&mut *client, r#"{"mode":"logout","timestamp":1,"status":401}"#)
            .outcome
            .expect_err("it is refused");
    }
}
