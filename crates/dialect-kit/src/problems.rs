//! The problems that a trial finds.

use std::fmt;

/// The problems of a dialect: each with what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

/// The outcome of a trial.
pub type Outcome = Result<(), Problems>;

impl Problems {
    /// Success if the list is empty.
    pub(crate) fn none_or(problems: Vec<String>) -> Outcome {
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// A single problem.
    pub(crate) fn one(problem: impl Into<String>) -> Self {
        Problems(vec![problem.into()])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for problem in self.0.iter().take(SHOWN) {
            writeln!(formatter, "- {problem}")?;
        }
        if self.0.len() > SHOWN {
            writeln!(formatter, "… and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// Fails a test with all problems, each in its own line.
#[track_caller]
pub fn check(outcome: Outcome) {
    if let Err(problems) = outcome {
        panic!("\n{problems}");
    }
}
