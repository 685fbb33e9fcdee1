//! Declared losses.

use crate::fixtures::time;
use crate::losses::{Coverage, Losses};
use crate::stories::{ADMINISTRATOR, Step, all_faults, stories};
use std::collections::BTreeSet;
use tolmach_domain::{Event, EventKind, Fault};

/// A reason that is none. Whole losses are computed, so such an entry adds nothing.
const NO_REASON: &str = "All of it.";

/// An entry `[[loss]]` of a `DEVIATIONS.toml`: the reason for something that the dialect has no
/// frame for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredLoss {
    /// The name of a command, an event or a fault, or [`ADMINISTRATOR`].
    pub operation: String,
    /// True if the dialect has the operation, and loses only `what`.
    pub partial: bool,
    /// The lost part; of a whole operation it may be left out.
    pub what: String,
    /// The reason.
    pub reason: String,
}

/// All declared losses of a dialect.
#[derive(Debug, Clone, Default)]
pub struct Deviations {
    losses: Vec<DeclaredLoss>,
}

impl Deviations {
    /// An entry for each operation of which a part is lost: what a wire loses, taken as declared.
    pub(crate) fn of_losses(losses: &Losses) -> Self {
        let partial =
            losses.all().filter(|(_, coverage)| matches!(coverage, Coverage::Partial { .. }));
        let entry = |(operation, _): (&str, &Coverage)| DeclaredLoss {
            operation: operation.to_owned(),
            partial: true,
            what: "computed".to_owned(),
            reason: "computed".to_owned(),
        };
        Self { losses: partial.map(entry).collect() }
    }

    /// With the entries of another list.
    pub(crate) fn with(mut self, others: Self) -> Self {
        self.losses.extend(others.losses);
        self
    }

    /// True if an entry gives a reason for the loss of the whole operation. Most whole losses have
    /// none: [`crate::losses()`] computes them.
    pub fn explains_loss_of(&self, operation: &str) -> bool {
        self.of(operation).any(|loss| !loss.partial)
    }

    /// True if a part of the operation is declared lost.
    pub fn weakens(&self, operation: &str) -> bool {
        self.of(operation).any(|loss| loss.partial)
    }

    /// The entries of an operation.
    pub fn of<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a DeclaredLoss> {
        self.losses.iter().filter(move |loss| loss.operation == operation)
    }

    /// Every entry.
    pub fn all(&self) -> &[DeclaredLoss] {
        &self.losses
    }
}

/// The names under which a loss can be declared.
pub fn operations() -> BTreeSet<&'static str> {
    let event_name = |kind: &EventKind| Event::new(time(0), kind.clone()).name();
    let mut names = BTreeSet::from([ADMINISTRATOR]);
    names.extend(all_faults().iter().map(Fault::name));
    for step in stories().into_iter().flat_map(|story| story.steps) {
        match step {
            Step::Event(kind) => {
                names.insert(event_name(&kind));
            }
            Step::Exchange(exchange) => {
                names.insert(exchange.command.name());
                names.extend(exchange.event.as_ref().map(event_name));
            }
        }
    }
    names
}

/// Reads the entries `[[loss]]`. Fails with every problem.
pub(crate) fn parse_deviations(text: &str) -> Result<Deviations, Vec<String>> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
    let entries = match table.get("loss") {
        None => return Ok(Deviations::default()),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => return Err(vec!["`loss` must be a list of tables: [[loss]]".to_owned()]),
    };
    let known = operations();
    let (mut losses, mut problems) = (Vec::new(), Vec::new());
    for (number, entry) in (1..).zip(entries) {
        match parse_loss(entry, &known) {
            Ok(loss) => losses.push(loss),
            Err(problem) => problems.push(format!("[[loss]] {number}: {problem}")),
        }
    }
    if problems.is_empty() { Ok(Deviations { losses }) } else { Err(problems) }
}

fn parse_loss(entry: &toml::Value, known: &BTreeSet<&str>) -> Result<DeclaredLoss, String> {
    let text = |key: &str| {
        let text = entry.get(key).and_then(toml::Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    let partial = match entry.get("partial") {
        None => false,
        Some(toml::Value::Boolean(partial)) => *partial,
        Some(other) => return Err(format!("`partial` is true or false, not {other}")),
    };
    let operation = text("operation").ok_or("`operation` is expected, a text")?;
    if !known.contains(operation) {
        return Err(format!("no operation is named `{operation}`; there are {known:?}"));
    }
    let reason = text("reason").ok_or("`reason` is expected, a text")?;
    let what = text("what").unwrap_or_default();
    if partial && what.is_empty() {
        return Err("`what` is expected, a text: the part that is lost".to_owned());
    }
    if !partial && reason == NO_REASON {
        return Err(format!(
            "{NO_REASON:?} is no reason: remove the entry, whole losses are computed"
        ));
    }
    Ok(DeclaredLoss {
        operation: operation.to_owned(),
        partial,
        what: what.to_owned(),
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_read_or_their_problem_is_named() {
        for (text, expected) in [
            ("", Ok(0)),
            ("[[loss]]\noperation = \"edit\"\nwhat = \"all\"\nreason = \"none\"", Ok(1)),
            ("[[loss]]\noperation = \"edit\"\nreason = \"none\"", Ok(1)),
            ("[[loss]]\noperation = \"edit\"\npartial = true\nreason = \"none\"", Err("what")),
            ("[[loss]]\noperation = \"edit\"\nreason = \"All of it.\"", Err("computed")),
            ("[[loss]]\noperation = \"edit\"\nwhat = \"all\"", Err("reason")),
            ("[[loss]]\noperation = \"edti\"\nwhat = \"all\"\nreason = \"none\"", Err("edti")),
            (
                "[[loss]]\noperation = \"edit\"\nwhat = \"all\"\nreason = \"none\"\npartial = 1",
                Err("partial"),
            ),
            ("loss = 1", Err("[[loss]]")),
            ("[[loss", Err("")),
        ] {
            match (parse_deviations(text), expected) {
                (Ok(deviations), Ok(count)) => assert_eq!(deviations.all().len(), count, "{text}"),
                (Err(problems), Err(part)) => assert!(problems[0].contains(part), "{problems:?}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
