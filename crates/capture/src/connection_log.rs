//! One connection of a recording.

use crate::line::{Close, Gap, GapReason};
use crate::queue::{FrameNote, Note, Queue};
use crate::transcriber::{KnownDialect, Opening};
use std::sync::Arc;
use tolmach_dialect::{Frame, Sender};

/// One connection of a recording. Dropping it ends the connection.
///
/// It is small, because a message of many connections reads all of theirs, which no cache holds.
#[derive(Debug)]
pub struct ConnectionLog {
    queue: Arc<Queue>,
    connection: u64,
    /// The frames that found the queue full since the latest one that did not.
    missing: u64,
    /// The dialect, until a frame tells of it.
    dialect: Option<Box<KnownDialect>>,
    held: Option<Box<Held>>,
    is_closed: bool,
}

/// The notes of a connection until it is known if it is recorded.
#[derive(Debug)]
struct Held {
    queue: Arc<Queue>,
    notes: Vec<Note>,
    bytes: usize,
    bound: usize,
    missing: u64,
}

impl ConnectionLog {
    pub(crate) fn open(
        queue: &Arc<Queue>,
        mut opening: Opening,
        hold: Option<usize>,
    ) -> Option<Self> {
        let connection = queue.new_connection();
        (opening.connection, opening.at) = (connection, queue.now());
        let note = Note::Open(Box::new(opening));
        let held = match hold {
            Some(bound) => {
                let mut held =
                    Held { queue: queue.clone(), notes: Vec::new(), bytes: 0, bound, missing: 0 };
                if !held.add(note) {
                    return None;
                }
                Some(Box::new(held))
            }
            None if queue.push(note) => None,
            None => return None,
        };
        let (queue, dialect) = (queue.clone(), None);
        Some(Self { queue, connection, missing: 0, dialect, held, is_closed: false })
    }

    /// Records a frame. Returns false if there was no room for it.
    pub fn frame(&mut self, from: Sender, frame: Frame, command: Option<&'static str>) -> bool {
        let at = self.queue.now();
        let connection = self.connection;
        self.tell_of_missing(GapReason::Full);
        let is_message = matches!(frame, Frame::Text(_) | Frame::Binary(_) | Frame::Value(_));
        if from == Sender::Server && is_message && self.dialect.is_none() && self.held.is_none() {
            let is_recorded = self.queue.push_message(connection, at, frame, command);
            self.missing += u64::from(!is_recorded);
            return is_recorded;
        }
        let dialect = self.dialect.take();
        let known = dialect.clone();
        let note = FrameNote { connection, at, from, frame, command, dialect };
        let note = Note::Frame(Box::new(note));
        if let Some(held) = &mut self.held {
            return held.add(note);
        }
        let is_recorded = self.queue.push(note);
        if !is_recorded {
            self.missing += 1;
            // A dialect is told with the next frame that finds room.
            self.dialect = known;
        }
        is_recorded
    }

    /// Says which dialect and revision the frames are of from here on.
    pub fn dialect(&mut self, dialect: KnownDialect) {
        self.dialect = Some(Box::new(dialect));
    }

    /// Records that frames are missing; 0 where their number is not known.
    pub fn gap(&mut self, frames: u64, reason: GapReason) {
        let (at, connection) = (self.queue.now(), Some(self.connection));
        let note = Note::Gap(Box::new(Gap { at, connection, frames, reason }));
        match &mut self.held {
            Some(held) => {
                held.add(note);
            }
            None => self.queue.push_always(note),
        }
    }

    /// True while what is recorded is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Records what was held, of this user and this dialect, and everything that comes.
    pub fn release(&mut self, user: Option<i64>, dialect: Option<KnownDialect>) {
        let Some(mut held) = self.held.take() else { return };
        for mut note in std::mem::take(&mut held.notes) {
            if let Note::Open(opening) = &mut note {
                opening.user = user.or(opening.user);
                if dialect.is_some() {
                    opening.dialect = dialect.clone();
                }
                // The rest means nothing without it.
                self.queue.push_always(note);
            } else if !self.queue.push(note) {
                self.missing += 1;
            }
        }
        self.missing += held.missing;
    }

    /// Forgets a connection of which everything was held.
    pub fn discard(mut self) {
        self.is_closed = true;
    }

    /// Records the end of the connection.
    pub fn close(&mut self, by: Option<Sender>, code: Option<u16>) {
        if std::mem::replace(&mut self.is_closed, true) || self.held.is_some() {
            return;
        }
        self.tell_of_missing(GapReason::Full);
        if self.missing > 0 {
            let (missing, reason) = (std::mem::take(&mut self.missing), GapReason::Full);
            self.gap(missing, reason);
        }
        let at = self.queue.now();
        let close = Close { connection: self.connection, at, by, code };
        self.queue.push_always(Note::Close(Box::new(close)));
    }

    /// Records how many frames found the queue full, if there is room for that.
    fn tell_of_missing(&mut self, reason: GapReason) {
        if self.missing == 0 {
            return;
        }
        let (at, connection) = (self.queue.now(), Some(self.connection));
        let frames = self.missing;
        if self.queue.push(Note::Gap(Box::new(Gap { at, connection, frames, reason }))) {
            self.missing = 0;
        }
    }
}

impl Held {
    /// Keeps a note, if there is room for it.
    fn add(&mut self, note: Note) -> bool {
        let bytes = note.bytes();
        let has_room = self.bytes + bytes <= self.bound && self.queue.hold(bytes);
        if has_room {
            self.bytes += bytes;
            self.notes.push(note);
        } else {
            self.missing += 1;
        }
        has_room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.queue.give_back(self.bytes);
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.close(None, None);
    }
}
