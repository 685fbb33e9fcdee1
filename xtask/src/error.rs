//! Errors of tasks.

use std::error::Error;
use std::fmt::{self, Display};

pub(crate) type TaskResult<T> = Result<T, TaskError>;

/// The reason why a task failed, with its cause.
#[derive(Debug)]
pub(crate) struct TaskError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TaskError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }

    /// The message and those of all causes, separated by `: `.
    pub(crate) fn chain(&self) -> String {
        let sources = std::iter::successors(self.source(), |error| (*error).source());
        sources.fold(self.message.clone(), |chain, error| format!("{chain}: {error}"))
    }
}

impl Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_every_cause() {
        let inner = TaskError::caused_by("b", "c");
        assert_eq!(TaskError::caused_by("a", inner).chain(), "a: b: c");
        assert_eq!(TaskError::new("a").chain(), "a");
    }
}
