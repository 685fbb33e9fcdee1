//! Tables of a file whose keys are known.

use super::raw::{Raw, RawValue};
use crate::problem::{Problem, nearest};

/// Problems that are collected while a file is compiled.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(crate) fn error(&mut self, raw: &Raw, text: impl Into<String>) {
        self.add(Problem::error(raw.place.clone(), text));
    }

    /// The value, or `None` after keeping the problem.
    pub(crate) fn ok<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| !problem.is_warning)
    }

    /// Refuses keys of a table that do not exist.
    pub(crate) fn only(&mut self, raw: &Raw, keys: &[&str]) {
        let Some(members) = raw.table() else {
            return self.error(raw, "a table is expected");
        };
        for (key, value) in members {
            if !keys.contains(&key.as_str()) {
                let near = nearest(key, keys.iter().copied());
                self.error(value, format!("{key}: no such key; {near}"));
            }
        }
    }

    /// A text of a table, if it is there.
    pub(crate) fn text<'r>(&mut self, raw: &'r Raw, key: &str) -> Option<&'r str> {
        let value = raw.get(key)?;
        if value.text().is_none() {
            self.error(value, format!("{key}: a text is expected"));
        }
        value.text()
    }

    /// A text that a table must have; the empty text if it has none.
    pub(crate) fn needed_text<'r>(&mut self, raw: &'r Raw, key: &str) -> &'r str {
        if raw.get(key).is_none() {
            self.error(raw, format!("the key {key} is missing"));
        }
        self.text(raw, key).unwrap_or_default()
    }

    pub(crate) fn flag(&mut self, raw: &Raw, key: &str) -> Option<bool> {
        let value = raw.get(key)?;
        match value.value {
            RawValue::Flag(flag) => Some(flag),
            _ => {
                self.error(value, format!("{key}: true or false is expected"));
                None
            }
        }
    }

    /// The texts of a list, or the only one.
    pub(crate) fn texts(&mut self, raw: &Raw, key: &str) -> Vec<String> {
        let Some(value) = raw.get(key) else { return Vec::new() };
        let mut texts = Vec::new();
        for item in value.items() {
            match item.text() {
                Some(text) => texts.push(text.to_owned()),
                None => self.error(item, format!("{key}: a text is expected")),
            }
        }
        texts
    }

    /// The value of a closed set that a text names.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        raw: &Raw,
        text: &str,
        names: &[(&'static str, T)],
    ) -> Option<T> {
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let near = nearest(text, names.iter().map(|(name, _)| *name));
            self.error(raw, format!("{text}: no such value; {near}"));
        }
        found
    }
}
