//! Text of an error with its sources.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};

/// Displays an error and all its sources, outermost first, separated by `: `. For log lines, which
/// would show the outermost error only.
#[derive(Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
