//! Counters against password guessing, and of other events that are limited within a window.

use super::StoreError;
use async_trait::async_trait;
use tolmach_domain::Timestamp;

/// The login counters of a [`Store`](super::Store), shared by all nodes.
#[async_trait]
pub trait LoginCounterStore: Send + Sync + 'static {
    /// The counters of these keys, in this order; `None` for a key that was never counted or whose
    /// counter has expired at `now`.
    async fn login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError>;

    /// Increments the counter of each key, no two of them the same, and returns the counters in
    /// this order. A counter that is new or had expired at `now` expires at `expires_at`; the
    /// others keep their time.
    async fn increment_login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError>;

    /// Removes the counters of these keys.
    async fn clear_login_counters(&self, keys: &[CounterKey]) -> Result<(), StoreError>;
}

/// Name of a counter: a SHA-256, so that the logins that people type are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterKey(pub [u8; 32]);

/// A count that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The count.
    pub count: u32,
    /// The time from which it is 0 again.
    pub expires_at: Timestamp,
}
