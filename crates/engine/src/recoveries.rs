//! The number of password recoveries that are being carried out, and the addresses that have made
//! too many.
//!
//! Recoveries are carried out after their response, so that nothing of the requester's waits for
//! them: without a bound a flood of requests would wait in memory.

use crate::address_group::address_group;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tolmach_domain::Timestamp;

/// The most recoveries of one address at a time.
const MAX_PER_ADDRESS: usize = 16;
/// The most recoveries of all addresses at a time.
const MAX_IN_ALL: usize = 256;
/// The most addresses that are known to have made too many.
const MAX_REFUSED: usize = 4096;
/// The longest time for which an address is refused without a look at its counter.
const MAX_REFUSAL: Duration = Duration::from_secs(60);

/// The recoveries in progress.
#[derive(Default)]
pub(crate) struct Recoveries(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    in_all: usize,
    of_addresses: HashMap<Option<IpAddr>, usize>,
    /// The addresses that have made too many, and the times until which they are refused.
    refused: HashMap<Option<IpAddr>, Timestamp>,
}

/// A recovery in progress; it ends when this is dropped.
pub(crate) struct RecoveryTurn {
    recoveries: Arc<Recoveries>,
    address: Option<IpAddr>,
}

impl Recoveries {
    /// Begins a recovery, unless the address, or all of them, have as many as they may have, or the
    /// address has made too many.
    pub(crate) fn begin(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<RecoveryTurn> {
        let address = address.map(address_group);
        let mut counts = self.lock();
        if counts.refused.get(&address).is_some_and(|until| *until > now) {
            return None;
        }
        let of_address = counts.of_addresses.get(&address).copied().unwrap_or_default();
        if of_address >= MAX_PER_ADDRESS || counts.in_all >= MAX_IN_ALL {
            return None;
        }
        counts.in_all += 1;
        counts.of_addresses.insert(address, of_address + 1);
        Some(RecoveryTurn { recoveries: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecoveryTurn {
    /// Notes that the address has made too many requests.
    pub(crate) fn refuse(&self, now: Timestamp, retry_after: Duration) {
        let mut counts = self.recoveries.lock();
        if counts.refused.len() >= MAX_REFUSED {
            counts.refused.retain(|_, until| *until > now);
        }
        // Without room the next request looks at the counter again.
        if counts.refused.len() < MAX_REFUSED {
            counts.refused.insert(self.address, now.after(retry_after.min(MAX_REFUSAL)));
        }
    }
}

impl Drop for RecoveryTurn {
    fn drop(&mut self) {
        let mut counts = self.recoveries.lock();
        counts.in_all -= 1;
        if let Some(count) = counts.of_addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.of_addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoveries_are_bounded_for_an_address_and_for_all() {
        let recoveries = Arc::new(Recoveries::default());
        let now = Timestamp::default();
        let begin = |last: u8| recoveries.begin(Some([192, 0, 2, last].into()), now);
        let mut of_one: Vec<_> = std::iter::from_fn(|| begin(1)).collect();
        assert_eq!(of_one.len(), MAX_PER_ADDRESS);
        of_one.pop();
        assert!(begin(1).is_some(), "another one has ended");
        let others: Vec<_> = (2..).map_while(begin).collect();
        assert_eq!(of_one.len() + others.len(), MAX_IN_ALL);
        assert!(recoveries.begin(None, now).is_none());
        drop((of_one, others));
        assert!(recoveries.lock().of_addresses.is_empty());
        assert!(recoveries.begin(None, now).is_some());
    }

    #[test]
    fn an_address_that_has_made_too_many_is_refused_for_a_while_and_others_are_not() {
        let recoveries = Arc::new(Recoveries::default());
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let now = Timestamp::default();
        let second = Duration::from_secs(1);
        recoveries.begin(address(1), now).unwrap().refuse(now, second);
        recoveries.begin(address(2), now).unwrap().refuse(now, Duration::MAX);
        for (after, first, other) in
            [(Duration::ZERO, false, false), (second, true, false), (MAX_REFUSAL, true, true)]
        {
            let begins = |last| recoveries.begin(address(last), now.after(after)).is_some();
            assert_eq!((begins(1), begins(2), begins(3)), (first, other, true), "{after:?}");
        }
    }

    #[test]
    fn the_addresses_that_are_refused_are_bounded() {
        let recoveries = Arc::new(Recoveries::default());
        let now = Timestamp::default();
        for number in 0..=MAX_REFUSED as u32 {
            let address = Some(IpAddr::from(number.to_be_bytes()));
            recoveries.begin(address, now).unwrap().refuse(now, MAX_REFUSAL);
        }
        assert_eq!(recoveries.lock().refused.len(), MAX_REFUSED);
        let later = now.after(MAX_REFUSAL);
        recoveries.begin(None, later).unwrap().refuse(later, MAX_REFUSAL);
        assert_eq!(recoveries.lock().refused.len(), 1);
    }
}
