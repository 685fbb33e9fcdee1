//! The number of password recoveries that are being carried out.
//!
//! They are carried out after their response, so that nothing of the requester's waits for them:
//! without a bound a flood of requests would wait in memory.

use crate::address_group::address_group;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The most recoveries of one address at a time.
const MAX_PER_ADDRESS: usize = 16;
/// The most recoveries of all addresses at a time.
const MAX_IN_ALL: usize = 256;

/// The recoveries in progress.
#[derive(Default)]
pub(crate) struct Recoveries(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    in_all: usize,
    of_addresses: HashMap<Option<IpAddr>, usize>,
}

/// A recovery in progress; it ends when this is dropped.
pub(crate) struct RecoveryTurn {
    recoveries: Arc<Recoveries>,
    address: Option<IpAddr>,
}

impl Recoveries {
    /// Begins a recovery, unless the address, or all of them, have as many as they may have.
    pub(crate) fn begin(self: &Arc<Self>, address: Option<IpAddr>) -> Option<RecoveryTurn> {
        let address = address.map(address_group);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.of_addresses.get(&address).copied().unwrap_or_default();
        if of_address >= MAX_PER_ADDRESS || counts.in_all >= MAX_IN_ALL {
            return None;
        }
        counts.in_all += 1;
        counts.of_addresses.insert(address, of_address + 1);
        Some(RecoveryTurn { recoveries: self.clone(), address })
    }
}

impl Drop for RecoveryTurn {
    fn drop(&mut self) {
        let mut counts = self.recoveries.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let begin = |last: u8| recoveries.begin(Some([192, 0, 2, last].into()));
        let mut of_one: Vec<_> = std::iter::from_fn(|| begin(1)).collect();
        assert_eq!(of_one.len(), MAX_PER_ADDRESS);
        of_one.pop();
        assert!(begin(1).is_some(), "another one has ended");
        let others: Vec<_> = (2..).map_while(begin).collect();
        assert_eq!(of_one.len() + others.len(), MAX_IN_ALL);
        assert!(recoveries.begin(None).is_none());
        drop((of_one, others));
        assert!(recoveries.0.lock().unwrap().of_addresses.is_empty());
        assert!(recoveries.begin(None).is_some());
    }
}
