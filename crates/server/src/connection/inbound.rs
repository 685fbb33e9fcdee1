//! The bytes that come from the peer of a WebSocket, looked at before the WebSocket reads them.
//!
//! The WebSocket itself allocates as much as a frame announces, knows one bound for a message from
//! its beginning to its end, and returns nothing before a message is complete. This stream below it
//! reads the headers of frames (RFC 6455 section 5.2) and lets a frame pass only when
//!
//! - the rate of frames allows it, whatever the frame is: a message, a fragment, a ping;
//! - its message is within the bound that applies now;
//! - the budget has room for what it announces.
//!
//! A large frame passes as several fragments, because the WebSocket keeps a buffer as large as the
//! largest frame that it has read for as long as the connection lasts.
//!
//! A frame that does not pass stays here with everything behind it. The WebSocket has then read
//! all that precedes it, so that a bound that a login raises applies to the very next message.

use crate::memory_budget::{Account, Reservation};
use crate::state::ServerState;
use crate::traffic::TrafficMeter;
use bytes::{Buf, BytesMut};
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::io::{self, Cursor, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest header of a frame, in bytes.
const HEADER: usize = 14;
/// The longest payload of a control frame, in bytes. RFC 6455 section 5.5.
const CONTROL_PAYLOAD: u64 = 125;

/// The most bytes of payload that pass as one frame. A mask repeats every 4 bytes, so that it is
/// the same for every fragment.
const FRAGMENT: u64 = 2 << 10;
/// The size of the buffer that refused bytes are read into, in bytes.
const DISCARD_BUFFER: usize = 4 << 10;
/// The part of its task's turn that a read takes: a task ends its turn after 16 reads.
const TURN_OF_READ: usize = 128 / 16;

/// The stream below a WebSocket.
pub(crate) struct Inbound<S> {
    stream: S,
    /// Bytes that were read and have not passed yet; the first is the first of a header.
    held: BytesMut,
    /// The header of a fragment, which passes first.
    head: Vec<u8>,
    /// The bytes of the frame or fragment that passes, that have not passed yet.
    passing: u64,
    /// The rest of a large frame.
    fragments: Option<Box<Fragments>>,
    message: MessageInProgress,
    /// The largest message that may come now, in bytes.
    bound: usize,
    message_timeout: Duration,
    /// The bytes that the message in progress holds.
    reservation: Reservation,
    frames: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    traffic: TrafficMeter,
    /// Nothing is read before then, because the peer sent too fast.
    paused_until: Option<Instant>,
    /// The reason why nothing is read any more.
    refusal: Option<Refusal>,
}

/// The rest of a large frame, which passes as fragments.
struct Fragments {
    /// The header of the frame, and after the first fragment that of a continuation.
    header: FrameHeader,
    /// The bytes of payload of the fragments that are still to come.
    left: u64,
}

/// The message whose frames pass.
#[derive(Default)]
struct MessageInProgress {
    /// The bytes that its frames announced so far.
    bytes: usize,
    /// True if more frames of it will come.
    unfinished: bool,
    /// The time by which all of it must have come; `None` if it has.
    deadline: Option<Instant>,
}

/// The reason why a frame does not pass, and nothing behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its message is larger than the bound.
    TooLarge,
    /// It is a control frame that is larger than they may be.
    LargeControlFrame,
    /// The budget has no room for it.
    OverBudget,
}

impl<S> Inbound<S> {
    /// The stream of a new WebSocket of a client at `address`. `unread` are the bytes that were
    /// read from it already.
    pub(crate) fn new(state: &ServerState, address: IpAddr, stream: S, unread: &[u8]) -> Self {
        let limits = &state.limits;
        let frames = Quota::per_second(limits.frames_per_second).allow_burst(limits.frame_burst);
        Self {
            stream,
            held: BytesMut::from(unread),
            head: Vec::new(),
            passing: 0,
            fragments: None,
            message: MessageInProgress::default(),
            bound: limits.max_first_frame_bytes,
            message_timeout: limits.message_timeout,
            reservation: state.memory.open(address).reservation(),
            frames: RateLimiter::direct_with_clock(frames, MonotonicClock),
            traffic: TrafficMeter::new(state.traffic.clone(), address),
            paused_until: None,
            refusal: None,
        }
    }

    /// The account of the connection.
    pub(super) fn account(&self) -> &Arc<Account> {
        self.reservation.account()
    }

    pub(super) fn traffic(&mut self) -> &mut TrafficMeter {
        &mut self.traffic
    }

    /// Sets the largest message that may come from now on, in bytes.
    pub(super) fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
    }

    /// The reason why nothing is read any more.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// The time at which the stream has to be polled again, or the deadline is over.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let times = [self.paused_until, self.message.deadline];
        times.into_iter().flatten().min()
    }

    /// The time by which the rest of a message must have come, if one was begun.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.message.deadline
    }

    /// Gives a message that was begun its full time again, because it could not be read.
    pub(super) fn prolong(&mut self) {
        if let Some(deadline) = &mut self.message.deadline {
            *deadline = Instant::now() + self.message_timeout;
        }
    }

    /// A message has been taken from the WebSocket: unless the next was begun, nothing is held.
    pub(super) fn message_taken(&mut self) {
        if self.message.deadline.is_none() {
            // Releasing cannot fail.
            let _ = self.reservation.resize(0);
        }
    }

    /// Stops reading for a while.
    fn pause(&mut self, time: Duration) {
        self.paused_until = Some(Instant::now() + time);
    }

    /// Stops reading for a while, because of bytes that came too fast. They bring a message to its
    /// end or to its bound, so that its deadline may move; empty frames do not.
    fn pause_bytes(&mut self, time: Duration) {
        self.pause(time);
        if let Some(deadline) = &mut self.message.deadline {
            *deadline += time;
        }
    }

    /// Looks at bytes that come next. Returns how many of them pass, and how many behind them are
    /// left out. The rest may hold an incomplete header, or a frame that has to wait or is refused.
    fn inspect(&mut self, bytes: &[u8]) -> (usize, usize) {
        let (mut passed, mut left_out) = (0, 0);
        loop {
            let rest = &bytes[passed..];
            let part = usize::try_from(self.passing).map_or(rest.len(), |it| it.min(rest.len()));
            self.passing -= part as u64;
            passed += part;
            if passed == bytes.len() || self.fragments.is_some() {
                break;
            }
            let mut header = Cursor::new(&bytes[passed..]);
            match FrameHeader::parse(&mut header) {
                Ok(Some((frame, length))) if self.admit(&frame, length) => {
                    if length > FRAGMENT {
                        left_out = header.position() as usize;
                        self.fragments = Some(Box::new(Fragments { header: frame, left: length }));
                        break;
                    }
                    self.passing = length + header.position();
                }
                Ok(_) => break,
                // Passes with everything behind it: the WebSocket knows the error.
                Err(_) => self.passing = u64::MAX,
            }
        }
        self.note_progress();
        if passed > 0 {
            // Decided when what precedes the frame has been handled: it may raise the bound.
            self.refusal = None;
        }
        (passed, left_out)
    }

    /// Lets the next fragment of a large frame pass.
    fn begin_fragment(&mut self) {
        let Some(Fragments { header, left }) = self.fragments.as_deref_mut() else { return };
        let bytes = FRAGMENT.min(*left);
        *left -= bytes;
        let is_last = *left == 0;
        let mut of_fragment = header.clone();
        of_fragment.is_final &= is_last;
        header.opcode = OpCode::Data(Data::Continue);
        self.head = Vec::with_capacity(HEADER);
        of_fragment.format(bytes, &mut self.head).expect("a vector takes all bytes");
        self.passing = bytes;
        if is_last {
            self.fragments = None;
        }
    }

    /// Notes whether the message in progress has come completely.
    fn note_progress(&mut self) {
        let begun = self.message.unfinished || self.passing > 0 || self.fragments.is_some();
        if !begun {
            self.message.deadline = None;
        } else if self.message.deadline.is_none() {
            self.message.deadline = Some(Instant::now() + self.message_timeout);
        }
    }

    /// Returns whether a frame may pass now.
    fn admit(&mut self, frame: &FrameHeader, length: u64) -> bool {
        let (refusal, bytes) = match frame.opcode {
            OpCode::Control(_) => {
                ((length > CONTROL_PAYLOAD).then_some(Refusal::LargeControlFrame), 0)
            }
            OpCode::Data(_) => {
                let before = if self.message.unfinished { self.message.bytes } else { 0 };
                let bytes = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(before);
                (self.refusal_of(bytes), bytes)
            }
        };
        if refusal.is_some() {
            self.refusal = refusal;
            return false;
        }
        if let Some(time) = self.traffic.count_frame() {
            self.pause(time);
            return false;
        }
        if let Err(not_until) = self.frames.check() {
            crate::metrics::reading_paused("frames");
            self.pause(not_until.wait_time_from(MonotonicClock.now()));
            return false;
        }
        if !self.message.unfinished {
            self.message.deadline = None;
        }
        if let OpCode::Data(_) = frame.opcode {
            self.message.bytes = bytes;
            self.message.unfinished = !frame.is_final;
        }
        true
    }

    /// The reason to refuse a message that has so many bytes so far.
    fn refusal_of(&mut self, bytes: usize) -> Option<Refusal> {
        if bytes > self.bound {
            return Some(Refusal::TooLarge);
        }
        self.reservation.resize(bytes).err().map(|_| Refusal::OverBudget)
    }

    /// Ready unless nothing may be read now.
    fn poll_allowed(&mut self) -> Poll<io::Result<()>> {
        if self.refusal.is_some() {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return Poll::Pending;
        }
        self.paused_until = None;
        if let Some(time) = self.traffic.pause() {
            self.pause_bytes(time);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Inbound<S> {
    /// Drops what was refused, and everything that still comes, up to the end of the stream. While
    /// as many peers are being drained as may be at a time, nothing is read: this waits for a turn
    /// until the caller's timeout.
    pub(super) async fn discard(&mut self) {
        self.held = BytesMut::new();
        let _turn = self.traffic.discard_turn().await;
        let mut bytes = vec![0; DISCARD_BUFFER];
        while self.stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
            yield_now().await;
        }
    }

    /// Reads from the stream, within a large frame no more than a fragment. Ready with false at the
    /// end of the stream.
    fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let mut most = buffer.remaining();
        if self.fragments.is_some() {
            most = usize::try_from(self.passing).map_or(most, |passing| passing.min(most));
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        end_turn_early(context);
        self.count(read);
        Poll::Ready(Ok(read > 0))
    }

    /// Reads more of an incomplete header. Ready with false at the end of the stream.
    fn poll_header(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; HEADER];
        let mut buffer = ReadBuf::new(&mut bytes[..HEADER - self.held.len().min(HEADER - 1)]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        self.held.extend_from_slice(read);
        self.count(read.len());
        Poll::Ready(Ok(!read.is_empty()))
    }

    /// Counts bytes that were read.
    fn count(&mut self, bytes: usize) {
        if let Some(time) = self.traffic.count(bytes) {
            self.pause_bytes(time);
        }
    }
}

/// Has a read count as several towards the end of the task's turn: among thousands of peers who
/// send without a pause, a turn of as many reads as tasks have would keep everybody waiting.
fn end_turn_early(context: &mut Context<'_>) {
    for _ in 1..TURN_OF_READ {
        // At its end the task is woken again, and the next read waits.
        match poll_proceed(context) {
            Poll::Ready(turn) => turn.made_progress(),
            Poll::Pending => return,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    /// Reads what passes. Pending without a waker while reading is paused.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buffer.filled().len();
        loop {
            ready!(this.poll_allowed())?;
            if this.passing == 0 {
                this.begin_fragment();
            }
            if !this.head.is_empty() {
                let length = this.head.len().min(buffer.remaining());
                buffer.put_slice(&this.head[..length]);
                this.head.drain(..length);
                if this.head.is_empty() {
                    this.head = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                if !ready!(this.poll_stream(context, buffer))? {
                    return Poll::Ready(Ok(()));
                }
                let (passed, left_out) = this.inspect(&buffer.filled()[start..]);
                this.held.extend_from_slice(&buffer.filled()[start + passed + left_out..]);
                buffer.set_filled(start + passed);
            } else {
                let held = this.held.split();
                let (passed, left_out) = this.inspect(&held[..held.len().min(buffer.remaining())]);
                buffer.put_slice(&held[..passed]);
                if passed + left_out < held.len() {
                    this.held = held;
                    this.held.advance(passed + left_out);
                } else {
                    // An idle connection keeps no memory for it.
                    this.held = BytesMut::new();
                }
            }
            if buffer.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
            // A large frame begins, a frame has to wait or is refused, or a header is incomplete.
            let is_decided =
                this.fragments.is_some() || this.refusal.is_some() || this.paused_until.is_some();
            if !is_decided && !ready!(this.poll_header(context))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::test_support::{TestServer, toy};
    use futures_util::{FutureExt, SinkExt, StreamExt};
    use std::num::NonZeroU32;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    const BOUND: usize = 1000;
    const TEXT: u8 = 0x81;
    const BEGIN: u8 = 0x01;
    const MIDDLE: u8 = 0x00;
    const LAST: u8 = 0x80;
    const PING: u8 = 0x89;

    /// A masked frame with this first byte.
    fn frame(first: u8, bytes: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match u16::try_from(bytes) {
            Ok(short @ 0..=125) => frame.push(0x80 | short as u8),
            Ok(medium) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&medium.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(bytes as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.resize(frame.len() + bytes, b'x');
        frame
    }

    async fn inbound<S>(limits: Limits, stream: S, unread: &[u8]) -> Inbound<S> {
        let limits = Limits { max_first_frame_bytes: BOUND, ..limits };
        let server = TestServer::new(toy(), limits).await;
        Inbound::new(&server.state, [127, 0, 0, 1].into(), stream, unread)
    }

    /// Everything that passes at once.
    fn read<S: AsyncRead + Unpin>(inbound: &mut Inbound<S>) -> Vec<u8> {
        let mut read = Vec::new();
        let mut buffer = [0; 64];
        while let Some(Ok(length @ 1..)) = inbound.read(&mut buffer).now_or_never() {
            read.extend_from_slice(&buffer[..length]);
        }
        read
    }

    /// A stream that gives so many bytes at once.
    async fn in_pieces(bytes: Vec<u8>, size: usize) -> DuplexStream {
        let (ours, mut theirs) = duplex(size);
        tokio::spawn(async move { theirs.write_all(&bytes).await });
        ours
    }

    #[tokio::test]
    async fn frames_within_the_bounds_pass_unchanged_however_they_are_split() {
        let bytes = [
            frame(TEXT, 0),
            frame(TEXT, BOUND),
            frame(BEGIN, 400),
            frame(PING, 125),
            frame(MIDDLE, 0),
            frame(LAST, 600),
            frame(TEXT, 126),
        ]
        .concat();
        for size in [1, 2, 3, 7, 13, 14, 15, 64, 1000, 4000] {
            for unread in [0, 1, 5, 9, 1100, bytes.len()] {
                let (unread, rest) = bytes.split_at(unread);
                let stream = in_pieces(rest.to_vec(), size).await;
                let mut inbound = inbound(Limits::default(), stream, unread).await;
                let mut passed = Vec::new();
                inbound.read_to_end(&mut passed).await.unwrap();
                assert_eq!(passed, bytes, "{size} {}", unread.len());
                assert_eq!((inbound.deadline(), inbound.refusal()), (None, None));
            }
        }
    }

    #[tokio::test]
    async fn a_message_past_the_bound_is_refused_before_any_of_its_payload() {
        let announced = |bytes: usize| frame(TEXT, bytes)[..14].to_vec();
        let refused = |refusal| (0, Some(refusal));
        for (name, bytes, expected) in [
            ("at the bound", frame(TEXT, BOUND), (1008, None)),
            ("past it", frame(TEXT, BOUND + 1), refused(Refusal::TooLarge)),
            ("announced", announced(1 << 20), refused(Refusal::TooLarge)),
            (
                "in fragments",
                [frame(BEGIN, BOUND), frame(MIDDLE, 0), frame(LAST, 1)].concat(),
                (1014, Some(Refusal::TooLarge)),
            ),
            ("a ping", frame(PING, 126), refused(Refusal::LargeControlFrame)),
        ] {
            let mut inbound = inbound(Limits::default(), &*bytes, &[]).await;
            let passed = read(&mut inbound);
            assert_eq!((passed.len(), inbound.refusal()), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_bound_that_was_raised_applies_to_the_next_message_that_came_already() {
        let bytes = [frame(TEXT, 10), frame(TEXT, BOUND + 1)].concat();
        let mut inbound = inbound(Limits::default(), &*bytes, &[]).await;
        let mut buffer = [0; 64];
        assert_eq!(inbound.read(&mut buffer).await.unwrap(), 16, "only the first passes");
        assert_eq!(inbound.refusal(), None);
        inbound.set_bound(BOUND + 1);
        assert_eq!(read(&mut inbound).len(), BOUND + 9);
        assert_eq!(inbound.refusal(), None);
    }

    #[tokio::test]
    async fn wire_frames_of_every_kind_count_and_the_stream_pauses() {
        let one = NonZeroU32::MIN;
        let limits = Limits {
            frames_per_second: one,
            frame_burst: NonZeroU32::new(4).unwrap(),
            ..Limits::default()
        };
        let bytes = [frame(BEGIN, 0), frame(MIDDLE, 0), frame(PING, 0), frame(MIDDLE, 0)].concat();
        let more = frame(MIDDLE, 0).repeat(100);
        let all = [bytes.clone(), more].concat();
        let mut inbound = inbound(limits, &*all, &[]).await;
        assert_eq!(read(&mut inbound), bytes);
        assert!(inbound.next_time().is_some_and(|time| time > Instant::now()));
        assert_eq!(inbound.refusal(), None);
    }

    #[tokio::test]
    async fn a_begun_message_has_one_deadline_that_control_frames_do_not_prolong() {
        let begun = frame(BEGIN, 10);
        let (mut ours, theirs) = duplex(1 << 16);
        let mut inbound = inbound(Limits::default(), theirs, &[]).await;
        ours.write_all(&begun).await.unwrap();
        read(&mut inbound);
        let deadline = inbound.deadline().unwrap();
        for bytes in [frame(PING, 3), frame(MIDDLE, 5), frame(PING, 3)[..4].to_vec()] {
            ours.write_all(&bytes).await.unwrap();
            read(&mut inbound);
            assert_eq!(inbound.deadline(), Some(deadline));
        }
        ours.write_all(&frame(PING, 3)[4..]).await.unwrap();
        ours.write_all(&frame(LAST, 1)).await.unwrap();
        ours.write_all(&frame(TEXT, 5)[..7]).await.unwrap();
        read(&mut inbound);
        assert!(inbound.deadline().is_some_and(|next| next > deadline), "the next message has one");
        ours.write_all(&frame(TEXT, 5)[7..]).await.unwrap();
        read(&mut inbound);
        assert_eq!(inbound.deadline(), None);
    }

    #[tokio::test]
    async fn a_message_holds_what_it_announced_until_it_is_taken() {
        let held = |kib: usize| kib << 10;
        let limits = Limits { memory_bytes_per_connection: held(10), ..Limits::default() };
        let bytes = [frame(BEGIN, held(6)), frame(MIDDLE, held(4)), frame(LAST, 1)].concat();
        let mut inbound = inbound(limits, &*bytes, &[]).await;
        inbound.set_bound(1 << 20);
        assert!(inbound.account().reserve(held(10)).is_ok());
        // In fragments, each with a header of its own.
        let passed = |kib: usize| (kib << 10) + kib / 2 * 8;
        assert_eq!(read(&mut inbound).len(), passed(6) + passed(4), "as much as fits");
        assert_eq!(inbound.refusal(), Some(Refusal::OverBudget));
        assert!(inbound.account().reserve(1).is_err());
        let whole = frame(TEXT, held(10));
        let mut inbound = self::inbound(
            Limits { memory_bytes_per_connection: held(10), ..Limits::default() },
            &*whole,
            &[],
        )
        .await;
        inbound.set_bound(1 << 20);
        assert_eq!(read(&mut inbound).len(), passed(10));
        assert!(inbound.account().reserve(1).is_err());
        inbound.message_taken();
        assert!(inbound.account().reserve(held(10)).is_ok());
    }

    #[tokio::test]
    async fn large_messages_arrive_as_they_were_sent() {
        let fragment = FRAGMENT as usize;
        let sizes = [0, 1, fragment - 1, fragment, fragment + 1, 2 * fragment, 100_001];
        let messages: Vec<_> = sizes
            .into_iter()
            .flat_map(|size| {
                // Characters of 3 bytes, so that fragments end within them.
                let text = "\u{20ac}".repeat(size / 3);
                [Message::text(text), Message::Ping("ping".into()), Message::binary(vec![7; size])]
            })
            .collect();
        for size in [1, 7, 64, 1 << 10, 1 << 20] {
            let (ours, theirs) = duplex(size);
            let mut inbound = inbound(Limits::default(), ours, &[]).await;
            inbound.set_bound(1 << 20);
            let config = Some(WebSocketConfig::default().read_buffer_size(1 << 10));
            let mut server = WebSocketStream::from_raw_socket(inbound, Role::Server, config).await;
            let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
            let sent = messages.clone();
            let (_, received) = tokio::join!(
                async {
                    for message in sent {
                        client.send(message).await.unwrap();
                    }
                    while let Some(Ok(_)) = client.next().now_or_never().flatten() {}
                },
                async {
                    let mut received = Vec::new();
                    while received.len() < messages.len() {
                        received.push(server.next().await.unwrap().unwrap());
                        server.get_mut().message_taken();
                    }
                    received
                }
            );
            assert!(received == messages, "{size}");
            assert_eq!(server.get_ref().deadline(), None);
        }
    }
}
