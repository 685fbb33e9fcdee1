//! The findings of a translation.

use crate::play::{Defect, PlayError, Property};

/// The outcome of one exchange, or one event, of a translation.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The title.
    pub(crate) title: String,
    /// The operation of the request, or the name of the event.
    pub(crate) operation: &'static str,
    /// The fault that the request is refused with.
    pub(crate) fault: Option<&'static str>,
    /// The outcome.
    pub(crate) outcome: Passage,
}

/// The way of an exchange through two dialects.
#[derive(Debug)]
pub(crate) enum Passage {
    /// Both ends send what native peers send, but for these places.
    Differs(Vec<String>),
    /// A dialect has no frame for what the other one has.
    Lost(String),
    /// A rule of the boundary is broken.
    Broken(Defect),
}

impl Passage {
    /// True if a refusal has no answer on one of the wires.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Passage::Broken(defect) if defect.property == Property::AnsweredRefusals)
    }
}

impl From<PlayError> for Passage {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Unsupported(unsupported) => Passage::Lost(unsupported.to_string()),
            PlayError::Defect(defect) => Passage::Broken(defect),
        }
    }
}
