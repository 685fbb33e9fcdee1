//! Writing the ledger to the store.

use super::table::{Bounds, ClientUse, Counted, CountedRequest, Table};
use crate::metrics;
use crate::options::LedgerOptions;
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tolmach_engine::ports::{LedgerDay, LedgerEntry};
use tolmach_engine::{Engine, ErrorChain};

/// The entries of one change of the store.
const BATCH: usize = 256;

/// The interval at which the clients of each revision are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(300);

/// The days for which clients are counted, this one included.
const COUNTED_DAYS: i64 = 7;

/// Counts requests, and writes the counts to the store.
///
/// While the store does not answer, what was taken for it waits, and further requests are counted
/// in the memory that they may take: those that find no room count for all such clients together.
pub(crate) struct Ledger {
    engine: Arc<Engine>,
    options: LedgerOptions,
    bounds: Bounds,
    table: Mutex<Table>,
    /// Notified when a quarter of the memory is taken.
    filling: Notify,
    /// The entries that were taken from the table and are not written.
    unwritten: tokio::sync::Mutex<Vec<LedgerEntry>>,
}

impl Ledger {
    pub(crate) fn new(engine: Arc<Engine>, options: LedgerOptions) -> Arc<Self> {
        let bounds = Bounds::new(&options);
        Arc::new(Self {
            engine,
            options,
            bounds,
            table: Mutex::default(),
            filling: Notify::new(),
            unwritten: tokio::sync::Mutex::default(),
        })
    }

    /// Counts a request. Returns the entry of its client, if there was room for one.
    pub(super) fn count(&self, request: &CountedRequest<'_>) -> Option<Arc<ClientUse>> {
        let quarter = self.bounds.total / 4;
        let mut table = lock(&self.table);
        let before = table.bytes();
        let counted = table.count(&self.bounds, self.options.addresses, request);
        let crossed = before <= quarter && table.bytes() > quarter;
        drop(table);
        if crossed {
            self.filling.notify_one();
        }
        match counted {
            Counted::InClient(client) => Some(client),
            Counted::Folded => {
                metrics::ledger_folded();
                None
            }
        }
    }

    /// Writes at intervals, and when a quarter of the memory is taken, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut count_at = Instant::now();
        loop {
            if Instant::now() >= count_at {
                self.count_clients().await;
                count_at = Instant::now() + COUNT_INTERVAL;
            }
            // Either is a reason to write.
            let _ = timeout(self.options.write_interval, self.filling.notified()).await;
            self.write().await;
        }
    }

    /// Writes what was counted. What the store does not take waits for the next time; a batch whose
    /// commit was not acknowledged in time may then be counted twice.
    pub(crate) async fn write(&self) {
        let mut unwritten = self.unwritten.lock().await;
        let mut taken = false;
        loop {
            if unwritten.is_empty() {
                if taken {
                    return;
                }
                taken = true;
                let table = std::mem::take(&mut *lock(&self.table));
                *unwritten = table.into_entries(self.options.addresses);
            }
            let begin = unwritten.len().saturating_sub(BATCH);
            if unwritten.is_empty() {
                return;
            }
            let written = self.engine.add_to_ledger(&unwritten[begin..]).await;
            metrics::ledger_written(written.is_ok());
            if let Err(error) = written {
                let (error, entries) = (ErrorChain(&error), unwritten.len());
                tracing::warn!(%error, entries, "the ledger cannot be written");
                return;
            }
            unwritten.truncate(begin);
        }
    }

    /// Counts the clients of each revision, for metrics.
    async fn count_clients(&self) {
        let today = LedgerDay::of(self.engine.now());
        match self.engine.count_ledger_clients(LedgerDay(today.0 - COUNTED_DAYS + 1)).await {
            Ok(counts) => {
                for (revision, clients) in counts {
                    metrics::ledger_clients(revision, clients);
                }
            }
            Err(error) => {
                tracing::debug!(error = %ErrorChain(&error), "the ledger cannot be counted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::LedgerAddresses;
    use crate::test_support::settle;
    use crate::toy::Backend;
    use tolmach_domain::Timestamp;
    use tolmach_engine::ports::{LedgerQuery, LedgerRevision, LedgerScope, LedgerStore, Store};

    fn request(operation: &'static str, now: Timestamp) -> CountedRequest<'static> {
        CountedRequest {
            user: None,
            address: "192.0.2.1".parse().unwrap(),
            agent: "agent",
            dialect: "toy",
            revision: "doc",
            operation,
            now,
        }
    }

    fn options() -> LedgerOptions {
        let write_interval = Duration::from_secs(3600);
        LedgerOptions { addresses: LedgerAddresses::Full, memory_bytes: 64 << 10, write_interval }
    }

    /// The requests in the store.
    async fn stored(backend: &Backend) -> u64 {
        let revision = LedgerRevision { dialect: "toy".into(), revision: "doc".into() };
        let query = LedgerQuery {
            scope: LedgerScope::Revision(revision),
            since: LedgerDay(0),
            after: None,
            limit: 1_000,
        };
        let page = backend.store.ledger_page(&query).await.unwrap();
        page.records.iter().flat_map(|record| &record.uses).map(|used| used.requests).sum()
    }

    #[tokio::test]
    async fn what_is_counted_is_written_once() {
        let backend = Backend::new();
        let ledger = Ledger::new(backend.engine.clone(), options());
        let now = backend.engine.now();
        for round in 1..=2 {
            for operation in ["send", "send", "login"] {
                assert!(ledger.count(&request(operation, now)).is_some());
            }
            assert_eq!(stored(&backend).await, 3 * (round - 1));
            ledger.write().await;
            assert_eq!(stored(&backend).await, 3 * round);
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_gets_all_counts_later() {
        let backend = Backend::new();
        let ledger = Ledger::new(backend.engine.clone(), options());
        let now = backend.engine.now();
        assert!(ledger.count(&request("send", now)).is_some());
        let held = backend.store.hold().await;
        let writing = tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.write().await }
        });
        settle().await;
        assert!(!writing.is_finished());
        for _ in 0..10 {
            assert!(ledger.count(&request("send", now)).is_some(), "nothing waits for the store");
        }
        drop(held);
        writing.await.unwrap();
        ledger.write().await;
        assert_eq!(stored(&backend).await, 11);
    }

    #[tokio::test]
    async fn a_store_that_fails_is_tried_again_and_counting_goes_on() {
        let backend = Backend::new();
        let ledger = Ledger::new(backend.engine.clone(), options());
        let now = backend.engine.now();
        assert!(ledger.count(&request("send", now)).is_some());
        backend.store.close().await;
        for _ in 0..3 {
            ledger.write().await;
            assert_eq!(ledger.unwritten.lock().await.len(), 1, "the first entry waits");
            assert!(ledger.count(&request("send", now)).is_some());
            assert!(lock(&ledger.table).bytes() > 0, "further requests are in the table");
        }
    }

    #[tokio::test]
    async fn a_quarter_of_the_memory_is_written_before_the_interval_ends() {
        let backend = Backend::new();
        let ledger = Ledger::new(backend.engine.clone(), options());
        tokio::spawn(ledger.clone().run());
        let now = backend.engine.now();
        let mut counted = 0;
        while stored(&backend).await == 0 {
            let address = format!("10.0.{}.{}", counted / 256, counted % 256).parse().unwrap();
            ledger.count(&CountedRequest { address, ..request("send", now) });
            counted += 1;
            tokio::task::yield_now().await;
        }
        ledger.write().await;
        assert_eq!(stored(&backend).await, counted);
    }
}
