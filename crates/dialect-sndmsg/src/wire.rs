//! The frames of both directions: protocols/sndmsg/SPEC.md, section "Frames".
//!
//! Requests and replies are one struct each, because every operation draws its fields from the same
//! short list and keeps them in the same order. Nothing here knows what a field means. The
//! misspellings are the document's.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

use tolmach_dialect::json;
pub(crate) use tolmach_dialect::json::{Present, parse_object as read, write};

/// What a frame is about: the values of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Login,
    Signup,
    CreateRoom,
    SendMessage,
    ReadMessage,
    SearchUser,
    DeleteRoom,
    DeleteMessage,
    EditMessage,
    OldDialogs,
}

impl Operation {
    const ALL: [Operation; 10] = [
        Operation::Login,
        Operation::Signup,
        Operation::CreateRoom,
        Operation::SendMessage,
        Operation::ReadMessage,
        Operation::SearchUser,
        Operation::DeleteRoom,
        Operation::DeleteMessage,
        Operation::EditMessage,
        Operation::OldDialogs,
    ];

    /// The `type` of its requests.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Operation::Login => "REQUEST_LOGIN",
            Operation::Signup => "REQUEST_SIGNUP",
            other => other.reply(),
        }
    }

    /// The `type` of its replies and pushes.
    pub(crate) fn reply(self) -> &'static str {
        match self {
            Operation::Login => "RESPONSE_LOGIN",
            Operation::Signup => "RESPONSE_SIGNUP",
            Operation::CreateRoom => "CREATE_ROOM",
            Operation::SendMessage => "SND_MSG",
            Operation::ReadMessage => "READ_MSG",
            Operation::SearchUser => "SEARCH_USER",
            Operation::DeleteRoom => "DELETE_ROOM",
            Operation::DeleteMessage => "DELETE_MSG",
            Operation::EditMessage => "EDIT_MSG",
            Operation::OldDialogs => "OLD_DIALOGS",
        }
    }

    /// The operation whose requests have this `type`.
    pub(crate) fn from_request(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.request() == kind)
    }

    /// The operation whose replies and pushes have this `type`.
    pub(crate) fn from_reply(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.reply() == kind)
    }

    /// Whether only a connection that has logged in may ask it.
    pub(crate) fn needs_login(self) -> bool {
        !matches!(self, Operation::Login | Operation::Signup)
    }
}

/// The `type` of a refusal of a frame whose own cannot be read.
pub(crate) const ERROR_TYPE: &str = "ERROR";

/// The values of `status`.
pub(crate) mod status {
    pub(crate) const SUCCESS: &str = "SUCCESS";
    pub(crate) const ERROR: &str = "ERROR";
    pub(crate) const NO_ROOM: &str = "ROOM_DOES_NOT_EXIST";
    pub(crate) const LOGIN_OK: &str = "LOGIN_OK";
    pub(crate) const WRONG_USER: &str = "LOGIN_WRONG_USER";
    pub(crate) const WRONG_PASS: &str = "LOGIN_WRONG_PASS";
    pub(crate) const SIGNUP_OK: &str = "SINGUP_OK";
    pub(crate) const USER_EXIST: &str = "SIGNUP_USER_EXIST";
    pub(crate) const SIGNUP_FAIL: &str = "SINGUP_FAIL";
}

/// One field of a request. Reading it never fails, so that the answer to a bad field can still name
/// the request's `type`.
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

impl<'a> From<&'a str> for Field<Cow<'a, str>> {
    fn from(value: &'a str) -> Self {
        Field::Value(value.into())
    }
}

impl From<i64> for Field<Number> {
    fn from(value: i64) -> Self {
        Field::Value(Number(Some(value)))
    }
}

/// An integer that stands where an id is meant; `None` beyond 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) Option<i64>);

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

impl FieldType<'_> for Number {
    const EXPECTED: &'static str = "an integer is expected";

    fn read(json: &str) -> Option<Self> {
        let digits = json.strip_prefix('-').unwrap_or(json);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Number(json.parse().ok()))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.unwrap_or_default())
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
/// ignored when heard. Not `Debug`: it holds passwords.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow, rename = "type", skip_serializing_if = "Field::is_missing")]
    pub(crate) kind: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) login: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) pass: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) username: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) customer: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) read: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) room_id: Field<Number>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) message: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) msg_type: Field<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) user: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) id: Field<Number>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) new_msg: Field<Cow<'a, str>>,
}

/// A reply of any operation, a refusal, or a push.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) room_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) msg_type: Option<MessageType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Vec<Cow<'a, str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dialogs: Option<Vec<Cow<'a, str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Ids>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new_msg: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_massage_id: Option<Vec<i64>>,
    /// Why a request is refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Cow<'a, str>>,
}

/// An `id`: of one thing, or of each dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ids {
    One(i64),
    Each(Vec<i64>),
}

/// The values of `msg_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum MessageType {
    Text,
    File,
    Image,
}

/// What a first frame is looked at for. Other dialects' keys count as soon as they are there,
/// whatever their value.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Field<Cow<'a, str>>,
    pub(crate) mode: Present,
    pub(crate) jsonapi: Present,
    pub(crate) action: Present,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::json::JsonError;

    #[test]
    fn a_number_is_an_integer_without_fraction_or_exponent() {
        for (json, expected) in [
            ("1", Some(Number(Some(1)))),
            ("9007199254740992", Some(Number(Some(9_007_199_254_740_992)))),
            ("-7", Some(Number(Some(-7)))),
            ("-0", Some(Number(Some(0)))),
            ("999999999999999999999999", Some(Number(None))),
            ("1.0", None),
            ("1e0", None),
            ("\"1\"", None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
        ] {
            assert_eq!(Number::read(json), expected, "{json}");
        }
    }

    #[test]
    fn every_operation_is_known_by_its_types_and_by_no_other() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_request(operation.request()), Some(operation));
            assert_eq!(Operation::from_reply(operation.reply()), Some(operation));
        }
        for kind in ["RESPONSE_LOGIN", "snd_msg", "SEND_MSG", "", "ERROR"] {
            assert_eq!(Operation::from_request(kind), None, "{kind}");
        }
        for kind in ["REQUEST_LOGIN", "REQUEST_SIGNUP", "ERROR"] {
            assert_eq!(Operation::from_reply(kind), None, "{kind}");
        }
    }

    #[test]
    fn only_objects_are_read() {
        for (text, syntax) in [
            ("[\"SND_MSG\"]", false),
            ("7", false),
            ("null", false),
            ("", true),
            ("{'type': 1}", true),
            ("{} {}", true),
        ] {
            match read::<Request<'_>>(text.as_bytes(), 64) {
                Err(JsonError::Syntax(_)) => assert!(syntax, "{text}"),
                Err(JsonError::Shape(_)) => assert!(!syntax, "{text}"),
                _ => panic!("{text} was read"),
            }
        }
        assert!(read::<Request<'_>>(b" \r\n\t{}", 64).is_ok());
    }
}
