//! Login counters.

use crate::read;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Counter, CounterKey, LoginCounterStore, StoreError};

#[async_trait]
impl LoginCounterStore for SqlStore {
    async fn login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError> {
        self.read(|| read::login_counters(&self.readers, keys, now)).await
    }

    async fn increment_login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError> {
        let keys = keys.to_vec();
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(async move { batch.increment_login_counters(&keys, now, expires_at).await })
        })
        .await
    }

    async fn clear_login_counters(&self, keys: &[CounterKey]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(async move { batch.clear_login_counters(&keys).await })
        })
        .await
    }
}
