//! Faults on the wire, in both directions.

use crate::options::configured;
use crate::{LOGIN, client, decode, encode, exchange, read, server, server_of};
use std::time::Duration;
use tolmach_dialect::Incoming;
use tolmach_dialect_kit::fixtures::ANN;
use tolmach_domain::Fault;

const SIGNUP: &str = r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"p"}"#;
const DIALOGS: &str = r#"{"type":"OLD_DIALOGS","username":"ann"}"#;

/// The error that answers a request, which a fault refuses.
fn error(request: &str, fault: &Fault) -> String {
    exchange(&mut *server(), request, &ANN, Some(fault.clone())).remove(0)
}

/// The fault that a client reads in an error to a request.
fn read_fault(request: &str, error: &str) -> Fault {
    let mut client = client();
    encode(&mut *client, &decode(&mut *server(), request));
    match &read(&mut *client, error)[..] {
        [Incoming::Response(response)] => response.outcome.clone().expect_err(error),
        other => panic!("{other:?} instead of one response"),
    }
}

#[test]
fn every_fault_has_its_status_and_is_read_back() {
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
        Fault::KeyReused,
        Fault::TooMany { retry_after: Duration::from_secs(1) },
        Fault::Unavailable,
        Fault::Internal,
        Fault::invalid("login", "at most 64 characters"),
        Fault::invalid("text", "must not be empty"),
        Fault::invalid("request", "a: b: c"),
    ] {
        let status = if fault == Fault::NoSuchFlow { "ROOM_DOES_NOT_EXIST" } else { "ERROR" };
        let error = error(DIALOGS, &fault);
        let expected = format!(r#"{{"type":"OLD_DIALOGS","status":"{status}","detail":""#);
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(read_fault(DIALOGS, &error), fault);
    }
}

#[test]
fn an_unknown_login_is_revealed_only_if_the_operator_chose_it() {
    for (reveal, login_exists, status) in [
        (false, false, "LOGIN_WRONG_PASS"),
        (false, true, "LOGIN_WRONG_PASS"),
        (true, false, "LOGIN_WRONG_USER"),
        (true, true, "LOGIN_WRONG_PASS"),
    ] {
        let dialect = configured(&format!(r#"{{"reveal_unknown_user":{reveal}}}"#));
        let answer = |fault| exchange(&mut *server_of(&dialect), LOGIN, &ANN, Some(fault));
        let replies = answer(Fault::WrongCredentials { login_exists });
        assert_eq!(replies, [format!(r#"{{"type":"RESPONSE_LOGIN","status":"{status}"}}"#)]);
        assert_eq!(answer(read_fault(LOGIN, &replies[0])), replies, "the fault is read back");
    }
    assert_eq!(
        error(DIALOGS, &Fault::WrongCredentials { login_exists: true }),
        error(DIALOGS, &Fault::WrongCredentials { login_exists: false })
    );
}

#[test]
fn signing_up_has_errors_of_its_own() {
    let taken = error(SIGNUP, &Fault::LoginTaken);
    assert_eq!(taken, r#"{"type":"RESPONSE_SIGNUP","status":"SIGNUP_USER_EXIST"}"#);
    assert_eq!(read_fault(SIGNUP, &taken), Fault::LoginTaken);
    for (fault, detail) in [
        (Fault::invalid("password", "too short"), "pass: too short"),
        (Fault::invalid("username", "too long"), "login: too long"),
        (Fault::invalid("title", "too long"), "title: too long"),
        (Fault::Unavailable, "the service is unavailable for the moment"),
    ] {
        let first = error(SIGNUP, &fault);
        let expected =
            format!(r#"{{"type":"RESPONSE_SIGNUP","status":"SINGUP_FAIL","detail":"{detail}"}}"#);
        assert_eq!(first, expected);
        assert_eq!(error(SIGNUP, &read_fault(SIGNUP, &first)), first, "the fault is read back");
    }
}

#[test]
fn errors_of_other_servers_are_read_by_their_detail() {
    for (status, fault) in [
        (r#""ERROR""#, Fault::invalid("request", "not acceptable")),
        (r#""BROKEN","detail":"disk: full""#, Fault::invalid("request", "disk: full")),
    ] {
        let error = format!(r#"{{"type":"OLD_DIALOGS","status":{status}}}"#);
        assert_eq!(read_fault(DIALOGS, &error), fault);
    }
}
