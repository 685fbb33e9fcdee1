//! Times of records.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use tolmach_domain::Timestamp;

/// A time in the form of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.rfc3339_micros())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let time = Timestamp::parse_rfc3339(&text).map(Self);
        let expected = &"a time of RFC 3339 since 1970, such as 2023-01-01T00:00:00Z";
        time.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}
