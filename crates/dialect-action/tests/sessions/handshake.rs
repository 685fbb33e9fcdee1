//! Opening a connection.

use crate::peers::{Client, Server, request, with_origins};
use crate::values::{
    ADMINISTRATORS, MEMBERS, NOW, ORIGIN, TOKEN, flow_id, handshake, message_id, parts, user_id,
};
use serde_json::json;
use tolmach_dialect::errors::FAULTS;
use tolmach_dialect::{
    Configure, Dialect, DialectClient, Frame, Handshake, RenderContext, Request, Response,
};
use tolmach_dialect_action::Action;
use tolmach_domain::{Authority, Command, ConnectionId, Credentials, Fault, Secret, UserRef};

#[test]
fn a_handshake_without_token_or_allowed_origin_is_rejected_with_403_and_no_body() {
    let example = ("origin", "https://chat.example.org");
    let listed = &["https://chat.example.org"][..];
    for (headers, origins, good) in [
        (&[TOKEN, ORIGIN][..], &[][..], true),
        (&[TOKEN, example], listed, true),
        (&[TOKEN, ("host", "chat.example.org:8080"), example], &[], true),
        (&[TOKEN, example], &[], false),
        (&[TOKEN, ORIGIN], listed, false),
        (&[TOKEN], &[], false),
        (&[TOKEN, ("origin", "null")], &[], false),
        (&[ORIGIN], &[], false),
        (&[("authorization", "Bearer"), ORIGIN], &[], false),
        (&[("authorization", "Basic YTpi"), ORIGIN], &[], false),
        (&[("authorization", "Bearer a b"), ORIGIN], &[], false),
        (&[], &[], false),
    ] {
        let parts = parts(MEMBERS, headers);
        match with_origins(origins).accept(&handshake(1, &parts)) {
            Ok(_) => assert!(good, "{headers:?}"),
            Err(rejection) => {
                let response = rejection.response;
                assert!(!good, "{headers:?}");
                assert_eq!((response.status().as_u16(), response.body().len()), (403, 0));
            }
        }
    }
    let without_request = Handshake::new(ConnectionId(1));
    assert!(Action::default().accept(&without_request).is_err());
    assert!(Action::default().connect(&without_request).is_err());
}

#[test]
fn a_handshake_reads_its_user_in_the_right_of_its_path() {
    for (path, authority) in [
        (MEMBERS, Authority::Member),
        ("/ws/chat", Authority::Member),
        (ADMINISTRATORS, Authority::Administrator),
        ("/ws/admin-chat/?x", Authority::Administrator),
        ("/ws", Authority::Member),
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
    client.send(8, Command::Delete { messages, flow });
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
