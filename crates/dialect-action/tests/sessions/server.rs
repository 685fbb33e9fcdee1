//! The server's side: requests to commands, responses and errors to frames.

use crate::peers::Server;
use crate::values::{
    ADMINISTRATORS, MEMBERS, NOW, ORIGIN, TOKEN, flow_id, handshake, json, message, message_id,
    parts, room, summary, text, user,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{
    Correlation, Dialect, Frame, RenderContext, Response, Subscription, ViolationKind,
};
use tolmach_dialect_action::Action;
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, Fault, FlowId, FlowKindFilter, FlowSummary,
    NewMessage, UserRef,
};

fn get(flow: FlowId) -> Command {
    Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true }
}

#[test]
fn every_request_is_decoded() {
    let list = || Command::ListFlows { limit: None, offset: 0, members: true };
    let delete = |ids: &[i64]| Command::Delete {
        messages: ids.iter().copied().map(message_id).collect(),
        flow: Some(flow_id(1)),
        all_or_none: false,
    };
    let hello = NewMessage {
        flow: flow_id(1),
        kinds: FlowKindFilter::Any,
        content: Content::text("hello"),
        key: None,
    };
    let edit =
        Command::Edit { message: message_id(18), flow: Some(flow_id(1)), text: "edit".to_owned() };
    let table = [
        (r#"{"action":"list","request_id":7}"#, list(), false),
        (r#"{"action":"join_room","room_pk":5,"request_id":7}"#, get(flow_id(5)), false),
        (
            r#"{"action":"join_room","room_pk":9007199254740991,"request_id":7}"#,
            get(flow_id(9_007_199_254_740_991)),
            false,
        ),
        (
            r#"{"action":"leave_room","request_id":7}"#,
            Command::GetUser { user: UserRef::Me },
            false,
        ),
        (r#"{"action":"current_room_info","request_id":7}"#, get(flow_id(1)), false),
        (
            r#"{"action":"create_message","msg_text":"hello","request_id":7}"#,
            Command::Send(Box::new(hello)),
            true,
        ),
        (
            r#"{"action":"edit_message","msg_id":18,"edited_msg_text":"edit","request_id":7}"#,
            edit,
            true,
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":[18,12],"request_id":7}"#,
            delete(&[18, 12]),
            true,
        ),
        // Numbers that are no ids are left.
        (
            r#"{"action":"delete_messages","msg_id_list":[0,18,-1],"request_id":7}"#,
            delete(&[18]),
            true,
        ),
        // Keys that the action does not have, and null.
        (r#"{"action":"list","msg_id":{},"user":2,"msg_text":null,"request_id":7}"#, list(), false),
    ];
    for (path, authority) in
        [(MEMBERS, Authority::Member), (ADMINISTRATORS, Authority::Administrator)]
    {
        for (text, command, tagged) in table.clone() {
            if path == ADMINISTRATORS && text.contains("current_room_info") {
                continue;
            }
            let request = Server::joined(path, 1).decode(text);
            assert_eq!(
                (request.credentials, request.authority, request.command),
                (Credentials::Connection, authority, command),
                "{text}"
            );
            assert_eq!(request.client_tag, tagged.then(|| Bytes::from_static(b"7")), "{text}");
        }
    }
}

#[test]
fn a_request_id_comes_back_to_the_letter() {
    let long = format!("\"{}\"", "x".repeat(1022));
    let list = |request: &str| {
        let mut server = Server::connected(MEMBERS, 1);
        let request = server.decode(request);
        server.respond(&request, Ok(Answer::Flows(Vec::new())))
    };
    for id in [
        "1500000",
        "-0",
        "1.50",
        "1e3",
        "18446744073709551616",
        "\"a\\u0062\"",
        "true",
        "null",
        "[1, {\"a\":null}]",
        &long,
    ] {
        let frames = list(&format!(r#"{{"action":"list","request_id":{id}}}"#));
        let expected = format!(
            r#"{{"errors":[],"data":[],"action":"list","response_status":200,"request_id":{id}}}"#
        );
        assert_eq!(frames.iter().map(text).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(json(&list(r#"{"action":"list"}"#)[0])["request_id"], Value::Null);
}

#[test]
fn a_room_names_its_members() {
    let mut server = Server::connected(MEMBERS, 1);
    let last = Some(message(17, 3, "hi"));
    let request = server.decode(r#"{"action":"join_room","room_pk":1,"request_id":7}"#);
    let room = FlowSummary { last, ..summary(1, &[1, 2]) };
    let frames = server.respond(&request, Ok(Answer::Flow(Box::new(room))));
    let expected = concat!(
        r#"{"errors":[],"data":{"pk":1,"id":1,"participants":[{"id":1,"fullname":"Ann Archer","#,
        r#""user":{"id":1,"email":"ann@example.org","phone":null}},{"id":2,"fullname":"#,
        r#""Bob Baker","user":{"id":2,"email":"bob@example.org","phone":"+15550002"}}],"#,
        // The author has left the room.
        r#""has_business":true,"last_message":{"id":17,"text":"hi","user":{"id":3,"email":null,"#,
        r#""phone":null},"created_at":"2024-06-17T18:00:00.000Z"}},"#,
        r#""action":"join_room","response_status":200,"request_id":7}"#
    );
    assert_eq!(frames.iter().map(text).collect::<Vec<_>>(), [expected]);
    for (members, business) in [(&[1, 3][..], false), (&[2], true), (&[], false)] {
        let joined = json(&server.join(1, members)[0]);
        assert_eq!(joined["data"]["has_business"], business, "{members:?}");
    }
}

#[test]
fn one_room_is_joined_at_a_time() {
    let mut server = Server::connected(MEMBERS, 1);
    assert_eq!(server.session.subscription(), Subscription::None);
    server.join(1, &[1, 2]);
    assert_eq!(server.session.subscription(), Subscription::Flow(flow_id(1)));

    let refused = server.decode(r#"{"action":"join_room","room_pk":5,"request_id":7}"#);
    let frames = server.respond(&refused, Err(Fault::NoSuchFlow));
    assert_eq!(json(&frames[0])["response_status"], 403);
    let subscription = server.session.subscription();
    assert_eq!(subscription, Subscription::Flow(flow_id(1)), "a refused join changes nothing");

    server.join(5, &[1, 3]);
    assert_eq!(server.session.subscription(), Subscription::Flow(flow_id(5)));

    let leave = server.decode(r#"{"action":"leave_room","request_id":7}"#);
    let subscription = server.session.subscription();
    assert_eq!(subscription, Subscription::Flow(flow_id(5)), "the response leaves");
    let frames = server.respond(&leave, Ok(Answer::User(Box::new(user(1)))));
    assert_eq!(json(&frames[0])["data"], json!({"response": "leaved room 5 successfully!"}));
    assert_eq!(server.session.subscription(), Subscription::None);
}

#[test]
fn a_refused_leave_leaves() {
    let mut server = Server::joined(MEMBERS, 1);
    let leave = server.decode(r#"{"action":"leave_room","request_id":7}"#);
    let frames = server.respond(&leave, Err(Fault::Unavailable));
    assert_eq!(json(&frames[0])["response_status"], 503);
    assert_eq!(server.session.subscription(), Subscription::None);
}

#[test]
fn every_fault_of_every_action_is_one_error() {
    let requests = [
        r#"{"action":"list","request_id":7}"#,
        r#"{"action":"join_room","room_pk":5,"request_id":7}"#,
        r#"{"action":"leave_room","request_id":7}"#,
        r#"{"action":"create_message","msg_text":"hello","request_id":7}"#,
        r#"{"action":"edit_message","msg_id":18,"edited_msg_text":"edit","request_id":7}"#,
        r#"{"action":"delete_messages","msg_id_list":[18],"request_id":7}"#,
    ];
    for (fault, member, administrator) in [
        (Fault::Unauthenticated, 401, 401),
        (Fault::NoSuchFlow, 403, 404),
        (Fault::NoSuchMessage, 404, 404),
        (Fault::NotAuthor, 404, 404),
        (Fault::NotOwner, 403, 403),
        (Fault::NoBusiness, 403, 403),
        (Fault::invalid("text", "too long"), 400, 400),
        (Fault::Unavailable, 503, 503),
        (Fault::Internal, 500, 500),
    ] {
        for (path, status) in [(MEMBERS, member), (ADMINISTRATORS, administrator)] {
            for request in requests {
                let mut server = Server::joined(path, 1);
                let request = server.decode(request);
                let frames = server.respond(&request, Err(fault.clone()));
                let keys = ["errors", "data", "action", "response_status", "request_id"];
                let places: Vec<_> =
                    keys.iter().map(|key| text(&frames[0]).find(&format!("\"{key}\":"))).collect();
                assert!(
                    frames.len() == 1 && places.iter().all(Option::is_some) && places.is_sorted(),
                    "{frames:?}"
                );
                let error = json(&frames[0]);
                assert_eq!(
                    (&error["data"], &error["response_status"], &error["request_id"]),
                    (&Value::Null, &json!(status), &json!(7))
                );
                assert_eq!(error["errors"].as_array().map(Vec::len), Some(1), "{error}");
            }
        }
    }
    let mut server = Server::joined(ADMINISTRATORS, 1);
    let request = server.decode(requests[3]);
    let frames = server.respond(&request, Err(Fault::NoBusiness));
    let expected = concat!(
        r#"{"errors":["Action not allowed. You cannot write to a chat that does not have brand "#,
        r#"with business subscription!"],"data":null,"action":"create_message","#,
        r#""response_status":403,"request_id":7}"#
    );
    assert_eq!(text(&frames[0]), expected);
}

#[test]
fn violations_are_answered_and_leave_the_session_as_it_was() {
    use ViolationKind::{Shape, Syntax, UnknownMethod};
    let long = "d".repeat(64);
    let long_action = format!(r#"{{"action":"{long}ance","request_id":7}}"#);
    let not_allowed = format!("Method \"{long}\" not allowed.");
    let deep = format!(r#"{{"action":"list","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let long_id = format!(r#"{{"action":"list","request_id":"{}"}}"#, "x".repeat(1023));
    let zeros =
        format!(r#"{{"action":"delete_messages","msg_id_list":[18{}]}}"#, ",0".repeat(1000));
    let object = "A JSON object that names each field once is expected";
    let id_range = "request_id: numbers and characters in range are expected";
    let ids = "msg_id_list: a list of ids is expected, at least one";
    let nothing_deleted = "Messages were not found! Nothing was deleted!";
    let no_message = "Message not found! Check whether you are its author and the id is correct!";
    let no_action = "action: a string is expected";
    let twice = r#"{"action":"list","action":"list","request_id":7}"#;
    for (request, kind, status, id, error) in [
        ("", Syntax, 400, Value::Null, "JSON is expected"),
        ("{'action': 'list'}", Syntax, 400, Value::Null, "JSON is expected"),
        ("[1", Syntax, 400, Value::Null, "JSON is expected"),
        ("{} {}", Syntax, 400, Value::Null, "JSON is expected"),
        (r#"["list"]"#, Shape, 400, Value::Null, object),
        (r#""list""#, Shape, 400, Value::Null, object),
        ("null", Shape, 400, Value::Null, object),
        (" \r\n\t{}", Shape, 400, Value::Null, no_action),
        (twice, Shape, 400, Value::Null, object),
        (&deep, Shape, 400, Value::Null, "At most 64 levels of nesting are expected"),
        (r#"{"request_id":7}"#, Shape, 400, json!(7), no_action),
        (r#"{"action":{},"request_id":7}"#, Shape, 400, json!(7), no_action),
    ] {
        check(request, kind, None, (status, id, error));
    }
    for (action, fields, status, error) in [
        ("list", r#","request_id":1e999"#, 400, id_range),
        ("list", r#","request_id":"\ud800""#, 400, id_range),
        ("join_room", "", 400, "room_pk: missing"),
        ("join_room", r#","room_pk":null"#, 400, "room_pk: missing"),
        ("join_room", r#","room_pk":1.0"#, 400, "room_pk: an integer is expected"),
        (
            "join_room",
            r#","room_pk":99999999999999999999"#,
            403,
            "You cannot enter a room you are not a member of",
        ),
        ("create_message", r#","msg_text":["x"]"#, 400, "msg_text: a string is expected"),
        ("create_message", r#","msg_text":"\ud800""#, 400, "msg_text: a string is expected"),
        ("edit_message", r#","msg_id":18"#, 400, "edited_msg_text: missing"),
        ("edit_message", r#","msg_id":-1,"edited_msg_text":"x""#, 404, no_message),
        ("delete_messages", "", 400, "msg_id_list: missing"),
        ("delete_messages", r#","msg_id_list":18"#, 400, ids),
        ("delete_messages", r#","msg_id_list":[18,"12"]"#, 400, ids),
        ("delete_messages", r#","msg_id_list":[18,1.5]"#, 400, ids),
        ("delete_messages", r#","msg_id_list":[18,1e1]"#, 400, ids),
        ("delete_messages", r#","msg_id_list":[18,null]"#, 400, ids),
        ("delete_messages", r#","msg_id_list":[]"#, 404, nothing_deleted),
        ("delete_messages", r#","msg_id_list":[0]"#, 404, nothing_deleted),
        ("delete_messages", r#","msg_id_list":[-1,99999999999999999999]"#, 404, nothing_deleted),
    ] {
        let request = format!(r#"{{"action":"{action}"{fields}}}"#);
        check(&request, Shape, Some(action), (status, Value::Null, error));
    }
    let id_limit = "request_id: at most 1024 bytes are expected";
    check(&long_id, Shape, Some("list"), (400, Value::Null, id_limit));
    let numbers_limit = "msg_id_list: must be 1 to 1000";
    check(&zeros, Shape, Some("delete_messages"), (400, Value::Null, numbers_limit));
    let capital = r#"{"action":"List","request_id":7}"#;
    let error = "Method \"List\" not allowed.";
    check(capital, UnknownMethod, Some("List"), (405, json!(7), error));
    check(&long_action, UnknownMethod, Some(&*long), (405, json!(7), &not_allowed));

    for frame in [
        Frame::Binary(Bytes::from_static(br#"{"action":"list"}"#)),
        Frame::Value(Bytes::from_static(b"{}")),
    ] {
        let violation = Server::connected(MEMBERS, 1).violation(&frame);
        assert_eq!(violation.kind, ViolationKind::FrameKind);
        let answer = json(violation.answer.as_ref().expect("a server answers every violation"));
        assert_eq!(answer["response_status"], 400);
    }
}

/// Checks the answer to a violation inside room 1: its status, request id and text.
fn check(
    request: &str,
    kind: ViolationKind,
    action: Option<&str>,
    (status, id, error): (u16, Value, &str),
) {
    let mut server = Server::joined(MEMBERS, 1);
    let violation = server.violation(&Frame::text(request.to_owned()));
    assert_eq!((violation.kind, violation.close), (kind, None), "{request}");
    let expected = json!({
        "errors": [error],
        "data": null,
        "action": action,
        "response_status": status,
        "request_id": id,
    });
    let answer = violation.answer.as_ref().expect("a server answers every violation");
    assert_eq!(json(answer), expected, "{request}");
    server.decode(r#"{"action":"create_message","msg_text":"hello"}"#);
}

#[test]
fn a_request_that_needs_a_room_is_refused_outside_of_any() {
    let outside = "Action not allowed. You are not in the room!";
    let nothing_to_leave = "Action 'leave_room' not allowed. You are not in the room";
    let unknown = "Method \"current_room_info\" not allowed.";
    for (path, request, status, error) in [
        (MEMBERS, r#"{"action":"leave_room"}"#, 400, nothing_to_leave),
        (MEMBERS, r#"{"action":"current_room_info"}"#, 400, outside),
        (MEMBERS, r#"{"action":"create_message","msg_text":1}"#, 400, outside),
        (MEMBERS, r#"{"action":"edit_message"}"#, 400, outside),
        (MEMBERS, r#"{"action":"delete_messages","msg_id_list":[0]}"#, 400, outside),
        (ADMINISTRATORS, r#"{"action":"delete_messages","msg_id_list":[1]}"#, 400, outside),
        (ADMINISTRATORS, r#"{"action":"current_room_info"}"#, 405, unknown),
    ] {
        let violation = Server::connected(path, 1).violation(&Frame::text(request));
        let answer = json(violation.answer.as_ref().expect("a server answers every violation"));
        assert_eq!(
            (&answer["response_status"], &answer["errors"][0]),
            (&json!(status), &json!(error)),
            "{request}"
        );
    }
}

#[test]
fn the_nesting_of_frames_is_bounded_by_the_server() {
    let parts = parts(MEMBERS, &[TOKEN, ORIGIN]);
    let session = Action::default().accept(&handshake(1, &parts).max_json_depth(2));
    let mut server = Server { session: session.expect("the handshake is good"), flow: None };
    server.decode(r#"{"action":"list","request_id":[]}"#);
    let violation = server.violation(&Frame::text(r#"{"action":"list","request_id":[[]]}"#));
    assert_eq!(violation.kind, ViolationKind::Shape);
}

#[test]
fn a_response_that_the_wire_does_not_have_is_unsupported() {
    let mut server = Server::joined(MEMBERS, 1);
    let list = server.decode(r#"{"action":"list"}"#).correlation;
    for (correlation, outcome) in [
        (list.clone(), Ok(Answer::LoggedOut)),
        (list, Ok(room(1, &[]))),
        (Correlation::NONE, Ok(Answer::LoggedOut)),
        (Correlation::new("another dialect's"), Err(Fault::Internal)),
    ] {
        let mut frames = Vec::new();
        let response = Response::new(correlation, outcome);
        let responded = server.session.respond(*NOW, &response, &RenderContext::EMPTY, &mut frames);
        assert_eq!(responded.expect_err("the wire has no frame for it").dialect, "action");
        assert!(frames.is_empty());
    }
}
