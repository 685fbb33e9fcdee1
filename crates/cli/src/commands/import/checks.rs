//! The check of what was imported: counts and checksums of messages by flow, of the records and of
//! what is read back from the store.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use tolmach_domain::{Content, ContentType, FlowId, MessageId, Timestamp};
use tolmach_engine::ports::StoredContent;

/// The checksum of a message; those of a flow are added, so that their order does not matter.
pub(super) type Checksum = u128;

/// The sums of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FlowSums {
    /// Messages that were imported or found.
    pub(super) messages: u64,
    /// The sum over the records.
    pub(super) expected: Checksum,
    /// The sum over what the store has.
    pub(super) found: Checksum,
}

/// The sums of all flows.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) flows: BTreeMap<FlowId, FlowSums>,
    /// Messages that the store has as their records are.
    pub(super) same: u64,
    /// New messages that the store has otherwise, or not at all.
    pub(super) wrong: u64,
    /// Messages of earlier imports that the store has otherwise: they were edited or deleted since,
    /// here or at the source.
    pub(super) changed: u64,
}

/// A message that was imported now, or before, and the checksum of its record.
pub(super) struct Expected {
    pub(super) id: MessageId,
    pub(super) checksum: Checksum,
    pub(super) is_new: bool,
}

impl Checks {
    /// Adds messages, and what the store has of them.
    pub(super) fn add(&mut self, expected: &[Expected], found: &[StoredContent]) {
        let found: HashMap<_, _> = found.iter().map(|message| (message.id, message)).collect();
        for Expected { id, checksum: expected, is_new } in expected {
            let Some(message) = found.get(id) else {
                // A message of a flow that was deleted since.
                self.wrong += u64::from(*is_new);
                self.changed += u64::from(!*is_new);
                continue;
            };
            let stored = checksum(&message.content, message.posted_at);
            if stored == *expected {
                self.same += 1;
            } else {
                self.wrong += u64::from(*is_new);
                self.changed += u64::from(!*is_new);
            }
            let sums = self.flows.entry(message.flow).or_default();
            sums.messages += 1;
            sums.expected = sums.expected.wrapping_add(*expected);
            sums.found = sums.found.wrapping_add(stored);
        }
    }
}

/// The checksum of a message's content and time.
pub(super) fn checksum(content: &Content, posted_at: Timestamp) -> Checksum {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    add(&content.text);
    add(match &content.content_type {
        ContentType::Text => "text",
        ContentType::Image => "image",
        ContentType::File => "file",
        ContentType::Sticker => "sticker",
        ContentType::Other(name) => name,
    });
    for file in &content.attachments {
        add(file.kind.name());
        add(&file.data);
    }
    add(content.emoji.as_deref().unwrap_or_default());
    digest.update(posted_at.micros().to_be_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    digest[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_differs_or_is_missing_is_found() {
        let (id, other) = (MessageId::new(1).unwrap(), MessageId::new(2).unwrap());
        let flow = FlowId::new(5).unwrap();
        let time = Timestamp::from_micros(9);
        let sum = |text: &str| checksum(&Content::text(text), time);
        let stored = StoredContent { id, flow, content: Content::text("hello"), posted_at: time };
        for (text, is_new, wrong, changed) in
            [("hello", true, 0, 0), ("hallo", true, 1, 0), ("hallo", false, 0, 1)]
        {
            let mut checks = Checks::default();
            let expected = [Expected { id, checksum: sum(text), is_new }];
            checks.add(&expected, std::slice::from_ref(&stored));
            assert_eq!((checks.wrong, checks.changed), (wrong, changed), "{text}");
            assert_eq!(checks.same, u64::from(text == "hello"));
            let sums = checks.flows[&flow];
            assert_eq!((sums.messages, sums.expected == sums.found), (1, text == "hello"));
        }
        let mut checks = Checks::default();
        checks.add(&[Expected { id: other, checksum: 0, is_new: true }], &[stored]);
        assert_eq!((checks.wrong, checks.flows.len()), (1, 0));
    }
}
