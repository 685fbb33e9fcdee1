//! Fields of a request that are missing, null or mistyped.

use crate::json;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One field of a JSON object. Reading it never fails, so that the answer to a bad field can still
/// name the request. Use with `#[serde(default)]` and, where it is written too,
/// `#[serde(skip_serializing_if = "Field::is_missing")]`.
///
/// ```
/// use std::borrow::Cow;
/// use tolmach_dialect::field::Field;
///
/// #[derive(serde::Deserialize)]
/// struct Request<'a> {
///     #[serde(borrow, default)]
///     token: Field<Cow<'a, str>>,
/// }
/// let request: Request<'_> = serde_json::from_str(r#"{"token":7}"#).unwrap();
/// let error = request.token.required("token").unwrap_err();
/// assert_eq!(error.to_string(), "token: a string is expected");
/// ```
#[derive(Clone, PartialEq, Default)]
pub enum Field<T> {
    /// The object does not have the key.
    #[default]
    Missing,
    /// The value is `null`.
    Null,
    /// The value is of another type.
    Mistyped,
    /// The value.
    Value(T),
}

/// A type of field.
pub trait FieldType<'json>: Sized {
    /// The expectation in words, such as `a string is expected`.
    const EXPECTED: &'static str;

    /// Reads one JSON value, which is not `null`. `None` for a value of another type.
    fn read(json: &'json str) -> Option<Self>;
}

/// A field that a request must not have like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// The name of the field on the wire.
    pub field: &'static str,
    /// The expectation in words.
    pub reason: &'static str,
}

impl<T> Field<T> {
    /// True if the object does not have the key.
    pub fn is_missing(&self) -> bool {
        matches!(self, Field::Missing)
    }
}

impl<'json, T: FieldType<'json>> Field<T> {
    /// A value that must be there.
    pub fn required(self, field: &'static str) -> Result<T, FieldError> {
        match self {
            Field::Value(value) => Ok(value),
            Field::Missing => Err(FieldError { field, reason: "missing" }),
            Field::Null | Field::Mistyped => Err(FieldError { field, reason: T::EXPECTED }),
        }
    }

    /// A value that may be left out; `null` leaves it out.
    pub fn optional(self, field: &'static str) -> Result<Option<T>, FieldError> {
        match self {
            Field::Missing | Field::Null => Ok(None),
            value => value.required(field).map(Some),
        }
    }

    /// A value that may be `null`, whose key must be there.
    pub fn nullable(self, field: &'static str) -> Result<Option<T>, FieldError> {
        match self {
            Field::Null => Ok(None),
            value => value.required(field).map(Some),
        }
    }
}

impl<T> From<T> for Field<T> {
    fn from(value: T) -> Self {
        Field::Value(value)
    }
}

impl<'a> From<&'a str> for Field<Cow<'a, str>> {
    fn from(value: &'a str) -> Self {
        Field::Value(value.into())
    }
}

impl<T> From<Option<T>> for Field<T> {
    /// `None` is written as `null`.
    fn from(value: Option<T>) -> Self {
        value.map_or(Field::Null, Field::Value)
    }
}

impl<T> fmt::Debug for Field<T> {
    /// Never the value, which may be a password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Field::Missing => "Missing",
            Field::Null => "Null",
            Field::Mistyped => "Mistyped",
            Field::Value(_) => "Value(…)",
        })
    }
}

impl<'de, T: FieldType<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if json == "null" {
            return Ok(Field::Null);
        }
        Ok(T::read(json).map_or(Field::Mistyped, Field::Value))
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Field::Value(value) => value.serialize(serializer),
            Field::Missing | Field::Null | Field::Mistyped => serializer.serialize_unit(),
        }
    }
}

impl<'a, 'json: 'a> FieldType<'json> for Cow<'a, str> {
    const EXPECTED: &'static str = "a string is expected";

    fn read(json: &'json str) -> Option<Self> {
        json::text(json)
    }
}

/// An integer without a fraction and an exponent; `None` beyond 64 bits, where no id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integer(pub Option<i64>);

impl FieldType<'_> for Integer {
    const EXPECTED: &'static str = "an integer is expected";

    fn read(json: &str) -> Option<Self> {
        let digits = json.strip_prefix('-').unwrap_or(json);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Integer(json.parse().ok()))
    }
}

impl Integer {
    /// The id with this number, if it can be one.
    pub fn id<T: TryFrom<i64>>(self) -> Option<T> {
        T::try_from(self.0?).ok()
    }
}

impl From<i64> for Field<Integer> {
    fn from(value: i64) -> Self {
        Field::Value(Integer(Some(value)))
    }
}

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_no_fraction_and_no_exponent() {
        for (json, expected) in [
            ("1", Some(Some(1))),
            ("9007199254740992", Some(Some(9_007_199_254_740_992))),
            ("-7", Some(Some(-7))),
            ("-0", Some(Some(0))),
            ("999999999999999999999999", Some(None)),
            ("1.0", None),
            ("1e0", None),
            ("\"1\"", None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
        ] {
            assert_eq!(Integer::read(json), expected.map(Integer), "{json}");
        }
    }

    #[test]
    fn a_field_tells_missing_null_and_mistyped_apart() {
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow, default)]
            token: Field<Cow<'a, str>>,
        }
        for (json, field, required, optional, nullable) in [
            ("{}", Field::Missing, Err("missing"), Ok(None), Err("missing")),
            (r#"{"token":null}"#, Field::Null, Err("a string"), Ok(None), Ok(None)),
            (r#"{"token":7}"#, Field::Mistyped, Err("a string"), Err("a string"), Err("a string")),
            (
                r#"{"token":"\ud800"}"#,
                Field::Mistyped,
                Err("a string"),
                Err("a string"),
                Err("a string"),
            ),
            (r#"{"token":"t"}"#, Field::Value("t".into()), Ok("t"), Ok(Some("t")), Ok(Some("t"))),
        ] {
            let read = || serde_json::from_str::<Request<'_>>(json).unwrap().token;
            let same = |found: Result<Option<Cow<'_, str>>, FieldError>,
                        expected: Result<Option<&str>, &str>| {
                match (found, expected) {
                    (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{json}"),
                    (Err(found), Err(expected)) => {
                        assert!(found.to_string().starts_with(&format!("token: {expected}")));
                    }
                    (found, _) => panic!("{json}: {found:?}"),
                }
            };
            assert!(read() == field, "{json}");
            same(read().required("token").map(Some), required.map(Some));
            same(read().optional("token"), optional);
            same(read().nullable("token"), nullable);
        }
    }
}
