//! Which first frames are this dialect's.

use crate::opening;
use bytes::Bytes;
use tolmach_dialect::{Dialect, Frame, Opening, Recognition};
use tolmach_dialect_sndmsg::SndMsg;

fn recognise(frame: Option<&Frame>) -> Recognition {
    SndMsg.recognise(&Opening { first: frame, ..opening() })
}

#[test]
fn an_object_with_a_type_of_the_list_is_recognised() {
    for text in [
        r#"{"type":"REQUEST_LOGIN"}"#,
        r#" {"room_id":1,"type":"SND_MSG"}"#,
        r#"{"type":"OLD_DIALOGS","data":{"mode":"x"}}"#,
    ] {
        assert_eq!(recognise(Some(&Frame::text(text))), Recognition::Certain("doc"), "{text}");
    }
}

#[test]
fn anything_else_is_not() {
    let deep = format!(r#"{{"type":"SND_MSG","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"type":"SND_MSG","jsonapi":null}"#,
        r#"{"type":"SND_MSG","action":"list"}"#,
        r#"{"type":"SND_MSG","mode":1}"#,
        r#"{"type":"RESPONSE_LOGIN"}"#,
        r#"{"type":"send_message"}"#,
        r#"{"type":"snd_msg"}"#,
        r#"{"type":2}"#,
        r#"{"type":null}"#,
        r#"{"type":"SND_MSG","type":"SND_MSG"}"#,
        r#"["SND_MSG"]"#,
        r#"{'type': 'SND_MSG'}"#,
        "",
        &deep,
    ] {
        assert_eq!(recognise(Some(&Frame::text(text.to_owned()))), Recognition::No, "{text}");
    }
    let text = Bytes::from_static(br#"{"type":"SND_MSG"}"#);
    for frame in [Frame::Binary(text.clone()), Frame::Value(text)] {
        assert_eq!(recognise(Some(&frame)), Recognition::No, "{}", frame.kind());
    }
    assert_eq!(recognise(None), Recognition::No);
}
