//! The recording of a running program: a bounded queue, and a thread that writes.

use crate::connection_log::ConnectionLog;
use crate::files::{Files, Target};
use crate::line::Recorder;
use crate::queue::{FrameNote, Message, Note, Notes, Queue};
use crate::replacer::Replacer;
use crate::transcriber::{Opening, Transcriber};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The time between two looks of the thread at the queue: waking it for each frame would cost more
/// than the rest, and the connections that get a message in this time share a line.
const INTERVAL: Duration = Duration::from_millis(20);
/// The bytes that are collected for one write.
const BUFFER: usize = 256 << 10;

/// The options of a recording.
#[derive(Debug, Clone)]
pub struct RecordingOptions {
    /// The program that records.
    pub recorder: Recorder,
    /// The place to write to.
    pub target: Target,
    /// Replaces secrets and texts.
    pub replacer: Replacer,
    /// The most bytes of frames that wait to be written, and the most that all connections hold
    /// until [`ConnectionLog::release`]. Frames that find no room are left out, and a line says so.
    pub queue_bytes: usize,
}

/// A recording. Dropping it ends it, after all that waits was written.
#[derive(Debug)]
pub struct Recording {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Recording {
    /// Begins a recording. `on_error` is called if it cannot be written any more.
    ///
    /// Fails if its first file cannot be made.
    pub fn start(
        options: RecordingOptions,
        on_error: impl FnOnce(io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let RecordingOptions { recorder, target, replacer, queue_bytes } = options;
        let queue = Arc::new(Queue::new(queue_bytes));
        let mut files = Files::new(target)?;
        let file = files.next()?;
        let mut scribe = Scribe {
            transcriber: Transcriber::new(replacer),
            recorder,
            files,
            sink: BufWriter::with_capacity(BUFFER, file),
            written: 0,
            line: Vec::new(),
        };
        scribe.transcriber.header(recorder, &mut scribe.line);
        scribe.write()?;
        scribe.sink.flush()?;
        let own = queue.clone();
        let thread = thread::Builder::new().name("recording".to_owned()).spawn(move || {
            if let Err(error) = scribe.run(&own) {
                own.abandon();
                on_error(error);
            }
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Begins to record a connection. Its number and time are those of the recording. `None` if the
    /// queue is full: a connection without its beginning could not be read.
    ///
    /// With a bound, what is recorded is held in memory, up to so many bytes of the connection and
    /// `queue_bytes` of all, until [`ConnectionLog::release`].
    pub fn open(&self, opening: Opening, hold: Option<usize>) -> Option<ConnectionLog> {
        ConnectionLog::open(&self.queue, opening, hold)
    }

    /// A way to begin connections that does not keep the recording alive.
    pub fn handle(&self) -> RecordingHandle {
        RecordingHandle(self.queue.clone())
    }
}

/// A way to begin connections of a recording.
#[derive(Debug, Clone)]
pub struct RecordingHandle(Arc<Queue>);

impl RecordingHandle {
    /// As [`Recording::open`].
    pub fn open(&self, opening: Opening, hold: Option<usize>) -> Option<ConnectionLog> {
        ConnectionLog::open(&self.0, opening, hold)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.queue.end();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// The state of the thread that writes.
struct Scribe {
    transcriber: Transcriber,
    recorder: Recorder,
    files: Files,
    sink: BufWriter<File>,
    /// The bytes of the present file, without the openings that it goes on with.
    written: u64,
    line: Vec<u8>,
}

impl Scribe {
    fn run(&mut self, queue: &Queue) -> io::Result<()> {
        let mut notes = Notes::default();
        loop {
            // Read before the queue, so that what was added before the end is written.
            let has_ended = queue.has_ended();
            let bytes = queue.take(&mut notes);
            for note in notes.notes.drain(..) {
                self.note(note, &notes.messages)?;
            }
            notes.messages.clear();
            self.transcriber.flush(&mut self.line);
            self.write()?;
            queue.written(bytes);
            // Nothing is added after the end.
            if has_ended {
                return self.sink.flush();
            }
            if !queue.is_filling(bytes) {
                self.sink.flush()?;
                thread::park_timeout(INTERVAL);
            }
        }
    }

    fn note(&mut self, note: Note, messages: &[Message]) -> io::Result<()> {
        let at = match note {
            Note::Message { connection, at, message } => {
                let Some(Message { frame, command, .. }) = messages.get(message as usize) else {
                    return Ok(());
                };
                self.transcriber.message((connection, at), frame, *command, &mut self.line);
                if self.line.is_empty() {
                    return Ok(());
                }
                at
            }
            Note::Open(opening) => {
                let at = opening.at;
                self.transcriber.open(*opening, &mut self.line);
                at
            }
            Note::Frame(note) => {
                let FrameNote { connection, at, from, frame, command, dialect } = *note;
                let dialect = dialect.map(|dialect| *dialect);
                let place = (connection, at);
                self.transcriber.frame(place, from, &frame, command, dialect, &mut self.line);
                at
            }
            Note::Close(close) => {
                let at = close.at;
                self.transcriber.close(*close, &mut self.line);
                at
            }
            Note::Gap(gap) => {
                let at = gap.at;
                self.transcriber.gap(*gap, &mut self.line);
                at
            }
        };
        self.write()?;
        if self.files.is_full(self.written) {
            // Lines that wait for further connections are older than the next file.
            self.transcriber.flush(&mut self.line);
            self.write()?;
            self.sink.flush()?;
            self.sink = BufWriter::with_capacity(BUFFER, self.files.next()?);
            self.transcriber.resume(self.recorder, at, &mut self.line);
            self.write()?;
            // They would end each file at once where many connections are open.
            self.written = 0;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.written += self.line.len() as u64;
        self.sink.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }
}
