//! A raw stream of JSON values, read and written as the stream below a WebSocket.

use super::framing::{Framing, put_pong};
use bytes::{Buf, BytesMut};
use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

/// The bytes that are read at once.
const READ_BYTES: usize = 1 << 10;

/// A raw stream of JSON values as the stream below a WebSocket.
///
/// The bytes of the peer are read as frames. The payload of each message that is written goes to
/// the peer in one write, and control frames do not: a ping is answered here, because only the
/// system knows if a silent peer lives; a close ends the stream.
pub(super) struct ValueStream<S> {
    stream: S,
    framing: Framing,
    /// The frames that were not read yet.
    frames: BytesMut,
    /// Woken when there are frames though the peer sent nothing.
    reader: Option<Waker>,
    outgoing: Outgoing,
    pace: Option<Pace>,
    state: State,
}

/// The part of a frame that is written next.
enum Outgoing {
    /// The header, of which these bytes have come.
    Header(Vec<u8>),
    /// The rest of the payload.
    Payload {
        opcode: OpCode,
        /// In bytes.
        left: u64,
        /// True once a part of it was written.
        begun: bool,
    },
}

/// The least time between two messages.
struct Pace {
    interval: Duration,
    /// Runs until the next message may be written.
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A close was written. Nothing more is read.
    Closing,
    /// The peer was told the end of the stream.
    Closed,
}

impl<S> ValueStream<S> {
    /// `pace` is the least time between two messages to the peer.
    pub(super) fn new(stream: S, pace: Option<Duration>) -> Self {
        let pace =
            pace.map(|interval| Pace { interval, timer: Box::pin(sleep_until(Instant::now())) });
        Self {
            stream,
            framing: Framing::default(),
            frames: BytesMut::new(),
            reader: None,
            outgoing: Outgoing::Header(Vec::new()),
            pace,
            state: State::Open,
        }
    }

    /// Handles the end of a frame that was written.
    fn written(&mut self, opcode: OpCode) {
        self.outgoing = Outgoing::Header(Vec::new());
        match opcode {
            OpCode::Control(Control::Ping) => put_pong(&mut self.frames),
            OpCode::Control(Control::Close) => {
                self.frames = BytesMut::new();
                self.state = State::Closing;
            }
            OpCode::Control(_) => return,
            OpCode::Data(_) => {
                if let Some(Pace { interval, timer }) = &mut self.pace {
                    timer.as_mut().reset(Instant::now() + *interval);
                }
                return;
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ValueStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.frames.is_empty() {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(context, &mut read)
            else {
                this.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            result?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if this.state == State::Open {
                this.framing.push(read.filled(), &mut this.frames);
            }
        }
        let length = this.frames.len().min(buffer.remaining());
        buffer.put_slice(&this.frames[..length]);
        this.frames.advance(length);
        if this.frames.is_empty() {
            // An idle connection keeps no memory for it.
            this.frames = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> ValueStream<S> {
    /// Writes a part of a message.
    fn poll_payload(
        &mut self,
        context: &mut Context<'_>,
        begun: bool,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let (Some(pace), false) = (&mut self.pace, begun) {
            ready!(pace.timer.as_mut().poll(context));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Takes the next part of a frame. Ready with the number of bytes that were taken.
    fn poll_part(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (opcode, left, taken) = match &mut self.outgoing {
            Outgoing::Header(header) => {
                header.extend_from_slice(&bytes[..1]);
                let parsed = FrameHeader::parse(&mut Cursor::new(&header[..]));
                match parsed.map_err(io::Error::other)? {
                    Some((frame, length)) => (frame.opcode, length, 1),
                    None => return Poll::Ready(Ok(1)),
                }
            }
            Outgoing::Payload { opcode, left, begun } => {
                let (opcode, left, begun) = (*opcode, *left, *begun);
                let most = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let taken = match opcode {
                    OpCode::Control(_) => most,
                    OpCode::Data(_) => ready!(self.poll_payload(context, begun, &bytes[..most]))?,
                };
                (opcode, left - taken as u64, taken)
            }
        };
        if left == 0 {
            self.written(opcode);
        } else {
            let begun = matches!(self.outgoing, Outgoing::Payload { .. });
            self.outgoing = Outgoing::Payload { opcode, left, begun };
        }
        Poll::Ready(Ok(taken))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ValueStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut taken = 0;
        while taken < bytes.len() {
            match this.poll_part(context, &bytes[taken..]) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(part)) => taken += part,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state == State::Closing {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.state = State::Closed;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::settle;
    use futures_util::{FutureExt, SinkExt, StreamExt};
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Socket<S> = WebSocketStream<ValueStream<S>>;

    async fn socket<S: AsyncRead + AsyncWrite + Unpin>(
        stream: S,
        pace: Option<Duration>,
    ) -> Socket<S> {
        let stream = ValueStream::new(stream, pace);
        WebSocketStream::from_raw_socket(stream, Role::Server, None).await
    }

    /// The time of a write, and its bytes.
    type Write = (Instant, Vec<u8>);

    /// A stream that takes at most so many bytes at once, and notes each write.
    struct Recorder {
        most: usize,
        writes: Arc<Mutex<Vec<Write>>>,
    }

    impl AsyncRead for Recorder {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Recorder {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let length = bytes.len().min(self.most);
            self.writes.lock().unwrap().push((Instant::now(), bytes[..length].to_vec()));
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The bytes of these texts as a server's messages.
    fn frames(texts: &[&str]) -> Vec<u8> {
        let text = |text: &&str| {
            crate::write_buffer::encode(tolmach_dialect::Frame::text(text.to_string()))
        };
        texts.iter().flat_map(text).collect()
    }

    #[tokio::test]
    async fn each_message_is_one_write_however_its_frame_is_divided() {
        let long = "x".repeat(70_000);
        let texts = ["{\"a\":1}", "", "{}", &long, "{\"b\":2}"];
        let expected: Vec<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
        let bytes = frames(&texts);
        let writes = Arc::<Mutex<_>>::default();
        let recorder = Recorder { most: usize::MAX, writes: writes.clone() };
        ValueStream::new(recorder, None).write_all(&bytes).await.unwrap();
        let whole: Vec<_> = writes.lock().unwrap().drain(..).map(|(_, bytes)| bytes).collect();
        assert_eq!(whole, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        for (most, chunk) in [(1, 1000), (usize::MAX, 1), (3, 7)] {
            let recorder = Recorder { most, writes: writes.clone() };
            let mut stream = ValueStream::new(recorder, None);
            for chunk in bytes.chunks(chunk) {
                stream.write_all(chunk).await.unwrap();
            }
            let written: Vec<u8> =
                writes.lock().unwrap().drain(..).flat_map(|(_, bytes)| bytes).collect();
            assert_eq!(written, expected.concat().as_bytes(), "{most} {chunk}");
        }
    }

    #[tokio::test]
    async fn messages_keep_their_distance_and_the_parts_of_one_do_not() {
        const PACE: Duration = Duration::from_millis(5);
        let writes = Arc::<Mutex<_>>::default();
        let recorder = Recorder { most: 4, writes: writes.clone() };
        let mut stream = ValueStream::new(recorder, Some(PACE));
        stream.write_all(&frames(&["abcdef", "ghi", "jkl"])).await.unwrap();
        let writes = writes.lock().unwrap();
        let written: Vec<&[u8]> = writes.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(written, [&b"abcd"[..], b"ef", b"ghi", b"jkl"]);
        let distance = |index: usize| writes[index].0 - writes[index - 1].0;
        assert!(distance(2) >= PACE && distance(3) >= PACE, "{:?}", [distance(2), distance(3)]);
    }

    #[tokio::test]
    async fn a_ping_is_answered_here_and_the_peer_sees_none() {
        let (ours, mut peer) = duplex(1 << 10);
        let mut socket = socket(ours, None).await;
        socket.send(Message::Ping("".into())).await.unwrap();
        let pong = socket.next().now_or_never();
        assert!(matches!(pong, Some(Some(Ok(Message::Pong(_))))), "{pong:?}");
        socket.send(Message::text("{}")).await.unwrap();
        let mut received = [0; 16];
        let length = peer.read(&mut received).await.unwrap();
        assert_eq!(&received[..length], b"{}");
        peer.write_all(b"{}").await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("{}"));
    }

    #[tokio::test]
    async fn a_ping_wakes_a_task_that_reads() {
        let (ours, _peer) = duplex(1 << 10);
        let (mut reader, mut writer) = tokio::io::split(ValueStream::new(ours, None));
        let reading = tokio::spawn(async move { reader.read_u8().await });
        settle().await;
        writer.write_all(&[0x89, 0]).await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), 0x8a, "a pong");
    }

    #[tokio::test]
    async fn a_close_ends_the_stream_and_discards_what_the_peer_still_sends() {
        let (ours, mut peer) = duplex(1 << 10);
        let mut socket: Socket<DuplexStream> = socket(ours, None).await;
        peer.write_all(b"{}{\"unfinished").await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("{}"));
        socket.send(Message::text("{\"last\":1}")).await.unwrap();
        socket.close(None).await.unwrap();
        let mut received = Vec::new();
        peer.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"{\"last\":1}");
        peer.write_all(b"{}{}{}").await.unwrap();
        assert!(socket.next().now_or_never().is_none(), "the peer has not closed");
        drop(peer);
        assert!(!matches!(socket.next().await, Some(Ok(_))));
    }
}
