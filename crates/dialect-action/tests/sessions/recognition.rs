//! The first frames that are this dialect's.

use crate::values::{ORIGIN, TOKEN, handshake, parts};
use bytes::Bytes;
use http::request::Parts;
use tolmach_dialect::{Dialect, Frame, Handshake, Recognition};
use tolmach_dialect_action::Action;
use tolmach_domain::ConnectionId;

fn recognise(request: &Parts, frame: &Frame) -> Recognition {
    Action::default().recognise(&handshake(1, request).first_frame(frame))
}

fn good() -> Parts {
    parts("/ws", &[TOKEN, ORIGIN])
}

#[test]
fn an_object_with_a_string_action_is_recognised() {
    for text in [
        r#"{"action":"list"}"#,
        r#" {"request_id":1,"action":"join_room","room_pk":null}"#,
        r#"{"action":"no such action"}"#,
        r#"{"action":""}"#,
        r#"{"action":"li\u0073t","data":{"type":"x","mode":"auth"}}"#,
        // The keys of other dialects are theirs to claim.
        r#"{"action":"list","jsonapi":null}"#,
        r#"{"action":"list","mode":"auth","type":3}"#,
    ] {
        let recognition = recognise(&good(), &Frame::text(text));
        assert_eq!(recognition, Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn other_frames_are_not_recognised() {
    let deep = format!(r#"{{"action":"list","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
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
        let recognition = recognise(&good(), &Frame::text(text.to_owned()));
        assert_eq!(recognition, Recognition::No, "{text}");
    }
    let text = Bytes::from_static(br#"{"action":"list"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(&good(), &frame), Recognition::No, "{}", frame.kind());
    }
    assert_eq!(Action::default().recognise(&handshake(1, &good())), Recognition::No);
}

#[test]
fn no_frame_is_recognised_after_a_handshake_that_would_be_rejected() {
    let frame = Frame::text(r#"{"action":"list"}"#);
    for headers in [
        &[][..],
        &[TOKEN],
        &[ORIGIN],
        &[("authorization", "Bearer"), ORIGIN],
        &[TOKEN, ("origin", "https://elsewhere.example")],
    ] {
        let recognition = recognise(&parts("/ws", headers), &frame);
        assert_eq!(recognition, Recognition::No, "{headers:?}");
    }
    let raw = Handshake::new(ConnectionId(1)).first_frame(&frame);
    assert_eq!(Action::default().recognise(&raw), Recognition::No, "raw TCP");
}
