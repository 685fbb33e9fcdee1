//! Messages that many connections get: each is transcribed once, and one line tells of it for as
//! many connections as were noted in a row.

use crate::frame::MessageIdentity;
use bytes::Bytes;
use std::collections::VecDeque;
use tolmach_dialect::{FieldRule, Frame};

/// The messages that are kept, because other connections may get the same bytes.
const KEPT: usize = 32;
/// The most connections of one line.
const MAX_CONNECTIONS: usize = 4096;

/// The messages that were transcribed lately.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    kept: VecDeque<Message>,
    /// The number of the first of them.
    first: u64,
    /// Those of them that connections wait in.
    waiting: usize,
}

/// The values that decide how a message is transcribed. The address of rules stands for them, since
/// they are static.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageKey {
    identity: MessageIdentity,
    rules: usize,
}

#[derive(Debug)]
struct Message {
    key: MessageKey,
    /// Kept so that the key stays its own.
    _payload: Bytes,
    /// The rest of its line, behind the connections, with the end of the line.
    rest: Bytes,
    /// The lines that were written of it.
    written: u64,
    /// The connections of the next one, and when each was sent the message.
    to: Vec<(u64, u64)>,
}

/// A line that is not written yet: the number of the message, and of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PendingLine {
    message: u64,
    line: u64,
}

impl MessageKey {
    /// The key of a frame by these rules.
    pub(crate) fn new(
        frame: &Frame,
        rules: &'static [FieldRule],
        command: Option<&'static str>,
    ) -> Self {
        let identity = MessageIdentity::of(frame, command);
        Self { identity, rules: rules.as_ptr() as usize }
    }
}

impl Messages {
    /// The line that another connection of a message comes into; `None` if the message is not kept.
    pub(crate) fn find(&self, key: MessageKey) -> Option<PendingLine> {
        let index = self.kept.iter().rposition(|message| message.key == key)?;
        Some(PendingLine { message: self.first + index as u64, line: self.kept[index].written })
    }

    /// Keeps a message in the place of the oldest one, whose line is written.
    pub(crate) fn insert(
        &mut self,
        key: MessageKey,
        payload: Bytes,
        rest: Bytes,
        out: &mut Vec<u8>,
    ) -> PendingLine {
        if self.kept.len() == KEPT
            && let Some(mut oldest) = self.kept.pop_front()
        {
            self.first += 1;
            self.waiting -= usize::from(oldest.write(out));
        }
        self.kept.push_back(Message { key, _payload: payload, rest, written: 0, to: Vec::new() });
        PendingLine { message: self.first + self.kept.len() as u64 - 1, line: 0 }
    }

    /// Adds a connection to a line that was found or inserted just now.
    pub(crate) fn join(&mut self, line: PendingLine, place: (u64, u64), out: &mut Vec<u8>) {
        let Some(message) = self.message(line) else { return };
        let is_first = message.to.is_empty();
        message.to.push(place);
        let is_full = message.to.len() >= MAX_CONNECTIONS && message.write(out);
        self.waiting += usize::from(is_first);
        self.waiting -= usize::from(is_full);
    }

    /// Writes a line, unless it is written.
    pub(crate) fn write(&mut self, line: PendingLine, out: &mut Vec<u8>) {
        let is_written = self.message(line).is_some_and(|message| message.write(out));
        self.waiting -= usize::from(is_written);
    }

    /// Writes all lines that connections wait in.
    pub(crate) fn write_all(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.waiting) > 0 {
            self.kept.iter_mut().for_each(|message| {
                message.write(out);
            });
        }
    }

    /// The message of a line that is not written.
    fn message(&mut self, line: PendingLine) -> Option<&mut Message> {
        let index = usize::try_from(line.message.checked_sub(self.first)?).ok()?;
        self.kept.get_mut(index).filter(|message| message.written == line.line)
    }
}

impl Message {
    /// Writes the line of the connections that wait in it. Returns false if there are none.
    fn write(&mut self, out: &mut Vec<u8>) -> bool {
        match self.to[..] {
            [] => return false,
            [(connection, at)] => {
                out.extend_from_slice(br#"{"type":"frame","connection":"#);
                number(connection, out);
                out.extend_from_slice(br#","at":"#);
                number(at, out);
            }
            [ref first @ (_, at), ref others @ ..] => {
                let at = others.iter().fold(at, |at, (_, other)| at.min(*other));
                out.extend_from_slice(br#"{"type":"frames","at":"#);
                number(at, out);
                out.extend_from_slice(br#","to":["#);
                for (connection, sent_at) in std::iter::once(first).chain(others) {
                    out.push(b'[');
                    number(*connection, out);
                    out.push(b',');
                    number(sent_at - at, out);
                    out.extend_from_slice(b"],");
                }
                out.pop();
                out.push(b']');
            }
        }
        out.push(b',');
        out.extend_from_slice(&self.rest);
        self.written += 1;
        self.to.clear();
        true
    }
}

fn number(number: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &number).expect("writing to a vector cannot fail");
}
