//! Ids by which the clients of another server know objects of this one.

use crate::{FlowId, MessageId, UserId};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The smallest external id that is not a plain number. World ids from there on are free, so that
/// an id whose number another object has on a wire can be moved up there.
pub const EXTERNAL_NUMBER_LIMIT: i64 = 1 << 52;

/// Added to the numbers of groups, and of messages in them, that a server gave apart from those of
/// chats. No UUID of RFC 9562 is from there up to [`EXTERNAL_NUMBER_LIMIT`] above it: its version
/// would be 0.
const GROUP_NUMBERS: u128 = 1 << 64;

/// The largest length of a namespace, in bytes.
const NAMESPACE_LIMIT: usize = 64;

/// The kinds of object that have ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Users.
    User,
    /// Flows of all kinds.
    Flow,
    /// Messages.
    Message,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [ObjectKind; 3] = [ObjectKind::User, ObjectKind::Flow, ObjectKind::Message];

    /// A short stable name.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::User => "user",
            ObjectKind::Flow => "flow",
            ObjectKind::Message => "message",
        }
    }
}

/// The id of an object of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// Of a user.
    User(UserId),
    /// Of a flow.
    Flow(FlowId),
    /// Of a message.
    Message(MessageId),
}

impl ObjectId {
    /// The object of a kind with this number; `None` if the number is no id.
    pub fn new(kind: ObjectKind, number: i64) -> Option<Self> {
        match kind {
            ObjectKind::User => UserId::new(number).ok().map(Self::User),
            ObjectKind::Flow => FlowId::new(number).ok().map(Self::Flow),
            ObjectKind::Message => MessageId::new(number).ok().map(Self::Message),
        }
    }

    /// The kind of the object.
    pub fn kind(self) -> ObjectKind {
        match self {
            ObjectId::User(_) => ObjectKind::User,
            ObjectId::Flow(_) => ObjectKind::Flow,
            ObjectId::Message(_) => ObjectKind::Message,
        }
    }

    /// The number of the id.
    pub fn get(self) -> i64 {
        match self {
            ObjectId::User(id) => id.get(),
            ObjectId::Flow(id) => id.get(),
            ObjectId::Message(id) => id.get(),
        }
    }
}

/// An id that another server gave an object: a number, a UUID, or any other value of 128 bits. The
/// forms in which a wire writes it, such as digits or hyphens, are not a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId(pub u128);

impl ExternalId {
    /// The id that this text of decimal digits says.
    pub fn from_decimal(text: &str) -> Option<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// The id that this text says: 32 hexadecimal digits, or a UUID with its hyphens.
    pub fn from_hex(text: &str) -> Option<Self> {
        let has_hyphens = text.len() == 36;
        let mut value = 0;
        let mut digits = 0;
        for (index, byte) in text.bytes().enumerate() {
            if has_hyphens && matches!(index, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            value = value << 4 | u128::from(char::from(byte).to_digit(16)?);
            digits += 1;
        }
        (digits == 32).then_some(Self(value))
    }

    /// The id of a group or channel, or of a message in one, with this number at a server that
    /// numbers those apart from chats and their messages; `None` for a number that is none of
    /// [`ExternalId::number`].
    pub fn of_group(number: i64) -> Option<Self> {
        let number = Self(number.try_into().ok()?).number()?;
        Some(Self(GROUP_NUMBERS + u128::from(number.unsigned_abs())))
    }

    /// The id as the number of a wire whose ids are numbers; `None` from
    /// [`EXTERNAL_NUMBER_LIMIT`] on, and for 0.
    pub fn number(self) -> Option<i64> {
        let number = i64::try_from(self.0).ok()?;
        (1..EXTERNAL_NUMBER_LIMIT).contains(&number).then_some(number)
    }

    /// The number of an id that [`ExternalId::of_group`] has made.
    pub fn group_number(self) -> Option<i64> {
        Self(self.0.checked_sub(GROUP_NUMBERS)?).number()
    }

    /// The number that the object has on a wire whose ids are numbers: chats and groups that were
    /// numbered apart may have one in common.
    pub fn wire_number(self) -> Option<i64> {
        self.number().or_else(|| self.group_number())
    }
}

/// The name of a set of external ids: those that one server gave.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdNamespace(Arc<str>);

/// Error of a text that is no namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a namespace has 1 to 64 of the characters a to z, 0 to 9, `-`, `_` and `.`")]
pub struct InvalidNamespace;

impl IdNamespace {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdNamespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, InvalidNamespace> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        let length = 1..=NAMESPACE_LIMIT;
        if !length.contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidNamespace);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for IdNamespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_is_read_from_every_form() {
        let value = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        for (found, expected) in [
            (ExternalId::from_decimal("42"), Some(42)),
            (ExternalId::from_decimal("1512366075204170929049582354406559215"), Some(value)),
            (ExternalId::from_decimal(&u128::MAX.to_string()), Some(u128::MAX)),
            (ExternalId::from_decimal("340282366920938463463374607431768211456"), None),
            (ExternalId::from_decimal(""), None),
            (ExternalId::from_decimal("+1"), None),
            (ExternalId::from_hex("0123456789abcdef0123456789ABCDEF"), Some(value)),
            (ExternalId::from_hex("01234567-89ab-cdef-0123-456789abcdef"), Some(value)),
            (ExternalId::from_hex("01234567-89ab-cdef-0123-456789abcde"), None),
            (ExternalId::from_hex("0123456789abcdef0123456789abcdef0"), None),
            (ExternalId::from_hex("01234567089ab-cdef-0123-456789abcdef"), None),
            (ExternalId::from_hex("0123456789abcdeg0123456789abcdef"), None),
        ] {
            assert_eq!(found.map(|id| id.0), expected);
        }
    }

    #[test]
    fn a_number_leaves_room_above_it() {
        let limit = EXTERNAL_NUMBER_LIMIT.unsigned_abs().into();
        for (value, number) in
            [(0, None), (1, Some(1)), (limit - 1, Some(EXTERNAL_NUMBER_LIMIT - 1)), (limit, None)]
        {
            assert_eq!(ExternalId(value).number(), number);
        }
    }

    #[test]
    fn numbers_of_groups_stand_apart() {
        let most = EXTERNAL_NUMBER_LIMIT - 1;
        for number in [1, 5, most] {
            let id = ExternalId::of_group(number).expect("a number");
            assert_eq!((id.number(), id.group_number()), (None, Some(number)));
            assert_eq!(id.wire_number(), Some(number));
        }
        for number in [i64::MIN, -1, 0, EXTERNAL_NUMBER_LIMIT, i64::MAX] {
            assert_eq!(ExternalId::of_group(number), None, "{number}");
        }
        let end = GROUP_NUMBERS + u128::from(EXTERNAL_NUMBER_LIMIT.unsigned_abs());
        for wide in [GROUP_NUMBERS - 1, GROUP_NUMBERS, end, u128::MAX] {
            assert_eq!(ExternalId(wide).wire_number(), None, "{wide}");
        }
        assert_eq!(ExternalId(5).group_number(), None);
    }

    #[test]
    fn a_namespace_has_plain_characters() {
        for (text, valid) in [
            ("swiftly", true),
            ("old-server_2.1", true),
            ("", false),
            ("Old", false),
            ("a b", false),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(text.parse::<IdNamespace>().is_ok(), valid, "{text:?}");
        }
    }
}
