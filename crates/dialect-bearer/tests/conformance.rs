//! What every dialect is held to, with what only this wire says.

use bytes::Bytes;
use http::{Request, Uri};
use std::sync::Arc;
use tolmach_dialect::Frame;
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::{Script, ScriptStep, world};
use tolmach_domain::EventKind;

fn socket(path: &'static str) -> Request<()> {
    Request::get(Uri::from_static(path))
        .header("upgrade", "websocket")
        .header("authorization", format!("Bearer {}", world::ANN.token))
        .body(())
        .expect("the parts are valid")
}

fn says(about: &'static str, text: &str) -> ScriptStep {
    ScriptStep::Frame(about, Frame::text(text.to_owned()))
}

fn asks(
    about: &'static str,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> ScriptStep {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", world::ANN.token));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    ScriptStep::Frame(
        about,
        Frame::request(
            request.body(Bytes::copy_from_slice(body.as_bytes())).expect("the parts are valid"),
        ),
    )
}

/// The WebSocket of all rooms.
fn all_rooms() -> Script {
    let steps = vec![
        ScriptStep::Happening(EventKind::Posted(world::message(world::GROUP, 3))),
        says("speaks where nothing is said", r#"{"type":"message","text":"Hello?"}"#),
    ];
    Script { name: "all-rooms", opening: socket("/api/v1/main"), steps }
}

/// A room whose clients do not keep to the rules, and one that names another as its author.
fn room() -> Script {
    let steps = vec![
        says(
            "names another author",
            r#"{"type":"message","text":"Believe me","author":{"id":2,"name":"Bob"}}"#,
        ),
        says(
            "names a field twice",
            r#"{"type":"typing","text":"first","type":"message","text":"last"}"#,
        ),
        ScriptStep::Happening(EventKind::Typing {
            flow: world::flow_id(world::CHAT),
            user: world::user(2).summary(),
            active: true,
        }),
        ScriptStep::Happening(EventKind::Typing {
            flow: world::flow_id(world::CHAT),
            user: tolmach_domain::UserSummary { name: Arc::from(""), ..world::user(2).summary() },
            active: false,
        }),
        says("an unknown type", r#"{"type":"shout","text":"HELLO"}"#),
        says("no type", r#"{"text":"Hello"}"#),
        says("a number for a type", r#"{"type":1}"#),
        says("no text", r#"{"type":"message"}"#),
        says("an empty text", r#"{"type":"message","text":""}"#),
        says("a number for a text", r#"{"type":"message","text":1}"#),
        says("no JSON", "hello"),
        says("no object", r#"["message","Hello"]"#),
        ScriptStep::Frame(
            "a binary frame",
            Frame::Binary(Bytes::from_static(br#"{"type":"typing"}"#)),
        ),
    ];
    Script { name: "room", opening: socket("/api/v1/chat/1?limit=1&offset=1"), steps }
}

/// Requests that are refused without asking anybody.
fn requests() -> Script {
    let json = Some("application/json");
    let form = Some("multipart/form-data; boundary=x");
    let part = |json: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--x--\r\n")
    };
    let steps = vec![
        asks("an unknown path", "GET", "/api/v1/nowhere", None, ""),
        asks("a wrong verb", "PUT", "/api/v1/user", None, ""),
        asks("a room without an upgrade", "GET", "/api/v1/chat/1", None, ""),
        asks("an id that is none", "GET", "/api/v1/user/zero", None, ""),
        asks("a page that is none", "GET", "/api/v1/chats?limit=-1", None, ""),
        asks(
            "no content type",
            "POST",
            "/api/v1/login",
            None,
            r#"{"username":"ann","password":"x"}"#,
        ),
        asks("no JSON", "POST", "/api/v1/login", json, "ann"),
        asks(
            "two names",
            "POST",
            "/api/v1/login",
            json,
            r#"{"username":"ann","email":"ann@example.org","password":"x"}"#,
        ),
        asks("no address", "POST", "/api/v1/register", json, r#"{"email":"ann","password":"x"}"#),
        asks("nobody to add", "POST", "/api/v1/group/2/add", json, r#"{"users":[]}"#),
        asks("no form", "POST", "/api/v1/user", json, "{}"),
        asks("no json part", "POST", "/api/v1/user", form, "--x--\r\n"),
        asks("a blank name", "POST", "/api/v1/group", form, &part(r#"{"name":" "}"#)),
    ];
    let opening = Request::get("/api/v1/user")
        .header("authorization", format!("Bearer {}", world::ANN.token))
        .body(())
        .expect("the parts are valid");
    Script { name: "requests", opening, steps }
}

tolmach_dialect_kit::conformance!(Bearer, vec![all_rooms(), room(), requests()]);
