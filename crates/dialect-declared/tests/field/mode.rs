//! mode in the field: a console client, a home page and their server, with Python's literals.

use crate::peer::{Peer, claims, compiled};
use bytes::Bytes;
use std::sync::Arc;
use tolmach_dialect::{Credentials, Dialect as _, Frame, Handshake, RenderContext, Response};
use tolmach_dialect_declared::Revised;
use tolmach_dialect_kit::fixtures::{self, ANN, CHAT, flow_id, user_id};
use tolmach_dialect_mode::Mode;
use tolmach_domain::{Answer, Command, ConnectionId, Fault, HistoryRange, MessagePage, UserRef};

const FILE: &str = "mode-literal.toml";

/// A request of the console.
fn request(mode: &str, rest: &str) -> String {
    format!("{{'mode': '{mode}', 'timestamp': '2024-11-21 15:46:54', {rest}}}")
}

/// A request with Ann's token.
fn signed(mode: &str, rest: &str) -> String {
    request(mode, &format!("'token': '{}'{rest}", ANN.token))
}

/// A response of the server.
fn response(mode: &str, rest: &str) -> String {
    format!("{{'mode': '{mode}', 'timestamp': '2023-11-14 22:13:20', {rest}}}")
}

fn exchange(text: &str, outcome: Option<Result<Answer, Fault>>) -> String {
    Peer::new(FILE).exchange(text, outcome).expect("every request of this wire is answered")
}

/// The command of a frame.
fn command(text: &str) -> (Credentials, Command) {
    let requests = Peer::new(FILE).decode(text).expect("the frame is a request");
    let [request] = requests.as_slice() else { panic!("one request is expected: {text}") };
    (request.credentials.clone(), request.command.clone())
}

#[test]
fn a_first_frame_that_is_a_literal_and_no_json_is_claimed() {
    assert!(claims(FILE, "{'mode': 'auth', 'timestamp': None}"));
    assert!(!claims(FILE, r#"{"mode": "auth", "timestamp": null}"#));
    assert!(!claims(FILE, "{'type': 'auth'}"));
}

#[test]
fn the_console_registers_and_logs_in() {
    let register = request(
        "register",
        "'username': 'ann', 'email': 'ann@example.org', \
                            'password': 'pw'",
    );
    let granted = format!("'status': '200', 'token': '{}'", ANN.token);
    assert_eq!(exchange(&register, None), response("register", &granted));
    let taken = exchange(&register, Some(Err(Fault::LoginTaken)));
    assert_eq!(taken, response("register", "'status': '409', 'token': None"));
    let login = request("auth", "'username': 'ann', 'password': 'pw'");
    assert_eq!(exchange(&login, None), response("auth", &granted));
    let wrong = Err(Fault::WrongCredentials { login_exists: true });
    assert_eq!(exchange(&login, Some(wrong)), response("auth", "'status': '401', 'token': None"));
}

#[test]
fn a_chat_is_opened_by_id_or_by_name() {
    let by_id = signed("createPersonalChat", ", 'contact_value': '2', 'contact_mode': 'id'");
    let (credentials, opened) = command(&by_id);
    assert_eq!(credentials, Credentials::Token(ANN.secret()));
    assert_eq!(opened, Command::OpenChat { with: UserRef::Id(user_id(2)) });
    let by_name =
        signed("createPersonalChat", ", 'contact_value': 'bob', 'contact_mode': 'username'");
    assert_eq!(command(&by_name).1, Command::OpenChat { with: UserRef::Login("bob".to_owned()) });
    let granted = response("createPersonalChat", "'status': '200', 'chat_id': 1");
    assert_eq!(exchange(&by_name, None), granted);
    let absent = exchange(&by_name, Some(Err(Fault::NoSuchUser)));
    assert_eq!(absent, response("createPersonalChat", "'status': '404', 'chat_id': None"));
}

#[test]
fn chats_name_one_member_or_a_list() {
    let chats = exchange(&signed("getChats", ""), None);
    let chat = "{'chat_id': 1, 'chat_members': 2, 'chat_name': 'bob-the-user', \
                'chat_type': 'personal', 'last_message_time': '2023-11-14 22:13:22', ";
    assert!(chats.contains(chat), "{chats}");
    assert!(chats.contains("'chat_members': [2, 3]"), "{chats}");
    assert!(chats.contains("'last_message_sender': 'bob-the-user'"), "{chats}");
    let refused = exchange(&signed("getChats", ""), Some(Err(Fault::Unauthenticated)));
    assert_eq!(refused, response("getChats", "'status': '401', 'chats': None"));
}

#[test]
fn messages_are_read_by_an_id_in_a_string_and_refused_with_the_exceptions() {
    let read = signed("getMessages", ", 'chat_id': '1'");
    let (_, history) = command(&read);
    let range = HistoryRange::All;
    assert!(matches!(history, Command::History { flow, range: found, .. }
            if flow == flow_id(CHAT) && found == range));
    let message = "{'from_id': 1, 'from_name': 'ann-the-user', 'content': ";
    let messages = exchange(&read, None);
    assert!(messages.contains(message), "{messages}");
    assert!(messages.contains("'status': '200', 'chats': ["), "{messages}");
    for (fault, rest) in [
        (Fault::NoSuchFlow, "'status': '423', 'chats': ''"),
        (Fault::Unauthenticated, "'status': 401, 'chats': None"),
    ] {
        assert_eq!(exchange(&read, Some(Err(fault))), response("getMessages", rest));
    }
}

#[test]
fn messages_from_an_id_on_are_read_under_their_own_key() {
    let (older, wanted) = (fixtures::message(CHAT, 1), fixtures::message(CHAT, 2));
    let rest = format!(", 'chat_id': 1, 'min_message_id': '{}'", wanted.id.get());
    let wanted_id = wanted.id.get();
    let history = MessagePage::new(flow_id(CHAT), vec![older, wanted]);
    let read = signed("getMessages", &rest);
    let messages = exchange(&read, Some(Ok(Answer::History(Box::new(history)))));
    let expected = format!("'status': '200', 'messages': [{{'message_id': {wanted_id}, ");
    assert!(messages.contains(&expected), "{messages}");
    assert_eq!(messages.matches("'message_id'").count(), 1, "{messages}");
}

#[test]
fn a_message_is_sent_and_the_console_logs_out() {
    let sends = signed("sendMessage", ", 'chat_id': '1', 'content': 'hi', 'content_type': 'text'");
    assert_eq!(exchange(&sends, None), response("sendMessage", "'status': '200'"));
    let refused = exchange(&sends, Some(Err(Fault::NoSuchFlow)));
    assert_eq!(refused, response("sendMessage", "'status': '423'"));
    assert_eq!(exchange(&signed("logout", ""), None), response("logout", "'status': '200'"));
}

#[test]
fn the_connection_is_checked_without_a_token_and_a_token_by_itself() {
    let connection = "{'mode': 'checkConnection', 'timestamp': '2024-11-21 15:46:54'}";
    assert_eq!(command(connection).0, Credentials::Nothing);
    // The engine refuses the command of a caller without a user.
    let granted = exchange(connection, Some(Err(Fault::Unauthenticated)));
    assert_eq!(granted, response("checkConnection", "'status': '200'"));
    let token = signed("checkToken", "");
    assert_eq!(exchange(&token, None), response("checkToken", "'status': '200'"));
    let refused = exchange(&token, Some(Err(Fault::Unauthenticated)));
    assert_eq!(refused, response("checkToken", "'status': '401'"));
}

#[test]
fn an_unknown_mode_is_repeated_without_a_time_and_every_refusal_has_a_mode() {
    let unknown = "{'mode': 'other', 'timestamp': '2024-11-21 15:46:54'}";
    let refused = exchange(unknown, None);
    assert_eq!(refused, "{'mode': 'other', 'timestamp': None, 'status': '501'}");
    for malformed in ["{'mode': 5}", "{}", "[", "{'mode': __import__('os')}"] {
        let refused = exchange(malformed, None);
        assert_eq!(refused, "{'mode': None, 'timestamp': '2023-11-14 22:13:20', 'status': '422'}");
    }
}

/// The status and the body of the response to a request for `/api`, whose token has this outcome.
fn checked(method: &str, outcome: Result<(), Fault>) -> (u16, String) {
    let mode = Revised::new(Arc::new(Mode::default()), vec![compiled(FILE)]).expect("one revision");
    let request = http::Request::builder()
        .method(method)
        .uri("/api")
        .header("authorization", ANN.token)
        .header("sec-fetch-mode", "token_validation");
    let request = request.body(Bytes::new()).expect("the parts are valid");
    let (head, body) = request.into_parts();
    let handshake = Handshake::new(ConnectionId(1)).request(&head).websocket(false);
    let Ok(mut session) = mode.accept(&handshake) else { panic!("the request is rejected") };
    assert_eq!(session.revision(), "literal");
    let frame = Frame::request(http::Request::from_parts(head.clone(), body));
    let (mut requests, mut frames) = (Vec::new(), Vec::new());
    match session.decode(fixtures::time(0), &frame, &mut requests) {
        Err(violation) => frames.extend(violation.answer),
        Ok(()) => {
            let [request] = requests.as_slice() else { panic!("one request: {requests:?}") };
            assert_eq!(request.credentials, Credentials::Token(ANN.secret()));
            let user = || fixtures::answer(&ANN, &request.command);
            let response = Response::new(request.correlation.clone(), outcome.map(|()| user()));
            let context = &RenderContext::EMPTY;
            let responded = session.respond(fixtures::time(0), &response, context, &mut frames);
            responded.expect("the response has a frame");
        }
    }
    let [Frame::Response(response)] = frames.as_slice() else { panic!("{frames:?}") };
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

#[test]
fn a_page_checks_its_token_by_http() {
    assert_eq!(checked("GET", Ok(())), (200, "True".to_owned()));
    assert_eq!(checked("GET", Err(Fault::Unauthenticated)), (401, "False".to_owned()));
    assert_eq!(checked("GET", Err(Fault::Unavailable)), (503, "False".to_owned()));
    assert_eq!(checked("POST", Ok(())).0, 405);
}

#[test]
fn the_path_of_the_token_check_is_one_of_the_dialect_and_opens_no_websocket() {
    let mode = Revised::new(Arc::new(Mode::default()), vec![compiled(FILE)]).expect("one revision");
    let paths: Vec<&str> = mode.manifest().endpoints.iter().map(|endpoint| endpoint.path).collect();
    assert_eq!(paths, ["/mode", "/api"]);
    let request = tolmach_dialect::websocket_request("/api");
    let handshake = Handshake::new(ConnectionId(1)).request(&request);
    let Err(rejection) = mode.accept(&handshake) else { panic!("it is accepted") };
    assert_eq!(rejection.response.status(), 404);
}
