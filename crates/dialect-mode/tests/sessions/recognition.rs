//! Which first frames are this dialect's.

use crate::opening;
use bytes::Bytes;
use tolmach_dialect::{Dialect, Frame, Opening, Recognition};
use tolmach_dialect_mode::Mode;

fn recognise(frame: Option<&Frame>) -> Recognition {
    Mode.recognise(&Opening { first: frame, ..opening() })
}

#[test]
fn an_object_with_a_string_mode_is_recognised() {
    for text in [
        r#"{"mode":"auth"}"#,
        r#" {"timestamp":1,"mode":"getChats","token":null}"#,
        r#"{"mode":"no such mode"}"#,
        r#"{"mode":""}"#,
        r#"{"mode":"auth","data":{"type":"x"}}"#,
    ] {
        assert_eq!(recognise(Some(&Frame::text(text))), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn anything_else_is_not() {
    let deep = format!(r#"{{"mode":"auth","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"mode":"auth","jsonapi":null}"#,
        r#"{"mode":"auth","action":"list"}"#,
        r#"{"mode":"auth","type":"SND_MSG"}"#,
        r#"{"mode":"auth","type":3}"#,
        r#"{"mode":1}"#,
        r#"{"mode":null}"#,
        r#"{"mode":"auth","mode":"auth"}"#,
        r#"{"Mode":"auth"}"#,
        r#"["auth"]"#,
        r#""mode""#,
        r#"{'mode': 'auth'}"#,
        r#"{"mode":"auth""#,
        "",
        &deep,
    ] {
        assert_eq!(recognise(Some(&Frame::text(text.to_owned()))), Recognition::No, "{text}");
    }
    let text = Bytes::from_static(br#"{"mode":"auth"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(Some(&frame)), Recognition::No, "{}", frame.kind());
    }
    assert_eq!(recognise(None), Recognition::No);
}
