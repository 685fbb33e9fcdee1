//! Settings and statistics of a store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tolmach_engine::ports::Retention;

/// Settings of a [`SqlStore`](crate::SqlStore).
#[derive(Debug, Clone)]
pub struct Options {
    /// The period after which a call fails with
    /// [`StoreError::Unavailable`](tolmach_engine::ports::StoreError::Unavailable).
    pub timeout: Duration,
    /// The largest size of all queued changes in bytes, each counted as 16 KiB at least; those of
    /// one user take a quarter at most. A single one may be larger, and one of each user finds room
    /// always.
    pub queue_bytes: usize,
    /// The largest number of changes in one transaction.
    pub batch_jobs: usize,
    /// The size in bytes at which a transaction takes no further change.
    pub batch_bytes: usize,
    /// The size in bytes at which a transaction takes no further change of the same user.
    pub batch_bytes_per_user: usize,
    /// The number of connections that read, at least 3: a sixth of them for reads that grow with
    /// the world, such as searches, a third for pages and lists of users, the others for single
    /// records. At least one for each.
    pub read_connections: u32,
    /// The periods after which housekeeping removes records. Default: everything is kept that does
    /// not expire by itself.
    pub retention: Retention,
    /// True for a process that imports. Its connection that writes to SQLite has a larger cache,
    /// and moves the write-ahead log into the file less often: a page that many transactions
    /// change is written once. Its commits survive the end of the process, and the loss of power
    /// once the store is closed or another process has committed. Default: false.
    pub is_import: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            queue_bytes: 64 << 20,
            batch_jobs: 512,
            batch_bytes: 8 << 20,
            batch_bytes_per_user: 1 << 20,
            read_connections: 6,
            retention: Retention::default(),
            is_import: false,
        }
    }
}

/// The connections that read, by what they read.
pub(crate) struct ReadConnections {
    /// For single records.
    pub(crate) points: u32,
    /// For pages, and lists of what one user has.
    pub(crate) pages: u32,
    /// For what grows with the world.
    pub(crate) scans: u32,
}

impl Options {
    /// The numbers of [`Options::read_connections`] for each kind of read.
    pub(crate) fn split_read_connections(&self) -> ReadConnections {
        let all = self.read_connections;
        let (pages, scans) = ((all / 3).max(1), (all / 6).max(1));
        ReadConnections { points: all.saturating_sub(pages + scans).max(1), pages, scans }
    }
}

/// Statistics of a store since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Transactions committed.
    pub transactions: u64,
    /// Changes answered after these commits, refused ones too.
    pub jobs: u64,
    /// Transactions that failed and were rolled back.
    pub failures: u64,
}

/// The counters that [`Stats`] are read from.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) transactions: AtomicU64,
    pub(crate) jobs: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            transactions: self.transactions.load(Ordering::Relaxed),
            jobs: self.jobs.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
