//! The bounded queue between connections and the thread that writes.

use crate::frame::MessageIdentity;
use crate::line::{Close, Gap};
use crate::transcriber::{KnownDialect, Opening};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tolmach_dialect::{Frame, Sender};

/// The size that a waiting frame has beside its payload, in bytes.
const NOTE: usize = 256;
/// The size of the note of a message that waits already, in bytes: twice its own, since a list that
/// grows has room for twice as many.
const SHARED_NOTE: usize = 2 * size_of::<Note>();
/// The latest messages that a note may share: as many as an event has forms, and some more.
const LATEST: usize = 16;

/// The way of connections into a recording.
#[derive(Debug)]
pub(crate) struct Queue {
    began: Instant,
    waiting: Mutex<Waiting>,
    bound: usize,
    next_connection: AtomicU64,
    /// True once nothing more is written.
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    notes: Notes,
    /// The bytes of all notes that are not written.
    bytes: usize,
    /// The bytes of all notes that connections hold.
    held: usize,
}

/// Notes in their order.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) notes: Vec<Note>,
    /// The messages of [`Note::Message`].
    pub(crate) messages: Vec<Message>,
}

/// Something to write down. It is small, because the thread that writes reads one for each frame.
#[derive(Debug)]
pub(crate) enum Note {
    Open(Box<Opening>),
    Frame(Box<FrameNote>),
    /// A message of the server to a connection, by its index in [`Notes::messages`].
    Message {
        connection: u64,
        at: u64,
        message: u32,
    },
    Close(Box<Close>),
    Gap(Box<Gap>),
}

/// A message of the server, which many connections may get.
#[derive(Debug)]
pub(crate) struct Message {
    identity: MessageIdentity,
    pub(crate) frame: Frame,
    pub(crate) command: Option<&'static str>,
}

/// A frame to write down.
#[derive(Debug)]
pub(crate) struct FrameNote {
    pub(crate) connection: u64,
    pub(crate) at: u64,
    pub(crate) from: Sender,
    pub(crate) frame: Frame,
    pub(crate) command: Option<&'static str>,
    pub(crate) dialect: Option<Box<KnownDialect>>,
}

impl Note {
    /// The bytes that it counts as.
    pub(crate) fn bytes(&self) -> usize {
        let of_headers = |headers: &http::HeaderMap| -> usize {
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
        };
        let of_uri = |uri: &http::Uri| {
            let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
            authority + uri.path().len() + uri.query().map_or(0, str::len)
        };
        match self {
            Note::Frame(note) => {
                let head = match &note.frame {
                    Frame::Request(request) => {
                        of_uri(request.uri()) + of_headers(request.headers())
                    }
                    Frame::Response(response) => of_headers(response.headers()),
                    Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) => 0,
                };
                NOTE + head + note.frame.payload().len()
            }
            Note::Open(opening) => {
                let request = opening.request.as_ref();
                let of_request = |request: &http::request::Parts| {
                    of_uri(&request.uri) + of_headers(&request.headers)
                };
                NOTE + request.map_or(0, |request| of_request(request))
            }
            Note::Message { .. } => SHARED_NOTE,
            Note::Close(_) | Note::Gap(_) => NOTE,
        }
    }
}

impl Queue {
    /// A queue for so many bytes.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            began: Instant::now(),
            waiting: Mutex::default(),
            bound,
            next_connection: AtomicU64::new(1),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Microseconds since the recording began.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The number of another connection.
    pub(crate) fn new_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a note, unless the queue is full or has ended.
    pub(crate) fn push(&self, note: Note) -> bool {
        let bytes = note.bytes();
        let mut waiting = self.lock();
        if waiting.bytes + bytes > self.bound || self.has_ended.load(Ordering::Acquire) {
            return false;
        }
        waiting.bytes += bytes;
        waiting.notes.notes.push(note);
        true
    }

    /// Adds a message of the server to a connection, unless the queue is full or has ended. The
    /// same bytes for several connections are kept and counted once.
    pub(crate) fn push_message(
        &self,
        connection: u64,
        at: u64,
        frame: Frame,
        command: Option<&'static str>,
    ) -> bool {
        let identity = MessageIdentity::of(&frame, command);
        let mut waiting = self.lock();
        let Waiting { notes: Notes { notes, messages }, bytes, .. } = &mut *waiting;
        let latest = messages.len().saturating_sub(LATEST);
        let found = messages[latest..].iter().rposition(|message| message.identity == identity);
        let (index, size) = match found {
            Some(index) => (latest + index, SHARED_NOTE),
            None => (messages.len(), NOTE + frame.payload().len()),
        };
        let Ok(message) = u32::try_from(index) else { return false };
        if *bytes + size > self.bound || self.has_ended.load(Ordering::Acquire) {
            return false;
        }
        *bytes += size;
        if found.is_none() {
            messages.push(Message { identity, frame, command });
        }
        notes.push(Note::Message { connection, at, message });
        true
    }

    /// Adds a small note of a connection that has one, even to a full queue.
    pub(crate) fn push_always(&self, note: Note) {
        let bytes = note.bytes();
        let mut waiting = self.lock();
        if !self.has_ended.load(Ordering::Acquire) {
            waiting.bytes += bytes;
            waiting.notes.notes.push(note);
        }
    }

    /// Makes room for a note that a connection holds, unless all of them hold as much as may wait.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.held + bytes <= self.bound;
        if has_room {
            waiting.held += bytes;
        }
        has_room
    }

    /// Gives back the room of notes that a connection has held.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.held = waiting.held.saturating_sub(bytes);
    }

    /// Exchanges all notes for these, which are none. Returns the bytes that they count as, until
    /// [`Queue::written`].
    pub(crate) fn take(&self, notes: &mut Notes) -> usize {
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.notes, notes);
        waiting.bytes
    }

    /// True if notes of so many bytes are a good part of those that may wait.
    pub(crate) fn is_filling(&self, bytes: usize) -> bool {
        bytes >= self.bound / 16
    }

    /// Makes room for as many bytes as were written.
    pub(crate) fn written(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Takes nothing more. What waits is still written.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// True if nothing more is taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Takes nothing more, and drops what waits: nobody writes it.
    pub(crate) fn abandon(&self) {
        self.end();
        let mut waiting = self.lock();
        (waiting.notes, waiting.bytes) = (Notes::default(), 0);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
