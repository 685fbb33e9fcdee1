//! The client's side: requests to frames, frames to outcomes and events.

use crate::peers::{Client, Outcome, Server, request};
use crate::values::{
    ADMINISTRATORS, MEMBERS, NOW, caused, event, flow_id, json, message, message_id, outcome,
    posted, room, summary, text, user, user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tolmach_dialect::{DialectClient, Frame, InvalidReply, Request, ViolationKind};
use tolmach_dialect_action::Action;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Command, Content, EventKind, Fault, FlowKind,
    FlowKindFilter, FlowSummary, HistoryRange, MessageId, NewMessage, PhotoOf, UserRef,
};

const OUTSIDE: &str = "Action not allowed. You are not in the room!";
const NOT_A_MEMBER: &str = "You cannot enter a room you are not a member of";

fn send(room: i64, text: &str) -> Command {
    Command::Send(Box::new(NewMessage {
        flow: flow_id(room),
        kinds: FlowKindFilter::Any,
        content: Content::text(text),
        key: None,
    }))
}

fn get(room: i64) -> Command {
    Command::GetFlow { flow: flow_id(room), kinds: FlowKindFilter::Any, members: true }
}

fn list(limit: Option<u32>, offset: u32) -> Command {
    Command::ListFlows { limit, offset, members: true }
}

fn edit(room: i64, text: &str) -> Command {
    Command::Edit { message: message_id(18), flow: Some(flow_id(room)), text: text.to_owned() }
}

fn delete(ids: &[i64]) -> Command {
    Command::Delete {
        messages: ids.iter().copied().map(message_id).collect(),
        flow: Some(flow_id(1)),
        all_or_none: false,
    }
}

#[test]
fn the_room_of_a_request_is_joined_first_and_another_left_before() {
    let mut client = Client::connected(MEMBERS);
    let join = |room: i64| json!({"action": "join_room", "room_pk": room});
    let leave = json!({"action": "leave_room"});
    let create = |text: &str| json!({"action": "create_message", "msg_text": text});
    let edits = json!({"action": "edit_message", "msg_id": 18, "edited_msg_text": "d"});
    for (command, expected) in [
        (list(None, 0), vec![json!({"action": "list"})]),
        (send(1, "a"), vec![join(1), create("a")]),
        (send(1, "b"), vec![create("b")]),
        (get(1), vec![json!({"action": "current_room_info"})]),
        (delete(&[18, 12]), vec![json!({"action": "delete_messages", "msg_id_list": [18, 12]})]),
        (get(2), vec![leave.clone(), join(2)]),
        (send(2, "c"), vec![create("c")]),
        (edit(1, "d"), vec![leave, join(1), edits]),
        (list(Some(1), 3), vec![json!({"action": "list"})]),
    ] {
        let without_id = |frame: &Frame| {
            let mut frame = json(frame);
            let object = frame.as_object_mut().expect("a request is an object");
            assert!(object.remove("request_id").is_some(), "every request has an id");
            frame
        };
        let frames = client.send(0, command);
        assert_eq!(frames.iter().map(without_id).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn an_administrator_reads_the_joined_room_by_joining_it_again() {
    let mut client = Client::connected(ADMINISTRATORS);
    for _ in 0..2 {
        let request = Request { authority: Authority::Administrator, ..request(0, get(1)) };
        let frames = client.request(&request).expect("the wire has the request");
        let actions: Vec<Value> =
            frames.iter().map(|frame| json(frame)["action"].clone()).collect();
        assert_eq!(actions, ["join_room"]);
    }
}

#[test]
fn request_ids_differ_between_connections_and_are_exact_in_every_parser() {
    let mut ids = BTreeSet::new();
    for connection in [1, 2, u64::MAX] {
        let mut client = Client::numbered(MEMBERS, connection);
        for frame in (0..2).flat_map(|_| client.send(0, list(None, 0))) {
            let id = json(&frame)["request_id"].as_u64().expect("an integer");
            assert!(id < 1 << 53, "{id}");
            assert!(ids.insert(id), "{id} is used twice");
        }
    }
}

/// The outcomes and events of a request of Ann, through both sides; her server joins the rooms of
/// the frames.
fn through(
    command: &Command,
    answer: Result<Answer, Fault>,
    event: Option<EventKind>,
) -> (Vec<Outcome>, Vec<EventKind>) {
    let (mut client, mut server) = (Client::connected(MEMBERS), Server::connected(MEMBERS, 1));
    let (mut outcomes, mut events) = (Vec::new(), Vec::new());
    for frame in client.send(7, command.clone()) {
        let request = server.decode(text(&frame));
        let joins = matches!(&request.command, Command::GetFlow { .. })
            && request.command.name() != command.name();
        let outcome = if joins { Ok(room(1, &[1, 2])) } else { answer.clone() };
        let mut frames = server.respond(&request, outcome);
        if let Some(event) = event.clone().filter(|_| !joins) {
            let (frame, _) =
                server.receive(&caused(1, &request, event)).expect("the author receives it");
            frames.push(frame);
        }
        for frame in frames {
            let received = client.receive(&frame);
            outcomes.extend(received.0);
            events.extend(received.1);
        }
    }
    (outcomes, events)
}

#[test]
fn the_frame_of_a_change_is_its_response_and_its_event() {
    for command in [send(1, "hello"), edit(1, "edit"), delete(&[18, 12])] {
        let (expected, event) = outcome(1, &command);
        let (outcomes, events) = through(&command, Ok(expected.clone()), Some(event));
        let [(7, Ok(answer))] = &outcomes[..] else { panic!("{outcomes:?}") };
        let [event] = &events[..] else { panic!("{events:?}") };
        match (answer, event) {
            (Answer::Sent { message: Some(message), .. }, EventKind::Posted(posted)) => {
                assert_eq!(**message, *posted);
                assert_eq!(
                    (message.id, message.flow, &*message.content.text),
                    (message_id(18), flow_id(1), "hello")
                );
                assert_eq!(
                    (message.author.id, &*message.author.name, message.posted_at),
                    (user_id(1), "Ann Archer", *NOW)
                );
            }
            (Answer::Edited(message), EventKind::Edited(edited)) => {
                assert_eq!(**message, *edited);
                assert_eq!(
                    (message.id, message.flow, &*message.content.text),
                    (message_id(18), flow_id(1), "edit")
                );
            }
            (Answer::Deleted { .. }, EventKind::Deleted { flow, messages, .. }) => {
                assert_eq!(answer, &expected);
                let ids: Vec<MessageId> = messages.iter().map(|(id, _)| *id).collect();
                assert_eq!((*flow, ids), (flow_id(1), vec![message_id(18)]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rooms_are_decoded_with_their_participants() {
    let last = Some(message(17, 2, "hi"));
    let rooms =
        [FlowSummary { last, ..summary(1, &[1, 2]) }, summary(2, &[1, 2, 3]), summary(3, &[1, 3])];
    let (outcomes, events) = through(&list(Some(2), 1), Ok(Answer::Flows(rooms.to_vec())), None);
    let [(7, Ok(Answer::Flows(flows)))] = &outcomes[..] else { panic!("{outcomes:?}") };
    let found: Vec<_> = flows
        .iter()
        .map(|room| (room.flow.id.get(), room.flow.kind, room.has_business()))
        .collect();
    assert_eq!(found, [(2, FlowKind::Group, true), (3, FlowKind::Chat, false)]);
    assert_eq!(events, []);

    let (outcomes, _) = through(&get(1), Ok(Answer::Flow(Box::new(rooms[0].clone()))), None);
    let [(7, Ok(Answer::Flow(flow)))] = &outcomes[..] else { panic!("{outcomes:?}") };
    let bob = &flow.members[1];
    assert_eq!(
        (bob.id, &*bob.name, &bob.email, &bob.phone),
        (user_id(2), "Bob Baker", &user(2).email, &user(2).phone)
    );
    let last = flow.last.as_ref().expect("there is a last message");
    assert_eq!(
        (last.id, &*last.author.name, &*last.content.text),
        (message_id(17), "Bob Baker", "hi")
    );
}

#[test]
fn an_error_is_decoded_as_its_fault() {
    for fault in [
        Fault::Unauthenticated,
        Fault::NoSuchFlow,
        Fault::NotOwner,
        Fault::NoBusiness,
        Fault::invalid("text", "too long"),
        Fault::Unavailable,
        Fault::Internal,
    ] {
        for command in [list(None, 0), get(1), send(1, "hello"), delete(&[18])] {
            let received = through(&command, Err(fault.clone()), None);
            assert_eq!(received, (vec![(7, Err(fault.clone()))], vec![]), "{command:?}");
        }
    }
}

/// A server's error for one of the requests.
fn error(request: &Frame, status: u16, error: &str) -> Frame {
    let request = json(request);
    let reply = json!({
        "errors": [error],
        "data": null,
        "action": request["action"],
        "response_status": status,
        "request_id": request["request_id"],
    });
    Frame::text(reply.to_string())
}

#[test]
fn a_request_whose_room_cannot_be_joined_is_refused_once_and_its_room_joined_anew() {
    let mut client = Client::connected(MEMBERS);
    let frames = client.send(7, send(1, "hello"));
    let refused = client.receive(&error(&frames[0], 403, NOT_A_MEMBER));
    assert_eq!(refused, (vec![(7, Err(Fault::NoSuchFlow))], vec![]));
    assert_eq!(client.receive(&error(&frames[1], 400, OUTSIDE)), (vec![], vec![]));
    let frames = client.send(8, send(1, "hello?"));
    assert_eq!(frames.len(), 2, "the room is joined anew, and none is left before");
}

#[test]
fn a_refused_room_is_not_joined() {
    let mut client = Client::connected(MEMBERS);
    let frames = client.send(7, get(1));
    let refused = client.receive(&error(&frames[0], 403, NOT_A_MEMBER));
    assert_eq!(refused, (vec![(7, Err(Fault::NoSuchFlow))], vec![]));
    assert_eq!(client.send(8, send(1, "hello?")).len(), 2, "the room is joined first");
}

#[test]
fn a_removed_user_joins_the_room_anew() {
    let mut client = Client::connected(MEMBERS);
    client.send(7, get(1));
    let frames = client.send(8, send(1, "hello"));
    assert_eq!(frames.len(), 1);
    let refused = client.receive(&error(&frames[0], 400, OUTSIDE));
    assert_eq!(refused, (vec![(8, Err(Fault::NoSuchFlow))], vec![]));
    assert_eq!(client.send(9, send(1, "hello?")).len(), 2);
}

#[test]
fn changes_of_others_are_events_and_answer_nothing() {
    let (mut client, mut server) = (Client::connected(MEMBERS), Server::joined(MEMBERS, 1));
    client.send(7, send(1, "hello"));
    let (frame, _) =
        server.receive(&event(posted(19, 2, "hello"))).expect("the whole room receives it");
    let (outcomes, events) = client.receive(&frame);
    assert_eq!(outcomes, []);
    assert!(
        matches!(&events[..], [EventKind::Posted(message)] if message.author.id == user_id(2)),
        "{events:?}"
    );
}

#[test]
fn requests_that_the_wire_does_not_have_are_unsupported() {
    let (flow, kinds) = (flow_id(1), FlowKindFilter::Any);
    let picture = Attachment { kind: AttachmentKind::Picture, data: "UA==".into() };
    let content = Content { attachments: vec![picture], ..Content::default() };
    for command in [
        Command::GetUser { user: UserRef::Me },
        Command::History { flow, kinds, range: HistoryRange::All, mark_read: false },
        Command::Logout { login: None },
        Command::GetPhoto { of: PhotoOf::Flow(flow) },
        Command::OpenChat { with: UserRef::Me },
        Command::DeleteFlow { flow, kinds },
        Command::AddMembers { flow, users: vec![user_id(2)] },
        Command::ShowTyping { flow, active: true },
        Command::Edit { message: message_id(18), flow: None, text: "x".to_owned() },
        Command::Delete { messages: vec![message_id(18)], flow: None, all_or_none: false },
        Command::Delete {
            messages: vec![message_id(18), message_id(12)],
            flow: Some(flow),
            all_or_none: true,
        },
        Command::Send(Box::new(NewMessage { flow, kinds, content, key: None })),
    ] {
        let request = request(0, command);
        let unsupported = Client::connected(MEMBERS).request(&request);
        let unsupported = unsupported.expect_err("the wire has no frame for it");
        assert_eq!((unsupported.dialect, unsupported.what), ("action", request.command.name()));
        let dialled = Action::default().dial(&request);
        assert_eq!(dialled.expect_err("the wire has no frame for it"), unsupported);
    }
    let other_right = Request { authority: Authority::Administrator, ..request(0, list(None, 0)) };
    Client::connected(MEMBERS).request(&other_right).expect_err("the path is of members");
}

#[test]
fn invalid_frames_of_a_server_give_nothing() {
    use ViolationKind::{FrameKind, Shape, Syntax};
    let reply = |action: &str, data: &str, id: &str| {
        format!(r#"{{"errors":[],"data":{data},"action":"{action}","response_status":200,{id}}}"#)
    };
    let list = |data: &str| reply("list", data, r#""request_id":4294967297"#);
    let push = |action: &str, data: &str| reply(action, data, r#""request_id":null"#);
    let message = r#"{"id":18,"text":"x","user":{"id":1},"created_at":"2024-06-17T18:00:00.000Z"}"#;
    let no_time = concat!(
        r#"{"id":18,"text":"x","user":{"id":1},"created_at":"now","#,
        r#""room":{"pk":1,"participants":[],"has_business":false}}"#
    );
    for (frame, kind) in [
        (String::new(), Syntax),
        ("{".to_owned(), Syntax),
        ("[]".to_owned(), Shape),
        ("{}".to_owned(), Shape),
        (list("null"), Shape),
        (list("{}"), Shape),
        (list(r#"[{"pk":0,"participants":[],"has_business":false}]"#), Shape),
        (list(r#"[{"pk":1,"participants":[{"id":1}],"has_business":false}]"#), Shape),
        (push("list", "[]"), Shape),
        (push("dance", "{}"), Shape),
        (push("create_message", "{}"), Shape),
        (push("create_message", no_time), Shape),
        (push("create_message", message), Shape),
        (push("edit_message", r#"{"room_id":1,"message_id":0,"message_text":"x"}"#), Shape),
        (push("delete_messages", r#"{"room_id":1,"messages_ids":[-1]}"#), Shape),
        (
            r#"{"errors":["no"],"data":null,"action":null,"response_status":400,"request_id":null}"#
                .to_owned(),
            Shape,
        ),
        (list("[]").replace("200", "\"200\""), Shape),
    ] {
        let mut client = Client::connected(MEMBERS);
        client.send(7, crate::client::list(None, 0));
        let invalid = client.decode(&Frame::text(frame.clone())).expect_err(&frame);
        assert_eq!(invalid, InvalidReply::new(kind), "{frame}");
    }
    let binary = Frame::Binary(Bytes::from_static(b"{}"));
    let invalid = Client::connected(MEMBERS).decode(&binary).expect_err("binary is invalid");
    assert_eq!(invalid, InvalidReply::new(FrameKind));
}

#[test]
fn no_message_reaches_another_room_than_its_own() {
    for read_first in [false, true] {
        let (mut client, mut server) = (Client::connected(MEMBERS), Server::joined(MEMBERS, 1));
        for frame in client.send(1, get(1)) {
            let request = server.decode(text(&frame));
            for frame in server.respond(&request, Ok(room(1, &[1, 2]))) {
                client.receive(&frame);
            }
        }
        // Every frame is sent before the first response is received.
        let mut frames = Vec::new();
        if read_first {
            frames.extend(client.send(2, get(5)));
        }
        frames.extend(client.send(3, send(5, "for room 5 alone")));
        let mut outcomes = Vec::new();
        for frame in frames {
            let mut requests = Vec::new();
            let replies = match server.session.decode(*NOW, &frame, &mut requests) {
                Err(violation) => Vec::from_iter(violation.answer),
                Ok(()) => {
                    let command = &requests[0].command;
                    assert!(!matches!(command, Command::Send(_)), "{command:?}");
                    // The store cannot be reached for a while.
                    server.respond(&requests[0], Err(Fault::Unavailable))
                }
            };
            for frame in replies {
                let received = client.receive(&frame).0.into_iter();
                outcomes.extend(received.map(|(number, outcome)| (number, outcome.is_ok())));
            }
        }
        let expected = if read_first { vec![(2, false), (3, false)] } else { vec![(3, false)] };
        assert_eq!(outcomes, expected);
    }
}
