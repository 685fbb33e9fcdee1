//! Schemas of values of the model in their forms.

use super::parts::{any_of, anything, of_kind, one_of, or_null};
use crate::forms::{Form, Table, Tables};
use crate::model::Type;
use serde_json::{Value as Json, json};

const DIGITS: &str = "^[0-9]+$";
const HEX: &str = "^[0-9a-f]{32}$";
const PLAIN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$";

/// A value of this type as it is written in a form, where it is not none.
pub(super) fn written(form: &Form, of: Type, tables: &Tables) -> Json {
    match form {
        Form::Natural => natural(of),
        Form::Decimal => json!({ "type": "string", "pattern": DIGITS }),
        Form::Hex => json!({ "type": "string", "pattern": HEX }),
        Form::Uuid => json!({ "type": "string", "format": "uuid" }),
        // A text that is no number is written as null.
        Form::Number => json!({ "type": ["integer", "null"] }),
        Form::Table(table) => match tables.tables.get(*table) {
            Some(table) => written_of_table(table, of),
            None => anything(),
        },
        Form::Choice(choice) => choices(*choice, of, tables, written),
        form => alike(form),
    }
}

/// A value of this type as it is read in a form, where it is not none.
pub(super) fn read(form: &Form, of: Type, tables: &Tables) -> Json {
    match form {
        Form::Natural => natural(of),
        Form::Decimal if !of.is_id() => json!({ "type": "string", "pattern": DIGITS }),
        // Any other text is the id of nothing.
        Form::Decimal | Form::Hex | Form::Uuid => json!({ "type": "string" }),
        Form::Number => json!({ "type": "integer" }),
        Form::Table(table) => match tables.tables.get(*table) {
            Some(table) => read_by_table(table),
            None => anything(),
        },
        Form::Choice(choice) => choices(*choice, of, tables, read),
        form => alike(form),
    }
}

/// The forms that are read as they are written.
fn alike(form: &Form) -> Json {
    match form {
        Form::Seconds | Form::Millis => json!({ "type": "integer" }),
        Form::FloatSeconds => json!({ "type": "number" }),
        Form::Plain => json!({ "type": "string", "pattern": PLAIN }),
        Form::Rfc3339(_) => json!({ "type": "string", "format": "date-time" }),
        Form::Page(_) => json!({ "type": "integer", "minimum": 1 }),
        Form::Present => json!({ "type": "boolean" }),
        Form::Any(Some(kind)) => of_kind(*kind),
        Form::Any(None) => anything(),
        Form::Natural
        | Form::Decimal
        | Form::Hex
        | Form::Uuid
        | Form::Number
        | Form::Date(_)
        | Form::Blank
        | Form::Table(_)
        | Form::Choice(_) => json!({ "type": "string" }),
    }
}

/// A value in the natural form of its type.
fn natural(of: Type) -> Json {
    match of {
        Type::Flag => json!({ "type": "boolean" }),
        Type::Integer | Type::UserId | Type::FlowId | Type::MessageId => {
            json!({ "type": "integer" })
        }
        Type::Text | Type::ContentType => json!({ "type": "string" }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::FlowKind => json!({ "enum": ["chat", "group", "channel"] }),
        Type::Word(words) => json!({ "enum": words }),
        // The compiler refuses holes that name a whole object or list.
        Type::Json | Type::Object(_) | Type::List(_) => anything(),
    }
}

fn choices(
    choice: usize,
    of: Type,
    tables: &Tables,
    schema: fn(&Form, Type, &Tables) -> Json,
) -> Json {
    let forms = tables.choices.get(choice).into_iter().flatten();
    any_of(forms.map(|form| schema(form, of, tables)))
}

fn written_of_table(table: &Table, of: Type) -> Json {
    let first = table.rows.iter().filter_map(|row| row.wire.first());
    let known = one_of(first.chain(&table.others));
    let is_open = !matches!(of, Type::FlowKind | Type::Word(_) | Type::Flag);
    match (table.others_as_they_are, &table.others) {
        (true, _) => any_of([known, json!({ "type": "string" })]),
        // A value that is not in the table is written as null.
        (false, None) if is_open => or_null(known),
        _ => known,
    }
}

fn read_by_table(table: &Table) -> Json {
    let known = one_of(table.rows.iter().flat_map(|row| &row.wire));
    if table.others_as_they_are { any_of([known, json!({ "type": "string" })]) } else { known }
}
