//! The reasons why bytes are no frame.

use std::borrow::Cow;
use tolmach_dialect::ViolationKind;
use tolmach_dialect::json::JsonError;

/// The reason why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    /// Not of the syntax.
    #[error("not a value")]
    Syntax,
    /// A key that is no string, or stands twice.
    #[error("keys are strings, each once")]
    Shape,
    /// Nested deeper than this.
    #[error("nested deeper than {0} levels")]
    Depth(usize),
}

impl SyntaxError {
    /// The kind of violation that it is.
    pub(crate) fn violation_kind(self) -> ViolationKind {
        match self {
            SyntaxError::Syntax => ViolationKind::Syntax,
            SyntaxError::Shape | SyntaxError::Depth(_) => ViolationKind::Shape,
        }
    }

    /// The expectation in words, of a frame that is an object in the syntax of this name.
    pub(crate) fn expectation(self, syntax: &'static str) -> Cow<'static, str> {
        match self {
            SyntaxError::Syntax => format!("{syntax} is expected").into(),
            SyntaxError::Shape => not_an_object(syntax),
            SyntaxError::Depth(depth) => {
                format!("at most {depth} levels of nesting are expected").into()
            }
        }
    }
}

/// The expectation of a frame that is another value than an object.
pub(crate) fn not_an_object(syntax: &'static str) -> Cow<'static, str> {
    format!("a {syntax} object that names each field once is expected").into()
}

impl From<JsonError> for SyntaxError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(_) => SyntaxError::Syntax,
            JsonError::Shape(_) => SyntaxError::Shape,
            JsonError::Depth(depth) => SyntaxError::Depth(depth),
        }
    }
}
