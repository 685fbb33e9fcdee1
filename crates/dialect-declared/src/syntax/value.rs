//! Values of a wire, of whatever syntax.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The keys of an object up to which each is compared with all others; above it they are hashed.
const COMPARED_KEYS: usize = 16;

/// One value. Texts without escapes are borrowed from the frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    /// An integer beyond 64 bits.
    Huge,
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// Each key once, in the order of the frame.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Null,
    Flag,
    Integer,
    Float,
    Text,
    List,
    Object,
}

impl<'a> Value<'a> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Flag(_) => Kind::Flag,
            Value::Integer(_) | Value::Huge => Kind::Integer,
            Value::Float(_) => Kind::Float,
            Value::Text(_) => Kind::Text,
            Value::List(_) => Kind::List,
            Value::Object(_) => Kind::Object,
        }
    }

    /// The value of a key, if this is an object that has it; of `[n]`, the item of a list.
    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        match self {
            Value::Object(members) => {
                members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Value::List(items) => items.get(item_index(key)?),
            _ => None,
        }
    }
}

impl Kind {
    /// The expectation of a value of this kind, in words.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Kind::Null => "null is expected",
            Kind::Flag => "true or false is expected",
            Kind::Integer => "an integer is expected",
            Kind::Float => "a number is expected",
            Kind::Text => "a string is expected",
            Kind::List => "a list is expected",
            Kind::Object => "an object is expected",
        }
    }
}

/// The name that the item of a list has in a path of keys.
pub(crate) fn item_key(index: usize) -> String {
    format!("[{index}]")
}

/// The number of the item that a name in a path of keys is for.
pub(crate) fn item_index(key: &str) -> Option<usize> {
    key.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Finds a key that stands twice.
pub(crate) fn has_double_key(members: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    if members.len() <= COMPARED_KEYS {
        let mut rest = members.iter();
        return std::iter::from_fn(|| Some((rest.next()?, rest.as_slice())))
            .any(|((key, _), rest)| rest.iter().any(|(other, _)| other == key));
    }
    let mut keys = HashSet::with_capacity(members.len());
    !members.iter().all(|(key, _)| keys.insert(&**key))
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Huge, Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            members.push((key, value));
        }
        if has_double_key(&members) {
            return Err(A::Error::custom("a key stands twice"));
        }
        Ok(Value::Object(members))
    }
}

/// A key, borrowed where it can be.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Reader)? {
            Value::Text(key) => Ok(Key(key)),
            _ => Err(D::Error::custom("a key is a string")),
        }
    }
}
