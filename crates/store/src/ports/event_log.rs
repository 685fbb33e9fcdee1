//! The log of changes.

use crate::commit_time::last_commit_time;
use crate::read;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::{ChangesPage, EventLog, StoreError};

#[async_trait]
impl EventLog for SqlStore {
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.read(|| last_commit_time(&self.readers)).await
    }

    async fn changes_after(
        &self,
        after: Timestamp,
        flows: Option<&[FlowId]>,
        limit: u32,
    ) -> Result<ChangesPage, StoreError> {
        self.read_in_turn(|| async {
            let newest = last_commit_time(&self.readers).await?;
            let snapshot = self.snapshot(None).await?;
            read::changes_after(&snapshot.transaction, (after, newest), flows, limit).await
        })
        .await
    }
}
