//! The events that changed no message, kept for nodes that did not hear of them. Messages need no
//! journal: each of them has the version that its last change took.

use crate::entities::{flow, user};
use crate::error::{corrupt, refuse};
use crate::rows::{flow as to_flow, flow_id, moment, session_id, user as to_user, user_id};
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, Flow, SessionId, Timestamp, UserId, UserSummary, Version};
use tolmach_engine::ports::StoreError;

/// An event as it is kept: by ids, since what they name is at hand where it is read.
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
    /// `None` for what the journal does not keep.
    fn of(kind: &EventKind) -> Option<Self> {
        let ids = |people: &[UserSummary]| people.iter().map(|person| person.id.get()).collect();
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

    /// The ids of the people whose records are needed to read it.
    fn people(&self) -> &[i64] {
        match self {
            Entry::FlowCreated { members: people, .. }
            | Entry::MembersAdded { users: people, .. } => people,
            Entry::FlowDeleted { .. }
            | Entry::MembersRemoved { .. }
            | Entry::SessionsEnded { .. } => &[],
        }
    }

    /// The id of the flow whose record is needed to read it.
    fn flow(&self) -> Option<i64> {
        match self {
            Entry::FlowCreated { flow, .. }
            | Entry::MembersAdded { flow, .. }
            | Entry::MembersRemoved { flow, .. } => Some(*flow),
            Entry::FlowDeleted { .. } | Entry::SessionsEnded { .. } => None,
        }
    }

    /// `None` when the flow is gone since: an entry of its own tells so.
    fn read(
        self,
        flows: &HashMap<i64, Flow>,
        people: &HashMap<i64, UserSummary>,
    ) -> Result<Option<EventKind>, StoreError> {
        let known = |ids: Vec<i64>| ids.iter().filter_map(|id| people.get(id).cloned()).collect();
        if self.flow().is_some_and(|flow| !flows.contains_key(&flow)) {
            return Ok(None);
        }
        Ok(Some(match self {
            Entry::FlowCreated { flow, members } => match flows.get(&flow) {
                // As it was when it was made: it had no message.
                Some(flow) => EventKind::FlowCreated {
                    flow: Flow { version: Version(0), ..flow.clone() },
                    members: known(members),
                },
                None => return Ok(None),
            },
            Entry::FlowDeleted { flow, by } => {
                EventKind::FlowDeleted { flow: flow_id(flow)?, by: user_id(by)? }
            }
            Entry::MembersAdded { flow, users, version } => EventKind::MembersAdded {
                flow: flow_id(flow)?,
                users: known(users),
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

/// Keeps those of the events that are kept here.
pub(crate) async fn write<C: ConnectionTrait>(
    database: &C,
    events: &[Arc<Event>],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for event in events {
        if let (Some(moment), Some(entry)) = (event.committed_at, Entry::of(&event.kind)) {
            let entry = serde_json::to_string(&entry).map_err(corrupt)?;
            rows.push([
                Value::from(moment.micros()),
                event.occurred_at.micros().into(),
                entry.into(),
            ]);
        }
    }
    for batch in sql::batches(&rows) {
        sql::PUT_ENTRY
            .execute(database, batch.len(), batch.iter().flatten().cloned().collect())
            .await?;
    }
    Ok(())
}

/// Events after a moment and up to another, at most `limit`, ascending; and the moment of the last
/// row, of which there may be more than there are events.
pub(crate) async fn read<C: ConnectionTrait>(
    database: &C,
    after: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<(Vec<Event>, Vec<Timestamp>), StoreError> {
    let rows = sql::rows(
        database,
        sql::ENTRIES,
        vec![after.micros().into(), until.micros().into(), i64::from(limit).into()],
    )
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    let (mut people, mut flows) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let entry: Entry = serde_json::from_str(&get::<String>(row, "entry")?).map_err(corrupt)?;
        people.extend(entry.people());
        flows.extend(entry.flow());
        entries.push((moment(get(row, "moment")?), moment(get(row, "happened_at")?), entry));
    }
    let moments = entries.iter().map(|(moment, _, _)| *moment).collect();
    let flows = by_id(database, &sql::WHOLE_FLOWS, flows, |row| {
        to_flow(flow::Model::from_query_result(row, "").map_err(refuse)?)
    })
    .await?;
    let person = |row: &QueryResult| {
        Ok(to_user(user::Model::from_query_result(row, "").map_err(refuse)?)?.summary())
    };
    let people = by_id(database, &sql::USERS, people, person).await?;
    let mut events = Vec::with_capacity(entries.len());
    for (moment, at, entry) in entries {
        if let Some(kind) = entry.read(&flows, &people)? {
            events.push(Event { occurred_at: at, committed_at: Some(moment), origin: None, kind });
        }
    }
    Ok((events, moments))
}

async fn by_id<C: ConnectionTrait, T>(
    database: &C,
    ladder: &sql::Ladder,
    ids: BTreeSet<i64>,
    read: impl Fn(&QueryResult) -> Result<T, StoreError>,
) -> Result<HashMap<i64, T>, StoreError> {
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut found = HashMap::with_capacity(ids.len());
    for list in sql::lists(&ids) {
        for row in
            ladder.rows(database, list.len(), list.into_iter().map(Value::from).collect()).await?
        {
            found.insert(get(&row, "id")?, read(&row)?);
        }
    }
    Ok(found)
}
