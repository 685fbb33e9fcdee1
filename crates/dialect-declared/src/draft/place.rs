//! The values that several frames have at one place.

use crate::syntax::{Kind, Value};
use std::borrow::Cow;

/// The values of several frames at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The number of frames that have it.
    pub(super) count: usize,
    /// The different scalars, in their order.
    pub(super) scalars: Vec<Value<'static>>,
    /// The kinds of all values, each once.
    pub(super) kinds: Vec<Kind>,
    /// The number of values that are objects.
    pub(super) objects: usize,
    /// The keys of those objects, in the order in which they were seen.
    pub(super) members: Vec<(String, Place)>,
    /// All items of all lists, as one place.
    pub(super) items: Option<Box<Place>>,
    /// The items of all lists by their positions, if all lists are as long as each other.
    positions: Positions,
}

/// The items of lists by their positions.
#[derive(Debug, Clone, Default)]
enum Positions {
    /// There is no list yet.
    #[default]
    Unknown,
    Of(Vec<Place>),
    /// Lists are of different lengths, or too long.
    Various,
}

/// The longest list whose items are told apart by their positions.
const MAX_POSITIONS: usize = 16;

impl Place {
    /// The place of these values.
    pub(super) fn of<'v, 'a: 'v>(values: impl IntoIterator<Item = &'v Value<'a>>) -> Self {
        let mut place = Self::default();
        values.into_iter().for_each(|value| place.add(value));
        place
    }

    fn add(&mut self, value: &Value<'_>) {
        self.count += 1;
        if !self.kinds.contains(&value.kind()) {
            self.kinds.push(value.kind());
        }
        match value {
            Value::Object(members) => {
                self.objects += 1;
                for (key, value) in members {
                    self.member(key).add(value);
                }
            }
            Value::List(items) => {
                let place = self.items.get_or_insert_default();
                items.iter().for_each(|item| place.add(item));
                self.positions.add(items);
            }
            scalar => {
                let scalar = owned(scalar);
                if !self.scalars.contains(&scalar) {
                    self.scalars.push(scalar);
                }
            }
        }
    }

    fn member(&mut self, key: &str) -> &mut Place {
        let index = self.members.iter().position(|(name, _)| name == key);
        let index = index.unwrap_or_else(|| {
            self.members.push((key.to_owned(), Place::default()));
            self.members.len() - 1
        });
        &mut self.members[index].1
    }

    /// The place at a path from here.
    pub(super) fn at(&self, path: &[String]) -> Option<&Place> {
        path.iter().try_fold(self, |place, key| {
            place.members.iter().find(|(name, _)| name == key).map(|(_, member)| member)
        })
    }

    /// The one kind of all values but null.
    pub(super) fn kind(&self) -> Option<Kind> {
        let mut kinds = self.kinds.iter().filter(|kind| **kind != Kind::Null);
        let first = kinds.next().copied();
        first.filter(|_| kinds.next().is_none())
    }

    /// The items of the lists here by their positions: two or more, in lists of one length.
    pub(super) fn positions(&self) -> Option<&[Place]> {
        match &self.positions {
            Positions::Of(places) if places.len() > 1 => Some(places),
            _ => None,
        }
    }

    /// True if a value is an object.
    pub(super) fn is_object(&self) -> bool {
        self.kind() == Some(Kind::Object)
    }

    /// The texts among the scalars.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.scalars.iter().filter_map(|scalar| match scalar {
            Value::Text(text) => Some(&**text),
            _ => None,
        })
    }
}

impl Positions {
    fn add(&mut self, items: &[Value<'_>]) {
        match self {
            Positions::Unknown if items.len() <= MAX_POSITIONS => {
                *self = Positions::Of(items.iter().map(|item| Place::of([item])).collect());
            }
            Positions::Of(places) if places.len() == items.len() => {
                places.iter_mut().zip(items).for_each(|(place, item)| place.add(item));
            }
            _ => *self = Positions::Various,
        }
    }
}

/// A value that borrows nothing.
pub(super) fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Flag(flag) => Value::Flag(*flag),
        Value::Integer(number) => Value::Integer(*number),
        Value::Huge => Value::Huge,
        Value::Float(number) => Value::Float(*number),
        Value::Text(text) => Value::Text(Cow::Owned(text.clone().into_owned())),
        Value::List(items) => Value::List(items.iter().map(owned).collect()),
        Value::Object(members) => {
            let member = |(key, value): &(Cow<'_, str>, _)| {
                (Cow::Owned(key.clone().into_owned()), owned(value))
            };
            Value::Object(members.iter().map(member).collect())
        }
    }
}
