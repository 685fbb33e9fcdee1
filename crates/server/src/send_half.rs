//! The sending half of one connection: it turns events into bytes on the connection's socket.
//!
//! An event of a large flow costs each subscriber hardly more than one `write`. Waking the task of
//! each of them for that takes longer than everything else together, so that a task that waits for
//! its peer parks its sending half in its send queue, and the publishing tasks write by it.

use crate::broadcast::{Broadcast, EventForm};
use crate::recording::Recording;
use crate::served_dialect::ServedDialect;
use crate::stream::Writer;
use crate::write_buffer::{WriteBuffer, encode};
use bytes::Buf;
use std::sync::Arc;
use tolmach_dialect::{Close, Delivery, ServerSession, Subscription};

/// The sending half of one connection.
pub(crate) struct SendHalf {
    dialect: Arc<ServedDialect>,
    pub(crate) session: Box<dyn ServerSession>,
    /// The events that the session receives.
    pub(crate) subscription: Subscription,
    /// The frames that are written next.
    pub(crate) buffer: WriteBuffer,
    /// The most bytes of events that may wait in the buffer.
    bound: usize,
    /// The socket's writing half for others than the connection's task; `None` where the transport
    /// has none.
    pub(crate) writer: Option<Writer>,
    /// The close that an event caused while the sending half was parked.
    pub(crate) close: Option<Close>,
    /// Takes copies of the frames, where the connection is recorded.
    pub(crate) recording: Option<Recording>,
}

impl SendHalf {
    /// The sending half of a session. `bound` is the most bytes of encoded events that may wait.
    pub(crate) fn new(
        dialect: Arc<ServedDialect>,
        session: Box<dyn ServerSession>,
        bound: usize,
    ) -> Self {
        Self {
            dialect,
            session,
            subscription: Subscription::None,
            buffer: WriteBuffer::default(),
            bound,
            writer: None,
            close: None,
            recording: None,
        }
    }

    /// Goes on with another value of the same dialect.
    pub(crate) fn set_dialect(&mut self, dialect: Arc<ServedDialect>) {
        self.dialect = dialect;
    }

    /// Encodes an event of a flow, if it is of the subscription. Returns the close that it causes.
    pub(crate) fn deliver(&mut self, broadcast: &Broadcast) -> Option<Close> {
        // Of all flows, the hub gives only those that the user is in.
        if self.subscription.covers(broadcast.event()) { self.deliver_any(broadcast) } else { None }
    }

    /// Encodes an event whatever the subscription: the end of the connection's own sessions.
    /// Returns the close that it causes.
    pub(crate) fn deliver_any(&mut self, broadcast: &Broadcast) -> Option<Close> {
        let Ok(EventForm { event, context }) = broadcast.form(&self.dialect) else {
            // The client finds the event in the history when it comes back.
            return Some(Close::new(1013, "the ids of an event are not known"));
        };
        match self.session.deliver(event, &context) {
            Delivery::Skip => {}
            Delivery::Shared(variant) => {
                if let Some(frame) = broadcast.frame(&self.dialect, variant) {
                    if let Some(recording) = &mut self.recording {
                        recording.sent_encoded(&frame, broadcast.event().name());
                    }
                    self.buffer.push_event(frame);
                }
            }
            Delivery::Private(frames) => {
                for frame in frames {
                    if let Some(recording) = &mut self.recording {
                        recording.sent(&frame, Some(broadcast.event().name()));
                    }
                    self.buffer.push_private_event(encode(frame));
                }
            }
            Delivery::Close(close) => return Some(close),
        }
        None
    }

    /// True if more encoded events wait behind the one that is written next than the bound allows.
    pub(crate) fn is_over_bound(&self) -> bool {
        self.buffer.waiting_event_bytes() > self.bound
    }

    /// True if nothing is left that only the connection's task can do.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_some() && self.buffer.is_empty() && self.close.is_none()
    }

    /// Encodes events and writes as much as the socket takes at once. Stops at an event that closes
    /// the connection, and where the socket takes less than the bound requires: the rest of
    /// `events` is left to the connection's task. Returns whether nothing is left to it.
    pub(crate) fn flush_inline(&mut self, events: &mut Vec<Arc<Broadcast>>) -> bool {
        let mut processed = 0;
        for broadcast in events.iter() {
            processed += 1;
            self.close = self.deliver(broadcast);
            if self.close.is_some() {
                break;
            }
            if self.is_over_bound() {
                self.write_inline();
                if self.is_over_bound() {
                    break;
                }
            }
        }
        events.drain(..processed);
        self.write_inline();
        events.is_empty() && self.is_idle()
    }

    /// Writes what the socket takes at once. Returns whether nothing is left.
    pub(crate) fn write_inline(&mut self) -> bool {
        if let (Some(writer), false) = (&self.writer, self.buffer.is_empty()) {
            let before = (self.buffer.len(), self.buffer.remaining());
            // The connection's task, which writes the rest, meets any error again.
            let _ = self.buffer.try_write_to((**writer).as_ref());
            self.count_written(before);
        }
        self.buffer.is_empty()
    }

    /// Counts the frames and bytes that were written since the buffer held `before` of them.
    pub(crate) fn count_written(&self, (frames, bytes): (usize, usize)) {
        let metrics = &self.dialect.metrics;
        metrics.frames_out.increment((frames - self.buffer.len()) as u64);
        metrics.bytes_out.increment((bytes - self.buffer.remaining()) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backlog::{Backlogs, FlowBacklog};
    use crate::stream::Stream;
    use crate::test_support::{served, toy};
    use tokio::net::{TcpListener, TcpStream};
    use tolmach_dialect::Handshake;
    use tolmach_domain::{
        ConnectionId, Content, Event, EventKind, FlowId, FlowKind, Message, MessageId, Timestamp,
        UserId, UserSummary,
    };

    fn flow(number: i64) -> FlowId {
        FlowId::new(number).unwrap()
    }

    fn posted(flow: FlowId, text: &str) -> Arc<Broadcast> {
        let author = UserSummary::named(UserId::new(1).unwrap(), "ann");
        let (id, time) = (MessageId::new(1).unwrap(), Timestamp::default());
        let content = Content::text(text);
        let message = Message::new(id, (flow, FlowKind::Group), author, content, time);
        let event = Arc::new(Event::new(time, EventKind::Posted(message)));
        let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
        Arc::new(Broadcast::of_flow(event, None, &backlog))
    }

    fn send_half(subscription: Subscription, bound: usize) -> SendHalf {
        let dialect = served(toy());
        let session = dialect.dialect.accept(&Handshake::new(ConnectionId(1))).unwrap();
        let mut send_half = SendHalf::new(dialect, session, bound);
        send_half.subscription = subscription;
        send_half
    }

    /// A socket that takes nothing more, and its peer.
    async fn full_socket() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = Stream::new(listener.accept().await.unwrap().0);
        let writer = stream.writer();
        writer.writable().await.unwrap();
        while (*writer).as_ref().try_write(&[0; 1 << 16]).is_ok() {}
        (stream, peer)
    }

    #[test]
    fn only_events_of_the_subscription_are_delivered() {
        let (one, other) = (posted(flow(1), "hello"), posted(flow(2), "hello"));
        for (subscription, expected) in [
            (Subscription::None, [0, 0]),
            (Subscription::Flow(flow(1)), [1, 0]),
            (Subscription::AllFlows, [1, 1]),
        ] {
            let mut send_half = send_half(subscription, 1 << 20);
            let delivered = [&one, &other].map(|broadcast| {
                let before = send_half.buffer.len();
                assert_eq!(send_half.deliver(broadcast), None);
                send_half.buffer.len() - before
            });
            assert_eq!(delivered, expected, "{subscription:?}");
        }
    }

    #[tokio::test]
    async fn a_publisher_encodes_up_to_the_bound_and_leaves_the_rest_to_the_task() {
        let broadcast = posted(flow(1), &"x".repeat(20_000));
        let frame = broadcast.frame(&served(toy()), Default::default()).unwrap().len();
        let (stream, _peer) = full_socket().await;
        // The first of ten frames is written next, and nine wait.
        for (name, bound, encoded) in [
            ("at the bound", 9 * frame, 10),
            ("one byte less", 9 * frame - 1, 10),
            ("one frame less", 8 * frame, 10),
            ("two frames less", 7 * frame, 9),
            ("none may wait", 0, 2),
        ] {
            let mut send_half = send_half(Subscription::AllFlows, bound);
            send_half.writer = Some(stream.writer());
            let mut events = vec![broadcast.clone(); 10];
            assert!(!send_half.flush_inline(&mut events), "{name}");
            assert_eq!(send_half.buffer.remaining(), encoded * frame, "{name}");
            assert_eq!(events.len(), 10 - encoded, "{name}");
            assert_eq!(send_half.is_over_bound(), bound < 9 * frame, "{name}");
        }
    }

    #[tokio::test]
    async fn events_that_the_session_skips_fill_nothing() {
        let (stream, _peer) = full_socket().await;
        let mut send_half = send_half(Subscription::AllFlows, 1);
        send_half.writer = Some(stream.writer());
        let frame = tolmach_dialect::Frame::text("mute");
        send_half.session.decode(Timestamp::default(), &frame, &mut Vec::new()).unwrap();
        let mut events = vec![posted(flow(1), &"x".repeat(10_000)); 1000];
        assert!(send_half.flush_inline(&mut events), "nothing is left");
        assert!(!send_half.is_over_bound());
    }
}
