//! Which first frames are this dialect's.

use crate::{TOKEN, opening, request};
use bytes::Bytes;
use http::request::Parts;
use tolmach_dialect::{Dialect, Frame, Opening, Recognition};
use tolmach_dialect_action::Action;

fn recognise(request: Option<&Parts>, frame: Option<&Frame>) -> Recognition {
    let none = crate::at("/");
    Action::default().recognise(&Opening { request, first: frame, ..opening(&none) })
}

fn good() -> Parts {
    request("/ws", &[("authorization", TOKEN), ("origin", "http://localhost")])
}

#[test]
fn an_object_with_a_string_action_is_recognised() {
    for text in [
        r#"{"action":"list"}"#,
        r#" {"request_id":1,"action":"join_room","room_pk":null}"#,
        r#"{"action":"no such action"}"#,
        r#"{"action":""}"#,
        r#"{"action":"li\u0073t","data":{"type":"x","mode":"auth"}}"#,
    ] {
        assert_eq!(
            recognise(Some(&good()), Some(&Frame::text(text))),
            Recognition::Certain("doc"),
            "{text}"
        );
    }
}

#[test]
fn anything_else_is_not() {
    let deep = format!(r#"{{"action":"list","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"action":"list","jsonapi":null}"#,
        r#"{"action":"list","mode":"auth"}"#,
        r#"{"action":"list","mode":null}"#,
        r#"{"action":"list","type":"SND_MSG"}"#,
        r#"{"action":"list","type":3}"#,
        r#"{"action":1}"#,
        r#"{"action":null}"#,
        r#"{"action":"\ud800"}"#,
        r#"{"action":"list","action":"list"}"#,
        r#"{"Action":"list"}"#,
        r#"{}"#,
        r#"["list"]"#,
        r#""action""#,
        r#"{'action': 'list'}"#,
        r#"{"action":"list""#,
        "",
        &deep,
    ] {
        assert_eq!(
            recognise(Some(&good()), Some(&Frame::text(text.to_owned()))),
            Recognition::No,
            "{text}"
        );
    }
    let text = Bytes::from_static(br#"{"action":"list"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(Some(&good()), Some(&frame)), Recognition::No, "{}", frame.kind());
    }
    assert_eq!(recognise(Some(&good()), None), Recognition::No);
}

#[test]
fn a_handshake_that_would_be_refused_makes_no_frame_its_own() {
    let frame = Frame::text(r#"{"action":"list"}"#);
    for headers in [
        &[][..],
        &[("authorization", TOKEN)],
        &[("origin", "http://localhost")],
        &[("authorization", "Bearer"), ("origin", "http://localhost")],
        &[("authorization", TOKEN), ("origin", "https://elsewhere.example")],
    ] {
        assert_eq!(
            recognise(Some(&request("/ws", headers)), Some(&frame)),
            Recognition::No,
            "{headers:?}"
        );
    }
    assert_eq!(recognise(None, Some(&frame)), Recognition::No, "raw TCP");
}
