//! The accounts of one HTTP connection in the budget of memory.

use crate::address_group::address_group;
use crate::memory_budget::{Account, MemoryBudget};
use crate::sync::lock;
use futures_util::task::AtomicWaker;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

/// The accounts of one HTTP connection: one for each client whose requests hold memory now. There
/// is one client, or behind a proxy several.
pub(super) struct Accounts {
    memory: Arc<MemoryBudget>,
    open: Mutex<Vec<Weak<Account>>>,
    /// Wakes the connection's task, which has to wait for the eviction of a new account too.
    waker: AtomicWaker,
}

impl Accounts {
    pub(super) fn new(memory: Arc<MemoryBudget>) -> Self {
        Self { memory, open: Mutex::default(), waker: AtomicWaker::new() }
    }

    /// The account of this client, which exists for as long as something refers to it.
    pub(super) fn of(&self, client: IpAddr) -> Arc<Account> {
        let group = address_group(client);
        let mut open = lock(&self.open);
        open.retain(|account| account.strong_count() > 0);
        let found =
            open.iter().filter_map(Weak::upgrade).find(|account| account.address() == group);
        found.unwrap_or_else(|| {
            let account = self.memory.open(client);
            open.push(Arc::downgrade(&account));
            self.waker.wake();
            account
        })
    }

    /// Waits until one of the accounts is evicted. One task at a time may wait.
    pub(super) fn evicted(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_evicted(context))
    }

    fn poll_evicted(&self, context: &mut Context<'_>) -> Poll<()> {
        // Before the accounts are looked at: one that is opened meanwhile wakes the task again.
        self.waker.register(context.waker());
        let open: Vec<_> = lock(&self.open).iter().filter_map(Weak::upgrade).collect();
        if open.iter().any(|account| account.poll_evicted(context).is_ready()) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use futures_util::FutureExt;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn accounts(memory_bytes: usize) -> (Arc<MemoryBudget>, Accounts) {
        let memory = MemoryBudget::new(&Limits { memory_bytes, ..Limits::default() });
        (memory.clone(), Accounts::new(memory))
    }

    #[test]
    fn a_client_has_one_account_while_it_holds_something() {
        let (_, accounts) = accounts(1 << 20);
        let reservation = accounts.of(address(1)).reserve(1 << 10).unwrap();
        let (same, other) = (accounts.of(address(1)), accounts.of(address(2)));
        assert!(Arc::ptr_eq(reservation.account(), &same));
        assert!(!Arc::ptr_eq(&same, &other));
        drop((reservation, same, other));
        assert_eq!(accounts.open.lock().unwrap().iter().filter_map(Weak::upgrade).count(), 0);
    }

    #[test]
    fn a_connection_is_evicted_with_an_account_that_was_opened_while_it_waited() {
        let (memory, accounts) = accounts(1 << 20);
        let mut evicted = Box::pin(accounts.evicted());
        assert!(evicted.as_mut().now_or_never().is_none());
        let held = accounts.of(address(1)).reserve(600 << 10).unwrap();
        assert!(evicted.as_mut().now_or_never().is_none());
        let other = memory.open(address(2)).reserve(500 << 10);
        assert!(other.is_ok() && evicted.as_mut().now_or_never().is_some());
        drop(held);
    }
}
