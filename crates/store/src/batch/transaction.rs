//! A transaction under way.

use crate::commit_time::{begin_changes, end_changes};
use crate::connect::begin_write;
use crate::error::store_error;
use crate::event_log;
use crate::scope::LockedFlows;
use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, Origin, Timestamp};
use tolmach_engine::ports::{PortError, StoreError};

/// A transaction under way.
pub(crate) struct Batch {
    pub(super) transaction: DatabaseTransaction,
    /// The newest commit time given out.
    commit_time: Timestamp,
    /// The newest commit time in the database.
    stored_commit_time: Timestamp,
    /// True if messages are posted meanwhile, whose commit times are even: those of changes are
    /// odd.
    is_odd: bool,
    pub(super) events: Vec<Arc<Event>>,
    /// The latest `now` of a job, the time by which housekeeping decides; the epoch if no job has
    /// one.
    pub(super) now: Timestamp,
    /// True if a flow was deleted, so that housekeeping has messages to remove.
    pub(super) deleted_flow: bool,
}

/// The result of a committed transaction.
pub(crate) struct Committed {
    /// The events to publish, in this order.
    pub(crate) events: Vec<Arc<Event>>,
    /// See [`Batch::now`].
    pub(crate) now: Timestamp,
    /// See [`Batch::deleted_flow`].
    pub(crate) deleted_flow: bool,
}

/// A savepoint.
pub(crate) struct Savepoint {
    events: usize,
}

impl Batch {
    /// Begins a transaction that may change these flows.
    pub(crate) async fn begin(
        database: &DatabaseConnection,
        flows: &LockedFlows,
    ) -> Result<Self, StoreError> {
        let transaction = begin_write(database).await?;
        let commit_time = begin_changes(&transaction, flows).await?;
        Ok(Self {
            transaction,
            commit_time,
            stored_commit_time: commit_time,
            is_odd: sql::is_concurrent(database.get_database_backend()),
            events: Vec::new(),
            now: Timestamp::default(),
            deleted_flow: false,
        })
    }

    /// Begins a job that may be undone alone.
    pub(crate) async fn savepoint(&mut self) -> Result<Savepoint, StoreError> {
        self.control("SAVEPOINT job").await?;
        Ok(Savepoint { events: self.events.len() })
    }

    /// Keeps the changes since the savepoint.
    pub(crate) async fn release(&mut self, _: Savepoint) -> Result<(), StoreError> {
        self.control("RELEASE SAVEPOINT job").await
    }

    /// Undoes the changes since the savepoint. Fails if the database has aborted the transaction.
    pub(crate) async fn undo(&mut self, savepoint: Savepoint) -> Result<(), StoreError> {
        self.events.truncate(savepoint.events);
        self.control("ROLLBACK TO SAVEPOINT job").await?;
        self.control("RELEASE SAVEPOINT job").await
    }

    async fn control(&self, sql: &str) -> Result<(), StoreError> {
        let done = self.transaction.execute_unprepared(sql).await;
        // Without its savepoint the transaction is in an unknown state, so it is abandoned.
        let lost = |error| PortError::caused_by("a savepoint was lost", error);
        done.map(drop).map_err(|error| StoreError::Unavailable(lost(error)))
    }

    pub(crate) async fn commit(self) -> Result<Committed, StoreError> {
        event_log::append(&self.transaction, &self.events).await?;
        if self.commit_time != self.stored_commit_time {
            end_changes(&self.transaction, self.commit_time).await?;
        }
        self.transaction.commit().await.map_err(store_error)?;
        Ok(Committed { events: self.events, now: self.now, deleted_flow: self.deleted_flow })
    }

    /// Rolls everything back after a failure.
    pub(crate) async fn roll_back(self) {
        // The connection is closed in any case.
        let _ = self.transaction.rollback().await;
    }

    /// Rolls everything back because the only job was refused.
    pub(crate) async fn end_without_changes(self) -> Result<Committed, StoreError> {
        self.transaction.rollback().await.map_err(store_error)?;
        Ok(Committed { events: Vec::new(), now: self.now, deleted_flow: false })
    }

    /// The newest commit time given out.
    pub(super) fn commit_time(&self) -> Timestamp {
        self.commit_time
    }

    /// A commit time that no other change has.
    pub(super) fn next_commit_time(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        let next = now.micros().max(self.commit_time.micros() + 1);
        self.commit_time = Timestamp::from_micros(if self.is_odd { next | 1 } else { next });
        self.commit_time
    }

    /// Adds an event to publish. One that changes no message takes a commit time of its own.
    pub(super) fn publish(
        &mut self,
        occurred_at: Timestamp,
        origin: Option<Origin>,
        kind: EventKind,
    ) {
        let committed_at = match &kind {
            EventKind::Posted(message) | EventKind::Edited(message) => message.changed_at,
            _ => self.next_commit_time(occurred_at),
        };
        self.publish_committed_at(committed_at, Event { origin, ..Event::new(occurred_at, kind) });
    }

    /// Adds an event to publish whose commit time was taken before.
    pub(super) fn publish_committed_at(&mut self, committed_at: Timestamp, event: Event) {
        self.events.push(Arc::new(Event { committed_at: Some(committed_at), ..event }));
    }
}
