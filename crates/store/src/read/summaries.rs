//! Summaries of flows. The number of statements does not depend on the number of flows.

use super::flows::members;
use crate::entities::flow;
use crate::error::store_error;
use crate::rows::{flow as to_flow, message as to_message, message_id};
use crate::sql::{self, SummaryScope, get};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use std::collections::HashMap;
use tolmach_domain::{FlowId, FlowKind, FlowSummary, Message, Timestamp, UserId, Version};
use tolmach_engine::ports::{FlowSummaryQuery, StoreError};

pub(crate) async fn flow_summary<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    viewer: Option<UserId>,
    members: bool,
) -> Result<Option<FlowSummary>, StoreError> {
    // No membership has the user id 0.
    let viewer = viewer.map_or(0, UserId::get);
    let values = vec![viewer.into(), flow.get().into()];
    Ok(summaries(database, SummaryScope::One, values, members).await?.pop())
}

pub(crate) async fn flow_summaries<C: ConnectionTrait>(
    database: &C,
    query: &FlowSummaryQuery,
) -> Result<Vec<FlowSummary>, StoreError> {
    let scope = if query.all { SummaryScope::All } else { SummaryScope::Viewers };
    let after = query.changed_after.map_or(-1, Timestamp::micros);
    let limit = query.limit.map_or(i64::MAX, i64::from);
    let values = vec![
        query.viewer.get().into(),
        after.into(),
        i64::MAX.into(),
        limit.into(),
        i64::from(query.offset).into(),
    ];
    summaries(database, scope, values, query.members).await
}

/// The summaries that [`sql::flow_summaries`] selects.
pub(super) async fn summaries<C: ConnectionTrait>(
    database: &C,
    scope: SummaryScope,
    values: Vec<Value>,
    all_members: bool,
) -> Result<Vec<FlowSummary>, StoreError> {
    let rows = sql::rows(database, sql::flow_summaries(scope), values).await?;
    let mut flow_summaries = Vec::with_capacity(rows.len());
    let (mut last_ids, mut with_members) = (Vec::new(), Vec::new());
    for row in rows {
        let flow = to_flow(flow::Model::from_query_result(&row, "").map_err(store_error)?)?;
        let last: Option<i64> = get(&row, "last_id")?;
        let first: Option<i64> = get(&row, "first_id")?;
        let read = Version(get::<Option<i64>>(&row, "read_version")?.unwrap_or_default());
        if all_members || flow.kind == FlowKind::Chat {
            with_members.push(flow.id.get());
        }
        last_ids.extend(last);
        let first = first.map(message_id).transpose()?;
        flow_summaries
            .push((FlowSummary { flow, members: Vec::new(), last: None, first, read }, last));
    }
    let mut messages: HashMap<i64, Message> = HashMap::with_capacity(last_ids.len());
    for list in sql::padded_lists(&last_ids) {
        for row in sql::MESSAGES
            .rows(database, list.len(), list.into_iter().map(Value::from).collect())
            .await?
        {
            let message = to_message(&row)?;
            messages.insert(message.id.get(), message);
        }
    }
    let mut members = members(database, &with_members).await?;
    let complete = flow_summaries.into_iter().map(|(mut flow_summary, last)| {
        flow_summary.last = last.and_then(|last| messages.remove(&last));
        flow_summary.members = members.remove(&flow_summary.flow.id.get()).unwrap_or_default();
        flow_summary
    });
    Ok(complete.collect())
}
