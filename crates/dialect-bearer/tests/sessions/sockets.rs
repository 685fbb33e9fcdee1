//! The server's side of the WebSockets of a room and of all rooms.

use crate::support::{
    OWN, accept, caused_by, decode, entered, event, initial_request, json_of, now, request,
    respond, socket,
};
use bytes::Bytes;
use serde_json::json;
use tolmach_dialect::{
    Close, Credentials, Delivery, Dialect, Event, Frame, Handshake, RenderContext, ServerSession,
    Subscription, Variant, ViolationKind,
};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::fixtures::{self, ANN, BOB, CHAT, GROUP};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Content, EventKind, Fault, FlowKindFilter,
    MessagePage, NewMessage, Version,
};

fn deliver(session: &mut dyn ServerSession, event: &Event) -> Delivery {
    session.deliver(event, &RenderContext::EMPTY)
}

fn posted(flow: i64, version: i64) -> EventKind {
    EventKind::Posted(fixtures::message(flow, version))
}

fn bob_types(active: bool) -> EventKind {
    let user = fixtures::user(2).summary();
    EventKind::Typing { flow: fixtures::flow_id(CHAT), user, active }
}

fn sessions_ended() -> Event {
    event(EventKind::SessionsEnded { user: ANN.user(), session: ANN.identity().session })
}

fn close(reason: &'static str) -> Delivery {
    Delivery::Close(Close::new(1008, reason))
}

#[test]
fn history_has_the_newest_message_first_and_an_error_without_any() {
    let respond_with = |page| {
        let mut room = accept(&socket("/api/v1/chat/1")).unwrap();
        let initial = initial_request(room.as_mut());
        json_of(&respond(room.as_mut(), &initial, Ok(Answer::History(Box::new(page))))[0])
    };
    let history = respond_with(fixtures::message_page(CHAT));
    let messages = history["messages"].as_array().unwrap();
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    assert_eq!((ids, history.get("error")), (vec![12, 11], None));

    let history = respond_with(MessagePage::new(fixtures::flow_id(CHAT), Vec::new()));
    assert_eq!(history, json!({"type": "history", "messages": [], "error": "no messages"}));
}

#[test]
fn messages_for_the_mobile_client_have_its_keys_beside_those_of_the_document() {
    let (parts, ()) = socket("/api/v1/chat/1?limit=50&offset=0").into_parts();
    let handshake = Handshake::new(OWN).request(&parts).revision("swiftly-mobile");
    let mut room = Bearer.accept(&handshake).expect("the handshake is accepted");
    assert_eq!(room.revision(), "swiftly-mobile");
    let initial = initial_request(room.as_mut());
    room.authenticated(Some(ANN.identity()));
    let history = Answer::History(Box::new(fixtures::message_page(CHAT)));
    respond(room.as_mut(), &initial, Ok(history));
    let mut frame_of = |kind| {
        let event = event(kind);
        let Delivery::Shared(variant) = deliver(room.as_mut(), &event) else {
            panic!("it is delivered")
        };
        json_of(&Bearer.render(&event, &RenderContext::EMPTY, variant).expect("it is rendered"))
    };
    let message = frame_of(posted(CHAT, 3));
    assert_eq!(message["type"], "message");
    assert_eq!(message["created_at"], message["time"]);
    assert!(message["created_at"].is_string(), "{message}");
    assert_eq!(message["from_id"], message["author"]["id"]);
    assert!(message["from_id"].is_i64(), "{message}");
    assert_eq!(frame_of(bob_types(true))["type"], "typing");
    assert_eq!(frame_of(bob_types(false))["type"], "stoptyping");
}

#[test]
fn a_mobile_client_stops_typing_in_its_spelling() {
    let mut room = entered("/api/v1/chat/1", CHAT);
    let frame = Frame::text(r#"{"type":"stoptyping"}"#);
    let requests = decode(room.as_mut(), &frame);
    assert_eq!(
        requests[0].command,
        Command::ShowTyping { flow: fixtures::flow_id(CHAT), active: false }
    );
}

#[test]
fn a_socket_without_a_token_is_refused_in_every_revision() {
    let request = request("GET", "/api/v1/chat/1", &[("upgrade", "websocket")]);
    let (parts, ()) = request.into_parts();
    for revision in [tolmach_dialect::DOC, "swiftly-mobile"] {
        let handshake = Handshake::new(OWN).request(&parts).revision(revision);
        let Err(rejection) = Bearer.accept(&handshake) else { panic!("{revision}: accepted") };
        assert_eq!(rejection.response.status(), 401, "{revision}");
    }
}

#[test]
fn frames_in_a_room_become_requests_of_the_connection() {
    let flow = fixtures::flow_id(GROUP);
    let send = |text: &str| {
        let (kinds, content) = (FlowKindFilter::Shared, Content::text(text));
        Command::Send(Box::new(NewMessage { flow, kinds, content, key: None }))
    };
    let mut room = entered("/api/v1/group/2", GROUP);
    for (frame, command) in [
        (r#"{"type":"message","text":"a"}"#, send("a")),
        (r#"{"type":"message","text":"a","author":{"id":2},"id":9,"chat_id":9}"#, send("a")),
        (r#"{"type":"message","author":"x","text":" "}"#, send(" ")),
        (r#"{"type":"typing","text":5}"#, Command::ShowTyping { flow, active: true }),
        (r#"{"type":"stop_typing"}"#, Command::ShowTyping { flow, active: false }),
    ] {
        let request = decode(room.as_mut(), &Frame::text(frame)).remove(0);
        assert_eq!(request.command, command, "{frame}");
        assert_eq!(request.credentials, Credentials::Connection, "{frame}");
        assert_eq!(request.authority, Authority::Member, "{frame}");
        let answer = fixtures::answer(&ANN, &command);
        assert!(respond(room.as_mut(), &request, Ok(answer)).is_empty(), "{frame}");
        let frames = respond(room.as_mut(), &request, Err(Fault::NoSuchFlow));
        let expected = json!({"type": "error", "error": "no such conversation"});
        assert_eq!(json_of(&frames[0]), expected, "{frame}");
    }
}

#[test]
fn malformed_frames_are_answered_and_only_a_large_one_closes_the_connection() {
    let deep = format!(r#"{{"type":"typing","x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let large = format!(r#"{{"type":"message","text":"{}"}}"#, "x".repeat(1 << 20));
    let binary = Bytes::from_static(br#"{"type":"typing"}"#);
    for (frame, kind, code) in [
        (Frame::text("{"), ViolationKind::Syntax, None),
        (Frame::text(""), ViolationKind::Syntax, None),
        (Frame::text("[]"), ViolationKind::Shape, None),
        (Frame::text("{}"), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":null}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"message"}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"message","text":""}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"history"}"#), ViolationKind::UnknownMethod, None),
        (Frame::text(deep), ViolationKind::Shape, None),
        (Frame::Binary(binary), ViolationKind::FrameKind, None),
        (Frame::Value(Bytes::from_static(b"{}")), ViolationKind::FrameKind, None),
        (Frame::text(large), ViolationKind::Shape, Some(1009)),
    ] {
        let payload = frame.payload();
        let start = String::from_utf8_lossy(&payload[..payload.len().min(40)]);
        let mut out = Vec::new();
        let violation =
            entered("/api/v1/chat/1", CHAT).decode(now(), &frame, &mut out).unwrap_err();
        assert!(out.is_empty(), "{start}");
        assert_eq!(violation.kind, kind, "{start}");
        assert_eq!(violation.close.map(|close| close.code), code, "{start}");
        assert_eq!(json_of(&violation.answer.unwrap())["type"], "error", "{start}");
    }
}

#[test]
fn a_room_delivers_new_messages_typing_of_others_and_its_own_end() {
    let flow = fixtures::flow_id(CHAT);
    let added = vec![fixtures::user(1).summary()];
    let removed = |users| event(EventKind::MembersRemoved { flow, users });
    for (name, event, delivery) in [
        ("in the history", event(posted(CHAT, 2)), Delivery::Skip),
        ("after the history", event(posted(CHAT, 3)), Delivery::Shared(Variant(0))),
        ("its own message", caused_by(OWN, posted(CHAT, 3)), Delivery::Shared(Variant(0))),
        (
            "typing of another connection",
            caused_by(ConnectionId(8), bob_types(true)),
            Delivery::Shared(Variant(1)),
        ),
        ("typing without an origin", event(bob_types(true)), Delivery::Shared(Variant(1))),
        ("its own typing", caused_by(OWN, bob_types(true)), Delivery::Skip),
        (
            "edited",
            event(EventKind::Edited(fixtures::edited(fixtures::message_id(11), "x"))),
            Delivery::Skip,
        ),
        (
            "deleted",
            event(EventKind::Deleted { flow, by: ANN.user(), messages: Vec::new() }),
            Delivery::Skip,
        ),
        (
            "members added",
            event(EventKind::MembersAdded { flow, users: added, version: Version(7) }),
            Delivery::Skip,
        ),
        (
            "created",
            event(EventKind::FlowCreated { flow: fixtures::flow(CHAT), members: Vec::new() }),
            Delivery::Skip,
        ),
        (
            "its own user removed",
            removed(vec![BOB.user(), ANN.user()]),
            close("removed from the group"),
        ),
        ("another user removed", removed(vec![BOB.user()]), Delivery::Skip),
        (
            "the flow deleted",
            event(EventKind::FlowDeleted { flow, by: BOB.user() }),
            close("the group was deleted"),
        ),
    ] {
        let mut room = entered("/api/v1/chat/1", CHAT);
        assert_eq!(room.subscription(), Subscription::Flow(flow), "{name}");
        assert_eq!(deliver(room.as_mut(), &event), delivery, "{name}");
    }
    let mut waiting = accept(&socket("/api/v1/chat/1")).unwrap();
    for kind in [posted(CHAT, 3), bob_types(true)] {
        let delivery = deliver(waiting.as_mut(), &event(kind));
        assert_eq!(delivery, Delivery::Skip, "the history was not sent yet");
    }
}

#[test]
fn a_socket_closes_when_its_session_ends() {
    for uri in ["/api/v1/chat/1", "/api/v1/main"] {
        let mut session = accept(&socket(uri)).unwrap();
        session.authenticated(Some(ANN.identity()));
        assert_ne!(session.subscription(), Subscription::None, "{uri}");
        session.authenticated(None);
        assert_eq!(session.subscription(), Subscription::None, "{uri}");
        let delivery = deliver(session.as_mut(), &sessions_ended());
        assert_eq!(delivery, close("the session has ended"), "{uri}");
    }
}

#[test]
fn the_socket_of_all_rooms_sends_the_last_messages_and_then_new_ones() {
    let mut main = accept(&socket("/api/v1/main")).unwrap();
    let initial = initial_request(main.as_mut());
    assert_eq!(main.subscription(), Subscription::None);
    main.authenticated(Some(ANN.identity()));
    assert_eq!(main.subscription(), Subscription::AllFlows);
    let empty = |flow| {
        let mut summary = fixtures::flow_summary(flow, false);
        summary.last = None;
        summary
    };
    let summary = |flow| fixtures::flow_summary(flow, false);
    let flows = Answer::Flows(vec![summary(GROUP), empty(3), summary(CHAT)]);
    let frames = respond(main.as_mut(), &initial, Ok(flows));
    let messages: Vec<_> = frames.iter().map(json_of).collect();
    let flows: Vec<_> =
        messages.iter().map(|message| message["chat_id"].as_i64().unwrap()).collect();
    assert_eq!(flows, [CHAT, GROUP]);
    assert!(messages.iter().all(|message| message["type"] == "last_message"));
    let mut in_new_flow = fixtures::message(GROUP, 1);
    in_new_flow.flow = fixtures::flow_id(99);
    let (flow, users) = (fixtures::flow_id(CHAT), vec![ANN.user()]);
    for (name, kind, delivery) in [
        ("sent already", posted(CHAT, 2), Delivery::Skip),
        ("new", posted(CHAT, 3), Delivery::Shared(Variant(2))),
        ("in a new flow", EventKind::Posted(in_new_flow), Delivery::Shared(Variant(2))),
        ("typing", bob_types(true), Delivery::Skip),
        ("removed", EventKind::MembersRemoved { flow, users }, Delivery::Skip),
    ] {
        assert_eq!(deliver(main.as_mut(), &event(kind)), delivery, "{name}");
    }
}

#[test]
fn only_the_five_variants_render() {
    let (posted, typing) = (posted(CHAT, 3), bob_types(false));
    for (kind, variant, rendered) in [
        (&posted, 0, Some("message")),
        (&posted, 1, None),
        (&posted, 2, Some("last_message")),
        (&posted, 3, Some("message")),
        (&posted, 4, None),
        (&posted, 5, None),
        (&typing, 0, None),
        (&typing, 1, Some("stop_typing")),
        (&typing, 2, None),
        (&typing, 3, None),
        (&typing, 4, Some("stoptyping")),
        (&typing, 5, None),
    ] {
        let event = event(kind.clone());
        let frame = Bearer.render(&event, &RenderContext::EMPTY, Variant(variant));
        let kind = frame.ok().map(|frame| json_of(&frame)["type"].clone());
        assert_eq!(kind, rendered.map(Into::into), "{variant}");
    }
}
