//! The client's end: asks to requests, replies to outcomes, frames to notices.

use crate::{
    ADMINISTRATORS, MEMBERS, NOW, ask as heard_ask, client, connected, flow_id, joined, json,
    message_id, outcome, overview, posted, reply, said, text, told, user, user_id,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Notice, Reply, Session, ViolationKind};
use tolmach_dialect_action::Action;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Command, Content, Credentials, EventKind, Fault,
    FlowKind, FlowKindFilter, HistoryRange, MessageId, NewMessage, PhotoOf, Secret, UserRef,
};

fn ask(number: u32, command: Command) -> Ask {
    Ask::new(Echo::new(number), Credentials::Bearer(Secret::new("a.b.c")), command)
}

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

fn delete(ids: &[i64]) -> Command {
    Command::Delete {
        messages: ids.iter().copied().map(message_id).collect(),
        flow: Some(flow_id(1)),
    }
}

/// The frames of an ask, without their ids.
fn says(client: &mut dyn Session, number: u32, command: Command) -> Vec<Value> {
    let frames = said(client, &Line::Ask(ask(number, command)));
    let without_id = |frame: &Frame| {
        let mut frame = json(frame);
        frame
            .as_object_mut()
            .and_then(|frame| frame.remove("request_id"))
            .expect("every request has an id");
        frame
    };
    frames.iter().map(without_id).collect()
}

fn hears(client: &mut dyn Session, frame: &Frame) -> Vec<Line> {
    let mut lines = Vec::new();
    client.decode(*NOW, frame, &mut lines).expect("the frame is understood");
    lines
}

/// The number of an ask, and what came of it.
type Outcome = (u32, Result<Answer, Fault>);

/// Who is answered, and how; and what is told.
fn outcomes(lines: &[Line]) -> (Vec<Outcome>, Vec<EventKind>) {
    let mut replies = Vec::new();
    let mut events = Vec::new();
    for line in lines {
        match line {
            Line::Reply(Reply { echo, identity: None, outcome }) => {
                replies.push((
                    *echo.get::<u32>().expect("the echo is the client's own"),
                    outcome.clone(),
                ));
            }
            Line::Notice(notice) => events.push(notice.kind.clone()),
            other => panic!("{other:?} was heard"),
        }
    }
    (replies, events)
}

#[test]
fn the_room_of_an_ask_is_joined_first_and_another_left_before() {
    let mut client = client(MEMBERS);
    let (join, leave) = (
        |room: i64| json!({"action": "join_room", "room_pk": room}),
        json!({"action": "leave_room"}),
    );
    let create = |text: &str| json!({"action": "create_message", "msg_text": text});
    for (command, expected) in [
        (list(None, 0), vec![json!({"action": "list"})]),
        (send(1, "a"), vec![join(1), create("a")]),
        (send(1, "b"), vec![create("b")]),
        (get(1), vec![json!({"action": "current_room_info"})]),
        (delete(&[18, 12]), vec![json!({"action": "delete_messages", "msg_id_list": [18, 12]})]),
        (get(2), vec![leave.clone(), join(2)]),
        (send(2, "c"), vec![create("c")]),
        (
            Command::Edit { message: message_id(18), flow: Some(flow_id(1)), text: "d".to_owned() },
            vec![
                leave,
                join(1),
                json!({"action": "edit_message", "msg_id": 18, "edited_msg_text": "d"}),
            ],
        ),
        (list(Some(1), 3), vec![json!({"action": "list"})]),
    ] {
        assert_eq!(says(&mut *client, 0, command), expected);
    }
}

#[test]
fn an_administrator_reads_the_joined_room_by_joining_it_again() {
    let mut client = client(ADMINISTRATORS);
    let join = json!({"action": "join_room", "room_pk": 1});
    for _ in 0..2 {
        let ask = Ask { authority: Authority::Administrator, ..ask(0, get(1)) };
        let frames = said(&mut *client, &Line::Ask(ask));
        assert_eq!(
            frames.iter().map(|frame| json(frame)["action"].clone()).collect::<Vec<_>>(),
            [join["action"].clone()]
        );
    }
}

#[test]
fn request_ids_differ_between_connections_and_are_exact_in_every_parser() {
    let mut ids = std::collections::BTreeSet::new();
    for connection in [1, 2, u64::MAX] {
        let parts = crate::at(MEMBERS);
        let opening = tolmach_dialect::Opening {
            connection: tolmach_domain::ConnectionId(connection),
            ..crate::opening(&parts)
        };
        let mut client = Action::default()
            .open(&opening, tolmach_dialect::Side::Client)
            .expect("a client refuses nothing");
        for _ in 0..2 {
            for frame in said(&mut *client, &Line::Ask(ask(0, list(None, 0)))) {
                let id = json(&frame)["request_id"].as_u64().expect("an integer");
                assert!(id < 1 << 53, "{id}");
                assert!(ids.insert(id), "{id} is used twice");
            }
        }
    }
}

/// Plays an ask of Ann through both ends, her server in the room that the frames join; what the
/// client hears in the end.
fn through(
    command: &Command,
    answer: Result<Answer, Fault>,
    event: Option<EventKind>,
) -> Vec<Line> {
    let dialect = Action::default();
    let (mut client, mut server) = (client(MEMBERS), connected(&dialect, MEMBERS, 1));
    let mut lines = Vec::new();
    for frame in said(&mut *client, &Line::Ask(ask(7, command.clone()))) {
        let heard = heard_ask(&mut *server, text(&frame));
        let joins = matches!(&heard.command, Command::GetFlow { .. })
            && heard.command.name() != command.name();
        let outcome =
            if joins { Ok(Answer::Flow(Box::new(overview(1, &[1, 2])))) } else { answer.clone() };
        for frame in said(&mut *server, &reply(&heard.echo, outcome)) {
            lines.extend(hears(&mut *client, &frame));
        }
        if let Some(event) = event.clone().filter(|_| !joins) {
            let (frame, _) = told(&dialect, &mut *server, &crate::caused(1, &heard, event))
                .expect("the author is told");
            lines.extend(hears(&mut *client, &frame));
        }
    }
    lines
}

#[test]
fn a_change_is_heard_as_its_reply_and_as_its_notice() {
    for command in [
        send(1, "hello"),
        Command::Edit { message: message_id(18), flow: Some(flow_id(1)), text: "edit".to_owned() },
        delete(&[18, 12]),
    ] {
        let (answer, event) = outcome(1, &command);
        let (replies, events) =
            outcomes(&through(&command, Ok(answer.clone()), Some(event.clone())));
        let [(7, Ok(heard))] = &replies[..] else { panic!("{replies:?} was heard") };
        let [told] = &events[..] else { panic!("{events:?} was told") };
        match (heard, told) {
            (Answer::Sent { message: Some(message), .. }, EventKind::Posted(told)) => {
                assert_eq!(**message, *told);
                assert_eq!(
                    (message.id, message.flow, &*message.content.text),
                    (message_id(18), flow_id(1), "hello")
                );
                assert_eq!(
                    (message.author.id, &*message.author.name, message.posted_at),
                    (user_id(1), "Ann Archer", *NOW)
                );
            }
            (Answer::Edited(message), EventKind::Edited(told)) => {
                assert_eq!(**message, *told);
                assert_eq!(
                    (message.id, message.flow, &*message.content.text),
                    (message_id(18), flow_id(1), "edit")
                );
            }
            (Answer::Deleted { .. }, EventKind::Deleted { flow, messages, .. }) => {
                assert_eq!(heard, &answer);
                assert_eq!(
                    (*flow, messages.iter().map(|(id, _)| *id).collect::<Vec<MessageId>>()),
                    (flow_id(1), vec![message_id(18)])
                );
            }
            other => panic!("{other:?} was heard"),
        }
    }
}

#[test]
fn rooms_are_heard_with_their_participants() {
    let last = Some(crate::message(17, 2, "hi"));
    let rooms = [
        tolmach_domain::FlowSummary { last, ..overview(1, &[1, 2]) },
        overview(2, &[1, 2, 3]),
        overview(3, &[1, 3]),
    ];
    let (replies, events) =
        outcomes(&through(&list(Some(2), 1), Ok(Answer::Flows(rooms.to_vec())), None));
    let [(7, Ok(Answer::Flows(heard)))] = &replies[..] else { panic!("{replies:?} was heard") };
    assert_eq!(
        heard.iter().map(|room| (room.flow.id.get(), room.flow.kind)).collect::<Vec<_>>(),
        [(2, FlowKind::Group), (3, FlowKind::Chat)]
    );
    assert_eq!(
        heard.iter().map(tolmach_domain::FlowSummary::has_business).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(events, []);

    let (replies, _) =
        outcomes(&through(&get(1), Ok(Answer::Flow(Box::new(rooms[0].clone()))), None));
    let [(7, Ok(Answer::Flow(heard)))] = &replies[..] else { panic!("{replies:?} was heard") };
    let bob = &heard.members[1];
    assert_eq!(
        (bob.id, &*bob.name, &bob.email, &bob.phone),
        (user_id(2), "Bob Baker", &user(2).email, &user(2).phone)
    );
    let last = heard.last.as_ref().expect("there is a last message");
    assert_eq!(
        (last.id, &*last.author.name, &*last.content.text),
        (message_id(17), "Bob Baker", "hi")
    );
}

#[test]
fn a_refusal_is_heard_as_its_fault() {
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
            let (replies, events) = outcomes(&through(&command, Err(fault.clone()), None));
            assert_eq!((replies, events), (vec![(7, Err(fault.clone()))], vec![]), "{command:?}");
        }
    }
}

/// The answer of a server to the request at this place among those said, refusing it.
fn refusal(requests: &[Frame], place: usize, status: u16, error: &str) -> Frame {
    let request = json(&requests[place]);
    let answer = json!({"errors": [error], "data": null, "action": request["action"], "response_status": status, "request_id": request["request_id"]});
    Frame::text(answer.to_string())
}

#[test]
fn an_ask_whose_room_cannot_be_joined_is_refused_once_and_its_room_joined_anew() {
    let mut client = client(MEMBERS);
    let frames = said(&mut *client, &Line::Ask(ask(7, send(1, "hello"))));
    let refused = outcomes(&hears(
        &mut *client,
        &refusal(&frames, 0, 403, "You cannot enter a room you are not a member of"),
    ));
    assert_eq!(refused, (vec![(7, Err(Fault::NoSuchFlow))], vec![]));
    assert_eq!(
        hears(
            &mut *client,
            &refusal(&frames, 1, 400, "Action not allowed. You are not in the room!")
        )
        .len(),
        0
    );
    assert_eq!(
        says(&mut *client, 8, send(1, "hello?")).len(),
        2,
        "it is joined anew, and nothing is left before"
    );
}

#[test]
fn a_room_that_was_refused_is_not_taken_for_joined() {
    let mut client = client(MEMBERS);
    let frames = said(&mut *client, &Line::Ask(ask(7, get(1))));
    let refused = refusal(&frames, 0, 403, "You cannot enter a room you are not a member of");
    assert_eq!(
        outcomes(&hears(&mut *client, &refused)),
        (vec![(7, Err(Fault::NoSuchFlow))], vec![])
    );
    assert_eq!(says(&mut *client, 8, send(1, "hello?")).len(), 2, "it is joined first");
}

#[test]
fn whoever_was_put_out_joins_anew() {
    let mut client = client(MEMBERS);
    says(&mut *client, 7, get(1));
    let frames = said(&mut *client, &Line::Ask(ask(8, send(1, "hello"))));
    assert_eq!(frames.len(), 1);
    let outside = refusal(&frames, 0, 400, "Action not allowed. You are not in the room!");
    assert_eq!(
        outcomes(&hears(&mut *client, &outside)),
        (vec![(8, Err(Fault::NoSuchFlow))], vec![])
    );
    assert_eq!(says(&mut *client, 9, send(1, "hello?")).len(), 2);
}

#[test]
fn what_others_do_is_told_and_answers_nothing() {
    let dialect = Action::default();
    let (mut client, mut server) = (client(MEMBERS), joined(&dialect, MEMBERS, 1));
    said(&mut *client, &Line::Ask(ask(7, send(1, "hello"))));
    let (frame, _) = told(&dialect, &mut *server, &crate::notice(posted(19, 2, "hello")))
        .expect("everybody in the room is told");
    let (replies, events) = outcomes(&hears(&mut *client, &frame));
    assert_eq!(replies, []);
    assert!(
        matches!(&events[..], [EventKind::Posted(message)] if message.author.id == user_id(2)),
        "{events:?}"
    );
}

#[test]
fn a_refused_handshake_refuses_whatever_was_asked() {
    let mut client = client(MEMBERS);
    said(&mut *client, &Line::Ask(ask(7, send(1, "hello"))));
    said(&mut *client, &Line::Ask(ask(8, list(None, 0))));
    let forbidden =
        http::Response::builder().status(403).body(Bytes::new()).expect("the parts are valid");
    let (replies, events) = outcomes(&hears(&mut *client, &Frame::response(forbidden)));
    assert_eq!(
        (replies, events),
        (vec![(7, Err(Fault::Unauthenticated)), (8, Err(Fault::Unauthenticated))], vec![])
    );
}

#[test]
fn a_client_dials_the_door_of_its_right_with_its_token() {
    for (authority, path) in
        [(Authority::Member, MEMBERS), (Authority::Administrator, ADMINISTRATORS)]
    {
        for proof in [
            Credentials::Bearer(Secret::new("a.b.c")),
            Credentials::Token(Secret::new("a.b.c")),
            Credentials::TokenOf(user_id(1), Secret::new("a.b.c")),
        ] {
            let parts = Action::default()
                .dial(&Ask { authority, proof, ..ask(0, list(None, 0)) })
                .expect("there is a token");
            assert_eq!(
                (parts.uri.path(), parts.headers["authorization"].as_bytes()),
                (path, &b"Bearer a.b.c"[..])
            );
            assert_eq!(
                ["upgrade", "origin"].map(|name| parts.headers[name].as_bytes()),
                [&b"websocket"[..], b"http://localhost"]
            );
        }
    }
    for proof in [
        Credentials::Nothing,
        Credentials::Connection,
        Credentials::Bearer(Secret::new("a b")),
        Credentials::Token(Secret::new("a\r\nb: c")),
    ] {
        Action::default()
            .dial(&Ask { proof, ..ask(0, list(None, 0)) })
            .expect_err("there is nothing to prove it with");
    }
}

#[test]
fn what_the_wire_cannot_say_is_a_loss() {
    let flow = flow_id(1);
    let attached = Content {
        attachments: vec![Attachment { kind: AttachmentKind::Picture, data: "UA==".into() }],
        ..Content::default()
    };
    for command in [
        Command::GetUser { who: UserRef::Me },
        Command::History { flow, kinds: FlowKindFilter::Any, window: HistoryRange::All },
        Command::Logout { login: None },
        Command::GetPhoto { of: PhotoOf::Flow(flow) },
        Command::OpenChat { with: UserRef::Me },
        Command::DeleteFlow { flow, kinds: FlowKindFilter::Any },
        Command::AddMembers { flow, users: vec![user_id(2)] },
        Command::ShowTyping { flow, active: true },
        Command::Edit { message: message_id(18), flow: None, text: "x".to_owned() },
        Command::Delete { messages: vec![message_id(18)], flow: None },
        Command::Send(Box::new(NewMessage {
            flow,
            kinds: FlowKindFilter::Any,
            content: attached,
            key: None,
        })),
    ] {
        let ask = ask(0, command);
        let mut frames = Vec::new();
        let loss = client(MEMBERS)
            .encode(*NOW, &Line::Ask(ask.clone()), &mut frames)
            .expect_err("the wire cannot say it");
        assert_eq!((loss.dialect, loss.what, frames), ("action", ask.command.name(), vec![]));
        assert_eq!(Action::default().dial(&ask).expect_err("there is nowhere to say it"), loss);
    }
    let in_another_right = Ask { authority: Authority::Administrator, ..ask(0, list(None, 0)) };
    let told = Line::Notice(std::sync::Arc::new(Event::new(*NOW, posted(18, 1, "hi"))));
    for line in [Line::Ask(in_another_right), told, reply(&Echo::NONE, Ok(Answer::LoggedOut))] {
        client(MEMBERS).encode(*NOW, &line, &mut Vec::new()).expect_err("a client cannot say it");
    }
}

#[test]
fn nonsense_of_a_server_is_a_violation_that_is_not_answered() {
    use ViolationKind::{FrameKind, Shape, Syntax};
    let list = |data: &str| {
        format!(
            r#"{{"errors":[],"data":{data},"action":"list","response_status":200,"request_id":4294967297}}"#
        )
    };
    let told = |action: &str, data: &str| {
        format!(
            r#"{{"errors":[],"data":{data},"action":"{action}","response_status":200,"request_id":null}}"#
        )
    };
    let room = r#"{"pk":1,"participants":[],"has_business":false}"#;
    for (frame, kind) in [
        (String::new(), Syntax),
        ("{".to_owned(), Syntax),
        ("[]".to_owned(), Shape),
        ("{}".to_owned(), Shape),
        (list("null"), Shape),
        (list("{}"), Shape),
        (list(r#"[{"pk":0,"participants":[],"has_business":false}]"#), Shape),
        (list(r#"[{"pk":1,"participants":[{"id":1}],"has_business":false}]"#), Shape),
        (told("list", "[]"), Shape),
        (told("dance", "{}"), Shape),
        (told("create_message", "{}"), Shape),
        (told("create_message", &format!(r#"{{"id":18,"text":"x","user":{{"id":1}},"created_at":"now","room":{room}}}"#)), Shape),
        (told("create_message", r#"{"id":18,"text":"x","user":{"id":1},"created_at":"2024-06-17T18:00:00.000Z"}"#), Shape),
        (told("edit_message", r#"{"room_id":1,"message_id":0,"message_text":"x"}"#), Shape),
        (told("delete_messages", r#"{"room_id":1,"messages_ids":[-1]}"#), Shape),
        (r#"{"errors":["no"],"data":null,"action":null,"response_status":400,"request_id":null}"#.to_owned(), Shape),
        (r#"{"errors":[],"data":[],"action":"list","response_status":"200","request_id":4294967297}"#.to_owned(), Shape),
    ] {
        let mut client = client(MEMBERS);
        says(&mut *client, 7, crate::client::list(None, 0));
        let mut lines = Vec::new();
        let violation = client.decode(*NOW, &Frame::text(frame.clone()), &mut lines).expect_err(&frame);
        assert_eq!((violation.kind, violation.answer, violation.close), (kind, None, None), "{frame}");
        assert!(lines.is_empty(), "{frame}");
    }
    let binary = Frame::Binary(Bytes::from_static(b"{}"));
    assert_eq!(
        client(MEMBERS)
            .decode(*NOW, &binary, &mut Vec::new())
            .expect_err("only text is heard")
            .kind,
        FrameKind
    );
}

#[test]
fn nothing_is_ever_said_in_another_room_than_the_one_meant() {
    for read_first in [false, true] {
        let dialect = Action::default();
        let (mut client, mut server) = (client(MEMBERS), joined(&dialect, MEMBERS, 1));
        for frame in said(&mut *client, &Line::Ask(ask(1, get(1)))) {
            let heard = heard_ask(&mut *server, text(&frame));
            for frame in said(
                &mut *server,
                &reply(&heard.echo, Ok(Answer::Flow(Box::new(overview(1, &[1, 2]))))),
            ) {
                hears(&mut *client, &frame);
            }
        }
        // Everything is said before anything is answered.
        let mut frames = Vec::new();
        if read_first {
            frames.extend(said(&mut *client, &Line::Ask(ask(2, get(5)))));
        }
        frames.extend(said(&mut *client, &Line::Ask(ask(3, send(5, "for room 5 alone")))));
        let mut answered = Vec::new();
        for frame in frames {
            let mut lines = Vec::new();
            let answers = match server.decode(*NOW, &frame, &mut lines) {
                Err(violation) => Vec::from_iter(violation.answer),
                Ok(()) => {
                    let Some(Line::Ask(heard)) = lines.pop() else { panic!("nothing was asked") };
                    assert!(
                        !matches!(heard.command, Command::Send(_)),
                        "it was said in a room: {:?}",
                        heard.command
                    );
                    // The store is away for a while.
                    said(&mut *server, &reply(&heard.echo, Err(Fault::Unavailable)))
                }
            };
            for frame in answers {
                answered.extend(
                    outcomes(&hears(&mut *client, &frame))
                        .0
                        .into_iter()
                        .map(|(number, outcome)| (number, outcome.is_ok())),
                );
            }
        }
        assert_eq!(
            answered,
            if read_first { vec![(2, false), (3, false)] } else { vec![(3, false)] }
        );
    }
}
