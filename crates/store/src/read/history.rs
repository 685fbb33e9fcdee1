//! Messages, history and changes.

use super::changed_messages::{ChangedMessages, changed_messages};
use super::flows::{flow, membership};
use super::messages::{messages, size};
use super::summaries::{FlowList, Selected, select};
use super::users::user;
use crate::rows::message as to_message;
use crate::sql::{self, FlowScope, get};
use sea_orm::ConnectionTrait;
use tolmach_domain::{
    Changes, Fault, FlowId, HistoryRange, Message, MessagePage, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{HistoryQuery, StoreError};
use tolmach_engine::{fitting, message_size};

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
    let HistoryQuery { flow: flow_id, viewer, range, limit, max_bytes, mark_read } = *query;
    let (limit, offset) = match range {
        HistoryRange::All => (limit, 0),
        HistoryRange::Newest { limit: wanted, offset } => (wanted.min(limit), offset),
        HistoryRange::Unread => {
            let page = unread(database, flow_id, viewer, limit, max_bytes).await?;
            return Ok(History { page, next_mark: None });
        }
    };
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let mut values = vec![flow_id.get().into(), i64::from(limit).into(), size(max_bytes)];
    let mut messages = if offset == 0 {
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
    drop_oldest(&mut messages, max_bytes);
    let mut next_mark = None;
    if let Some(last) = messages.last().filter(|_| mark_read) {
        next_mark = membership(database, flow_id, viewer)
            .await?
            .filter(|membership| membership.read_version < last.posted.0)
            .map(|_| last.posted);
    }
    Ok(History { page: MessagePage { flow: flow_id, messages, version }, next_mark })
}

/// The newest messages of a flow and its version, by one statement.
pub(crate) async fn newest<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    limit: u32,
    max_bytes: usize,
) -> Result<MessagePage, StoreError> {
    let values = vec![flow_id.get().into(), i64::from(limit).into(), size(max_bytes)];
    let rows = sql::rows(database, &sql::NEWEST_MESSAGES, values).await?;
    let version = match rows.first() {
        Some(row) => Version(get(row, "flow_version")?),
        None => flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version,
    };
    let mut messages = rows.iter().map(to_message).collect::<Result<Vec<_>, _>>()?;
    drop_oldest(&mut messages, max_bytes);
    Ok(MessagePage { flow: flow_id, messages, version })
}

/// Leaves the newest messages that fit.
fn drop_oldest(messages: &mut Vec<Message>, max_bytes: usize) {
    let kept = fitting(messages.iter().rev().map(message_size), max_bytes);
    messages.drain(..messages.len() - kept);
}

/// The oldest messages that a viewer has not read. Does not move the read mark.
pub(crate) async fn unread<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    viewer: UserId,
    limit: u32,
    max_bytes: usize,
) -> Result<MessagePage, StoreError> {
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let read = membership(database, flow_id, viewer)
        .await?
        .map_or(0, |membership| membership.read_version);
    let values = vec![
        flow_id.get().into(),
        read.into(),
        viewer.get().into(),
        i64::from(limit).into(),
        size(max_bytes),
    ];
    let mut messages = messages(database, &sql::UNREAD_MESSAGES, values).await?;
    messages.truncate(fitting(messages.iter().map(message_size), max_bytes));
    Ok(MessagePage { flow: flow_id, messages, version })
}

/// Changes after one time and up to another, until which commits are complete.
pub(crate) async fn changes<C: ConnectionTrait>(
    database: &C,
    id: UserId,
    (since, newest): (Timestamp, Timestamp),
    flow: Option<FlowId>,
    limit: u32,
    max_bytes: usize,
) -> Result<Changes, StoreError> {
    // One half is for messages, the other one for flows.
    let max_bytes = max_bytes / 2;
    let changed = ChangedMessages {
        user: id,
        flow,
        since,
        until: newest,
        limit: limit as usize + 1,
        max_bytes,
    };
    let mut changed = changed_messages(database, changed).await?;
    // The statement stops reading at the size of the stored contents, which are smaller than their
    // records in the answer.
    let bytes: usize = changed.iter().map(message_size).sum();
    let mut more = changed.len() > limit as usize || bytes > max_bytes;
    changed.truncate(limit as usize);
    changed.truncate(fitting(changed.iter().map(message_size), max_bytes));
    // Every change up to the newest commit time is committed, and every later one gets a later
    // time.
    let mut until =
        if more { changed.last().map_or(since, |last| last.changed_at) } else { newest };
    let list = FlowList {
        scope: FlowScope::Changed,
        changed_after: since.micros(),
        limit: u32::MAX,
        offset: 0,
        further: vec![id.get().into(), until.micros().into(), flow.map_or(0, FlowId::get).into()],
    };
    let Selected { summaries: mut flows, is_complete } =
        select(database, list, id, false, max_bytes).await?;
    if !is_complete {
        // The answer ends with the last flow that fits.
        until = flows.last().map_or(since, |summary| summary.flow.changed_at);
        changed.retain(|message| message.changed_at <= until);
        more = true;
    }
    flows.reverse();
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
