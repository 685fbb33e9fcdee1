//! The messages that a client has read: an edit or a deletion may name nothing but its message.

use crate::placeholders::{placeholder_flow_id, placeholder_user};
use std::collections::BTreeMap;
use tolmach_domain::{ContentType, FlowId, FlowKind, Message, MessageId, Timestamp, UserSummary};

/// The most messages that are kept: some 200 KiB of a connection. Of older ones an edit or a
/// deletion has placeholders.
const MAX_KNOWN_MESSAGES: usize = 1024;

/// The properties of a message that a frame may leave out.
#[derive(Debug, Clone)]
pub struct MessageDefaults {
    /// The flow.
    pub flow: FlowId,
    /// The kind of the flow.
    pub flow_kind: FlowKind,
    /// The author.
    pub author: UserSummary,
    /// The content type.
    pub content_type: ContentType,
    /// The time of posting.
    pub posted_at: Timestamp,
}

impl MessageDefaults {
    /// Of a message of which nothing is known.
    pub fn unknown(posted_at: Timestamp) -> Self {
        Self {
            flow: placeholder_flow_id(),
            flow_kind: FlowKind::Chat,
            author: placeholder_user(""),
            content_type: ContentType::Text,
            posted_at,
        }
    }
}

/// The messages with the highest ids that a client has read.
#[derive(Debug, Default)]
pub struct KnownMessages(BTreeMap<MessageId, MessageDefaults>);

impl KnownMessages {
    /// Keeps a message.
    pub fn insert(&mut self, message: &Message) {
        let known = MessageDefaults {
            flow: message.flow,
            flow_kind: message.flow_kind,
            author: message.author.clone(),
            content_type: message.content.content_type.clone(),
            posted_at: message.posted_at,
        };
        self.0.insert(message.id, known);
        if self.0.len() > MAX_KNOWN_MESSAGES {
            self.0.pop_first();
        }
    }

    /// The message with this id; placeholders if it is not known.
    pub fn get(&self, message: MessageId) -> MessageDefaults {
        let unknown = || MessageDefaults::unknown(Timestamp::default());
        self.0.get(&message).cloned().unwrap_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::Content;

    #[test]
    fn only_the_messages_with_the_highest_ids_are_kept() {
        let flow = FlowId::new(5).unwrap();
        let message = |number| {
            Message::new(
                MessageId::new(number).unwrap(),
                (flow, FlowKind::Chat),
                placeholder_user("ann"),
                Content::default(),
                Timestamp::default(),
            )
        };
        let mut known = KnownMessages::default();
        let last = i64::try_from(MAX_KNOWN_MESSAGES).unwrap() + 1;
        (1..=last).for_each(|number| known.insert(&message(number)));
        assert_eq!(known.0.len(), MAX_KNOWN_MESSAGES);
        let unknown = placeholder_flow_id();
        for (number, flow) in [(1, unknown), (2, flow), (last, flow), (last + 1, unknown)] {
            assert_eq!(known.get(message(number).id).flow, flow, "{number}");
        }
    }
}
