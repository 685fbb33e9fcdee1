//! `tolmach translate`: frames of one dialect in, those of another out, with what is lost.

use crate::harness::{tolmach, within};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// A conversation of a client of sndmsg: the deletion has no frame at mode.
const CONVERSATION: &str = r#"# a note
> {"type":"REQUEST_LOGIN","login":"ann","pass":"apple pie"}
< {"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}
> {"type":"SND_MSG","username":"ann","room_id":5,"message":"hello","msg_type":"TEXT"}
< {"type":"SND_MSG","status":"SUCCESS","room_id":5,"message_id":7,"date":"2024-05-01T10:00:00Z"}
> {"type":"DELETE_MSG","id":7}
"#;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder can be made")
}

/// The exit code, standard output and standard error of `tolmach translate`.
async fn translate(
    folder: &Path,
    arguments: &[&str],
    input: Option<&str>,
) -> (Option<i32>, String, String) {
    let mut command = tolmach(folder, &[], ["translate"]);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).spawn().expect("the binary can be started");
    if let Some(mut stdin) = child.stdin.take() {
        let bytes = input.unwrap_or_default().as_bytes();
        stdin.write_all(bytes).await.expect("it reads its input");
    }
    let Output { status, stdout, stderr } =
        within("a translation", child.wait_with_output()).await.expect("it can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (status.code(), text(stdout), text(stderr))
}

fn lines(text: &str) -> Vec<Value> {
    let value = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(value).collect()
}

/// The texts of the translated frames.
fn texts(lines: &[Value]) -> Vec<Value> {
    let frames = lines.iter().flat_map(|line| line["frames"].as_array().expect("it is a list"));
    let texts = frames.filter_map(|frame| frame["text"].as_str());
    texts.map(|text| serde_json::from_str(text).expect("the frames are JSON")).collect()
}

#[tokio::test]
async fn frames_of_standard_input_are_translated_and_what_is_lost_stands_beside_them() {
    let folder = folder();
    let (code, output, error) =
        translate(folder.path(), &["sndmsg", "mode"], Some(CONVERSATION)).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("2 of 5 frames"), "{error}");
    let lines = lines(&output);
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["line"]).collect();
    assert_eq!(json!(numbers), json!([2, 3, 4, 5, 6]), "{output}");
    let texts = texts(&lines);
    assert_eq!(texts[0]["mode"], "auth", "{output}");
    assert_eq!(texts[1]["status"], 200, "{output}");
    assert_eq!(
        json!([texts[2]["mode"], texts[2]["content"], texts[2]["chat_id"]]),
        json!(["sendMessage", "hello", 5])
    );
    // The token of the login stands in the requests after it.
    assert!(texts[2]["token"].is_string() && texts[2]["token"] == texts[1]["token"], "{output}");
    // The reply of mode does not say which message it was.
    assert_eq!(lines[3]["lost"][0]["field"], "message", "{output}");
    let lost = &lines[4]["lost"][0];
    assert_eq!((&lost["operation"], &lost["part"]), (&json!("delete"), &json!("request")));
    assert_eq!(lost["reason"], "mode has no frame for delete");
}

#[tokio::test]
async fn the_text_for_people_can_be_translated_back() {
    let folder = folder();
    let sent: String = CONVERSATION.lines().take(5).map(|line| format!("{line}\n")).collect();
    let arguments = ["sndmsg", "bearer", "--format", "text"];
    let (_, there, error) = translate(folder.path(), &arguments, Some(&sent)).await;
    assert!(there.contains("> POST /api/v1/login {"), "{there} {error}");
    let opening = "> GET /api/v1/chat/5?limit=0&offset=0 websocket";
    assert!(there.contains(opening), "{there}");
    let arguments = ["bearer", "sndmsg", "--format", "text"];
    let (_, back, error) = translate(folder.path(), &arguments, Some(&there)).await;
    assert!(back.contains(r#""type":"REQUEST_LOGIN""#), "{back} {error}");
    assert!(back.contains(r#""type":"SND_MSG""#), "{back} {error}");
    assert!(!back.contains("LOST the frame"), "{back}");
}

#[tokio::test]
async fn files_and_captures_are_read_and_each_connection_is_its_own() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let plain = path("plain.txt");
    let login: String = CONVERSATION.lines().take(3).map(|line| format!("{line}\n")).collect();
    std::fs::write(&plain, &login).expect("it can be written");
    let open = |connection: u64, dialect: &str| {
        json!({"type": "open", "connection": connection, "at": 0, "transport": "websocket",
               "dialect": dialect})
    };
    let frame = |connection: u64, from: &str, text: Value| {
        json!({"type": "frame", "connection": connection, "at": 1, "from": from, "kind": "text",
               "text": text.to_string()})
    };
    let capture = [
        json!({"type": "capture", "form": "tolmach-capture/1", "recorder": "proxy"}),
        open(1, "sndmsg"),
        open(2, "mode"),
        open(3, "sndmsg"),
        frame(3, "client", json!({"type": "REQUEST_LOGIN", "login": "bob", "pass": "b"})),
        frame(1, "client", json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": "a"})),
        frame(2, "client", json!({"mode": "getChats", "timestamp": 1, "token": "t"})),
        frame(1, "server", json!({"type": "RESPONSE_LOGIN", "status": "LOGIN_WRONG_PASS"})),
        frame(3, "server", json!({"type": "RESPONSE_LOGIN", "status": "LOGIN_OK"})),
        json!({"type": "close", "connection": 1, "at": 5}),
    ];
    let captured = path("capture.jsonl");
    let text: String = capture.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&captured, text).expect("it can be written");
    let arguments = ["sndmsg", "mode", &plain, &captured];
    let (code, output, error) = translate(folder.path(), &arguments, None).await;
    assert_eq!(code, Some(0), "{error}\n{output}");
    let lines = lines(&output);
    let found: Vec<_> = lines.iter().map(|line| (&line["line"], &line["connection"])).collect();
    assert_eq!(
        json!(found),
        json!([[2, 1], [3, 1], [5, 3], [6, 1], [8, 1], [9, 3]]),
        "the connection of mode is passed over: {output}"
    );
    let texts = texts(&lines);
    let statuses: Vec<&Value> =
        texts.iter().map(|text| &text["status"]).filter(|status| !status.is_null()).collect();
    assert_eq!(json!(statuses), json!([200, 401, 200]), "{output}");
}

#[tokio::test]
async fn what_cannot_be_read_has_the_exit_code_2_and_names_its_place() {
    let folder = folder();
    let broken = folder.path().join("broken.jsonl");
    let header = json!({"type": "capture", "form": "tolmach-capture/1", "recorder": "proxy"});
    std::fs::write(&broken, format!("{header}\n{{\"type\":\"frame\"}}\n")).expect("it is written");
    let broken = broken.to_str().expect("it is text");
    for (arguments, expected) in [
        (&["mood", "mode"][..], "there is no dialect \"mood\""),
        (&["mode", "sndmsg/uchet"], "uchat"),
        (&["mode", "sndmsg", "no such file"], "no such file"),
        (&["mode", "sndmsg", broken], "broken.jsonl:2"),
        (&["mode"], "<TO>"),
        (&["mode", "sndmsg", "--format", "markdown"], "--table"),
        (&["mode", "sndmsg"], "no frame of mode"),
    ] {
        let (code, output, error) = translate(folder.path(), arguments, Some("")).await;
        assert_eq!((code, &*output), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn the_table_says_what_clients_will_miss_in_every_form() {
    let folder = folder();
    let arguments = ["sndmsg/uchat", "bearer", "--table"];
    let (code, text, error) = translate(folder.path(), &arguments, None).await;
    assert_eq!((code, &*error), (Some(0), ""));
    let sentence = "A client can no longer delete a message.";
    assert!(text.contains(&format!("- delete: {sentence}")), "{text}");
    let with = |format| [&arguments[..], &["--format", format]].concat();
    let (_, json, _) = translate(folder.path(), &with("json"), None).await;
    let table: Value = serde_json::from_str(&json).expect("it is JSON");
    let rows = table["missing"].as_array().expect("it is a list");
    let row = rows.iter().find(|row| row["operation"] == "delete").expect("it is missed");
    assert_eq!((&row["sentence"], &row["lost"]), (&json!(sentence), &json!("all")));
    let (_, markdown, _) = translate(folder.path(), &with("markdown"), None).await;
    assert!(markdown.contains(&format!("| `delete` | {sentence} |")), "{markdown}");
}

/// Requests of a client of MoreliaTalk's own server, and its answers.
#[tokio::test]
async fn ids_of_128_bits_are_read_and_written_as_they_are() {
    let capture =
        include_str!("../../crates/dialect-declared/tests/field/captures/morelia-17.jsonl");
    let frames: String = lines(capture)
        .iter()
        .filter_map(|line| {
            let side = if line["dir"] == "client" { '>' } else { '<' };
            Some(format!("{side} {}\n", line["frame"].as_str()?))
        })
        .collect();
    let folder = folder();
    let arguments = ["morelia/17", "morelia/1.16", "--format", "json"];
    let (_, output, error) = translate(folder.path(), &arguments, Some(&frames)).await;
    let lines = lines(&output);
    let flow = 247_233_951_603_388_217_094_743_614_581_705_379_023_u128;
    let texts = texts(&lines);
    let sent = texts.iter().filter(|frame| frame["type"] == "send_message");
    let sent: Vec<&Value> = sent.collect();
    let [request, answer, ..] = sent.as_slice() else { panic!("{error}: {output}") };
    assert_eq!(request["data"]["flow"][0]["uuid"], format!("{flow:032x}"), "{request}");
    let user = "18416774557987691029473129553893440649";
    assert_eq!(request["data"]["user"][0]["uuid"], user, "{request}");
    let message = &answer["data"]["message"][0];
    assert_eq!(message["uuid"], "264042207709982752279092169408247077510", "{answer}");
    assert_eq!(message["from_flow"], format!("{flow:032x}"), "{answer}");
    // An answer that nobody can read is lost as a whole: only those to requests that are none are.
    let is_frame_lost = |line: &Value| {
        line["lost"].as_array().into_iter().flatten().any(|loss| loss["part"] == "frame")
    };
    for pair in lines.windows(2).filter(|pair| pair[1]["from"] == "server") {
        assert_eq!(is_frame_lost(&pair[0]), is_frame_lost(&pair[1]), "{pair:?}");
    }
}
