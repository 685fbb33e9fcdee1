//! What a client's end makes up for: the wire has no user ids, and tells of an edit or a deletion
//! neither room nor author.

use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_domain::{
    ContentType, FlowId, ID_LIMIT, Message, MessageId, Timestamp, UserId, UserSummary,
};

/// How many messages a client's end remembers: of older ones an edit or a deletion tells less.
const REMEMBERED: usize = 4096;

/// The upper half of the ids: servers that count from one do not come so far.
const MADE_UP: i64 = ID_LIMIT / 2;

/// Whether two logins are the same: case does not count.
pub(crate) fn same_login(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// A user of whom only the login is known. The id is made of the login (FNV-1a): the same one each
/// time, in every session.
pub(crate) fn person(login: &str) -> UserSummary {
    let hash = login.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = i64::try_from(hash >> 12).unwrap_or_default() | MADE_UP;
    let login: Arc<str> = login.into();
    UserSummary {
        id: UserId::new(number).expect("52 bits with the uppermost set are an id"),
        login: login.clone(),
        username: login.clone(),
        name: login,
    }
}

/// Where something happened that was heard of by its message alone: a flow that nobody is in.
pub(crate) fn nowhere() -> FlowId {
    FlowId::new(ID_LIMIT - 1).expect("the number before the limit is an id")
}

/// What stays known of a message.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) flow: FlowId,
    pub(crate) author: UserSummary,
    pub(crate) content_type: ContentType,
    pub(crate) posted_at: Timestamp,
}

/// The newest messages that were heard of.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<MessageId, Known>);

impl Memory {
    pub(crate) fn note(&mut self, message: &Message) {
        let known = Known {
            flow: message.flow,
            author: message.author.clone(),
            content_type: message.content.content_type.clone(),
            posted_at: message.posted_at,
        };
        self.0.insert(message.id, known);
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
    }

    /// What is known of a message; of one that was never heard of it is next to nothing.
    pub(crate) fn recall(&self, message: MessageId) -> Known {
        let unknown = || Known {
            flow: nowhere(),
            author: person(""),
            content_type: ContentType::default(),
            posted_at: Timestamp::default(),
        };
        self.0.get(&message).cloned().unwrap_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Content, FlowKind, Version};

    fn message(number: i64) -> Message {
        Message {
            id: MessageId::new(number).unwrap(),
            flow: FlowId::new(5).unwrap(),
            flow_kind: FlowKind::Chat,
            author: person("ann"),
            content: Content::default(),
            posted: Version::default(),
            version: Version::default(),
            posted_at: Timestamp::default(),
            edited_at: None,
            deleted_at: None,
            changed_at: Timestamp::default(),
        }
    }

    #[test]
    fn a_login_is_one_user_whatever_its_case() {
        assert_eq!(person("Ann").id, person("aNN").id);
        assert_ne!(person("ann").id, person("bob").id);
        assert!(person("").id.get() >= MADE_UP && person("Анна").id.get() < ID_LIMIT);
    }

    #[test]
    fn only_the_newest_messages_are_remembered() {
        let mut memory = Memory::default();
        let last = i64::try_from(REMEMBERED).unwrap() + 1;
        (1..=last).for_each(|number| memory.note(&message(number)));
        assert_eq!(memory.0.len(), REMEMBERED);
        for (number, flow) in
            [(1, nowhere()), (2, message(2).flow), (last, message(2).flow), (last + 1, nowhere())]
        {
            assert_eq!(memory.recall(message(number).id).flow, flow, "{number}");
        }
    }
}
