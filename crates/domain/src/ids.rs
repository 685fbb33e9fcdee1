//! Identifiers: positive integers below 2^53, never reused.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

/// The smallest integer that is too large for an id: 2^53, beyond which JSON numbers are not exact.
pub const ID_LIMIT: i64 = 1 << 53;

/// Error of a number that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is an integer from 1 to 9007199254740991")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroI64);

        impl $name {
            /// The id with this number; an error unless it is from 1 to 2^53 - 1.
            pub fn new(number: i64) -> Result<Self, InvalidId> {
                if !(1..ID_LIMIT).contains(&number) {
                    return Err(InvalidId);
                }
                NonZeroI64::new(number).map(Self).ok_or(InvalidId)
            }

            /// The number of this id.
            pub fn get(self) -> i64 {
                self.0.get()
            }
        }

        impl TryFrom<i64> for $name {
            type Error = InvalidId;
            fn try_from(number: i64) -> Result<Self, InvalidId> {
                Self::new(number)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            /// Decimal digits only: no sign, no space.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(InvalidId);
                }
                Self::new(text.parse().map_err(|_| InvalidId)?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id! {
    /// Identifies a user.
    UserId
}
id! {
    /// Identifies a flow.
    FlowId
}
id! {
    /// Identifies a message, across all flows.
    MessageId
}
id! {
    /// Identifies a session: one login, and every token that descends from it.
    SessionId
}

/// A version of a flow. Every change to a message of the flow takes the next one, so that the order
/// of versions is the order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub i64);

impl Version {
    /// True if a change with this version is not reflected in what was read at another. A change
    /// whose version is not known, as events of another wire, counts as such.
    pub fn is_newer_than(self, read: Version) -> bool {
        self == Version::default() || self > read
    }
}

/// Identifies a connection of this process or of another node: random, unique in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positive_and_exact_in_json() {
        for (number, valid) in [
            (i64::MIN, false),
            (-1, false),
            (0, false),
            (1, true),
            (ID_LIMIT - 1, true),
            (ID_LIMIT, false),
        ] {
            assert_eq!(UserId::new(number).is_ok(), valid, "{number}");
        }
        for (text, valid) in [
            ("1", true),
            ("", false),
            ("+1", false),
            (" 1", false),
            ("1.0", false),
            ("99999999999999999999", false),
            ("007", true),
        ] {
            assert_eq!(text.parse::<FlowId>().is_ok(), valid, "{text:?}");
        }
    }
}
