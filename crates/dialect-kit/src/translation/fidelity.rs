//! The report of a translation, and its problems.

use crate::play::Recording;
use crate::project::Deviations;
use crate::translation::finding::{Finding, Passage};
use std::collections::{BTreeMap, BTreeSet};

/// The fidelity of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fidelity {
    /// Every frame is the one that a native peer would have sent.
    Full,
    /// It comes through without these: places in the frames, exchanges without a frame, declared
    /// losses.
    Partial(BTreeSet<String>),
    /// One of the two dialects has no frame for it.
    Inexpressible,
}

/// The fidelity of each operation from a source dialect to a target dialect and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id of the dialect whose clients are served.
    pub source: &'static str,
    /// The id of the dialect whose server answers.
    pub target: &'static str,
    /// By the name of the command or event.
    pub operations: BTreeMap<&'static str, Fidelity>,
}

/// The declared losses that excuse a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Of the operation and of the fault: what one dialect does not carry is missing in the other.
    Any,
    /// Of the fault alone: within one dialect only faults may share a form, all else is decoded as
    /// it was encoded.
    Fault,
}

/// The report of findings, and the problems among them: differences and losses that neither dialect
/// declares.
pub(crate) fn judge(
    findings: &[Finding],
    deviations: &[Deviations],
    excuse: Excuse,
    source: &'static str,
    target: &'static str,
) -> (Report, Vec<String>) {
    let mut problems = Vec::new();
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for finding in findings {
        problems.extend(problem(finding, deviations, excuse));
        let tally = tallies.entry(finding.operation).or_default();
        match &finding.outcome {
            Passage::Differs(places) => {
                tally.passed += 1;
                let place = |place: &String| place.split(": ").next().unwrap_or(place).to_owned();
                tally.weakened.extend(places.iter().map(place));
            }
            Passage::Lost(_) => {
                tally.weakened.insert(finding.title.clone());
            }
            Passage::Broken(_) => {}
        }
    }
    let operations = tallies
        .into_iter()
        .map(|(operation, tally)| (operation, tally.fidelity(operation, deviations)))
        .collect();
    (Report { source, target, operations }, problems)
}

/// The findings of one operation.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    weakened: BTreeSet<String>,
}

impl Tally {
    fn fidelity(mut self, operation: &str, deviations: &[Deviations]) -> Fidelity {
        if self.passed == 0 {
            return Fidelity::Inexpressible;
        }
        if self.weakened.is_empty() {
            return Fidelity::Full;
        }
        let declared = deviations.iter().flat_map(|side| side.of(operation));
        self.weakened.extend(declared.map(|loss| loss.what.clone()));
        Fidelity::Partial(self.weakened)
    }
}

/// The problem of a finding, if no declared loss excuses it.
fn problem(finding: &Finding, deviations: &[Deviations], excuse: Excuse) -> Option<String> {
    let names: Vec<&str> =
        [Some(finding.operation).filter(|_| excuse == Excuse::Any), finding.fault]
            .into_iter()
            .flatten()
            .collect();
    let is_declared = names.iter().any(|name| {
        deviations.iter().any(|side| side.weakens(name) || side.explains_loss_of(name))
    });
    match &finding.outcome {
        Passage::Broken(defect) => Some(format!("{}: {}", finding.title, defect.message)),
        _ if is_declared => None,
        Passage::Differs(places) if places.is_empty() => None,
        Passage::Differs(places) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let undeclared = if names.is_empty() {
                String::new()
            } else {
                format!(" (and no partial loss of {} is declared)", names.join(" or "))
            };
            Some(format!("{}: {}{undeclared}", finding.title, places.join("; ")))
        }
        Passage::Lost(reason) => Some(format!(
            "{}: {reason}, though each side has it natively and no loss excuses it",
            finding.title
        )),
    }
}

/// Adds the operations that one of the two never has, and those of which it has only some.
pub(crate) fn add_unsupported(report: &mut Report, source: &Recording, target: &Recording) {
    for step in source.steps.iter().chain(&target.steps) {
        if step.unsupported.is_none() {
            continue;
        }
        let fidelity = report.operations.entry(step.operation).or_insert(Fidelity::Inexpressible);
        match fidelity {
            // An event without a receiver is no loss of the dialect.
            _ if step.is_event => {}
            Fidelity::Full => *fidelity = Fidelity::Partial(BTreeSet::from([step.title.clone()])),
            Fidelity::Partial(what) => {
                what.insert(step.title.clone());
            }
            Fidelity::Inexpressible => {}
        }
    }
}
