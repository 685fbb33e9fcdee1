//! Committed changes in their order, to recover events that the bus lost.

use super::StoreError;
use async_trait::async_trait;
use std::time::Duration;
use tolmach_domain::{Event, FlowId, Timestamp, Version};

/// Period for which an event that changed no message can be read again.
pub const EVENT_LOG_WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The log of changes of a [`Store`](super::Store), over all flows and users.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// The newest commit time; where several transactions write at once, the time up to which
    /// commits are complete. It never goes back.
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError>;

    /// Changes committed strictly after a time: at most `limit` flows and `limit` events. With
    /// `flows`, only these flows are read, without a limit.
    async fn changes_after(
        &self,
        after: Timestamp,
        flows: Option<&[FlowId]>,
        limit: u32,
    ) -> Result<ChangesPage, StoreError>;
}

/// Changes committed after one time and up to another.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    /// Flows whose messages or members changed, each with its version now, or one that it had at
    /// `until` or later. Some may have changed after `until` only, and come again.
    pub flows: Vec<(FlowId, Version)>,
    /// Events that changed no message, ascending by commit time, without those of flows deleted
    /// since. Their origin is not stored.
    pub events: Vec<Event>,
    /// The commit time up to which the page is complete: where the next one begins.
    pub until: Timestamp,
    /// True if `limit` left out something that is committed already.
    pub more: bool,
}
