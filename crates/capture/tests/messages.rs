//! Messages of several connections: one line for all of them, in the order of each connection.

use bytes::Bytes;
use std::collections::BTreeMap;
use tolmach_capture::{
    CapturedFrame, Close, FrameKind, KnownDialect, Line, Opening, Reader, Recorder, Replacer,
    Transcriber, Transport,
};
use tolmach_dialect::{FieldRole, FieldRule, Frame, Sender};

static RULES: [FieldRule; 1] = [FieldRule::body("text", FieldRole::Text)];
static OTHER_RULES: [FieldRule; 1] = [FieldRule::body("text", FieldRole::Secret)];

/// A transcriber with connections from 1 on, and what it has written.
struct Capture {
    transcriber: Transcriber,
    out: Vec<u8>,
}

impl Capture {
    fn new(connections: u64) -> Self {
        let replacer = Replacer::new(b"a key of a trial", false);
        let mut capture = Self { transcriber: Transcriber::new(replacer), out: Vec::new() };
        capture.transcriber.header(Recorder::Gateway, &mut capture.out);
        (1..=connections).for_each(|connection| capture.open(connection));
        capture
    }

    fn open(&mut self, connection: u64) {
        let opening = Opening {
            connection,
            at: 0,
            transport: Transport::WebSocket,
            dialect: Some(dialect(&RULES)),
            request: None,
            address: None,
            user: None,
        };
        self.transcriber.open(opening, &mut self.out);
    }

    fn message(&mut self, connection: u64, at: u64, frame: &Frame) {
        self.transcriber.message((connection, at), frame, Some("posted"), &mut self.out);
    }

    fn text(&mut self) -> &str {
        self.transcriber.flush(&mut self.out);
        std::str::from_utf8(&self.out).expect("JSON is UTF-8")
    }

    fn frames(&mut self) -> Vec<CapturedFrame> {
        let lines = Reader::new("it", self.text().as_bytes());
        let frames = lines.filter_map(|line| match line.expect("it is a line") {
            Line::Frame(frame) => Some(*frame),
            _ => None,
        });
        frames.collect()
    }
}

fn dialect(rules: &'static [FieldRule]) -> KnownDialect {
    KnownDialect { id: "toy".to_owned(), revision: "doc".to_owned(), rules }
}

fn text(text: &str) -> Bytes {
    Bytes::from(format!(r#"{{"text":"{text}"}}"#))
}

#[test]
fn one_line_tells_of_all_that_got_a_message_in_a_row() {
    let mut capture = Capture::new(3);
    let message = Frame::Text(text("hello"));
    for (connection, at) in [(1, 1_002), (2, 1_000), (3, 1_005)] {
        capture.message(connection, at, &message);
    }
    let expected = [
        r#"{"type":"frames","at":1000,"to":[[1,2],[2,0],[3,5]],"from":"server","kind":"text","#,
        r#""text":"{\"text\":\"hello\"}","command":"posted"}"#,
    ];
    assert_eq!(capture.text().lines().last(), Some(&*expected.concat()));
    let read: Vec<(u64, u64)> =
        capture.frames().iter().map(|frame| (frame.connection, frame.at)).collect();
    assert_eq!(read, [(1, 1_002), (2, 1_000), (3, 1_005)]);
}

#[test]
fn the_same_bytes_are_another_message_by_other_rules_and_in_another_form() {
    let mut capture = Capture::new(3);
    let payload = text("a long enough secret");
    capture.transcriber.frame(
        (2, 1),
        Sender::Client,
        &Frame::text("{}"),
        None,
        Some(dialect(&OTHER_RULES)),
        &mut capture.out,
    );
    capture.message(1, 2, &Frame::Text(payload.clone()));
    capture.message(2, 3, &Frame::Text(payload.clone()));
    capture.message(3, 4, &Frame::Value(payload.clone()));
    let frames = capture.frames();
    let (kinds, texts): (Vec<FrameKind>, Vec<bool>) = frames[1..]
        .iter()
        .map(|frame| (frame.kind, frame.text.as_deref().unwrap().contains("secret")))
        .unzip();
    assert_eq!(kinds, [FrameKind::Text, FrameKind::Text, FrameKind::Value]);
    assert_eq!(texts, [true, false, true], "it is a secret by the rules of the second alone");
}

#[test]
fn a_line_has_a_bounded_number_of_connections() {
    let mut capture = Capture::new(1);
    let message = Frame::Text(text("hello"));
    (0..10_000).for_each(|at| capture.message(1, at, &message));
    let frames = capture.frames();
    assert!(frames.iter().map(|frame| frame.at).eq(0..10_000));
    let longest = capture.text().lines().map(str::len).max();
    assert!(longest.is_some_and(|bytes| bytes < 64 << 10), "{longest:?}");
}

/// Numbers that look random: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % bound
    }
}

#[test]
fn each_connection_keeps_its_order_and_no_client_comes_before_what_it_may_know() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let connections = 1 + random.below(8);
        let mut capture = Capture::new(connections);
        // More messages than are kept.
        let messages: Vec<Bytes> = (0..40).map(|number| text(&format!("m{number}"))).collect();
        let mut noted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut of_clients = Vec::new();
        for at in 0..500 {
            let connection = 1 + random.below(connections);
            let place = (connection, at);
            match random.below(60) {
                0 => {
                    of_clients.push(at);
                    let (frame, out) = (Frame::text("{}"), &mut capture.out);
                    capture.transcriber.frame(place, Sender::Client, &frame, None, None, out);
                }
                1 => {
                    let known = random.below(2).eq(&0).then(|| dialect(&OTHER_RULES));
                    let (frame, out) = (Frame::text("{}"), &mut capture.out);
                    capture.transcriber.frame(place, Sender::Server, &frame, None, known, out);
                }
                2 => {
                    let (by, code) = (None, None);
                    let close = Close { connection, at, by, code };
                    capture.transcriber.close(close, &mut capture.out);
                    capture.open(connection);
                    continue;
                }
                _ => {
                    let recent = at as usize / 13;
                    let index = (recent + random.below(3) as usize) % messages.len();
                    capture.message(connection, at, &Frame::Text(messages[index].clone()));
                }
            }
            noted.entry(connection).or_default().push(at);
        }
        let frames = capture.frames();
        let mut read: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for frame in &frames {
            read.entry(frame.connection).or_default().push(frame.at);
        }
        assert_eq!(read, noted, "{seed}");
        for at in of_clients {
            let place = frames.iter().position(|frame| frame.at == at).unwrap();
            assert!(frames[..place].iter().all(|frame| frame.at < at), "{seed}");
            assert!(frames[place..].iter().all(|frame| frame.at >= at), "{seed}");
        }
    }
}
