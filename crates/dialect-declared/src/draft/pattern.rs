//! Writing patterns of dialect files.

use super::path::Path;
use super::place::Place;
use crate::syntax::{Kind, Value, item_index};
use std::borrow::Cow;

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

/// A constant of a pattern, with all items and members.
pub(super) fn constant(value: &Value<'_>) -> String {
    match value {
        Value::Null | Value::Huge => "null".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(value) => text(value),
        Value::List(items) => brackets(items.iter().map(constant).collect()),
        Value::Object(members) => {
            let member = |(key, value): &(Cow<'_, str>, Value<'_>)| Member {
                key: key.to_string(),
                mark: "",
                value: constant(value),
            };
            object(&members.iter().map(member).collect::<Vec<_>>())
        }
    }
}

/// A key with its mark, and the pattern of its value.
struct Member {
    key: String,
    mark: &'static str,
    value: String,
}

/// An object of these members.
fn object(members: &[Member]) -> String {
    let member = |Member { key, mark, value }: &Member| format!("{}{mark}: {value}", text(key));
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
}

/// A list of members whose keys are all places of items; `null` stands at other places.
fn list(members: &[Member]) -> Option<String> {
    let places = members.iter().map(|member| item_index(&member.key));
    let places: Vec<usize> = places.collect::<Option<_>>()?;
    let mut items = vec!["null".to_owned(); places.iter().max()? + 1];
    for (place, member) in places.iter().zip(members) {
        items[*place].clone_from(&member.value);
    }
    Some(brackets(items))
}

/// A list of these items.
pub(super) fn brackets(items: Vec<String>) -> String {
    format!("[{}]", items.join(", "))
}

/// A hole for any value of a place: one for each position of lists that are as long as each other.
pub(super) fn any(place: &Place) -> String {
    if let (Some(Kind::List), Some(places)) = (place.kind(), place.positions()) {
        return brackets(places.iter().map(any).collect());
    }
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
            // An object whose members stand elsewhere is left out; one that has none is not.
            Written::Inside if member.is_object() => {
                let inside = frame(member, path, choose);
                (member.members.is_empty() || inside != "{}").then_some(inside)
            }
            Written::Inside => Some(any(member)),
            Written::Not => None,
        };
        path.pop();
        let mark = if member.count < place.objects { "?" } else { "" };
        members.extend(written.map(|value| Member { key: key.clone(), mark, value }));
    }
    object(&members)
}

/// A value at a path of a frame; the mark stands after its key.
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) mark: &'static str,
    pub(super) value: String,
}

/// The value of an entry over which frames are laid.
pub(super) const LAYERS: &str = "+{}";

/// An object with these entries, whose paths all have a key at `depth`. At the place of `lists` the
/// object is the list that [`unlisted`](super::lists::unlisted) read as one.
pub(super) fn nested(entries: &[&Entry], depth: usize, lists: Option<&Path>) -> String {
    let mut members: Vec<Member> = Vec::new();
    for entry in entries {
        let key = &entry.path[depth];
        if members.iter().any(|member| member.key == *key) {
            continue;
        }
        let (own, below): (Vec<&Entry>, Vec<&Entry>) = entries
            .iter()
            .copied()
            .filter(|other| other.path[depth] == *key)
            .partition(|other| other.path.len() == depth + 1);
        let (mark, value) = match own.first() {
            Some(own) if own.value == LAYERS => {
                ("", format!("+{}", nested(&below, depth + 1, lists)))
            }
            Some(own) => (own.mark, own.value.clone()),
            None => {
                let takes_layers = below.iter().any(|entry| entry.value == LAYERS);
                // An object all of whose members may be left out is left out with them.
                let may_be_left_out = below.iter().all(|entry| entry.mark == "?");
                let mark = match (takes_layers, may_be_left_out) {
                    (true, _) => "+",
                    (false, true) => "?",
                    (false, false) => "",
                };
                (mark, nested(&below, depth + 1, lists))
            }
        };
        members.push(Member { key: key.clone(), mark, value });
    }
    let is_at_lists =
        lists.is_some_and(|place| entries.iter().all(|entry| entry.path[..depth] == **place));
    is_at_lists.then(|| list(&members)).flatten().unwrap_or_else(|| object(&members))
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
