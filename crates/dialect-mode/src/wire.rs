//! The frames of both directions: protocols/mode/SPEC.md, section "Frames".
//!
//! Requests and replies are one struct each, because every operation draws its fields from the same
//! short list and keeps them in the same order. Nothing here knows what a field means.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tolmach_dialect::json::{self, Present};
use tolmach_domain::{FlowId, Timestamp};

/// What a frame is about: the values of `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Register,
    Auth,
    Recovery,
    Logout,
    GetChats,
    GetMessages,
    SendMessage,
    SendGroupMessage,
}

impl Operation {
    const ALL: [Operation; 8] = [
        Operation::Register,
        Operation::Auth,
        Operation::Recovery,
        Operation::Logout,
        Operation::GetChats,
        Operation::GetMessages,
        Operation::SendMessage,
        Operation::SendGroupMessage,
    ];

    /// Its value of `mode`.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Operation::Register => "register",
            Operation::Auth => "auth",
            Operation::Recovery => "recovery",
            Operation::Logout => "logout",
            Operation::GetChats => "getChats",
            Operation::GetMessages => "getMessages",
            Operation::SendMessage => "sendMessage",
            Operation::SendGroupMessage => "sendGroupMessage",
        }
    }

    /// The operation with this value of `mode`.
    pub(crate) fn from_mode(mode: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.mode() == mode)
    }

    /// Whether its replies have a `token`, `null` on failure.
    pub(crate) fn hands_out_token(self) -> bool {
        matches!(self, Operation::Register | Operation::Auth)
    }

    /// Whether its requests must have a `token`.
    pub(crate) fn is_signed(self) -> bool {
        !matches!(self, Operation::Register | Operation::Auth | Operation::Recovery)
    }
}

/// The two forms in which moments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Times {
    /// `YYYY-MM-DD HH:MM:SS` in UTC.
    #[default]
    Text,
    /// Seconds since the epoch, with a fraction.
    Number,
}

/// A moment as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Moment {
    Number(f64),
    Text(String),
}

impl Moment {
    pub(crate) fn new(moment: Timestamp, times: Times) -> Self {
        match times {
            Times::Text => Moment::Text(moment.plain()),
            Times::Number => Moment::Number(moment.seconds()),
        }
    }

    /// The moment, unless it is none or out of range.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Moment::Number(seconds) => Timestamp::from_seconds(*seconds),
            Moment::Text(text) => Timestamp::parse_plain(text),
        }
    }
}

/// A number that stands where a flow's id is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatNumber {
    Id(FlowId),
    /// An integer that no flow can have.
    OutOfRange,
}

/// One field of a request. Reading it never fails, so that the answer to a bad field can still name
/// the request's `mode` and keep the form of its `timestamp`.
#[derive(Clone, PartialEq, Default)]
pub(crate) enum Field<T> {
    #[default]
    Missing,
    Null,
    Mistyped,
    Value(T),
}

impl<T> Field<T> {
    fn is_missing(&self) -> bool {
        matches!(self, Field::Missing)
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

/// A type of field.
pub(crate) trait FieldType<'json>: Sized {
    /// What is expected, in words.
    const EXPECTED: &'static str;

    /// Reads one JSON value, which is not `null`.
    fn read(json: &'json str) -> Option<Self>;
}

impl<'a, 'json: 'a> FieldType<'json> for Cow<'a, str> {
    const EXPECTED: &'static str = "a string is expected";

    fn read(json: &'json str) -> Option<Self> {
        json::text(json)
    }
}

impl FieldType<'_> for ChatNumber {
    const EXPECTED: &'static str = "an integer is expected";

    fn read(json: &str) -> Option<Self> {
        let digits = json.strip_prefix('-').unwrap_or(json);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let id = json.parse().ok().and_then(|number| FlowId::new(number).ok());
        Some(id.map_or(ChatNumber::OutOfRange, ChatNumber::Id))
    }
}

impl Serialize for ChatNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ChatNumber::Id(flow) => serializer.serialize_i64(flow.get()),
            ChatNumber::OutOfRange => serializer.serialize_i64(0),
        }
    }
}

impl FieldType<'_> for Moment {
    const EXPECTED: &'static str = "a number or a string is expected";

    fn read(json: &str) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => json::text(json).map(|text| Moment::Text(text.into_owned())),
            // Not serde_json's reading: a number too large for it is still a number, and only the
            // form is asked for.
            b'-' | b'0'..=b'9' => json.parse().ok().map(Moment::Number),
            _ => None,
        }
    }
}

impl<'de, T: FieldType<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(if json == "null" {
            Field::Null
        } else {
            T::read(json).map_or(Field::Mistyped, Field::Value)
        })
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

/// A request of any operation. Fields that the operation does not have are [`Field::Missing`], or
/// ignored when heard. Not `Debug`: it holds passwords and tokens.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) mode: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) timestamp: Field<Moment>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) token: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) username: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) password: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) email: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) known_data: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) known_data_type: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) chat_id: Field<ChatNumber>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) content: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) content_type: Field<Cow<'a, str>>,
}

impl Request<'_> {
    /// The form of its timestamp, in which it is answered.
    pub(crate) fn times(&self) -> Times {
        match self.timestamp {
            Field::Value(Moment::Number(_)) => Times::Number,
            _ => Times::Text,
        }
    }
}

/// A reply of any operation, a refusal, or a push: the one that has a `chat_id`. Not `Debug`: it
/// holds tokens.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    /// `null` where the request had none.
    pub(crate) mode: Option<Cow<'a, str>>,
    pub(crate) timestamp: Moment,
    /// As in RFC 9110.
    pub(crate) status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error_msg: Option<Cow<'a, str>>,
    /// The outer `None` leaves the key out, the inner one is `null`. Heard, both are the outer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Option<Cow<'a, str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chat_id: Option<i64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) chats: Option<Vec<Chat<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Vec<Message<'a>>>,
}

/// A row of `chats`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chat<'a> {
    pub(crate) chat_id: i64,
    #[serde(borrow)]
    pub(crate) chat_name: Cow<'a, str>,
    pub(crate) chat_type: ChatType,
}

/// The values of `chat_type`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChatType {
    Personal,
    Group,
}

/// A row of `messages`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) message_id: i64,
    pub(crate) from_id: i64,
    #[serde(borrow)]
    pub(crate) from_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content_type: Cow<'a, str>,
    pub(crate) content_time: Moment,
}

/// What a first frame is looked at for. A key counts as soon as it is there, whatever its value.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Head<'a> {
    #[serde(borrow)]
    pub(crate) mode: Field<Cow<'a, str>>,
    #[serde(rename = "type")]
    pub(crate) kind: Present,
    pub(crate) jsonapi: Present,
    pub(crate) action: Present,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::json::{JsonError, parse_object};

    #[test]
    fn a_chat_number_is_an_integer_without_fraction_or_exponent() {
        let id = |number| Some(ChatNumber::Id(FlowId::new(number).unwrap()));
        for (json, expected) in [
            ("1", id(1)),
            ("9007199254740991", id(9_007_199_254_740_991)),
            ("9007199254740992", Some(ChatNumber::OutOfRange)),
            ("0", Some(ChatNumber::OutOfRange)),
            ("-0", Some(ChatNumber::OutOfRange)),
            ("-7", Some(ChatNumber::OutOfRange)),
            ("999999999999999999999999", Some(ChatNumber::OutOfRange)),
            ("1.0", None),
            ("1e0", None),
            ("\"1\"", None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
        ] {
            assert_eq!(ChatNumber::read(json), expected, "{json}");
        }
    }

    #[test]
    fn a_field_tells_missing_null_and_mistyped_apart() {
        for (json, expected) in [
            (r#"{}"#, Field::Missing),
            (r#"{"token":null}"#, Field::Null),
            (r#"{"token":7}"#, Field::Mistyped),
            (r#"{"token":"\ud800"}"#, Field::Mistyped),
            (r#"{"token":"t"}"#, Field::Value("t".into())),
        ] {
            let request: Request<'_> = parse_object(json.as_bytes(), 64).unwrap();
            assert!(request.token == expected, "{json}");
        }
    }

    #[test]
    fn only_objects_are_read() {
        for (text, syntax) in [
            ("[\"auth\",1]", false),
            ("\"auth\"", false),
            ("7", false),
            ("null", false),
            ("", true),
            ("{'mode': 'auth'}", true),
            ("[1", true),
            ("{} {}", true),
        ] {
            match parse_object::<Request<'_>>(text.as_bytes(), 64) {
                Err(JsonError::Syntax(_)) => assert!(syntax, "{text}"),
                Err(JsonError::Shape(_)) => assert!(!syntax, "{text}"),
                _ => panic!("{text} was read"),
            }
        }
        assert!(parse_object::<Request<'_>>(b" \r\n\t{}", 64).is_ok());
    }

    #[test]
    fn the_form_of_a_timestamp_is_that_of_its_json_type() {
        for (json, times) in [
            (r#"{"timestamp":1.5}"#, Times::Number),
            (r#"{"timestamp":-1}"#, Times::Number),
            (r#"{"timestamp":1e999}"#, Times::Number),
            (r#"{"timestamp":"1.5"}"#, Times::Text),
            (r#"{"timestamp":null}"#, Times::Text),
            (r#"{"timestamp":[1]}"#, Times::Text),
            (r#"{}"#, Times::Text),
        ] {
            assert_eq!(
                parse_object::<Request<'_>>(json.as_bytes(), 64).unwrap().times(),
                times,
                "{json}"
            );
        }
    }
}
