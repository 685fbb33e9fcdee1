//! Turns that addresses take at something that many connections want at once: thousands of one
//! address leave the others theirs.

use crate::address_group::address_group;
use crate::sync::lock;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// At most `capacity` holders at a time, and `per_address` of them of one address; those who wait
/// are admitted round-robin by address.
pub(crate) struct AddressTurns {
    state: Mutex<State>,
    capacity: usize,
    per_address: usize,
}

#[derive(Default)]
struct State {
    holders: usize,
    /// The holders of each address that has any.
    holders_of: HashMap<IpAddr, usize>,
    /// The addresses that wait, in the order of their turns.
    line: VecDeque<IpAddr>,
    /// Those that wait, of each address of the line; no list is empty.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn, which ends when this is dropped.
pub(crate) struct Turn {
    turns: Arc<AddressTurns>,
    address: IpAddr,
}

impl AddressTurns {
    pub(crate) fn new(capacity: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), capacity, per_address })
    }

    /// Waits for a turn of an address; an IPv6 network of 64 bits counts as one.
    pub(crate) async fn turn(self: &Arc<Self>, address: IpAddr) -> Turn {
        let address = address_group(address);
        let admitted = {
            let mut state = lock(&self.state);
            if state.holders < self.capacity && state.holders_of(address) < self.per_address {
                state.begin(address);
                return Turn { turns: self.clone(), address };
            }
            let (admit, admitted) = oneshot::channel();
            state.wait(address, admit);
            admitted
        };
        let admitted = admitted.await;
        admitted
            .expect("a sender is dropped only if its receiver is, and `self` outlives this future")
    }
}

impl State {
    fn holders_of(&self, address: IpAddr) -> usize {
        self.holders_of.get(&address).copied().unwrap_or_default()
    }

    fn begin(&mut self, address: IpAddr) {
        self.holders += 1;
        *self.holders_of.entry(address).or_default() += 1;
    }

    fn end(&mut self, address: IpAddr) {
        self.holders -= 1;
        if let Entry::Occupied(mut holders) = self.holders_of.entry(address) {
            *holders.get_mut() -= 1;
            if *holders.get() == 0 {
                holders.remove();
            }
        }
    }

    fn wait(&mut self, address: IpAddr, admit: oneshot::Sender<Turn>) {
        let waiting = match self.waiting.entry(address) {
            Entry::Occupied(waiting) => waiting.into_mut(),
            Entry::Vacant(none) => {
                self.line.push_back(address);
                none.insert(VecDeque::new())
            }
        };
        drop_closed(waiting);
        waiting.push_back(admit);
    }

    /// The next one whose turn it is, and its address.
    fn next(&mut self, per_address: usize) -> Option<(IpAddr, oneshot::Sender<Turn>)> {
        // Each address is looked at once: those that have all their turns are passed over.
        for _ in 0..self.line.len() {
            let address = self.line.pop_front()?;
            let may_begin = self.holders_of(address) < per_address;
            let waiting = self.waiting.get_mut(&address)?;
            drop_closed(waiting);
            let next = if may_begin { waiting.pop_front() } else { None };
            if waiting.is_empty() {
                self.waiting.remove(&address);
            } else {
                self.line.push_back(address);
            }
            if let Some(next) = next {
                return Some((address, next));
            }
        }
        None
    }
}

/// Drops those that gave up, up to the first one that still waits.
fn drop_closed(waiting: &mut VecDeque<oneshot::Sender<Turn>>) {
    while waiting.pop_front_if(|admit| admit.is_closed()).is_some() {}
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.turns.state);
            state.end(self.address);
            let next = state.next(self.turns.per_address);
            if let Some((address, _)) = &next {
                state.begin(*address);
            }
            next
        };
        if let Some((address, admit)) = next {
            // One that is gone by now gives the turn back, because it is dropped.
            drop(admit.send(Turn { turns: self.turns.clone(), address }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    /// A request of the address 192.0.2.`last`, which has begun to wait.
    fn waiter(turns: &Arc<AddressTurns>, last: u8) -> BoxFuture<'static, Turn> {
        let turns = turns.clone();
        let mut waiter = async move { turns.turn([192, 0, 2, last].into()).await }.boxed();
        match (&mut waiter).now_or_never() {
            Some(turn) => std::future::ready(turn).boxed(),
            None => waiter,
        }
    }

    #[test]
    fn addresses_take_turns_in_the_order_of_their_first_waiters() {
        let turns = AddressTurns::new(1, 1);
        let mut running = waiter(&turns, 9).now_or_never();
        let mut waiters = [1, 1, 1, 2, 3, 2].map(|last| Some(waiter(&turns, last)));
        let mut order = Vec::new();
        while running.take().is_some() {
            for (index, waiter) in waiters.iter_mut().enumerate() {
                if let Some(turn) = waiter.as_mut().and_then(|waiter| waiter.now_or_never()) {
                    order.push(index);
                    (running, *waiter) = (Some(turn), None);
                }
            }
        }
        assert_eq!(order, [0, 3, 4, 1, 5, 2]);
        let state = lock(&turns.state);
        assert!(state.holders == 0 && state.holders_of.is_empty());
        assert!(state.waiting.is_empty() && state.line.is_empty());
    }

    #[test]
    fn as_many_run_as_may_and_those_that_are_gone_are_passed_over() {
        let turns = AddressTurns::new(2, 2);
        let mut first = waiter(&turns, 1).now_or_never();
        let second = waiter(&turns, 1).now_or_never();
        assert!(first.is_some() && second.is_some());
        let gone: Vec<_> = (0..10_000).map(|_| waiter(&turns, 1)).collect();
        let mut last = waiter(&turns, 1);
        assert!((&mut last).now_or_never().is_none());
        drop(gone);
        drop(first.take());
        let turn = last.now_or_never();
        assert!(turn.is_some());
        // Its turn comes, and it is gone before it takes it.
        let unlucky = waiter(&turns, 1);
        drop(turn);
        drop(unlucky);
        assert!(waiter(&turns, 2).now_or_never().is_some());
        drop(second);
        assert_eq!(lock(&turns.state).holders, 0);
    }

    #[test]
    fn those_that_gave_up_are_forgotten_when_the_next_one_of_their_address_waits() {
        let turns = AddressTurns::new(1, 1);
        let running = waiter(&turns, 9).now_or_never();
        assert!(running.is_some());
        let waiters = || {
            let state = lock(&turns.state);
            (state.line.len(), state.waiting.values().map(VecDeque::len).sum::<usize>())
        };
        for _ in 0..10_000 {
            drop(waiter(&turns, 1));
            assert_eq!(waiters(), (1, 1), "the address is in the line once");
        }
        // One that still waits keeps those behind it, which gave up, until its turn.
        let last = waiter(&turns, 1);
        drop(waiter(&turns, 1));
        let other = waiter(&turns, 2);
        assert_eq!(waiters(), (2, 3));
        drop(running);
        drop(last.now_or_never().expect("it is its turn"));
        assert!(other.now_or_never().is_some(), "it is the other's turn");
        assert_eq!(waiters(), (0, 0));
    }

    #[test]
    fn an_address_has_its_share_of_the_turns_and_leaves_the_others_theirs() {
        let turns = AddressTurns::new(4, 2);
        let mut first: Vec<_> = (0..3).map(|_| waiter(&turns, 1)).collect();
        let mut begun = |index: usize| (&mut first[index]).now_or_never();
        let (one, two) = (begun(0), begun(1));
        assert!(one.is_some() && two.is_some(), "at the bound");
        assert!(begun(2).is_none(), "past the bound");
        let others = [2, 3].map(|last| waiter(&turns, last).now_or_never());
        assert!(others.iter().all(Option::is_some), "there is room for other addresses");
        let mut late = waiter(&turns, 4);
        assert!((&mut late).now_or_never().is_none());
        // The third one of the first address comes before, but its address has its share.
        drop(others);
        let late = late.now_or_never();
        assert!(late.is_some() && begun(2).is_none());
        drop(one);
        assert!(begun(2).is_some());
    }
}
