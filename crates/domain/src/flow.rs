//! Flows: conversations.

use crate::{FlowId, Message, MessageId, PhotoKey, Timestamp, User, UserId, Version};

/// How many write and how many read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowKind {
    /// Two people.
    Chat,
    /// Many write, many read.
    Group,
    /// The owner writes, many read.
    Channel,
}

/// Which kinds of flow a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowKindFilter {
    /// Any.
    #[default]
    Any,
    /// Chats of two.
    Chat,
    /// Groups and channels.
    Shared,
}

impl FlowKindFilter {
    /// Whether `kind` is meant.
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
    /// Which.
    pub id: FlowId,
    /// Its kind; never changes.
    pub kind: FlowKind,
    /// Its title; empty for a chat, which is named after the other member, unless a wire gave its
    /// name and not its members.
    pub title: String,
    /// Its description.
    pub info: String,
    /// Who made it; `None` where the wire that this was read from does not say.
    pub owner: Option<UserId>,
    /// Its photo.
    pub photo: Option<PhotoKey>,
    /// The version of its newest change; 0 when nothing was said yet.
    pub version: Version,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its record, its members or its messages last changed.
    pub changed_at: Timestamp,
}

impl Flow {
    /// A flow of which only the id, the kind and the title are known.
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

/// A flow as one of its members sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSummary {
    /// The flow.
    pub flow: Flow,
    /// Both members of a chat; the members of a group or channel only where the request asked for
    /// them. Ordered by user id.
    pub members: Vec<User>,
    /// The newest message that was not deleted.
    pub last: Option<Message>,
    /// The oldest message that was not deleted.
    pub first: Option<MessageId>,
    /// Up to which version the asking user has read.
    pub read: Version,
}

impl FlowSummary {
    /// A flow of which neither members nor messages are known.
    pub fn new(flow: Flow) -> Self {
        Self { flow, members: Vec::new(), last: None, first: None, read: Version::default() }
    }

    /// What the flow is called for `viewer`: a chat is named after the other member, by `name_of`;
    /// where the wire that it was read from names no members, its title stands in.
    pub fn title_for(&self, viewer: UserId, name_of: impl Fn(&User) -> &str) -> String {
        match self.flow.kind {
            FlowKind::Chat => self
                .members
                .iter()
                .find(|member| member.id != viewer)
                .or(self.members.first())
                .map_or_else(|| self.flow.title.clone(), |member| name_of(member).to_owned()),
            FlowKind::Group | FlowKind::Channel => self.flow.title.clone(),
        }
    }

    /// Whether a member's account has the business tariff.
    pub fn has_business(&self) -> bool {
        self.members.iter().any(|member| member.business)
    }
}
