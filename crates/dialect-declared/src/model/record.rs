//! Fields that were found in a frame.

use super::datum::Datum;
use bytes::Bytes;
use tolmach_domain::{ContentType, Fault, FlowKind, Timestamp};

/// A value that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Flag(bool),
    /// An integer or an id, which may be out of range.
    Integer(i64),
    Text(String),
    Time(Timestamp),
    FlowKind(FlowKind),
    ContentType(ContentType),
    Word(&'static str),
    Json(Bytes),
    Record(Record),
    List(Vec<Found>),
}

impl Found {
    /// A value of the model as it is found in a frame. `None` for none and for objects.
    pub(crate) fn of(datum: &Datum<'_>) -> Option<Self> {
        Some(match datum {
            Datum::None | Datum::Object(_) => return None,
            Datum::Flag(flag) => Found::Flag(*flag),
            Datum::Integer(number) => Found::Integer(*number),
            Datum::Text(text) => Found::Text(text.clone().into_owned()),
            Datum::Time(time) => Found::Time(*time),
            Datum::FlowKind(kind) => Found::FlowKind(*kind),
            Datum::ContentType(content_type) => Found::ContentType((*content_type).clone()),
            Datum::Word(word) => Found::Word(word),
            Datum::Json(json) => Found::Json(Bytes::copy_from_slice(json)),
            list @ Datum::List(_) => {
                Found::List(list.items().filter_map(|item| Found::of(&item.into())).collect())
            }
        })
    }

    /// This with the fields of another record, where both are records.
    pub(crate) fn merged(self, other: Found) -> Found {
        match (self, other) {
            (Found::Record(mut record), Found::Record(other)) => {
                other.0.into_iter().for_each(|(name, value)| record.put(&[name], value));
                Found::Record(record)
            }
            (_, other) => other,
        }
    }
}

/// The fields of one object, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Record(Vec<(&'static str, Found)>);

/// The reason why a record is no command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RecordError {
    /// A field of this name is missing.
    Missing(&'static str),
    /// The engine would refuse it with this.
    Fault(Fault),
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        RecordError::Fault(fault)
    }
}

impl Record {
    /// Puts a value at a path, whose objects are made where they are missing.
    pub(crate) fn put(&mut self, path: &[&'static str], value: Found) {
        match path {
            [] => {}
            [name] => match self.0.iter_mut().find(|(other, _)| other == name) {
                Some((_, found)) => {
                    *found = std::mem::replace(found, Found::Flag(false)).merged(value);
                }
                None => self.0.push((name, value)),
            },
            [name, rest @ ..] => {
                if !self.0.iter().any(|(other, _)| other == name) {
                    self.0.push((name, Found::Record(Record::default())));
                }
                if let Some((_, Found::Record(inner))) =
                    self.0.iter_mut().find(|(other, _)| other == name)
                {
                    inner.put(rest, value);
                }
            }
        }
    }

    /// Puts a value at a path where there is none: `true` after the name of a list, into each of
    /// whose items it is put.
    pub(crate) fn fill_in(&mut self, path: &[(&'static str, bool)], value: &Found) {
        let Some(((name, is_list), rest)) = path.split_first() else { return };
        let found = self.0.iter_mut().find(|(other, _)| other == name);
        match (found, rest, is_list) {
            (None, [], _) => self.0.push((name, value.clone())),
            (Some(_), [], _) => {}
            (Some((_, Found::List(items))), rest, true) => {
                for item in items {
                    if let Found::Record(inner) = item {
                        inner.fill_in(rest, value);
                    }
                }
            }
            (Some((_, Found::Record(inner))), rest, false) => inner.fill_in(rest, value),
            (None, rest, false) => {
                let mut inner = Record::default();
                inner.fill_in(rest, value);
                self.0.push((name, Found::Record(inner)));
            }
            _ => {}
        }
    }

    /// The value at a path.
    pub(crate) fn get(&self, path: &[&'static str]) -> Option<&Found> {
        let (name, rest) = path.split_first()?;
        let (_, found) = self.0.iter().find(|(other, _)| other == name)?;
        match (found, rest) {
            (found, []) => Some(found),
            (Found::Record(inner), rest) => inner.get(rest),
            _ => None,
        }
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Found> {
        let place = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.swap_remove(place).1)
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, RecordError> {
        self.optional_text(name).ok_or(RecordError::Missing(name))
    }

    pub(crate) fn optional_text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Found::Text(text) => Some(text),
            Found::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Found::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn word(&mut self, name: &'static str) -> Option<&'static str> {
        match self.take(name)? {
            Found::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn integer(&mut self, name: &'static str) -> Option<i64> {
        match self.take(name)? {
            Found::Integer(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn time(&mut self, name: &'static str) -> Result<Timestamp, RecordError> {
        match self.take(name) {
            Some(Found::Time(time)) => Ok(time),
            _ => Err(RecordError::Missing(name)),
        }
    }

    /// An id, or the fault of one that exists nowhere.
    pub(crate) fn id<T: TryFrom<i64>>(
        &mut self,
        name: &'static str,
        fault: Fault,
    ) -> Result<T, RecordError> {
        self.optional_id(name, fault)?.ok_or(RecordError::Missing(name))
    }

    pub(crate) fn optional_id<T: TryFrom<i64>>(
        &mut self,
        name: &'static str,
        fault: Fault,
    ) -> Result<Option<T>, RecordError> {
        match self.integer(name) {
            None => Ok(None),
            Some(number) => Ok(Some(T::try_from(number).map_err(|_| fault)?)),
        }
    }

    pub(crate) fn ids<T: TryFrom<i64>>(
        &mut self,
        name: &'static str,
        fault: &Fault,
    ) -> Result<Option<Vec<T>>, RecordError> {
        let Some(Found::List(items)) = self.take(name) else { return Ok(None) };
        let id = |item| match item {
            Found::Integer(number) => T::try_from(number).map_err(|_| fault.clone().into()),
            _ => Err(RecordError::Missing(name)),
        };
        items.into_iter().map(id).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn record(&mut self, name: &'static str) -> Option<Record> {
        match self.take(name)? {
            Found::Record(record) => Some(record),
            _ => None,
        }
    }
}
