//! Time.

use async_trait::async_trait;
use std::time::Duration;
use tolmach_domain::Timestamp;

/// A clock.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Returns after this duration.
    async fn sleep(&self, duration: Duration);
}
