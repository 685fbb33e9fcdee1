//! The conformance trials, with scripts for what only this wire has.

use bytes::Bytes;
use http::{Request, Uri};
use std::sync::Arc;
use tolmach_dialect::Frame;
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::{Script, ScriptStep as Step, fixtures};
use tolmach_domain::EventKind;

fn socket(path: &'static str) -> Request<()> {
    Request::get(Uri::from_static(path))
        .header("upgrade", "websocket")
        .header("authorization", format!("Bearer {}", fixtures::ANN.token))
        .body(())
        .expect("the parts are valid")
}

fn request(
    note: &'static str,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> Step {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", fixtures::ANN.token));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    Step::Frame(
        note,
        Frame::request(
            request.body(Bytes::copy_from_slice(body.as_bytes())).expect("the parts are valid"),
        ),
    )
}

/// The WebSocket of all rooms.
fn all_rooms() -> Script {
    let steps = vec![
        Step::Event(EventKind::Posted(fixtures::message(fixtures::GROUP, 3))),
        Step::text("speaks where nothing is said", r#"{"type":"message","text":"Hello?"}"#),
    ];
    Script { name: "all-rooms", opening: socket("/api/v1/main"), steps }
}

/// A room with malformed frames, and with one that names another author.
fn room() -> Script {
    let steps = vec![
        Step::text(
            "names another author",
            r#"{"type":"message","text":"Believe me","author":{"id":2,"name":"Bob"}}"#,
        ),
        Step::text(
            "names a field twice",
            r#"{"type":"typing","text":"first","type":"message","text":"last"}"#,
        ),
        Step::Event(EventKind::Typing {
            flow: fixtures::flow_id(fixtures::CHAT),
            user: fixtures::user(2).summary(),
            active: true,
        }),
        Step::Event(EventKind::Typing {
            flow: fixtures::flow_id(fixtures::CHAT),
            user: tolmach_domain::UserSummary {
                name: Arc::from(""),
                ..fixtures::user(2).summary()
            },
            active: false,
        }),
        Step::text("stops typing as the mobile client does", r#"{"type":"stoptyping"}"#),
        Step::text("an unknown type", r#"{"type":"shout","text":"HELLO"}"#),
        Step::text("no type", r#"{"text":"Hello"}"#),
        Step::text("a number for a type", r#"{"type":1}"#),
        Step::text("no text", r#"{"type":"message"}"#),
        Step::text("an empty text", r#"{"type":"message","text":""}"#),
        Step::text("a number for a text", r#"{"type":"message","text":1}"#),
        Step::text("no JSON", "hello"),
        Step::text("no object", r#"["message","Hello"]"#),
        Step::Frame("a binary frame", Frame::Binary(Bytes::from_static(br#"{"type":"typing"}"#))),
    ];
    Script { name: "room", opening: socket("/api/v1/chat/1?limit=1&offset=1"), steps }
}

/// The history of a chat by HTTP, as the mobile client of Swiftly reads it.
fn messages() -> Script {
    let path = "/api/v1/chat/1/messages?limit=50&offset=0";
    let steps = vec![
        request("reads", "GET", path, None, ""),
        request("asks for too many", "GET", "/api/v1/chat/1/messages?limit=1001", None, ""),
    ];
    let opening = Request::get(path)
        .header("authorization", format!("Bearer {}", fixtures::ANN.token))
        .body(())
        .expect("the parts are valid");
    Script { name: "messages", opening, steps }
}

/// Requests that are refused without the engine.
fn requests() -> Script {
    let json = Some("application/json");
    let form = Some("multipart/form-data; boundary=x");
    let part = |json: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--x--\r\n")
    };
    let steps = vec![
        request("an unknown path", "GET", "/api/v1/nowhere", None, ""),
        request("a wrong verb", "PUT", "/api/v1/user", None, ""),
        request("a room without an upgrade", "GET", "/api/v1/chat/1", None, ""),
        request("an id that is none", "GET", "/api/v1/user/zero", None, ""),
        request("a page that is none", "GET", "/api/v1/chats?limit=-1", None, ""),
        request(
            "no content type",
            "POST",
            "/api/v1/login",
            None,
            r#"{"username":"ann","password":"x"}"#,
        ),
        request("no JSON", "POST", "/api/v1/login", json, "ann"),
        request(
            "two names",
            "POST",
            "/api/v1/login",
            json,
            r#"{"username":"ann","email":"ann@example.org","password":"x"}"#,
        ),
        request(
            "no address",
            "POST",
            "/api/v1/register",
            json,
            r#"{"email":"ann","password":"x"}"#,
        ),
        request("nobody to add", "POST", "/api/v1/group/2/add", json, r#"{"users":[]}"#),
        request("no form", "POST", "/api/v1/user", json, "{}"),
        request("no json part", "POST", "/api/v1/user", form, "--x--\r\n"),
        request("a blank name", "POST", "/api/v1/group", form, &part(r#"{"name":" "}"#)),
    ];
    let opening = Request::get("/api/v1/user")
        .header("authorization", format!("Bearer {}", fixtures::ANN.token))
        .body(())
        .expect("the parts are valid");
    Script { name: "requests", opening, steps }
}

tolmach_dialect_kit::conformance!(Bearer, vec![all_rooms(), room(), messages(), requests()]);
