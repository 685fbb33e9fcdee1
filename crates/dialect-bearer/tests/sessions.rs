//! What the server's end makes of openings, requests, frames and events; what the client's end
//! makes of a foreign server.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};
use tolmach_dialect::{
    Ask, Close, Delivery, Dialect, Echo, Frame, Interest, Line, Notice, Opening, Recognition,
    Reply, Session, Settings, Side, Variant, ViolationKind,
};
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::world::{self, ANN, BOB, CHAT, GROUP};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Content, Credentials, EventKind, Fault,
    FlowKindFilter, HistoryRange, MessagePage, NewMessage, Origin, Secret, Timestamp, Version,
};

const OWN: ConnectionId = ConnectionId(7);

fn now() -> Timestamp {
    world::moment(0)
}

fn open(request: &Request<()>, side: Side) -> Result<Box<dyn Session>, Box<Response<Bytes>>> {
    let (parts, ()) = request.clone().into_parts();
    let websocket = parts.headers.contains_key("upgrade");
    let opening = Opening {
        request: Some(&parts),
        first: None,
        connection: OWN,
        websocket,
        settings: Settings::default(),
    };
    Bearer.open(&opening, side).map_err(|refusal| refusal.response)
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("the parts are valid")
}

fn socket(uri: &str) -> Request<()> {
    request(
        "GET",
        uri,
        &[("upgrade", "websocket"), ("authorization", &format!("Bearer {}", ANN.token))],
    )
}

fn lines(session: &mut dyn Session, frame: &Frame) -> Vec<Line> {
    let mut lines = Vec::new();
    session.decode(now(), frame, &mut lines).expect("the frame keeps to the rules");
    lines
}

fn frames(session: &mut dyn Session, line: Line) -> Vec<Frame> {
    let mut frames = Vec::new();
    session.encode(now(), &line, &mut frames).expect("the wire can say it");
    frames
}

fn ask(line: Line) -> Ask {
    match line {
        Line::Ask(ask) => ask,
        other => panic!("not an ask: {other:?}"),
    }
}

fn greeting(session: &mut dyn Session) -> Ask {
    let mut lines = Vec::new();
    session.greet(now(), &mut lines);
    assert_eq!(lines.len(), 1);
    ask(lines.remove(0))
}

fn granted(ask: &Ask, answer: Answer) -> Line {
    Line::Reply(Reply {
        echo: ask.echo.clone(),
        identity: Some(ANN.identity()),
        outcome: Ok(answer),
    })
}

fn refused(ask: &Ask, fault: Fault) -> Line {
    Line::Reply(Reply { echo: ask.echo.clone(), identity: None, outcome: Err(fault) })
}

fn json_of(frame: &Frame) -> Value {
    serde_json::from_slice(frame.payload()).expect("it is JSON")
}

fn response(frame: &Frame) -> &Response<Bytes> {
    match frame {
        Frame::Response(response) => response,
        other => panic!("not a response: {other:?}"),
    }
}

fn notice(kind: EventKind) -> Notice {
    Event::new(now(), kind)
}

fn caused_by(connection: ConnectionId, kind: EventKind) -> Notice {
    Event { origin: Some(Origin { connection, dialect: "bearer", tag: None }), ..notice(kind) }
}

/// A room that was entered: its history reaches to version 2.
fn entered(uri: &str, flow: i64) -> Box<dyn Session> {
    let mut room = open(&socket(uri), Side::Server).expect("the opening is let in");
    let greeting = greeting(room.as_mut());
    room.identified(ANN.identity());
    assert_eq!(
        frames(room.as_mut(), granted(&greeting, Answer::History(Box::new(world::page(flow)))))
            .len(),
        1
    );
    room
}

#[test]
fn openings_are_refused_before_anybody_is_asked() {
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
        let response = open(&request(method, uri, headers), Side::Server)
            .err()
            .unwrap_or_else(|| panic!("{method} {uri} is let in"));
        assert_eq!(response.status(), status, "{method} {uri}");
        assert_eq!(response.headers()["content-type"], "application/json", "{method} {uri}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{method} {uri}");
        for (header, of, value) in
            [("www-authenticate", 401, "Bearer"), ("upgrade", 426, "websocket")]
        {
            assert_eq!(
                response.headers().get(header).map(|found| found.to_str().unwrap()),
                (status == of).then_some(value),
                "{uri}"
            );
        }
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {uri}");
    }
}

#[test]
fn openings_within_bounds_are_let_in() {
    let bearer = format!("bearer  {}", ANN.token);
    for (method, uri) in [
        ("GET", "/api/v1/user/9007199254740991"),
        ("HEAD", "/api/v1/user"),
        ("GET", "/api/v1/chats?limit=0&offset=4294967295&other=%zz"),
        ("POST", "/api/v1/logout"),
    ] {
        assert!(
            open(&request(method, uri, &[("authorization", &bearer)]), Side::Server).is_ok(),
            "{method} {uri}"
        );
    }
    for path in ["/api/v1/register", "/api/v1/login", "/api/v1/refresh"] {
        assert!(open(&request("POST", path, &[]), Side::Server).is_ok(), "{path}");
    }
    for uri in [
        "/api/v1/chat/1?limit=1000",
        "/api/v1/group/1?limit=0&offset=4294967295",
        "/api/v1/main?limit=nonsense",
    ] {
        assert!(open(&socket(uri), Side::Server).is_ok(), "{uri}");
    }
}

#[test]
fn the_token_comes_from_one_header_or_from_the_offered_subprotocols() {
    let ok = |token: &str| Some(token.to_owned());
    for (name, headers, token, subprotocol) in [
        (
            "a header",
            &[("authorization", "Bearer a.b-c_d~e+f/g==")][..],
            ok("a.b-c_d~e+f/g=="),
            None,
        ),
        ("no scheme", &[("authorization", "abc")], None, None),
        ("another scheme", &[("authorization", "Basic YTpi")], None, None),
        ("no token", &[("authorization", "Bearer ")], None, None),
        ("no token but padding", &[("authorization", "Bearer ==")], None, None),
        ("two words", &[("authorization", "Bearer a b")], None, None),
        (
            "two headers",
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            None,
            None,
        ),
        ("a subprotocol", &[("sec-websocket-protocol", "bearer, abc")], ok("abc"), Some("bearer")),
        (
            "subprotocols in two headers",
            &[("sec-websocket-protocol", "bearer"), ("sec-websocket-protocol", "abc")],
            ok("abc"),
            Some("bearer"),
        ),
        (
            "more subprotocols",
            &[("sec-websocket-protocol", "chat,bearer,x,abc")],
            ok("abc"),
            Some("bearer"),
        ),
        ("bearer last", &[("sec-websocket-protocol", "abc, bearer")], None, None),
        (
            "a subprotocol that is no token",
            &[("sec-websocket-protocol", "bearer, a b")],
            None,
            None,
        ),
        (
            "both",
            &[("authorization", "Bearer first"), ("sec-websocket-protocol", "bearer, second")],
            ok("first"),
            Some("bearer"),
        ),
        (
            "a bad header and a subprotocol",
            &[("authorization", "Basic x"), ("sec-websocket-protocol", "bearer, abc")],
            None,
            None,
        ),
        (
            "other subprotocols",
            &[("authorization", "Bearer abc"), ("sec-websocket-protocol", "chat")],
            ok("abc"),
            None,
        ),
    ] {
        let mut with_upgrade = headers.to_vec();
        with_upgrade.push(("upgrade", "websocket"));
        let opened = open(&request("GET", "/api/v1/chat/1", &with_upgrade), Side::Server);
        match (opened, token) {
            (Ok(mut room), Some(token)) => {
                assert_eq!(
                    greeting(room.as_mut()).proof,
                    Credentials::Bearer(Secret::new(token)),
                    "{name}"
                );
                assert_eq!(room.subprotocol(), subprotocol, "{name}");
            }
            (Err(response), None) => {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{name}")
            }
            (opened, token) => panic!("{name}: opened: {}, token: {token:?}", opened.is_ok()),
        }
    }
    let in_a_request = request("GET", "/api/v1/user", &[("sec-websocket-protocol", "bearer, abc")]);
    assert!(
        open(&in_a_request, Side::Server).is_err(),
        "a request that is no handshake has no subprotocols"
    );
}

#[test]
fn it_is_recognised_by_its_paths_alone() {
    for (path, certain) in [
        ("/api/v1/user", true),
        ("/api/v1", true),
        ("/api/v1/", true),
        ("/api/v10", false),
        ("/api/v2/user", false),
        ("/ws", false),
        ("/", false),
    ] {
        let (parts, ()) = request("GET", path, &[]).into_parts();
        let opening = Opening {
            request: Some(&parts),
            first: None,
            connection: OWN,
            websocket: false,
            settings: Settings::default(),
        };
        assert_eq!(Bearer.recognise(&opening) != Recognition::No, certain, "{path}");
    }
}

#[test]
fn a_room_is_entered_with_a_window_of_its_history() {
    for (uri, flow, kinds, limit, offset) in [
        ("/api/v1/chat/1", 1, FlowKindFilter::Chat, 100, 0),
        ("/api/v1/group/2?limit=5", 2, FlowKindFilter::Shared, 5, 0),
        ("/api/v1/chat/3?offset=7&limit=0", 3, FlowKindFilter::Chat, 0, 7),
    ] {
        let mut room = open(&socket(uri), Side::Server).unwrap();
        let greeting = greeting(room.as_mut());
        let expected = Command::History {
            flow: world::flow_id(flow),
            kinds,
            window: HistoryRange::Newest { limit, offset },
        };
        assert_eq!(
            (greeting.command, greeting.proof),
            (expected, Credentials::Bearer(ANN.secret())),
            "{uri}"
        );
    }
}

#[test]
fn a_refused_greeting_refuses_the_handshake() {
    for uri in ["/api/v1/chat/1", "/api/v1/main"] {
        for (fault, status) in [
            (Fault::Unauthenticated, 401),
            (Fault::NoProfile, 403),
            (Fault::NoSuchFlow, 404),
            (Fault::WrongKind, 404),
            (Fault::Unavailable, 503),
        ] {
            let mut session = open(&socket(uri), Side::Server).unwrap();
            let greeting = greeting(session.as_mut());
            let answer = frames(session.as_mut(), refused(&greeting, fault));
            assert_eq!(response(&answer[0]).status(), status, "{uri}");
            assert_eq!(session.interest(), Interest::Nothing, "{uri}");
        }
    }
}

#[test]
fn history_is_told_newest_first_and_its_absence_is_said() {
    let mut room = open(&socket("/api/v1/chat/1"), Side::Server).unwrap();
    let asked = greeting(room.as_mut());
    let told = json_of(
        &frames(room.as_mut(), granted(&asked, Answer::History(Box::new(world::page(CHAT)))))[0],
    );
    let ids: Vec<_> = told["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["id"].as_i64().unwrap())
        .collect();
    assert_eq!((ids, told.get("error")), (vec![12, 11], None));

    let mut room = open(&socket("/api/v1/chat/1"), Side::Server).unwrap();
    let asked = greeting(room.as_mut());
    let nothing =
        MessagePage { flow: world::flow_id(CHAT), messages: Vec::new(), version: Version(0) };
    let told =
        json_of(&frames(room.as_mut(), granted(&asked, Answer::History(Box::new(nothing))))[0]);
    assert_eq!(told, json!({"type": "history", "messages": [], "error": "no messages"}));
}

#[test]
fn what_is_said_in_a_room_is_asked_by_the_connection() {
    let flow = world::flow_id(GROUP);
    let draft = |text: &str| {
        Command::Send(Box::new(NewMessage {
            flow,
            kinds: FlowKindFilter::Shared,
            content: Content::text(text),
            key: None,
        }))
    };
    let mut room = entered("/api/v1/group/2", GROUP);
    for (frame, command) in [
        (r#"{"type":"message","text":"a"}"#, draft("a")),
        (r#"{"type":"message","text":"a","author":{"id":2},"id":9,"chat_id":9}"#, draft("a")),
        (r#"{"type":"message","author":"x","text":" "}"#, draft(" ")),
        (r#"{"type":"typing","text":5}"#, Command::ShowTyping { flow, active: true }),
        (r#"{"type":"stop_typing"}"#, Command::ShowTyping { flow, active: false }),
    ] {
        let asked = ask(lines(room.as_mut(), &Frame::text(frame)).remove(0));
        assert_eq!(
            (&asked.command, &asked.proof, asked.authority),
            (&command, &Credentials::Connection, Authority::Member),
            "{frame}"
        );
        assert!(
            frames(room.as_mut(), granted(&asked, world::answer(&ANN, &command))).is_empty(),
            "{frame}"
        );
        let refusal = frames(room.as_mut(), refused(&asked, Fault::NoSuchFlow));
        assert_eq!(
            json_of(&refusal[0]),
            json!({"type": "error", "error": "no such conversation"}),
            "{frame}"
        );
    }
}

#[test]
fn a_frame_that_breaks_the_rules_is_answered_and_only_one_that_is_too_large_ends_the_connection() {
    let deep = format!(r#"{{"type":"typing","x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let large = format!(r#"{{"type":"message","text":"{}"}}"#, "x".repeat(1 << 20));
    for (frame, kind, close) in [
        (Frame::text("{"), ViolationKind::Syntax, None),
        (Frame::text(""), ViolationKind::Syntax, None),
        (Frame::text("[]"), ViolationKind::Shape, None),
        (Frame::text("{}"), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":null}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"message"}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"message","text":""}"#), ViolationKind::Shape, None),
        (Frame::text(r#"{"type":"history"}"#), ViolationKind::UnknownMethod, None),
        (Frame::text(deep), ViolationKind::Shape, None),
        (
            Frame::Binary(Bytes::from_static(br#"{"type":"typing"}"#)),
            ViolationKind::FrameKind,
            None,
        ),
        (Frame::Value(Bytes::from_static(b"{}")), ViolationKind::FrameKind, None),
        (Frame::text(large), ViolationKind::Shape, Some(1009)),
    ] {
        let shown =
            String::from_utf8_lossy(&frame.payload()[..frame.payload().len().min(40)]).into_owned();
        let mut out = Vec::new();
        let violation =
            entered("/api/v1/chat/1", CHAT).decode(now(), &frame, &mut out).unwrap_err();
        assert!(out.is_empty(), "{shown}");
        assert_eq!(
            (violation.kind, violation.close.map(|close| close.code)),
            (kind, close),
            "{shown}"
        );
        assert_eq!(json_of(&violation.answer.unwrap())["type"], "error", "{shown}");
    }
}

#[test]
fn a_room_hears_its_own_flow_after_its_history() {
    let (here, elsewhere) = (world::flow_id(CHAT), world::flow_id(GROUP));
    let ann = world::user(1).summary();
    let typing = |flow| EventKind::Typing { flow, user: world::user(2).summary(), active: true };
    let ended = |user, session| notice(EventKind::SessionsEnded { user, session });
    let close = |reason| Delivery::Close(Close::new(1008, reason));
    for (name, notice, delivery) in [
        (
            "older than the history",
            notice(EventKind::Posted(world::message(CHAT, 2))),
            Delivery::Skip,
        ),
        (
            "newer than the history",
            notice(EventKind::Posted(world::message(CHAT, 3))),
            Delivery::Shared(Variant(0)),
        ),
        (
            "its own message",
            caused_by(OWN, EventKind::Posted(world::message(CHAT, 3))),
            Delivery::Shared(Variant(0)),
        ),
        ("another flow's", notice(EventKind::Posted(world::message(GROUP, 3))), Delivery::Skip),
        ("others type", caused_by(ConnectionId(8), typing(here)), Delivery::Shared(Variant(1))),
        ("somebody types elsewhere", notice(typing(elsewhere)), Delivery::Skip),
        ("it types itself", caused_by(OWN, typing(here)), Delivery::Skip),
        (
            "edited",
            notice(EventKind::Edited(world::edited(world::message_id(11), "x"))),
            Delivery::Skip,
        ),
        (
            "deleted",
            notice(EventKind::Deleted { flow: here, by: ANN.user(), messages: Vec::new() }),
            Delivery::Skip,
        ),
        (
            "members join",
            notice(EventKind::MembersAdded { flow: here, users: vec![ann], version: Version(7) }),
            Delivery::Skip,
        ),
        (
            "made",
            notice(EventKind::FlowCreated { flow: world::flow(CHAT), members: Vec::new() }),
            Delivery::Skip,
        ),
        (
            "it is removed",
            notice(EventKind::MembersRemoved { flow: here, users: vec![BOB.user(), ANN.user()] }),
            close("removed from the group"),
        ),
        (
            "another is removed",
            notice(EventKind::MembersRemoved { flow: here, users: vec![BOB.user()] }),
            Delivery::Skip,
        ),
        (
            "it is removed elsewhere",
            notice(EventKind::MembersRemoved { flow: elsewhere, users: vec![ANN.user()] }),
            Delivery::Skip,
        ),
        (
            "the flow is gone",
            notice(EventKind::FlowDeleted { flow: here, by: BOB.user() }),
            close("the group was deleted"),
        ),
        (
            "another flow is gone",
            notice(EventKind::FlowDeleted { flow: elsewhere, by: BOB.user() }),
            Delivery::Skip,
        ),
        (
            "its session ends",
            ended(ANN.user(), ANN.identity().session),
            close("the session has ended"),
        ),
        ("all its sessions end", ended(ANN.user(), None), close("the session has ended")),
        ("its other session ends", ended(ANN.user(), BOB.identity().session), Delivery::Skip),
        ("another's sessions end", ended(BOB.user(), None), Delivery::Skip),
    ] {
        let mut room = entered("/api/v1/chat/1", CHAT);
        assert_eq!(room.interest(), Interest::Flow(here), "{name}");
        assert_eq!(room.delivery(&notice), delivery, "{name}");
    }
    let mut waiting = open(&socket("/api/v1/chat/1"), Side::Server).unwrap();
    assert_eq!(
        waiting.delivery(&notice(EventKind::Posted(world::message(CHAT, 3)))),
        Delivery::Skip,
        "nobody was let in yet"
    );
}

#[test]
fn the_room_of_all_rooms_begins_with_the_last_messages_and_goes_on_with_new_ones() {
    let mut main = open(&socket("/api/v1/main"), Side::Server).unwrap();
    let asked = greeting(main.as_mut());
    assert_eq!(main.interest(), Interest::Nothing);
    main.identified(ANN.identity());
    assert_eq!(main.interest(), Interest::EveryFlowOf(ANN.user()));
    let mut silent = world::overview(3, false);
    silent.last = None;
    let flows =
        Answer::Flows(vec![world::overview(GROUP, false), silent, world::overview(CHAT, false)]);
    let told: Vec<_> = frames(main.as_mut(), granted(&asked, flows)).iter().map(json_of).collect();
    assert_eq!(
        told.iter().map(|message| message["chat_id"].as_i64().unwrap()).collect::<Vec<_>>(),
        [CHAT, GROUP]
    );
    assert!(told.iter().all(|message| message["type"] == "last_message"));
    let mut unheard = world::message(GROUP, 1);
    unheard.flow = world::flow_id(99);
    for (name, kind, delivery) in [
        ("told already", EventKind::Posted(world::message(CHAT, 2)), Delivery::Skip),
        ("new", EventKind::Posted(world::message(CHAT, 3)), Delivery::Shared(Variant(2))),
        ("in a new flow", EventKind::Posted(unheard), Delivery::Shared(Variant(2))),
        (
            "typing",
            EventKind::Typing {
                flow: world::flow_id(CHAT),
                user: world::user(2).summary(),
                active: true,
            },
            Delivery::Skip,
        ),
        (
            "removed",
            EventKind::MembersRemoved { flow: world::flow_id(CHAT), users: vec![ANN.user()] },
            Delivery::Skip,
        ),
    ] {
        assert_eq!(main.delivery(&notice(kind)), delivery, "{name}");
    }
    let end = notice(EventKind::SessionsEnded { user: ANN.user(), session: None });
    assert_eq!(main.delivery(&end), Delivery::Close(Close::new(1008, "the session has ended")));
}

#[test]
fn only_the_three_forms_render() {
    let posted = EventKind::Posted(world::message(CHAT, 3));
    let typing = EventKind::Typing {
        flow: world::flow_id(CHAT),
        user: world::user(2).summary(),
        active: false,
    };
    for (kind, variant, rendered) in [
        (&posted, 0, Some("message")),
        (&posted, 1, None),
        (&posted, 2, Some("last_message")),
        (&posted, 3, None),
        (&typing, 0, None),
        (&typing, 1, Some("stop_typing")),
        (&typing, 2, None),
    ] {
        let frame = Bearer.render(&notice(kind.clone()), Variant(variant));
        assert_eq!(
            frame.ok().map(|frame| json_of(&frame)["type"].as_str().unwrap().to_owned()).as_deref(),
            rendered,
            "{variant}"
        );
    }
}

/// Says an ask with one session of each side, and has a foreign server answer it.
fn heard_of(command: Command, proof: Credentials, answer: Response<&str>) -> Result<Answer, Fault> {
    let ask = Ask::new(Echo::new("echo"), proof, command);
    let (parts, body) = (Bearer.dial(&ask).expect("the wire can say it"), ());
    let mut client =
        open(&Request::from_parts(parts, body), Side::Client).expect("it is our own opening");
    assert_eq!(frames(client.as_mut(), Line::Ask(ask)).len(), 1);
    let answer = Frame::response(answer.map(|body| Bytes::copy_from_slice(body.as_bytes())));
    match lines(client.as_mut(), &answer).remove(0) {
        Line::Reply(reply) => {
            assert_eq!(reply.echo.get(), Some(&"echo"));
            reply.outcome
        }
        other => panic!("not a reply: {other:?}"),
    }
}

#[test]
fn a_foreign_servers_refusal_is_understood_by_its_status() {
    let login = || Command::Login {
        identifier: "ann".into(),
        password: Secret::new("x"),
        grant: tolmach_domain::GrantKind::Pair,
    };
    let delete =
        || Command::DeleteFlow { flow: world::flow_id(GROUP), kinds: FlowKindFilter::Shared };
    let add = || Command::AddMembers { flow: world::flow_id(GROUP), users: vec![BOB.user()] };
    let info = || Command::GetFlow {
        flow: world::flow_id(CHAT),
        kinds: FlowKindFilter::Chat,
        members: true,
    };
    let bearer = || Credentials::Bearer(ANN.secret());
    for (command, proof, status, body, fault) in [
        (
            login(),
            Credentials::Nothing,
            401,
            "nope",
            Fault::WrongCredentials { login_exists: false },
        ),
        (info(), bearer(), 401, "", Fault::Unauthenticated),
        (info(), bearer(), 404, r#"{"error":"чат не найден"}"#, Fault::NoSuchFlow),
        (
            info(),
            bearer(),
            404,
            r#"{"error":"this conversation is of another kind"}"#,
            Fault::WrongKind,
        ),
        (delete(), bearer(), 403, "{}", Fault::NotOwner),
        (add(), bearer(), 409, "[]", Fault::AlreadyMember),
        (
            add(),
            bearer(),
            400,
            r#"{"error":"users: too many"}"#,
            Fault::invalid("users", "too many"),
        ),
        (add(), bearer(), 422, r#"{"error":"why not"}"#, Fault::invalid("request", "why not")),
        (
            add(),
            bearer(),
            429,
            "",
            Fault::TooMany { retry_after: std::time::Duration::from_secs(1) },
        ),
        (add(), bearer(), 502, "<html>", Fault::Unavailable),
        (add(), bearer(), 500, "", Fault::Internal),
        (add(), bearer(), 302, "", Fault::Internal),
    ] {
        let answer = Response::builder().status(status).body(body).unwrap();
        assert_eq!(heard_of(command, proof, answer), Err(fault), "{status} {body}");
    }
}

#[test]
fn what_the_wire_cannot_say_is_a_loss() {
    let flow = world::flow_id(CHAT);
    let bearer = || Credentials::Bearer(ANN.secret());
    let list = || Command::ListFlows { limit: None, offset: 0, members: false };
    let send = |content| {
        Command::Send(Box::new(NewMessage { flow, kinds: FlowKindFilter::Any, content, key: None }))
    };
    let history = |window| Command::History { flow, kinds: FlowKindFilter::Chat, window };
    let mut as_administrator = Ask::new(Echo::NONE, bearer(), list());
    as_administrator.authority = Authority::Administrator;
    assert!(Bearer.dial(&as_administrator).is_err());
    for (name, proof, command) in [
        ("no proof", Credentials::Nothing, list()),
        ("a connection's proof", Credentials::Connection, list()),
        ("a token of somebody", Credentials::TokenOf(ANN.user(), ANN.secret()), list()),
        ("a token that no header carries", Credentials::Bearer(Secret::new("a\r\nb: c")), list()),
        ("a long history", bearer(), history(HistoryRange::Newest { limit: 1001, offset: 0 })),
        ("a whole history", bearer(), history(HistoryRange::All)),
        ("an unread history", bearer(), history(HistoryRange::Unread)),
        ("a message without a proof", Credentials::Nothing, send(Content::text("x"))),
        ("a logout by name", bearer(), Command::Logout { login: Some("ann".into()) }),
        (
            "an edit",
            bearer(),
            Command::Edit { message: world::message_id(11), flow: None, text: "x".into() },
        ),
    ] {
        assert!(Bearer.dial(&Ask::new(Echo::NONE, proof, command)).is_err(), "{name}");
    }
    for content in [world::rich_content(), Content::default()] {
        let ask = Ask::new(Echo::NONE, bearer(), send(content));
        let mut client =
            open(&Request::from_parts(Bearer.dial(&ask).unwrap(), ()), Side::Client).unwrap();
        assert!(client.encode(now(), &Line::Ask(ask), &mut Vec::new()).is_err());
    }
}

#[test]
fn a_message_that_comes_back_answers_its_send_and_an_error_the_oldest_one() {
    let mut client = open(&socket("/api/v1/chat/1?limit=0&offset=0"), Side::Client).unwrap();
    let say = |client: &mut dyn Session, text: &'static str| {
        let draft = NewMessage {
            flow: world::flow_id(CHAT),
            kinds: FlowKindFilter::Chat,
            content: Content::text(text),
            key: None,
        };
        frames(
            client,
            Line::Ask(Ask::new(
                Echo::new(text),
                Credentials::Connection,
                Command::Send(Box::new(draft)),
            )),
        );
    };
    for text in ["one", "two", "three", "four"] {
        say(client.as_mut(), text);
    }
    let message = |text: &str| {
        Frame::text(
            json!({"id":1,"chat_id":1,"type":"message","text":text,"author":{"id":2,"name":"b"},"time":"2023-01-01T00:00:00Z"}).to_string(),
        )
    };
    let echoes = |lines: Vec<Line>| -> Vec<(Option<&'static str>, bool)> {
        lines
            .into_iter()
            .map(|line| match line {
                Line::Reply(reply) => {
                    (reply.echo.get::<&'static str>().copied(), reply.outcome.is_ok())
                }
                _ => (None, true),
            })
            .collect()
    };
    assert_eq!(echoes(lines(client.as_mut(), &message("somebody else's"))), [(None, true)]);
    assert_eq!(
        echoes(lines(client.as_mut(), &message("two"))),
        [(Some("two"), true), (None, true)]
    );
    assert_eq!(
        echoes(lines(client.as_mut(), &Frame::text(r#"{"type":"error","error":"no"}"#))),
        [(Some("three"), false)]
    );
    assert_eq!(
        echoes(lines(client.as_mut(), &message("four"))),
        [(Some("four"), true), (None, true)]
    );
    assert_eq!(
        echoes(lines(client.as_mut(), &Frame::text(r#"{"type":"error","error":"no"}"#))),
        [(None, false)]
    );
}

#[test]
fn bodies_are_refused_by_type_size_and_shape() {
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(1 << 20));
    let json = "application/json";
    for (content_type, body, status) in [
        (Some("application/json"), r#"{"username":"a","password":"b"}"#, None),
        (Some("Application/JSON; charset=utf-8"), r#"{"username":"a","password":"b"}"#, None),
        (Some(json), r#"{"username":"x","username":"a","password":"b","more":[]}"#, None),
        (None, r#"{"username":"a","password":"b"}"#, Some(415)),
        (Some("application/jsonp"), r#"{"username":"a","password":"b"}"#, Some(415)),
        (Some("text/plain"), r#"{"username":"a","password":"b"}"#, Some(415)),
        (Some(json), "", Some(400)),
        (Some(json), r#"["a",null,"b"]"#, Some(400)),
        (Some(json), r#"{"username":1,"password":"b"}"#, Some(400)),
        (Some(json), r#"{"username":"a"}"#, Some(400)),
        (Some(json), &large, Some(413)),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        let mut request =
            Request::post("/api/v1/login").body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        *request.headers_mut() = headers;
        let mut server = open(&self::request("POST", "/api/v1/login", &[]), Side::Server).unwrap();
        let mut out = Vec::new();
        let found = server.decode(now(), &Frame::request(request), &mut out);
        let found =
            found.err().map(|violation| response(&violation.answer.unwrap()).status().as_u16());
        assert_eq!(found, status, "{content_type:?} {}", &body[..body.len().min(40)]);
        assert_eq!(out.len(), usize::from(status.is_none()));
    }
}
