//! The log of slow transactions.

use std::time::{Duration, Instant};

/// Duration from which a transaction is logged as slow.
const SLOW: Duration = Duration::from_millis(250);

/// Logs a transaction that has just ended if it was slow: its beginning, the number of its jobs and
/// their size.
pub(crate) fn log_if_slow(started: Instant, jobs: usize, bytes: usize) {
    let elapsed = started.elapsed();
    if elapsed > SLOW {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(jobs, bytes, elapsed_ms, "a slow transaction");
    }
}
