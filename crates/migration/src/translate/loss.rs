//! Losses of a translation.

use std::fmt;
use tolmach_dialect::Unsupported;

/// Something that did not come through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The name of the command or event; empty for a frame that could not be read.
    pub operation: &'static str,
    /// The part of it.
    pub part: Part,
    /// The reason, in words.
    pub reason: String,
}

/// The part of an operation that did not come through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A frame that is none of the source dialect, or answers nothing.
    Frame,
    /// The whole request.
    Request,
    /// The whole answer.
    Answer,
    /// The whole event.
    Event,
    /// A field of the request, by its path in [`crate::canonical`].
    RequestField(String),
    /// A field of the answer.
    AnswerField(String),
    /// A field of the event.
    EventField(String),
}

impl Part {
    /// The name of the kind of part, for output.
    pub fn name(&self) -> &'static str {
        match self {
            Part::Frame => "frame",
            Part::Request => "request",
            Part::Answer => "answer",
            Part::Event => "event",
            Part::RequestField(_) => "request_field",
            Part::AnswerField(_) => "answer_field",
            Part::EventField(_) => "event_field",
        }
    }

    /// The path of the field, if it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Part::Frame | Part::Request | Part::Answer | Part::Event => None,
            Part::RequestField(path) | Part::AnswerField(path) | Part::EventField(path) => {
                Some(path)
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Frame => write!(formatter, "the frame"),
            Part::Request => write!(formatter, "the request"),
            Part::Answer => write!(formatter, "the answer"),
            Part::Event => write!(formatter, "the event"),
            Part::RequestField(path) => write!(formatter, "{path} of the request"),
            Part::AnswerField(path) => write!(formatter, "{path} of the answer"),
            Part::EventField(path) => write!(formatter, "{path} of the event"),
        }
    }
}

impl Loss {
    /// A part that the target has no frame for.
    pub(super) fn unsupported(operation: &'static str, part: Part, reason: &Unsupported) -> Self {
        Self { operation, part, reason: reason.to_string() }
    }

    /// Fields that did not come through.
    pub(super) fn fields<'a>(
        operation: &'static str,
        target: &'a str,
        paths: impl IntoIterator<Item = String> + 'a,
        part: fn(String) -> Part,
    ) -> impl Iterator<Item = Self> + 'a {
        paths.into_iter().map(move |path| {
            let reason = format!("the frames of {target} do not carry it as it was");
            Self { operation, part: part(path), reason }
        })
    }
}
