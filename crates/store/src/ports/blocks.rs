//! Blocks.

use crate::read;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{FlowId, Timestamp, User, UserId};
use tolmach_engine::ports::{BlockStore, StoreError};

#[async_trait]
impl BlockStore for SqlStore {
    async fn block(
        &self,
        blocker: UserId,
        blocked: UserId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_in(Some(blocker), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.block(blocker, blocked, limit, now))
        })
        .await
    }

    async fn unblock(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError> {
        self.write_in(Some(blocker), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.unblock(blocker, blocked))
        })
        .await
    }

    async fn blocked_users(&self, blocker: UserId) -> Result<Vec<User>, StoreError> {
        self.read(|| read::blocked_users(&self.readers, blocker)).await
    }

    async fn is_blocked_in(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|| read::is_blocked_in(&self.readers, flow, user)).await
    }
}
