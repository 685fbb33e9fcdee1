//! The ledger.

use crate::read;
use crate::read_turns::ReadClass;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::UserId;
use tolmach_engine::ports::{
    LedgerDay, LedgerEntry, LedgerPage, LedgerQuery, LedgerRevision, LedgerStore, StoreError,
};

/// The approximate size of an entry in the queue, in bytes.
const ENTRY_SIZE: usize = 256;

#[async_trait]
impl LedgerStore for SqlStore {
    async fn add_to_ledger(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        let entries = entries.to_vec();
        self.write_in(None, Scope::NoFlow, entries.len() * ENTRY_SIZE, move |batch| {
            Box::pin(async move { batch.add_to_ledger(&entries).await })
        })
        .await
    }

    async fn ledger_revisions(&self) -> Result<Vec<LedgerRevision>, StoreError> {
        self.read(|| read::ledger_revisions(&self.readers)).await
    }

    async fn count_ledger_clients(
        &self,
        since: LedgerDay,
    ) -> Result<Vec<(LedgerRevision, u64)>, StoreError> {
        self.read_in_turn(|| async {
            let snapshot = self.snapshot_for(ReadClass::Scan, None).await?;
            read::count_ledger_clients(&snapshot.transaction, since).await
        })
        .await
    }

    async fn ledger_page(&self, query: &LedgerQuery) -> Result<LedgerPage, StoreError> {
        self.read_in_turn(|| async {
            let snapshot = self.snapshot_for(ReadClass::Scan, None).await?;
            read::ledger_page(&snapshot.transaction, query).await
        })
        .await
    }

    async fn remove_from_ledger(&self, user: UserId) -> Result<bool, StoreError> {
        self.write_in(Some(user), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.remove_from_ledger(user))
        })
        .await
    }
}
