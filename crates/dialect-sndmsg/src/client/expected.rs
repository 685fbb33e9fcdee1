//! The answers that requests wait for.

use crate::wire::{Ids, Reply, same_login};
use tolmach_domain::{Content, FlowId, FlowKindFilter, HistoryRange, MessageId};

/// The answer that a request waits for, with the part of it that the reply does not repeat.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    Registered,
    LoggedIn {
        identifier: String,
    },
    Opened {
        with: String,
    },
    Sent {
        flow: FlowId,
        kinds: FlowKindFilter,
        content: Content,
    },
    /// A part of a room's messages, which come in one frame each.
    History {
        flow: FlowId,
        kinds: FlowKindFilter,
        range: HistoryRange,
    },
    /// No answer: the reply only shows that the history before it is complete.
    Fence,
    Users {
        limit: u32,
    },
    RoomDeleted {
        flow: FlowId,
    },
    MessageDeleted {
        message: MessageId,
    },
    Edited {
        message: MessageId,
        flow: Option<FlowId>,
    },
    /// A part of the caller's flows; the reply has all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
}

impl Expected {
    /// True if a granted reply can be this answer, and is no push or reply about something else.
    pub(super) fn fits(&self, reply: &Reply<'_>) -> bool {
        let is_about = |id| reply.id == Some(Ids::One(id));
        match self {
            Expected::Opened { with } => {
                reply.customer.as_deref().is_some_and(|customer| same_login(customer, with))
            }
            Expected::History { flow, .. } => reply.room_id == Some(flow.get()),
            Expected::RoomDeleted { flow } => is_about(flow.get()),
            Expected::MessageDeleted { message } | Expected::Edited { message, .. } => {
                is_about(message.get())
            }
            Expected::Registered
            | Expected::LoggedIn { .. }
            | Expected::Sent { .. }
            | Expected::Fence
            | Expected::Users { .. }
            | Expected::Flows { .. } => true,
        }
    }
}
