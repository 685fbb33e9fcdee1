//! Maps in shards.

use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

const SHARDS: usize = 64;

/// A map in shards with a lock each, so that busy keys do not wait for each other.
pub(super) struct Sharded<K, V>(Vec<Mutex<HashMap<K, V>>>);

impl<K, V> Sharded<K, V> {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect())
    }

    /// The shard of the key with this number, locked.
    pub(super) fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<K, V>> {
        lock(&self.0[(number % SHARDS as u64) as usize])
    }

    /// Every shard, each locked while the iterator is there.
    pub(super) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<K, V>>> {
        self.0.iter().map(lock)
    }
}
