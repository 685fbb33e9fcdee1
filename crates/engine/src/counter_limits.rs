//! Limits on how often something happens within a window, counted in the store, so that all
//! dialects and all nodes share the counts.

use crate::faults::store_fault;
use crate::ports::{Counter, CounterKey, LoginCounterStore};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tolmach_domain::{Fault, Timestamp};

/// A count with its limit.
pub(crate) struct CounterLimit {
    pub(crate) key: CounterKey,
    /// The largest count that is accepted.
    pub(crate) most: u32,
    /// The counted events, for the log.
    pub(crate) subject: &'static str,
}

/// Counts an event. [`Fault::TooMany`] with the remaining time if it is beyond one of the limits.
/// Only the first event beyond a limit is written and logged, so that a flood costs one read for
/// each event.
pub(crate) async fn count_event(
    store: &(impl LoginCounterStore + ?Sized),
    limits: &[CounterLimit],
    window: Duration,
    now: Timestamp,
) -> Result<(), Fault> {
    let keys: Vec<CounterKey> = limits.iter().map(|limit| limit.key).collect();
    let before = store.login_counters(&keys, now).await.map_err(store_fault)?;
    let before = before.into_iter().zip(limits.iter().map(|limit| limit.most));
    judge(before, |count, most| count > most, now)?;
    let counted = store.increment_login_counters(&keys, now, now.after(window)).await;
    let counted = counted.map_err(store_fault)?;
    for (counter, limit) in counted.iter().zip(limits) {
        if counter.count == limit.most.saturating_add(1) {
            let (subject, limit) = (limit.subject, limit.most);
            tracing::warn!(limit, subject, "too many: refused until the window ends");
        }
    }
    let counted = counted.into_iter().map(Some).zip(limits.iter().map(|limit| limit.most));
    judge(counted, |count, most| count > most, now)
}

/// [`Fault::TooMany`] if a counter is `over` its limit, until the last of these expires.
pub(crate) fn judge(
    limits: impl IntoIterator<Item = (Option<Counter>, u32)>,
    over: impl Fn(u32, u32) -> bool,
    now: Timestamp,
) -> Result<(), Fault> {
    let reached = limits
        .into_iter()
        .filter_map(|(counter, limit)| counter.filter(|counter| over(counter.count, limit)));
    match reached.map(|counter| counter.expires_at).max() {
        Some(until) => Err(Fault::TooMany { retry_after: until.since(now) }),
        None => Ok(()),
    }
}

/// The key of a counter: SHA-256 of the parts, each preceded by its length so that no two lists
/// have the same input.
pub(crate) fn counter_key(parts: &[&str]) -> CounterKey {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    CounterKey(hash.finalize().into())
}
