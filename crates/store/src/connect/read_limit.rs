//! The time limit of reads on a connection to SQLite, which asks at intervals whether its statement
//! shall go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time after which the statements of one connection are interrupted.
#[derive(Clone)]
pub(super) struct ReadLimit(Arc<Shared>);

struct Shared {
    created: Instant,
    /// The limit in microseconds after the creation.
    end: AtomicU64,
}

impl ReadLimit {
    /// A limit that is over.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { created: Instant::now(), end: AtomicU64::new(0) }))
    }

    /// Allows statements until this long after now.
    pub(super) fn begin(&self, duration: Duration) {
        let end = self.0.created.elapsed().saturating_add(duration);
        self.0.end.store(micros(end), Ordering::Relaxed);
    }

    /// Interrupts the statement that runs, and later ones that take long.
    pub(super) fn end(&self) {
        self.0.end.store(0, Ordering::Relaxed);
    }

    /// True if the statement that runs is to be interrupted.
    pub(super) fn is_over(&self) -> bool {
        micros(self.0.created.elapsed()) >= self.0.end.load(Ordering::Relaxed)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_over_before_it_begins_and_after_it_ends() {
        let limit = ReadLimit::new();
        assert!(limit.is_over());
        limit.begin(Duration::MAX);
        assert!(!limit.is_over());
        limit.end();
        assert!(limit.is_over());
        limit.begin(Duration::ZERO);
        assert!(limit.is_over());
    }
}
