//! Opening a connection.

use crate::peers::{Client, Server, request, with_origins};
use crate::values::{
    ADMINISTRATORS, MEMBERS, NOW, ORIGIN, TOKEN, flow_id, handshake, message_id, parts, user_id,
};
use http::request::Parts;
use serde_json::json;
use tolmach_dialect::errors::FAULTS;
use tolmach_dialect::{
    Configure, Dialect, DialectClient, Frame, Handshake, HandshakeRejection, RenderContext,
    Request, Response,
};
use tolmach_dialect_action::Action;
use tolmach_domain::{Authority, Command, ConnectionId, Credentials, Fault, Secret, UserRef};

/// The credentials of an accepted handshake; any other is rejected with 403 and no body.
fn credentials(request: &Parts, origins: &[&str]) -> Option<Credentials> {
    match with_origins(origins).accept(&handshake(1, request)) {
        Ok(mut session) => {
            let mut requests = Vec::new();
            session.initial_requests(*NOW, &mut requests);
            Some(requests.remove(0).credentials)
        }
        Err(HandshakeRejection { response }) => {
            assert_eq!((response.status().as_u16(), response.body().len()), (403, 0));
            None
        }
    }
}

#[test]
fn a_handshake_needs_one_well_formed_token() {
    let bearer = |value| ("authorization", value);
    for (tokens, expected) in [
        (&[TOKEN][..], Some("a.b.c")),
        (&[bearer("bearer  a.b.c=")], Some("a.b.c=")),
        (&[bearer("Bearer a b")], None),
        (&[bearer("Bearer ")], None),
        (&[bearer("Bearer ==")], None),
        (&[bearer("Bearer")], None),
        (&[bearer("Basic YTpi")], None),
        (&[bearer("Bearer a"), bearer("Bearer b")], None),
        (&[], None),
    ] {
        let expected = expected.map(|token| Credentials::Bearer(Secret::new(token)));
        let found = credentials(&parts(MEMBERS, &[tokens, &[ORIGIN]].concat()), &[]);
        assert_eq!(found, expected, "{tokens:?}");
        assert_eq!(credentials(&parts(MEMBERS, tokens), &[]), None, "{tokens:?}");
    }
    let without_request = Handshake::new(ConnectionId(1));
    assert!(Action::default().accept(&without_request).is_err());
    assert!(Action::default().connect(&without_request).is_err());
}

#[test]
fn a_handshake_needs_an_origin_of_the_list_or_else_of_its_host() {
    let listed = ["https://chat.example.org", "http://localhost:3000"];
    for (origin, without_list, with_list) in [
        ("http://gateway.example.net", true, false),
        ("https://GATEWAY.example.net:9000", true, false),
        ("http://localhost:80", true, false),
        ("http://127.0.0.1:5173", true, false),
        ("http://127.8.8.8", true, false),
        ("http://[::1]:80", true, false),
        ("app://localhost", true, false),
        ("https://chat.example.org", false, true),
        ("https://chat.example.org:443", false, true),
        ("HTTPS://Chat.Example.org", false, true),
        ("https://chat.example.org:8443", false, false),
        ("http://chat.example.org", false, false),
        ("http://localhost:3000", true, true),
        ("http://evil.example", false, false),
        ("http://gateway.example.net.evil.example", false, false),
        ("http://127.0.0.1.evil.example", false, false),
        ("http://localhost@evil.example", false, false),
        ("http://user@localhost", false, false),
        ("http://localhost/path", false, false),
        ("localhost", false, false),
        ("null", false, false),
        ("", false, false),
        ("http://", false, false),
    ] {
        let host = ("host", "gateway.example.net:8080");
        let request = parts(MEMBERS, &[TOKEN, host, ("origin", origin)]);
        let is_accepted = |origins| credentials(&request, origins).is_some();
        assert_eq!(is_accepted(&[]), without_list, "{origin}");
        assert_eq!(is_accepted(&listed), with_list, "{origin}");
    }
    assert_eq!(credentials(&parts(MEMBERS, &[TOKEN, ORIGIN, ORIGIN]), &[]), None);
    // A loopback origin of another machine is a page of that machine.
    for (origin, listed, is_accepted) in [
        ("http://localhost:80", &[][..], false),
        ("http://127.0.0.1:5173", &[], false),
        ("http://[::1]:80", &[], false),
        ("http://gateway.example.net", &[], true),
        ("http://localhost:3000", &listed, true),
    ] {
        let host = ("host", "gateway.example.net:8080");
        let request = parts(MEMBERS, &[TOKEN, host, ("origin", origin)]);
        let accepted = with_origins(listed).accept(&handshake(1, &request).local(false));
        assert_eq!(accepted.is_ok(), is_accepted, "{origin}");
    }
    // An HTTP/2 request has its host in the URI.
    for (uri, is_accepted) in
        [("https://chat.example.org/ws/chat/", true), ("https://other.example.org/ws/chat/", false)]
    {
        let request = parts(uri, &[TOKEN, ("origin", listed[0])]);
        assert_eq!(credentials(&request, &[]).is_some(), is_accepted, "{uri}");
    }
}

#[test]
fn a_handshake_reads_its_user_in_the_right_of_its_path() {
    for (path, authority) in [
        ("/ws/admin-chat", Authority::Administrator),
        (ADMINISTRATORS, Authority::Administrator),
        ("/ws/admin-chat/?x=/ws/chat/", Authority::Administrator),
        ("/ws/chat", Authority::Member),
        (MEMBERS, Authority::Member),
        ("/ws/chat?x=/ws/admin-chat/", Authority::Member),
        ("/x/ws/admin-chat", Authority::Member),
        ("/ws", Authority::Member),
        ("/", Authority::Member),
    ] {
        let parts = parts(path, &[TOKEN, ORIGIN]);
        let session = Action::default().accept(&handshake(1, &parts));
        let mut session = session.expect("the handshake is good");
        let mut requests = Vec::new();
        session.initial_requests(*NOW, &mut requests);
        let [request] = &requests[..] else { panic!("{requests:?}") };
        let credentials = Credentials::Bearer(Secret::new("a.b.c"));
        assert_eq!((&request.credentials, request.authority), (&credentials, authority), "{path}");
        assert_eq!(request.command, Command::GetUser { user: UserRef::Me });
        Server::connected(path, 1);
    }
}

#[test]
fn every_fault_of_a_handshake_is_the_same_rejection() {
    for fault in FAULTS {
        let parts = parts(ADMINISTRATORS, &[TOKEN, ORIGIN]);
        let session = Action::default().accept(&handshake(1, &parts));
        let mut session = session.expect("the handshake is good");
        let (mut requests, mut frames) = (Vec::new(), Vec::new());
        session.initial_requests(*NOW, &mut requests);
        let response = Response::new(requests.remove(0).correlation, Err(fault.clone()));
        let responded = session.respond(*NOW, &response, &RenderContext::EMPTY, &mut frames);
        assert_eq!(responded, Ok(()));
        let [Frame::Response(response)] = &frames[..] else { panic!("{fault:?}: {frames:?}") };
        assert_eq!((response.status().as_u16(), response.body().len()), (403, 0), "{fault:?}");
    }
}

#[test]
fn a_client_dials_the_path_of_its_right_with_its_token() {
    let list = || Command::ListFlows { limit: None, offset: 0, members: true };
    let token = || Secret::new("a.b.c");
    for (authority, path) in
        [(Authority::Member, MEMBERS), (Authority::Administrator, ADMINISTRATORS)]
    {
        for credentials in [
            Credentials::Bearer(token()),
            Credentials::Token(token()),
            Credentials::TokenOf(user_id(1), token()),
        ] {
            let request = Request { authority, credentials, ..request(0, list()) };
            let parts = Action::default().dial(&request).expect("there is a token");
            assert_eq!(parts.uri.path(), path);
            assert_eq!(
                ["authorization", "upgrade", "origin"].map(|name| parts.headers[name].as_bytes()),
                [&b"Bearer a.b.c"[..], b"websocket", b"http://localhost"]
            );
        }
    }
    for credentials in [
        Credentials::Nothing,
        Credentials::Connection,
        Credentials::Bearer(Secret::new("a b")),
        Credentials::Token(Secret::new("a\r\nb: c")),
    ] {
        let request = Request { credentials, ..request(0, list()) };
        Action::default().dial(&request).expect_err("there is no token for a header");
    }
}

#[test]
fn a_rejected_handshake_refuses_every_request() {
    let mut client = Client::connected(MEMBERS);
    client.send(7, Command::ListFlows { limit: None, offset: 0, members: true });
    let (messages, flow) = (vec![message_id(18)], Some(flow_id(1)));
    client.send(8, Command::Delete { messages, flow, all_or_none: false });
    let forbidden = http::Response::builder().status(403).body(bytes::Bytes::new());
    let frame = Frame::response(forbidden.expect("the parts are valid"));
    let refused = Err(Fault::Unauthenticated);
    assert_eq!(client.receive(&frame), (vec![(7, refused.clone()), (8, refused)], vec![]));
}

#[test]
fn origins_are_configured_without_a_path() {
    let expected = "a list of origins is expected, such as \"https://chat.example.org\"";
    for (options, error) in [
        (json!({}), None),
        (json!({"origins": []}), None),
        (json!({"origins": ["https://chat.example.org", "http://localhost:3000"]}), None),
        (json!({"origins": ["chat.example.org"]}), Some(expected)),
        (json!({"origins": ["https://chat.example.org/"]}), Some(expected)),
        (json!({"origins": "https://chat.example.org"}), Some(expected)),
        (json!({"origin": []}), Some("unknown field `origin`, expected `origins`")),
    ] {
        let configured = Action::configure(options.as_object().expect("a table").clone());
        match (configured, error) {
            (Ok(_), None) => {}
            (Err(found), Some(error)) => assert!(found.to_string().contains(error), "{found}"),
            (configured, _) => panic!("{options}: {configured:?}"),
        }
    }
}
