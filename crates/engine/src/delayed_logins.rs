//! The number of login attempts that are being delayed.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counter of the attempts that are being delayed.
#[derive(Default)]
pub(crate) struct DelayedLogins(AtomicUsize);

/// Permit to be delayed; dropping it releases it.
pub(crate) struct DelayPermit<'a>(&'a AtomicUsize);

impl DelayedLogins {
    /// A permit, unless `max` of them are held.
    pub(crate) fn try_acquire(&self, max: usize) -> Option<DelayPermit<'_>> {
        let permit = DelayPermit(&self.0);
        (self.0.fetch_add(1, Ordering::Relaxed) < max).then_some(permit)
    }
}

impl Drop for DelayPermit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_released_when_dropped() {
        let delayed = DelayedLogins::default();
        let (first, second) = (delayed.try_acquire(2), delayed.try_acquire(2));
        assert!(first.is_some() && second.is_some() && delayed.try_acquire(2).is_none());
        drop(first);
        assert!(delayed.try_acquire(2).is_some() && delayed.try_acquire(0).is_none());
    }
}
