//! The stories of every dialect, translated to every other one: what is lost is what the target
//! dialect has no frames for.

use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tolmach_dialect::{Dialect, Frame, Sender};
use tolmach_dialect_kit::stories::ADMINISTRATOR;
use tolmach_dialect_kit::{Coverage, Played, PlayedContent, PlayedStep, losses, played_stories};
use tolmach_domain::Timestamp;
use tolmach_migration::translate::{Item, Loss, MAX_CONNECTIONS, Part, Translated, Translator};

fn dialects() -> [Arc<dyn Dialect>; 5] {
    [
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_morelia::Morelia::default()),
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_action::Action::default()),
    ]
}

fn dialect(id: &str) -> Arc<dyn Dialect> {
    dialects().into_iter().find(|dialect| dialect.manifest().id == id).expect("it is one of five")
}

/// All pairs of two different dialects.
fn pairs() -> Vec<(Arc<dyn Dialect>, Arc<dyn Dialect>)> {
    let mut pairs = Vec::new();
    for source in dialects() {
        for target in dialects() {
            if source.manifest().id != target.manifest().id {
                pairs.push((Arc::clone(&source), target));
            }
        }
    }
    pairs
}

/// The steps of all stories that a dialect has frames for, each with its translation.
fn translated(
    source: &Arc<dyn Dialect>,
    target: &Arc<dyn Dialect>,
) -> Vec<(PlayedStep, Vec<Translated>)> {
    let make =
        || Translator::new(Arc::clone(source), Arc::clone(target)).expect("both have clients");
    let (mut translator, mut story) = (make(), "");
    let mut all = Vec::new();
    for step in played_stories(&**source).into_iter().filter(|step| step.is_supported) {
        if step.story != story {
            (translator, story) = (make(), step.story);
        }
        let now = Timestamp::default();
        let pieces = step.wire.iter().map(|played| match &played.content {
            PlayedContent::Opened(request) => {
                translator.open(played.connection, now, Some(request.as_ref().clone()))
            }
            PlayedContent::Frame(sender, frame) => {
                translator.frame(played.connection, now, *sender, frame)
            }
            PlayedContent::Closed(_) => translator.close(played.connection, now),
        });
        let pieces = pieces.collect();
        all.push((step, pieces));
    }
    all
}

fn lost(pieces: &[Translated]) -> impl Iterator<Item = &Loss> {
    pieces.iter().flat_map(|piece| &piece.lost)
}

/// True if an event is only that of the client's own request, which it answers.
fn is_answer(pieces: &[Translated]) -> bool {
    let operations = pieces.iter().flat_map(|piece| &piece.operations);
    operations.count() == 0
}

#[test]
fn whole_losses_are_those_that_the_target_has_no_frames_for() {
    let mut problems = Vec::new();
    for (source, target) in pairs() {
        let losses = losses(&*target).expect("it has a client");
        let names = format!("{} to {}", source.manifest().id, target.manifest().id);
        for (step, pieces) in translated(&source, &target) {
            let is_server = |played: &Played| {
                matches!(&played.content, PlayedContent::Frame(Sender::Server, _))
            };
            // An event that the source tells by closing is none that could be translated.
            if step.operation == ADMINISTRATOR
                || step.is_event && !step.wire.iter().any(is_server)
                || step.is_event && is_answer(&pieces)
            {
                continue;
            }
            let is_lost = lost(&pieces).any(|loss| {
                loss.operation == step.operation && matches!(loss.part, Part::Request | Part::Event)
            });
            let expected = match losses.of(step.operation) {
                Some(Coverage::Nothing) => true,
                Some(Coverage::Full) => false,
                _ => continue,
            };
            if is_lost != expected {
                let found: Vec<_> = lost(&pieces).collect();
                problems.push(format!(
                    "{names}, story {}, {}: expected lost = {expected}, found {found:?}",
                    step.story, step.title
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_frame_of_the_stories_is_read() {
    let mut problems = Vec::new();
    for (source, target) in pairs() {
        for (step, pieces) in translated(&source, &target) {
            for loss in lost(&pieces).filter(|loss| loss.part == Part::Frame) {
                let (from, to) = (source.manifest().id, target.manifest().id);
                let (story, title) = (step.story, &step.title);
                problems.push(format!("{from} to {to}, story {story}, {title}: {loss:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_granted_request_is_answered_where_its_own_wire_answers_it_and_the_target_can() {
    let mut problems = Vec::new();
    for (source, target) in pairs() {
        for (step, pieces) in translated(&source, &target) {
            let (from, to) = (source.manifest().id, target.manifest().id);
            let is_answered = step
                .wire
                .iter()
                .any(|played| matches!(&played.content, PlayedContent::Frame(Sender::Server, _)));
            let is_translated = pieces
                .iter()
                .flat_map(|piece| &piece.frames)
                .any(|frame| matches!(&frame.item, Item::Frame(Sender::Client, _) | Item::Open(_)));
            let has_answer = pieces.iter().flat_map(|piece| &piece.frames).any(|frame| {
                matches!(&frame.item, Item::Frame(Sender::Server, _) | Item::Close(_))
            });
            let is_explained = lost(&pieces).any(|loss| loss.part == Part::Answer);
            if !step.is_event && is_answered && is_translated && !has_answer && !is_explained {
                problems.push(format!("{from} to {to}, story {}, {}", step.story, step.title));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The losses of a conversation of `>` and `<` lines.
fn losses_of(from: &str, to: &str, lines: &[&str]) -> (Vec<String>, BTreeSet<String>) {
    let mut translator = Translator::new(dialect(from), dialect(to)).expect("both have clients");
    let (mut frames, mut found) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let (sender, text) = match line.split_at(1) {
            (">", text) => (Sender::Client, text),
            (_, text) => (Sender::Server, text),
        };
        let frame = Frame::text(text.trim().to_owned());
        let translated = translator.frame(1, Timestamp::default(), sender, &frame);
        for piece in &translated.frames {
            if let Item::Frame(_, frame) = &piece.item {
                frames.push(String::from_utf8_lossy(frame.payload()).into_owned());
            }
        }
        let name = |loss: &Loss| {
            let field = loss.part.field().unwrap_or(loss.part.name());
            format!("{}: {field}", loss.operation)
        };
        found.extend(translated.lost.iter().map(name));
    }
    (frames, found)
}

#[test]
fn a_field_without_a_place_is_named_and_the_rest_comes_through() {
    let (frames, lost) = losses_of(
        "sndmsg",
        "mode",
        &[
            r#">{"type":"REQUEST_LOGIN","login":"ann","pass":"x"}"#,
            r#"<{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#,
            r#">{"type":"SND_MSG","username":"ann","room_id":5,"message":"hi","msg_type":"TEXT"}"#,
            r#">{"type":"DELETE_MSG","id":9}"#,
        ],
    );
    let all = frames.join("\n");
    assert!(all.contains(r#""mode":"auth""#) && all.contains(r#""content":"hi""#), "{all}");
    assert!(lost.contains("delete: request"), "{lost:?}");
    assert!(!lost.contains("send: request"), "{lost:?}");
}

#[test]
fn request_ids_of_the_captured_client_are_its_own() {
    let (frames, lost) = losses_of(
        "action",
        "mode",
        &[
            r#">{"action":"list","request_id":"a-7"}"#,
            r#"<{"errors":[],"data":[],"action":"list","response_status":200,"request_id":"a-7"}"#,
        ],
    );
    let all = frames.join("\n");
    assert!(all.contains(r#""mode":"getChats""#) && all.contains(r#""status":200"#), "{all}");
    // The frame of action asks for members too, which mode never has.
    assert_eq!(lost, BTreeSet::from(["list_flows: members".to_owned()]));
}

#[test]
fn what_is_no_frame_of_the_source_is_lost_with_a_reason_and_the_rest_goes_on() {
    let (frames, lost) = losses_of(
        "mode",
        "sndmsg",
        &[
            "> not JSON",
            r#"<{"mode":"getChats"}"#,
            r#">{"mode":"getChats","timestamp":1,"token":"t"}"#,
        ],
    );
    assert!(lost.contains(": frame"), "{lost:?}");
    assert!(frames.join("\n").contains("OLD_DIALOGS"), "{frames:?}");
}

/// The translations of the last `count` lines of a conversation of `>` and `<` lines.
fn last_of(from: &str, to: &str, lines: &[&str], count: usize) -> Vec<Translated> {
    let mut translator = Translator::new(dialect(from), dialect(to)).expect("both have clients");
    let translate = |line: &&str| {
        let (sender, text) = line.split_at(1);
        let sender = if sender == ">" { Sender::Client } else { Sender::Server };
        translator.frame(1, Timestamp::default(), sender, &Frame::text(text.trim().to_owned()))
    };
    let mut all: Vec<_> = lines.iter().map(translate).collect();
    all.split_off(all.len() - count)
}

#[test]
fn a_message_of_another_user_with_the_same_text_is_no_answer() {
    let send = |text: &str| {
        let request = json!({
            "mode": "sendMessage", "timestamp": 1, "token": "t", "chat_id": 5, "content": text,
            "content_type": "text",
        });
        format!(">{request}")
    };
    let message = json!({
        "message_id": 12, "from_id": 2, "from_name": "bob", "content": "ok",
        "content_type": "text", "content_time": 1,
    });
    let pushed = json!({
        "mode": "getMessages", "timestamp": 1, "status": 200, "chat_id": 5, "messages": [message],
    });
    let pushed = format!("<{pushed}");
    let (first, second) = (send("hello"), send("ok"));
    let lines = [
        r#">{"mode":"auth","timestamp":1,"username":"ann","password":"x"}"#,
        r#"<{"mode":"auth","timestamp":1,"status":200,"token":"t"}"#,
        &first,
        r#"<{"mode":"sendMessage","timestamp":1,"status":200}"#,
        &second,
        &pushed,
        r#"<{"mode":"sendMessage","timestamp":1,"status":200}"#,
    ];
    let last = last_of("mode", "morelia", &lines, 2);
    assert_eq!((&*last[0].operations, &*last[1].operations), (&["posted"][..], &["send"][..]));
    assert_eq!(last[1].notes, [""; 0]);
}

#[test]
fn another_edit_of_the_same_message_is_told_after_the_answer_to_ones_own() {
    let lines = [
        r#">{"type":"REQUEST_LOGIN","login":"ann","pass":"x"}"#,
        r#"<{"type":"RESPONSE_LOGIN","status":"LOGIN_OK"}"#,
        r#">{"type":"EDIT_MSG","id":11,"new_msg":"from the phone"}"#,
        r#"<{"type":"EDIT_MSG","id":11,"new_msg":"from the phone"}"#,
        r#"<{"type":"EDIT_MSG","id":11,"new_msg":"from the desk"}"#,
    ];
    let last = last_of("sndmsg", "sndmsg", &lines, 1);
    let frames = last[0].frames.iter().filter_map(|piece| match &piece.item {
        Item::Frame(Sender::Server, frame) => Some(String::from_utf8_lossy(frame.payload())),
        _ => None,
    });
    let frames: String = frames.collect();
    assert!(frames.contains("from the desk"), "{frames} {:?}", last[0]);
}

#[test]
fn a_request_of_http_without_a_meaning_takes_no_other_ones_response() {
    let request = |uri: &str| {
        let request = http::Request::get(uri).header("authorization", "Bearer t");
        Frame::request(request.body(bytes::Bytes::new()).expect("a path is valid"))
    };
    let response = |status: u16, body: &'static str| {
        let response = http::Response::builder().status(status);
        let response = response.header("content-type", "application/json");
        Frame::response(response.body(body.into()).expect("a status is valid"))
    };
    let mut translator =
        Translator::new(dialect("bearer"), dialect("mode")).expect("both have clients");
    let mut frame =
        |sender, frame: &Frame| translator.frame(1, Timestamp::default(), sender, frame);
    frame(Sender::Client, &request("/api/v1/user"));
    let lost = frame(Sender::Client, &request("/no/such/path"));
    frame(Sender::Client, &request("/api/v1/chats"));
    assert_eq!(lost.lost.len(), 1, "{lost:?}");
    frame(Sender::Server, &response(401, "{}"));
    let unknown = frame(Sender::Server, &response(404, "{}"));
    assert!(unknown.operations.is_empty() && unknown.lost.len() == 1, "{unknown:?}");
    let chats = frame(Sender::Server, &response(200, r#"{"rooms":[]}"#));
    assert_eq!(chats.operations, ["list_flows"], "{chats:?}");
}

#[test]
fn connections_are_bounded() {
    let mut translator =
        Translator::new(dialect("mode"), dialect("sndmsg")).expect("both have clients");
    let frame = Frame::text(r#"{"mode":"getChats","timestamp":1,"token":"t"}"#);
    for number in 0..=MAX_CONNECTIONS as u64 {
        translator.frame(number, Timestamp::default(), Sender::Client, &frame);
        if number + 1 == MAX_CONNECTIONS as u64 {
            assert_eq!(translator.open_connections().len(), MAX_CONNECTIONS);
        }
    }
    let open = translator.open_connections();
    assert_eq!((open.len(), open.first()), (MAX_CONNECTIONS, Some(&1)));
}
