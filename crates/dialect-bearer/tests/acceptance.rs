//! The server accepts exactly the bodies that the schemas of the OpenAPI document allow.

use bytes::Bytes;
use http::Request;
use jsonschema::Validator;
use serde_json::{Value, json};
use tolmach_dialect::{Dialect, Frame, Handshake};
use tolmach_dialect_bearer::Bearer;
use tolmach_domain::{ConnectionId, Timestamp};

fn document() -> Value {
    let document = Bearer
        .manifest()
        .documents
        .iter()
        .find(|document| document.path == "/openapi.json")
        .expect("the manifest has it");
    assert_eq!(document.media_type, "application/json");
    serde_json::from_str(&(document.content)()).expect("it is JSON")
}

/// The schema of the JSON that an operation takes, on its own.
fn validator(document: &Value, method: &str, path: &str) -> Validator {
    let content = &document["paths"][path][method.to_lowercase()]["requestBody"]["content"];
    let schema = match &content["application/json"]["schema"] {
        Value::Null => &content["multipart/form-data"]["schema"]["properties"]["json"],
        schema => schema,
    };
    assert!(schema.is_object(), "{method} {path}");
    jsonschema::draft202012::new(
        &json!({ "allOf": [schema], "components": document["components"] }),
    )
    .expect("it is a schema")
}

/// True if the server accepts the request.
fn accepts(document: &Value, method: &str, path: &str, body: &str) -> bool {
    accepts_with(document, method, path, body, "")
}

/// True if the server accepts the request, with further parts of a form in `more`.
fn accepts_with(document: &Value, method: &str, path: &str, body: &str, more: &str) -> bool {
    let content = &document["paths"][path][method.to_lowercase()]["requestBody"]["content"];
    let is_form = content["multipart/form-data"].is_object();
    let (content_type, body) = if is_form {
        let form = format!(
            "--x\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{body}\r\n{more}--x--\r\n"
        );
        ("multipart/form-data; boundary=x", form)
    } else {
        ("application/json", body.to_owned())
    };
    let request = Request::builder()
        .method(method)
        .uri(path.replace("{id}", "1"))
        .header("authorization", "Bearer abc")
        .header("content-type", content_type)
        .body(Bytes::from(body))
        .expect("the parts are valid");
    let parts = request.clone().into_parts().0;
    let mut server = Bearer
        .accept(&Handshake::new(ConnectionId(1)).request(&parts))
        .unwrap_or_else(|_| panic!("{method} {path} is rejected by its head"));
    let mut requests = Vec::new();
    match server.decode(Timestamp::default(), &Frame::request(request), &mut requests) {
        Ok(()) => requests.len() == 1,
        Err(violation) => {
            let Some(Frame::Response(response)) = violation.answer else {
                panic!("{method} {path} is not answered with a response");
            };
            assert_eq!(response.status(), 400);
            false
        }
    }
}

fn check(method: &str, path: &str, cases: Vec<(Value, bool)>) {
    let document = document();
    let validator = validator(&document, method, path);
    for (body, valid) in cases {
        let text = body.to_string();
        let shown: String = text.chars().take(200).collect();
        assert_eq!(validator.is_valid(&body), valid, "the schema of {method} {path} on {shown}");
        assert_eq!(
            accepts(&document, method, path, &text),
            valid,
            "the server at {method} {path} on {shown}"
        );
    }
}

/// Values that are no objects, an array of an object's fields, and an object without any.
fn not_objects() -> Vec<(Value, bool)> {
    [json!(null), json!(true), json!(1), json!("x"), json!([]), json!(["a", "b", "c"]), json!({})]
        .map(|body| (body, false))
        .into()
}

fn cases(valid: &[Value], invalid: &[Value]) -> Vec<(Value, bool)> {
    let mut cases = not_objects();
    cases.extend(valid.iter().map(|body| (body.clone(), true)));
    cases.extend(invalid.iter().map(|body| (body.clone(), false)));
    cases
}

#[test]
fn registrations() {
    let with = |key: &str, value: Value| {
        let mut body = json!({"email": "a@b", "password": "x", "username": "a", "number": "+1"});
        body[key] = value;
        body
    };
    let long = |count: usize| "x".repeat(count);
    let valid = [
        json!({"email": "a@b", "password": "x"}),
        with("username", json!(null)),
        with("username", json!("a b")),
        with("username", json!(long(64))),
        with("username", json!("ж".repeat(64))),
        with("number", json!(null)),
        with("number", json!("")),
        with("number", json!(long(64))),
        with("email", json!("имя@почта.рф")),
        with("email", json!(format!("a@{}", long(252)))),
        with("password", json!(long(1024))),
        with("password", json!("\u{0}\n")),
        with("more", json!({"deep": [[]]})),
        json!({"email": format!("a@{}", long(62)), "password": "x"}),
    ];
    let invalid = [
        json!({"email": "a@b"}),
        json!({"password": "x"}),
        json!({"email": format!("a@{}", long(63)), "password": "x"}),
        json!({"email": format!("a@{}", long(63)), "password": "x", "username": null}),
        with("email", json!(null)),
        with("email", json!("ab")),
        with("email", json!("@b")),
        with("email", json!("a@")),
        with("email", json!("a@b@c")),
        with("email", json!("a b@c")),
        with("email", json!("a@b\n")),
        with("email", json!("a\u{a0}@b")),
        with("email", json!(format!("a@{}", long(253)))),
        with("password", json!("")),
        with("password", json!(1)),
        with("password", json!(long(1025))),
        with("username", json!("")),
        with("username", json!("  ")),
        with("username", json!("\u{2003}\u{3000}")),
        with("username", json!("a\n")),
        with("username", json!("a\u{7f}")),
        with("username", json!("a\u{85}b")),
        with("username", json!(long(65))),
        with("username", json!(1)),
        with("number", json!(long(65))),
        with("number", json!("\t")),
        with("number", json!(5)),
    ];
    check("POST", "/api/v1/register", cases(&valid, &invalid));
}

#[test]
fn logins() {
    let valid = [
        json!({"email": "a", "password": "x"}),
        json!({"username": "a", "password": "x"}),
        json!({"username": "a", "email": null, "password": "x"}),
        json!({"username": null, "email": "a", "password": "x"}),
        json!({"username": "\u{0}", "password": "x".repeat(5000)}),
    ];
    let invalid = [
        json!({"password": "x"}),
        json!({"username": null, "password": "x"}),
        json!({"username": null, "email": null, "password": "x"}),
        json!({"username": "a", "email": "b", "password": "x"}),
        json!({"username": "", "password": "x"}),
        json!({"username": "", "email": "a", "password": "x"}),
        json!({"username": 1, "password": "x"}),
        json!({"username": 1, "email": "a", "password": "x"}),
        json!({"username": "a"}),
        json!({"username": "a", "password": ""}),
        json!({"username": "a", "password": null}),
    ];
    check("POST", "/api/v1/login", cases(&valid, &invalid));
}

#[test]
fn refreshes() {
    let valid = [json!({"refresh_token": "x"}), json!({"refresh_token": "x y", "more": 1})];
    let invalid =
        [json!({"refresh_token": ""}), json!({"refresh_token": null}), json!({"refresh_token": 1})];
    check("POST", "/api/v1/refresh", cases(&valid, &invalid));
}

#[test]
fn profiles() {
    let valid = [
        json!({"username": "a", "name": "b"}),
        json!({"username": "a", "name": "b", "description": null}),
        json!({"username": "a", "name": "x".repeat(255), "description": ""}),
        json!({"username": "a", "name": "b", "description": "line\nline\t\u{7}"}),
        json!({"username": "a", "name": "b", "description": "ж".repeat(4096)}),
    ];
    let invalid = [
        json!({"username": "a"}),
        json!({"name": "b"}),
        json!({"username": null, "name": "b"}),
        json!({"username": "a", "name": null}),
        json!({"username": "a", "name": ""}),
        json!({"username": "a", "name": "\t"}),
        json!({"username": "a", "name": "x".repeat(256)}),
        json!({"username": "x".repeat(65), "name": "b"}),
        json!({"username": "a", "name": "b", "description": 1}),
        json!({"username": "a", "name": "b", "description": "\u{0}"}),
        json!({"username": "a", "name": "b", "description": "x".repeat(4097)}),
    ];
    check("POST", "/api/v1/user", cases(&valid, &invalid));
}

#[test]
fn groups() {
    let users = |count: i64| (1..=count).map(|id| json!({"id": id})).collect::<Vec<_>>();
    let valid = [
        json!({"name": "a"}),
        json!({"name": "a", "description": null, "users": []}),
        json!({"name": "a", "users": [{"id": 1, "name": "b"}, {"id": 1, "name": null}]}),
        json!({"name": "a", "users": [{"id": 9_007_199_254_740_991_i64}]}),
        json!({"name": "a", "users": [{"id": 1.0}, {"id": 1e3}]}),
        json!({"name": "a", "users": users(1000)}),
    ];
    let invalid = [
        json!({"name": ""}),
        json!({"name": null}),
        json!({"name": "x".repeat(256)}),
        json!({"name": "a", "description": ["x"]}),
        json!({"name": "a", "users": null}),
        json!({"name": "a", "users": {}}),
        json!({"name": "a", "users": [1]}),
        json!({"name": "a", "users": [[1, "b"]]}),
        json!({"name": "a", "users": [{}]}),
        json!({"name": "a", "users": [{"id": 0}]}),
        json!({"name": "a", "users": [{"id": -1}]}),
        json!({"name": "a", "users": [{"id": 1.5}]}),
        json!({"name": "a", "users": [{"id": 1e300}]}),
        json!({"name": "a", "users": [{"id": "1"}]}),
        json!({"name": "a", "users": [{"id": 9_007_199_254_740_992_i64}]}),
        json!({"name": "a", "users": [{"id": 1, "name": 2}]}),
        json!({"name": "a", "users": users(1001)}),
    ];
    check("POST", "/api/v1/group", cases(&valid, &invalid));
    for (method, path) in
        [("POST", "/api/v1/group/{id}/add"), ("DELETE", "/api/v1/group/{id}/delete")]
    {
        let valid = [json!({"users": users(1)}), json!({"users": users(1000), "more": null})];
        let invalid = [
            json!({"users": []}),
            json!({"users": null}),
            json!({"users": users(1001)}),
            json!({"users": [{"name": "b"}]}),
        ];
        check(method, path, cases(&valid, &invalid));
    }
}

#[test]
fn names_of_further_parts() {
    let document = document();
    let content = &document["paths"]["/api/v1/group"]["post"]["requestBody"]["content"];
    let schema = &content["multipart/form-data"]["schema"];
    let validator = jsonschema::draft202012::new(
        &json!({ "allOf": [schema], "components": document["components"] }),
    )
    .unwrap();
    for (name, valid) in [
        ("a", true),
        ("a[0].b-c_D", true),
        ("-", true),
        ("", false),
        ("a b", false),
        ("ж", false),
        ("a;b", false),
        ("a\u{1e}", false),
        ("%41", false),
    ] {
        let mut form = json!({"json": {"name": "a"}});
        form[name] = json!("x");
        assert_eq!(validator.is_valid(&form), valid, "the schema on {name:?}");
        let part = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n");
        assert_eq!(
            accepts_with(&document, "POST", "/api/v1/group", r#"{"name":"a"}"#, &part),
            valid,
            "the server on {name:?}"
        );
    }
}

#[test]
fn every_described_body_is_checked_here() {
    let document = document();
    let mut bodies = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"].is_object() {
                bodies.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    bodies.sort();
    let checked = [
        "DELETE /api/v1/group/{id}/delete",
        "POST /api/v1/group",
        "POST /api/v1/group/{id}/add",
        "POST /api/v1/login",
        "POST /api/v1/refresh",
        "POST /api/v1/register",
        "POST /api/v1/user",
    ];
    assert_eq!(bodies, checked);
}
