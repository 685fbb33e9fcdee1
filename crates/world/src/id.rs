//! Ids of records.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tolmach_domain::ExternalId;

/// Precedes the number of a group, or of a message in one.
const GROUP: &str = "group:";

/// The id of a record, as the server that it comes from gave it: an integer, or a text that is a
/// UUID or an integer. At a server that numbered groups and their messages apart from chats and
/// theirs, the ids of groups, channels and their messages are `group:` and an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub ExternalId);

impl Id {
    /// The id with this number; `None` below 0.
    pub fn number(number: i64) -> Option<Self> {
        u128::try_from(number).ok().map(|number| Self(ExternalId(number)))
    }

    /// The id with this number of a group, or of a message in one, at a server that numbered those
    /// apart from chats; `None` for 0, below it, and from 2^52 on.
    pub fn of_group(number: i64) -> Option<Self> {
        ExternalId::of_group(number).map(Self)
    }

    /// The id that a text says.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix(GROUP) {
            return Self::of_group(ExternalId::from_decimal(number)?.number()?);
        }
        ExternalId::from_decimal(text).or_else(|| ExternalId::from_hex(text)).map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.number() {
            Some(number) => serializer.serialize_i64(number),
            None => serializer.collect_str(self),
        }
    }
}

/// The decimal digits, after `group:` those of the number of a group.
impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.group_number() {
            Some(number) => write!(formatter, "{GROUP}{number}"),
            None => self.0.0.fmt(formatter),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("an integer from 0 on, or the text of one, of a UUID or of group:N")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(ExternalId(number.into())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}
