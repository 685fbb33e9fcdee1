//! The log of events that changed no message, for nodes that missed them. Changes to messages are
//! found by the messages' versions and are not logged.

use crate::entities::flow;
use crate::error::{corrupt, store_error};
use crate::rows::{flow as to_flow, flow_id, session_id, user_id, user_summary};
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, Flow, SessionId, Timestamp, UserId, UserSummary, Version};
use tolmach_engine::ports::StoreError;

/// An event as the log stores it: with ids, whose records are read with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    FlowCreated { flow: i64, members: Vec<i64> },
    FlowDeleted { flow: i64, by: i64 },
    MembersAdded { flow: i64, users: Vec<i64>, version: i64 },
    MembersRemoved { flow: i64, users: Vec<i64> },
    SessionsEnded { user: i64, session: Option<i64> },
}

impl Entry {
    /// `None` for events that are not logged.
    fn new(kind: &EventKind) -> Option<Self> {
        let ids = |users: &[UserSummary]| users.iter().map(|user| user.id.get()).collect();
        Some(match kind {
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::Typing { .. } => return None,
            EventKind::FlowCreated { flow, members } => {
                Entry::FlowCreated { flow: flow.id.get(), members: ids(members) }
            }
            EventKind::FlowDeleted { flow, by } => {
                Entry::FlowDeleted { flow: flow.get(), by: by.get() }
            }
            EventKind::MembersAdded { flow, users, version } => {
                Entry::MembersAdded { flow: flow.get(), users: ids(users), version: version.0 }
            }
            EventKind::MembersRemoved { flow, users } => Entry::MembersRemoved {
                flow: flow.get(),
                users: users.iter().map(|user| user.get()).collect(),
            },
            EventKind::SessionsEnded { user, session } => {
                Entry::SessionsEnded { user: user.get(), session: session.map(SessionId::get) }
            }
        })
    }

    /// The users whose records the event needs.
    fn users(&self) -> &[i64] {
        match self {
            Entry::FlowCreated { members: users, .. } | Entry::MembersAdded { users, .. } => users,
            Entry::FlowDeleted { .. }
            | Entry::MembersRemoved { .. }
            | Entry::SessionsEnded { .. } => &[],
        }
    }

    /// The flow whose record the event needs.
    fn flow(&self) -> Option<i64> {
        match self {
            Entry::FlowCreated { flow, .. }
            | Entry::MembersAdded { flow, .. }
            | Entry::MembersRemoved { flow, .. } => Some(*flow),
            Entry::FlowDeleted { .. } | Entry::SessionsEnded { .. } => None,
        }
    }

    /// The event; `None` if its flow was deleted since, which has an entry of its own.
    fn into_event(
        self,
        flows: &HashMap<i64, Flow>,
        users: &HashMap<i64, UserSummary>,
    ) -> Result<Option<EventKind>, StoreError> {
        let summaries =
            |ids: Vec<i64>| ids.iter().filter_map(|id| users.get(id).cloned()).collect();
        if self.flow().is_some_and(|flow| !flows.contains_key(&flow)) {
            return Ok(None);
        }
        Ok(Some(match self {
            Entry::FlowCreated { flow, members } => match flows.get(&flow) {
                // A flow that was just created has no message.
                Some(flow) => EventKind::FlowCreated {
                    flow: Flow { version: Version(0), ..flow.clone() },
                    members: summaries(members),
                },
                None => return Ok(None),
            },
            Entry::FlowDeleted { flow, by } => {
                EventKind::FlowDeleted { flow: flow_id(flow)?, by: user_id(by)? }
            }
            Entry::MembersAdded { flow, users: added, version } => EventKind::MembersAdded {
                flow: flow_id(flow)?,
                users: summaries(added),
                version: Version(version),
            },
            Entry::MembersRemoved { flow, users } => {
                let users = users.into_iter().map(user_id).collect::<Result<Vec<UserId>, _>>()?;
                EventKind::MembersRemoved { flow: flow_id(flow)?, users }
            }
            Entry::SessionsEnded { user, session } => EventKind::SessionsEnded {
                user: user_id(user)?,
                session: session.map(session_id).transpose()?,
            },
        }))
    }
}

/// Appends events to the log, without those that are not logged.
pub(crate) async fn append<C: ConnectionTrait>(
    database: &C,
    events: &[Arc<Event>],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for event in events {
        if let (Some(committed_at), Some(entry)) = (event.committed_at, Entry::new(&event.kind)) {
            let entry = serde_json::to_string(&entry).map_err(corrupt)?;
            rows.push([
                Value::from(committed_at.micros()),
                event.occurred_at.micros().into(),
                entry.into(),
            ]);
        }
    }
    for batch in sql::chunks(&rows) {
        sql::APPEND_EVENT
            .execute(database, batch.len(), batch.iter().flatten().cloned().collect())
            .await?;
    }
    Ok(())
}

/// A part of the log.
pub(crate) struct Events {
    /// Ascending by commit time, without those whose flow was deleted since.
    pub(crate) events: Vec<Event>,
    /// The commit times of all entries, those without an event included.
    pub(crate) commit_times: Vec<Timestamp>,
}

/// At most `limit` entries after one commit time and up to another.
pub(crate) async fn read<C: ConnectionTrait>(
    database: &C,
    after: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Events, StoreError> {
    let rows = sql::rows(
        database,
        sql::EVENTS_AFTER,
        vec![after.micros().into(), until.micros().into(), i64::from(limit).into()],
    )
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    let (mut users, mut flows) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let entry: Entry = serde_json::from_str(&get::<String>(row, "event")?).map_err(corrupt)?;
        users.extend(entry.users());
        flows.extend(entry.flow());
        let committed_at = Timestamp::from_micros(get(row, "committed_at")?);
        let occurred_at = Timestamp::from_micros(get(row, "occurred_at")?);
        entries.push((committed_at, occurred_at, entry));
    }
    let commit_times = entries.iter().map(|(committed_at, _, _)| *committed_at).collect();
    let flows = by_id(database, &sql::FLOWS, flows, |row| {
        to_flow(flow::Model::from_query_result(row, "").map_err(store_error)?)
    })
    .await?;
    let users = by_id(database, &sql::USER_SUMMARIES, users, user_summary).await?;
    let mut events = Vec::with_capacity(entries.len());
    for (committed_at, occurred_at, entry) in entries {
        if let Some(kind) = entry.into_event(&flows, &users)? {
            let committed_at = Some(committed_at);
            events.push(Event { occurred_at, committed_at, origin: None, kind });
        }
    }
    Ok(Events { events, commit_times })
}

/// Records by id.
async fn by_id<C: ConnectionTrait, T>(
    database: &C,
    statement: &sql::ListStatement,
    ids: BTreeSet<i64>,
    read: impl Fn(&QueryResult) -> Result<T, StoreError>,
) -> Result<HashMap<i64, T>, StoreError> {
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut found = HashMap::with_capacity(ids.len());
    for list in sql::padded_lists(&ids) {
        for row in statement
            .rows(database, list.len(), list.into_iter().map(Value::from).collect())
            .await?
        {
            found.insert(get(&row, "id")?, read(&row)?);
        }
    }
    Ok(found)
}
