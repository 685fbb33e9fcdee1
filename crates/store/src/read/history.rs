//! Messages, history and changes.

use super::flows::{flow, membership};
use super::summaries::summaries;
use super::users::user;
use crate::commit_time::last_commit_time;
use crate::rows::message as to_message;
use crate::sql::{self, ChangesScope, SummaryScope, get};
use sea_orm::{ConnectionTrait, Value};
use tolmach_domain::{
    Changes, Fault, FlowId, HistoryRange, Message, MessagePage, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{HistoryQuery, StoreError};

/// A page of history, and the read mark that reading it moves to.
pub(crate) struct History {
    pub(crate) page: MessagePage,
    /// `None` if the query moves no mark, or the mark stays.
    pub(crate) next_mark: Option<Version>,
}

/// Reads a page of history. The mark of [`HistoryRange::Unread`] is moved by the transaction that
/// reads the page again.
pub(crate) async fn history<C: ConnectionTrait>(
    database: &C,
    query: &HistoryQuery,
) -> Result<History, StoreError> {
    let HistoryQuery { flow: flow_id, viewer, range, limit, mark_read } = *query;
    let (limit, offset) = match range {
        HistoryRange::All => (limit, 0),
        HistoryRange::Newest { limit: wanted, offset } => (wanted.min(limit), offset),
        HistoryRange::Unread => {
            let page = unread(database, flow_id, viewer, limit).await?;
            return Ok(History { page, next_mark: None });
        }
    };
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let mut values = vec![Value::from(flow_id.get()), Value::from(i64::from(limit))];
    let messages = if offset == 0 {
        messages(database, &sql::NEWEST_MESSAGES, values).await?
    } else {
        match sql::row(
            database,
            sql::SKIP_MESSAGES,
            vec![flow_id.get().into(), i64::from(offset).into()],
        )
        .await?
        {
            None => Vec::new(),
            Some(row) => {
                values.push(get::<i64>(&row, "posted")?.into());
                messages(database, &sql::NEWEST_MESSAGES_UP_TO, values).await?
            }
        }
    };
    let mut next_mark = None;
    if let Some(last) = messages.last().filter(|_| mark_read) {
        next_mark = membership(database, flow_id, viewer)
            .await?
            .filter(|membership| membership.read_version < last.posted.0)
            .map(|_| last.posted);
    }
    Ok(History { page: MessagePage { flow: flow_id, messages, version }, next_mark })
}

/// The oldest messages that a viewer has not read. Does not move the read mark.
pub(crate) async fn unread<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    viewer: UserId,
    limit: u32,
) -> Result<MessagePage, StoreError> {
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let read = membership(database, flow_id, viewer)
        .await?
        .map_or(0, |membership| membership.read_version);
    let values =
        vec![flow_id.get().into(), read.into(), viewer.get().into(), i64::from(limit).into()];
    Ok(MessagePage {
        flow: flow_id,
        messages: messages(database, &sql::UNREAD_MESSAGES, values).await?,
        version,
    })
}

pub(crate) async fn changes<C: ConnectionTrait>(
    database: &C,
    id: UserId,
    since: Timestamp,
    flow: Option<FlowId>,
    limit: u32,
) -> Result<Changes, StoreError> {
    let newest = last_commit_time(database).await?;
    let mut values =
        vec![Value::from(id.get()), since.micros().into(), (i64::from(limit) + 1).into()];
    values.extend(flow.map(|flow| Value::from(flow.get())));
    let scope = if flow.is_some() { ChangesScope::One } else { ChangesScope::All };
    let mut changed =
        messages(database, sql::message_changes(database.get_database_backend(), scope), values)
            .await?;
    let more = changed.len() > limit as usize;
    changed.truncate(limit as usize);
    // Every change up to the newest commit time is committed, and every later one gets a later
    // time.
    let until = if more { changed.last().map_or(since, |last| last.changed_at) } else { newest };
    let values = vec![
        id.get().into(),
        since.micros().into(),
        until.micros().into(),
        i64::MAX.into(),
        0i64.into(),
    ];
    let mut flows = summaries(database, SummaryScope::Viewers, values, false).await?;
    flows.retain(|summary| flow.is_none_or(|flow| flow == summary.flow.id));
    let record = user(database, id)
        .await?
        .filter(|user| user.changed_at > since && user.changed_at <= until);
    Ok(Changes { messages: changed, flows, user: record.map(Box::new), until, more })
}

pub(crate) async fn messages_after<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    after: Version,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    messages(
        database,
        &sql::MESSAGES_AFTER,
        vec![flow.get().into(), after.0.into(), i64::from(limit).into()],
    )
    .await
}

async fn messages<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<Message>, StoreError> {
    sql::rows(database, sql, values).await?.iter().map(to_message).collect()
}
