//! Retention.

use crate::batch::{PRUNE_STEP, PruneExtent};
use crate::read;
use crate::read_turns::ReadClass;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use std::time::Duration;
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::{
    FlowRetention, PruneCount, PrunePlace, PruneStep, Retention, RetentionStore, StoreError,
};

#[async_trait]
impl RetentionStore for SqlStore {
    async fn flow_retention(&self, flow: FlowId) -> Result<FlowRetention, StoreError> {
        self.read(|| read::flow_retention(&self.readers, flow)).await
    }

    async fn set_flow_retention(
        &self,
        flow: FlowId,
        retention: FlowRetention,
    ) -> Result<(), StoreError> {
        self.write_in(None, Scope::Flows(vec![flow]), 0, move |batch| {
            Box::pin(batch.set_flow_retention(flow, retention))
        })
        .await
    }

    async fn prunable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<PruneCount>, StoreError> {
        self.read_in_turn(|| async {
            let snapshot = self.snapshot_for(ReadClass::Scan, None).await?;
            read::prunable(&snapshot.transaction, retention, now).await
        })
        .await
    }

    async fn prune(
        &self,
        retention: &Retention,
        after: Option<PrunePlace>,
        now: Timestamp,
    ) -> Result<PruneStep, StoreError> {
        let retention = retention.clone();
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(async move {
                let extent = PruneExtent::WithMessages { after };
                batch.prune(&retention, extent, now, Duration::ZERO, PRUNE_STEP).await
            })
        })
        .await
    }

    async fn unnamed_photos(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        self.read(|| read::unnamed_photos(&self.readers, keys)).await
    }
}
