//! The store.

use super::state::State;
use crate::ports::{Bus, Store, StoreError};
use async_trait::async_trait;
use futures_util::lock::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_domain::Event;

/// A store in memory, lost with the process: the simplest implementation of the port's rules.
pub struct MemoryStore {
    state: Mutex<State>,
    bus: Arc<dyn Bus>,
    /// The number of calls that read.
    reads: AtomicU64,
}

impl MemoryStore {
    /// An empty store that publishes to `bus`.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { state: Mutex::default(), bus, reads: AtomicU64::new(0) }
    }

    /// The number of calls so far that only read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Makes every later call wait until the guard is dropped.
    pub async fn hold(&self) -> impl Send {
        self.state.lock().await
    }

    /// Decides that the external ids of objects cannot be read, or can be again.
    pub async fn fail_external_ids(&self, fail: bool) {
        self.state.lock().await.external_ids_fail = fail;
    }

    /// Changes the state. Holds the lock until the events are published, so that they are in the
    /// order of the changes.
    pub(super) async fn change<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock().await;
        state.open()?;
        let outcome = work(&mut state);
        let events: Vec<Arc<Event>> =
            std::mem::take(&mut state.events).into_iter().map(Arc::new).collect();
        if !events.is_empty() {
            self.bus.publish(&events).await;
        }
        outcome
    }

    /// Reads the state.
    pub(super) async fn read<T>(
        &self,
        work: impl FnOnce(&State) -> T + Send,
    ) -> Result<T, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock().await;
        state.open()?;
        Ok(work(&state))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|_| ()).await
    }

    async fn close(&self) {
        self.state.lock().await.closed = true;
    }
}
