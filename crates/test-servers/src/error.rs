//! Errors of starting a server.

use std::fmt::Display;
use std::io;

/// A server could not be started.
#[derive(Debug)]
pub(crate) struct StartError {
    message: String,
    source: Option<io::Error>,
}

impl StartError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// An error of the operating system about `subject`, such as a path.
    pub(crate) fn io(subject: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { message: subject.to_string(), source: Some(source) }
    }
}

impl Display for StartError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)?;
        // The text goes to a panic's message, which has no sources.
        self.source.as_ref().map_or(Ok(()), |source| write!(formatter, ": {source}"))
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
