//! The history of a flow.

use crate::{FlowId, Message, Version};

/// A part of a flow's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest `limit` messages after skipping the newest `offset`.
    Newest {
        /// The largest number of messages.
        limit: u32,
        /// The number of messages to skip.
        offset: u32,
    },
    /// The whole history, up to a limit of the engine.
    All,
    /// The messages that the caller has not read. Reading them moves the caller's read mark.
    Unread,
}

impl HistoryRange {
    /// Cuts a whole history, oldest first, to this part.
    pub fn cut(self, messages: &mut Vec<Message>) {
        if let HistoryRange::Newest { limit, offset } = self {
            let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            messages.truncate(messages.len().saturating_sub(length(offset)));
            messages.drain(..messages.len().saturating_sub(length(limit)));
        }
    }
}

/// Messages of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagePage {
    /// The flow.
    pub flow: FlowId,
    /// The messages, oldest first, without deleted ones.
    pub messages: Vec<Message>,
    /// The version of the flow up to which the messages have all changes, so that events up to it
    /// are not new.
    pub version: Version,
}

impl MessagePage {
    /// Messages of a flow whose version is unknown.
    pub fn new(flow: FlowId, messages: Vec<Message>) -> Self {
        Self { flow, messages, version: Version::default() }
    }
}
