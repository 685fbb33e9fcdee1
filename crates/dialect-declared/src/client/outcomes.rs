//! Outcomes, of the cells of `[outcomes]` that a server's frame has.

use super::faults::{can_end_in, fault_of, invalid};
use crate::decode::Matcher;
use crate::outcome::own_cells;
use crate::plan::{Compiled, Empty, Plan, Refusal, RequestRule};
use crate::syntax::Value;
use tolmach_dialect::errors::FAULTS;
use tolmach_domain::Fault;

/// The cells of a frame, by column; the outer is `None` for a column that the frame's plan lacks.
pub(super) type Cells<'v> = Vec<Option<Option<&'v Value<'v>>>>;

/// The outcome that the cells of a frame say.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Granted,
    /// Granted, with no items.
    Empty,
    Refused(Fault),
}

/// The cells of a frame where a plan has them.
pub(super) fn cells<'v>(file: &Compiled, plan: &Plan, value: &'v Value<'v>) -> Cells<'v> {
    let columns = file.outcomes.first().map_or(0, |row| row.cells.len());
    let mut cells = vec![None; columns];
    Matcher::cells(plan, Some(value), &mut cells);
    cells
}

/// True if the cells are exactly those of a row.
pub(super) fn is_row(cells: &Cells<'_>, row: &[Option<Value<'static>>]) -> bool {
    cells.iter().zip(row).all(|(cell, expected)| match cell {
        None => true,
        Some(found) => *found == expected.as_ref(),
    })
}

/// The outcome of a request that a frame says.
pub(super) fn outcome(file: &Compiled, rule: &RequestRule, value: &Value<'_>) -> Said {
    let row = |index: usize| file.outcomes[index].cells.as_slice();
    if let Some(plan) = rule.response.frame() {
        let cells = cells(file, plan, value);
        if is_row(&cells, row(rule.ok)) {
            return Said::Granted;
        }
        if let Some(Empty::Outcome(empty)) = &rule.empty
            && is_row(&cells, row(*empty))
        {
            return Said::Empty;
        }
    }
    let plan = match &rule.refused {
        Refusal::Nothing => rule.response.frame(),
        Refusal::Frame(plan) => Some(plan),
        Refusal::ByFault(frames) => frames.get("*").or(frames.values().next()),
    };
    let cells = plan.map_or_else(Vec::new, |plan| cells(file, plan, value));
    let successes = successes(file);
    if successes.iter().any(|index| is_row(&cells, row(*index))) {
        return Said::Granted;
    }
    Said::Refused(refusal(file, rule, &cells))
}

/// The fault of a frame that is the response to no request by its name.
pub(super) fn violation(file: &Compiled, value: &Value<'_>) -> Option<Fault> {
    let plans = [&file.malformed, &file.unknown];
    let plan = plans.into_iter().find_map(Option::as_ref)?;
    let cells = cells(file, plan, value);
    let rows = file.outcomes.iter();
    if successes(file).iter().any(|index| is_row(&cells, &file.outcomes[*index].cells)) {
        return None;
    }
    let row = rows.into_iter().find(|row| is_row(&cells, &row.cells));
    let reason = row.and_then(|row| text_of(&row.cells)).or_else(|| found_text(&cells));
    let name = row.map_or("*", |row| row.name.as_str());
    Some(fault_of(name, &reason.unwrap_or_default()))
}

/// The rows of granted requests and of events.
fn successes(file: &Compiled) -> Vec<usize> {
    let requests = file.requests.iter().map(|rule| rule.ok);
    requests.chain(file.events.iter().map(|rule| rule.ok)).collect()
}

/// The fault whose row the cells are. Of several, one that the command can end in; the rows of the
/// request's own come first.
fn refusal(file: &Compiled, rule: &RequestRule, cells: &Cells<'_>) -> Fault {
    let is_own = |name: &str| rule.outcomes.contains_key(name);
    let is_fault = |name: &str| FAULTS.iter().any(|fault| fault.name() == name);
    let is_likely =
        |name: &str| is_fault(name) && (is_own(name) || can_end_in(rule.operation, name));
    let own_only = rule.outcomes.keys().map(String::as_str);
    let own_only = own_only.filter(|name| file.outcome(name).is_none());
    let common = file.outcomes.iter().map(|row| row.name.as_str());
    let mut names: Vec<&str> = own_only.chain(common).collect();
    names.sort_by_key(|name| (!is_own(name), !is_likely(name), !is_fault(name)));
    let empty: Vec<Option<Value<'static>>> = Vec::new();
    let row = |name: &str| {
        let common = file.outcome(name).map_or(&empty, |row| &file.outcomes[row].cells);
        own_cells(rule, name, common)
    };
    if let Some(name) = names.iter().find(|name| is_row(cells, &row(name))) {
        let reason = text_of(&row(name)).unwrap_or_default();
        return fault_of(name, &reason);
    }
    // A text with holes: the reason of a request that is not acceptable.
    for name in &names {
        if let Some((field, reason)) = unfilled(cells, &row(name)) {
            return named(file, rule, field, reason);
        }
    }
    let is_first = |name: &&&str| match (cells.first(), row(name).first()) {
        (Some(Some(Some(found))), Some(Some(expected))) => *found == expected,
        _ => false,
    };
    let code = names.iter().filter(|name| is_likely(name)).find(is_first);
    match code.or_else(|| names.iter().find(is_first)) {
        Some(name) => fault_of(name, &found_text(cells).unwrap_or_default()),
        None => invalid(&found_text(cells).unwrap_or_default()),
    }
}

/// The field and the reason in the cells of a row whose text has holes for them.
fn unfilled<'v>(
    cells: &Cells<'v>,
    row: &[Option<Value<'static>>],
) -> Option<(Option<&'v str>, &'v str)> {
    let mut said = None;
    for (cell, expected) in cells.iter().zip(row) {
        match (cell, expected) {
            (None, _) => {}
            (Some(Some(Value::Text(text))), Some(Value::Text(pattern)))
                if pattern.contains("reason>") =>
            {
                said = Some(reason_in(text, &pattern.replace("<plain_reason>", "<reason>"))?);
            }
            (Some(found), expected) if *found == expected.as_ref() => {}
            _ => return None,
        }
    }
    said
}

/// The field and the reason in a text of this pattern.
fn reason_in<'v>(text: &'v str, pattern: &str) -> Option<(Option<&'v str>, &'v str)> {
    let (before, after) = pattern.split_once("<reason>")?;
    let text = text.strip_suffix(after)?;
    let Some((before, between)) = before.split_once("<field>") else {
        return Some((None, text.strip_prefix(before)?));
    };
    let text = text.strip_prefix(before)?;
    match text.split_once(between) {
        Some((field, reason)) if !between.is_empty() => Some((Some(field), reason)),
        _ => Some((None, text)),
    }
}

/// The fault of a request whose field with this key on the wire is not acceptable.
fn named(file: &Compiled, rule: &RequestRule, field: Option<&str>, reason: &str) -> Fault {
    let Some(key) = field else { return invalid(reason) };
    let rules = std::iter::once(rule).chain(&file.requests);
    let mut frames = rules.flat_map(|rule| &rule.frames);
    let name = frames.find_map(|frame| {
        let keys = frame.keys.iter().filter(|(_, other)| *other == key);
        keys.map(|(name, _)| *name).min()
    });
    match name {
        Some(name) => Fault::invalid(name, reason),
        None => invalid(&format!("{key}: {reason}")),
    }
}

/// The last text of a row.
fn text_of(row: &[Option<Value<'static>>]) -> Option<String> {
    row.iter().rev().find_map(|cell| match cell {
        Some(Value::Text(text)) => Some(text.clone().into_owned()),
        _ => None,
    })
}

/// The last text among the cells of a frame.
fn found_text(cells: &Cells<'_>) -> Option<String> {
    cells.iter().rev().find_map(|cell| match cell {
        Some(Some(Value::Text(text))) => Some(text.clone().into_owned()),
        _ => None,
    })
}
