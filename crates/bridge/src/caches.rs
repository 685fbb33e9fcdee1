//! Tables that forget.

use moka::policy::EvictionPolicy;
use moka::sync::{Cache, CacheBuilder};
use std::hash::Hash;

/// A table of at most `max` entries, in which new ones take the place of those that were not used
/// for longest: never are new ones refused in favour of older ones.
pub(crate) fn of_latest<K, V>(max: u64) -> CacheBuilder<K, V, Cache<K, V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(max).eviction_policy(EvictionPolicy::lru())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_entry_takes_the_place_of_the_one_that_was_not_used_for_longest() {
        let table = of_latest(2).build();
        let insert = |entry| {
            table.insert(entry, ());
            table.run_pending_tasks();
        };
        let is_known = |entry| table.get(&entry).is_some();
        (1..=2).for_each(insert);
        for _ in 0..20 {
            assert!(is_known(2) && is_known(1));
        }
        insert(3);
        assert!(is_known(3) && is_known(1) && !is_known(2));
    }
}
