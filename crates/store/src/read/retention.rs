//! Retentions, and the records that are too old.

use crate::entities::flow::Kind;
use crate::error::corrupt;
use crate::rows::flow_id;
use crate::sql::{self, Age, get};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;
use tolmach_domain::{Fault, FlowId, Timestamp};
use tolmach_engine::ports::{
    EVENT_LOG_WINDOW, FlowRetention, IDEMPOTENCY_WINDOW, LedgerDay, PruneCount, Retention,
    StoreError,
};

/// The period for which an expired row is kept, and by housekeeping a message beyond its retention,
/// so that a clock that was ahead for a while does no harm.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The flows that are looked at together.
const FLOWS_PAGE: usize = 200;

/// The time up to which records that expire are removed.
pub(crate) fn expired_up_to(age: Age, now: Timestamp) -> Timestamp {
    let now = now.before(GRACE);
    match age {
        Age::Expiry => now,
        Age::Retry => now.before(IDEMPOTENCY_WINDOW),
        Age::Log => now.before(EVENT_LOG_WINDOW),
    }
}

pub(crate) async fn flow_retention<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
) -> Result<FlowRetention, StoreError> {
    let row = sql::row(database, sql::FLOW_RETENTION, vec![flow.get().into()]).await?;
    retention(&row.ok_or(Fault::NoSuchFlow)?)
}

fn retention(row: &QueryResult) -> Result<FlowRetention, StoreError> {
    let Some(days) = get::<Option<i64>>(row, "retention_days")? else {
        return Ok(FlowRetention::OfKind);
    };
    let days = u32::try_from(days).map_err(|error| corrupt(DbErr::Type(error.to_string())))?;
    Ok(NonZeroU32::new(days).map_or(FlowRetention::Forever, FlowRetention::Days))
}

/// A page of the flows, by id.
pub(crate) struct FlowsByAge {
    /// Those with messages that are too old, each with the time up to which they are.
    pub(crate) old: Vec<(FlowId, Timestamp)>,
    /// The last flow of the page; `None` if there are no further ones.
    pub(crate) last: Option<FlowId>,
}

/// The next flows after an id. Where no kind of flow has a retention, only flows with one of
/// their own are read.
pub(crate) async fn flows_by_age<C: ConnectionTrait>(
    database: &C,
    by_kind: &Retention,
    after: Option<i64>,
    now: Timestamp,
) -> Result<FlowsByAge, StoreError> {
    let Retention { chats, groups, channels, .. } = by_kind;
    let all = [chats, groups, channels].iter().any(|period| period.is_some());
    let statement = if all { &*sql::FLOWS_BY_AGE } else { &*sql::OWN_FLOWS_BY_AGE };
    let values = vec![after.unwrap_or_default().into(), (FLOWS_PAGE as i64).into()];
    let rows = sql::rows(database, statement, values).await?;
    let mut page = FlowsByAge { old: Vec::new(), last: None };
    for row in &rows {
        let flow = flow_id(get(row, "id")?)?;
        page.last = Some(flow);
        let period = by_kind.of_flow(get::<Kind>(row, "kind")?.into(), retention(row)?);
        let oldest = get::<Option<i64>>(row, "oldest")?.map(Timestamp::from_micros);
        if let (Some(period), Some(oldest)) = (period, oldest) {
            let up_to = now.before(period);
            if oldest <= up_to {
                page.old.push((flow, up_to));
            }
        }
    }
    page.last = page.last.filter(|_| rows.len() == FLOWS_PAGE);
    Ok(page)
}

/// The records that are too old, by kind.
pub(crate) async fn prunable<C: ConnectionTrait>(
    database: &C,
    retention: &Retention,
    now: Timestamp,
) -> Result<Vec<PruneCount>, StoreError> {
    let mut counts = Vec::new();
    for expiring in sql::EXPIRING.iter() {
        let up_to = expired_up_to(expiring.age, now).micros();
        let records = count(database, &expiring.count, vec![up_to.into()]).await?;
        let bytes = records * expiring.row_bytes;
        PruneCount { kind: expiring.kind, records, bytes }.add_to(&mut counts);
    }
    let keys = expired_up_to(Age::Retry, now).micros();
    if let Some(period) = retention.deleted_messages {
        let values = vec![now.before(period).micros().into(), keys.into()];
        let records = count(database, sql::COUNT_DELETED_MESSAGES, values).await?;
        let bytes = records * sql::MESSAGE_BYTES;
        PruneCount { kind: "deleted messages", records, bytes }.add_to(&mut counts);
    }
    if let Some(period) = retention.ledger {
        let before = LedgerDay::of(now.before(period)).0;
        for statement in [sql::COUNT_OLD_LEDGER_USES, sql::COUNT_OLD_LEDGER_CLIENTS] {
            let records = count(database, statement, vec![before.into()]).await?;
            let bytes = records * sql::LEDGER_ROW_BYTES;
            PruneCount { kind: "ledger rows", records, bytes }.add_to(&mut counts);
        }
    }
    let mut after = None;
    loop {
        let page = flows_by_age(database, retention, after, now).await?;
        for (flow, up_to) in page.old {
            let values = vec![flow.get().into(), up_to.micros().into(), keys.into()];
            if let Some(row) = sql::row(database, &sql::COUNT_OLD_MESSAGES, values).await? {
                let records = number(&row, "number")?;
                let bytes = records * sql::MESSAGE_BYTES + number(&row, "bytes")?;
                PruneCount { kind: "messages", records, bytes }.add_to(&mut counts);
            }
        }
        if page.last.is_none() {
            return Ok(counts);
        }
        after = page.last.map(FlowId::get);
    }
}

/// The number of rows that a statement counts.
async fn count<C: ConnectionTrait>(
    database: &C,
    statement: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let row = sql::row(database, statement, values).await?;
    row.map_or(Ok(0), |row| number(&row, "number"))
}

fn number(row: &QueryResult, column: &str) -> Result<u64, StoreError> {
    Ok(get::<i64>(row, column)?.unsigned_abs())
}

pub(crate) async fn unnamed_photos<C: ConnectionTrait>(
    database: &C,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    let mut named = BTreeSet::new();
    for statement in [&*sql::PHOTOS_OF_USERS, &*sql::PHOTOS_OF_FLOWS] {
        for list in sql::padded_lists(keys) {
            let length = list.len();
            let values = list.into_iter().map(Value::from).collect();
            for row in statement.rows(database, length, values).await? {
                named.insert(get::<String>(&row, "photo_key")?);
            }
        }
    }
    Ok(keys.iter().filter(|key| !named.contains(*key)).cloned().collect())
}
