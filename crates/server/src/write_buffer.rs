//! What is on its way to one socket: whole WebSocket frames, whose bytes are shared by all who are
//! told the same.
//!
//! A frame is put together once, and written from there to every socket: the WebSocket of a
//! connection would copy it into a buffer of its own, which keeps the room that it ever took.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tolmach_dialect::Frame;

/// The longest header of a frame that is not masked, in bytes.
const HEADER: usize = 10;

/// What is copied into one piece, in bytes: a system takes that faster than many small ones.
const PIECE: usize = 16 << 10;

/// Frames that are written at once, at most.
const SLICES: usize = 64;

/// Frames that wait to be written to one socket, in order. As a [`Buf`] it is their bytes.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Small ones may have been joined.
    frames: VecDeque<Bytes>,
    /// Whether a part of the first one was written: then nothing may come before its rest.
    begun: bool,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes what the socket takes at once; whether that was all of it.
    pub(crate) fn try_write_to(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.join();
        while self.has_remaining() {
            let written = match self.frames.len() {
                1 => stream.try_write(self.chunk())?,
                _ => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.chunks_vectored(&mut slices);
                    stream.try_write_vectored(&slices[..count])?
                }
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        Ok(())
    }

    /// Joins small frames.
    fn join(&mut self) {
        if self.frames.len() > 1 {
            let size = self.remaining();
            if size <= PIECE {
                let mut joined = Vec::with_capacity(size);
                self.frames.drain(..).for_each(|frame| joined.extend_from_slice(&frame));
                self.frames.push_back(joined.into());
            }
        }
    }

    /// Writes all of it. Given up, it can go on where it was.
    pub(crate) async fn write_to<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<()> {
        self.join();
        while self.has_remaining() {
            let written = match self.frames.len() {
                1 => {
                    let written = stream.write(self.chunk()).await?;
                    self.advance(written);
                    written
                }
                _ => stream.write_buf(self).await?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        stream.flush().await
    }

    /// Drops every frame of which nothing was written.
    pub(crate) fn abandon(&mut self) {
        self.frames.truncate(usize::from(self.begun));
    }
}

impl Extend<Bytes> for Outgoing {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, frames: T) {
        self.frames.extend(frames);
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.frames.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| frame)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = slices.len().min(self.frames.len());
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.frames.front_mut() else { return };
            self.begun = count < first.len();
            if self.begun {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.frames.pop_front();
        }
    }
}

/// A frame as it is written to a socket: a whole message, not masked.
pub(crate) fn encode(frame: Frame) -> Bytes {
    let (payload, data) = match frame {
        Frame::Text(text) | Frame::Value(text) => (text, Data::Text),
        Frame::Binary(bytes) => (bytes, Data::Binary),
        // Only a handshake can be answered with it, and that is over.
        Frame::Request(request) => (request.into_body(), Data::Text),
        Frame::Response(response) => (response.into_body(), Data::Text),
    };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    let formatted = frame::Frame::message(payload, OpCode::Data(data), true).format(&mut bytes);
    formatted.expect("a vector takes whatever is written to it");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    fn outgoing(frames: &[&str]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        outgoing.extend(frames.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())));
        outgoing
    }

    #[test]
    fn what_was_written_goes_and_of_the_rest_only_what_was_begun_must_follow() {
        for (written, left, must_follow) in [
            (0, "abcdefgh", ""),
            (1, "bcdefgh", "bc"),
            (3, "defgh", ""),
            (4, "efgh", "e"),
            (5, "fgh", ""),
            (8, "", ""),
        ] {
            let mut outgoing = outgoing(&["abc", "de", "fgh"]);
            outgoing.advance(written);
            let mut slices = [IoSlice::new(&[]); 8];
            let count = outgoing.chunks_vectored(&mut slices);
            let bytes: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(
                (bytes, outgoing.remaining(), outgoing.len()),
                (left.as_bytes().to_vec(), left.len(), count),
                "{written}"
            );
            outgoing.abandon();
            assert_eq!(
                (outgoing.chunk(), outgoing.is_empty()),
                (must_follow.as_bytes(), must_follow.is_empty()),
                "{written}"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_reads_the_messages_that_were_encoded() {
        let (long, large) = ("y".repeat(126), "x".repeat(70_000));
        let texts = ["{}", "привет", &long, &large];
        let mut outgoing = Outgoing::default();
        outgoing.extend(texts.iter().map(|text| encode(Frame::text((*text).to_owned()))));
        outgoing.extend([encode(Frame::Binary(Bytes::from_static(b"\0\xff")))]);
        let (mut server, client) = tokio::io::duplex(1 << 20);
        outgoing.write_to(&mut server).await.unwrap();
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        for text in texts {
            let message = futures_util::StreamExt::next(&mut client).await.unwrap().unwrap();
            assert_eq!(message, Message::text(text));
        }
        let message = futures_util::StreamExt::next(&mut client).await.unwrap().unwrap();
        assert_eq!(message, Message::binary(&b"\0\xff"[..]));
    }
}
