//! Errors of ports.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use tolmach_domain::Fault;

/// Error of something outside the engine: a sentence for the log, and the error that caused it.
///
/// The text is never shown to clients.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An error without a cause.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// An error that `source` caused. `message` does not repeat the source's text.
    pub fn caused_by(
        message: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source: Some(Arc::from(source.into())) }
    }
}

/// Compares the texts, those of the sources included.
impl PartialEq for PortError {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
            && self.source.as_ref().map(ToString::to_string)
                == other.source.as_ref().map(ToString::to_string)
    }
}

impl Eq for PortError {}

/// Error of a method of a [`Store`](super::Store).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A rule that only the transaction can check forbids the change. The caller is wrong.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The store cannot be reached, is full or did not answer in time. Nothing was changed, as far
    /// as can be known.
    #[error("the store is unavailable")]
    Unavailable(#[source] PortError),
    /// A defect: the store holds or answers what it must not, or is configured wrongly.
    #[error("the store failed")]
    Failed(#[source] PortError),
}

impl StoreError {
    /// [`StoreError::Unavailable`] without a cause beyond the sentence.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable(PortError::new(message))
    }

    /// [`StoreError::Failed`] without a cause beyond the sentence.
    pub fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed(PortError::new(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorChain;

    #[test]
    fn an_error_keeps_its_source() {
        let source = std::io::Error::other("connection reset");
        let error = StoreError::Unavailable(PortError::caused_by("BEGIN was not answered", source));
        assert_eq!(
            ErrorChain(&error).to_string(),
            "the store is unavailable: BEGIN was not answered: connection reset"
        );
    }

    #[test]
    fn errors_are_equal_if_their_texts_are() {
        let error = |message: &'static str, source: &str| PortError::caused_by(message, source);
        assert_eq!(error("one", "a"), error("one", "a"));
        assert_ne!(error("one", "a"), error("one", "b"));
        assert_ne!(error("one", "a"), error("two", "a"));
        assert_ne!(error("one", "a"), PortError::new("one"));
    }
}
