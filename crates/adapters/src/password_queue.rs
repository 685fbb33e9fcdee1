//! The queue of passwords to hash: bounded, and fair between classes and addresses.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tolmach_engine::ports::{HashClass, HashOrigin};

/// Logins that are begun between two registrations while both wait.
const LOGINS_PER_REGISTRATION: u32 = 4;

/// The workers, and the requests that wait for one.
pub(crate) struct PasswordQueue {
    state: Mutex<State>,
    workers: usize,
    /// The most workers that registrations take: half of them, and at least one.
    registration_workers: usize,
    /// The most requests that wait, of each class.
    capacity: usize,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A free worker; dropping it frees the worker for the next request.
pub(crate) struct Worker {
    queue: Arc<PasswordQueue>,
    class: HashClass,
}

#[derive(Default)]
struct State {
    running: usize,
    running_registrations: usize,
    logins: Waiting,
    registrations: Waiting,
    /// The logins begun since the last registration.
    logins_in_a_row: u32,
    last_ticket: u64,
}

/// The requests of a class that wait. Addresses take turns.
#[derive(Default)]
struct Waiting {
    /// The addresses with requests, in the order of their turns.
    turns: VecDeque<Option<IpAddr>>,
    /// The requests of each of them, oldest first; no list is empty.
    requests: HashMap<Option<IpAddr>, VecDeque<Request>>,
    length: usize,
}

struct Request {
    ticket: u64,
    /// Resolves with a worker, or without one if the request was dropped in favour of another.
    admit: oneshot::Sender<Worker>,
}

impl PasswordQueue {
    pub(crate) fn new(workers: usize, capacity: usize) -> Arc<Self> {
        let registration_workers = (workers / 2).max(1);
        Arc::new(Self { state: Mutex::default(), workers, registration_workers, capacity })
    }

    /// Waits for a worker. [`Full`] if there is no room to wait, or no longer: a request of an
    /// address with fewer of them takes the place of the newest one of the address with the most.
    pub(crate) async fn worker(self: &Arc<Self>, origin: HashOrigin) -> Result<Worker, Full> {
        let (admit, admitted) = oneshot::channel();
        let ticket = self.enqueue(origin, admit)?;
        // A caller that is cancelled leaves the queue at once.
        let _place = Place { queue: self, origin, ticket };
        admitted.await.map_err(|_| Full)
    }

    fn enqueue(
        self: &Arc<Self>,
        origin: HashOrigin,
        admit: oneshot::Sender<Worker>,
    ) -> Result<u64, Full> {
        let mut state = self.lock();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        let has_worker = self.is_free(&state, origin.class);
        let waiting = state.waiting(origin.class);
        if !has_worker && waiting.length >= self.capacity {
            waiting.make_room(origin.source).ok_or(Full)?;
        }
        waiting.push(origin.source, Request { ticket, admit });
        drop(state);
        self.assign();
        Ok(ticket)
    }

    /// True if a request of a class that has none waiting would get a worker now.
    fn is_free(&self, state: &State, class: HashClass) -> bool {
        state.running < self.workers
            && match class {
                HashClass::Login => state.logins.length == 0,
                HashClass::Registration => {
                    state.registrations.length == 0
                        && state.running_registrations < self.registration_workers
                }
            }
    }

    /// Gives free workers to the requests whose turn it is.
    fn assign(self: &Arc<Self>) {
        while let Some((class, request)) = self.next() {
            // The worker of a caller that was cancelled meanwhile comes back and is freed.
            drop(request.admit.send(Worker { queue: self.clone(), class }));
        }
    }

    /// Takes a worker, and the request that gets it.
    fn next(&self) -> Option<(HashClass, Request)> {
        let mut state = self.lock();
        if state.running >= self.workers {
            return None;
        }
        let may_register = state.registrations.length > 0
            && state.running_registrations < self.registration_workers;
        let is_their_turn =
            state.logins.length == 0 || state.logins_in_a_row >= LOGINS_PER_REGISTRATION;
        let (class, request) = if may_register && is_their_turn {
            let request = state.registrations.pop()?;
            state.running_registrations += 1;
            state.logins_in_a_row = 0;
            (HashClass::Registration, request)
        } else {
            let request = state.logins.pop()?;
            state.logins_in_a_row = state.logins_in_a_row.saturating_add(1);
            (HashClass::Login, request)
        };
        state.running += 1;
        Some((class, request))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&mut self, class: HashClass) -> &mut Waiting {
        match class {
            HashClass::Login => &mut self.logins,
            HashClass::Registration => &mut self.registrations,
        }
    }
}

impl Waiting {
    fn push(&mut self, source: Option<IpAddr>, request: Request) {
        let requests = self.requests.entry(source).or_default();
        if requests.is_empty() {
            self.turns.push_back(source);
        }
        requests.push_back(request);
        self.length += 1;
    }

    /// The oldest request of the address whose turn it is.
    fn pop(&mut self) -> Option<Request> {
        let source = self.turns.pop_front()?;
        let requests = self.requests.get_mut(&source)?;
        let request = requests.pop_front()?;
        if requests.is_empty() {
            self.requests.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.length -= 1;
        Some(request)
    }

    /// Drops the newest request of the address with the most, unless `source` would have as many.
    fn make_room(&mut self, source: Option<IpAddr>) -> Option<()> {
        let own = self.requests.get(&source).map_or(0, VecDeque::len);
        let (most, requests) = self.requests.iter().max_by_key(|(_, requests)| requests.len())?;
        let newest = requests.back().filter(|_| requests.len() > own + 1)?;
        let (most, ticket) = (*most, newest.ticket);
        self.remove(most, ticket);
        Some(())
    }

    fn remove(&mut self, source: Option<IpAddr>, ticket: u64) {
        let Some(requests) = self.requests.get_mut(&source) else { return };
        let Some(index) = requests.iter().position(|request| request.ticket == ticket) else {
            return;
        };
        requests.remove(index);
        if requests.is_empty() {
            self.requests.remove(&source);
            self.turns.retain(|other| *other != source);
        }
        self.length -= 1;
    }
}

/// The place of a request in the queue, given up when it is dropped.
struct Place<'a> {
    queue: &'a PasswordQueue,
    origin: HashOrigin,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.waiting(self.origin.class).remove(self.origin.source, self.ticket);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.running -= 1;
        if self.class == HashClass::Registration {
            state.running_registrations -= 1;
        }
        drop(state);
        self.queue.assign();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use std::net::Ipv4Addr;
    use tolmach_engine::ports::HashClass::{Login, Registration};

    type Waiter = BoxFuture<'static, Result<Worker, Full>>;

    /// A request of the address 192.0.2.`host`, which has begun to wait.
    fn request(queue: &Arc<PasswordQueue>, class: HashClass, host: u8) -> Waiter {
        let source = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
        let queue = queue.clone();
        let mut waiter = async move { queue.worker(HashOrigin { class, source }).await }.boxed();
        match (&mut waiter).now_or_never() {
            Some(outcome) => std::future::ready(outcome).boxed(),
            None => waiter,
        }
    }

    /// The outcome of a request, if it has one by now.
    fn outcome(waiter: &mut Waiter) -> Option<Result<Worker, Full>> {
        waiter.now_or_never()
    }

    /// The indexes of requests in the order in which they are served, one after the other, once
    /// `worker` is freed.
    fn order(worker: Worker, mut waiters: Vec<Waiter>) -> Vec<usize> {
        let (mut order, mut worker) = (Vec::new(), Some(worker));
        let mut done = vec![false; waiters.len()];
        while worker.take().is_some() {
            for (index, waiter) in waiters.iter_mut().enumerate().filter(|(index, _)| !done[*index])
            {
                if let Some(Ok(next)) = outcome(waiter) {
                    order.push(index);
                    worker = Some(next);
                }
            }
            for index in &order {
                done[*index] = true;
            }
        }
        order
    }

    fn taken(queue: &Arc<PasswordQueue>) -> Worker {
        request(queue, Login, 99).now_or_never().expect("a worker is free").expect("a worker")
    }

    #[test]
    fn addresses_take_turns_and_each_is_served_in_the_order_of_its_requests() {
        let queue = PasswordQueue::new(1, 10);
        let worker = taken(&queue);
        let waiters =
            [1, 1, 1, 2, 3, 2].map(|host| request(&queue, Login, host)).into_iter().collect();
        assert_eq!(order(worker, waiters), [0, 3, 4, 1, 5, 2]);
    }

    #[test]
    fn logins_go_first_and_registrations_are_not_starved() {
        let queue = PasswordQueue::new(1, 20);
        let worker = taken(&queue);
        let classes = [[Registration; 2].as_slice(), &[Login; 9]].concat();
        let waiters = classes.into_iter().map(|class| request(&queue, class, 1)).collect();
        // The login that held the worker is the first of four.
        assert_eq!(order(worker, waiters), [2, 3, 4, 0, 5, 6, 7, 8, 1, 9, 10]);
    }

    #[test]
    fn registrations_leave_half_of_the_workers_to_logins() {
        let queue = PasswordQueue::new(2, 10);
        let mut registered = request(&queue, Registration, 1);
        let first = outcome(&mut registered).expect("a worker is free").expect("a worker");
        let mut second = request(&queue, Registration, 2);
        assert!(outcome(&mut second).is_none());
        assert!(outcome(&mut request(&queue, Login, 1)).is_some_and(|worker| worker.is_ok()));
        drop(first);
        assert!(outcome(&mut second).is_some_and(|worker| worker.is_ok()));
    }

    #[test]
    fn a_full_queue_refuses_the_address_with_the_most_requests() {
        let queue = PasswordQueue::new(1, 3);
        let worker = taken(&queue);
        let mut storm: Vec<Waiter> = (0..5).map(|_| request(&queue, Login, 1)).collect();
        assert!(outcome(&mut storm[2]).is_none(), "as many as there is room for wait");
        for refused in &mut storm[3..] {
            assert!(outcome(refused).is_some_and(|outcome| outcome.is_err()));
        }
        storm.truncate(3);
        let mut other = request(&queue, Login, 2);
        assert!(outcome(&mut other).is_none(), "another address has room");
        assert!(outcome(&mut storm[2]).is_some_and(|outcome| outcome.is_err()), "the newest went");
        assert!(
            outcome(&mut request(&queue, Login, 2)).is_some_and(|outcome| outcome.is_err()),
            "no address takes the place of one with as many"
        );
        assert!(
            outcome(&mut request(&queue, Registration, 1)).is_none(),
            "the classes have room of their own"
        );
        let waiters = storm.into_iter().take(2).chain([other]).collect();
        assert_eq!(order(worker, waiters), [0, 2, 1]);
    }

    #[test]
    fn a_cancelled_request_leaves_its_place_and_its_worker() {
        let queue = PasswordQueue::new(1, 1);
        let worker = taken(&queue);
        drop(request(&queue, Login, 1));
        let mut next = request(&queue, Login, 1);
        assert!(outcome(&mut next).is_none(), "the place is free again");
        drop(worker);
        // The worker was assigned, but nothing has taken it yet.
        drop(next);
        assert!(outcome(&mut request(&queue, Login, 1)).is_some_and(|worker| worker.is_ok()));
    }

    #[test]
    fn a_queue_without_room_serves_what_a_free_worker_takes() {
        let queue = PasswordQueue::new(1, 0);
        let worker = taken(&queue);
        assert!(outcome(&mut request(&queue, Login, 1)).is_some_and(|outcome| outcome.is_err()));
        drop(worker);
        drop(taken(&queue));
    }
}
