//! The encoded WebSocket frames that wait to be written to one socket.
//!
//! A frame is encoded once, and its bytes are written from there to every socket: the WebSocket of
//! a connection would copy them into a buffer of its own, which never shrinks.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tolmach_dialect::Frame;

/// The longest header of a frame that is not masked, in bytes.
const HEADER: usize = 10;

/// The most bytes of small frames that are copied into one chunk: one `write` of a contiguous
/// buffer costs less than one of many slices.
const JOINED: usize = 16 << 10;

/// The most frames of one vectored `write`.
const SLICES: usize = 64;

/// Frames that wait to be written to one socket, in order. As a [`Buf`] it is their bytes.
///
/// Frames of events are counted apart from responses: a peer bounds the responses that wait for it
/// by its own requests, while anyone may cause events.
#[derive(Default)]
pub(crate) struct WriteBuffer {
    chunks: VecDeque<Chunk>,
    /// The bytes of all chunks.
    bytes: usize,
    /// Those of them that are of events.
    event_bytes: usize,
    /// Those of them that other buffers share.
    shared_bytes: usize,
    /// The memory of the chunks that no other buffer shares.
    private_memory: usize,
    /// True if a part of the first chunk was written: then nothing may come before its rest.
    begun: bool,
}

/// One frame, or several small ones.
struct Chunk {
    bytes: Bytes,
    /// The bytes of it that are of events, counted as its last ones.
    event_bytes: usize,
    /// The memory of the bytes, which is freed when all of them are written; 0 if other buffers
    /// share it.
    private_memory: usize,
}

impl Chunk {
    /// A chunk that no other buffer shares.
    fn private(bytes: Bytes, event_bytes: usize) -> Self {
        let private_memory = bytes.len();
        Self { bytes, event_bytes, private_memory }
    }

    /// The bytes of it that other buffers share.
    fn shared_bytes(&self) -> usize {
        if self.private_memory == 0 { self.bytes.len() } else { 0 }
    }
}

impl WriteBuffer {
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The bytes of events that wait behind the chunk that is written next: one event alone may
    /// have any size.
    pub(crate) fn waiting_event_bytes(&self) -> usize {
        self.event_bytes - self.chunks.front().map_or(0, |chunk| chunk.event_bytes)
    }

    /// The bytes that other buffers share.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.shared_bytes
    }

    /// The memory of what no other buffer shares. That of a frame is freed when all of it is
    /// written.
    pub(crate) fn private_memory(&self) -> usize {
        self.private_memory
    }

    /// Adds the encoded frame of a response.
    pub(crate) fn push_response(&mut self, frame: Bytes) {
        self.push(Chunk::private(frame, 0));
    }

    /// Adds the encoded frame of an event that other buffers share.
    pub(crate) fn push_event(&mut self, frame: Bytes) {
        let event_bytes = frame.len();
        self.push(Chunk { bytes: frame, event_bytes, private_memory: 0 });
    }

    /// Adds the encoded frame of an event for this peer alone.
    pub(crate) fn push_private_event(&mut self, frame: Bytes) {
        let event_bytes = frame.len();
        self.push(Chunk::private(frame, event_bytes));
    }

    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.len();
        self.event_bytes += chunk.event_bytes;
        self.shared_bytes += chunk.shared_bytes();
        self.private_memory += chunk.private_memory;
        self.chunks.push_back(chunk);
    }

    /// Writes what the socket takes at once. Fails with [`io::ErrorKind::WouldBlock`] if something
    /// is left.
    pub(crate) fn try_write_to(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.join();
        while self.has_remaining() {
            let written = match self.chunks.len() {
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

    /// Writes once to a stream. Ready with the number of bytes that it took, 0 if none was left.
    pub(crate) fn poll_write_to<S: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<usize>> {
        self.join();
        if self.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let stream = Pin::new(stream);
        let written = if self.chunks.len() == 1 || !stream.is_write_vectored() {
            ready!(stream.poll_write(context, self.chunk()))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.chunks_vectored(&mut slices);
            ready!(stream.poll_write_vectored(context, &slices[..count]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Writes all of it. If cancelled, another call goes on where this one was.
    pub(crate) async fn write_to<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<()> {
        while self.has_remaining() {
            poll_fn(|context| self.poll_write_to(context, stream)).await?;
        }
        stream.flush().await
    }

    /// Copies small frames into one chunk.
    fn join(&mut self) {
        if self.chunks.len() > 1 && self.bytes <= JOINED {
            let mut joined = Vec::with_capacity(self.bytes);
            self.chunks.drain(..).for_each(|chunk| joined.extend_from_slice(&chunk.bytes));
            let chunk = Chunk::private(joined.into(), self.event_bytes);
            (self.shared_bytes, self.private_memory) = (0, chunk.private_memory);
            self.chunks.push_back(chunk);
        }
    }

    /// Drops every frame of which nothing was written.
    pub(crate) fn abandon(&mut self) {
        self.chunks.truncate(usize::from(self.begun));
        self.bytes = self.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        self.event_bytes = self.chunks.iter().map(|chunk| chunk.event_bytes).sum();
        self.shared_bytes = self.chunks.iter().map(Chunk::shared_bytes).sum();
        self.private_memory = self.chunks.iter().map(|chunk| chunk.private_memory).sum();
    }
}

impl Buf for WriteBuffer {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn has_remaining(&self) -> bool {
        !self.chunks.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk.bytes)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = slices.len().min(self.chunks.len());
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.bytes);
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.chunks.front_mut() else { return };
            let written = count.min(first.bytes.len());
            let shared_bytes = first.shared_bytes();
            first.bytes.advance(written);
            let event_bytes = first.event_bytes.min(first.bytes.len());
            self.bytes -= written;
            self.shared_bytes -= shared_bytes - first.shared_bytes();
            self.event_bytes -= first.event_bytes - event_bytes;
            first.event_bytes = event_bytes;
            count -= written;
            self.begun = !first.bytes.is_empty();
            if self.begun {
                return;
            }
            self.private_memory -= first.private_memory;
            self.chunks.pop_front();
        }
    }
}

/// Encodes a frame as a whole WebSocket message, which is not masked. RFC 6455 section 5.2.
pub(crate) fn encode(frame: Frame) -> Bytes {
    let (payload, data) = match frame {
        Frame::Text(text) | Frame::Value(text) => (text, Data::Text),
        Frame::Binary(bytes) => (bytes, Data::Binary),
        // Only a handshake is answered with an HTTP response, and that is over.
        Frame::Request(request) => (request.into_body(), Data::Text),
        Frame::Response(response) => (response.into_body(), Data::Text),
    };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    let formatted = frame::Frame::message(payload, OpCode::Data(data), true).format(&mut bytes);
    formatted.expect("writing to a vector cannot fail");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    fn buffer(frames: &[&str]) -> WriteBuffer {
        let mut buffer = WriteBuffer::default();
        for text in frames {
            buffer.push_event(Bytes::copy_from_slice(text.as_bytes()));
        }
        buffer
    }

    #[test]
    fn written_bytes_go_and_of_the_rest_only_a_begun_frame_must_follow() {
        for (written, left, must_follow) in [
            (0, "abcdefgh", ""),
            (1, "bcdefgh", "bc"),
            (3, "defgh", ""),
            (4, "efgh", "e"),
            (5, "fgh", ""),
            (8, "", ""),
        ] {
            let mut buffer = buffer(&["abc", "de", "fgh"]);
            buffer.advance(written);
            let mut slices = [IoSlice::new(&[]); 8];
            let count = buffer.chunks_vectored(&mut slices);
            let bytes: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(
                (bytes, buffer.remaining(), buffer.len()),
                (left.as_bytes().to_vec(), left.len(), count),
                "{written}"
            );
            buffer.abandon();
            assert_eq!(buffer.event_bytes, buffer.remaining(), "{written}");
            assert_eq!(
                (buffer.chunk(), buffer.is_empty()),
                (must_follow.as_bytes(), must_follow.is_empty()),
                "{written}"
            );
        }
    }

    #[test]
    fn events_are_counted_and_responses_are_not() {
        for (name, large) in [("joined", 10), ("apart", JOINED)] {
            let mut buffer = WriteBuffer::default();
            buffer.push_response(vec![b'r'; large].into());
            buffer.push_event(vec![b'e'; large].into());
            buffer.join();
            for (written, events) in [(0, large), (large - 1, large), (1, large), (4, large - 4)] {
                buffer.advance(written);
                assert_eq!(buffer.event_bytes, events, "{name} {written}");
            }
            buffer.advance(large - 4);
            assert_eq!((buffer.event_bytes, buffer.remaining()), (0, 0), "{name}");
        }
    }

    #[test]
    fn a_frame_takes_its_memory_until_all_of_it_is_written() {
        let mut buffer = WriteBuffer::default();
        buffer.push_response(vec![b'r'; 2 * JOINED].into());
        buffer.push_event(vec![b'e'; JOINED].into());
        buffer.push_private_event(vec![b'p'; 100].into());
        buffer.join();
        for (written, private, shared) in [
            (0, 2 * JOINED + 100, JOINED),
            (2 * JOINED - 1, 2 * JOINED + 100, JOINED),
            (1, 100, JOINED),
            (JOINED - 10, 100, 10),
            (10, 100, 0),
            (99, 100, 0),
            (1, 0, 0),
        ] {
            buffer.advance(written);
            assert_eq!((buffer.private_memory(), buffer.shared_bytes()), (private, shared));
        }
        buffer.push_event(vec![b'e'; 50].into());
        buffer.push_response(vec![b'r'; 60].into());
        buffer.push_event(vec![b'e'; 70].into());
        buffer.advance(1);
        assert_eq!((buffer.private_memory(), buffer.shared_bytes()), (60, 119));
        buffer.abandon();
        assert_eq!((buffer.private_memory(), buffer.shared_bytes()), (0, 49));
        buffer.push_response(vec![b'r'; 60].into());
        buffer.join();
        assert_eq!((buffer.private_memory(), buffer.shared_bytes()), (109, 0), "it was copied");
    }

    #[test]
    fn the_chunk_that_is_written_next_does_not_wait() {
        let mut buffer = WriteBuffer::default();
        assert_eq!(buffer.waiting_event_bytes(), 0);
        for (bytes, waiting) in [(JOINED, 0), (3, 3), (5, 8)] {
            buffer.push_event(vec![b'e'; bytes].into());
            assert_eq!(buffer.waiting_event_bytes(), waiting);
        }
        for (written, waiting) in [(1, 8), (JOINED - 1, 5), (3, 0), (5, 0)] {
            buffer.advance(written);
            assert_eq!(buffer.waiting_event_bytes(), waiting, "{written}");
        }
    }

    #[tokio::test]
    async fn a_peer_reads_the_messages_that_were_encoded() {
        let (long, large) = ("y".repeat(126), "x".repeat(70_000));
        let texts = ["{}", "привет", &long, &large];
        let mut buffer = WriteBuffer::default();
        for text in texts {
            buffer.push_response(encode(Frame::text(text.to_owned())));
        }
        buffer.push_response(encode(Frame::Binary(Bytes::from_static(b"\0\xff"))));
        let (mut server, client) = tokio::io::duplex(1 << 20);
        buffer.write_to(&mut server).await.unwrap();
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        for text in texts {
            let message = futures_util::StreamExt::next(&mut client).await.unwrap().unwrap();
            assert_eq!(message, Message::text(text));
        }
        let message = futures_util::StreamExt::next(&mut client).await.unwrap().unwrap();
        assert_eq!(message, Message::binary(&b"\0\xff"[..]));
    }
}
