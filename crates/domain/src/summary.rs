//! Summaries of flows.

use crate::{Flow, FlowKind, Message, MessageId, User, UserId, Version};

/// A flow with its members and the edges of its history, as a list of flows shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSummary {
    /// The flow.
    pub flow: Flow,
    /// Both members of a chat; the members of a group or channel if the request wants them. Ordered
    /// by id.
    pub members: Vec<User>,
    /// The newest message that is not deleted: of its text the first KiB, without attached files
    /// and emoji.
    pub last: Option<Message>,
    /// The oldest message that is not deleted.
    pub first: Option<MessageId>,
    /// The read mark: the version up to which the viewer has read.
    pub read: Version,
}

impl FlowSummary {
    /// A flow without members and messages.
    pub fn new(flow: Flow) -> Self {
        Self { flow, members: Vec::new(), last: None, first: None, read: Version::default() }
    }

    /// Removes the contact data of its members: see [`User::remove_contacts`].
    pub fn remove_contacts(&mut self) {
        self.members.iter_mut().for_each(User::remove_contacts);
    }

    /// The title for `viewer`: for a chat the other member's name, which `name_of` selects, or its
    /// title if no members are known.
    pub fn title_for<'s>(
        &'s self,
        viewer: UserId,
        name_of: impl Fn(&'s User) -> &'s str,
    ) -> &'s str {
        let other = match self.flow.kind {
            FlowKind::Chat => {
                let mut members = self.members.iter();
                members.find(|member| member.id != viewer).or(self.members.first())
            }
            FlowKind::Group | FlowKind::Channel => None,
        };
        other.map_or(&self.flow.title, name_of)
    }

    /// True if a member's account has the business tariff.
    pub fn has_business(&self) -> bool {
        self.members.iter().any(|member| member.business)
    }
}
