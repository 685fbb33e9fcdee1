//! Summaries of flows. They are read in pages, so that memory holds little more than the budget of
//! the answer; the number of statements for a page does not depend on its number of flows, unless
//! their members exceed the budget.

use super::flows::{first_members, members, users};
use crate::entities::flow;
use crate::error::store_error;
use crate::rows::{flow as to_flow, message as to_message, message_id};
use crate::sql::{self, FlowScope, get};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use std::collections::{HashMap, HashSet};
use tolmach_domain::{FlowId, FlowKind, FlowSummary, Message, Timestamp, UserId, Version};
use tolmach_engine::ports::{FlowSummaryQuery, StoreError};
use tolmach_engine::{AnswerBudget, cut_members, cut_to_preview, flow_summary_size, most_records};

/// The number of flows read at once.
const PAGE: usize = 256;

/// A list of flows to read.
pub(super) struct FlowList<'a> {
    pub(super) scope: FlowScope,
    /// A commit time.
    pub(super) changed_after: i64,
    pub(super) limit: u32,
    pub(super) offset: u32,
    /// The parameters of [`sql::flow_ids`] after the offset.
    pub(super) further: Vec<Value>,
    /// Messages that were read already: a flow's last one is not read again if it is one of them.
    pub(super) messages: &'a [Message],
}

/// The first flows of a list.
pub(super) struct Selected {
    pub(super) summaries: Vec<FlowSummary>,
    /// False if the limit or the budget left out some.
    pub(super) is_complete: bool,
}

pub(crate) async fn flow_summary<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    viewer: Option<UserId>,
    all_members: bool,
    max_bytes: usize,
) -> Result<Option<FlowSummary>, StoreError> {
    let none_read = HashMap::new();
    let mut summaries = summaries(database, &[flow.get()], viewer, &none_read).await?;
    let Some(mut summary) = summaries.pop() else {
        return Ok(None);
    };
    if all_members || summary.flow.kind == FlowKind::Chat {
        summary.members = members(database, flow, max_bytes).await?;
        cut_members(&mut summary, max_bytes);
    }
    Ok(Some(summary))
}

pub(crate) async fn flow_summaries<C: ConnectionTrait>(
    database: &C,
    query: &FlowSummaryQuery,
) -> Result<Vec<FlowSummary>, StoreError> {
    let (scope, further) = if query.all {
        (FlowScope::All, Vec::new())
    } else {
        (FlowScope::Users, vec![query.viewer.get().into()])
    };
    let list = FlowList {
        scope,
        changed_after: query.changed_after.map_or(-1, Timestamp::micros),
        limit: query.limit.unwrap_or(u32::MAX),
        offset: query.offset,
        further,
        messages: &[],
    };
    let selected = select(database, list, query.viewer, query.members, query.max_bytes).await?;
    Ok(selected.summaries)
}

/// Reads the flows of a list that fit a budget. `all_members` adds the first members of groups and
/// channels to those of chats.
pub(super) async fn select<C: ConnectionTrait>(
    database: &C,
    list: FlowList<'_>,
    viewer: UserId,
    all_members: bool,
    max_bytes: usize,
) -> Result<Selected, StoreError> {
    let mut budget = AnswerBudget::new(max_bytes);
    let mut selected = Vec::new();
    let read: HashMap<_, _> =
        list.messages.iter().map(|message| (message.id.get(), message)).collect();
    let limit = list.limit as usize;
    let mut ids = flow_ids(database, list, max_bytes).await?;
    let is_complete = ids.len() <= limit;
    ids.truncate(limit);
    for page in ids.chunks(PAGE) {
        let summaries = summaries(database, page, Some(viewer), &read).await?;
        let with_members =
            |summary: &&FlowSummary| all_members || summary.flow.kind == FlowKind::Chat;
        let flows: Vec<i64> =
            summaries.iter().filter(with_members).map(|summary| summary.flow.id.get()).collect();
        let mut members = first_members(database, &flows).await?;
        let mut seen = HashSet::new();
        let mut ids: Vec<i64> =
            flows.iter().filter_map(|id| members.get(id)).flatten().copied().collect();
        ids.retain(|id| seen.insert(*id));
        let users = users(database, &ids, budget.left()).await?;
        for mut summary in summaries {
            let ids = members.remove(&summary.flow.id.get()).unwrap_or_default();
            summary.members = ids.iter().map_while(|id| users.get(id).cloned()).collect();
            let has_all = summary.members.len() == ids.len();
            if budget.is_empty() {
                cut_members(&mut summary, max_bytes);
            }
            if !(has_all || budget.is_empty()) || !budget.take(flow_summary_size(&summary)) {
                return Ok(Selected { summaries: selected, is_complete: false });
            }
            selected.push(summary);
        }
    }
    Ok(Selected { summaries: selected, is_complete })
}

/// The ids of a list in its order: one more than its limit, and not many more than a budget has
/// room for.
async fn flow_ids<C: ConnectionTrait>(
    database: &C,
    list: FlowList<'_>,
    max_bytes: usize,
) -> Result<Vec<i64>, StoreError> {
    let FlowList { scope, changed_after, limit, offset, further, messages: _ } = list;
    // One more than fit, so that the list is known to be cut.
    let fitting = i64::try_from(most_records(max_bytes)).unwrap_or(i64::MAX).saturating_add(1);
    let limit = fitting.min(i64::from(limit) + 1);
    let values = [changed_after.into(), limit.into(), i64::from(offset).into()];
    let values = values.into_iter().chain(further).collect();
    let rows = sql::rows(database, sql::flow_ids(scope), values).await?;
    rows.iter().map(|row| get(row, "id")).collect()
}

/// Flows in the order of these ids, with their last messages and without members. Messages by id
/// that were read already are not read again.
async fn summaries<C: ConnectionTrait>(
    database: &C,
    ids: &[i64],
    viewer: Option<UserId>,
    read: &HashMap<i64, &Message>,
) -> Result<Vec<FlowSummary>, StoreError> {
    // No membership has the user id 0.
    let viewer = viewer.map_or(0, UserId::get);
    let mut found = HashMap::with_capacity(ids.len());
    let (mut last_messages, mut unread) = (HashMap::new(), Vec::new());
    let flows: Vec<Value> = ids.iter().copied().map(Value::from).collect();
    for row in sql::SUMMARIES.rows(database, vec![viewer.into()], &flows).await? {
        let flow = to_flow(flow::Model::from_query_result(&row, "").map_err(store_error)?)?;
        let last: Option<i64> = get(&row, "last_id")?;
        let first: Option<i64> = get(&row, "first_id")?;
        let first = first.map(message_id).transpose()?;
        let mark = Version(get::<Option<i64>>(&row, "read_version")?.unwrap_or_default());
        if let Some(last) = last {
            match read.get(&last) {
                Some(message) => drop(last_messages.insert(last, preview((*message).clone()))),
                None => unread.push(last.into()),
            }
        }
        let summary = FlowSummary { flow, members: Vec::new(), last: None, first, read: mark };
        found.insert(summary.flow.id.get(), (summary, last));
    }
    for row in sql::MESSAGE_PREVIEWS.rows(database, Vec::new(), &unread).await? {
        let message = preview(to_message(&row)?);
        last_messages.insert(message.id.get(), message);
    }
    let summaries = ids.iter().filter_map(|id| found.remove(id)).map(|(summary, last)| {
        let last = last.and_then(|last| last_messages.remove(&last));
        FlowSummary { last, ..summary }
    });
    Ok(summaries.collect())
}

/// A message as a list of flows has it.
fn preview(mut message: Message) -> Message {
    cut_to_preview(&mut message);
    message
}
