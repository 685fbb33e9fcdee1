//! The ledger: for gateways, which write it, and for operators.

use crate::Engine;
use crate::ports::{LedgerDay, LedgerEntry, LedgerPage, LedgerQuery, LedgerRevision, StoreError};
use tolmach_domain::UserId;

impl Engine {
    /// Adds requests to the ledger; see
    /// [`LedgerStore`](crate::ports::LedgerStore).
    pub async fn add_to_ledger(&self, entries: &[LedgerEntry]) -> Result<(), StoreError> {
        self.ports.store.add_to_ledger(entries).await
    }

    /// The revisions that the ledger has clients of, in order.
    pub async fn ledger_revisions(&self) -> Result<Vec<LedgerRevision>, StoreError> {
        self.ports.store.ledger_revisions().await
    }

    /// The number of clients of each revision since a day.
    pub async fn count_ledger_clients(
        &self,
        since: LedgerDay,
    ) -> Result<Vec<(LedgerRevision, u64)>, StoreError> {
        self.ports.store.count_ledger_clients(since).await
    }

    /// A page of clients; see [`LedgerStore`](crate::ports::LedgerStore).
    pub async fn ledger_page(&self, query: &LedgerQuery) -> Result<LedgerPage, StoreError> {
        self.ports.store.ledger_page(query).await
    }

    /// Removes all entries of a user.
    pub(crate) async fn forget_in_ledger(&self, user: UserId) -> Result<(), StoreError> {
        while self.ports.store.remove_from_ledger(user).await? {}
        Ok(())
    }
}
