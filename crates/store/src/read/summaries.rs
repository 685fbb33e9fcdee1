//! Summaries of flows. They are read in pages, so that memory holds little more than the budget of
//! the answer; the number of statements for a page does not depend on its number of flows, unless
//! their members exceed the budget.

use super::flows::{Members, members};
use crate::entities::flow;
use crate::error::store_error;
use crate::rows::{flow as to_flow, message as to_message, message_id};
use crate::sql::{self, SummaryScope, get};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use std::collections::HashMap;
use tolmach_domain::{FlowId, FlowKind, FlowSummary, Message, Timestamp, UserId, Version};
use tolmach_engine::ports::{FlowSummaryQuery, StoreError};
use tolmach_engine::{AnswerBudget, cut_members, cut_to_preview, flow_summary_size, user_size};

/// The number of flows read at once.
const PAGE: u32 = 256;

/// A list of flows to read.
pub(super) struct Selection {
    pub(super) scope: SummaryScope,
    /// The parameters of [`sql::flow_summaries`] before the limit.
    pub(super) values: Vec<Value>,
    pub(super) limit: u32,
    pub(super) offset: u32,
    /// True if the members of groups and channels are wanted too.
    pub(super) members: bool,
    pub(super) max_bytes: usize,
}

/// The first flows of a selection.
pub(super) struct Selected {
    pub(super) summaries: Vec<FlowSummary>,
    /// False if the budget left out some.
    pub(super) is_complete: bool,
}

pub(crate) async fn flow_summary<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    viewer: Option<UserId>,
    members: bool,
    max_bytes: usize,
) -> Result<Option<FlowSummary>, StoreError> {
    // No membership has the user id 0.
    let viewer = viewer.map_or(0, UserId::get);
    let values = vec![viewer.into(), flow.get().into()];
    let rows = sql::rows(database, sql::flow_summaries(SummaryScope::One), values).await?;
    let mut summary = details(database, rows, members, max_bytes).await?.summaries.pop();
    if let Some(summary) = &mut summary {
        cut_members(summary, max_bytes);
    }
    Ok(summary)
}

pub(crate) async fn flow_summaries<C: ConnectionTrait>(
    database: &C,
    query: &FlowSummaryQuery,
) -> Result<Vec<FlowSummary>, StoreError> {
    let after = query.changed_after.map_or(-1, Timestamp::micros);
    let selection = Selection {
        scope: if query.all { SummaryScope::All } else { SummaryScope::Viewers },
        values: vec![query.viewer.get().into(), after.into()],
        limit: query.limit.unwrap_or(u32::MAX),
        offset: query.offset,
        members: query.members,
        max_bytes: query.max_bytes,
    };
    Ok(select(database, selection).await?.summaries)
}

/// Reads the flows of a selection that fit its budget.
pub(super) async fn select<C: ConnectionTrait>(
    database: &C,
    selection: Selection,
) -> Result<Selected, StoreError> {
    let Selection { scope, values, limit, offset, members, max_bytes } = selection;
    let mut budget = AnswerBudget::new(max_bytes);
    let (mut summaries, mut limit, mut offset) = (Vec::new(), limit, i64::from(offset));
    while limit > 0 {
        let page = limit.min(PAGE);
        let values = values.iter().cloned().chain([i64::from(page).into(), offset.into()]);
        let rows = sql::rows(database, sql::flow_summaries(scope), values.collect()).await?;
        let is_last = rows.len() < page as usize;
        let mut details = details(database, rows, members, budget.left()).await?;
        // The flow without all of its members is left out, unless it is the first of the list.
        let is_first = budget.is_empty() && details.summaries.len() == 1;
        if !details.is_complete && !is_first {
            details.summaries.pop();
        }
        for mut summary in details.summaries {
            if budget.is_empty() {
                cut_members(&mut summary, max_bytes);
            }
            if !budget.take(flow_summary_size(&summary)) {
                return Ok(Selected { summaries, is_complete: false });
            }
            summaries.push(summary);
        }
        if is_last || !details.is_complete {
            return Ok(Selected { summaries, is_complete: details.is_complete });
        }
        (limit, offset) = (limit - page, offset + i64::from(page));
    }
    Ok(Selected { summaries, is_complete: true })
}

/// Completes flows with their last messages and their members. If the members of all exceed the
/// budget, the list ends with the flow whose members do, and these are not all.
async fn details<C: ConnectionTrait>(
    database: &C,
    rows: Vec<QueryResult>,
    all_members: bool,
    max_bytes: usize,
) -> Result<Selected, StoreError> {
    let mut summaries = Vec::with_capacity(rows.len());
    let mut last_ids = Vec::new();
    for row in rows {
        let flow = to_flow(flow::Model::from_query_result(&row, "").map_err(store_error)?)?;
        let last: Option<i64> = get(&row, "last_id")?;
        let first: Option<i64> = get(&row, "first_id")?;
        let read = Version(get::<Option<i64>>(&row, "read_version")?.unwrap_or_default());
        last_ids.extend(last);
        let first = first.map(message_id).transpose()?;
        let summary = FlowSummary { flow, members: Vec::new(), last: None, first, read };
        summaries.push((summary, last));
    }
    let mut last_messages = last_messages(database, &last_ids).await?;
    let mut summaries: Vec<FlowSummary> = summaries
        .into_iter()
        .map(|(summary, last)| FlowSummary {
            last: last.and_then(|last| last_messages.remove(&last)),
            ..summary
        })
        .collect();
    let with_members = |summary: &FlowSummary| all_members || summary.flow.kind == FlowKind::Chat;
    let flows: Vec<i64> = summaries
        .iter()
        .filter(|summary| with_members(summary))
        .map(|summary| summary.flow.id.get())
        .collect();
    let Members { mut by_flow, is_complete } = members(database, &flows, max_bytes).await?;
    if is_complete {
        for summary in &mut summaries {
            summary.members = by_flow.remove(&summary.flow.id.get()).unwrap_or_default();
        }
        return Ok(Selected { summaries, is_complete });
    }
    // Flow by flow, so that those at the beginning of the list get theirs.
    drop(by_flow);
    let mut left = max_bytes;
    for index in 0..summaries.len() {
        let summary = &mut summaries[index];
        if with_members(summary) {
            let flow = summary.flow.id.get();
            let Members { mut by_flow, is_complete } = members(database, &[flow], left).await?;
            summary.members = by_flow.remove(&flow).unwrap_or_default();
            if !is_complete {
                summaries.truncate(index + 1);
                return Ok(Selected { summaries, is_complete });
            }
            left = left.saturating_sub(summary.members.iter().map(user_size).sum());
        }
    }
    Ok(Selected { summaries, is_complete: true })
}

/// The previews of messages by their ids.
async fn last_messages<C: ConnectionTrait>(
    database: &C,
    ids: &[i64],
) -> Result<HashMap<i64, Message>, StoreError> {
    let mut messages = HashMap::with_capacity(ids.len());
    for list in sql::padded_lists(ids) {
        let values = list.iter().copied().map(Value::from).collect();
        for row in sql::MESSAGE_PREVIEWS.rows(database, list.len(), values).await? {
            let mut message = to_message(&row)?;
            cut_to_preview(&mut message);
            messages.insert(message.id.get(), message);
        }
    }
    Ok(messages)
}
