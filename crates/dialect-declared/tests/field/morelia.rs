//! MoreliaTalk in the field: requests and responses of clients and servers that were run.

use crate::peer::{Peer, claims, compiled, json, text_of};
use serde_json::Value;
use std::sync::Arc;
use tolmach_dialect::{
    Correlation, Credentials, Dialect as _, FieldMap, FieldRole, FieldValue, Frame, Handshake,
    Incoming, Request, Sender, WideIdNumbers, websocket_request,
};
use tolmach_dialect_kit::fixtures::{self, ANN};
use tolmach_domain::{Answer, Command, ConnectionId, ExternalId, Fault, UserId};

const FILES: [&str; 5] = [
    "morelia-17.toml",
    "morelia-1.15.toml",
    "morelia-1.16.toml",
    "morelia-server-2020.toml",
    "morelia-json-in-string.toml",
];

/// The ids and the token of a capture, with those of the fixtures.
const KNOWN: [(&str, &str); 6] = [
    ("18416774557987691029473129553893440649", "1"),
    ("8cddb7652dbbbea8a8ea6c68f58a5f7e", ANN.token),
    ("247190437348629634725985117069368568983", "1"),
    ("f23b9b36c0c27d3702f0e816bc2f1986", ANN.token),
    ("247233951603388217094743614581705379023", "2"),
    ("264042207709982752279092169408247077510", "2001"),
];

/// A frame of a client and the frame that its server answered, if it did.
fn exchanges(capture: &str) -> Vec<(String, Option<Value>)> {
    let mut exchanges: Vec<(String, Option<Value>)> = Vec::new();
    for line in capture.lines().map(json) {
        let frame = line["frame"].as_str().unwrap_or_default();
        match line["dir"].as_str() {
            Some("client") => {
                let known = KNOWN.iter();
                let frame = known.fold(frame.to_owned(), |f, (old, new)| f.replace(old, new));
                exchanges.push((frame, None));
            }
            Some("server") => {
                let last = exchanges.last_mut().expect("a server answers a client");
                last.1 = Some(json(frame));
            }
            _ => {}
        }
    }
    exchanges
}

/// The fault that the gateway has where the original answered with this code.
fn fault(code: i64, method: &str) -> Fault {
    match (code, method) {
        (401, "authentication" | "auth") => Fault::WrongCredentials { login_exists: true },
        (401, _) => Fault::Unauthenticated,
        (409, _) => Fault::LoginTaken,
        (404, _) => Fault::NoSuchFlow,
        _ => Fault::invalid("members", "two users are expected"),
    }
}

/// Compares a response with that of the original: the same keys at every depth and the same kinds
/// of values, where both have one.
fn check_shape(own: &Value, original: &Value, at: &str) {
    match (own, original) {
        (Value::Object(own), Value::Object(original)) => {
            let keys = |object: &serde_json::Map<String, Value>| -> Vec<String> {
                object.keys().cloned().collect()
            };
            assert_eq!(keys(own), keys(original), "{at}");
            for (key, value) in own {
                check_shape(value, &original[key], &format!("{at}/{key}"));
            }
        }
        (Value::Array(own), Value::Array(original)) => {
            if let (Some(own), Some(original)) = (own.first(), original.first()) {
                check_shape(own, original, &format!("{at}/0"));
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (own, original) => {
            let kind = std::mem::discriminant(own) == std::mem::discriminant(original);
            assert!(kind, "{at}: {own} and {original}");
            let is_float = own.is_f64() || original.is_f64();
            assert!(!is_float, "{at}: {own} and {original} are integers");
        }
    }
}

fn replay(file: &str, capture: &str) -> usize {
    let mut count = 0;
    for (frame, original) in exchanges(capture) {
        let Some(original) = original else { continue };
        // A login that does not exist is not told from a wrong password.
        if frame.contains(r#""login": "nobody""#) {
            continue;
        }
        let method = json(&frame)["type"].as_str().unwrap_or_default().to_owned();
        let code = original["errors"]["code"].as_i64().unwrap_or_default();
        let outcome = match (code, method.as_str()) {
            (404, "all_flow") => Some(Ok(Answer::Flows(Vec::new()))),
            (200 | 201, _) => None,
            (code, method) => Some(Err(fault(code, method))),
        };
        let own = Peer::new(file).exchange(&frame, outcome);
        let own = json(&own.unwrap_or_else(|| panic!("no answer to {frame}")));
        check_shape(&own, &original, &format!("{file} {method} {code}"));
        for key in ["code", "status"] {
            assert_eq!(own["errors"][key], original["errors"][key], "{frame}");
        }
        if code < 300 {
            assert_eq!(own["errors"]["detail"], original["errors"]["detail"], "{frame}");
        }
        assert_eq!(own["type"], original["type"], "{frame}");
        assert_eq!(own["jsonapi"], original["jsonapi"], "{frame}");
        count += 1;
    }
    count
}

#[test]
fn revision_17_answers_as_its_server_did() {
    assert_eq!(replay("morelia-17.toml", include_str!("captures/morelia-17.jsonl")), 22);
}

#[test]
fn revision_1_16_answers_as_its_server_did() {
    assert_eq!(replay("morelia-1.16.toml", include_str!("captures/morelia-1.16.jsonl")), 4);
}

/// A client with the original's ids of 128 bits, as a bridge has it.
#[test]
fn a_client_of_revision_17_makes_the_requests_of_the_original_and_reads_its_answers() {
    let file = compiled("morelia-17.toml");
    let (numbers, request) = (Arc::new(WideIdNumbers::default()), websocket_request("/ws"));
    let handshake = Handshake::new(ConnectionId(1)).request(&request).wide_id_numbers(&numbers);
    let mut client = file.client().expect("it has one").connect(&handshake).expect("accepted");
    let mut server = file.accept(&handshake).expect("it is accepted");
    let now = fixtures::time(0);
    let mut answers: Vec<(String, Result<Answer, Fault>)> = Vec::new();
    let mut written = Value::Null;
    for line in include_str!("captures/morelia-17.jsonl").lines().map(json) {
        let Some(text) = line["frame"].as_str() else { continue };
        let (frame, captured) = (Frame::text(text.to_owned()), json(text));
        if line["dir"] == "client" {
            written = Value::Null;
            let mut requests = Vec::new();
            if server.decode(now, &frame, &mut requests).is_err() {
                continue;
            }
            let [request] = requests.as_slice() else { panic!("one request: {text}") };
            let mut frames = Vec::new();
            let key = Correlation::new(answers.len());
            let request = Request { correlation: key, ..request.clone() };
            if client.request(now, &request, &mut frames).is_ok() {
                let [frame] = frames.as_slice() else { panic!("one frame: {frames:?}") };
                written = json(&text_of(frame));
            }
            continue;
        }
        // Another request stands for it: of `get_update` and `all_messages` the client makes one.
        if written["type"] != captured["type"] {
            continue;
        }
        let mut incoming = Vec::new();
        client.decode(now, &frame, &mut incoming).unwrap_or_else(|error| panic!("{error}: {text}"));
        let [Incoming::Response(response)] = incoming.as_slice() else { panic!("{incoming:?}") };
        let method = captured["type"].as_str().unwrap_or_default();
        answers.push((method.to_owned(), response.outcome.clone()));
        let (user, flow, message) =
            (&written["data"]["user"], &written["data"]["flow"], &written["data"]["message"]);
        match method {
            "send_message" => {
                assert_eq!(user[0]["uuid"], KNOWN[0].0, "{written}");
                assert!(message[0]["uuid"].is_string(), "the original needs it: {written}");
                assert!(message[0]["client_id"].is_i64(), "the original needs it: {written}");
            }
            "add_flow" => assert_eq!(flow[0]["owner"], KNOWN[0].0, "{written}"),
            "edited_message" | "delete_message" => {
                assert_eq!(message[0]["uuid"], KNOWN[5].0, "{written}");
                assert!(message[0]["client_id"].is_i64(), "the original needs it: {written}");
            }
            _ => {}
        }
    }
    let number = |id: &str| numbers.number(ExternalId::from_decimal(id).expect("it is one"));
    let [user, flow, message] = [0, 4, 5].map(|index: usize| number(KNOWN[index].0));
    let of = |method: &str| -> Vec<&Result<Answer, Fault>> {
        answers.iter().filter(|(name, _)| name == method).map(|(_, outcome)| outcome).collect()
    };
    let Ok(Answer::Granted(granted)) = of("authentication")[0] else { panic!("{answers:?}") };
    assert_eq!(granted.user.as_ref().map(|user| user.id.get()), Some(user));
    assert!(matches!(of("authentication")[1], Err(Fault::WrongCredentials { .. })));
    let Ok(Answer::Sent { message: Some(sent), .. }) = of("send_message")[0] else {
        panic!("{answers:?}")
    };
    assert_eq!((sent.id.get(), sent.flow.get(), sent.author.id.get()), (message, flow, user));
    assert_eq!(of("register_user")[1], &Err(Fault::LoginTaken));
    let changes = [of("get_update"), of("all_messages")].concat();
    let Some(Ok(Answer::Changes(changes))) = changes.first() else { panic!("{answers:?}") };
    assert_eq!(changes.messages.iter().map(|one| one.id.get()).collect::<Vec<_>>(), [message]);
    let Ok(Answer::Flows(flows)) = of("all_flow")[1] else { panic!("{answers:?}") };
    assert_eq!(flows.last().map(|summary| summary.flow.id.get()), Some(flow));
    for method in ["edited_message", "delete_message", "delete_user", "user_info"] {
        assert!(matches!(of(method)[..], [Ok(_)]), "{method}: {answers:?}");
    }
}

#[test]
fn ids_that_clients_send_have_the_role_of_their_object() {
    for name in ["morelia-17.toml", "morelia-1.16.toml"] {
        let file = compiled(name);
        let fields = FieldMap::new(file.manifest().fields);
        for method in ["all_messages", "get_update", "add_flow", "send_message"] {
            let frame = format!(
                r#"{{"type":"{method}","data":{{"user":[{{"uuid":"a"}}],
                    "flow":[{{"uuid":"b","owner":"c","users":["d"]}}]}}}}"#
            );
            let mut roles = Vec::new();
            let mut look = |value: &FieldValue<'_>| {
                roles.push((value.text.to_string(), value.role));
                None
            };
            let read = fields.edit(Sender::Client, None, &Frame::text(frame), &mut look);
            read.unwrap_or_else(|_| panic!("it is JSON"));
            for (text, expected) in [
                ("a", FieldRole::User),
                ("b", FieldRole::Flow),
                ("c", FieldRole::User),
                ("d", FieldRole::User),
            ] {
                let role = roles.iter().find(|(found, _)| found == text).map(|(_, role)| *role);
                assert_eq!(role, Some(Some(expected)), "{name} {method} {text}");
            }
        }
    }
}

/// A request of each revision, with a user and a token.
const FIRST_FRAMES: [(&str, &str); 6] = [
    (
        "morelia-17.toml",
        r#"{"type":"all_flow","data":{"user":[{"uuid":"1","auth_id":"t"}]},
            "jsonapi":{"version":"1.0","revision":"17"}}"#,
    ),
    ("morelia-1.15.toml", r#"{"type":"all_flow","data":{"user":[{"uuid":1,"auth_id":"t"}]}}"#),
    (
        "morelia-1.16.toml",
        r#"{"type":"all_flow","data":{"user":[{"uuid":"1","auth_id":"t"}]},
            "jsonapi":{"version":"1.0"}}"#,
    ),
    (
        "morelia-1.16.toml",
        r#"{"type":"auth","data":{"time":null,"flow":null,"message":null,"meta":null,
            "user":[{"uuid":null,"login":"ann","password":"pw","auth_id":null}]},
            "errors":null,"jsonapi":null,"meta":null}"#,
    ),
    (
        "morelia-server-2020.toml",
        r#"{"type":"all_flow","data":{"user":{"uuid":1,"auth_id":"x"},"meta":"None"},
            "jsonapi":{"version":"1.0"},"meta":"None"}"#,
    ),
    (
        "morelia-json-in-string.toml",
        r#""{\"type\":\"auth\",\"data\":{\"user\":[{\"login\":\"ann\",\"password\":\"pw\"}]}}""#,
    ),
];

#[test]
fn each_first_frame_is_claimed_by_one_revision() {
    for (owner, frame) in FIRST_FRAMES {
        for file in FILES {
            assert_eq!(claims(file, frame), file == owner, "{file}: {frame}");
        }
    }
}

#[test]
fn no_revision_claims_frames_of_the_document() {
    for frame in [
        r#"{"type":"auth","data":{"user":{"login":"ann","password":"pw"}},
            "jsonapi":{"version":1.0}}"#,
        r#"{"type":"all_flow","data":{"user":{"id":1,"auth_id":"t"}},"jsonapi":null}"#,
        r#"{"mode":"auth","username":"ann"}"#,
        r#"{"type":"SND_MSG","room_id":1}"#,
        "[]",
        r#""text""#,
    ] {
        for file in FILES {
            assert!(!claims(file, frame), "{file}: {frame}");
        }
    }
}

/// The command of a frame, and the user of its credentials.
fn command(file: &str, frame: &str) -> (Command, Option<UserId>) {
    let requests = Peer::new(file).decode(frame);
    let requests = requests.unwrap_or_else(|refusal| panic!("{frame}: {refusal:?}"));
    let request = requests.into_iter().next().expect("a frame is one request");
    let user = match request.credentials {
        Credentials::TokenOf(user, _) => Some(user),
        _ => None,
    };
    (request.command, user)
}

#[test]
fn ids_of_every_kind_are_read_as_they_are_written() {
    for (file, flow, message, user) in [
        ("morelia-17.toml", r#""uuid":"2""#, r#""uuid":"2001""#, r#""1""#),
        (
            "morelia-1.16.toml",
            r#""uuid":"00000000000000000000000000000002""#,
            r#""uuid":"2001""#,
            r#""1""#,
        ),
        ("morelia-1.15.toml", r#""id":2"#, r#""id":2001"#, "1"),
    ] {
        let user = format!(r#"[{{"uuid":{user},"auth_id":"{}"}}]"#, ANN.token);
        let frame = format!(
            r#"{{"type":"all_messages","data":{{"time":0,"user":{user},"flow":[{{{flow}}}]}}}}"#
        );
        let (read, proven) = command(file, &frame);
        assert_eq!(proven, Some(ANN.user()), "{file}");
        let Command::GetChanges { flow: Some(read), .. } = read else { panic!("{file}: {read:?}") };
        assert_eq!(read, fixtures::flow_id(fixtures::GROUP), "{file}");
        let answer = Peer::new(file).exchange(&frame, None).expect("it is answered");
        let first = fixtures::message(fixtures::GROUP, 1);
        let written = message.replace("2001", &first.id.get().to_string());
        assert!(answer.contains(&written), "{file}: {written} in {answer}");
        let frame = format!(
            r#"{{"type":"edited_message",
                "data":{{"user":{user},"message":[{{{written},"text":"x"}}]}}}}"#
        );
        let (read, _) = command(file, &frame);
        assert!(matches!(read, Command::Edit { message, .. } if message == first.id), "{file}");
    }
}

#[test]
fn nulls_are_as_good_as_absent_keys() {
    let file = "morelia-1.16.toml";
    let nulls = r#""bio":null,"avatar":null,"is_bot":null,"email":null,"username":null"#;
    let user = format!(r#"{{"uuid":"1","auth_id":"{}","login":null,{nulls}}}"#, ANN.token);
    let frame = format!(
        r#"{{"type":"send_message","data":{{"time":null,"user":[{user}],"meta":null,
            "flow":[{{"uuid":"2","time":null,"type":null,"title":null,"info":null}}],
            "message":[{{"uuid":null,"client_id":null,"text":"Hello","from_user":null,"time":null,
            "file_picture":null,"emoji":null,"edited_time":null}}]}},
            "errors":null,"jsonapi":{{"version":"1.0"}},"meta":null}}"#
    );
    assert!(matches!(command(file, &frame).0, Command::Send(new) if new.content.text == "Hello"));
    for flow in ["null", "[]", r#"[{"uuid":null}]"#] {
        let frame = format!(
            r#"{{"type":"get_update","data":{{"time":null,"user":[{user}],"flow":{flow}}}}}"#
        );
        let (read, _) = command(file, &frame);
        assert!(matches!(read, Command::GetChanges { flow: None, .. }), "{flow}: {read:?}");
    }
}

#[test]
fn the_number_of_the_client_is_repeated_and_stores_every_message() {
    for file in ["morelia-1.16.toml", "morelia-17.toml"] {
        let frame = format!(
            r#"{{"type":"send_message","data":{{"user":[{{"uuid":"1","auth_id":"{}"}}],
                "flow":[{{"uuid":"2"}}],"message":[{{"text":"Hello","client_id":123}}]}}}}"#,
            ANN.token
        );
        // Clients count from 0 again when they start: the number is no key of idempotency.
        assert!(matches!(command(file, &frame).0, Command::Send(new) if new.key.is_none()));
        let answer = json(&Peer::new(file).exchange(&frame, None).expect("it is answered"));
        assert_eq!(answer["data"]["message"][0]["client_id"], 123, "{file}");
    }
}

#[test]
fn details_have_no_quotation_mark_and_no_backslash() {
    let reason = r#""a\b" is expected"#;
    for file in FILES {
        let frame = if file == "morelia-json-in-string.toml" {
            r#""{\"type\":\"auth\",\"data\":{\"user\":[{\"login\":\"a\",\"password\":\"p\"}]}}""#
        } else if file == "morelia-server-2020.toml" {
            r#"{"type":"auth","data":{"user":{"login":"a","password":"p"}}}"#
        } else {
            r#"{"type":"auth","data":{"user":[{"login":"a","password":"p"}]}}"#
        };
        let outcome = Some(Err(Fault::invalid("identifier", reason)));
        let answer = json(&Peer::new(file).exchange(frame, outcome).expect("it is answered"));
        let answer = match answer {
            Value::String(text) => json(&text),
            answer => answer,
        };
        let detail = answer["errors"]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("is expected"), "{file}: {answer}");
        assert!(!detail.contains(['"', '\\']), "{file}: {detail}");
    }
}

#[test]
fn a_user_may_ask_for_pong_by_both_names() {
    for name in ["ping-pong", "ping_pong"] {
        let frame = format!(
            r#"{{"type":"{name}","data":{{"user":[{{"uuid":"1","auth_id":"{}"}}]}}}}"#,
            ANN.token
        );
        let answer = json(&Peer::new("morelia-17.toml").exchange(&frame, None).expect("answered"));
        assert_eq!((&answer["type"], &answer["errors"]["code"]), (&name.into(), &200.into()));
    }
}

#[test]
fn the_server_of_2020_answers_by_its_codes() {
    let file = "morelia-server-2020.toml";
    let user = r#""login":"ann","password":"pw","email":"ann@example.org","username":"Ann""#;
    let register = format!(
        r#"{{"type":"register_user","data":{{"user":{{{user}}},"meta":"None"}},"meta":"None"}}"#
    );
    let auth = register.replace("register_user", "auth");
    let wrong = Fault::WrongCredentials { login_exists: false };
    for (frame, outcome, code) in [
        (register.as_str(), None, 201),
        (&register, Some(Err(Fault::LoginTaken)), 400),
        (&auth, None, 200),
        (&auth, Some(Err(wrong)), 404),
        (r#"{"type":"no_method","data":{"user":{"uuid":1,"auth_id":"t"}}}"#, None, 405),
        (r#"{"type":"all_flow","data":{"user":{"uuid":"one","auth_id":"t"}}}"#, None, 520),
        ("no JSON", None, 520),
    ] {
        let answer = json(&Peer::new(file).exchange(frame, outcome).expect("it is answered"));
        assert_eq!(answer["errors"]["code"], code, "{frame}: {answer}");
        match code {
            200 => assert_eq!(answer["data"]["user"]["uuid"], 1, "{answer}"),
            _ => assert!(answer["data"].is_null(), "{answer}"),
        }
    }
}

#[test]
fn a_client_that_sends_json_in_a_string_is_answered_so() {
    let (_, frame) = FIRST_FRAMES[5];
    let answer = Peer::new("morelia-json-in-string.toml").exchange(frame, None);
    let Value::String(inner) = json(&answer.expect("it is answered")) else {
        panic!("a string is expected")
    };
    assert_eq!(json(&inner)["data"]["user"][0]["auth_id"], ANN.token);
}

#[test]
fn an_account_is_deleted_by_its_password_and_a_token_that_is_given_counts() {
    for (file, id) in
        [("morelia-1.16.toml", r#""1""#), ("morelia-17.toml", r#""1""#), ("morelia-1.15.toml", "1")]
    {
        let proof = r#""login":"ann","password":"pw""#;
        for (given, token, user) in [
            (String::new(), false, None),
            (r#""uuid":null,"auth_id":null,"#.to_owned(), false, None),
            (format!(r#""uuid":{id},"auth_id":"{}","#, ANN.token), true, Some(ANN.user())),
        ] {
            let frame =
                format!(r#"{{"type":"delete_user","data":{{"user":[{{{given}{proof}}}]}}}}"#);
            let requests = Peer::new(file).decode(&frame);
            let requests = requests.unwrap_or_else(|refusal| panic!("{frame}: {refusal:?}"));
            let is_token = matches!(requests[0].credentials, Credentials::Token(_));
            assert_eq!(is_token, token, "{frame}");
            let Command::DeleteAccount { user: named, .. } = &requests[0].command else {
                panic!("{frame}: {:?}", requests[0].command)
            };
            assert_eq!(*named, user, "{frame}");
        }
    }
}
