//! Login counters.

use super::memory_store::MemoryStore;
use super::state::State;
use crate::ports::{Counter, CounterKey, LoginCounterStore, StoreError};
use async_trait::async_trait;
use tolmach_domain::Timestamp;

#[async_trait]
impl LoginCounterStore for MemoryStore {
    async fn login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError> {
        self.read(|state| keys.iter().map(|key| state.counter(key, now)).collect()).await
    }

    async fn increment_login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError> {
        self.change(|state| {
            let counted = keys.iter().map(|key| {
                let counter = state.counter(key, now).unwrap_or(Counter { count: 0, expires_at });
                let counter = Counter { count: counter.count.saturating_add(1), ..counter };
                state.login_counters.insert(*key, counter);
                counter
            });
            Ok(counted.collect())
        })
        .await
    }

    async fn clear_login_counters(&self, keys: &[CounterKey]) -> Result<(), StoreError> {
        self.change(|state| {
            state.login_counters.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }
}

impl State {
    fn counter(&self, key: &CounterKey, now: Timestamp) -> Option<Counter> {
        self.login_counters.get(key).copied().filter(|counter| now < counter.expires_at)
    }
}
