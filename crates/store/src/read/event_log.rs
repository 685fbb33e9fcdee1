//! The log of changes.

use crate::event_log;
use crate::rows::flow_version;
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, Value};
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::{ChangesPage, StoreError};

/// The flows and events after a commit time; of some flows only, if they are given. The page ends
/// where the first of the two lists was cut, and at the `newest` commit time up to which commits
/// are complete. Flows that changed later too are in it: one that changes all the time would else
/// be left out always.
pub(crate) async fn changes_after<C: ConnectionTrait>(
    database: &C,
    (after, newest): (Timestamp, Timestamp),
    only: Option<&[FlowId]>,
    limit: u32,
) -> Result<ChangesPage, StoreError> {
    let rows = match only {
        None => {
            let values = vec![after.micros().into(), i64::from(limit).into()];
            sql::rows(database, sql::FLOWS_CHANGED_AFTER, values).await?
        }
        Some(flows) => {
            let flows: Vec<Value> = flows.iter().map(|flow| flow.get().into()).collect();
            let values = vec![after.micros().into()];
            sql::SOME_FLOWS_CHANGED_AFTER.rows(database, values, &flows).await?
        }
    };
    let mut flows = Vec::with_capacity(rows.len());
    for row in &rows {
        flows.push((flow_version(row)?, Timestamp::from_micros(get(row, "changed_at")?)));
    }
    let log = event_log::read(database, after, newest, limit).await?;
    let (mut events, commit_times) = (log.events, log.commit_times);
    let is_cut = only.is_none() && flows.len() >= limit as usize;
    let last_flow = flows.last().filter(|_| is_cut).map(|(_, changed_at)| *changed_at);
    let last_event = commit_times.last().filter(|_| commit_times.len() >= limit as usize).copied();
    let until = [last_flow, last_event].into_iter().flatten().fold(newest, Timestamp::min);
    events.retain(|event| event.committed_at <= Some(until));
    Ok(ChangesPage {
        flows: flows.into_iter().map(|(version, _)| version).collect(),
        events,
        until,
        more: until < newest,
    })
}
