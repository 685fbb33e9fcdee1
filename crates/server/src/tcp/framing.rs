//! Frames of a WebSocket (RFC 6455 section 5.2), made of the JSON values of a raw stream.
//!
//! Nothing delimits the values ([`RawValues`]). A session reads each value and each word as a
//! message of its own.

use bytes::{BufMut, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tolmach_dialect::{RawKind, RawValues};

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
    values: RawValues,
    /// True if a fragment of the value or word has passed.
    begun: bool,
    /// The word that waits for its end.
    word: Vec<u8>,
}

impl Framing {
    /// Adds the frames of the next bytes of the peer to `frames`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], frames: &mut BytesMut) {
        while let Some(part) = self.values.next(bytes) {
            let (own, rest) = bytes.split_at(part.length);
            bytes = rest;
            match part.kind {
                RawKind::Space => {
                    for space in own.chunks(CONTROL_PAYLOAD) {
                        put_frame(OpCode::Control(Control::Pong), true, space, frames);
                    }
                }
                RawKind::Value => self.put(own, part.is_last, frames),
                RawKind::Word => {
                    self.word.extend_from_slice(own);
                    if part.is_last || self.begun || self.word.len() > MAX_WAITING_WORD {
                        let word = std::mem::take(&mut self.word);
                        self.put(&word, part.is_last, frames);
                    }
                }
            }
        }
    }

    /// Adds a fragment of the value or word.
    fn put(&mut self, payload: &[u8], is_last: bool, frames: &mut BytesMut) {
        let data = if self.begun { Data::Continue } else { Data::Text };
        put_frame(OpCode::Data(data), is_last, payload, frames);
        self.begun = !is_last;
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
                    Message::Pong(space) => assert!(space.iter().all(u8::is_ascii_whitespace)),
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
