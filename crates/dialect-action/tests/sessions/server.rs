//! The server's end: requests to commands, answers and refusals to frames.

use crate::{
    ADMINISTRATORS, MEMBERS, NOW, ask, connected, flow_id, join, joined, json, message, message_id,
    overview, refused, reply, said, text,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{Dialect, Line};
use tolmach_dialect::{Frame, Interest, Opening, Settings, Side, ViolationKind};
use tolmach_dialect_action::Action;
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, Fault, FlowId, FlowKindFilter, FlowSummary,
    NewMessage, UserRef,
};

fn whole(flow: FlowId) -> Command {
    Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true }
}

#[test]
fn every_request_is_understood() {
    let hello = NewMessage {
        flow: flow_id(1),
        kinds: FlowKindFilter::Any,
        content: Content::text("hello"),
        key: None,
    };
    let table = [
        (
            r#"{"action":"list","request_id":7}"#,
            Command::ListFlows { limit: None, offset: 0, members: true },
            false,
        ),
        (r#"{"action":"join_room","room_pk":5,"request_id":7}"#, whole(flow_id(5)), false),
        (
            r#"{"action":"join_room","room_pk":9007199254740991,"request_id":7}"#,
            whole(flow_id(9_007_199_254_740_991)),
            false,
        ),
        (r#"{"action":"leave_room","request_id":7}"#, Command::GetUser { who: UserRef::Me }, false),
        (r#"{"action":"current_room_info","request_id":7}"#, whole(flow_id(1)), false),
        (
            r#"{"action":"create_message","msg_text":"hello","request_id":7}"#,
            Command::Send(Box::new(hello)),
            true,
        ),
        (
            r#"{"action":"edit_message","msg_id":18,"edited_msg_text":"edit","request_id":7}"#,
            Command::Edit {
                message: message_id(18),
                flow: Some(flow_id(1)),
                text: "edit".to_owned(),
            },
            true,
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":[18,12],"request_id":7}"#,
            Command::Delete {
                messages: vec![message_id(18), message_id(12)],
                flow: Some(flow_id(1)),
            },
            true,
        ),
        // What the action does not have, and null for nothing.
        (
            r#"{"action":"list","msg_id":{},"user":2,"msg_text":null,"request_id":7}"#,
            Command::ListFlows { limit: None, offset: 0, members: true },
            false,
        ),
    ];
    for (path, authority) in
        [(MEMBERS, Authority::Member), (ADMINISTRATORS, Authority::Administrator)]
    {
        for (request, command, tagged) in table.clone() {
            if path == ADMINISTRATORS && request.contains("current_room_info") {
                continue;
            }
            let ask = ask(&mut *joined(&Action::default(), path, 1), request);
            assert_eq!(
                (ask.proof, ask.authority, ask.command),
                (Credentials::Connection, authority, command),
                "{request}"
            );
            assert_eq!(ask.tag, tagged.then(|| Bytes::from_static(b"7")), "{request}");
        }
    }
}

#[test]
fn a_request_id_comes_back_to_the_letter() {
    let long = format!("\"{}\"", "x".repeat(1022));
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
        let mut session = connected(&Action::default(), MEMBERS, 1);
        let ask = ask(&mut *session, &format!(r#"{{"action":"list","request_id":{id}}}"#));
        let frames = said(&mut *session, &reply(&ask.echo, Ok(Answer::Flows(Vec::new()))));
        let expected = format!(
            r#"{{"errors":[],"data":[],"action":"list","response_status":200,"request_id":{id}}}"#
        );
        assert_eq!(frames.iter().map(text).collect::<Vec<_>>(), [expected]);
    }
    let mut session = connected(&Action::default(), MEMBERS, 1);
    let ask = ask(&mut *session, r#"{"action":"list"}"#);
    assert_eq!(
        json(&said(&mut *session, &reply(&ask.echo, Ok(Answer::Flows(Vec::new()))))[0])["request_id"],
        Value::Null
    );
}

#[test]
fn a_room_is_told_with_whoever_is_in_it() {
    let mut session = connected(&Action::default(), MEMBERS, 1);
    let last = Some(message(17, 3, "hi"));
    let ask = ask(&mut *session, r#"{"action":"join_room","room_pk":1,"request_id":7}"#);
    let frames = said(
        &mut *session,
        &reply(&ask.echo, Ok(Answer::Flow(Box::new(FlowSummary { last, ..overview(1, &[1, 2]) })))),
    );
    let expected = concat!(
        r#"{"errors":[],"data":{"pk":1,"id":1,"participants":["#,
        r#"{"id":1,"fullname":"Ann Archer","user":{"id":1,"email":"ann@example.org","phone":null}},"#,
        r#"{"id":2,"fullname":"Bob Baker","user":{"id":2,"email":"bob@example.org","phone":"+15550002"}}],"has_business":true,"#,
        // The author has left the room.
        r#""last_message":{"id":17,"text":"hi","user":{"id":3,"email":null,"phone":null},"created_at":"2024-06-17T18:00:00.000Z"}},"#,
        r#""action":"join_room","response_status":200,"request_id":7}"#
    );
    assert_eq!(frames.iter().map(text).collect::<Vec<_>>(), [expected]);
    for (members, business) in [(&[1, 3][..], false), (&[2], true), (&[], false)] {
        assert_eq!(
            json(&join(&mut *session, 1, members)[0])["data"]["has_business"],
            business,
            "{members:?}"
        );
    }
}

#[test]
fn one_room_is_joined_at_a_time() {
    let mut session = connected(&Action::default(), MEMBERS, 1);
    assert_eq!(session.interest(), Interest::Nothing);
    join(&mut *session, 1, &[1, 2]);
    assert_eq!(session.interest(), Interest::Flow(flow_id(1)));

    let refused = ask(&mut *session, r#"{"action":"join_room","room_pk":5,"request_id":7}"#);
    assert_eq!(
        json(&said(&mut *session, &reply(&refused.echo, Err(Fault::NoSuchFlow)))[0])["response_status"],
        403
    );
    assert_eq!(session.interest(), Interest::Flow(flow_id(1)), "a refused join changes nothing");

    join(&mut *session, 5, &[1, 3]);
    assert_eq!(session.interest(), Interest::Flow(flow_id(5)));

    let leave = ask(&mut *session, r#"{"action":"leave_room","request_id":7}"#);
    assert_eq!(session.interest(), Interest::Flow(flow_id(5)), "not before it is answered");
    let left = said(&mut *session, &reply(&leave.echo, Ok(Answer::User(Box::new(crate::user(1))))));
    assert_eq!(json(&left[0])["data"], json!({"response": "leaved room 5 successfully!"}));
    assert_eq!(session.interest(), Interest::Nothing);
}

#[test]
fn leaving_needs_nobodys_leave() {
    let mut session = joined(&Action::default(), MEMBERS, 1);
    let leave = ask(&mut *session, r#"{"action":"leave_room","request_id":7}"#);
    let frames = said(&mut *session, &reply(&leave.echo, Err(Fault::Unavailable)));
    assert_eq!(json(&frames[0])["response_status"], 503);
    assert_eq!(session.interest(), Interest::Nothing, "what follows is not said in the room");
}

#[test]
fn every_fault_of_every_action_is_an_envelope() {
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
                let mut session = joined(&Action::default(), path, 1);
                let ask = ask(&mut *session, request);
                let frames = said(&mut *session, &reply(&ask.echo, Err(fault.clone())));
                let said = json(&frames[0]);
                let keys = ["errors", "data", "action", "response_status", "request_id"];
                let places: Vec<_> =
                    keys.iter().map(|key| text(&frames[0]).find(&format!("\"{key}\":"))).collect();
                assert!(
                    frames.len() == 1 && places.iter().all(Option::is_some) && places.is_sorted(),
                    "{frames:?}"
                );
                assert_eq!(
                    (&said["data"], &said["response_status"], &said["request_id"]),
                    (&Value::Null, &json!(status), &json!(7))
                );
                assert_eq!(said["errors"].as_array().map(Vec::len), Some(1), "{said}");
            }
        }
    }
    let mut session = joined(&Action::default(), ADMINISTRATORS, 1);
    let ask = ask(&mut *session, requests[3]);
    assert_eq!(
        text(&said(&mut *session, &reply(&ask.echo, Err(Fault::NoBusiness)))[0]),
        concat!(
            r#"{"errors":["Action not allowed. You cannot write to a chat that does not have brand with business subscription!"],"#,
            r#""data":null,"action":"create_message","response_status":403,"request_id":7}"#
        )
    );
}

#[test]
fn misbehaviour_is_answered_and_costs_nothing_more() {
    use ViolationKind::{Shape, Syntax, UnknownMethod};
    let long = "d".repeat(64);
    let long_action = format!(r#"{{"action":"{long}ance","request_id":7}}"#);
    let not_allowed = format!("Method \"{long}\" not allowed.");
    let deep = format!(r#"{{"action":"list","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let long_id = format!(r#"{{"action":"list","request_id":"{}"}}"#, "x".repeat(1023));
    let object = "A JSON object that names each field once is expected";
    let id_range = "request_id: numbers and characters in range are expected";
    let ids = "msg_id_list: a list of ids is expected, at least one";
    for (request, kind, action, status, id, error) in [
        ("", Syntax, None, 400, Value::Null, "JSON is expected"),
        ("{'action': 'list'}", Syntax, None, 400, Value::Null, "JSON is expected"),
        (r#"["list"]"#, Shape, None, 400, Value::Null, object),
        (
            r#"{"action":"list","action":"list","request_id":7}"#,
            Shape,
            None,
            400,
            Value::Null,
            object,
        ),
        (&deep, Shape, None, 400, Value::Null, "At most 64 levels of nesting are expected"),
        (r#"{"request_id":7}"#, Shape, None, 400, json!(7), "action: a string is expected"),
        (
            r#"{"action":{},"request_id":7}"#,
            Shape,
            None,
            400,
            json!(7),
            "action: a string is expected",
        ),
        (
            r#"{"action":"list","request_id":1e999}"#,
            Shape,
            Some("list"),
            400,
            Value::Null,
            id_range,
        ),
        (
            r#"{"action":"list","request_id":"\ud800"}"#,
            Shape,
            Some("list"),
            400,
            Value::Null,
            id_range,
        ),
        (
            &long_id,
            Shape,
            Some("list"),
            400,
            Value::Null,
            "request_id: at most 1024 bytes are expected",
        ),
        (
            r#"{"action":"List","request_id":7}"#,
            UnknownMethod,
            Some("List"),
            405,
            json!(7),
            "Method \"List\" not allowed.",
        ),
        (&long_action, UnknownMethod, Some(&*long), 405, json!(7), &*not_allowed),
        (
            r#"{"action":"join_room","request_id":7}"#,
            Shape,
            Some("join_room"),
            400,
            json!(7),
            "room_pk: missing",
        ),
        (
            r#"{"action":"join_room","room_pk":1.0}"#,
            Shape,
            Some("join_room"),
            400,
            Value::Null,
            "room_pk: an integer is expected",
        ),
        (
            r#"{"action":"join_room","room_pk":99999999999999999999}"#,
            Shape,
            Some("join_room"),
            403,
            Value::Null,
            "You cannot enter a room you are not a member of",
        ),
        (
            r#"{"action":"create_message","msg_text":["x"]}"#,
            Shape,
            Some("create_message"),
            400,
            Value::Null,
            "msg_text: a string is expected",
        ),
        (
            r#"{"action":"create_message","msg_text":"\ud800"}"#,
            Shape,
            Some("create_message"),
            400,
            Value::Null,
            "msg_text: a string is expected",
        ),
        (
            r#"{"action":"edit_message","msg_id":18}"#,
            Shape,
            Some("edit_message"),
            400,
            Value::Null,
            "edited_msg_text: missing",
        ),
        (
            r#"{"action":"edit_message","msg_id":-1,"edited_msg_text":"x"}"#,
            Shape,
            Some("edit_message"),
            404,
            Value::Null,
            "Message not found! Check whether you are its author and the id is correct!",
        ),
        (
            r#"{"action":"delete_messages"}"#,
            Shape,
            Some("delete_messages"),
            400,
            Value::Null,
            "msg_id_list: missing",
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":18}"#,
            Shape,
            Some("delete_messages"),
            400,
            Value::Null,
            ids,
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":[]}"#,
            Shape,
            Some("delete_messages"),
            400,
            Value::Null,
            ids,
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":[18,"12"]}"#,
            Shape,
            Some("delete_messages"),
            400,
            Value::Null,
            ids,
        ),
        (
            r#"{"action":"delete_messages","msg_id_list":[18,0]}"#,
            Shape,
            Some("delete_messages"),
            400,
            Value::Null,
            ids,
        ),
    ] {
        let mut session = joined(&Action::default(), MEMBERS, 1);
        let violation = refused(&mut *session, &Frame::text(request.to_owned()));
        assert_eq!((violation.kind, violation.close), (kind, None), "{request}");
        let expected = json!({"errors": [error], "data": null, "action": action, "response_status": status, "request_id": id});
        assert_eq!(
            json(violation.answer.as_ref().expect("a server answers every violation")),
            expected,
            "{request}"
        );
        ask(&mut *session, r#"{"action":"create_message","msg_text":"hello"}"#);
    }
    for frame in [
        Frame::Binary(Bytes::from_static(br#"{"action":"list"}"#)),
        Frame::Value(Bytes::from_static(b"{}")),
    ] {
        let violation = refused(&mut *connected(&Action::default(), MEMBERS, 1), &frame);
        assert_eq!(violation.kind, ViolationKind::FrameKind);
        assert_eq!(
            json(violation.answer.as_ref().expect("a server answers every violation"))["response_status"],
            400
        );
    }
}

#[test]
fn outside_of_any_room_nothing_is_done_in_one() {
    for (path, request, status, error) in [
        (
            MEMBERS,
            r#"{"action":"leave_room"}"#,
            400,
            "Action 'leave_room' not allowed. You are not in the room",
        ),
        (
            MEMBERS,
            r#"{"action":"current_room_info"}"#,
            400,
            "Action not allowed. You are not in the room!",
        ),
        (
            MEMBERS,
            r#"{"action":"create_message","msg_text":1}"#,
            400,
            "Action not allowed. You are not in the room!",
        ),
        (
            MEMBERS,
            r#"{"action":"edit_message"}"#,
            400,
            "Action not allowed. You are not in the room!",
        ),
        (
            ADMINISTRATORS,
            r#"{"action":"delete_messages","msg_id_list":[1]}"#,
            400,
            "Action not allowed. You are not in the room!",
        ),
        (
            ADMINISTRATORS,
            r#"{"action":"current_room_info"}"#,
            405,
            "Method \"current_room_info\" not allowed.",
        ),
    ] {
        let violation =
            refused(&mut *connected(&Action::default(), path, 1), &Frame::text(request));
        let answer = json(violation.answer.as_ref().expect("a server answers every violation"));
        assert_eq!(
            (&answer["response_status"], &answer["errors"][0]),
            (&json!(status), &json!(error)),
            "{request}"
        );
    }
}

#[test]
fn the_depth_is_the_operators() {
    let parts = crate::at(MEMBERS);
    let opening = Opening {
        settings: Settings { depth: 2, ..Settings::default() },
        ..crate::opening(&parts)
    };
    let mut session =
        Action::default().open(&opening, Side::Server).expect("the handshake is good");
    ask(&mut *session, r#"{"action":"list","request_id":[]}"#);
    assert_eq!(
        refused(&mut *session, &Frame::text(r#"{"action":"list","request_id":[[]]}"#)).kind,
        ViolationKind::Shape
    );
}

#[test]
fn what_a_reply_cannot_say_is_a_loss() {
    let mut session = joined(&Action::default(), MEMBERS, 1);
    let list = ask(&mut *session, r#"{"action":"list"}"#);
    for line in [
        reply(&list.echo, Ok(Answer::LoggedOut)),
        reply(&list.echo, Ok(Answer::Flow(Box::new(overview(1, &[]))))),
        reply(&tolmach_dialect::Echo::NONE, Ok(Answer::LoggedOut)),
        reply(&tolmach_dialect::Echo::new("another dialect's"), Err(Fault::Internal)),
        Line::Ask(list.clone()),
    ] {
        let mut frames = Vec::new();
        assert_eq!(
            session.encode(*NOW, &line, &mut frames).expect_err("the wire cannot say it").dialect,
            "action"
        );
        assert!(frames.is_empty());
    }
}
