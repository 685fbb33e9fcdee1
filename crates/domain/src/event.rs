//! Events: committed changes, as subscribed connections receive them.

use crate::{
    ConnectionId, Flow, FlowId, Message, MessageId, SessionId, Timestamp, UserId, UserSummary,
    Version,
};
use bytes::Bytes;

/// A change after its commit, or a transient state.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The time of the request.
    pub occurred_at: Timestamp,
    /// The commit time, unique and ascending over all flows. For a change to messages, the newest
    /// `changed_at` of them. `None` for an event that is not stored.
    pub committed_at: Option<Timestamp>,
    /// The request that caused it.
    pub origin: Option<Origin>,
    /// The change.
    pub kind: EventKind,
}

/// The request that caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The connection of the request.
    pub connection: ConnectionId,
    /// The id of the connection's dialect.
    pub dialect: &'static str,
    /// The dialect's tag of the request (such as a request id), in the dialect's own form.
    pub client_tag: Option<Bytes>,
}

/// The change that an event reports.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A message was posted.
    Posted(Message),
    /// A message was edited.
    Edited(Message),
    /// Messages of one flow were deleted.
    Deleted {
        /// The flow.
        flow: FlowId,
        /// The user who deleted them.
        by: UserId,
        /// The messages, each with the version that its deletion took; ascending, without a gap.
        messages: Vec<(MessageId, Version)>,
    },
    /// A flow was created.
    FlowCreated {
        /// The flow.
        flow: Flow,
        /// Its members.
        members: Vec<UserSummary>,
    },
    /// A flow was deleted.
    FlowDeleted {
        /// The flow.
        flow: FlowId,
        /// The user who deleted it.
        by: UserId,
    },
    /// Members were added.
    MembersAdded {
        /// The flow.
        flow: FlowId,
        /// The new members.
        users: Vec<UserSummary>,
        /// The version of the flow then: later events are for the new members too.
        version: Version,
    },
    /// Members were removed.
    MembersRemoved {
        /// The flow.
        flow: FlowId,
        /// The former members.
        users: Vec<UserId>,
    },
    /// A member types, or has stopped. Not stored; may be lost.
    Typing {
        /// The flow.
        flow: FlowId,
        /// The member.
        user: UserSummary,
        /// True if they type, false if they stopped.
        active: bool,
    },
    /// Sessions of a user ended: logged out, password changed, account deleted.
    SessionsEnded {
        /// The user.
        user: UserId,
        /// The session; `None` is all of the user's.
        session: Option<SessionId>,
    },
}

impl Event {
    /// An event without a commit time and an origin.
    pub fn new(occurred_at: Timestamp, kind: EventKind) -> Self {
        Self { occurred_at, committed_at: None, origin: None, kind }
    }

    /// True if a request of this connection caused it.
    pub fn is_caused_by(&self, connection: ConnectionId) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.connection == connection)
    }

    /// The flow that it is about.
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

    /// The first and last version of the flow that it took. `None` if it is not a change to
    /// messages.
    pub fn versions(&self) -> Option<(Version, Version)> {
        match &self.kind {
            EventKind::Posted(message) | EventKind::Edited(message) => {
                Some((message.version, message.version))
            }
            EventKind::Deleted { messages, .. } => Some((messages.first()?.1, messages.last()?.1)),
            _ => None,
        }
    }

    /// The approximate size in bytes, for limits of queues.
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
