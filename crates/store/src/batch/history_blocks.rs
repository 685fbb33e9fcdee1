//! Counting of the blocks of a long history.

use super::transaction::Batch;
use crate::read;
use crate::sql::{self, HISTORY_BLOCK};
use tolmach_domain::FlowId;
use tolmach_engine::ports::StoreError;

/// The most blocks that one transaction counts, because others wait for it.
const STEP: i64 = 16;

impl Batch {
    /// Counts some blocks of a flow that are not counted yet. Returns true if there are more. The
    /// transaction has locked the flow, so that nothing is posted in it or deleted meanwhile.
    pub(crate) async fn count_history_blocks(&mut self, flow: FlowId) -> Result<bool, StoreError> {
        let blocks = read::history_blocks(&self.transaction, flow).await?;
        let end = blocks.full.min(blocks.next + STEP);
        if blocks.next >= end {
            return Ok(false);
        }
        let (from, before) = (blocks.next * HISTORY_BLOCK, end * HISTORY_BLOCK);
        let values = vec![flow.get().into(), from.into(), before.into()];
        sql::execute(&self.transaction, sql::COUNT_BLOCKS, values).await?;
        let values = vec![flow.get().into(), (end - 1).into()];
        sql::execute(&self.transaction, sql::MARK_COUNTED, values).await?;
        Ok(end < blocks.full)
    }
}
