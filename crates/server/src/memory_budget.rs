//! One budget of bytes for everything that peers make the process hold.
//!
//! A connection has an account. Whatever it makes the process hold is reserved there first: parts
//! of messages, bodies, requests that are being carried out, responses that its socket does not
//! take. Three bounds apply: a connection's own, that of all connections of one address, and that
//! of all. A connection past its own bound is refused the reservation. Past the bound of its
//! address, or of all, the costliest connection of the costliest address is evicted, which is the
//! one that asks if it is the costliest itself.
//!
//! A rendered event counts once for all connections that wait to write it. Where it brings the
//! whole over its bound, the events that wait for a connection are a part of its cost.
//!
//! The first bytes of each account are free, so that an ordinary message touches no counter that
//! connections share. The number of connections bounds them.

use crate::address_group::address_group;
use crate::options::Limits;
use crate::sync::lock;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use metrics::Gauge;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

/// The bytes that an account holds without counting.
const FREE_BYTES: usize = 4 << 10;

/// The bytes that all peers together make the process hold, and their bounds.
pub(crate) struct MemoryBudget {
    per_connection: usize,
    per_address: usize,
    total: Counted,
    next_account: AtomicU64,
    addresses: Mutex<HashMap<IpAddr, Address>>,
    gauge: Gauge,
}

/// The bytes of several accounts, and their bound.
struct Counted {
    bound: usize,
    bytes: AtomicUsize,
    /// The bytes that evicted accounts held when they were evicted, while they exist.
    leaving: AtomicUsize,
    /// The bytes of shared events that wait for the connections. They do not count here, because
    /// they count once for all.
    waiting: AtomicUsize,
}

impl Counted {
    fn new(bound: usize) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { bound, bytes: zero(), leaving: zero(), waiting: zero() }
    }

    /// The bytes that stay once every evicted account has gone.
    fn staying(&self) -> usize {
        let leaving = self.leaving.load(Ordering::Acquire);
        self.bytes.load(Ordering::Acquire).saturating_sub(leaving)
    }

    fn is_over(&self) -> bool {
        self.staying() > self.bound
    }

    fn cost(&self) -> usize {
        self.staying() + self.waiting.load(Ordering::Acquire)
    }
}

/// The accounts of one address.
struct Address {
    counted: Arc<Counted>,
    accounts: HashMap<u64, Weak<Account>>,
}

/// A reservation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverBudget {
    /// The connection would exceed its own bound.
    #[error("the connection holds too many bytes")]
    Connection,
    /// The connection is the costliest of its address, which exceeds its bound.
    #[error("the connections of the address hold too many bytes")]
    Address,
    /// The connection is the costliest of all, or was evicted already.
    #[error("all connections together hold too many bytes")]
    Total,
}

impl OverBudget {
    /// The word for metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Address => "address",
            Self::Total => "total",
        }
    }
}

impl MemoryBudget {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            per_connection: limits.memory_bytes_per_connection,
            per_address: limits.memory_bytes_per_address,
            total: Counted::new(limits.memory_bytes),
            next_account: AtomicU64::new(0),
            addresses: Mutex::default(),
            gauge: crate::metrics::held_bytes(),
        })
    }

    /// The account of a new connection from this address.
    pub(crate) fn open(self: &Arc<Self>, address: IpAddr) -> Arc<Account> {
        let address = address_group(address);
        let id = self.next_account.fetch_add(1, Ordering::Relaxed);
        let mut addresses = lock(&self.addresses);
        let entry = addresses.entry(address).or_insert_with(|| Address {
            counted: Arc::new(Counted::new(self.per_address)),
            accounts: HashMap::new(),
        });
        let account = Arc::new(Account {
            budget: self.clone(),
            address,
            of_address: entry.counted.clone(),
            id,
            held: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            leaving: Mutex::default(),
            evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        entry.accounts.insert(id, Arc::downgrade(&account));
        account
    }

    /// Counts bytes that several connections share, for as long as the result exists.
    pub(crate) fn share(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.total.bytes.fetch_add(bytes.len(), Ordering::AcqRel);
        self.gauge.increment(bytes.len() as f64);
        if self.total.is_over() {
            // Without anyone to evict, those who wait for the bytes are about to take them.
            let _ = self.evict_of_all(None);
        }
        Bytes::from_owner(SharedBytes { bytes, budget: self.clone() })
    }

    /// Evicts the costliest accounts of one address until it is within its bound. Fails if
    /// `asking` is the costliest.
    fn evict_of_address(&self, asking: &Account) -> Result<(), OverBudget> {
        // Declared before the lock and so dropped after it, because the end of an account takes it.
        let mut seen = Vec::new();
        let addresses = lock(&self.addresses);
        let Some(address) = addresses.get(&asking.address) else { return Ok(()) };
        while address.counted.is_over() {
            address.evict_costliest(Some(asking), OverBudget::Address, &mut seen)?;
        }
        Ok(())
    }

    /// Evicts the costliest account of the costliest address until all are within their bound.
    /// Fails if `asking` is the costliest.
    fn evict_of_all(&self, asking: Option<&Account>) -> Result<(), OverBudget> {
        // As above.
        let mut seen = Vec::new();
        let addresses = lock(&self.addresses);
        while self.total.is_over() {
            let costliest = addresses.values().max_by_key(|address| address.counted.cost());
            let Some(address) = costliest else { return Err(OverBudget::Total) };
            address.evict_costliest(asking, OverBudget::Total, &mut seen)?;
        }
        Ok(())
    }
}

impl Address {
    /// Evicts the costliest account. Fails if it is the one that asks, or none can be evicted.
    /// References to accounts are left in `seen`.
    fn evict_costliest(
        &self,
        asking: Option<&Account>,
        reason: OverBudget,
        seen: &mut Vec<Arc<Account>>,
    ) -> Result<(), OverBudget> {
        let first = seen.len();
        seen.extend(self.accounts.values().filter_map(Weak::upgrade));
        let costliest = seen[first..]
            .iter()
            .filter(|account| !account.is_evicted() && account.cost() > 0)
            .max_by_key(|account| account.cost())
            .filter(|account| asking.is_none_or(|asking| account.id != asking.id))
            .ok_or(reason)?;
        costliest.evict();
        crate::metrics::over_budget(reason.name());
        tracing::info!(address = %costliest.address, ?reason, "a connection was evicted");
        Ok(())
    }
}

/// The bytes that one connection makes the process hold.
pub(crate) struct Account {
    budget: Arc<MemoryBudget>,
    address: IpAddr,
    of_address: Arc<Counted>,
    id: u64,
    held: AtomicUsize,
    /// The bytes of shared events that wait for it.
    waiting: AtomicUsize,
    /// The bytes that its address, and all, were relieved of at its eviction.
    leaving: Mutex<[usize; 2]>,
    evicted: AtomicBool,
    waker: AtomicWaker,
}

impl Account {
    /// Reserves so many bytes for as long as the result exists.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, OverBudget> {
        let mut reservation = self.reservation();
        reservation.resize(bytes)?;
        Ok(reservation)
    }

    /// A reservation of nothing yet.
    pub(crate) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { account: self.clone(), bytes: 0 }
    }

    /// The address whose bound applies: several addresses may count as one.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// True if the connection must end at once, and release what it holds.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    /// Waits until the connection is evicted. The task that polled last is woken.
    pub(crate) fn poll_evicted(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_evicted() {
            self.waker.register(context.waker());
            // It may have been evicted between the look and the registration.
            if !self.is_evicted() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// The bytes that count.
    fn counted(&self) -> usize {
        counted(self.held.load(Ordering::Acquire))
    }

    /// The bytes that count, and those that wait for the connection.
    fn cost(&self) -> usize {
        self.counted() + self.waiting.load(Ordering::Acquire)
    }

    fn grow(&self, bytes: usize) -> Result<(), OverBudget> {
        let before = self.held.fetch_add(bytes, Ordering::AcqRel);
        let added = counted(before + bytes) - counted(before);
        if added == 0 {
            return Ok(());
        }
        for counted in [&self.budget.total, &*self.of_address] {
            counted.bytes.fetch_add(added, Ordering::AcqRel);
        }
        self.budget.gauge.increment(added as f64);
        let result = self.check(before + bytes);
        if let Err(reason) = result {
            crate::metrics::over_budget(reason.name());
            self.shrink(bytes);
        }
        result
    }

    fn check(&self, held: usize) -> Result<(), OverBudget> {
        if self.is_evicted() {
            return Err(OverBudget::Total);
        }
        if held > self.budget.per_connection {
            return Err(OverBudget::Connection);
        }
        if self.of_address.is_over() {
            self.budget.evict_of_address(self)?;
        }
        if self.budget.total.is_over() {
            self.budget.evict_of_all(Some(self))?;
        }
        Ok(())
    }

    fn shrink(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, Ordering::AcqRel);
        let released = counted(before) - counted(before - bytes);
        if released > 0 {
            for counted in [&self.budget.total, &*self.of_address] {
                counted.bytes.fetch_sub(released, Ordering::AcqRel);
            }
            self.budget.gauge.decrement(released as f64);
        }
    }

    /// Called with the lock of all accounts held, once.
    fn evict(&self) {
        let leaving = [self.counted(), self.cost()];
        *lock(&self.leaving) = leaving;
        for (counted, bytes) in [&*self.of_address, &self.budget.total].into_iter().zip(leaving) {
            counted.leaving.fetch_add(bytes, Ordering::AcqRel);
        }
        self.evicted.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let leaving = *lock(&self.leaving);
        for (counted, bytes) in [&*self.of_address, &self.budget.total].into_iter().zip(leaving) {
            counted.leaving.fetch_sub(bytes, Ordering::AcqRel);
        }
        let mut addresses = lock(&self.budget.addresses);
        if let Some(address) = addresses.get_mut(&self.address) {
            address.accounts.remove(&self.id);
            if address.accounts.is_empty() {
                addresses.remove(&self.address);
            }
        }
    }
}

/// The bytes of an account that count.
fn counted(held: usize) -> usize {
    held.saturating_sub(FREE_BYTES)
}

/// Bytes that are reserved in an account for as long as this exists.
pub(crate) struct Reservation {
    account: Arc<Account>,
    bytes: usize,
}

impl Reservation {
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Changes the number of bytes. If it is refused, the number stays.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), OverBudget> {
        if bytes > self.bytes {
            self.account.grow(bytes - self.bytes)?;
        } else if bytes < self.bytes {
            self.account.shrink(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.shrink(self.bytes);
        }
    }
}

/// The bytes of shared events that wait for one connection, for as long as this exists.
pub(crate) struct WaitingBytes {
    account: Arc<Account>,
    bytes: usize,
}

impl WaitingBytes {
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self { account, bytes: 0 }
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        for waiting in [&self.account.waiting, &self.account.of_address.waiting] {
            // Added first, so that it never falls below zero.
            waiting.fetch_add(bytes, Ordering::AcqRel);
            waiting.fetch_sub(self.bytes, Ordering::AcqRel);
        }
        self.bytes = bytes;
    }
}

impl Drop for WaitingBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Bytes that count until the last connection has let go of them.
struct SharedBytes {
    bytes: Bytes,
    budget: Arc<MemoryBudget>,
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        self.budget.total.bytes.fetch_sub(self.bytes.len(), Ordering::AcqRel);
        self.budget.gauge.decrement(self.bytes.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;

    const KIB: usize = 1 << 10;

    /// A budget with these bounds for one connection, one address and all.
    fn budget(connection: usize, address: usize, total: usize) -> Arc<MemoryBudget> {
        MemoryBudget::new(&Limits {
            memory_bytes: total,
            memory_bytes_per_address: address,
            memory_bytes_per_connection: connection,
            ..Limits::default()
        })
    }

    fn account(budget: &Arc<MemoryBudget>, last: u8) -> Arc<Account> {
        budget.open([192, 0, 2, last].into())
    }

    fn is_empty(budget: &MemoryBudget) -> bool {
        budget.total.bytes.load(Ordering::Relaxed) == 0
            && budget.total.leaving.load(Ordering::Relaxed) == 0
            && lock(&budget.addresses).is_empty()
    }

    #[test]
    fn a_connection_is_refused_one_byte_past_its_bound() {
        let budget = budget(100 * KIB, usize::MAX, usize::MAX);
        let account = account(&budget, 1);
        let mut first = account.reserve(60 * KIB).unwrap();
        let second = account.reserve(40 * KIB).unwrap();
        assert_eq!(account.reserve(1).err(), Some(OverBudget::Connection));
        assert_eq!(first.resize(60 * KIB + 1), Err(OverBudget::Connection));
        drop(second);
        assert_eq!(first.resize(100 * KIB), Ok(()));
        assert_eq!(first.resize(0), Ok(()));
        assert_eq!(account.reserve(100 * KIB).err(), None);
        drop((first, account));
        assert!(is_empty(&budget));
    }

    #[test]
    fn the_costliest_of_an_address_goes_past_the_bound_of_the_address() {
        let budget = budget(usize::MAX, 100 * KIB, usize::MAX);
        let accounts = [1, 1, 1, 2].map(|last| account(&budget, last));
        // Of each, the first bytes are free.
        let held = [30, 40, 29].map(|kib| kib * KIB + FREE_BYTES);
        let mut held: Vec<_> =
            accounts.iter().zip(held).map(|(it, bytes)| it.reserve(bytes).unwrap()).collect();
        assert!(accounts[3].reserve(90 * KIB).is_ok(), "another address");
        assert_eq!(held[0].resize(31 * KIB + FREE_BYTES), Ok(()), "at the bound");
        assert!(accounts.iter().all(|account| !account.is_evicted()));
        assert_eq!(held[0].resize(31 * KIB + FREE_BYTES + 1), Ok(()), "another one goes");
        let evicted = accounts.each_ref().map(|account| account.is_evicted());
        assert_eq!(evicted, [false, true, false, false]);
        // The bytes that the evicted one still holds do not count against the others.
        assert_eq!(held[2].resize(60 * KIB), Ok(()));
        assert_eq!(accounts[1].reserve(1).err(), Some(OverBudget::Total), "it holds nothing new");
        assert_eq!(held[2].resize(90 * KIB), Err(OverBudget::Address), "it is the costliest");
        drop((held, accounts));
        assert!(is_empty(&budget));
    }

    #[test]
    fn the_costliest_of_the_costliest_address_goes_past_the_bound_of_all() {
        let budget = budget(usize::MAX, usize::MAX, 100 * KIB);
        let accounts = [1, 1, 1, 2, 3].map(|last| account(&budget, last));
        // The second address has the costliest connection, and the first address is the costliest.
        let held = [20, 25, 10, 40, 0].map(|kib| kib * KIB + FREE_BYTES);
        let mut held: Vec<_> =
            accounts.iter().zip(held).map(|(it, bytes)| it.reserve(bytes).unwrap()).collect();
        assert_eq!(held[4].resize(FREE_BYTES + 5 * KIB), Ok(()), "at the bound");
        assert!(accounts.iter().all(|account| !account.is_evicted()));
        assert_eq!(held[4].resize(FREE_BYTES + 5 * KIB + 1), Ok(()));
        let evicted = accounts.each_ref().map(|account| account.is_evicted());
        assert_eq!(evicted, [false, true, false, false, false]);
        drop((held, accounts));
        assert!(is_empty(&budget));
    }

    #[test]
    fn addresses_that_count_as_one_share_their_bound() {
        let budget = budget(usize::MAX, 100 * KIB, usize::MAX);
        let open = |address: &str| budget.open(address.parse().unwrap());
        let (first, second) = (open("2001:db8::1"), open("2001:db8::2"));
        let _held = first.reserve(80 * KIB).unwrap();
        assert!(second.reserve(50 * KIB).is_ok() && first.is_evicted());
    }

    #[test]
    fn a_connection_that_waits_is_woken_when_it_is_evicted() {
        let budget = budget(usize::MAX, 100 * KIB, usize::MAX);
        let (first, second) = (account(&budget, 1), account(&budget, 1));
        let _held = first.reserve(80 * KIB).unwrap();
        let mut context = Context::from_waker(noop_waker_ref());
        assert!(first.poll_evicted(&mut context).is_pending());
        let _other = second.reserve(50 * KIB).unwrap();
        assert!(first.poll_evicted(&mut context).is_ready());
        assert!(second.poll_evicted(&mut context).is_pending());
    }

    #[test]
    fn the_first_bytes_of_a_connection_do_not_count() {
        let budget = budget(usize::MAX, 1, 1);
        let accounts = [1; 10].map(|last| account(&budget, last));
        let held = accounts.each_ref().map(|account| account.reserve(FREE_BYTES).unwrap());
        assert!(accounts.iter().all(|account| !account.is_evicted()));
        assert!(account(&budget, 1).reserve(FREE_BYTES + 2).is_err());
        drop((held, accounts));
        assert!(is_empty(&budget));
    }

    #[test]
    fn shared_bytes_count_once_and_past_the_bound_go_those_for_whom_most_waits() {
        let budget = budget(usize::MAX, usize::MAX, 100 * KIB);
        let accounts = [1, 2, 2, 3].map(|last| account(&budget, last));
        let event = budget.share(Bytes::from(vec![0; 60 * KIB]));
        let [_, slow, slowest, other] = &accounts;
        let mut waiting = [slow, slowest].map(|account| WaitingBytes::new(account.clone()));
        waiting[0].set(20 * KIB);
        waiting[1].set(60 * KIB);
        let copies = [event.clone(), event.clone()];
        assert!(other.reserve(40 * KIB + FREE_BYTES).is_ok(), "at the bound");
        assert!(accounts.iter().all(|account| !account.is_evicted()));
        let more = budget.share(Bytes::from(vec![0; 40 * KIB + 1]));
        let evicted = accounts.each_ref().map(|account| account.is_evicted());
        assert_eq!(evicted, [false, false, true, false]);
        drop((event, copies, more, waiting, accounts));
        assert!(is_empty(&budget));
    }

    #[test]
    fn reservations_of_several_threads_leave_nothing_behind() {
        let budget = budget(64 * KIB, 128 * KIB, 128 * KIB);
        std::thread::scope(|scope| {
            for last in [1, 1, 2, 3] {
                let budget = &budget;
                scope.spawn(move || {
                    for round in 0..200 {
                        let account = account(budget, last);
                        std::thread::scope(|scope| {
                            for bytes in [round * 31 % (40 * KIB), round * 17 % (40 * KIB)] {
                                let account = &account;
                                scope.spawn(move || drop(account.reserve(bytes)));
                            }
                        });
                    }
                });
            }
        });
        assert!(is_empty(&budget));
    }
}
