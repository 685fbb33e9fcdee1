//! Frames of a WebSocket (RFC 6455 section 5.2), made of the JSON values of a raw stream.
//!
//! Nothing delimits the values. An object or an array ends with the bracket that closes it. Any
//! other text is a word, which ends before white space and before a value: a peer may send a bare
//! word that its revision ignores. A session reads each as a message of its own.

use bytes::{BufMut, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest payload of a control frame, in bytes. RFC 6455 section 5.5.
const CONTROL_PAYLOAD: usize = 125;
/// The longest word that may wait for its end without a deadline, in bytes.
const MAX_WAITING_WORD: usize = 64;
/// The mask that changes nothing: a server accepts masked frames only.
const NO_MASK: [u8; 4] = [0; 4];

/// Makes frames of the bytes of one peer, however the network divides them.
///
/// The bytes of a value pass as they come, each part as a fragment of one message. White space
/// between values passes as pongs, which mean nothing, so that it counts too. A short word passes
/// once it has ended.
#[derive(Default)]
pub(crate) struct Framing {
    unit: Unit,
    /// True if a fragment of the unit has passed.
    begun: bool,
    /// The word that waits for its end.
    word: Vec<u8>,
}

/// The thing whose bytes come.
#[derive(Default)]
enum Unit {
    /// White space, or the beginning of something else.
    #[default]
    Between,
    Value(Nesting),
    Word,
}

/// The place within a value.
#[derive(Default)]
struct Nesting {
    /// The number of open brackets.
    depth: usize,
    in_string: bool,
    /// True behind a backslash in a string.
    escaped: bool,
}

impl Framing {
    /// Adds the frames of the next bytes of the peer to `frames`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], frames: &mut BytesMut) {
        while let Some(first) = bytes.first() {
            let length = match &mut self.unit {
                Unit::Between if is_space(*first) => {
                    let space = bytes.iter().take_while(|byte| is_space(**byte)).count();
                    let length = space.min(CONTROL_PAYLOAD);
                    put_frame(OpCode::Control(Control::Pong), true, &bytes[..length], frames);
                    length
                }
                Unit::Between if is_opening(*first) => {
                    self.unit = Unit::Value(Nesting::default());
                    0
                }
                Unit::Between => {
                    self.unit = Unit::Word;
                    0
                }
                Unit::Value(nesting) => {
                    let end = nesting.end(bytes);
                    let length = end.unwrap_or(bytes.len());
                    self.put(&bytes[..length], end.is_some(), frames);
                    length
                }
                Unit::Word => {
                    let end = bytes.iter().position(|byte| is_space(*byte) || is_opening(*byte));
                    let length = end.unwrap_or(bytes.len());
                    self.word.extend_from_slice(&bytes[..length]);
                    if end.is_some() || self.begun || self.word.len() > MAX_WAITING_WORD {
                        let word = std::mem::take(&mut self.word);
                        self.put(&word, end.is_some(), frames);
                    }
                    length
                }
            };
            bytes = &bytes[length..];
        }
    }

    /// Adds a fragment of the unit.
    fn put(&mut self, payload: &[u8], is_last: bool, frames: &mut BytesMut) {
        let data = if self.begun { Data::Continue } else { Data::Text };
        put_frame(OpCode::Data(data), is_last, payload, frames);
        self.begun = !is_last;
        if is_last {
            self.unit = Unit::Between;
        }
    }
}

impl Nesting {
    /// Goes on through `bytes`. Returns how many of them the value has, if it ends there.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Adds a pong.
pub(super) fn put_pong(frames: &mut BytesMut) {
    put_frame(OpCode::Control(Control::Pong), true, &[], frames);
}

fn put_frame(opcode: OpCode, is_final: bool, payload: &[u8], frames: &mut BytesMut) {
    let header = FrameHeader { is_final, opcode, mask: Some(NO_MASK), ..FrameHeader::default() };
    let formatted = header.format(payload.len() as u64, &mut (&mut *frames).writer());
    formatted.expect("a buffer in memory takes all bytes");
    frames.extend_from_slice(payload);
}

/// True for the white space of JSON. RFC 8259 section 2.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_opening(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// The messages of what a peer sends in these parts.
    fn messages(parts: &[&[u8]]) -> Vec<String> {
        let (mut framing, mut frames) = (Framing::default(), BytesMut::new());
        parts.iter().for_each(|part| framing.push(part, &mut frames));
        let read = async {
            let stream = tokio::io::join(&frames[..], tokio::io::sink());
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            let mut messages = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                match message {
                    Message::Text(text) => messages.push(text.to_string()),
                    Message::Pong(space) => assert!(space.iter().all(|byte| is_space(*byte))),
                    other => panic!("{other:?}"),
                }
            }
            messages
        };
        read.now_or_never().expect("bytes in memory can be read at once")
    }

    #[test]
    fn values_and_words_are_found_however_they_are_divided() {
        for (name, stream, expected) in [
            ("nothing", "", &[][..]),
            ("white space", " \r\n\t", &[]),
            ("one value", "{}", &["{}"]),
            (
                "values back to back",
                "{\"a\":1}{\"b\":[2]}[3]",
                &["{\"a\":1}", "{\"b\":[2]}", "[3]"],
            ),
            ("values with space", "\n{ } \r\n {\n}\n", &["{ }", "{\n}"]),
            ("brackets in a string", r#"{"a":"}{]["}{}"#, &[r#"{"a":"}{]["}"#, "{}"]),
            ("an escaped quotation mark", r#"{"a":"\"}"}{}"#, &[r#"{"a":"\"}"}"#, "{}"]),
            ("an escaped backslash", r#"{"a":"\\"}{}"#, &[r#"{"a":"\\"}"#, "{}"]),
            ("letters beyond ASCII", "{\"a\":\"я€😀\"}я{}", &["{\"a\":\"я€😀\"}", "я", "{}"]),
            ("a word before a value", "TEST{}", &["TEST", "{}"]),
            ("a word between values", "{}TEST{}", &["{}", "TEST", "{}"]),
            ("words", "null 12\n\"a\" {}", &["null", "12", "\"a\"", "{}"]),
            ("closing brackets", "}]{}", &["}]", "{}"]),
            ("brackets of two kinds", "{]{}", &["{]", "{}"]),
            ("an incomplete value", "{}{\"a\":", &["{}"]),
            ("an incomplete word", "{}TEST", &["{}"]),
        ] {
            let stream = stream.as_bytes();
            assert_eq!(messages(&[stream]), expected, "{name}, whole");
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(messages(&bytes), expected, "{name}, byte by byte");
            for split in 0..stream.len() {
                let (first, second) = stream.split_at(split);
                assert_eq!(messages(&[first, second]), expected, "{name}, split at {split}");
            }
        }
    }

    #[test]
    fn a_word_waits_without_a_fragment_up_to_the_bound_and_not_beyond() {
        let (mut framing, mut frames) = (Framing::default(), BytesMut::new());
        framing.push(&[b'x'; MAX_WAITING_WORD], &mut frames);
        assert!(frames.is_empty(), "it has no deadline");
        framing.push(b"x", &mut frames);
        assert_eq!(frames[0], 0x01, "the first fragment of a text message begins its deadline");
        assert!(framing.word.is_empty());
        framing.push(b"x ", &mut frames);
        let long = "x".repeat(MAX_WAITING_WORD + 2);
        assert_eq!(messages(&[&long.as_bytes()[..MAX_WAITING_WORD + 1], b"x "]), [long]);
    }

    #[test]
    fn white_space_passes_as_pongs_of_any_length() {
        let (mut framing, mut frames) = (Framing::default(), BytesMut::new());
        framing.push(&[b' '; 2 * CONTROL_PAYLOAD + 1], &mut frames);
        let header = 2 + NO_MASK.len();
        assert_eq!(frames.len(), 2 * CONTROL_PAYLOAD + 1 + 3 * header);
        assert!(!framing.begun, "white space begins no message");
    }
}
