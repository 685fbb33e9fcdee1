//! The server's end: requests to asks, outcomes to replies.

use crate::{LOGIN, exchange, refused, server, server_of, session};
use tolmach_dialect::{Interest, Settings, Side};
use tolmach_dialect_kit::world::{ANN, BOB};
use tolmach_domain::{Credentials, Fault};

const DIALOGS: &str = r#"{"type":"OLD_DIALOGS","username":"ann"}"#;

#[test]
fn only_logging_in_and_signing_up_need_no_login() {
    for (request, proof) in [
        (LOGIN, Credentials::Nothing),
        (r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"p"}"#, Credentials::Nothing),
        (DIALOGS, Credentials::Connection),
        (r#"{"type":"CREATE_ROOM","username":"ann","customer":"bob"}"#, Credentials::Connection),
        (r#"{"type":"READ_MSG","room_id":1}"#, Credentials::Connection),
    ] {
        assert_eq!(crate::ask(&mut *server(), request).proof, proof, "{request}");
    }
    assert_eq!(
        exchange(&mut *server(), DIALOGS, &ANN, Some(Fault::Unauthenticated)),
        [r#"{"type":"OLD_DIALOGS","status":"ERROR","detail":"log in first"}"#]
    );
}

#[test]
fn a_name_that_is_not_the_callers_is_refused() {
    let mut server = server_of(&ANN);
    for (request, kind) in [
        (r#"{"type":"OLD_DIALOGS","username":"bob"}"#, "OLD_DIALOGS"),
        (r#"{"type":"CREATE_ROOM","username":"","customer":"bob"}"#, "CREATE_ROOM"),
        (
            r#"{"type":"SND_MSG","username":"annn","room_id":1,"message":"m","msg_type":"TEXT"}"#,
            "SND_MSG",
        ),
    ] {
        let expected = format!(
            r#"{{"type":"{kind}","status":"ERROR","detail":"username: your own login is expected"}}"#
        );
        assert_eq!(refused(&mut *server, request), expected);
    }
    crate::ask(&mut *server, r#"{"type":"OLD_DIALOGS","username":"ANN"}"#);
}

#[test]
fn whoever_logs_in_by_e_mail_may_go_by_either_name() {
    let mut server = server();
    exchange(&mut *server, &LOGIN.replace("ann", "ann@example.org"), &ANN, None);
    for name in ["ann", "Ann@Example.org"] {
        crate::ask(&mut *server, &DIALOGS.replace("ann", name));
    }
    refused(&mut *server, &DIALOGS.replace("ann", "bob@example.org"));
}

#[test]
fn the_last_login_that_succeeded_counts() {
    let mut server = server_of(&ANN);
    assert_eq!(server.interest(), Interest::EveryFlowOf(ANN.user()));
    let wrong = LOGIN.replace("ann", "bob");
    exchange(&mut *server, &wrong, &BOB, Some(Fault::WrongCredentials { login_exists: true }));
    assert_eq!(server.interest(), Interest::EveryFlowOf(ANN.user()));
    crate::log_in(&mut *server, &BOB);
    assert_eq!(server.interest(), Interest::EveryFlowOf(BOB.user()));
    refused(&mut *server, DIALOGS);
}

#[test]
fn signing_up_logs_nobody_in() {
    let mut server = server();
    let signup = r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"p"}"#;
    assert_eq!(
        exchange(&mut *server, signup, &ANN, None),
        [r#"{"type":"RESPONSE_SIGNUP","status":"SINGUP_OK"}"#]
    );
    assert_eq!(server.interest(), Interest::Nothing);
}

#[test]
fn an_unknown_user_is_revealed_only_by_the_operators_choice() {
    for (reveal_unknown_user, login_exists, status) in [
        (false, false, "LOGIN_WRONG_PASS"),
        (false, true, "LOGIN_WRONG_PASS"),
        (true, false, "LOGIN_WRONG_USER"),
        (true, true, "LOGIN_WRONG_PASS"),
    ] {
        let mut server =
            session(Side::Server, Settings { reveal_unknown_user, ..Settings::default() });
        let said =
            exchange(&mut *server, LOGIN, &ANN, Some(Fault::WrongCredentials { login_exists }));
        assert_eq!(said, [format!(r#"{{"type":"RESPONSE_LOGIN","status":"{status}"}}"#)]);
    }
}

#[test]
fn a_session_that_the_engine_no_longer_knows_is_forgotten() {
    let mut server = server_of(&ANN);
    exchange(&mut *server, DIALOGS, &ANN, Some(Fault::NoSuchFlow));
    assert_eq!(server.interest(), Interest::EveryFlowOf(ANN.user()));
    exchange(&mut *server, DIALOGS, &ANN, Some(Fault::Unauthenticated));
    assert_eq!(server.interest(), Interest::Nothing);
}

#[test]
fn a_type_that_is_none_is_echoed_in_part() {
    let long = "x".repeat(100);
    for (request, kind, detail) in [
        (r#"{"type":"SEND_MSG"}"#.to_owned(), "SEND_MSG", "unknown type"),
        (format!(r#"{{"type":"{long}"}}"#), &long[..64], "unknown type"),
        (r#"{"type":3}"#.to_owned(), "ERROR", "type: a string is expected"),
        ("{".to_owned(), "ERROR", "JSON is expected"),
    ] {
        let expected = format!(r#"{{"type":"{kind}","status":"ERROR","detail":"{detail}"}}"#);
        assert_eq!(refused(&mut *server(), &request), expected);
    }
}
