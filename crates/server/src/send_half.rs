//! What turns what a connection is told into bytes on its socket: its task, or, while that waits,
//! whoever tells it.
//!
//! A message to a room has hardly any work for each who hears it but the write to their socket.
//! Waking the task of each of them for that takes longer than everything else together, so that a
//! task that waits for its peer leaves its voice with its outbox.

use crate::broadcast::Broadcast;
use crate::doors::Entry;
use crate::gateway::Gateway;
use crate::outgoing::{Outgoing, encode};
use crate::stream::Writer;
use bytes::Buf;
use std::sync::Arc;
use tolmach_dialect::{Close, Delivery, Line, Session};

/// What says what one connection is told.
pub(crate) struct Voice {
    gateway: Arc<Gateway>,
    entry: Arc<Entry>,
    pub(crate) session: Box<dyn Session>,
    /// What is to be written next.
    pub(crate) outgoing: Outgoing,
    /// How others than the connection's task write; none where they cannot.
    pub(crate) writer: Option<Writer>,
    /// What the connection is to end with, by what it was told.
    pub(crate) close: Option<Close>,
}

impl Voice {
    pub(crate) fn new(gateway: Arc<Gateway>, entry: Arc<Entry>, session: Box<dyn Session>) -> Self {
        Self { gateway, entry, session, outgoing: Outgoing::default(), writer: None, close: None }
    }

    /// Turns a broadcast into frames; the close that it means, if it does.
    pub(crate) fn hear(&mut self, broadcast: &Broadcast) -> Option<Close> {
        let notice = broadcast.notice();
        match self.session.delivery(notice) {
            Delivery::Skip => {}
            Delivery::Shared(variant) => self.outgoing.extend(broadcast.frame(
                &*self.entry.dialect,
                variant,
                &self.entry.metrics,
            )),
            Delivery::Private => {
                let mut frames = Vec::new();
                if let Err(loss) = self.session.encode(
                    self.gateway.engine.now(),
                    &Line::Notice(notice.clone()),
                    &mut frames,
                ) {
                    tracing::debug!(%loss, "a notice was asked for that this session cannot say");
                }
                self.outgoing.extend(frames.into_iter().map(encode));
            }
            Delivery::Close(close) => return Some(close),
        }
        None
    }

    /// Whether nothing is left that only the connection's task can do.
    pub(crate) fn is_free(&self) -> bool {
        self.writer.is_some() && self.outgoing.is_empty() && self.close.is_none()
    }

    /// Says all of this at once, as far as the socket takes it. Whether nothing is left for the
    /// connection's task.
    pub(crate) fn speak(&mut self, told: impl Iterator<Item = Arc<Broadcast>>) -> bool {
        for broadcast in told {
            self.close = self.hear(&broadcast);
            if self.close.is_some() {
                return false;
            }
        }
        self.write();
        self.is_free()
    }

    /// Writes what the socket takes at once. Whether nothing is left.
    pub(crate) fn write(&mut self) -> bool {
        if let (Some(writer), false) = (&self.writer, self.outgoing.is_empty()) {
            let (frames, bytes) = (self.outgoing.len(), self.outgoing.remaining());
            // Whoever writes the rest finds the error again.
            let _ = self.outgoing.try_write_to((**writer).as_ref());
            self.count(frames - self.outgoing.len(), bytes - self.outgoing.remaining());
        }
        self.outgoing.is_empty()
    }

    /// Counts what was written.
    pub(crate) fn count(&self, frames: usize, bytes: usize) {
        self.entry.metrics.frames_out.increment(frames as u64);
        self.entry.metrics.bytes_out.increment(bytes as u64);
    }
}
