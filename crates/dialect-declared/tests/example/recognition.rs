//! First frames.

use tolmach_dialect::{Dialect, Frame, Handshake, Recognition};
use tolmach_dialect_declared::{Declared, DialectFile};
use tolmach_domain::ConnectionId;

#[test]
fn a_first_frame_is_claimed_if_it_has_every_key_of_the_opening() {
    let document = include_str!("../../dialects/mode-doc.toml");
    let (line, _) = document.split_once("\ncredentials").expect("the file has credentials");
    let (_, line) = line.rsplit_once('\n').expect("the opening comes before them");
    let compile = |opens: &str| {
        let text = document.replace(line, opens);
        let file = Declared::compile(DialectFile { name: "mode-doc.toml", text: &text }, &[]);
        file.unwrap_or_else(|error| panic!("{error}"))
    };
    for (opens, frame, is_claimed) in [
        (r#"{"mode": <_: string>}"#, r#"{"mode":"auth"}"#, true),
        (r#"{"mode": <_: string>}"#, r#"{}"#, false),
        (r#"{"mode": <_: string>}"#, r#"{"type":"auth"}"#, false),
        (r#"{"mode": <_: string>}"#, r#"{"mode":null}"#, false),
        (r#"{"mode": <_: string>}"#, r#"{"mode":1}"#, false),
        (r#"{"mode": <_: string>}"#, r#"["mode"]"#, false),
        (r#"{"mode": <_>}"#, r#"{"mode":null}"#, true),
        (r#"{"mode": <_>}"#, r#"{}"#, false),
        (r#"{"mode": "auth"}"#, r#"{"mode":"auth"}"#, true),
        (r#"{"mode": "auth"}"#, r#"{"mode":"send"}"#, false),
        (r#"{"mode": "auth", "v"?: <_: integer>}"#, r#"{"mode":"auth"}"#, true),
        (r#"{"mode": {"of": <_: string>}}"#, r#"{"mode":{"of":"x"}}"#, true),
        (r#"{"mode": {"of": <_: string>}}"#, r#"{"mode":{}}"#, false),
        (r#"{"mode": []}"#, r#"{"mode":[1]}"#, true),
        (r#"{"mode": []}"#, r#"{}"#, false),
    ] {
        let file = compile(&format!("opens = '{opens}'"));
        let first = Frame::text(frame.to_owned());
        let handshake = Handshake::new(ConnectionId(1)).first_frame(&first);
        let is_recognised = file.recognise(&handshake) != Recognition::No;
        assert_eq!(is_recognised, is_claimed, "{opens} {frame}");
    }
}
