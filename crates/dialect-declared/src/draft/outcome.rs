//! The places in responses that tell the outcome of a request.

use super::path::{Path, at, paths};
use crate::syntax::{Kind, Value};

/// The usual keys of an outcome.
const OUTCOME_KEYS: [&str; 14] = [
    "ok",
    "status",
    "success",
    "code",
    "error",
    "result",
    "reason",
    "why",
    "detail",
    "description",
    "errors",
    "hint",
    "error_msg",
    "response_status",
];
/// The usual keys of an object that only refusals have.
const ERROR_KEYS: [&str; 4] = ["error", "errors", "err", "fault"];

/// The responses to the requests of each name.
struct Responses<'a> {
    groups: &'a [&'a [Value<'static>]],
    all: Vec<&'a Value<'static>>,
}

/// The places that tell the outcome. `groups` are the responses to the requests of each name;
/// `taken` are the places of names and request ids.
///
/// The first place is in every response: one of a usual key, or else one whose values are as
/// different as the keys of the responses are. The others are of usual keys beside it or in
/// refusals alone, or stand in an object that only refusals have. Without a first place, only the
/// values of such an object tell the outcome.
pub(super) fn outcome_paths(groups: &[&[Value<'static>]], taken: &[&Path]) -> Vec<Path> {
    let responses = Responses { groups, all: groups.iter().copied().flatten().collect() };
    let mut found: Vec<Path> = Vec::new();
    for path in responses.all.iter().flat_map(|frame| paths(frame, is_cell)) {
        if !taken.contains(&&path) && !found.contains(&path) && responses.has_only_cells(&path) {
            found.push(path);
        }
    }
    // An object of refusals has no value that every response has.
    let is_error = |path: &Path| {
        path.iter().any(|key| ERROR_KEYS.contains(&key.as_str())) && !responses.all_have(path)
    };
    let Some(first) = responses.first(&found) else {
        return found.into_iter().filter(is_error).collect();
    };
    let ok = responses.most_frequent(&first);
    let is_of_refusals = |path: &Path| {
        let granted = responses.all.iter().filter(|frame| at(frame, &first) == ok);
        granted.into_iter().all(|frame| at(frame, path).is_none())
    };
    let is_beside = |path: &Path| path[..path.len() - 1] == first[..first.len() - 1];
    let others = found.iter().filter(|path| **path != first);
    let mut columns: Vec<&Path> = others
        .clone()
        .filter(|path| {
            let is_usual = usual(path).is_some();
            is_usual && (is_beside(path) || is_of_refusals(path)) || is_error(path)
        })
        .collect();
    columns.sort_by_key(|path| usual(path));
    if columns.is_empty() {
        let is_text = |path: &Path| responses.kind(path) == Some(Kind::Text);
        columns = others
            .filter(|path| is_beside(path) && is_text(path) && is_of_refusals(path))
            .collect();
    }
    std::iter::once(&first).chain(columns).cloned().collect()
}

impl Responses<'_> {
    /// The place that every response has and that tells the outcome.
    fn first(&self, found: &[Path]) -> Option<Path> {
        let common = found.iter().filter(|path| self.all_have(path));
        let is_usual = |path: &&Path| usual(path).is_some();
        let best = common.clone().filter(is_usual).min_by_key(|path| (path.len(), usual(path)));
        let hints: Vec<&Path> =
            found.iter().filter(|path| is_usual(path) && !self.all_have(path)).collect();
        let has_hint = |path: &&&Path| hints.iter().any(|hint| self.goes_with(path, hint));
        best.or_else(|| common.clone().find(|path| self.tells_apart(path)))
            .or_else(|| common.clone().find(|path| has_hint(&path)))
            .cloned()
    }

    /// True if the responses without a hint have one value at a place, and those with it others.
    fn goes_with(&self, path: &Path, hint: &Path) -> bool {
        let (with, without): (Vec<&Value<'static>>, Vec<&Value<'static>>) =
            self.all.iter().partition(|frame| at(frame, hint).is_some());
        let Some(ok) = without.first().map(|frame| at(frame, path)) else { return false };
        without.iter().all(|frame| at(frame, path) == ok)
            && with.iter().all(|frame| at(frame, path) != ok)
    }

    fn all_have(&self, path: &Path) -> bool {
        self.all.iter().all(|frame| at(frame, path).is_some())
    }

    /// True if all values of a place can be cells of a row.
    fn has_only_cells(&self, path: &Path) -> bool {
        self.all.iter().filter_map(|frame| at(frame, path)).all(is_cell)
    }

    /// The kind of the first value of a place.
    fn kind(&self, path: &Path) -> Option<Kind> {
        self.all.iter().find_map(|frame| at(frame, path)).map(Value::kind)
    }

    /// The value that most responses have at a place; of several the first.
    fn most_frequent(&self, path: &Path) -> Option<&Value<'static>> {
        let values = || self.all.iter().rev().filter_map(|frame| at(frame, path));
        values().max_by_key(|value| values().filter(|other| other == value).count())
    }

    /// True if the responses to the requests of one name have other keys where they have another
    /// value at this place, and only there.
    fn tells_apart(&self, path: &Path) -> bool {
        let mut is_ever_another = false;
        for group in self.groups {
            for (index, frame) in group.iter().enumerate() {
                for other in &group[..index] {
                    let is_same = at(frame, path) == at(other, path);
                    if is_same != has_keys_of(frame, other) {
                        return false;
                    }
                    is_ever_another |= !is_same;
                }
            }
        }
        is_ever_another
    }
}

/// True if two frames have the same keys, at all depths.
pub(super) fn has_keys_of(frame: &Value<'_>, other: &Value<'_>) -> bool {
    match (frame, other) {
        (Value::Object(members), Value::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|(key, value)| {
                    other.get(key).is_some_and(|other| has_keys_of(value, other))
                })
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        _ => true,
    }
}

fn usual(path: &Path) -> Option<usize> {
    OUTCOME_KEYS.iter().position(|key| path.last().is_some_and(|last| last == key))
}

/// True for a value that a row of outcomes can have.
fn is_cell(value: &Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Flag(_) | Value::Integer(_) | Value::Text(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value<'static> {
        crate::syntax::Syntax::Json
            .read(text.as_bytes(), 64, |value| crate::draft::place::owned(&value))
            .unwrap()
    }

    #[test]
    fn the_places_of_outcomes_are_found_at_any_depth() {
        for (groups, expected) in [
            // Beside each other, in the order of usual keys.
            (vec![vec![r#"{"hint":"x","ok":false}"#, r#"{"ok":true}"#]], vec!["ok", "hint"]),
            // In an envelope of its own.
            (
                vec![vec![
                    r#"{"head":{"no":1,"status":"OK"},"body":{"room":"1"}}"#,
                    r#"{"head":{"no":2,"status":"NO","why":"gone"}}"#,
                ]],
                vec!["head/status", "head/why"],
            ),
            // An object that only refusals have.
            (
                vec![
                    vec![r#"{"id":1,"result":{"a":1}}"#],
                    vec![r#"{"id":2,"error":{"code":-3,"message":"no"}}"#],
                ],
                vec!["error/code", "error/message"],
            ),
            (
                vec![vec![r#"{"ok":true}"#, r#"{"ok":false,"error":{"kind":"x"}}"#]],
                vec!["ok", "error/kind"],
            ),
            // A key that nobody else has: responses with its other value have other keys.
            (
                vec![vec![r#"{"st":"K","room":"1"}"#, r#"{"st":"N","because":"gone"}"#]],
                vec!["st", "because"],
            ),
            // A list, whose third item goes with the reason in its fourth.
            (
                vec![
                    vec![r#"{"[0]":"a","[2]":"200","[3]":{}}"#],
                    vec![r#"{"[0]":"a","[2]":"404","[3]":{"why":"gone"}}"#],
                ],
                vec!["[2]", "[3]/why"],
            ),
            // Nothing tells them apart.
            (vec![vec![r#"{"room":"1"}"#, r#"{"room":"2"}"#]], vec![]),
        ] {
            let groups: Vec<Vec<Value<'static>>> =
                groups.iter().map(|texts| texts.iter().map(|text| value(text)).collect()).collect();
            let groups: Vec<&[Value<'static>]> = groups.iter().map(Vec::as_slice).collect();
            let taken = vec!["id".to_owned()];
            let found: Vec<String> =
                outcome_paths(&groups, &[&taken]).iter().map(|path| path.join("/")).collect();
            assert_eq!(found, expected);
        }
    }
}
