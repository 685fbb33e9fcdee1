//! What happened, as every interested connection hears it.

use crate::{
    ConnectionId, Flow, FlowId, Message, MessageId, SessionId, Timestamp, UserId, UserSummary,
    Version,
};
use bytes::Bytes;

/// Something that happened, after it was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub occurred_at: Timestamp,
    /// Its place in the order of commits: unique and ascending over the whole world. For a change
    /// to messages, the newest `changed_at`. `None` for what is not stored.
    pub committed_at: Option<Timestamp>,
    /// Which request caused it.
    pub origin: Option<Origin>,
    /// What happened.
    pub kind: EventKind,
}

/// The request that caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The connection that asked.
    pub connection: ConnectionId,
    /// The id of the dialect that it speaks.
    pub dialect: &'static str,
    /// What that dialect wants carried along (a request id), in its own form.
    pub client_tag: Option<Bytes>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A message was posted.
    Posted(Message),
    /// A message was edited.
    Edited(Message),
    /// Messages of one flow were deleted.
    Deleted {
        /// Where.
        flow: FlowId,
        /// Who deleted them.
        by: UserId,
        /// Which, each with the version that deleting it took; ascending, without a gap.
        messages: Vec<(MessageId, Version)>,
    },
    /// A flow was made.
    FlowCreated {
        /// The flow.
        flow: Flow,
        /// Its members.
        members: Vec<UserSummary>,
    },
    /// A flow was deleted.
    FlowDeleted {
        /// Which.
        flow: FlowId,
        /// Who deleted it.
        by: UserId,
    },
    /// Members were added.
    MembersAdded {
        /// Where.
        flow: FlowId,
        /// Who.
        users: Vec<UserSummary>,
        /// Where the flow stood: what has a later version is for them too.
        version: Version,
    },
    /// Members were removed.
    MembersRemoved {
        /// Where.
        flow: FlowId,
        /// Who.
        users: Vec<UserId>,
    },
    /// Somebody types, or has stopped. Not stored; may be lost.
    Typing {
        /// Where.
        flow: FlowId,
        /// Who.
        user: UserSummary,
        /// Whether they type.
        active: bool,
    },
    /// Sessions of a user ended: logged out, password changed, account deleted.
    SessionsEnded {
        /// Whose.
        user: UserId,
        /// One of them; `None` is all.
        session: Option<SessionId>,
    },
}

impl Event {
    /// An event that is not stored, or not known to be: without a place in the order of commits and
    /// without an origin.
    pub fn new(occurred_at: Timestamp, kind: EventKind) -> Self {
        Self { occurred_at, committed_at: None, origin: None, kind }
    }

    /// Whether a request of this connection caused it.
    pub fn is_caused_by(&self, connection: ConnectionId) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.connection == connection)
    }

    /// The flow that it happened in.
    pub fn flow(&self) -> Option<FlowId> {
        match &self.kind {
            EventKind::Posted(message) | EventKind::Edited(message) => Some(message.flow),
            EventKind::FlowCreated { flow, .. } => Some(flow.id),
            EventKind::Deleted { flow, .. }
            | EventKind::FlowDeleted { flow, .. }
            | EventKind::MembersAdded { flow, .. }
            | EventKind::MembersRemoved { flow, .. }
            | EventKind::Typing { flow, .. } => Some(*flow),
            EventKind::SessionsEnded { .. } => None,
        }
    }

    /// The versions that it took: first and last, of its flow. `None` for what is not a change to a
    /// message.
    pub fn versions(&self) -> Option<(Version, Version)> {
        match &self.kind {
            EventKind::Posted(message) | EventKind::Edited(message) => {
                Some((message.version, message.version))
            }
            EventKind::Deleted { messages, .. } => Some((messages.first()?.1, messages.last()?.1)),
            _ => None,
        }
    }

    /// Roughly how many bytes it holds, for bounds on queues.
    pub fn size(&self) -> usize {
        let content = match &self.kind {
            EventKind::Posted(message) | EventKind::Edited(message) => message.content.size(),
            EventKind::Deleted { messages, .. } => messages.len() * 16,
            EventKind::FlowCreated { members, .. } => members.len() * 64,
            EventKind::MembersAdded { users, .. } => users.len() * 64,
            EventKind::MembersRemoved { users, .. } => users.len() * 8,
            EventKind::FlowDeleted { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => 0,
        };
        content + 128
    }

    /// A short stable name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            EventKind::Posted(_) => "posted",
            EventKind::Edited(_) => "edited",
            EventKind::Deleted { .. } => "deleted",
            EventKind::FlowCreated { .. } => "flow_created",
            EventKind::FlowDeleted { .. } => "flow_deleted",
            EventKind::MembersAdded { .. } => "members_added",
            EventKind::MembersRemoved { .. } => "members_removed",
            EventKind::Typing { .. } => "typing",
            EventKind::SessionsEnded { .. } => "sessions_ended",
        }
    }
}
