//! Schemas made of schemas.

use crate::syntax::{Kind, Value};
use serde_json::{Value as Json, json};

/// A constant of a wire as JSON.
pub(super) fn constant(value: &Value<'_>) -> Json {
    match value {
        // An integer beyond 64 bits is no constant of a file.
        Value::Null | Value::Huge => Json::Null,
        Value::Flag(flag) => json!(flag),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(constant).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members.map(|(key, value)| (key.clone().into_owned(), constant(value))).collect()
        }
    }
}

/// Exactly this value.
pub(super) fn exactly(value: &Value<'_>) -> Json {
    match value {
        Value::Null => json!({ "type": "null" }),
        value => json!({ "const": constant(value) }),
    }
}

/// One of these values, without repetitions.
pub(super) fn one_of<'a>(values: impl IntoIterator<Item = &'a Value<'static>>) -> Json {
    let mut all: Vec<Json> = Vec::new();
    for value in values.into_iter().map(constant) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    json!({ "enum": all })
}

/// Any of these schemas, without repetitions; anything if one of them is.
pub(super) fn any_of(schemas: impl IntoIterator<Item = Json>) -> Json {
    let mut all: Vec<Json> = Vec::new();
    for schema in schemas {
        if !all.contains(&schema) {
            all.push(schema);
        }
    }
    if all.contains(&anything()) {
        return anything();
    }
    match all.len() {
        1 => all.swap_remove(0),
        _ => json!({ "anyOf": all }),
    }
}

/// The schema, or null.
pub(super) fn or_null(schema: Json) -> Json {
    any_of([schema, json!({ "type": "null" })])
}

/// No bound.
pub(super) fn anything() -> Json {
    json!({})
}

/// Any value of a kind.
pub(super) fn of_kind(kind: Kind) -> Json {
    json!({ "type": match kind {
        Kind::Null => "null",
        Kind::Flag => "boolean",
        Kind::Integer => "integer",
        Kind::Float => "number",
        Kind::Text => "string",
        Kind::List => "array",
        Kind::Object => "object",
    } })
}
