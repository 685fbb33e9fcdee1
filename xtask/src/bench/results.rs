//! The figures of a run.

use super::scenarios::Scenario;
use serde_json::Value;

/// A scenario with its figures, round by round.
pub(super) struct ScenarioResults {
    pub(super) scenario: Scenario,
    pub(super) rounds: Vec<Round>,
}

/// The figures of one round, as the load generator prints them.
pub(super) struct Round {
    /// The figures of Tolmach.
    pub(super) tolmach: Value,
    /// The figures of the baseline: the floor, plain inserts, or a smaller load.
    pub(super) baseline: Value,
}
