//! The first frames that are recognised.

use crate::CONNECTION;
use bytes::Bytes;
use tolmach_dialect::{Dialect, Frame, Handshake, Recognition};
use tolmach_dialect_mode::Mode;

fn recognise(frame: &Frame) -> Recognition {
    Mode::default().recognise(&Handshake::new(CONNECTION).first_frame(frame))
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
        assert_eq!(recognise(&Frame::text(text)), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn keys_of_other_dialects_change_nothing() {
    for text in [
        r#"{"mode":"auth","jsonapi":null}"#,
        r#"{"mode":"auth","action":"list"}"#,
        r#"{"mode":"auth","type":"SND_MSG"}"#,
        r#"{"mode":"auth","type":3}"#,
    ] {
        assert_eq!(recognise(&Frame::text(text)), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn nothing_else_is_recognised() {
    let deep = format!(r#"{{"mode":"auth","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"mode":1}"#,
        r#"{"mode":null}"#,
        r#"{"mode":"auth","mode":"auth"}"#,
        r#"{"Mode":"auth"}"#,
        r#"{"type":"SND_MSG"}"#,
        r#"["auth"]"#,
        r#""mode""#,
        r#"{'mode': 'auth'}"#,
        r#"{"mode":"auth""#,
        "",
        &deep,
    ] {
        assert_eq!(recognise(&Frame::text(text.to_owned())), Recognition::No, "{text}");
    }
    let text = Bytes::from_static(br#"{"mode":"auth"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(&frame), Recognition::No, "{}", frame.kind());
    }
    let without_frame = Handshake::new(CONNECTION);
    assert_eq!(Mode::default().recognise(&without_frame), Recognition::No);
}
