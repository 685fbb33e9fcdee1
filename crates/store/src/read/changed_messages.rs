//! Messages that changed in several flows, merged by commit time. A page costs what it holds and a
//! search for each flow, not the messages of all flows.

use super::messages::{messages, size};
use crate::sql::{self, ChangesScope, get};
use sea_orm::{ConnectionTrait, DbBackend, Value};
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
    let flow = flow.map_or(0, FlowId::get);
    let rows = sql::rows(database, sql::CHANGED_FLOWS, vec![user, since.into(), flow.into()]);
    let mut ends = Vec::new();
    for row in rows.await? {
        ends.push(FlowEnd { flow: get(&row, "id")?, time: since });
    }
    let changes = first_changes(database, ends, until, limit).await?;
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let values = vec![
        integers(changes.iter().map(|change| change.flow)),
        integers(changes.iter().map(|change| change.time)),
        size(max_bytes),
    ];
    messages(database, &sql::CHANGES_AT, values).await
}

/// The commit time up to which the changes of a flow are known.
struct FlowEnd {
    flow: i64,
    time: i64,
}

/// A change of a message: its commit time and its flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    time: i64,
    flow: i64,
}

/// The first changes after the ends of flows, in rounds: each reads the next few changes of every
/// flow that may still have one among the first. Few flows remain after each round, of which the
/// next one reads more.
async fn first_changes<C: ConnectionTrait>(
    database: &C,
    mut ends: Vec<FlowEnd>,
    until: i64,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let (mut first, mut until) = (Vec::<Change>::new(), until);
    while !ends.is_empty() && limit > 0 {
        let of_each = (2 * limit / ends.len()).max(1);
        let values = vec![
            integers(ends.iter().map(|end| end.flow)),
            integers(ends.iter().map(|end| end.time)),
            until.into(),
            size(of_each),
            size(limit),
        ];
        let mut read: HashMap<i64, (usize, i64)> = HashMap::new();
        for row in sql::rows(database, sql::NEXT_CHANGES, values).await? {
            let change = Change { time: get(&row, "changed_at")?, flow: get(&row, "flow_id")? };
            first.push(change);
            let (number, end) = read.entry(change.flow).or_default();
            (*number, *end) = (*number + 1, change.time);
        }
        first.sort_unstable();
        first.truncate(limit);
        if let Some(last) = first.get(limit - 1) {
            until = until.min(last.time);
        }
        // A flow of which fewer were read has no further change up to the new end.
        ends = read
            .into_iter()
            .filter(|(_, (number, end))| *number == of_each && *end < until)
            .map(|(flow, (_, time))| FlowEnd { flow, time })
            .collect();
    }
    Ok(first)
}

fn integers(list: impl Iterator<Item = i64>) -> Value {
    sql::integer_list(DbBackend::Postgres, list)
}
