//! The ledger.

use super::memory_store::MemoryStore;
use crate::ports::{
    LedgerDay, LedgerEntry, LedgerPage, LedgerQuery, LedgerRevision, LedgerStore, StoreError,
};
use async_trait::async_trait;
use tolmach_domain::UserId;

#[async_trait]
impl LedgerStore for MemoryStore {
    async fn add_to_ledger(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        self.change(|state| {
            for entry in entries {
                let user = entry.client.user;
                if user.is_none_or(|user| state.active_user(user).is_ok()) {
                    state.ledger.add(entry);
                }
            }
            Ok(())
        })
        .await
    }

    async fn ledger_revisions(&self) -> Result<Vec<LedgerRevision>, StoreError> {
        self.read(|state| state.ledger.count(LedgerDay(0)).into_keys().collect()).await
    }

    async fn count_ledger_clients(
        &self,
        since: LedgerDay,
    ) -> Result<Vec<(LedgerRevision, u64)>, StoreError> {
        self.read(|state| state.ledger.count(since).into_iter().collect()).await
    }

    async fn ledger_page(&self, query: &LedgerQuery) -> Result<LedgerPage, StoreError> {
        self.read(|state| {
            let mut page = state.ledger.page(query);
            for record in &mut page.records {
                let user = record.client.user.and_then(|user| state.users.get(&user));
                record.login = user.map(|found| found.user.login.clone());
            }
            page
        })
        .await
    }

    async fn remove_from_ledger(&self, user: UserId) -> Result<bool, StoreError> {
        self.change(|state| {
            state.ledger.forget(user);
            Ok(false)
        })
        .await
    }
}
