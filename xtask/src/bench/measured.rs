//! The figures of a run.

use super::scenarios::Scenario;
use serde_json::Value;
use std::error::Error;

pub(super) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A scenario with its figures, round by round.
pub(super) struct Measured {
    pub(super) scenario: Scenario,
    pub(super) rounds: Vec<Round>,
}

/// The figures of one round, each as the load generator gives them.
pub(super) struct Round {
    /// Of Tolmach.
    pub(super) ours: Value,
    /// Of what stands beside it: the floor, or plain inserts.
    pub(super) beside: Value,
}
