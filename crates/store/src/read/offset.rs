//! Pages of a history at an offset.

use crate::sql::{self, HISTORY_BLOCK, get};
use sea_orm::ConnectionTrait;
use tolmach_domain::FlowId;
use tolmach_engine::ports::StoreError;

/// The blocks of a flow: those before `next` are counted, and those before `full` can be.
pub(crate) struct HistoryBlocks {
    pub(crate) next: i64,
    pub(crate) full: i64,
}

/// The blocks of a flow; none if it does not exist.
pub(crate) async fn history_blocks<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
) -> Result<HistoryBlocks, StoreError> {
    let row = sql::row(database, sql::COUNTED_BLOCKS, vec![flow.get().into()]).await?;
    let Some(row) = row else { return Ok(HistoryBlocks { next: 0, full: 0 }) };
    let version: i64 = get(&row, "version")?;
    // A message takes a version after that of the flow.
    Ok(HistoryBlocks { next: get(&row, "next")?, full: (version + 1) / HISTORY_BLOCK })
}

/// The `posted` of the newest message after skipping some; `None` if there are no more. Reads the
/// index of the messages that are skipped, or of those in no counted block and in one that is.
pub(super) async fn posted_at_offset<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    offset: u32,
) -> Result<Option<i64>, StoreError> {
    let offset = i64::from(offset);
    if offset < HISTORY_BLOCK {
        return skip(database, flow, i64::MAX, offset).await;
    }
    let first_uncounted = history_blocks(database, flow).await?.next * HISTORY_BLOCK;
    let values = vec![flow.get().into(), first_uncounted.into()];
    let counted = sql::row(database, sql::COUNT_UNCOUNTED, values).await?;
    let uncounted: i64 = counted.map_or(Ok(0), |row| get(&row, "number"))?;
    if offset < uncounted {
        return skip(database, flow, i64::MAX, offset).await;
    }
    let offset = offset - uncounted;
    let values = vec![flow.get().into(), offset.into()];
    let Some(row) = sql::row(database, sql::BLOCK_AT_OFFSET, values).await? else {
        return Ok(None);
    };
    let (block, newer): (i64, i64) = (get(&row, "block")?, get(&row, "newer")?);
    skip(database, flow, (block + 1) * HISTORY_BLOCK, offset - newer).await
}

async fn skip<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    before: i64,
    offset: i64,
) -> Result<Option<i64>, StoreError> {
    let values = vec![flow.get().into(), before.into(), offset.into()];
    let row = sql::row(database, sql::SKIP_MESSAGES, values).await?;
    row.map(|row| get(&row, "posted")).transpose()
}
