//! The document with the schemas of a file.

use super::parts::{any_of, constant, exactly, of_kind};
use super::read::Read;
use super::written::Written;
use crate::plan::{Compiled, Empty, Plan, Refusal, RequestRule};
use crate::syntax::{Kind, Syntax, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The name of the schema of refusals.
const REFUSALS: &str = "error.reply";

/// The schemas under one name: those of several requests, or of several frames of one.
type Schemas = BTreeMap<String, Vec<Json>>;

/// A JSON Schema document with the frames of a file under `$defs`: `<name>.request`,
/// `<name>.reply`, `<name>.push`, and `error.reply` for all refusals.
///
/// A name that is no word is that of the command or event.
pub(crate) fn schemas(file: &Compiled) -> Json {
    let mut all = Schemas::new();
    for rule in &file.requests {
        let read = Read { tables: &file.tables, name: &rule.name };
        let requests = rule.frames.iter().map(|frame| read.schema(&frame.plan));
        let name = definition(&rule.name, rule.operation.name());
        all.entry(format!("{name}.request")).or_default().extend(requests);
        let replies = replies(file, rule);
        if !replies.is_empty() {
            let name = definition(&rule.answer, rule.operation.name());
            all.entry(format!("{name}.reply")).or_default().extend(replies);
        }
    }
    for rule in file.events.iter().filter(|_| file.push) {
        let frame = success(file, &rule.name, rule.ok).schema(&rule.plan);
        let name = definition(&rule.name, rule.event);
        all.entry(format!("{name}.push")).or_default().push(frame);
    }
    let refusals = refusals(file);
    if !refusals.is_empty() {
        all.insert(REFUSALS.to_owned(), refusals);
    }
    let definitions: Map<String, Json> =
        all.into_iter().map(|(name, schemas)| (name, any_of(schemas))).collect();
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{} {}: {}", file.id, file.revision, file.summary),
        "$defs": definitions,
    });
    if let Some(description) = description(file.syntax) {
        document["description"] = description.into();
    }
    document
}

fn description(syntax: Syntax) -> Option<&'static str> {
    match syntax {
        Syntax::Json => None,
        Syntax::JsonInString => {
            Some("A frame is a JSON string, whose content is a value of one of these schemas.")
        }
        Syntax::PythonLiteral => Some(
            "A frame is a literal of Python: None, True and False stand for null, true, false.",
        ),
    }
}

/// The name of a definition: that of the wire if it is a word.
fn definition(name: &Value<'_>, own: &str) -> String {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    match name {
        Value::Text(text) if !text.is_empty() && text.chars().all(is_part) => {
            text.clone().into_owned()
        }
        _ => own.to_owned(),
    }
}

/// Frames of a success.
fn success<'a>(file: &'a Compiled, name: &Value<'static>, row: usize) -> Written<'a> {
    Written {
        tables: &file.tables,
        name: exactly(name),
        cells: file.outcomes[row].cells.iter().map(|value| cell(value.as_ref())).collect(),
        is_refusal: false,
    }
}

/// A cell of an outcome; one with holes is any text.
fn cell(value: Option<&Value<'static>>) -> Json {
    match value {
        Some(Value::Text(text)) if text.contains('<') => of_kind(Kind::Text),
        Some(value) => exactly(value),
        None => of_kind(Kind::Null),
    }
}

fn replies(file: &Compiled, rule: &RequestRule) -> Vec<Json> {
    let granted = success(file, &rule.answer, rule.ok);
    let mut all: Vec<Json> =
        rule.response.frame().into_iter().map(|plan| granted.schema(plan)).collect();
    match (&rule.empty, rule.response.frame()) {
        (Some(Empty::Frame(plan)), _) => all.push(granted.schema(plan)),
        (Some(Empty::Outcome(row)), Some(response)) => {
            let plan = rule.without_items.as_ref().unwrap_or(response);
            all.push(success(file, &rule.answer, *row).schema(plan));
        }
        _ => {}
    }
    all
}

/// The frames of all refusals and violations.
fn refusals(file: &Compiled) -> Vec<Json> {
    let rows = file.outcomes.iter().map(|row| &row.cells);
    let own = file.requests.iter().flat_map(|rule| rule.outcomes.values());
    let rows: Vec<_> = rows.chain(own).collect();
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or_default();
    let cells = (0..columns)
        .map(|column| column_of(rows.iter().map(|row| row.get(column).and_then(Option::as_ref))));
    let names = file.requests.iter().map(|rule| of_kind(rule.answer.kind()));
    let written = Written {
        tables: &file.tables,
        // A violation may have no name.
        name: any_of(names.chain([of_kind(Kind::Null)])),
        cells: cells.collect(),
        is_refusal: true,
    };
    let of_rules = file.requests.iter().flat_map(|rule| match &rule.refused {
        Refusal::Nothing => Vec::new(),
        Refusal::Frame(plan) => vec![plan],
        Refusal::ByFault(plans) => {
            let by_fault: BTreeMap<&String, &Plan> = plans.iter().collect();
            by_fault.into_values().collect()
        }
    });
    let plans = of_rules.chain(&file.unknown).chain(&file.malformed);
    plans.map(|plan| written.schema(plan)).collect()
}

/// Any cell of a column.
fn column_of<'a>(cells: impl Iterator<Item = Option<&'a Value<'static>>>) -> Json {
    let (mut values, mut others): (Vec<Json>, Vec<Json>) = (Vec::new(), Vec::new());
    for value in cells {
        let schema = cell(value);
        match value {
            Some(value) if schema.get("const").is_some() => {
                let value = constant(value);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            _ => others.push(schema),
        }
    }
    // The rows of `[outcomes]` have no order.
    values.sort_by_cached_key(Json::to_string);
    others.sort_by_cached_key(Json::to_string);
    let known = (!values.is_empty()).then(|| json!({ "enum": values }));
    any_of(known.into_iter().chain(others))
}
