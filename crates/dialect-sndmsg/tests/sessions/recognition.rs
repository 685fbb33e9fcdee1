//! The first frames that are recognised.

use crate::CONNECTION;
use bytes::Bytes;
use tolmach_dialect::{Dialect, Frame, Handshake, Recognition};
use tolmach_dialect_sndmsg::SndMsg;

fn recognise(frame: &Frame) -> Recognition {
    SndMsg::default().recognise(&Handshake::new(CONNECTION).first_frame(frame))
}

#[test]
fn an_object_with_a_type_of_the_list_is_recognised() {
    for text in [
        r#"{"type":"REQUEST_LOGIN"}"#,
        r#" {"room_id":1,"type":"SND_MSG"}"#,
        r#"{"type":"OLD_DIALOGS","data":{"mode":"x"}}"#,
    ] {
        assert_eq!(recognise(&Frame::text(text)), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn keys_of_other_dialects_change_nothing() {
    for text in [
        r#"{"type":"SND_MSG","jsonapi":null}"#,
        r#"{"type":"SND_MSG","action":"list"}"#,
        r#"{"type":"SND_MSG","mode":1}"#,
    ] {
        assert_eq!(recognise(&Frame::text(text)), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn nothing_else_is_recognised() {
    let deep = format!(r#"{{"type":"SND_MSG","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"type":"RESPONSE_LOGIN"}"#,
        r#"{"type":"send_message"}"#,
        r#"{"type":"snd_msg"}"#,
        r#"{"type":2}"#,
        r#"{"type":null}"#,
        r#"{"type":"SND_MSG","type":"SND_MSG"}"#,
        r#"{"mode":"auth"}"#,
        r#"["SND_MSG"]"#,
        r#"{'type': 'SND_MSG'}"#,
        "",
        &deep,
    ] {
        assert_eq!(recognise(&Frame::text(text.to_owned())), Recognition::No, "{text}");
    }
    let text = Bytes::from_static(br#"{"type":"SND_MSG"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(&frame), Recognition::No, "{}", frame.kind());
    }
    let without_frame = Handshake::new(CONNECTION);
    assert_eq!(SndMsg::default().recognise(&without_frame), Recognition::No);
}
