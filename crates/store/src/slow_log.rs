//! The log of slow transactions.

use std::time::{Duration, Instant};

/// Duration from which a transaction is logged as slow.
const SLOW: Duration = Duration::from_millis(250);

/// The same for an import, which makes its transactions so large that they take up to a second.
const SLOW_IMPORT: Duration = Duration::from_secs(3);

/// Logs a transaction that has just ended if it was slow: its beginning, the number of its jobs,
/// their size, and whether it is of a process that imports.
pub(crate) fn log_if_slow(started: Instant, jobs: usize, bytes: usize, is_import: bool) {
    let elapsed = started.elapsed();
    if elapsed > if is_import { SLOW_IMPORT } else { SLOW } {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(jobs, bytes, elapsed_ms, "a slow transaction");
    }
}
