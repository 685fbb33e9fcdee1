//! Flows and their members.

use crate::read;
use crate::read_turns::ReadClass;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use std::collections::HashSet;
use tolmach_domain::{
    Flow, FlowId, FlowKindFilter, FlowSummary, Origin, Timestamp, UserId, Version,
};
use tolmach_engine::LISTED_MEMBERS;
use tolmach_engine::ports::{
    CreateFlow, FlowCreation, FlowLimits, FlowStore, FlowSummaryQuery, StoreError,
};

#[async_trait]
impl FlowStore for SqlStore {
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.write_in(Some(by), Scope::Chat(by, with), 0, move |batch| {
            Box::pin(batch.open_chat(by, with, limits, origin, now))
        })
        .await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let size = flow.info.len() + flow.members.len() * 64;
        self.write_in(Some(flow.owner), Scope::NoFlow, size, move |batch| {
            Box::pin(batch.create_flow(flow, limits, origin, now))
        })
        .await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|| read::flow(&self.readers, id)).await
    }

    async fn flow_and_membership(
        &self,
        flow: FlowId,
        user: UserId,
    ) -> Result<Option<(Flow, Option<Version>)>, StoreError> {
        self.read(|| read::flow_and_membership(&self.readers, flow, user)).await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|| read::is_member(&self.readers, flow, user)).await
    }

    async fn acquaintances(
        &self,
        viewer: UserId,
        users: &[UserId],
    ) -> Result<HashSet<UserId>, StoreError> {
        if users.len() > LISTED_MEMBERS {
            // In the members of a list: its reader may be in thousands of flows.
            let acquaintances =
                |database| async move { read::acquaintances(&database, viewer, users).await };
            return self.read_page(viewer, acquaintances).await;
        }
        self.read(|| read::acquaintances(&self.readers, viewer, users)).await
    }

    async fn has_business_member(&self, flow: FlowId) -> Result<Option<bool>, StoreError> {
        self.read(|| read::has_business_member(&self.readers, flow)).await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
        max_bytes: usize,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read_in_turn(|| async {
            let snapshot = self.snapshot(viewer).await?;
            read::flow_summary(&snapshot.transaction, flow, viewer, members, max_bytes).await
        })
        .await
    }

    async fn flow_summaries(
        &self,
        query: FlowSummaryQuery,
    ) -> Result<Vec<FlowSummary>, StoreError> {
        self.read_in_turn(|| async {
            let class = if query.all { ReadClass::Scan } else { ReadClass::Page };
            let snapshot = self.snapshot_for(class, Some(query.viewer)).await?;
            read::flow_summaries(&snapshot.transaction, &query).await
        })
        .await
    }

    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError> {
        self.read(|| read::flow_versions(&self.readers, user)).await
    }

    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let users = users.to_vec();
        self.write_in(Some(by), Scope::Flows(vec![flow]), users.len() * 64, move |batch| {
            Box::pin(batch.add_members(flow, by, users, limits, origin, now))
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
        self.write_in(Some(by), Scope::Flows(vec![flow]), users.len() * 64, move |batch| {
            Box::pin(batch.remove_members(flow, by, users, origin, now))
        })
        .await
    }

    async fn leave(
        &self,
        flow: FlowId,
        user: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Option<Flow>, StoreError> {
        self.write_in(Some(user), Scope::Flows(vec![flow]), 0, move |batch| {
            Box::pin(batch.leave(flow, user, origin, now))
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
        self.write_in(Some(by), Scope::Flows(vec![flow]), 0, move |batch| {
            Box::pin(batch.delete_flow(flow, by, kinds, origin, now))
        })
        .await
    }
}
