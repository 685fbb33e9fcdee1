//! Turns that addresses take at something that many connections want at once: thousands of one
//! address leave the others theirs.

use crate::address_group::address_group;
use crate::sync::lock;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Turns, of which several run at a time.
pub(crate) struct AddressTurns {
    state: Mutex<State>,
    /// The most that run at a time.
    capacity: usize,
}

#[derive(Default)]
struct State {
    running: usize,
    /// The addresses that wait, in the order of their turns.
    line: VecDeque<IpAddr>,
    /// Those that wait, of each address; no list is empty.
    waiting: HashMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn, which ends when this is dropped.
pub(crate) struct Turn(Arc<AddressTurns>);

impl AddressTurns {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), capacity })
    }

    /// Waits for a turn of an address; an IPv6 network of 64 bits counts as one.
    pub(crate) async fn turn(self: &Arc<Self>, address: IpAddr) -> Turn {
        let admitted = {
            let mut state = lock(&self.state);
            if state.running < self.capacity {
                state.running += 1;
                return Turn(self.clone());
            }
            let (admit, admitted) = oneshot::channel();
            state.wait(address_group(address), admit);
            admitted
        };
        admitted.await.expect("the turns drop no sender unused, and exist")
    }
}

impl State {
    fn wait(&mut self, address: IpAddr, admit: oneshot::Sender<Turn>) {
        let waiting = self.waiting.entry(address).or_default();
        if waiting.is_empty() {
            self.line.push_back(address);
        }
        waiting.push_back(admit);
    }

    /// The next one whose turn it is, without those that are gone.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        loop {
            let address = self.line.pop_front()?;
            let waiting = self.waiting.get_mut(&address)?;
            let next = waiting.pop_front();
            if waiting.is_empty() {
                self.waiting.remove(&address);
            } else {
                self.line.push_back(address);
            }
            if let Some(next) = next.filter(|next| !next.is_closed()) {
                return Some(next);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.0.state);
            let next = state.next();
            if next.is_none() {
                state.running -= 1;
            }
            next
        };
        if let Some(next) = next {
            // One that is gone by now gives the turn back, because it is dropped.
            drop(next.send(Turn(self.0.clone())));
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
        let turns = AddressTurns::new(1);
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
        assert!(state.running == 0 && state.waiting.is_empty() && state.line.is_empty());
    }

    #[test]
    fn as_many_run_as_may_and_those_that_are_gone_are_passed_over() {
        let turns = AddressTurns::new(2);
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
        assert_eq!(lock(&turns.state).running, 0);
    }
}
