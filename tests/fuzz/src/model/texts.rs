//! The texts of messages: each is unlike every other, so that a frame shows by its bytes alone
//! which messages it holds.

use std::collections::BTreeMap;
use tolmach_domain::{FlowId, UserId};

/// The number of digits of a text.
const DIGITS: usize = 8;

/// The beginning of a text. No wire escapes it, nor the end.
const BEGIN: &str = "text-";
/// See [`BEGIN`].
const END: &str = "-end";

/// Every text that a user sent, by its number.
#[derive(Default)]
pub(super) struct Texts {
    all: BTreeMap<u32, Text>,
}

/// A text that a user sent, whatever came of it.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// The user.
    pub(super) by: UserId,
    /// The flow that it was sent to, or that its message is in.
    pub(super) flow: Option<FlowId>,
}

impl Texts {
    /// A new text.
    pub(super) fn make(&mut self, by: UserId, flow: Option<FlowId>) -> String {
        let number = u32::try_from(self.all.len()).expect("a plan has few steps");
        self.all.insert(number, Text { by, flow });
        format!("{BEGIN}{number:0DIGITS$}{END}")
    }

    /// The texts that stand in these bytes.
    pub(super) fn found_in<'t>(&'t self, bytes: &[u8]) -> Vec<(String, &'t Text)> {
        let begins = bytes.windows(BEGIN.len()).enumerate();
        begins
            .filter(|(_, window)| *window == BEGIN.as_bytes())
            .filter_map(|(at, _)| {
                let digits = bytes.get(at + BEGIN.len()..)?.get(..DIGITS)?;
                let digits = std::str::from_utf8(digits).ok()?;
                let text = self.all.get(&digits.parse().ok()?)?;
                Some((format!("{BEGIN}{digits}{END}"), text))
            })
            .collect()
    }
}
