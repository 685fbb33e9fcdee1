//! The memory that all connections of a relay share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that all connections may keep together.
#[derive(Debug)]
pub(super) struct Budget {
    taken: AtomicUsize,
    bound: usize,
}

/// The bytes that one has taken of a budget. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), bound })
    }
}

impl Share {
    /// A share of no bytes.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Takes so many bytes instead of those before. Returns false, and takes none, if there is no
    /// room for them.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        self.give_back();
        let bound = self.budget.bound;
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= bound);
        let order = Ordering::Relaxed;
        let has_room = self.budget.taken.fetch_update(order, order, more).is_ok();
        if has_room {
            self.bytes = bytes;
        }
        has_room
    }

    fn give_back(&mut self) {
        self.budget.taken.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_have_no_more_than_the_budget() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (Share::new(&budget), Share::new(&budget));
        assert!(one.resize(6) && other.resize(4));
        assert!(!one.resize(7), "its bytes before are given back");
        assert!(other.resize(10));
        drop(other);
        assert!(one.resize(10) && !one.resize(11));
    }
}
