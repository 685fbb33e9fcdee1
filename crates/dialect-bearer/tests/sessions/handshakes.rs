//! Handshakes: recognition, rejection, credentials.

use crate::support::{OWN, accept, http_response, initial_request, request, respond, socket};
use http::StatusCode;
use serde_json::Value;
use tolmach_dialect::{Credentials, Dialect, Handshake, Recognition, Subscription};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{Command, Fault, FlowKindFilter, HistoryRange, Secret};

#[test]
fn malformed_heads_are_rejected_before_the_engine_is_asked() {
    let bearer = format!("Bearer {}", ANN.token);
    let authorized: &[(&str, &str)] = &[("authorization", &bearer)];
    let upgrade: &[(&str, &str)] = &[("authorization", &bearer), ("upgrade", "websocket")];
    for (method, uri, headers, status) in [
        ("GET", "/api/v1/nowhere", authorized, 404),
        ("GET", "/api/v1/nowhere", &[][..], 404),
        ("PATCH", "/api/v1/user", authorized, 405),
        ("OPTIONS", "/api/v1/user", &[], 405),
        ("GET", "/api/v1/user", &[], 401),
        ("GET", "/api/v1/user/x", &[], 401),
        ("GET", "/api/v1/user/x", authorized, 400),
        ("GET", "/api/v1/user/0", authorized, 400),
        ("GET", "/api/v1/user/9007199254740992", authorized, 400),
        ("GET", "/api/v1/user/%31", authorized, 400),
        ("GET", "/api/v1/chats?limit=", authorized, 400),
        ("GET", "/api/v1/chats?limit", authorized, 400),
        ("GET", "/api/v1/chats?limit=+1", authorized, 400),
        ("GET", "/api/v1/chats?offset=4294967296", authorized, 400),
        ("GET", "/api/v1/chats?limit=1&limit=1", authorized, 400),
        ("GET", "/api/v1/chat/1", authorized, 426),
        ("GET", "/api/v1/group/1", authorized, 426),
        ("GET", "/api/v1/main", authorized, 426),
        ("GET", "/api/v1/chats", upgrade, 400),
        ("GET", "/api/v1/chat/0", upgrade, 400),
        ("GET", "/api/v1/chat/1?limit=1001", upgrade, 400),
        ("GET", "/api/v1/chat/1?limit=ten", upgrade, 400),
        ("GET", "/api/v1/group/1?offset=-1", upgrade, 400),
        ("GET", "/api/v1/main", &[("upgrade", "websocket")], 401),
    ] {
        let response = accept(&request(method, uri, headers))
            .err()
            .unwrap_or_else(|| panic!("{method} {uri} is accepted"));
        assert_eq!(response.status(), status, "{method} {uri}");
        assert_eq!(response.headers()["content-type"], "application/json", "{method} {uri}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{method} {uri}");
        for (header, of, value) in
            [("www-authenticate", 401, "Bearer"), ("upgrade", 426, "websocket")]
        {
            let found = response.headers().get(header).map(|found| found.to_str().unwrap());
            assert_eq!(found, (status == of).then_some(value), "{method} {uri}");
        }
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {uri}");
    }
}

#[test]
fn heads_within_bounds_are_accepted() {
    let bearer = format!("bearer  {}", ANN.token);
    for (method, uri) in [
        ("GET", "/api/v1/user/9007199254740991"),
        ("HEAD", "/api/v1/user"),
        ("GET", "/api/v1/chats?limit=0&offset=4294967295&other=%zz"),
        ("POST", "/api/v1/logout"),
    ] {
        let request = request(method, uri, &[("authorization", &bearer)]);
        assert!(accept(&request).is_ok(), "{method} {uri}");
    }
    for path in ["/api/v1/register", "/api/v1/login", "/api/v1/refresh"] {
        let json = [("content-type", "application/json")];
        assert!(accept(&request("POST", path, &json)).is_ok(), "{path}");
    }
    for uri in [
        "/api/v1/chat/1?limit=1000",
        "/api/v1/group/1?limit=0&offset=4294967295",
        "/api/v1/main?limit=none",
    ] {
        assert!(accept(&socket(uri)).is_ok(), "{uri}");
    }
}

#[test]
fn the_token_comes_from_one_header_or_from_the_offered_subprotocols() {
    let authorization = |value| ("authorization", value);
    let offer = |value| ("sec-websocket-protocol", value);
    for (name, headers, token, subprotocol) in [
        ("a header", &[authorization("Bearer a.b-c_d~e+f/g==")][..], Some("a.b-c_d~e+f/g=="), None),
        ("no scheme", &[authorization("abc")], None, None),
        ("another scheme", &[authorization("Basic YTpi")], None, None),
        ("no token", &[authorization("Bearer ")], None, None),
        ("padding only", &[authorization("Bearer ==")], None, None),
        ("two words", &[authorization("Bearer a b")], None, None),
        ("two headers", &[authorization("Bearer a"), authorization("Bearer a")], None, None),
        ("a subprotocol", &[offer("bearer, abc")], Some("abc"), Some("bearer")),
        ("two offers", &[offer("bearer"), offer("abc")], Some("abc"), Some("bearer")),
        ("more offers", &[offer("chat,bearer,x,abc")], Some("abc"), Some("bearer")),
        ("bearer last", &[offer("abc, bearer")], None, None),
        ("an offer that is no token", &[offer("bearer, a b")], None, None),
        (
            "both",
            &[authorization("Bearer first"), offer("bearer, second")],
            Some("first"),
            Some("bearer"),
        ),
        (
            "a bad header and an offer",
            &[authorization("Basic x"), offer("bearer, abc")],
            None,
            None,
        ),
        ("another subprotocol", &[authorization("Bearer abc"), offer("chat")], Some("abc"), None),
    ] {
        let mut with_upgrade = headers.to_vec();
        with_upgrade.push(("upgrade", "websocket"));
        match (accept(&request("GET", "/api/v1/chat/1", &with_upgrade)), token) {
            (Ok(mut room), Some(token)) => {
                let credentials = initial_request(room.as_mut()).credentials;
                assert_eq!(credentials, Credentials::Bearer(Secret::new(token)), "{name}");
                assert_eq!(room.subprotocol(), subprotocol, "{name}");
            }
            (Err(response), None) => {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{name}");
            }
            (accepted, token) => panic!("{name}: accepted: {}, token: {token:?}", accepted.is_ok()),
        }
    }
    let plain = request("GET", "/api/v1/user", &[offer("bearer, abc")]);
    assert!(accept(&plain).is_err(), "subprotocols count in WebSocket handshakes only");
}

#[test]
fn recognition_goes_by_the_path_alone() {
    for (path, expected) in [
        ("/api/v1/user", true),
        ("/api/v1", true),
        ("/api/v1/", true),
        ("/api/v10", false),
        ("/api/v2/user", false),
        ("/ws", false),
        ("/", false),
    ] {
        let (parts, ()) = request("GET", path, &[]).into_parts();
        let recognition = Bearer.recognise(&Handshake::new(OWN).request(&parts));
        assert_eq!(recognition != Recognition::No, expected, "{path}");
    }
}

#[test]
fn a_room_asks_for_a_part_of_its_history() {
    for (uri, flow, kinds, limit, offset) in [
        ("/api/v1/chat/1", 1, FlowKindFilter::Chat, 100, 0),
        ("/api/v1/group/2?limit=5", 2, FlowKindFilter::Shared, 5, 0),
        ("/api/v1/chat/3?offset=7&limit=0", 3, FlowKindFilter::Chat, 0, 7),
    ] {
        let mut room = accept(&socket(uri)).unwrap();
        let initial = initial_request(room.as_mut());
        let range = HistoryRange::Newest { limit, offset };
        let flow = fixtures::flow_id(flow);
        let expected = Command::History { flow, kinds, range, mark_read: false };
        assert_eq!(initial.command, expected, "{uri}");
        assert_eq!(initial.credentials, Credentials::Bearer(ANN.secret()), "{uri}");
    }
}

#[test]
fn a_refused_initial_request_rejects_the_handshake() {
    for uri in ["/api/v1/chat/1", "/api/v1/main"] {
        for (fault, status) in [
            (Fault::Unauthenticated, 401),
            (Fault::NoProfile, 403),
            (Fault::NoSuchFlow, 404),
            (Fault::WrongKind, 404),
            (Fault::Unavailable, 503),
        ] {
            let mut session = accept(&socket(uri)).unwrap();
            let initial = initial_request(session.as_mut());
            let frames = respond(session.as_mut(), &initial, Err(fault));
            assert_eq!(http_response(&frames[0]).status(), status, "{uri}");
            assert_eq!(session.subscription(), Subscription::None, "{uri}");
        }
    }
}
