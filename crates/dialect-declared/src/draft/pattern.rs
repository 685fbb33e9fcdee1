//! Writing patterns of dialect files.

use super::place::Place;
use crate::syntax::{Kind, Value};

/// A text of a pattern, in its quotation marks. `<` would begin a hole.
pub(super) fn text(text: &str) -> String {
    let mut written = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '<' => written.push_str("\\u003c"),
            char if char.is_control() => {
                written.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => written.push(char),
        }
    }
    written.push('"');
    written
}

/// A constant of a pattern. Lists are written empty, and objects with their members.
pub(super) fn constant(value: &Value<'_>) -> String {
    match value {
        Value::Null | Value::Huge => "null".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(value) => text(value),
        Value::List(_) => "[]".to_owned(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", text(key), constant(value)));
            braces(members.collect())
        }
    }
}

/// An object of these members.
pub(super) fn braces(members: Vec<String>) -> String {
    format!("{{{}}}", members.join(", "))
}

/// A hole for any value of a place.
pub(super) fn any(place: &Place) -> String {
    let form = match place.kind() {
        Some(Kind::Text) => ": string",
        Some(Kind::Integer) => ": integer",
        Some(Kind::Flag) => ": flag",
        Some(Kind::List) => ": list",
        Some(Kind::Object) => ": object",
        Some(Kind::Null | Kind::Float) | None => "",
    };
    // An integer beyond 64 bits has no form.
    if place.scalars.contains(&Value::Huge) {
        return "<_>".to_owned();
    }
    format!("<_{form}>")
}

/// The way in which a place is written.
pub(super) enum Written {
    /// As this pattern.
    As(String),
    /// Member by member, or as any value.
    Inside,
    /// Not at all.
    Not,
}

/// A place as a pattern. `choose` is asked for each place but the root, with the keys from there.
pub(super) fn frame(
    place: &Place,
    path: &mut Vec<String>,
    choose: &mut dyn FnMut(&[String], &Place) -> Written,
) -> String {
    let mut members = Vec::new();
    for (key, member) in &place.members {
        path.push(key.clone());
        let written = match choose(path, member) {
            Written::As(pattern) => Some(pattern),
            Written::Inside if member.is_object() => Some(frame(member, path, choose)),
            Written::Inside => Some(any(member)),
            Written::Not => None,
        };
        path.pop();
        let mark = if member.count < place.objects { "?" } else { "" };
        members.extend(written.map(|written| format!("{}{mark}: {written}", text(key))));
    }
    braces(members)
}

/// A value at a path of a frame; the mark stands after its key.
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) mark: &'static str,
    pub(super) value: String,
}

/// An object with these entries, whose paths all have a key at `depth`.
pub(super) fn nested(entries: &[&Entry], depth: usize) -> String {
    let mut keys: Vec<&str> = Vec::new();
    let mut members = Vec::new();
    for entry in entries {
        let key = entry.path[depth].as_str();
        if keys.contains(&key) {
            continue;
        }
        keys.push(key);
        members.push(if entry.path.len() == depth + 1 {
            format!("{}{}: {}", text(key), entry.mark, entry.value)
        } else {
            let below: Vec<&Entry> = entries
                .iter()
                .copied()
                .filter(|other| other.path.len() > depth + 1 && other.path[depth] == key)
                .collect();
            format!("{}: {}", text(key), nested(&below, depth + 1))
        });
    }
    braces(members)
}

/// A pattern or another text as a string of TOML.
pub(super) fn toml_string(text: &str) -> String {
    if !text.contains(['\'', '\n']) {
        format!("'{text}'")
    } else if !text.contains("'''") && !text.ends_with('\'') {
        format!("'''{text}'''")
    } else {
        toml::Value::String(text.to_owned()).to_string()
    }
}
