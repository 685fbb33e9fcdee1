//! Flows and their members.

use crate::read;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{
    Flow, FlowId, FlowKindFilter, FlowSummary, Origin, Timestamp, User, UserId, Version,
};
use tolmach_engine::ports::{CreateFlow, FlowCreation, FlowStore, FlowSummaryQuery, StoreError};

#[async_trait]
impl FlowStore for SqlStore {
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.write(0, move |batch| Box::pin(batch.open_chat(by, with, origin, now))).await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let size = flow.info.len() + flow.members.len() * 64;
        self.write(size, move |batch| Box::pin(batch.create_flow(flow, origin, now))).await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|| read::flow(&self.readers, id)).await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|| read::is_member(&self.readers, flow, user)).await
    }

    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError> {
        self.read(|| async {
            Ok(read::members(&self.readers, &[flow.get()])
                .await?
                .remove(&flow.get())
                .unwrap_or_default())
        })
        .await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read(|| async {
            read::flow_summary(&self.snapshot().await?, flow, viewer, members).await
        })
        .await
    }

    async fn flow_summaries(
        &self,
        query: FlowSummaryQuery,
    ) -> Result<Vec<FlowSummary>, StoreError> {
        self.read(|| async { read::flow_summaries(&self.snapshot().await?, &query).await }).await
    }

    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError> {
        self.read(|| read::flow_versions(&self.readers, user)).await
    }

    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let users = users.to_vec();
        self.write(users.len() * 64, move |batch| {
            Box::pin(batch.add_members(flow, by, users, origin, now))
        })
        .await
    }

    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let users = users.to_vec();
        self.write(users.len() * 64, move |batch| {
            Box::pin(batch.remove_members(flow, by, users, origin, now))
        })
        .await
    }

    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.delete_flow(flow, by, kinds, origin, now))).await
    }
}
