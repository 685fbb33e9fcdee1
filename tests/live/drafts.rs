//! Drafts of dialect files from recorded conversations, as `tolmach dialect new` prints them.

use crate::harness::{Gateway, Mode, run};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const CAPTURE: &str = r#"# One conversation.
> {"do":"join","no":1,"person":"ann","password":"correct horse"}
< {"re":"join","no":1,"ok":true}
> {"do":"meet","no":2,"person":"bob"}
< {"re":"meet","no":2,"ok":true,"room":"1"}
> {"do":"say","no":3,"room":"1","text":"hello"}
< {"re":"say","no":3,"ok":true,"line":"1","at":1700000000250}
> {"do":"say","no":4,"room":"99","text":"hello"}
< {"re":"say","no":4,"ok":false,"error":"refused"}
< {"event":"said","room":"1","line":"2","from":"bob","text":"hi","at":1700000001000}
> {"do":"lines","no":5,"room":"1","count":50}
< {"re":"lines","no":5,"ok":true,"lines":[{"line":"1","from":"ann","text":"hello","at":1}]}
"#;

/// The text that a command prints; panics if it fails.
async fn printed<const N: usize>(folder: &Path, arguments: [&str; N]) -> String {
    let output = run(folder, &[], arguments).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

#[tokio::test]
async fn a_draft_is_served_as_it_is_and_talks_with_a_client_of_another_dialect() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is UTF-8").to_owned();
    std::fs::write(path("capture"), CAPTURE).expect("it can be written");
    let draft = printed(folder.path(), ["dialect", "new", "own", "--from", &path("capture")]).await;
    std::fs::create_dir(path("files")).expect("it can be made");
    std::fs::write(path("files/own.toml"), &draft).expect("it can be written");
    printed(folder.path(), ["dialect", "check", &path("files/own.toml")]).await;

    let gateway = Gateway::with(&[("DIALECTS__FOLDER", &path("files"))]).await;
    let mut bob = Mode::register(&gateway, "bob").await;
    let mut own = gateway.websocket("/own").await;
    let recorded = CAPTURE.lines().filter_map(|line| line.strip_prefix("> "));
    let mut room = Value::Null;
    for text in recorded {
        let mut frame: Value = serde_json::from_str(text).expect("it is JSON");
        if frame["room"] == "1" {
            frame["room"] = room.clone();
        }
        let reply = own.request(&frame).await;
        let expected = (&frame["do"], &frame["no"], &json!(frame["room"] != "99"));
        assert_eq!((&reply["re"], &reply["no"], &reply["ok"]), expected, "{reply}");
        if frame["do"] == "meet" {
            room = reply["room"].clone();
        }
        if frame["do"] == "lines" {
            assert_eq!(reply["lines"][0]["text"], "hello", "{reply}");
            assert_eq!(reply["lines"][0]["from"], "ann", "{reply}");
        }
    }
    assert_eq!(bob.pushed().await, "hello");
    let number = room.as_str().and_then(|room| room.parse().ok()).expect("a room is digits");
    bob.send(number, "hi").await;
    let event = own.receive().await;
    assert_eq!(
        event,
        json!({"event": "said", "room": room, "line": event["line"], "from": "bob", "text": "hi",
            "at": event["at"]})
    );
}

#[tokio::test]
async fn a_capture_that_cannot_be_drafted_is_refused_with_the_reason_and_exit_code_2() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let capture = folder.path().join("capture");
    let capture = capture.to_str().expect("it is UTF-8");
    for (text, expected) in [
        (None, "cannot be read"),
        (Some(""), "the capture has no frame of a client"),
        (Some("> hello"), "line 1 is an object neither in JSON nor in Python's literals"),
    ] {
        if let Some(text) = text {
            std::fs::write(capture, text).expect("it can be written");
        }
        let output = run(folder.path(), &[], ["dialect", "new", "own", "--from", capture]).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected) && errors.contains("capture"), "{errors}");
    }
}
