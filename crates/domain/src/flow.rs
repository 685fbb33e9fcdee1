//! Flows: chats, groups and channels.

use crate::{FlowId, PhotoKey, Timestamp, UserId, Version};

/// The kind of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowKind {
    /// Two members, who both write.
    Chat,
    /// Many members, who all write.
    Group,
    /// Many members, of whom the owner writes.
    Channel,
}

/// The kinds of flow that a request accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowKindFilter {
    /// All kinds.
    #[default]
    Any,
    /// Chats.
    Chat,
    /// Groups and channels.
    Shared,
}

impl FlowKindFilter {
    /// True if `kind` is accepted.
    pub fn include(self, kind: FlowKind) -> bool {
        match self {
            FlowKindFilter::Any => true,
            FlowKindFilter::Chat => kind == FlowKind::Chat,
            FlowKindFilter::Shared => kind != FlowKind::Chat,
        }
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Its id.
    pub id: FlowId,
    /// Its kind; never changes.
    pub kind: FlowKind,
    /// Its title. Empty for a chat, which is named after the other member, except on a client whose
    /// wire gives a name and no members.
    pub title: String,
    /// Its description.
    pub info: String,
    /// The user who created it; `None` on a client whose wire does not name them.
    pub owner: Option<UserId>,
    /// Its photo.
    pub photo: Option<PhotoKey>,
    /// The version of the newest change to its messages; 0 before the first one.
    pub version: Version,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The commit time of the last change to its record, members or messages.
    pub changed_at: Timestamp,
}

impl Flow {
    /// A flow without the fields that a client may not know.
    pub fn new(id: FlowId, kind: FlowKind, title: impl Into<String>) -> Self {
        Self {
            id,
            kind,
            title: title.into(),
            info: String::new(),
            owner: None,
            photo: None,
            version: Version::default(),
            created_at: Timestamp::default(),
            changed_at: Timestamp::default(),
        }
    }
}
