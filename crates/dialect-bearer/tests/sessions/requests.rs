//! Bodies of HTTP requests at the server's side.

use crate::support::{accept, http_response, now, request};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use tolmach_dialect::Frame;

#[test]
fn bodies_are_refused_by_type_size_and_shape() {
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(1 << 20));
    let valid = r#"{"username":"a","password":"b"}"#;
    let json = "application/json";
    for (content_type, body, status) in [
        (Some("application/json"), valid, None),
        (Some("Application/JSON; charset=utf-8"), valid, None),
        (Some(json), r#"{"username":"x","username":"a","password":"b","more":[]}"#, None),
        (None, valid, Some(415)),
        (Some("application/jsonp"), valid, Some(415)),
        (Some("text/plain"), valid, Some(415)),
        (Some(json), "", Some(400)),
        (Some(json), r#"["a",null,"b"]"#, Some(400)),
        (Some(json), r#"{"username":1,"password":"b"}"#, Some(400)),
        (Some(json), r#"{"username":"a"}"#, Some(400)),
        (Some(json), &large, Some(413)),
    ] {
        let mut login = Request::post("/api/v1/login");
        if let Some(content_type) = content_type {
            login = login.header(CONTENT_TYPE, content_type);
        }
        let login = login.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let mut server = accept(&request("POST", "/api/v1/login", &[])).unwrap();
        let mut out = Vec::new();
        let violation = server.decode(now(), &Frame::request(login), &mut out).err();
        let answer = violation.map(|violation| violation.answer.unwrap());
        let found = answer.map(|answer| http_response(&answer).status().as_u16());
        assert_eq!(found, status, "{content_type:?} {}", &body[..body.len().min(40)]);
        assert_eq!(out.len(), usize::from(status.is_none()));
    }
}
