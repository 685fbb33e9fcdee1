//! Recognition of first frames.

use crate::handshake;
use bytes::Bytes;
use tolmach_dialect::{Dialect, Frame, Recognition};
use tolmach_dialect_morelia::Morelia;

fn recognise(frame: &Frame) -> Recognition {
    Morelia::default().recognise(&handshake().first_frame(frame))
}

#[test]
fn an_object_with_jsonapi_or_a_type_of_its_own_is_recognised() {
    for text in [
        r#"{"jsonapi":null}"#,
        r#"{"type":"SND_MSG","jsonapi":{"version":1.0}}"#,
        r#"{"type":3,"jsonapi":{}}"#,
        r#"{"type":"auth"}"#,
        r#"{"type":"authentication","data":{"mode":"x","action":"y"}}"#,
        r#" {"data":null,"type":"get_update"}"#,
        r#"{"type":"auth","mode":"auth"}"#,
        r#"{"jsonapi":{},"action":"list"}"#,
    ] {
        assert_eq!(recognise(&Frame::text(text)), Recognition::Certain("doc"), "{text}");
        assert_eq!(
            recognise(&Frame::Binary(Bytes::from_static(text.as_bytes()))),
            Recognition::Certain("doc"),
            "{text}"
        );
    }
}

#[test]
fn other_frames_are_not_recognised() {
    let deep = format!(r#"{{"type":"auth","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"type":"SND_MSG"}"#,
        r#"{"type":"AUTH"}"#,
        r#"{"type":"error"}"#,
        r#"{"type":0}"#,
        r#"{"type":["auth"]}"#,
        r#"{"type":null}"#,
        r#"{"type":"auth","type":"auth"}"#,
        r#"{"data":{"type":"auth"}}"#,
        r#"["auth",{}]"#,
        r#""auth""#,
        r#"{'type': 'auth'}"#,
        r#"{"type":"auth""#,
        "",
        &deep,
    ] {
        assert_eq!(recognise(&Frame::text(text.to_owned())), Recognition::No, "{text}");
    }
    assert_eq!(
        recognise(&Frame::Value(Bytes::from_static(br#"{"type":"auth"}"#))),
        Recognition::No
    );
    assert_eq!(Morelia::default().recognise(&handshake()), Recognition::No);
}
