//! The server's side: requests are decoded, responses encoded, violations answered.

use crate::{LOGIN, decode, exchange, log_in, logged_in_server, server, violation};
use tolmach_dialect::Subscription;
use tolmach_dialect_kit::fixtures::{ANN, BOB, CHAT, flow_id};
use tolmach_domain::{Command, Credentials, Fault, FlowKindFilter, HistoryRange};

const DIALOGS: &str = r#"{"type":"OLD_DIALOGS","username":"ann"}"#;

#[test]
fn only_logging_in_and_signing_up_need_no_login() {
    for (request, credentials) in [
        (LOGIN, Credentials::Nothing),
        (r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"p"}"#, Credentials::Nothing),
        (DIALOGS, Credentials::Connection),
        (r#"{"type":"CREATE_ROOM","username":"ann","customer":"bob"}"#, Credentials::Connection),
        (r#"{"type":"READ_MSG","room_id":1}"#, Credentials::Connection),
    ] {
        assert_eq!(decode(&mut *server(), request).credentials, credentials, "{request}");
    }
    assert_eq!(
        exchange(&mut *server(), DIALOGS, &ANN, Some(Fault::Unauthenticated)),
        [r#"{"type":"OLD_DIALOGS","status":"ERROR","detail":"log in first"}"#]
    );
}

#[test]
fn reading_moves_the_read_mark_whatever_is_read() {
    for (read, range) in [
        (r#""read":"ALL","#, HistoryRange::All),
        (r#""read":"RESENT","#, HistoryRange::Unread),
        (r#""read":"RECENT","#, HistoryRange::Unread),
        (r#""read":null,"#, HistoryRange::Unread),
        ("", HistoryRange::Unread),
    ] {
        let request = format!(r#"{{"type":"READ_MSG",{read}"room_id":1}}"#);
        let (flow, kinds) = (flow_id(CHAT), FlowKindFilter::Any);
        let expected = Command::History { flow, kinds, range, mark_read: true };
        assert_eq!(decode(&mut *server(), &request).command, expected, "{request}");
    }
}

#[test]
fn a_name_that_is_not_the_callers_is_refused() {
    let mut server = logged_in_server(&ANN);
    for (request, kind) in [
        (r#"{"type":"OLD_DIALOGS","username":"bob"}"#, "OLD_DIALOGS"),
        (r#"{"type":"CREATE_ROOM","username":"","customer":"bob"}"#, "CREATE_ROOM"),
        (
            r#"{"type":"SND_MSG","username":"annn","room_id":1,"message":"m","msg_type":"TEXT"}"#,
            "SND_MSG",
        ),
    ] {
        let detail = "username: your own login is expected";
        let expected = format!(r#"{{"type":"{kind}","status":"ERROR","detail":"{detail}"}}"#);
        assert_eq!(violation(&mut *server, request), expected);
    }
    decode(&mut *server, r#"{"type":"OLD_DIALOGS","username":"ANN"}"#);
}

#[test]
fn a_user_who_logs_in_by_e_mail_has_both_names() {
    let mut server = server();
    exchange(&mut *server, &LOGIN.replace("ann", "ann@example.org"), &ANN, None);
    for name in ["ann", "Ann@Example.org"] {
        decode(&mut *server, &DIALOGS.replace("ann", name));
    }
    violation(&mut *server, &DIALOGS.replace("ann", "bob@example.org"));
}

#[test]
fn the_last_login_that_succeeded_counts() {
    let mut server = logged_in_server(&ANN);
    let wrong = LOGIN.replace("ann", "bob");
    exchange(&mut *server, &wrong, &BOB, Some(Fault::WrongCredentials { login_exists: true }));
    assert_eq!(server.subscription(), Subscription::AllFlows);
    decode(&mut *server, DIALOGS);
    log_in(&mut *server, &BOB);
    assert_eq!(server.subscription(), Subscription::AllFlows);
    violation(&mut *server, DIALOGS);
    decode(&mut *server, &DIALOGS.replace("ann", "bob"));
}

#[test]
fn signing_up_does_not_log_in() {
    let mut server = server();
    let signup = r#"{"type":"REQUEST_SIGNUP","login":"ann","pass":"p"}"#;
    assert_eq!(
        exchange(&mut *server, signup, &ANN, None),
        [r#"{"type":"RESPONSE_SIGNUP","status":"SINGUP_OK"}"#]
    );
    assert_eq!(server.subscription(), Subscription::None);
}

#[test]
fn a_refused_request_does_not_log_out() {
    let mut server = logged_in_server(&ANN);
    exchange(&mut *server, DIALOGS, &ANN, Some(Fault::NoSuchFlow));
    assert_eq!(server.subscription(), Subscription::AllFlows);
}

#[test]
fn a_frame_without_an_operation_is_answered_with_an_error() {
    let long = "x".repeat(100);
    let shape = "a JSON object that names each field once is expected";
    for (request, kind, detail) in [
        (r#"{"type":"SEND_MSG"}"#.to_owned(), "SEND_MSG", "unknown type"),
        (r#"{"type":"snd_msg"}"#.to_owned(), "snd_msg", "unknown type"),
        (r#"{"type":"RESPONSE_LOGIN"}"#.to_owned(), "RESPONSE_LOGIN", "unknown type"),
        (r#"{"type":""}"#.to_owned(), "", "unknown type"),
        (format!(r#"{{"type":"{long}"}}"#), &long[..64], "unknown type"),
        (r#"{"type":3}"#.to_owned(), "ERROR", "type: a string is expected"),
        ("{".to_owned(), "ERROR", "JSON is expected"),
        ("{'type': 1}".to_owned(), "ERROR", "JSON is expected"),
        (r#"["SND_MSG"]"#.to_owned(), "ERROR", shape),
        ("null".to_owned(), "ERROR", shape),
    ] {
        let expected = format!(r#"{{"type":"{kind}","status":"ERROR","detail":"{detail}"}}"#);
        assert_eq!(violation(&mut *server(), &request), expected);
    }
}
