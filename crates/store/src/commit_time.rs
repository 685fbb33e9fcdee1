//! Commit times: up to where they are complete, and those that a transaction takes.

use crate::scope::LockedFlows;
use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::StoreError;

/// The pause between two looks at transactions that are waited for: less than most of them take.
const PAUSE: Duration = Duration::from_millis(2);

/// The time up to which commits are complete: a transaction that begins after this call sees all of
/// them, and every later one has a later time. It does not go back.
///
/// On PostgreSQL it is below every commit time of the transactions that run, so `database` must not
/// be in a transaction: one that reads a snapshot would not see what ended after it began.
pub(crate) async fn last_commit_time<C: ConnectionTrait>(
    database: &C,
) -> Result<Timestamp, StoreError> {
    commit_times(database).await.map(|(complete, _)| complete)
}

/// The same once it has reached the newest commit of before the call: a client that subscribes and
/// then reads up to this time misses nothing that was published between the two. Waits for the
/// transactions that took their times before that commit and still run, which end soon.
pub(crate) async fn complete_commit_time<C: ConnectionTrait>(
    database: &C,
) -> Result<Timestamp, StoreError> {
    let (mut complete, newest) = commit_times(database).await?;
    while complete < newest {
        tokio::time::sleep(PAUSE).await;
        complete = last_commit_time(database).await?;
    }
    Ok(complete)
}

/// The time up to which commits are complete, and the newest commit time that is visible.
async fn commit_times<C: ConnectionTrait>(
    database: &C,
) -> Result<(Timestamp, Timestamp), StoreError> {
    let statement = sql::commit_times(database.get_database_backend());
    let row = sql::row(database, statement, Vec::new()).await?;
    let column = |name| time(row.as_ref().map(|row| sql::get(row, name)).transpose()?);
    Ok((column("complete")?, column("newest")?))
}

/// Begins changes of anything but new messages: from now on this transaction is the only one that
/// makes some, and it holds the flows. Returns a time before all its commit times.
pub(crate) async fn begin_changes(
    transaction: &DatabaseTransaction,
    flows: &LockedFlows,
) -> Result<Timestamp, StoreError> {
    if sql::is_concurrent(transaction.get_database_backend()) {
        let mut values = vec![flows.all.into()];
        values.extend(flows.lists().map(Into::into));
        let row = sql::row(transaction, sql::BEGIN_CHANGES, values).await?;
        return time(row.map(|row| sql::get(&row, "last")).transpose()?.flatten());
    }
    last_commit_time(transaction).await
}

/// Notes the newest commit time of changes, before they are committed.
pub(crate) async fn end_changes(
    transaction: &DatabaseTransaction,
    newest: Timestamp,
) -> Result<(), StoreError> {
    let statement = sql::end_changes(transaction.get_database_backend());
    sql::execute(transaction, statement, vec![newest.micros().into()]).await.map(drop)
}

fn time(micros: Option<i64>) -> Result<Timestamp, StoreError> {
    micros.map(Timestamp::from_micros).ok_or_else(|| {
        StoreError::failed(
            "the copy into this database was not finished: `tolmach copy` resumes it",
        )
    })
}
