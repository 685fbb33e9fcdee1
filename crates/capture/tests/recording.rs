//! Recordings on a disk: the form, the bounds, and what is held.

use jsonschema::Validator;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tolmach_capture::{
    ConnectionLog, GapReason, KnownDialect, Line, Opening, Reader, Recorder, Recording,
    RecordingOptions, Replacer, Target, Transport,
};
use tolmach_dialect::{FieldRole, FieldRule, Frame, Sender};

static RULES: [FieldRule; 2] =
    [FieldRule::body("do", FieldRole::Word), FieldRule::body("text", FieldRole::Text)];

fn options(target: Target, queue_bytes: usize) -> RecordingOptions {
    let replacer = Replacer::new(b"a key of a trial", false);
    RecordingOptions { recorder: Recorder::Gateway, target, replacer, queue_bytes }
}

fn start(target: Target, queue_bytes: usize) -> Recording {
    let recording = Recording::start(options(target, queue_bytes), |error| panic!("{error}"));
    recording.expect("its first file can be made")
}

fn opening() -> Opening {
    let (id, revision) = ("toy".to_owned(), "doc".to_owned());
    Opening {
        connection: 0,
        at: 0,
        transport: Transport::WebSocket,
        dialect: Some(KnownDialect { id, revision, rules: &RULES }),
        request: None,
        address: None,
        user: None,
    }
}

fn lines(path: &Path) -> Vec<Line> {
    let file = BufReader::new(fs::File::open(path).expect("it is there"));
    Reader::new(path.display().to_string(), file)
        .map(|line| line.unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    let frames = lines.iter().filter_map(|line| match line {
        Line::Frame(frame) => Some(frame),
        _ => None,
    });
    frames.filter_map(|frame| frame.text.as_deref()).collect()
}

fn schema() -> Validator {
    let text = include_str!("../../../schemas/capture/line.json");
    let schema = serde_json::from_str(text).expect("it is JSON");
    jsonschema::validator_for(&schema).expect("it is a schema")
}

fn send(log: &mut ConnectionLog, text: &str) -> bool {
    log.frame(Sender::Server, Frame::text(text.to_owned()), Some("posted"))
}

#[test]
fn every_line_is_of_the_schema_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let recording = start(Target::File(path.clone()), 1 << 20);
    let mut log = recording.open(opening(), None).unwrap();
    let shared = Frame::text(r#"{"do":"a","text":"hello"}"#);
    assert!(log.frame(Sender::Client, shared.clone(), Some("send")));
    // The bytes that other connections get too are transcribed once.
    for _ in 0..3 {
        assert!(log.frame(Sender::Server, shared.clone(), Some("posted")));
    }
    log.frame(Sender::Server, Frame::Binary(vec![0xFF].into()), None);
    let request = http::Request::post("/a?b=1").body(bytes::Bytes::new()).unwrap();
    log.frame(Sender::Client, Frame::request(request), None);
    log.frame(Sender::Server, Frame::response(http::Response::new("{}".into())), None);
    log.gap(2, GapReason::Compressed);
    log.close(Some(Sender::Client), Some(1000));
    drop(recording);
    let schema = schema();
    let text = fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let line = serde_json::from_str(line).unwrap();
        if let Err(error) = schema.validate(&line) {
            panic!("{line}: {error}");
        }
    }
    let lines = lines(&path);
    assert_eq!(lines.len(), 11);
    assert_eq!(texts(&lines)[..4], [r#"{"do":"a","text":"hello"}"#; 4]);
    assert!(matches!(lines[0], Line::Capture(_)));
    assert!(matches!(lines[10], Line::Close(_)));
    for json in [
        "{}",
        r#"{"type":"frame","connection":1,"at":0,"from":"client"}"#,
        r#"{"type":"frames","at":0,"to":[],"from":"server","kind":"text","text":""}"#,
        r#"{"type":"frames","at":0,"to":[[1]],"from":"server","kind":"text","text":""}"#,
        r#"{"type":"frames","at":0,"to":[[1,0]],"from":"server","kind":"response"}"#,
    ] {
        assert!(!schema.is_valid(&serde_json::from_str(json).unwrap()), "{json}");
    }
}

#[test]
fn a_message_of_many_connections_is_kept_and_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    // Openings count as 256 bytes each, and so does the message with its own 1,000: a second time
    // if the thread has taken it and not written it yet.
    let recording = start(Target::File(path.clone()), 20 * 256 + 2 * (256 + 1_000) + 40 * 48);
    let open = |transport| recording.open(Opening { transport, ..opening() }, None).unwrap();
    let mut logs: Vec<ConnectionLog> = (0..20).map(|_| open(Transport::WebSocket)).collect();
    let text = bytes::Bytes::from("x".repeat(1_000));
    for _ in 0..2 {
        for log in &mut logs {
            assert!(log.frame(Sender::Server, Frame::Text(text.clone()), Some("posted")));
        }
    }
    drop((logs, recording));
    let written = fs::read_to_string(&path).unwrap();
    let (count, schema) = (written.matches(std::str::from_utf8(&text).unwrap()).count(), schema());
    assert!(count < 40, "each frame has a line of its own");
    for line in written.lines() {
        assert!(schema.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
    let mut frames = [0; 20];
    for line in lines(&path) {
        if let Line::Frame(frame) = line {
            frames[usize::try_from(frame.connection).unwrap() - 1] += 1;
            assert_eq!(frame.text.as_deref().map(str::len), Some(1_000));
            assert_eq!(frame.command.as_deref(), Some("posted"));
        }
    }
    assert_eq!(frames, [2; 20]);
}

#[test]
fn frames_that_find_the_queue_full_are_counted_where_they_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000));
    let recording = start(Target::File(path.clone()), 2_000);
    let mut log = recording.open(opening(), None).unwrap();
    assert!(!send(&mut log, &text), "it is larger than the queue");
    assert!(!send(&mut log, &text));
    while !send(&mut log, r#"{"do":"b"}"#) {
        std::thread::yield_now();
    }
    drop(log);
    drop(recording);
    let lines = lines(&path);
    assert_eq!(texts(&lines), [r#"{"do":"b"}"#]);
    let gaps = lines.iter().filter_map(|line| match line {
        Line::Gap(gap) => Some((gap.frames, gap.reason)),
        _ => None,
    });
    assert!(gaps.map(|(frames, _)| frames).sum::<u64>() >= 2);
    assert!(matches!(lines.last(), Some(Line::Close(_))), "the end is told all the same");
}

#[test]
fn files_are_private_bounded_and_go_on_with_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let target = |max_files| Target::Folder {
        path: folder.path().to_owned(),
        max_file_bytes: 2_000,
        max_files,
    };
    let recording = start(target(3), 1 << 20);
    let mut log = recording.open(opening(), None).unwrap();
    for number in 0..100 {
        assert!(send(&mut log, &format!(r#"{{"do":"w{number}"}}"#)));
    }
    drop(log);
    drop(recording);
    let files = || {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    assert_eq!(files().len(), 3, "the oldest were removed");
    let mut last = None;
    for path in files() {
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.len() < 2_000 + 1_000, "{}", metadata.len());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
        let lines = lines(&path);
        assert!(matches!(&lines[1], Line::Open(open) if open.continued), "{path:?}");
        last = texts(&lines).last().map(|text| text.to_string());
    }
    assert_eq!(last.as_deref(), Some(r#"{"do":"w99"}"#));
    drop(start(target(1), 1 << 20));
    assert_eq!(files().len(), 1, "the files of an older recording count");
}

#[test]
fn a_large_handshake_is_written_once_and_fills_no_later_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let target = Target::Folder { path, max_file_bytes: 50_000, max_files: 100 };
    let recording = start(target, 1 << 20);
    // Of the headers of each, these bytes are kept: those of the name, the value and the address.
    let logs = [("x", 4_096 - 4), ("y", 4_096 - 3), ("z", 30_000)].map(|(name, bytes)| {
        let request = http::Request::get("/ab").header(name, "v".repeat(bytes)).body(()).unwrap();
        let request = Some(Box::new(request.into_parts().0));
        let log = recording.open(Opening { request, ..opening() }, None);
        log.expect("there is room")
    });
    let long = http::Request::get(format!("/{}", "u".repeat(4_096))).body(()).unwrap();
    let request = Some(Box::new(long.into_parts().0));
    let mut log = recording.open(Opening { request, ..opening() }, None).expect("there is room");
    for _ in 0..8 {
        assert!(send(&mut log, &format!(r#"{{"do":"w","text":"{}"}}"#, "t".repeat(10_000))));
    }
    drop((log, logs));
    drop(recording);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let headers = |path: &Path| -> Vec<Option<usize>> {
        let openings = lines(path).into_iter().filter_map(|line| match line {
            Line::Open(open) => Some(open.request.map(|request| request.headers.len())),
            _ => None,
        });
        openings.collect()
    };
    assert_eq!(headers(&files[0]), [Some(1), Some(1), Some(1), Some(0)]);
    assert_eq!(headers(&files[1]), [Some(1), Some(0), Some(0), None]);
    assert_eq!(files.len(), 3, "openings of older connections do not count");
}

#[test]
fn what_is_held_is_written_once_it_is_known_that_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let recording = start(Target::File(path.clone()), 1 << 20);
    let held = |text: &str| {
        let mut log = recording.open(opening(), Some(1_000)).unwrap();
        assert!(log.is_held() && send(&mut log, text));
        log
    };
    held(r#"{"do":"never released"}"#);
    held(r#"{"do":"discarded"}"#).discard();
    let mut log = held(r#"{"do":"held"}"#);
    assert!(!send(&mut log, &"x".repeat(1_000)), "there is no room for it");
    log.release(Some(12), None);
    assert!(!log.is_held() && send(&mut log, r#"{"do":"after"}"#));
    drop(log);
    drop(recording);
    let lines = lines(&path);
    assert_eq!(texts(&lines), [r#"{"do":"held"}"#, r#"{"do":"after"}"#]);
    assert!(lines.iter().any(|line| matches!(line, Line::Open(open) if open.user == Some(12))));
    assert!(lines.iter().any(|line| matches!(line, Line::Gap(gap) if gap.frames == 1)));
}

#[test]
fn a_capture_that_cannot_be_read_names_file_line_and_field() {
    let header = r#"{"type":"capture","form":"tolmach-capture/1","recorder":"proxy"}"#;
    for (text, expected) in [
        (String::new(), "c.jsonl: a capture begins with"),
        ("{}".to_owned(), "c.jsonl: a capture begins with"),
        (header.replace("/1", "/2"), "c.jsonl: a capture begins with"),
        (format!("{header}\n{header}"), "c.jsonl:2: a header stands in the first line only"),
        (format!("{header}\nno line"), "c.jsonl:2: the line"),
        (
            format!("{header}\n\n{}", r#"{"type":"close","connection":"a","at":1}"#),
            "c.jsonl:3: connection",
        ),
        (
            format!("{header}\n{}", r#"{"type":"frames","at":1,"to":[[1,0],[2]]}"#),
            "c.jsonl:2: to[1]",
        ),
    ] {
        let error = Reader::new("c.jsonl", text.as_bytes()).find_map(Result::err).unwrap();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let mut reader = Reader::new("c.jsonl", header.as_bytes());
    assert!(reader.next().is_some_and(|line| line.is_ok()) && reader.next().is_none());
}

#[test]
fn a_recording_that_cannot_begin_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, "kept").unwrap();
    let started =
        Recording::start(options(Target::File(path.clone()), 1), |error| panic!("{error}"));
    assert_eq!(started.err().map(|error| error.kind()), Some(std::io::ErrorKind::AlreadyExists));
    assert_eq!(fs::read_to_string(path).unwrap(), "kept");
}

#[test]
fn what_all_connections_hold_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let recording = start(Target::File(path.clone()), 4096);
    let open = || recording.open(opening(), Some(4096));
    // Each counts as 256 bytes, and its frame as 1,256.
    let text = "x".repeat(1000);
    let mut logs: Vec<ConnectionLog> = (0..3).map(|_| open().unwrap()).collect();
    let kept: Vec<bool> = logs.iter_mut().map(|log| send(log, &text)).collect();
    assert_eq!(kept, [true, true, false]);
    let mut others = vec![open().unwrap(), open().unwrap(), open().unwrap()];
    assert!(open().is_none(), "there is no room for another opening");
    // A log that is discarded, dropped or released makes room.
    logs.pop().into_iter().for_each(ConnectionLog::discard);
    others.clear();
    assert!(send(&mut open().unwrap(), &text[..500]));
    logs.iter_mut().for_each(|log| log.release(None, None));
    let held: Vec<ConnectionLog> = (0..16).map(|_| open().unwrap()).collect();
    assert!(open().is_none());
    drop((held, logs, recording));
    assert_eq!(texts(&lines(&path)).len(), 2);
}

#[test]
fn a_frame_whose_line_would_be_too_long_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let recording = start(Target::File(path.clone()), 64 << 20);
    let mut log = recording.open(Opening { dialect: None, ..opening() }, None).unwrap();
    log.dialect(opening().dialect.unwrap());
    // JSON writes each of them as six bytes.
    assert!(send(&mut log, &"\u{1}".repeat(6 << 20)));
    assert!(send(&mut log, r#"{"do":"a"}"#));
    drop((log, recording));
    let lines = lines(&path);
    let Line::Gap(gap) = &lines[2] else { panic!("{:?}", lines[2].connection()) };
    assert_eq!((gap.frames, gap.reason), (1, GapReason::TooLarge));
    let Line::Frame(frame) = &lines[3] else { panic!("{:?}", lines[3]) };
    assert_eq!(frame.dialect.as_deref(), Some("toy"), "the dialect is told with the next frame");
}
