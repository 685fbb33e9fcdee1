//! Retention: for operators, and for the gateway itself.

use crate::ports::{
    FlowRetention, PortError, PruneCount, PrunePlace, PruneStep, StoreError, StoredBlob,
};
use crate::{Engine, ErrorChain};
use futures_util::StreamExt;
use std::collections::HashMap;
use tolmach_domain::{FlowId, Timestamp};

/// The photos that are looked at together.
const PHOTOS: usize = 500;

/// Error of removing records that are too old.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PruneError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Mails or photos.
    #[error(transparent)]
    Files(#[from] PortError),
}

impl Engine {
    /// The retention of a flow; see [`RetentionStore`](crate::ports::RetentionStore).
    pub async fn flow_retention(&self, flow: FlowId) -> Result<FlowRetention, StoreError> {
        self.ports.store.flow_retention(flow).await
    }

    /// Sets the retention of a flow; see [`RetentionStore`](crate::ports::RetentionStore).
    pub async fn set_flow_retention(
        &self,
        flow: FlowId,
        retention: FlowRetention,
    ) -> Result<(), StoreError> {
        self.ports.store.set_flow_retention(flow, retention).await
    }

    /// Counts the records of the store that the policy no longer keeps.
    pub async fn prunable(&self, now: Timestamp) -> Result<Vec<PruneCount>, StoreError> {
        self.ports.store.prunable(&self.policy.retention, now).await
    }

    /// Removes some of them; see [`RetentionStore::prune`](crate::ports::RetentionStore::prune).
    pub async fn prune(
        &self,
        after: Option<PrunePlace>,
        now: Timestamp,
    ) -> Result<PruneStep, StoreError> {
        self.ports.store.prune(&self.policy.retention, after, now).await
    }

    /// Removes the mails and the photos that the policy no longer keeps, and counts them. With
    /// `dry_run` they are only counted. Nodes may do so at the same time.
    pub async fn prune_files(
        &self,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<PruneCount>, PruneError> {
        let mut counts = Vec::new();
        if let Some(period) = self.policy.retention.mails {
            let mails = self.ports.mailer.remove_sent(now.before(period), dry_run).await?;
            mails.add_to(&mut counts);
        }
        if let Some(period) = self.policy.retention.unnamed_photos {
            self.prune_photos(now.before(period), dry_run).await?.add_to(&mut counts);
        }
        Ok(counts)
    }

    /// The same for photos that nothing names, stored up to a time: one that was just stored is
    /// named a moment later.
    async fn prune_photos(
        &self,
        up_to: Timestamp,
        dry_run: bool,
    ) -> Result<PruneCount, PruneError> {
        let mut removed = PruneCount { kind: "photos", records: 0, bytes: 0 };
        let mut photos = self.ports.blobs.list().chunks(PHOTOS);
        while let Some(page) = photos.next().await {
            let mut old = HashMap::new();
            for photo in page {
                let StoredBlob { key, bytes, stored_at } = photo?;
                if stored_at <= up_to {
                    old.insert(key, bytes);
                }
            }
            let keys: Vec<String> = old.keys().cloned().collect();
            if keys.is_empty() {
                continue;
            }
            for key in self.ports.store.unnamed_photos(&keys).await? {
                if !dry_run && let Err(error) = self.ports.blobs.delete(&key).await {
                    let error = ErrorChain(&error);
                    tracing::warn!(%error, %key, "a photo could not be deleted");
                    continue;
                }
                removed.records += 1;
                removed.bytes += old.get(&key).copied().unwrap_or_default();
            }
        }
        Ok(removed)
    }
}
