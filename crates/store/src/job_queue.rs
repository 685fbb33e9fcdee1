//! The queue of the writer: fair between users.
//!
//! Jobs of one user keep their order. Between users it is deficit round robin: in each turn a user
//! may add jobs of [`QUANTUM`] bytes to a transaction, what is left of it counts for the next turn.
//! A user's jobs take at most a quarter of the queue, and the only job of a user always finds
//! room: one who fills the queue, or a transaction, delays no other.

use crate::job::{Job, Work};
use crate::options::Options;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};
use tolmach_domain::UserId;
use tolmach_engine::ports::StoreError;

/// The bytes that a user may add to a transaction in one turn.
const QUANTUM: usize = 16 << 10;

/// The unit in which the space of the queue is counted, in bytes: a job takes one at least, so that
/// the space bounds the number of jobs too.
const SPACE_UNIT: usize = 16 << 10;

/// The part of the queue that one user's jobs may take.
const SHARES: usize = 4;

/// The number of users below which none is forgotten.
const KNOWN_USERS: usize = 64;

/// The user whose job it is; `None` for jobs of requests without a login.
pub(crate) type Owner = Option<UserId>;

/// The jobs that wait for the writer.
pub(crate) struct JobQueue {
    state: Mutex<State>,
    /// Notifies the writer of a job, or of the end.
    changed: Notify,
    /// The free space for the jobs of all users, in units.
    space: Arc<Semaphore>,
    /// The space for the jobs of one user, in units.
    share: usize,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Owner, Lane>,
    /// The owners of jobs, in the order of their turns.
    turns: VecDeque<Owner>,
    /// The number of batches taken.
    batches: u64,
    /// The number of lanes at which idle ones are forgotten.
    forget_at: usize,
    closed: bool,
}

/// The jobs of one owner.
struct Lane {
    jobs: VecDeque<Job>,
    /// The free part of the owner's share of the queue, in units.
    space: Arc<Semaphore>,
    /// The bytes that the owner may still add in this turn.
    deficit: usize,
    /// The batch that jobs were last taken for, and their bytes.
    batch: u64,
    taken: usize,
}

/// The jobs of a transaction.
#[derive(Default)]
pub(crate) struct JobBatch {
    pub(crate) jobs: Vec<Job>,
    /// Their approximate size.
    pub(crate) bytes: usize,
}

impl JobQueue {
    pub(crate) fn new(queue_bytes: usize) -> Self {
        let units = (queue_bytes / SPACE_UNIT).clamp(SHARES, Semaphore::MAX_PERMITS);
        let units = units.min(u32::MAX as usize);
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            space: Arc::new(Semaphore::new(units)),
            share: units / SHARES,
        }
    }

    /// Adds a job, once there is space for it.
    pub(crate) async fn push(
        &self,
        owner: Owner,
        size: usize,
        work: Work,
    ) -> Result<(), StoreError> {
        let units = size.div_ceil(SPACE_UNIT).clamp(1, self.share);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let share = self.lock().lane(owner, self.share)?.space.clone();
        let is_only = share.available_permits() == self.share;
        let of_owner = share.acquire_many_owned(units).await.map_err(|_| closed())?;
        let space = self.space.clone();
        let of_all = if is_only {
            space.try_acquire_many_owned(units).ok()
        } else {
            Some(space.acquire_many_owned(units).await.map_err(|_| closed())?)
        };
        let job = Job { work, size, space: (of_owner, of_all) };
        self.lock().add(owner, self.share, job)?;
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a job. False once the queue is closed and empty.
    pub(crate) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.turns.is_empty() || state.closed {
                    return !state.turns.is_empty();
                }
            }
            self.changed.notified().await;
        }
    }

    /// True if the queue is open and no job waits.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.turns.is_empty() && !state.closed
    }

    /// Takes the jobs of the next transaction, up to the limits of a batch.
    pub(crate) fn take(&self, options: &Options) -> JobBatch {
        self.lock().take(options)
    }

    /// Refuses further jobs.
    pub(crate) fn close(&self) {
        self.space.close();
        let mut state = self.lock();
        state.closed = true;
        state.lanes.values().for_each(|lane| lane.space.close());
        drop(state);
        self.changed.notify_one();
    }

    /// Refuses further jobs and drops those that wait; their callers are told that they were
    /// abandoned.
    pub(crate) fn abandon(&self) {
        self.close();
        let mut state = self.lock();
        let lanes = std::mem::take(&mut state.lanes);
        state.turns.clear();
        drop(state);
        drop(lanes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lane(&mut self, owner: Owner, share: usize) -> Result<&mut Lane, StoreError> {
        if self.closed {
            return Err(closed());
        }
        if self.lanes.len() >= self.forget_at && !self.lanes.contains_key(&owner) {
            // The space of a lane is shared with its jobs and with the callers that wait for it.
            self.lanes
                .retain(|_, lane| !lane.jobs.is_empty() || Arc::strong_count(&lane.space) > 1);
            self.forget_at = KNOWN_USERS.max(2 * self.lanes.len());
        }
        Ok(self.lanes.entry(owner).or_insert_with(|| Lane {
            jobs: VecDeque::new(),
            space: Arc::new(Semaphore::new(share)),
            deficit: 0,
            batch: 0,
            taken: 0,
        }))
    }

    fn add(&mut self, owner: Owner, share: usize, job: Job) -> Result<(), StoreError> {
        let lane = self.lane(owner, share)?;
        let waits_already = !lane.jobs.is_empty();
        lane.jobs.push_back(job);
        if !waits_already {
            self.turns.push_back(owner);
        }
        Ok(())
    }

    fn take(&mut self, options: &Options) -> JobBatch {
        self.batches += 1;
        let mut batch = JobBatch::default();
        // The owners who have added all that one user may add to a transaction.
        let mut done = Vec::new();
        while batch.jobs.len() < options.batch_jobs && batch.bytes < options.batch_bytes {
            let Some(owner) = self.turns.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&owner) else { continue };
            lane.add_to(&mut batch, self.batches, options);
            if lane.jobs.is_empty() {
                lane.deficit = 0;
            } else if lane.taken >= options.batch_bytes_per_user {
                done.push(owner);
            } else {
                self.turns.push_back(owner);
            }
        }
        self.turns.extend(done);
        batch
    }
}

impl Lane {
    /// Takes one turn.
    fn add_to(&mut self, batch: &mut JobBatch, number: u64, options: &Options) {
        if self.batch != number {
            (self.batch, self.taken) = (number, 0);
        }
        // A turn that a full batch ended leaves more than a turn that a large job did.
        let largest = QUANTUM + self.jobs.front().map_or(0, |job| job.size);
        self.deficit = (self.deficit + QUANTUM).min(largest);
        while batch.jobs.len() < options.batch_jobs
            && batch.bytes < options.batch_bytes
            && let Some(job) = self.jobs.pop_front_if(|job| job.size <= self.deficit)
        {
            self.deficit -= job.size;
            self.taken += job.size;
            batch.bytes += job.size;
            batch.jobs.push(job);
        }
    }
}

/// The error of a call after the store was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::unavailable("the store is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::job::{Answer, Task};
    use async_trait::async_trait;
    use futures_util::FutureExt;
    use std::time::Duration;

    /// A job that is never carried out.
    struct Idle;

    #[async_trait]
    impl Task for Idle {
        async fn apply(self: Box<Self>, _: &mut Batch) -> (Answer, Option<StoreError>) {
            (Box::new(|_| ()), None)
        }

        fn fail(self: Box<Self>, _: StoreError) {}

        fn is_abandoned(&self) -> bool {
            false
        }
    }

    fn options(batch_jobs: usize, batch_bytes: usize, batch_bytes_per_user: usize) -> Options {
        let (timeout, queue_bytes) = (Duration::from_secs(60), usize::MAX);
        let read_connections = 1;
        Options {
            timeout,
            queue_bytes,
            batch_jobs,
            batch_bytes,
            batch_bytes_per_user,
            read_connections,
        }
    }

    fn user(number: i64) -> Owner {
        Some(UserId::new(number).unwrap())
    }

    /// Adds a job; false if it has to wait for space.
    fn push(queue: &JobQueue, owner: Owner, size: usize) -> bool {
        match queue.push(owner, size, Work::Other(Box::new(Idle))).now_or_never() {
            Some(outcome) => outcome.is_ok(),
            None => false,
        }
    }

    /// The sizes of the jobs of the next transaction.
    fn take(queue: &JobQueue, options: &Options) -> Vec<usize> {
        queue.take(options).jobs.into_iter().map(|job| job.size).collect()
    }

    #[test]
    fn the_jobs_of_a_user_keep_their_order_and_fill_a_batch() {
        let (queue, options) = (JobQueue::new(64 << 20), options(4, 1 << 20, 1 << 20));
        let sizes = [600, 40_000, 700, 90_000, 800, 1];
        assert!(sizes.iter().all(|size| push(&queue, user(1), *size)));
        assert_eq!(take(&queue, &options), sizes[..4]);
        assert_eq!(take(&queue, &options), sizes[4..]);
        assert!(take(&queue, &options).is_empty());
    }

    #[test]
    fn a_later_user_shares_the_next_batch() {
        let (queue, options) = (JobQueue::new(64 << 20), options(512, 8 << 20, 1 << 20));
        assert!((0..16).all(|_| push(&queue, user(1), 1 << 20)));
        for other in 2..=9 {
            assert!(push(&queue, user(other), 600));
        }
        assert!(push(&queue, None, 600));
        let first = take(&queue, &options);
        assert_eq!(first.iter().filter(|size| **size == 600).count(), 9);
        assert_eq!(first.iter().filter(|size| **size == 1 << 20).count(), 1);
        // A single large job is taken as soon as its turn adds up, and then one in each batch.
        assert_eq!(take(&queue, &options), [1 << 20]);
    }

    #[test]
    fn users_share_a_batch_by_bytes() {
        let (queue, options) = (JobQueue::new(64 << 20), options(512, 1 << 20, 1 << 20));
        let (small, large) = (1 << 10, 64 << 10);
        assert!((0..200).all(|_| push(&queue, user(1), large)));
        assert!((0..1000).all(|_| push(&queue, user(2), small)));
        let (small_jobs, large_jobs): (Vec<usize>, Vec<usize>) =
            take(&queue, &options).into_iter().partition(|size| *size == small);
        let small_bytes: usize = small_jobs.iter().sum();
        let large_bytes: usize = large_jobs.iter().sum();
        assert!(small_bytes.abs_diff(large_bytes) <= 2 * large, "{small_bytes} {large_bytes}");
    }

    #[test]
    fn many_small_jobs_of_a_user_leave_room_for_others() {
        let (queue, options) = (JobQueue::new(64 << 20), options(512, 8 << 20, 1 << 20));
        assert!((0..1000).all(|_| push(&queue, user(1), 512)));
        assert!(push(&queue, user(2), 513));
        assert_eq!(take(&queue, &options).iter().position(|size| *size == 513), Some(32));
    }

    #[test]
    fn a_user_fills_a_quarter_of_the_queue_and_others_find_room() {
        let queue = JobQueue::new(16 * SPACE_UNIT);
        for owner in 1..=4 {
            assert!((0..4).all(|_| push(&queue, user(owner), SPACE_UNIT)));
            assert!(!push(&queue, user(owner), 1), "the share is used up");
        }
        assert!(push(&queue, user(5), SPACE_UNIT), "the only job of a user finds room");
        assert!(!push(&queue, user(5), SPACE_UNIT), "a further one waits for space");
        assert!(push(&queue, user(6), 64 * SPACE_UNIT), "a job may be larger than a share");
        assert!(push(&queue, None, 1));
        // Space is released when the jobs are answered, not when they are taken.
        let batch = queue.take(&options(1, 1 << 20, 1 << 20));
        assert!(!push(&queue, user(1), 1));
        drop(batch);
        assert!(push(&queue, user(1), 1));
    }

    #[test]
    fn idle_users_are_forgotten() {
        let (queue, options) = (JobQueue::new(64 << 20), options(512, 8 << 20, 1 << 20));
        for owner in 1..10_000 {
            assert!(push(&queue, user(owner), 600));
            assert_eq!(take(&queue, &options), [600]);
        }
        assert!(queue.lock().lanes.len() <= 2 * KNOWN_USERS);
    }

    #[test]
    fn a_closed_queue_gives_its_jobs_and_takes_none() {
        let (queue, options) = (JobQueue::new(16 * SPACE_UNIT), options(512, 8 << 20, 1 << 20));
        assert!((0..4).all(|_| push(&queue, user(1), 1)));
        let mut waiting = Box::pin(queue.push(user(1), 1, Work::Other(Box::new(Idle))));
        assert!(waiting.as_mut().now_or_never().is_none());
        queue.close();
        assert!(waiting.now_or_never().is_some_and(|outcome| outcome.is_err()));
        assert!(!push(&queue, user(1), 1) && !push(&queue, user(2), 1));
        assert_eq!(queue.ready().now_or_never(), Some(true));
        assert_eq!(take(&queue, &options).len(), 4);
        assert_eq!(queue.ready().now_or_never(), Some(false));
    }

    #[test]
    fn an_abandoned_queue_drops_its_jobs() {
        let queue = JobQueue::new(64 << 20);
        assert!(push(&queue, user(1), 1));
        assert!(!queue.is_idle());
        queue.abandon();
        assert_eq!(queue.ready().now_or_never(), Some(false));
    }
}
