//! Messages that changed in several flows, merged by commit time. A page costs what it holds and a
//! search for each flow, not the messages of all flows.

use super::messages::{messages, size};
use crate::sql::{self, ChangesScope, get};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use std::collections::HashMap;
use tolmach_domain::{FlowId, Message, Timestamp, UserId};
use tolmach_engine::ports::StoreError;

/// The changes to read: those of the flows of a user, or of one of them, within a time.
#[derive(Clone, Copy)]
pub(super) struct ChangedMessages {
    pub(super) user: UserId,
    pub(super) flow: Option<FlowId>,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// The largest number of messages.
    pub(super) limit: usize,
    /// The size at which reading ends, in bytes of stored contents.
    pub(super) max_bytes: usize,
}

/// The first changed messages, ordered by commit time.
pub(super) async fn changed_messages<C: ConnectionTrait>(
    database: &C,
    changed: ChangedMessages,
) -> Result<Vec<Message>, StoreError> {
    let ChangedMessages { user, flow, since, until, limit, max_bytes } = changed;
    let (user, since) = (Value::from(user.get()), since.micros());
    let until = until.micros();
    if database.get_database_backend() != DbBackend::Postgres {
        let mut values = vec![user, since.into(), until.into(), size(limit), size(max_bytes)];
        values.extend(flow.map(|flow| Value::from(flow.get())));
        let scope = if flow.is_some() { ChangesScope::One } else { ChangesScope::All };
        return messages(database, sql::merged_changes(scope), values).await;
    }
    let flow = flow.map_or(0, FlowId::get).into();
    let values = vec![user, since.into(), flow, until.into(), size(limit)];
    let rows = sql::rows(database, sql::FIRST_CHANGES, values).await?;
    let mut first = FirstChanges { changes: Vec::new(), ends: Vec::new(), until, limit };
    first.add(&rows)?;
    while !first.ends.is_empty() {
        let rows = next_changes(database, &first).await?;
        first.add(&rows)?;
    }
    let changes = first.changes;
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let values = vec![
        integers(changes.iter().map(|change| change.flow))?,
        integers(changes.iter().map(|change| change.time))?,
        size(max_bytes),
    ];
    messages(database, &sql::CHANGES_AT, values).await
}

/// The first changes of several flows, found in rounds: each reads the next few changes of every
/// flow that may still have one among the first. Few flows remain after each round, of which the
/// next one reads more.
struct FirstChanges {
    /// The first changes that were read, in their order.
    changes: Vec<Change>,
    /// The flows that may have more before `until`.
    ends: Vec<FlowEnd>,
    /// The time up to which changes are looked for.
    until: i64,
    /// The largest number of changes.
    limit: usize,
}

/// A change of a message: its commit time and its flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    time: i64,
    flow: i64,
}

/// The commit time up to which the changes of a flow are known.
struct FlowEnd {
    flow: i64,
    time: i64,
}

impl FirstChanges {
    /// Adds the changes of a round, which are in their order, with the number that were read of
    /// each flow.
    fn add(&mut self, rows: &[QueryResult]) -> Result<(), StoreError> {
        let mut read: HashMap<i64, (i64, i64)> = HashMap::new();
        for row in rows {
            let change = Change { time: get(row, "changed_at")?, flow: get(row, "flow_id")? };
            self.changes.push(change);
            let of_each: i64 = get(row, "of_each")?;
            let (left, end) = read.entry(change.flow).or_insert((of_each, 0));
            (*left, *end) = (*left - 1, change.time);
        }
        self.changes.sort_unstable();
        self.changes.truncate(self.limit);
        let last = self.limit.checked_sub(1).and_then(|last| self.changes.get(last));
        self.until = last.map_or(self.until, |last| self.until.min(last.time));
        // A flow of which fewer were read has no further change up to the new end.
        self.ends = read
            .into_iter()
            .filter(|(_, (left, end))| *left == 0 && *end < self.until)
            .map(|(flow, (_, time))| FlowEnd { flow, time })
            .collect();
        Ok(())
    }
}

/// The changes of the next round.
async fn next_changes<C: ConnectionTrait>(
    database: &C,
    first: &FirstChanges,
) -> Result<Vec<QueryResult>, StoreError> {
    let FirstChanges { ends, until, limit, .. } = first;
    let of_each = (2 * limit / ends.len()).max(1);
    let values = vec![
        integers(ends.iter().map(|end| end.flow))?,
        integers(ends.iter().map(|end| end.time))?,
        (*until).into(),
        size(of_each),
        size(*limit),
    ];
    sql::rows(database, sql::NEXT_CHANGES, values).await
}

fn integers(list: impl Iterator<Item = i64>) -> Result<Value, StoreError> {
    sql::integer_list(DbBackend::Postgres, list)
}
