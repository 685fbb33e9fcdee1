//! The time limits of calls and of transactions.

use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tolmach_engine::ports::StoreError;

/// Abandons a transaction that takes too long. Its outcome is unknown if it was being committed.
pub(crate) async fn transaction_within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| {
        let limit = limit.as_millis();
        StoreError::unavailable(format!("the transaction did not finish within {limit} ms"))
    };
    tokio::time::timeout(limit, work).await.map_err(late)?
}

/// The time limit of a call that may consist of several steps.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline this long after now.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { began: Instant::now(), limit }
    }

    /// Runs a step; [`StoreError::Unavailable`] if the deadline passes before it is done.
    pub(crate) async fn bound<T>(
        self,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Self { began, limit } = self;
        let late =
            |_| StoreError::unavailable(format!("no answer within {} ms", limit.as_millis()));
        tokio::time::timeout(limit.saturating_sub(began.elapsed()), step).await.map_err(late)?
    }
}
