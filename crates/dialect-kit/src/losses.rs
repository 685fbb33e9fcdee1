//! The commands, events and faults that a dialect has no frame for, computed by playing the
//! stories.

use crate::play::{RecordedStep, Recording, record};
use std::collections::BTreeMap;
use tolmach_dialect::Dialect;

/// The operations of the stories, as far as a dialect has frames for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    operations: BTreeMap<&'static str, Coverage>,
}

/// The part of an operation that a dialect has frames for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All of it, and everything arrives exactly.
    Full,
    /// A part of it, or with less than was sent.
    Partial {
        /// The titles of the exchanges without a frame; may be empty.
        unsupported: Vec<String>,
        /// The title of an exchange that has frames.
        example: String,
    },
    /// Nothing of it.
    Nothing,
}

impl Losses {
    /// The coverage of an operation, by the name of a command, an event or a fault, or
    /// [`crate::stories::ADMINISTRATOR`]. `None` if the stories do not reach it.
    pub fn of(&self, operation: &str) -> Option<&Coverage> {
        self.operations.get(operation)
    }

    /// True if the dialect has no frame for the operation.
    pub fn loses(&self, operation: &str) -> bool {
        self.of(operation) == Some(&Coverage::Nothing)
    }

    /// Every operation of the stories.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Coverage)> {
        self.operations.iter().map(|(name, coverage)| (*name, coverage))
    }

    /// The operations without any frame.
    pub fn whole(&self) -> impl Iterator<Item = &'static str> {
        self.operations.keys().copied().filter(|operation| self.loses(operation))
    }
}

/// Plays the stories and computes what the dialect has no frames for. `None` for a dialect without
/// a client, which cannot play them.
pub fn losses(dialect: &dyn Dialect) -> Option<Losses> {
    dialect.client()?;
    Some(losses_of(&record(dialect)))
}

/// The losses that a recording shows.
pub(crate) fn losses_of(recording: &Recording) -> Losses {
    let mut operations: BTreeMap<&'static str, Vec<&RecordedStep>> = BTreeMap::new();
    for step in &recording.steps {
        operations.entry(step.operation).or_default().push(step);
        if let Some(fault) = step.fault.filter(|_| step.unsupported.is_none()) {
            operations.entry(fault).or_default().push(step);
        }
    }
    let operations = operations.into_iter().map(|(name, steps)| (name, coverage(&steps)));
    Losses { operations: operations.collect() }
}

fn coverage(steps: &[&RecordedStep]) -> Coverage {
    let Some(example) = steps.iter().find(|step| step.unsupported.is_none()) else {
        return Coverage::Nothing;
    };
    // An event without a receiver is no loss of the dialect.
    let unsupported: Vec<String> = steps
        .iter()
        .filter(|step| step.unsupported.is_some() && !step.is_event)
        .map(|step| step.title.clone())
        .collect();
    let complete = steps.iter().all(|step| step.unsupported.is_none() && step.exact);
    if complete {
        Coverage::Full
    } else {
        Coverage::Partial { unsupported, example: example.title.clone() }
    }
}
