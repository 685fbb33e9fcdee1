//! Retention: the periods for which records are kept, and the removal of older ones.

use super::StoreError;
use async_trait::async_trait;
use std::num::NonZeroU32;
use std::time::Duration;
use tolmach_domain::{FlowId, FlowKind, Timestamp, Version};

/// The periods for which records are kept. `None` keeps them for good. Default: everything is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Messages of chats, after they were posted.
    pub chats: Option<Duration>,
    /// Messages of groups, after they were posted.
    pub groups: Option<Duration>,
    /// Messages of channels, after they were posted.
    pub channels: Option<Duration>,
    /// The records of deleted messages, after the deletion. They have no content: clients that were
    /// away learn by them what was deleted.
    pub deleted_messages: Option<Duration>,
    /// Mails that are files, after they were sent.
    pub mails: Option<Duration>,
    /// Photos that no user and no flow names, after they were stored.
    pub unnamed_photos: Option<Duration>,
    /// The days of the [ledger](super::LedgerStore).
    pub ledger: Option<Duration>,
}

impl Retention {
    /// The period of messages in flows of a kind.
    pub fn of_kind(&self, kind: FlowKind) -> Option<Duration> {
        match kind {
            FlowKind::Chat => self.chats,
            FlowKind::Group => self.groups,
            FlowKind::Channel => self.channels,
        }
    }

    /// The period of messages in a flow of a kind that has a retention of its own.
    pub fn of_flow(&self, kind: FlowKind, own: FlowRetention) -> Option<Duration> {
        match own {
            FlowRetention::OfKind => self.of_kind(kind),
            FlowRetention::Forever => None,
            FlowRetention::Days(days) => Some(Duration::from_secs(u64::from(days.get()) * DAY)),
        }
    }
}

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

/// The retention of one flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlowRetention {
    /// That of the flow's kind.
    #[default]
    OfKind,
    /// Its messages are kept for good.
    Forever,
    /// Its messages are kept for this number of days.
    Days(NonZeroU32),
}

/// The removal of records by age, of a [`Store`](super::Store).
///
/// - A flow keeps its version: the next message has the one after it, and read marks stay.
/// - A message that was removed is not found in any way. Its id is not given out again, and its
///   external id stays its own, so that the clients that know it do not reach another message.
/// - A message whose key may still be used again is kept.
/// - Nothing is published.
#[async_trait]
pub trait RetentionStore: Send + Sync + 'static {
    /// The retention of a flow. `NoSuchFlow`.
    async fn flow_retention(&self, flow: FlowId) -> Result<FlowRetention, StoreError>;

    /// Sets the retention of a flow. `NoSuchFlow`.
    async fn set_flow_retention(
        &self,
        flow: FlowId,
        retention: FlowRetention,
    ) -> Result<(), StoreError>;

    /// Counts what [`prune`](Self::prune) would remove at this time, kind by kind, without kinds of
    /// which there is nothing.
    async fn prunable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<PruneCount>, StoreError>;

    /// Removes some of the records that are too old at this time. `after` is the place up to which
    /// messages were removed, by earlier calls.
    async fn prune(
        &self,
        retention: &Retention,
        after: Option<PrunePlace>,
        now: Timestamp,
    ) -> Result<PruneStep, StoreError>;

    /// Those of these keys of photos that no user and no flow has.
    async fn unnamed_photos(&self, keys: &[String]) -> Result<Vec<String>, StoreError>;
}

/// The number of records of one kind, and their size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneCount {
    /// The kind, in the plural: such as `messages`.
    pub kind: &'static str,
    /// The number of records.
    pub records: u64,
    /// Their size in bytes, for records of a database an estimate that includes indexes.
    pub bytes: u64,
}

impl PruneCount {
    /// Adds a count to those of other kinds.
    pub fn add_to(self, counts: &mut Vec<Self>) {
        match counts.iter_mut().find(|count| count.kind == self.kind) {
            _ if self.records == 0 => {}
            Some(count) => {
                count.records += self.records;
                count.bytes += self.bytes;
            }
            None => counts.push(self),
        }
    }
}

/// One step of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneStep {
    /// The records removed, by kind.
    pub removed: Vec<PruneCount>,
    /// The place up to which messages were removed.
    pub after: Option<PrunePlace>,
    /// True if there may be more to remove.
    pub more: bool,
}

/// A place among the messages, in the order of flows and of posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunePlace {
    /// The flow.
    pub flow: FlowId,
    /// The [`Message::posted`](tolmach_domain::Message::posted) of its last message before the
    /// place; `None` after all of its messages.
    pub posted: Option<Version>,
}
