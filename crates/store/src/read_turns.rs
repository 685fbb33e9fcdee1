//! Turns at reads of several statements.
//!
//! Such a read holds a connection, and what it has read, until it is done. A user has one of them
//! at a time, and the others wait without anything: the line for connections has each user once,
//! so that users take turns. One connection is left to the short reads, which need no turn.

use crate::job_queue::closed;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tolmach_domain::UserId;
use tolmach_engine::ports::StoreError;

/// The number of users below which none is forgotten.
const KNOWN_USERS: usize = 64;

/// The turns at reads of several statements.
pub(crate) struct ReadTurns {
    /// A permit for each read at once.
    all: Arc<Semaphore>,
    users: Mutex<Users>,
}

/// The users whose reads run or wait.
#[derive(Default)]
struct Users {
    /// One permit each, referred to by the reads.
    turns: HashMap<UserId, Weak<Semaphore>>,
    /// The number of users at which those without a read are forgotten.
    forget_at: usize,
}

/// The turn of a read, which ends when this is dropped.
pub(crate) struct ReadTurn {
    _of_all: OwnedSemaphorePermit,
    _of_user: Option<OwnedSemaphorePermit>,
}

impl ReadTurns {
    /// Turns at a pool of so many connections.
    pub(crate) fn new(connections: u32) -> Self {
        let reads = connections.saturating_sub(1).max(1);
        Self { all: Arc::new(Semaphore::new(reads as usize)), users: Mutex::default() }
    }

    /// Waits for the turn of a read of this user; without one, for that of the next read.
    pub(crate) async fn take(&self, user: Option<UserId>) -> Result<ReadTurn, StoreError> {
        let of_user = match user {
            Some(user) => Some(acquire(self.of_user(user)).await?),
            None => None,
        };
        let of_all = acquire(self.all.clone()).await?;
        Ok(ReadTurn { _of_all: of_all, _of_user: of_user })
    }

    fn of_user(&self, user: UserId) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = users.turns.get(&user).and_then(Weak::upgrade) {
            return turn;
        }
        if users.turns.len() >= users.forget_at {
            users.turns.retain(|_, turn| turn.strong_count() > 0);
            users.forget_at = KNOWN_USERS.max(2 * users.turns.len());
        }
        let turn = Arc::new(Semaphore::new(1));
        users.turns.insert(user, Arc::downgrade(&turn));
        turn
    }
}

async fn acquire(turns: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    turns.acquire_owned().await.map_err(|_| closed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    type Waiting<'a> = BoxFuture<'a, Result<ReadTurn, StoreError>>;

    /// A read of the user with this number, 0 for none, which has begun to wait.
    fn read(turns: &ReadTurns, user: i64) -> Waiting<'_> {
        let mut waiting = turns.take(UserId::new(user).ok()).boxed();
        match (&mut waiting).now_or_never() {
            Some(turn) => std::future::ready(turn).boxed(),
            None => waiting,
        }
    }

    fn turn(waiting: &mut Waiting<'_>) -> Option<ReadTurn> {
        waiting.now_or_never().map(|turn| turn.expect("the turns are open"))
    }

    #[test]
    fn users_take_turns_however_many_reads_one_of_them_asks_for() {
        let turns = ReadTurns::new(2);
        let mut waiting: Vec<_> = [1, 1, 1, 1, 2, 2, 3].map(|user| read(&turns, user)).into();
        let mut order = Vec::new();
        let mut current = turn(&mut waiting[0]);
        let mut done = vec![true; 1];
        done.resize(waiting.len(), false);
        while current.take().is_some() {
            // Each takes its place in the line for all as soon as its user has no other there.
            for (index, waiting) in waiting.iter_mut().enumerate() {
                if !done[index]
                    && let Some(next) = turn(waiting)
                {
                    (done[index], current) = (true, Some(next));
                    order.push(index);
                }
            }
        }
        assert_eq!(order, [4, 6, 1, 5, 2, 3]);
    }

    #[test]
    fn one_connection_is_left_and_a_user_has_one_read_at_a_time() {
        for (connections, at_once) in [(0, 1), (1, 1), (2, 1), (4, 3)] {
            let turns = ReadTurns::new(connections);
            let mut users: Vec<_> = (1..=5).map(|user| read(&turns, user)).collect();
            let held: Vec<_> = users.iter_mut().filter_map(turn).collect();
            assert_eq!(held.len(), at_once, "{connections}");
        }
        let turns = ReadTurns::new(4);
        let _first = turn(&mut read(&turns, 1)).expect("there are free turns");
        assert!(turn(&mut read(&turns, 1)).is_none(), "a second one of the user");
        assert!(turn(&mut read(&turns, 2)).is_some(), "one of another user");
        assert!(turn(&mut read(&turns, 0)).is_some(), "one of no user");
    }

    #[test]
    fn a_read_that_is_cancelled_leaves_its_place_and_its_user_is_forgotten() {
        let turns = ReadTurns::new(2);
        let held = turn(&mut read(&turns, 1)).expect("there is a free turn");
        drop(read(&turns, 2));
        drop(read(&turns, 1));
        let mut next = read(&turns, 2);
        drop(held);
        assert!(turn(&mut next).is_some());
        drop(next);
        for user in 1..10_000 {
            assert!(turn(&mut read(&turns, user)).is_some());
        }
        assert!(turns.users.lock().unwrap().turns.len() <= 2 * KNOWN_USERS);
    }
}
