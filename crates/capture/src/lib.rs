//! Captures of traffic: the form `tolmach-capture/1`, its reader and writer, and the replacing of
//! secrets and texts before anything is written.
//!
//! The form is JSON Lines. Each line is an object with a `type`: first `capture`, then `open`,
//! `frame`, `frames`, `close` and `gap`, those of each connection in the order of their times.
//! `schemas/capture/` has its JSON Schema, `docs/captures.md` explains it.

mod connection_log;
mod files;
mod frame;
mod headers;
mod line;
mod messages;
mod queue;
mod reader;
mod recording;
mod replacer;
mod transcriber;
mod writer;

pub use connection_log::ConnectionLog;
pub use files::Target;
pub use frame::{CapturedFrame, FrameKind, InvalidFrame};
pub use headers::Headers;
pub use line::{
    Close, FORM, Gap, GapReason, Header, Line, MAX_LINE_BYTES, Open, OpenRequest, Recorder,
    Replaced, Transport,
};
pub use reader::{CaptureError, Reader};
pub use recording::{Recording, RecordingHandle, RecordingOptions};
pub use replacer::Replacer;
pub use tolmach_dialect::Sender;
pub use transcriber::{KnownDialect, Opening, Transcriber};
pub use writer::Writer;
