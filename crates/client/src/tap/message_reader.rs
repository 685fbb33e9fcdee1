//! WebSocket messages in a stream of bytes. RFC 6455 section 5.

use super::inflater::{Inflater, MAX_MESSAGE};
use bytes::{Buf, Bytes, BytesMut};
use std::io::Cursor;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tolmach_capture::GapReason;
use tolmach_dialect::Frame;

/// A stream of messages of one side.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    buffer: BytesMut,
    /// The message that has begun, and true if it is binary.
    message: Option<(BytesMut, bool)>,
    /// For compressed messages, where the handshake agreed on them.
    inflater: Option<Inflater>,
    /// True if the message that has begun is compressed.
    is_compressed: bool,
    /// The reason why the message that has begun is left out.
    left_out: Option<GapReason>,
    /// The bytes of a frame that are still skipped.
    skipped: u64,
}

/// A part of the stream.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Frame(Frame),
    /// A message that is left out.
    LeftOut(GapReason),
    /// The close frame, with its code.
    Close(Option<u16>),
}

impl MessageReader {
    /// A stream that begins with these bytes.
    pub(super) fn new(buffer: BytesMut, inflater: Option<Inflater>) -> Self {
        Self { buffer, inflater, ..Self::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes that wait, with those of the message that has begun and of the compression.
    pub(super) fn kept(&self) -> usize {
        self.buffer.len()
            + self.message.as_ref().map_or(0, |(message, _)| message.len())
            + self.inflater.as_ref().map_or(0, Inflater::kept)
    }

    /// The next message, once all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Message>, GapReason> {
        loop {
            if self.skipped > 0 {
                let here = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
                let count = self.skipped.min(here);
                self.buffer.advance(usize::try_from(count).unwrap_or(usize::MAX));
                self.skipped -= count;
                if self.skipped > 0 {
                    return Ok(None);
                }
            }
            let mut cursor = Cursor::new(&self.buffer[..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| GapReason::Unreadable)?;
            let Some((header, length)) = parsed else { return Ok(None) };
            let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let begun = self.message.as_ref().map_or(0, |(message, _)| message.len());
            let room = MAX_MESSAGE.saturating_sub(begun);
            let size = usize::try_from(length).ok().filter(|size| *size <= room);
            let is_data = !matches!(header.opcode, OpCode::Control(_));
            if header.rsv1 && is_data {
                match self.inflater {
                    Some(_) => self.is_compressed = true,
                    None => _ = self.left_out.get_or_insert(GapReason::Compressed),
                }
            }
            let Some(size) = size else {
                self.left_out.get_or_insert(GapReason::TooLarge);
                self.buffer.advance(start);
                self.skipped = length;
                if header.is_final {
                    return Ok(self.finish());
                }
                continue;
            };
            if self.buffer.len() < start + size {
                return Ok(None);
            }
            self.buffer.advance(start);
            let mut payload = self.buffer.split_to(size);
            if let Some(mask) = header.mask {
                for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
                    *byte ^= mask;
                }
            }
            match header.opcode {
                OpCode::Control(Control::Close) => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Ok(Some(Message::Close(code)));
                }
                OpCode::Control(_) => continue,
                OpCode::Data(Data::Continue) => match &mut self.message {
                    Some((message, _)) => message.unsplit(payload),
                    None if self.left_out.is_some() => {}
                    None => return Err(GapReason::Unreadable),
                },
                OpCode::Data(data) => self.message = Some((payload, data == Data::Binary)),
            }
            if header.is_final {
                return Ok(self.finish());
            }
        }
    }

    /// The message whose last frame was read.
    fn finish(&mut self) -> Option<Message> {
        let message = self.message.take();
        let is_compressed = std::mem::take(&mut self.is_compressed);
        let inflater = self.inflater.as_mut().filter(|_| is_compressed);
        if let Some(reason) = self.left_out.take() {
            inflater.into_iter().for_each(Inflater::leave_out);
            return Some(Message::LeftOut(reason));
        }
        let (payload, is_binary) = message?;
        let payload: Bytes = match inflater.map(|inflater| inflater.inflate(&payload)) {
            None => payload.freeze(),
            Some(Ok(payload)) => payload,
            Some(Err(reason)) => return Some(Message::LeftOut(reason)),
        };
        Some(Message::Frame(if is_binary { Frame::Binary(payload) } else { Frame::Text(payload) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8]) -> Result<Vec<Message>, GapReason> {
        let mut reader = MessageReader::default();
        let mut messages = Vec::new();
        for byte in stream {
            reader.push(&[*byte]);
            while let Some(message) = reader.next()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_read_with_masks_and_in_fragments() {
        let text = |text: &'static str| Message::Frame(Frame::text(text));
        let masked = b"\x81\x82\x01\x02\x03\x04\x69\x6b";
        for (stream, expected) in [
            (&masked[..], vec![text("hi")]),
            (
                b"\x01\x01a\x89\x00\x80\x01b\x82\x01\xff",
                vec![text("ab"), Message::Frame(Frame::Binary(Bytes::from_static(b"\xff")))],
            ),
            (b"\xc1\x01x\x81\x01a", vec![Message::LeftOut(GapReason::Compressed), text("a")]),
            (b"\x88\x02\x03\xe8", vec![Message::Close(Some(1000))]),
            (b"\x88\x00", vec![Message::Close(None)]),
        ] {
            assert_eq!(read(stream).unwrap(), expected, "{stream:?}");
        }
        assert_eq!(read(b"\x80\x01a"), Err(GapReason::Unreadable));
    }

    #[test]
    fn a_message_that_is_too_large_is_skipped() {
        let mut reader = MessageReader::default();
        reader.push(b"\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x01");
        assert_eq!(reader.next(), Ok(Some(Message::LeftOut(GapReason::TooLarge))));
        reader.push(&vec![0; MAX_MESSAGE]);
        assert_eq!(reader.next(), Ok(None));
        reader.push(b"\x00\x81\x01a");
        assert_eq!(reader.next(), Ok(Some(Message::Frame(Frame::text("a")))));
    }
}
