//! TOML with the place of every value.

use crate::problem::{Place, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raw {
    pub(crate) place: Place,
    pub(crate) value: RawValue,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawValue {
    /// A text, and the place of its first character.
    Text(String, usize),
    Integer(i64),
    Flag(bool),
    List(Vec<Raw>),
    Table(Vec<(String, Raw)>),
    /// A value of a type that no key has.
    Other,
}

impl Raw {
    /// The members of a table, in the order of the file.
    pub(crate) fn table(&self) -> Option<&[(String, Raw)]> {
        match &self.value {
            RawValue::Table(members) => Some(members),
            _ => None,
        }
    }

    /// A member of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Raw> {
        self.table()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            RawValue::Text(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn empty(place: Place) -> Self {
        Self { place, value: RawValue::Table(Vec::new()) }
    }

    /// The items of a list; any other value is its only item.
    pub(crate) fn items(&self) -> &[Raw] {
        match &self.value {
            RawValue::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// Replaces the file that `[dialect]` extends.
    pub(crate) fn set_extends(&mut self, base: Option<Raw>) {
        if let RawValue::Table(sections) = &mut self.value
            && let Some((_, head)) = sections.iter_mut().find(|(name, _)| name == "dialect")
            && let RawValue::Table(members) = &mut head.value
        {
            members.retain(|(name, _)| name != "extends");
            members.extend(base.map(|base| ("extends".to_owned(), base)));
        }
    }

    /// Puts a member into a table in place of one with the same key.
    pub(crate) fn put(&mut self, key: &str, value: Raw) {
        if let RawValue::Table(members) = &mut self.value {
            match members.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = value,
                None => members.push((key.to_owned(), value)),
            }
        }
    }
}

/// Reads a file that begins `start` bytes from the beginning of all sources.
pub(crate) fn read(source: &str, start: usize) -> Result<Raw, Problem> {
    let table = DeTable::parse(source).map_err(|error| {
        let place = error.span().unwrap_or_default();
        Problem::error(start + place.start..start + place.end, error.message())
    })?;
    let place = start..start + source.len();
    Ok(Raw { place, value: members(source, start, table.get_ref()) })
}

fn members(source: &str, start: usize, table: &DeTable<'_>) -> RawValue {
    let mut members: Vec<(usize, String, Raw)> = table
        .iter()
        .map(|(key, value)| {
            (key.span().start, key.get_ref().to_string(), raw(source, start, value))
        })
        .collect();
    members.sort_by_key(|(place, ..)| *place);
    RawValue::Table(members.into_iter().map(|(_, key, value)| (key, value)).collect())
}

fn raw(source: &str, start: usize, value: &Spanned<DeValue<'_>>) -> Raw {
    let span = value.span();
    let value = match value.get_ref() {
        DeValue::String(text) => {
            let written = source.get(span.clone()).unwrap_or_default();
            RawValue::Text(text.to_string(), start + span.start + quote_length(written))
        }
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i64::from_str_radix(&digits, number.radix()) {
                Ok(number) => RawValue::Integer(number),
                Err(_) => RawValue::Other,
            }
        }
        DeValue::Boolean(flag) => RawValue::Flag(*flag),
        DeValue::Array(items) => {
            RawValue::List(items.iter().map(|item| raw(source, start, item)).collect())
        }
        DeValue::Table(table) => members(source, start, table),
        DeValue::Float(_) | DeValue::Datetime(_) => RawValue::Other,
    };
    Raw { place: start + span.start..start + span.end, value }
}

/// The bytes before the first character of a text.
fn quote_length(written: &str) -> usize {
    for quote in ["'''", "\"\"\""] {
        if let Some(content) = written.strip_prefix(quote) {
            return 3 + usize::from(content.starts_with('\n'));
        }
    }
    1
}
