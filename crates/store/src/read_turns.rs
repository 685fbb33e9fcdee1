//! Turns at reads.
//!
//! A read of several statements holds a connection, and what it has read, until it is done. A user
//! has one of them at a time, and the others wait without anything: the line for connections has
//! each user once, so that users take turns. Reads whose cost grows with the world have a line and
//! connections of their own, and so have the short reads, which are served by age. A read that
//! would wait longer than it may is refused at once.

use crate::connect::ReadPool;
use crate::job_queue::closed;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tolmach_domain::{Fault, UserId};
use tolmach_engine::ports::StoreError;

/// The number of users below which none is forgotten.
const KNOWN_USERS: usize = 64;

/// The cost of a read that takes its turn among those of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadClass {
    /// A page of something, or what one user has.
    Page,
    /// It grows with the world: a list of all flows, a search.
    Scan,
}

/// The turns at reads.
pub(crate) struct ReadTurns<R = ReadPool> {
    pages: Arc<Line<R>>,
    scans: Arc<Line<R>>,
    /// Short reads share a pool of connections.
    points: Arc<Line<()>>,
    users: Mutex<Users>,
    /// The longest wait.
    patience: Duration,
}

/// The connections of the turns.
pub(crate) struct TurnConnections<R> {
    /// The number of those of short reads.
    pub(crate) points: u32,
    /// Those of pages, one read at a time on each.
    pub(crate) pages: Vec<R>,
    /// The same of scans.
    pub(crate) scans: Vec<R>,
}

/// The connections of one kind of reads, and those that wait for one.
struct Line<R> {
    /// A permit for each connection that no read uses.
    free: Arc<Semaphore>,
    connections: u32,
    readers: Mutex<Vec<R>>,
    waiting: AtomicU32,
    /// The typical time that a read takes, in microseconds.
    typical: AtomicU64,
}

/// The users whose reads run or wait.
#[derive(Default)]
struct Users {
    /// Referred to by the reads.
    turns: HashMap<UserId, Weak<UserTurns>>,
    /// The number of users at which those without a read are forgotten.
    forget_at: usize,
}

/// The turns of one user.
struct UserTurns {
    /// One permit.
    turn: Arc<Semaphore>,
    /// The numbers of reads that run or wait, by [`ReadClass`].
    reads: [AtomicUsize; 2],
}

/// A read of a user, which runs or waits.
struct UserRead {
    of: Arc<UserTurns>,
    class: ReadClass,
}

/// The turn of a read, which ends when this is dropped.
pub(crate) struct ReadTurn<R = ReadPool> {
    /// Present until the end.
    reader: Option<R>,
    line: Arc<Line<R>>,
    began: Instant,
    _of_line: OwnedSemaphorePermit,
    _of_user: Option<(OwnedSemaphorePermit, UserRead)>,
}

impl<R> ReadTurns<R> {
    /// Turns at these connections, each of them after a wait of at most `patience`.
    pub(crate) fn new(connections: TurnConnections<R>, patience: Duration) -> Self {
        let TurnConnections { points, pages, scans } = connections;
        let [pages, scans] = [pages, scans].map(|readers| Arc::new(Line::new(readers)));
        let points = Arc::new(Line::new(vec![(); points as usize]));
        Self { pages, scans, points, users: Mutex::default(), patience }
    }

    /// Waits for the turn of the next read of a record or a few, found by their keys.
    /// [`Fault::Unavailable`] at once if the wait would be too long.
    pub(crate) async fn take_short(&self) -> Result<ReadTurn<()>, StoreError> {
        self.points.check_wait(Duration::ZERO, self.patience)?;
        self.points.next_turn(None).await
    }

    /// Waits for the turn of a read of this user; without one, for that of the next read.
    /// [`Fault::Unavailable`] at once if the wait would be too long.
    pub(crate) async fn take(
        &self,
        class: ReadClass,
        user: Option<UserId>,
    ) -> Result<ReadTurn<R>, StoreError> {
        let line = match class {
            ReadClass::Page => &self.pages,
            ReadClass::Scan => &self.scans,
        };
        let turns_of_user = user.map(|user| self.of_user(user));
        // Each of the reads that the same user has ahead waits in its own line.
        let ahead = turns_of_user.as_ref().map_or(Duration::ZERO, |turns| self.wait_of(turns));
        line.check_wait(ahead, self.patience)?;
        let of_user = match turns_of_user {
            Some(turns) => {
                let read = UserRead::new(turns, class);
                Some((acquire(read.of.turn.clone()).await?, read))
            }
            None => None,
        };
        line.check_wait(Duration::ZERO, self.patience)?;
        line.next_turn(of_user).await
    }

    /// The time until the reads of a user are done that run or wait.
    fn wait_of(&self, turns: &UserTurns) -> Duration {
        let [pages, scans] = turns.reads.each_ref().map(|reads| reads.load(Ordering::Relaxed));
        self.pages.wait_of(pages).saturating_add(self.scans.wait_of(scans))
    }

    fn of_user(&self, user: UserId) -> Arc<UserTurns> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = users.turns.get(&user).and_then(Weak::upgrade) {
            return turn;
        }
        if users.turns.len() >= users.forget_at {
            users.turns.retain(|_, turn| turn.strong_count() > 0);
            users.forget_at = KNOWN_USERS.max(2 * users.turns.len());
        }
        let turn = Arc::new(UserTurns::new());
        users.turns.insert(user, Arc::downgrade(&turn));
        turn
    }
}

impl UserTurns {
    fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), reads: Default::default() }
    }
}

impl UserRead {
    fn new(of: Arc<UserTurns>, class: ReadClass) -> Self {
        of.reads[class as usize].fetch_add(1, Ordering::Relaxed);
        Self { of, class }
    }
}

impl Drop for UserRead {
    fn drop(&mut self) {
        self.of.reads[self.class as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

impl<R> Line<R> {
    fn new(readers: Vec<R>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(readers.len())),
            connections: u32::try_from(readers.len()).unwrap_or(u32::MAX),
            readers: Mutex::new(readers),
            waiting: AtomicU32::new(0),
            typical: AtomicU64::new(0),
        }
    }

    /// Waits for the next connection that no read uses.
    async fn next_turn(
        self: &Arc<Self>,
        of_user: Option<(OwnedSemaphorePermit, UserRead)>,
    ) -> Result<ReadTurn<R>, StoreError> {
        let of_line = {
            let _waiting = Waiting::new(self);
            acquire(self.free.clone()).await?
        };
        let reader = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (line, began) = (self.clone(), Instant::now());
        Ok(ReadTurn { reader, line, began, _of_line: of_line, _of_user: of_user })
    }

    /// Refuses a read that would have to wait longer than this, as far as can be known: for the
    /// reads that the same user has `ahead`, and then in the line.
    fn check_wait(&self, ahead: Duration, patience: Duration) -> Result<(), StoreError> {
        if ahead.saturating_add(self.wait_in_line()) <= patience {
            return Ok(());
        }
        Err(Fault::Unavailable.into())
    }

    /// The time that a read waits for a connection.
    fn wait_in_line(&self) -> Duration {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.typical_time().saturating_mul(waiting) / self.connections.max(1)
    }

    /// The time until so many reads are done, one after another, each of which waits in the line.
    fn wait_of(&self, reads: usize) -> Duration {
        let reads = u32::try_from(reads).unwrap_or(u32::MAX);
        self.wait_in_line().saturating_add(self.typical_time()).saturating_mul(reads)
    }

    fn typical_time(&self) -> Duration {
        Duration::from_micros(self.typical.load(Ordering::Relaxed))
    }

    /// Counts the time that a read took.
    fn count(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let old = self.typical.load(Ordering::Relaxed);
        // An eighth of the new one; a lost update does no harm.
        self.typical.store(old - old / 8 + took / 8, Ordering::Relaxed);
    }
}

/// A read that waits.
struct Waiting<'a, R>(&'a Line<R>);

impl<'a, R> Waiting<'a, R> {
    fn new(line: &'a Line<R>) -> Self {
        line.waiting.fetch_add(1, Ordering::Relaxed);
        Self(line)
    }
}

impl<R> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<R> ReadTurn<R> {
    /// The connection.
    pub(crate) fn reader(&self) -> Result<&R, StoreError> {
        self.reader.as_ref().ok_or_else(closed)
    }
}

impl<R> Drop for ReadTurn<R> {
    fn drop(&mut self) {
        self.line.count(self.began.elapsed());
        if let Some(reader) = self.reader.take() {
            self.line.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
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

    const PATIENCE: Duration = Duration::from_secs(2);

    /// A connection is its number.
    type Turns = ReadTurns<usize>;
    type Read<'a, R = usize> = BoxFuture<'a, Result<ReadTurn<R>, StoreError>>;

    /// Turns at this many connections of pages, one of scans and one of points.
    fn turns_at(connections: usize) -> Turns {
        let (pages, scans) = ((0..connections).collect(), vec![connections]);
        ReadTurns::new(TurnConnections { points: 1, pages, scans }, PATIENCE)
    }

    /// A read of the user with this number, 0 for none, which has begun to wait.
    fn read(turns: &Turns, user: i64) -> Read<'_> {
        let mut waiting = turns.take(ReadClass::Page, UserId::new(user).ok()).boxed();
        match (&mut waiting).now_or_never() {
            Some(turn) => std::future::ready(turn).boxed(),
            None => waiting,
        }
    }

    fn turn<R>(waiting: &mut Read<'_, R>) -> Option<ReadTurn<R>> {
        waiting.now_or_never().map(|turn| turn.expect("the turns are open"))
    }

    #[test]
    fn users_take_turns_however_many_reads_one_of_them_asks_for() {
        let turns = turns_at(1);
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
    fn each_connection_has_one_read_and_a_user_has_one_at_a_time() {
        for connections in [1, 2, 3] {
            let turns = turns_at(connections);
            let mut users: Vec<_> = (1..=5).map(|user| read(&turns, user)).collect();
            let held: Vec<_> = users.iter_mut().filter_map(turn).collect();
            assert_eq!(held.len(), connections);
        }
        let turns = turns_at(3);
        let _first = turn(&mut read(&turns, 1)).expect("there are free turns");
        assert!(turn(&mut read(&turns, 1)).is_none(), "a second one of the user");
        assert!(turn(&mut read(&turns, 2)).is_some(), "one of another user");
        assert!(turn(&mut read(&turns, 0)).is_some(), "one of no user");
    }

    #[test]
    fn a_read_that_is_cancelled_leaves_its_place_and_its_user_is_forgotten() {
        let turns = turns_at(1);
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

    #[test]
    fn scans_and_pages_do_not_wait_for_each_other() {
        let turns = turns_at(1);
        let _page = turn(&mut read(&turns, 1)).expect("there is a free turn");
        let scan = turns.take(ReadClass::Scan, UserId::new(2).ok()).now_or_never();
        let scan = scan.expect("there is a free turn").expect("the turns are open");
        assert!(turn(&mut read(&turns, 3)).is_none());
        drop(scan);
    }

    #[test]
    fn a_read_behind_too_many_of_its_user_is_refused_at_once_and_those_of_others_wait() {
        let turns = turns_at(1);
        // Two seconds are five of these.
        turns.pages.typical.store(400_000, Ordering::Relaxed);
        let held = turn(&mut read(&turns, 1)).expect("there is a free turn");
        let mut waiting: Vec<_> = (0..4).map(|_| read(&turns, 1)).collect();
        assert!(waiting.iter_mut().all(|waiting| turn(waiting).is_none()));
        let last = read(&turns, 1);
        let refused = read(&turns, 1).now_or_never().expect("it does not wait");
        assert_eq!(refused.err(), Some(StoreError::Refused(Fault::Unavailable)));
        assert!(turn(&mut read(&turns, 2)).is_none(), "it waits");
        drop((last, held));
        assert!(turn(&mut waiting[0]).is_some());
    }

    #[test]
    fn a_read_waits_for_each_read_of_its_user_as_long_as_one_of_that_kind_takes() {
        let turns = turns_at(1);
        let scan = |turns: &Turns| turns.take(ReadClass::Scan, UserId::new(1).ok()).now_or_never();
        let refused = |turn: Option<Result<ReadTurn<usize>, StoreError>>| {
            turn.and_then(Result::err) == Some(StoreError::Refused(Fault::Unavailable))
        };
        turns.scans.typical.store(2_000_001, Ordering::Relaxed);
        let held = scan(&turns).expect("there is a free turn");
        let page = turns.take(ReadClass::Page, UserId::new(1).ok()).now_or_never();
        assert!(refused(page), "a scan is ahead");
        drop(held);
        let held = turn(&mut read(&turns, 1)).expect("there is a free turn");
        assert!(scan(&turns).is_none(), "a page is ahead: it waits");
        drop(held);
    }

    #[test]
    fn a_read_that_would_wait_too_long_is_refused_at_once() {
        let turns = turns_at(2);
        let held: Vec<_> = (1..=2).map(|user| turn(&mut read(&turns, user))).collect();
        // Two connections, each of which a read has for this long.
        turns.pages.typical.store(1_000_000, Ordering::Relaxed);
        let waiting: Vec<_> = (3..=7).map(|user| read(&turns, user)).collect();
        assert_eq!(turns.pages.waiting.load(Ordering::Relaxed), 5);
        let refused = read(&turns, 8).now_or_never().expect("it does not wait");
        assert_eq!(refused.err(), Some(StoreError::Refused(Fault::Unavailable)));
        assert!(turns.take(ReadClass::Scan, None).now_or_never().is_some(), "another line");
        drop(waiting);
        assert!(turn(&mut read(&turns, 8)).is_none(), "it waits again");
        drop(held);
        assert!(turn(&mut read(&turns, 8)).is_some());
    }

    #[test]
    fn short_reads_wait_by_age_and_those_that_would_wait_too_long_are_refused_at_once() {
        let turns = turns_at(1);
        let point = || {
            let mut waiting = turns.take_short().boxed();
            match (&mut waiting).now_or_never() {
                Some(turn) => std::future::ready(turn).boxed(),
                None => waiting,
            }
        };
        let held = turn(&mut point()).expect("there is a free turn");
        // Two seconds are less than five of these.
        turns.points.typical.store(400_001, Ordering::Relaxed);
        let mut waiting: Vec<_> = (0..5).map(|_| point()).collect();
        assert!(waiting.iter_mut().all(|waiting| turn(waiting).is_none()));
        let refused = point().now_or_never().expect("it does not wait");
        assert_eq!(refused.err(), Some(StoreError::Refused(Fault::Unavailable)));
        assert!(turn(&mut read(&turns, 1)).is_some(), "pages are another line");
        drop(held);
        for next in &mut waiting {
            assert!(turn(next).is_some());
        }
    }

    #[test]
    fn the_typical_time_follows_the_reads() {
        let line = Line::new(vec![()]);
        for _ in 0..100 {
            line.count(Duration::from_millis(8));
        }
        let typical = line.typical.load(Ordering::Relaxed);
        assert!((7_900..=8_100).contains(&typical), "{typical}");
        for _ in 0..100 {
            line.count(Duration::ZERO);
        }
        assert!(line.typical.load(Ordering::Relaxed) < 10);
    }

    #[test]
    fn a_connection_has_one_read_until_its_turn_ends() {
        let turns = turns_at(2);
        let turn_of = |user| turn(&mut read(&turns, user)).expect("there is a free turn");
        let (first, second) = (turn_of(1), turn_of(2));
        let connection = *second.reader().unwrap();
        assert_eq!(*first.reader().unwrap() + connection, 1, "the other one of 0 and 1");
        assert!(turn(&mut read(&turns, 3)).is_none());
        drop(second);
        assert_eq!(*turn_of(3).reader().unwrap(), connection);
        drop(first);
    }
}
