//! The stories as a dialect plays them, for tools that need traffic of its clients.

use crate::play::{RecordedStep, WireEntry, record};
use http::request::Parts;
use tolmach_dialect::{Close, Dialect, Frame, Sender};

/// One exchange of a story, or one event, as a dialect plays it.
#[derive(Debug, Clone)]
pub struct PlayedStep {
    /// The name of the story. Each has connections of its own.
    pub story: &'static str,
    /// The title in transcripts.
    pub title: String,
    /// The operation of the request, or the name of the event.
    pub operation: &'static str,
    /// The fault that the request is refused with.
    pub fault: Option<&'static str>,
    /// True for an event, false for a request with its answer.
    pub is_event: bool,
    /// False where the dialect has no frame for it.
    pub is_supported: bool,
    /// The frames, openings and closes, in order.
    pub wire: Vec<Played>,
}

/// Something on a connection.
#[derive(Debug, Clone)]
pub struct Played {
    /// The number of the connection, or exchange of HTTP, within the story.
    pub connection: u64,
    /// A frame, or the beginning or end of the connection.
    pub content: PlayedContent,
}

/// Something on a connection.
#[derive(Debug, Clone)]
pub enum PlayedContent {
    /// The client opens a WebSocket by this request.
    Opened(Box<Parts>),
    /// A side sends a frame.
    Frame(Sender, Frame),
    /// The server closes the connection.
    Closed(Close),
}

/// The stories as a dialect plays them, step by step. Of a dialect without a client there are none.
pub fn played_stories(dialect: &dyn Dialect) -> Vec<PlayedStep> {
    record(dialect).steps.into_iter().map(PlayedStep::of).collect()
}

impl PlayedStep {
    fn of(step: RecordedStep) -> Self {
        let wire = step.entries.into_iter().zip(step.numbers).filter_map(|(entry, connection)| {
            let content = match entry {
                WireEntry::Opened(request) => PlayedContent::Opened(request),
                WireEntry::Client(frame) => PlayedContent::Frame(Sender::Client, frame),
                WireEntry::Server(frame) => PlayedContent::Frame(Sender::Server, frame),
                WireEntry::Closed(close) => PlayedContent::Closed(close),
                WireEntry::Remark(_) => return None,
            };
            Some(Played { connection: connection.0, content })
        });
        Self {
            story: step.story,
            title: step.title,
            operation: step.operation,
            fault: step.fault,
            is_event: step.is_event,
            is_supported: step.unsupported.is_none(),
            wire: wire.collect(),
        }
    }
}
