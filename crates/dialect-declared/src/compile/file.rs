//! Files, and what is laid over another file.

use super::raw::{Raw, RawValue, read};
use crate::problem::{Diagnostic, Problem};

/// The sources that a dialect is made of: places count through all of them.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(String, String, usize)>);

impl Sources {
    /// Adds a file and reads it.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Result<Raw, Problem> {
        let start = self.0.last().map_or(0, |(_, text, start)| start + text.len() + 1);
        self.0.push((name.to_owned(), text.to_owned(), start));
        read(text, start)
    }

    /// A problem with the file, the line and the column that it is at.
    pub(crate) fn diagnostic(&self, mut problem: Problem) -> Diagnostic {
        let source = self.0.iter().rev().find(|(_, _, start)| *start <= problem.place.start);
        match source {
            Some((name, text, start)) => {
                let end = problem.place.end.saturating_sub(*start);
                problem.place = problem.place.start - start..end;
                Diagnostic::new(name, text, problem)
            }
            None => Diagnostic::new("", "", problem),
        }
    }
}

/// A file laid over another one: requests and events are matched by their names, or by `replaces`;
/// `dropped = true` takes one away. All other tables are merged key by key.
pub(crate) fn merged(lower: &Raw, upper: &Raw) -> Raw {
    let mut result = lower.clone();
    for (section, value) in upper.table().into_iter().flatten() {
        let merged = match (section.as_str(), lower.get(section)) {
            (_, None) => value.clone(),
            ("request" | "event", Some(lower)) => merged_rules(lower, value),
            (_, Some(lower)) => merged_tables(lower, value),
        };
        result.put(section, merged);
    }
    result
}

fn merged_tables(lower: &Raw, upper: &Raw) -> Raw {
    let (Some(_), Some(members)) = (lower.table(), upper.table()) else { return upper.clone() };
    let mut result = Raw { place: upper.place.clone(), ..lower.clone() };
    for (key, value) in members {
        let merged = match lower.get(key) {
            Some(lower) => merged_tables(lower, value),
            None => value.clone(),
        };
        result.put(key, merged);
    }
    result
}

fn merged_rules(lower: &Raw, upper: &Raw) -> Raw {
    let mut result = lower.clone();
    for (command, rules) in upper.table().into_iter().flatten() {
        let lower = lower.get(command);
        let mut merged: Vec<Raw> = lower.map_or(Vec::new(), |rules| rules.items().to_vec());
        for rule in rules.items() {
            let name = rule.get("replaces").or(rule.get("name")).map(|name| name.value.clone());
            let same = |other: &Raw| same_name(other.get("name").map(|name| &name.value), &name);
            let place = merged.iter().position(same);
            let is_dropped =
                rule.get("dropped").is_some_and(|flag| flag.value == RawValue::Flag(true));
            match (place, is_dropped) {
                (Some(place), true) => {
                    merged.remove(place);
                }
                (Some(place), false) => {
                    // A frame, a set or a list of rows is replaced as a whole.
                    let mut whole = Raw { place: rule.place.clone(), ..merged[place].clone() };
                    for (key, value) in rule.table().into_iter().flatten() {
                        if key != "replaces" {
                            whole.put(key, value.clone());
                        }
                    }
                    merged[place] = whole;
                }
                (None, _) => merged.push(rule.clone()),
            }
        }
        let place = rules.place.clone();
        result.put(command, Raw { place, value: RawValue::List(merged) });
    }
    result
}

/// True for equal names, wherever they stand.
fn same_name(a: Option<&RawValue>, b: &Option<RawValue>) -> bool {
    match (a, b) {
        (Some(RawValue::Text(a, _)), Some(RawValue::Text(b, _))) => a == b,
        (a, b) => a == b.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_over_another_by_the_names_of_requests() {
        let lower = "[dialect]\nid = 'a'\nrevision = '1'\n[[request.send]]\nname = 's'\nframe = 'x'
[[request.edit]]\nname = 'e'\nframe = 'y'\n";
        let upper = "[dialect]\nrevision = '2'\n[[request.send]]\nname = 't'\nreplaces = 's'
[[request.edit]]\nname = 'e'\ndropped = true\n[[request.edit]]\nname = 'f'\n";
        let mut sources = Sources::default();
        let lower = sources.add("lower.toml", lower).unwrap();
        let upper = sources.add("upper.toml", upper).unwrap();
        let merged = merged(&lower, &upper);
        let text = |path: &[&str]| {
            let found = path.iter().try_fold(&merged, |raw, key| match key.parse::<usize>() {
                Ok(index) => raw.items().get(index),
                Err(_) => raw.get(key),
            });
            found.and_then(Raw::text).map(str::to_owned)
        };
        assert_eq!(text(&["dialect", "id"]).as_deref(), Some("a"));
        assert_eq!(text(&["dialect", "revision"]).as_deref(), Some("2"));
        assert_eq!(text(&["request", "send", "0", "name"]).as_deref(), Some("t"));
        assert_eq!(text(&["request", "send", "0", "frame"]).as_deref(), Some("x"));
        assert_eq!(text(&["request", "edit", "0", "name"]).as_deref(), Some("f"));
        let place = merged.get("request").unwrap().get("send").unwrap().items()[0].place.clone();
        let diagnostic = sources.diagnostic(Problem::error(place, "here"));
        assert!(diagnostic.to_string().starts_with("upper.toml:3:"), "{diagnostic}");
    }
}
