//! Messages, history and changes.

use super::changed_messages::{ChangedMessages, changed_messages};
use super::flows::{flow, membership};
use super::messages::{messages, size};
use super::offset::posted_at_offset;
use super::pieces::{Piece, Pieces};
use super::summaries::{FlowList, Selected, select};
use super::users::user;
use crate::rows::message as to_message;
use crate::sql::{self, FlowScope, get};
use sea_orm::ConnectionTrait;
use tolmach_domain::{
    Changes, Fault, FlowId, HistoryRange, Message, MessagePage, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{HistoryQuery, MAX_CHANGED_FLOWS, StoreError};
use tolmach_engine::{fitting, message_size};

/// Reads a page of history.
pub(crate) async fn history<C: ConnectionTrait>(
    database: &C,
    query: &HistoryQuery,
) -> Result<MessagePage, StoreError> {
    let HistoryQuery { flow: flow_id, viewer, range, limit, max_bytes } = *query;
    let (limit, offset) = match range {
        HistoryRange::All => (limit, 0),
        HistoryRange::Newest { limit: wanted, offset } => (wanted.min(limit), offset),
        HistoryRange::Unread => return unread(database, flow_id, viewer, limit, max_bytes).await,
    };
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let newest = if offset == 0 {
        Some(i64::MAX)
    } else {
        posted_at_offset(database, flow_id, offset).await?
    };
    let mut messages = match newest {
        Some(newest) => newest_up_to(database, flow_id, newest, limit, max_bytes).await?,
        None => Vec::new(),
    };
    drop_oldest(&mut messages, max_bytes);
    Ok(MessagePage { flow: flow_id, messages, version })
}

/// The newest messages up to the one with this `posted`, oldest first, and some that may not fit.
async fn newest_up_to<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    newest: i64,
    limit: u32,
    max_bytes: usize,
) -> Result<Vec<Message>, StoreError> {
    let mut pieces = Pieces::new(limit as usize, max_bytes);
    while let Some(piece) = pieces.next() {
        let newest = pieces.last().map_or(newest, |oldest| oldest.posted.0 - 1);
        let values =
            vec![flow.get().into(), size(piece.limit), size(piece.max_bytes), newest.into()];
        let mut found = messages(database, &sql::NEWEST_MESSAGES_UP_TO, values).await?;
        found.reverse();
        pieces.add(found);
    }
    let mut messages = pieces.into_messages();
    messages.reverse();
    Ok(messages)
}

/// The newest messages of a flow and its version, by one statement. `None` where that takes more:
/// if the flow has no messages, or those that fit are several pieces. They need one snapshot.
pub(crate) async fn newest<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    limit: u32,
    max_bytes: usize,
) -> Result<Option<MessagePage>, StoreError> {
    let mut pieces = Pieces::new(limit as usize, max_bytes);
    let Some(piece) = pieces.next() else { return Ok(None) };
    let values = vec![flow_id.get().into(), size(piece.limit), size(piece.max_bytes)];
    let rows = sql::rows(database, &sql::NEWEST_MESSAGES, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let version = Version(get(first, "flow_version")?);
    pieces.add(rows.iter().map(to_message).collect::<Result<_, _>>()?);
    if pieces.next().is_some() {
        return Ok(None);
    }
    let mut messages = pieces.into_messages();
    drop_oldest(&mut messages, max_bytes);
    Ok(Some(MessagePage { flow: flow_id, messages, version }))
}

/// Leaves the newest messages that fit.
fn drop_oldest(messages: &mut Vec<Message>, max_bytes: usize) {
    let kept = fitting(messages.iter().rev().map(message_size), max_bytes);
    messages.drain(..messages.len() - kept);
}

/// The version up to which a user has read; `None` if they are not a member.
pub(crate) async fn read_mark<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    viewer: UserId,
) -> Result<Option<Version>, StoreError> {
    let membership = membership(database, flow, viewer).await?;
    Ok(membership.map(|membership| Version(membership.read_version)))
}

/// The oldest messages that a viewer has not read.
async fn unread<C: ConnectionTrait>(
    database: &C,
    flow_id: FlowId,
    viewer: UserId,
    limit: u32,
    max_bytes: usize,
) -> Result<MessagePage, StoreError> {
    let version = flow(database, flow_id).await?.ok_or(Fault::NoSuchFlow)?.version;
    let read = read_mark(database, flow_id, viewer).await?.unwrap_or_default().0;
    let mut pieces = Pieces::new(limit as usize, max_bytes);
    while let Some(piece) = pieces.next() {
        let values = vec![
            flow_id.get().into(),
            pieces.last().map_or(read, |last| last.posted.0).into(),
            viewer.get().into(),
            size(piece.limit),
            size(piece.max_bytes),
        ];
        pieces.add(messages(database, &sql::UNREAD_MESSAGES, values).await?);
    }
    let mut messages = pieces.into_messages();
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
    let mut pieces = Pieces::new(limit as usize + 1, max_bytes);
    while let Some(Piece { limit, max_bytes }) = pieces.next() {
        let since = pieces.last().map_or(since, |last| last.changed_at);
        let changed = ChangedMessages { user: id, flow, since, until: newest, limit, max_bytes };
        pieces.add(changed_messages(database, changed).await?);
    }
    let mut changed = pieces.into_messages();
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
        limit: MAX_CHANGED_FLOWS,
        offset: 0,
        further: vec![id.get().into(), until.micros().into(), flow.map_or(0, FlowId::get).into()],
        messages: &changed,
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
