//! Text of an error with its sources.

use std::error::Error;
use std::fmt::{Display, Formatter, Result};

/// Displays an error and all its sources, outermost first, separated by `: `. For log lines, which
/// would show the outermost error only. A source is left out where the error before it ends with
/// its text, as errors of several libraries do.
#[derive(Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let mut shown = self.0.to_string();
        formatter.write_str(&shown)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !shown.ends_with(&text) {
                write!(formatter, ": {text}")?;
                shown = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::PortError;

    #[test]
    fn a_source_that_its_error_repeats_is_shown_once() {
        let root = PortError::new("connection refused");
        let repeating = PortError::caused_by("HTTP error: connection refused", root);
        let error = PortError::caused_by("a photo cannot be read", repeating);
        let expected = "a photo cannot be read: HTTP error: connection refused";
        assert_eq!(ErrorChain(&error).to_string(), expected);
    }
}
