//! All keys with the values found so far.

use super::error::{ConfigError, InvalidValue};
use super::origin::Origin;
use super::sections::{Config, DialectSection, NamedUpstream};
use super::sources::{Assignment, Given, flatten};
use crate::dialects;
use toml::{Table, Value};

/// The documented defaults.
pub(super) const DEFAULTS: &str = include_str!("../../../../config/tolmach.toml");

/// Keys whose values no message shows.
const SECRETS: [&str; 9] = [
    "auth.jwt_secret",
    "auth.keys",
    "mail.url",
    "store.url",
    "bus.url",
    "blobs.url",
    "blobs.endpoint",
    "blobs.secret_access_key",
    "record.key",
];

/// All keys with the values found so far; at first the defaults.
pub(super) struct Schema {
    values: Table,
}

impl Schema {
    /// The documented defaults.
    pub(super) fn new() -> Result<Self, ConfigError> {
        Ok(Self { values: DEFAULTS.parse().map_err(ConfigError::Defaults)? })
    }

    /// Sets one key. If the configuration cannot be read with the new value, the old one stays.
    pub(super) fn assign(&mut self, assignment: Assignment) -> Result<(), ConfigError> {
        let Assignment { origin, key, value } = assignment;
        let value = match value {
            Given::Typed(value) => value,
            Given::Text(text) => self.typed(&key, text),
        };
        self.add_upstream(&key);
        let Some(slot) = self.value(&key) else { return Err(self.unknown(origin, key)) };
        let shown = (!SECRETS.contains(&key.as_str())).then(|| value.to_string());
        let previous = std::mem::replace(slot, value);
        // All other values have been checked, so that an error is about this one.
        let Err(source) = self.check(&key) else { return Ok(()) };
        if let Some(slot) = self.value(&key) {
            *slot = previous;
        }
        Err(ConfigError::Value { key, value: shown, origin, source })
    }

    /// The configuration with the values found so far.
    pub(super) fn read(&self) -> Result<Config, toml::de::Error> {
        self.values.clone().try_into()
    }

    /// The value of a key; `None` if there is no such key, or if it is a section.
    pub(super) fn value(&mut self, key: &str) -> Option<&mut Value> {
        let mut parts = key.split('.');
        let first = self.values.get_mut(parts.next()?)?;
        parts
            .try_fold(first, |value, part| value.as_table_mut()?.get_mut(part))
            .filter(|value| !value.is_table())
    }

    /// Adds the section that a key of an upstream belongs to, if it is not there.
    fn add_upstream(&mut self, key: &str) {
        let parts: Vec<&str> = key.split('.').collect();
        let ["bridge", name, field] = parts.as_slice() else { return };
        if !NamedUpstream::KEYS.contains(field) {
            return;
        }
        if let Some(bridge) = self.values.get_mut("bridge").and_then(Value::as_table_mut) {
            let empty = || NamedUpstream::KEYS.map(|key| (key.to_owned(), Value::from("")));
            let section = || Value::Table(Table::from_iter(empty()));
            bridge.entry((*name).to_owned()).or_insert_with(section);
        }
    }

    fn check(&self, key: &str) -> Result<(), InvalidValue> {
        let config =
            self.read().map_err(|error| InvalidValue::Unexpected(error.message().to_owned()))?;
        let id = key.strip_prefix("dialects.").and_then(|rest| rest.split_once('.'));
        if let Some((id, section)) = id.and_then(|(id, _)| config.dialects.by_id.get_key_value(id))
        {
            let DialectSection { options, .. } = section;
            dialects::configure_compiled(id, options.clone())?;
        }
        Ok(())
    }

    /// A text as a value of the type that the key's default has, if it can be read as that. Lists
    /// are separated by commas.
    fn typed(&mut self, key: &str, text: String) -> Value {
        match self.value(key) {
            Some(Value::Integer(_)) => text.parse().map_or(Value::String(text), Value::Integer),
            Some(Value::Boolean(_)) => text.parse().map_or(Value::String(text), Value::Boolean),
            Some(Value::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
            _ => Value::String(text),
        }
    }

    /// The error about a key that does not exist, or that is a section.
    fn unknown(&self, origin: Origin, key: String) -> ConfigError {
        let keys = self.keys();
        let section = self.keys_of(&key);
        if !section.is_empty() {
            return ConfigError::Section { key, origin, keys: section.join(", ") };
        }
        let likeness = |other: &str| strsim::jaro_winkler(other, &key);
        let nearest = keys.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.cloned().unwrap_or_default();
        let existing = self.existing(&key);
        ConfigError::UnknownKey { key, origin, nearest, existing }
    }

    /// A sentence that lists the keys of the section of `key`; the sections if there is none.
    fn existing(&self, key: &str) -> String {
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let siblings = self.keys_of(section);
        if !siblings.is_empty() {
            return format!("[{section}] has {}", siblings.join(", "));
        }
        let sections = self.values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut text = format!("The sections are {sections}");
        if key.starts_with("dialects") {
            text.push_str(&format!(", the dialects {}", dialects::ids().join(", ")));
        }
        text
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        flatten("", self.values.clone(), &mut |key, _| keys.push(key));
        keys
    }

    /// The keys of a section without the names of its own sections; none if it is no section.
    fn keys_of(&self, section: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        let below = |key: &String| key.strip_prefix(&prefix).map(str::to_owned);
        self.keys().iter().filter_map(below).filter(|key| !key.contains('.')).collect()
    }
}
