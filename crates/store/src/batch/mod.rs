//! One transaction and what it will publish. Every rule is decided here, before anything is
//! written.

mod accounts;
mod flows;
mod housekeeping;
mod login_counters;
mod messages;

pub(crate) use messages::PostOutcome;

use crate::connect::begin_write;
use crate::error::refuse;
use crate::journal;
use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};
use std::collections::BTreeSet;
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, Origin, Timestamp};
use tolmach_engine::ports::{PortError, StoreError};

/// A transaction under way.
pub(crate) struct Batch {
    transaction: DatabaseTransaction,
    /// The newest moment given out, and the one that the database knows.
    moment: Timestamp,
    known_moment: Timestamp,
    events: Vec<Arc<Event>>,
    /// The newest `now` that was told: what the housekeeping go by.
    now: Timestamp,
    /// Whether a flow was deleted, so that its messages wait to be removed.
    deleted_flow: bool,
}

/// What a transaction leaves behind once it is committed.
pub(crate) struct Committed {
    /// To publish, in this order.
    pub(crate) events: Vec<Arc<Event>>,
    /// See [`Batch::now`].
    pub(crate) now: Timestamp,
    /// See [`Batch::deleted_flow`].
    pub(crate) deleted_flow: bool,
}

/// Where a batch stood, to go back there.
pub(crate) struct Mark {
    events: usize,
}

impl Batch {
    pub(crate) async fn begin(database: &DatabaseConnection) -> Result<Self, StoreError> {
        let transaction = begin_write(database).await?;
        let moment = take_moment(&transaction).await?;
        let now = Timestamp::default();
        Ok(Self {
            transaction,
            moment,
            known_moment: moment,
            events: Vec::new(),
            now,
            deleted_flow: false,
        })
    }

    /// Starts a job that may be undone alone.
    pub(crate) async fn mark(&mut self) -> Result<Mark, StoreError> {
        self.control("SAVEPOINT job").await?;
        Ok(Mark { events: self.events.len() })
    }

    /// Keeps what was done since the mark.
    pub(crate) async fn keep(&mut self, _: Mark) -> Result<(), StoreError> {
        self.control("RELEASE SAVEPOINT job").await
    }

    /// Undoes what was done since the mark. It fails if the database has given up the transaction.
    pub(crate) async fn undo(&mut self, mark: Mark) -> Result<(), StoreError> {
        self.events.truncate(mark.events);
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
        journal::write(&self.transaction, &self.events).await?;
        if self.moment != self.known_moment {
            let values = vec![self.moment.micros().into()];
            sql::execute(&self.transaction, "UPDATE moment SET last = $1 WHERE id = 1", values)
                .await?;
        }
        self.transaction.commit().await.map_err(refuse)?;
        Ok(Committed { events: self.events, now: self.now, deleted_flow: self.deleted_flow })
    }

    pub(crate) async fn roll_back(self) {
        // The connection is given up in any case.
        let _ = self.transaction.rollback().await;
    }

    /// A moment of its own for one change.
    fn next_moment(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.moment = now.max(Timestamp::from_micros(self.moment.micros() + 1));
        self.moment
    }

    /// What changes no message takes a moment of its own.
    fn publish(&mut self, at: Timestamp, origin: Option<Origin>, kind: EventKind) {
        let moment = match &kind {
            EventKind::Posted(message) | EventKind::Edited(message) => message.changed_at,
            _ => self.next_moment(at),
        };
        self.events.push(Arc::new(Event {
            occurred_at: at,
            committed_at: Some(moment),
            origin,
            kind,
        }));
    }
}

/// The newest moment that was committed.
pub(crate) async fn last_moment<C: ConnectionTrait>(database: &C) -> Result<Timestamp, StoreError> {
    moment_of(database, "SELECT last FROM moment WHERE id = 1").await
}

/// The newest moment, and from now on this transaction is the only one that writes.
pub(crate) async fn take_moment(
    transaction: &DatabaseTransaction,
) -> Result<Timestamp, StoreError> {
    moment_of(transaction, sql::take_moment(transaction.get_database_backend())).await
}

async fn moment_of<C: ConnectionTrait>(database: &C, sql: &str) -> Result<Timestamp, StoreError> {
    let unfinished = || {
        StoreError::failed(
            "the database is a copy that was not finished: tolmach copy goes on with it",
        )
    };
    let row = sql::row(database, sql, Vec::new()).await?.ok_or_else(unfinished)?;
    Ok(Timestamp::from_micros(sql::get(&row, "last")?))
}

/// Each value once, in the order of its first mention.
fn distinct<T: Copy + Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(*value)).collect()
}
