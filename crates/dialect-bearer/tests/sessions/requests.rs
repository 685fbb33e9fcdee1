//! Bodies of HTTP requests at the server's side.

use crate::support::{accept, http_response, now, request, respond_with};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use std::time::Duration;
use tolmach_dialect::{Credentials, Frame};
use tolmach_domain::{Fault, Secret};

#[test]
fn bodies_are_refused_by_type_size_and_shape() {
    let valid = r#"{"username":"a","password":"b"}"#;
    let padded = |bytes: usize| valid.to_owned() + &" ".repeat(bytes - valid.len());
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
        (Some(json), &padded(64 << 10), None),
        (Some(json), &padded((64 << 10) + 1), Some(413)),
    ] {
        let mut login = Request::post("/api/v1/login");
        if let Some(content_type) = content_type {
            login = login.header(CONTENT_TYPE, content_type);
        }
        let login = login.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let mut out = Vec::new();
        let found = match accept(&login.clone().map(drop)) {
            Err(rejection) => Some(rejection.status().as_u16()),
            Ok(mut server) => {
                let violation = server.decode(now(), &Frame::request(login), &mut out).err();
                let answer = violation.map(|violation| violation.answer.unwrap());
                answer.map(|answer| http_response(&answer).status().as_u16())
            }
        };
        assert_eq!(found, status, "{content_type:?} {}", &body[..body.len().min(40)]);
        assert_eq!(out.len(), usize::from(status.is_none()));
    }
}

#[test]
fn the_head_decides_by_which_proof_and_up_to_which_size_a_body_is_read() {
    let (json, form) = ("application/json", "multipart/form-data; boundary=x");
    let (large, photo) = (64 << 10, (5 << 20) + (128 << 10));
    for (method, path, content_type, max_bytes, secured) in [
        ("POST", "/api/v1/register", json, large, false),
        ("POST", "/api/v1/login", json, large, false),
        ("POST", "/api/v1/refresh", json, large, false),
        ("POST", "/api/v1/logout", json, 0, true),
        ("POST", "/api/v1/user", form, photo, true),
        ("POST", "/api/v1/group", form, photo, true),
        ("POST", "/api/v1/group/1/add", json, large, true),
        ("DELETE", "/api/v1/group/1/delete", json, large, true),
        ("GET", "/api/v1/chats", json, 0, true),
    ] {
        let head = [("authorization", "Bearer a"), ("content-type", content_type)];
        let mut server = accept(&request(method, path, &head)).unwrap();
        let expected = server.expected_body().unwrap();
        assert_eq!(expected.max_bytes, max_bytes, "{path}");
        let credentials =
            if secured { Credentials::Bearer(Secret::new("a")) } else { Credentials::Nothing };
        assert_eq!(expected.credentials, credentials, "{path}");
        for (fault, status) in [
            (Fault::Unauthenticated, 401),
            (Fault::TooMany { retry_after: Duration::from_secs(3) }, 429),
            (Fault::Unavailable, 503),
        ] {
            let frames = respond_with(server.as_mut(), &expected.correlation, Err(fault));
            assert_eq!(http_response(&frames[0]).status(), status, "{path}");
        }
    }
}

#[test]
fn a_content_type_is_refused_by_the_head_alone() {
    let json = "application/json";
    for (method, path, content_type, status) in [
        ("POST", "/api/v1/login", "text/plain", 415),
        ("POST", "/api/v1/group/1/add", "multipart/form-data; boundary=x", 415),
        ("DELETE", "/api/v1/group/1/delete", "", 415),
        ("POST", "/api/v1/user", json, 415),
        ("POST", "/api/v1/group", "multipart/form-data", 400),
    ] {
        let head = [("authorization", "Bearer a"), ("content-type", content_type)];
        let rejection = accept(&request(method, path, &head)).err().expect("it is rejected");
        assert_eq!(rejection.status(), status, "{method} {path} {content_type}");
    }
}
