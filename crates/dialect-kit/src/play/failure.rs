//! The reasons why a step cannot be played.

use tolmach_dialect::Unsupported;

/// The property that a defect breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// Requests, responses and events arrive as they were sent.
    RoundTrip,
    /// Refusals are answered.
    AnsweredRefusals,
    /// Rendering is pure.
    Rendering,
    /// A session without identity has no subscription.
    LoggedOut,
}

/// The reason why a step cannot be played.
#[derive(Debug)]
pub(crate) enum PlayError {
    /// The dialect has no frame for it.
    Unsupported(Unsupported),
    /// The dialect breaks a rule of the boundary.
    Defect(Defect),
}

impl From<Unsupported> for PlayError {
    fn from(unsupported: Unsupported) -> Self {
        PlayError::Unsupported(unsupported)
    }
}

impl From<Defect> for PlayError {
    fn from(defect: Defect) -> Self {
        PlayError::Defect(defect)
    }
}

/// A broken rule.
#[derive(Debug, Clone)]
pub(crate) struct Defect {
    /// The property that it breaks.
    pub(crate) property: Property,
    /// The expectation and the finding.
    pub(crate) message: String,
}

impl Defect {
    /// A defect of encoding or decoding.
    pub(crate) fn round_trip(message: impl Into<String>) -> Self {
        Self { property: Property::RoundTrip, message: message.into() }
    }

    /// A refusal without an answer.
    pub(crate) fn unanswered(message: impl Into<String>) -> Self {
        Self { property: Property::AnsweredRefusals, message: message.into() }
    }

    /// A defect of rendering.
    pub(crate) fn rendering(message: impl Into<String>) -> Self {
        Self { property: Property::Rendering, message: message.into() }
    }

    /// A session that stays logged in.
    pub(crate) fn logged_out(message: impl Into<String>) -> Self {
        Self { property: Property::LoggedOut, message: message.into() }
    }
}
