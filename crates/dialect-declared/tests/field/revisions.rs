//! action with all of its revisions: a connection's handshake and first frame decide.

use crate::action::handshake;
use crate::peer::compiled;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use std::sync::Arc;
use tolmach_dialect::{
    Dialect as _, Frame, Handshake, Recognition, RenderContext, Response, Revision, ServerSession,
    Subscription, websocket_request,
};
use tolmach_dialect_action::Action;
use tolmach_dialect_declared::{BUILT_IN, Revised};
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{Answer, ConnectionId};

const WRAPPED: &str = r#"{"stream": "chat", "payload": {"action": "list", "request_id": 1}}"#;
const LIST: &str = r#"{"action": "list", "request_id": 1}"#;

fn action() -> Revised {
    let names = BUILT_IN.iter().map(|file| file.name);
    let files = names.filter(|name| name.starts_with("action-")).map(compiled);
    Revised::new(Arc::new(Action::default()), files.collect()).expect("each has a name of its own")
}

/// A handshake as the document has it.
fn by_header(origin: Option<&'static str>) -> Parts {
    let mut request = websocket_request("/ws/chat/");
    let bearer = HeaderValue::try_from(format!("Bearer {}", ANN.token)).expect("it is ASCII");
    request.headers.insert(AUTHORIZATION, bearer);
    request.headers.insert(HOST, HeaderValue::from_static("chat.example.org"));
    if let Some(origin) = origin {
        request.headers.insert(ORIGIN, HeaderValue::from_static(origin));
    }
    request
}

fn accepted(request: &Parts) -> Option<Box<dyn ServerSession>> {
    let handshake = Handshake::new(ConnectionId(1)).request(request).websocket(true);
    action().accept(&handshake).ok()
}

/// The revision of a connection whose handshake was proven, after its first frame.
fn after(request: &Parts, first: &str) -> Revision {
    let mut session = accepted(request).expect("the handshake is accepted");
    let mut requests = Vec::new();
    session.initial_requests(fixtures::time(0), &mut requests);
    session.authenticated(Some(ANN.identity()));
    for request in requests.drain(..) {
        let user = Answer::User(Box::new(fixtures::user(1)));
        let response = Response::new(request.correlation, Ok(user));
        let mut frames = Vec::new();
        let context = &RenderContext::EMPTY;
        session.respond(fixtures::time(0), &response, context, &mut frames).expect("it is its own");
        assert!(frames.is_empty());
    }
    let first = Frame::text(first.to_owned());
    session.decode(fixtures::time(0), &first, &mut requests).expect("the frame is a request");
    assert_eq!(requests.len(), 1);
    session.revision()
}

#[test]
fn a_token_in_a_subprotocol_needs_no_origin_and_the_first_frame_decides() {
    let request = handshake("/ws/chat/", "chat");
    assert_eq!(accepted(&request).expect("accepted").subprotocol(), Some("chat"));
    for (first, revision) in [
        (LIST, "2024-12"),
        (r#"{"action": "join_room", "room_pk": 1, "request_id": 1}"#, "2025-01"),
        (r#"{"action": "get_rooms", "page": 1, "request_id": 1}"#, "2025-04"),
        (r#"{"action": "join_room", "room_id": 1, "request_id": 1}"#, "2025-04"),
        (WRAPPED, "dcrf"),
    ] {
        assert_eq!(after(&request, first), revision, "{first}");
    }
}

#[test]
fn a_connection_gets_events_from_its_first_frame_on() {
    let request = handshake("/ws/chat/", "chat");
    let mut session = accepted(&request).expect("it is accepted");
    session.authenticated(Some(ANN.identity()));
    assert_eq!(session.subscription(), Subscription::None);
    let first = Frame::text(r#"{"action": "get_rooms", "page": 1, "request_id": 1}"#.to_owned());
    session.decode(fixtures::time(0), &first, &mut Vec::new()).expect("the frame is a request");
    assert_eq!(session.subscription(), Subscription::AllFlows);
    // A pin leaves nothing to decide.
    let pinned = Handshake::new(ConnectionId(1)).request(&request).websocket(true);
    let mut session = action().accept(&pinned.revision("2025-04")).expect("it is accepted");
    session.authenticated(Some(ANN.identity()));
    assert_eq!(session.subscription(), Subscription::AllFlows);
}

#[test]
fn a_token_in_a_header_needs_the_origin_of_the_document() {
    for origin in [None, Some("https://elsewhere.example.org")] {
        let request = by_header(origin);
        assert!(accepted(&request).is_none(), "{origin:?}");
        let first = Frame::text(WRAPPED);
        let handshake =
            Handshake::new(ConnectionId(1)).request(&request).websocket(true).first_frame(&first);
        assert_eq!(action().recognise(&handshake), Recognition::No, "{origin:?}");
        assert!(action().accept(&handshake).is_err(), "{origin:?}");
    }
    let request = by_header(Some("https://chat.example.org"));
    assert_eq!(after(&request, LIST), "doc");
    assert_eq!(after(&request, WRAPPED), "dcrf");
}

#[test]
fn a_handshake_without_a_token_is_rejected() {
    assert!(accepted(&websocket_request("/ws/chat/")).is_none());
}

#[test]
fn a_pinned_revision_is_not_held_to_the_origin() {
    let request = by_header(None);
    let pinned = Handshake::new(ConnectionId(1)).request(&request).websocket(true).revision("dcrf");
    assert_eq!(action().accept(&pinned).expect("it has a token").revision(), "dcrf");
}
