//! The queue of the writers: fair between users.
//!
//! Jobs of one user keep their order. Between users it is deficit round robin: in each turn a user
//! may add jobs of [`QUANTUM`] bytes to a transaction, what is left of it counts for the next turn.
//! A user's jobs take at most a quarter of the queue, and the only job of a user always finds
//! room: one who fills the queue, or a transaction, delays no other.
//!
//! If transactions run side by side, new messages and other changes are taken apart. The users and
//! the flows of a transaction are *busy* until it is [released](JobQueue::release), after its
//! events were published: no other transaction takes a job of such a user or such a flow.

use crate::job::{Job, Work};
use crate::options::Options;
use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};
use tolmach_domain::{FlowId, UserId};
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

/// The jobs that a writer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All, where one transaction runs at a time; else the changes that post no message.
    Change,
    /// New messages, where transactions run side by side.
    Message,
}

/// The jobs that wait for the writers.
pub(crate) struct JobQueue {
    state: Mutex<State>,
    /// Notify the writers of each kind of a job, or of the end.
    changed: [Notify; 2],
    /// The free space for the jobs of all users, in units.
    space: Arc<Semaphore>,
    /// The space for the jobs of one user, in units.
    share: usize,
}

#[derive(Default)]
struct State {
    /// True if transactions run side by side.
    concurrent: bool,
    lanes: HashMap<Owner, Lane>,
    /// The owners whose next job is of each kind, in the order of their turns.
    turns: [VecDeque<Owner>; 2],
    /// The flows that are busy, each with the owners whose next job waits for it.
    busy_flows: HashMap<FlowId, Vec<Owner>>,
    /// The number of jobs.
    jobs: usize,
    /// The number of batches taken.
    batches: u64,
    /// The number of lanes at which idle ones are forgotten.
    forget_at: usize,
    closed: bool,
}

/// The jobs of one owner.
struct Lane {
    jobs: VecDeque<Job>,
    /// True while the owner is in `turns`, waits for a flow, or is busy.
    placed: bool,
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
    pub(crate) busy: Busy,
}

/// The users and flows that are busy with a transaction.
#[derive(Default)]
pub(crate) struct Busy {
    owners: Vec<Owner>,
    flows: Vec<FlowId>,
}

impl JobQueue {
    /// `concurrent` is true if transactions run side by side.
    pub(crate) fn new(queue_bytes: usize, concurrent: bool) -> Self {
        let units = (queue_bytes / SPACE_UNIT).clamp(SHARES, Semaphore::MAX_PERMITS);
        let units = units.min(u32::MAX as usize);
        Self {
            state: Mutex::new(State { concurrent, ..State::default() }),
            changed: [Notify::new(), Notify::new()],
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
        let placed = self.lock().add(owner, self.share, job)?;
        if let Some(kind) = placed {
            self.changed[kind as usize].notify_one();
        }
        Ok(())
    }

    /// Waits for a job of a kind. False once the queue is closed and empty.
    pub(crate) async fn ready(&self, kind: Kind) -> bool {
        loop {
            let mut changed = pin!(self.changed[kind as usize].notified());
            changed.as_mut().enable();
            {
                let state = self.lock();
                if !state.turns[kind as usize].is_empty() {
                    return true;
                }
                if state.closed && state.jobs == 0 {
                    return false;
                }
            }
            changed.await;
        }
    }

    /// True if the queue is open and no job waits.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.jobs == 0 && !state.closed
    }

    /// True if the queue takes no more jobs.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes the jobs of the next transaction, up to the limits of a batch.
    pub(crate) fn take(&self, kind: Kind, options: &Options) -> JobBatch {
        let mut state = self.lock();
        let batch = state.take(kind, options);
        let (more, ended) = (!state.turns[kind as usize].is_empty(), state.jobs == 0);
        drop(state);
        if more {
            self.changed[kind as usize].notify_one();
        }
        if ended {
            self.changed.iter().for_each(Notify::notify_waiters);
        }
        batch
    }

    /// Lets other transactions take jobs of the users and flows of a transaction that has ended.
    pub(crate) fn release(&self, busy: Busy) {
        self.lock().release(busy);
        self.changed.iter().for_each(Notify::notify_one);
    }

    /// Refuses further jobs.
    pub(crate) fn close(&self) {
        self.space.close();
        let mut state = self.lock();
        state.closed = true;
        state.lanes.values().for_each(|lane| lane.space.close());
        drop(state);
        self.changed.iter().for_each(Notify::notify_waiters);
    }

    /// Refuses further jobs and drops those that wait; their callers are told that they were
    /// abandoned.
    pub(crate) fn abandon(&self) {
        self.close();
        let mut state = self.lock();
        let lanes = std::mem::take(&mut state.lanes);
        state.turns.iter_mut().for_each(VecDeque::clear);
        state.busy_flows.clear();
        state.jobs = 0;
        drop(state);
        drop(lanes);
        self.changed.iter().for_each(Notify::notify_waiters);
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
            self.lanes.retain(|_, lane| lane.placed || Arc::strong_count(&lane.space) > 1);
            self.forget_at = KNOWN_USERS.max(2 * self.lanes.len());
        }
        Ok(self.lanes.entry(owner).or_insert_with(|| Lane {
            jobs: VecDeque::new(),
            placed: false,
            space: Arc::new(Semaphore::new(share)),
            deficit: 0,
            batch: 0,
            taken: 0,
        }))
    }

    /// Adds a job. The kind of writer that may take it, if it is its owner's next.
    fn add(&mut self, owner: Owner, share: usize, job: Job) -> Result<Option<Kind>, StoreError> {
        let lane = self.lane(owner, share)?;
        lane.jobs.push_back(job);
        let is_placed = lane.placed;
        self.jobs += 1;
        Ok(if is_placed { None } else { self.place(owner) })
    }

    /// Gives an owner who is not busy a turn, or has them wait for the flow of their next job.
    fn place(&mut self, owner: Owner) -> Option<Kind> {
        let lane = self.lanes.get_mut(&owner)?;
        lane.placed = !lane.jobs.is_empty();
        let Some(job) = lane.jobs.front() else {
            lane.deficit = 0;
            return None;
        };
        let is_message = self.concurrent && job.work.message().is_some();
        let kind = if is_message { Kind::Message } else { Kind::Change };
        let busy = job.work.flows().iter().find(|flow| self.busy_flows.contains_key(flow));
        if let Some(waiting) = busy.and_then(|flow| self.busy_flows.get_mut(flow)) {
            waiting.push(owner);
            return None;
        }
        self.turns[kind as usize].push_back(owner);
        Some(kind)
    }

    fn take(&mut self, kind: Kind, options: &Options) -> JobBatch {
        self.batches += 1;
        let mut batch = JobBatch::default();
        // The owners who have had a turn: with jobs left for this transaction, without, and those
        // whose next job another transaction takes.
        let (mut again, mut finished, mut stopped) = (VecDeque::new(), Vec::new(), Vec::new());
        let (concurrent, busy_flows) = (self.concurrent, &self.busy_flows);
        let mut keys = HashSet::new();
        while batch.jobs.len() < options.batch_jobs && batch.bytes < options.batch_bytes {
            let next = self.turns[kind as usize].pop_front().or_else(|| again.pop_front());
            let Some(owner) = next else { break };
            let Some(lane) = self.lanes.get_mut(&owner) else { continue };
            let mut may_take = |work: &Work| {
                let is_busy = || work.flows().iter().any(|flow| busy_flows.contains_key(flow));
                match work.message() {
                    _ if !concurrent => true,
                    None => kind == Kind::Change && !is_busy(),
                    // A transaction posts at most one message with a key.
                    Some(new) => {
                        kind == Kind::Message
                            && !is_busy()
                            && new.key.as_ref().is_none_or(|key| keys.insert((owner, key.clone())))
                    }
                }
            };
            let is_stopped = lane.add_to(&mut batch, self.batches, options, &mut may_take);
            if lane.jobs.is_empty() {
                finished.push(owner);
            } else if is_stopped || lane.taken >= options.batch_bytes_per_user {
                stopped.push(owner);
            } else {
                again.push_back(owner);
            }
        }
        self.jobs -= batch.jobs.len();
        for owner in again.into_iter().chain(stopped).chain(finished) {
            let number = self.batches;
            let has_jobs = |lane: &Lane| lane.batch == number && lane.taken > 0;
            if self.concurrent && self.lanes.get(&owner).is_some_and(has_jobs) {
                batch.busy.owners.push(owner);
            } else {
                self.place(owner);
            }
        }
        if self.concurrent {
            let flows = batch.jobs.iter().flat_map(|job| job.work.flows()).copied();
            let flows: HashSet<FlowId> = flows.collect();
            self.busy_flows.extend(flows.iter().map(|flow| (*flow, Vec::new())));
            batch.busy.flows.extend(flows);
        }
        batch
    }

    fn release(&mut self, busy: Busy) {
        let waiting = busy.flows.iter().filter_map(|flow| self.busy_flows.remove(flow));
        let waiting: Vec<Owner> = waiting.flatten().collect();
        for owner in busy.owners.into_iter().chain(waiting) {
            self.place(owner);
        }
    }
}

impl Lane {
    /// Takes one turn. True if it ended because the next job may not be taken.
    fn add_to(
        &mut self,
        batch: &mut JobBatch,
        number: u64,
        options: &Options,
        may_take: &mut impl FnMut(&Work) -> bool,
    ) -> bool {
        if self.batch != number {
            (self.batch, self.taken) = (number, 0);
        }
        // A turn that a full batch ended leaves more than a turn that a large job did.
        let largest = QUANTUM + self.jobs.front().map_or(0, |job| job.size);
        self.deficit = (self.deficit + QUANTUM).min(largest);
        while batch.jobs.len() < options.batch_jobs
            && batch.bytes < options.batch_bytes
            && self.jobs.front().is_some_and(|job| job.size <= self.deficit)
        {
            let Some(job) = self.jobs.pop_front_if(|job| may_take(&job.work)) else { return true };
            self.deficit -= job.size;
            self.taken += job.size;
            batch.bytes += job.size;
            batch.jobs.push(job);
        }
        false
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
    use crate::job::{Answer, Post, Task};
    use crate::scope::Scope;
    use async_trait::async_trait;
    use futures_util::FutureExt;
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tolmach_domain::{Content, FlowKindFilter, Timestamp, UserSummary};
    use tolmach_engine::ports::PostMessage;

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
            ..Options::default()
        }
    }

    fn user(number: i64) -> Owner {
        Some(UserId::new(number).unwrap())
    }

    /// Adds a job; false if it has to wait for space.
    fn push(queue: &JobQueue, owner: Owner, size: usize) -> bool {
        match queue.push(owner, size, Work::Other(Box::new(Idle), Scope::NoFlow)).now_or_never() {
            Some(outcome) => outcome.is_ok(),
            None => false,
        }
    }

    /// The sizes of the jobs of the next transaction.
    fn take(queue: &JobQueue, options: &Options) -> Vec<usize> {
        queue.take(Kind::Change, options).jobs.into_iter().map(|job| job.size).collect()
    }

    #[test]
    fn the_jobs_of_a_user_keep_their_order_and_fill_a_batch() {
        let (queue, options) = (JobQueue::new(64 << 20, false), options(4, 1 << 20, 1 << 20));
        let sizes = [600, 40_000, 700, 90_000, 800, 1];
        assert!(sizes.iter().all(|size| push(&queue, user(1), *size)));
        assert_eq!(take(&queue, &options), sizes[..4]);
        assert_eq!(take(&queue, &options), sizes[4..]);
        assert!(take(&queue, &options).is_empty());
    }

    #[test]
    fn a_later_user_shares_the_next_batch() {
        let (queue, options) = (JobQueue::new(64 << 20, false), options(512, 8 << 20, 1 << 20));
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
        let (queue, options) = (JobQueue::new(64 << 20, false), options(512, 1 << 20, 1 << 20));
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
        let (queue, options) = (JobQueue::new(64 << 20, false), options(512, 8 << 20, 1 << 20));
        assert!((0..1000).all(|_| push(&queue, user(1), 512)));
        assert!(push(&queue, user(2), 513));
        assert_eq!(take(&queue, &options).iter().position(|size| *size == 513), Some(32));
    }

    #[test]
    fn a_user_fills_a_quarter_of_the_queue_and_others_find_room() {
        let queue = JobQueue::new(16 * SPACE_UNIT, false);
        for owner in 1..=4 {
            assert!((0..4).all(|_| push(&queue, user(owner), SPACE_UNIT)));
            assert!(!push(&queue, user(owner), 1), "the share is used up");
        }
        assert!(push(&queue, user(5), SPACE_UNIT), "the only job of a user finds room");
        assert!(!push(&queue, user(5), SPACE_UNIT), "a further one waits for space");
        assert!(push(&queue, user(6), 64 * SPACE_UNIT), "a job may be larger than a share");
        assert!(push(&queue, None, 1));
        // Space is released when the jobs are answered, not when they are taken.
        let batch = queue.take(Kind::Change, &options(1, 1 << 20, 1 << 20));
        assert!(!push(&queue, user(1), 1));
        drop(batch);
        assert!(push(&queue, user(1), 1));
    }

    #[test]
    fn idle_users_are_forgotten() {
        let (queue, options) = (JobQueue::new(64 << 20, false), options(512, 8 << 20, 1 << 20));
        for owner in 1..10_000 {
            assert!(push(&queue, user(owner), 600));
            assert_eq!(take(&queue, &options), [600]);
        }
        assert!(queue.lock().lanes.len() <= 2 * KNOWN_USERS);
    }

    #[test]
    fn a_closed_queue_gives_its_jobs_and_takes_none() {
        let (queue, options) =
            (JobQueue::new(16 * SPACE_UNIT, false), options(512, 8 << 20, 1 << 20));
        assert!((0..4).all(|_| push(&queue, user(1), 1)));
        let mut waiting =
            Box::pin(queue.push(user(1), 1, Work::Other(Box::new(Idle), Scope::NoFlow)));
        assert!(waiting.as_mut().now_or_never().is_none());
        queue.close();
        assert!(waiting.now_or_never().is_some_and(|outcome| outcome.is_err()));
        assert!(!push(&queue, user(1), 1) && !push(&queue, user(2), 1));
        assert_eq!(queue.ready(Kind::Change).now_or_never(), Some(true));
        assert_eq!(take(&queue, &options).len(), 4);
        assert_eq!(queue.ready(Kind::Change).now_or_never(), Some(false));
    }

    #[test]
    fn an_abandoned_queue_drops_its_jobs() {
        let queue = JobQueue::new(64 << 20, false);
        assert!(push(&queue, user(1), 1));
        assert!(!queue.is_idle());
        queue.abandon();
        assert_eq!(queue.ready(Kind::Change).now_or_never(), Some(false));
    }

    /// A message, with its owner.
    fn message(user: i64, flow: i64, key: Option<&str>) -> (Owner, Work) {
        let author = UserSummary {
            id: UserId::new(user).unwrap(),
            login: "login".into(),
            username: "username".into(),
            name: "name".into(),
        };
        let message = PostMessage {
            flow: FlowId::new(flow).unwrap(),
            kinds: FlowKindFilter::Any,
            author,
            administrator: false,
            content: Content::default(),
            key: key.map(str::to_owned),
            origin: None,
        };
        let (answer, _) = oneshot::channel();
        (
            Some(message.author.id),
            Work::Post(Box::new(Post { message, now: Timestamp::default(), answer })),
        )
    }

    /// Adds jobs to a queue whose transactions run side by side: the flow of a message, or 0 for
    /// another change, with a size for each.
    fn push_all(queue: &JobQueue, jobs: &[(i64, i64, Option<&str>)]) {
        for (number, (user, flow, key)) in jobs.iter().enumerate() {
            let (owner, work) = match flow {
                0 => {
                    (Some(UserId::new(*user).unwrap()), Work::Other(Box::new(Idle), Scope::NoFlow))
                }
                _ => message(*user, *flow, *key),
            };
            assert_eq!(queue.push(owner, number + 1, work).now_or_never(), Some(Ok(())));
        }
    }

    /// The sizes of the jobs of the next transaction, and what is busy with it.
    fn begin(queue: &JobQueue, kind: Kind) -> (Vec<usize>, Busy) {
        let batch = queue.take(kind, &options(512, 8 << 20, 1 << 20));
        (batch.jobs.iter().map(|job| job.size).collect(), batch.busy)
    }

    #[test]
    fn messages_and_changes_are_taken_apart_and_a_user_is_busy_with_one_transaction() {
        let queue = JobQueue::new(64 << 20, true);
        push_all(&queue, &[(1, 1, None), (1, 2, None), (1, 0, None), (1, 3, None), (2, 0, None)]);
        let (messages, first) = begin(&queue, Kind::Message);
        let (changes, second) = begin(&queue, Kind::Change);
        assert_eq!((messages, changes), (vec![1, 2], vec![5]));
        // The change of the first user waits for the user's messages, the last message for it.
        assert!(begin(&queue, Kind::Message).0.is_empty());
        assert!(begin(&queue, Kind::Change).0.is_empty());
        queue.release(first);
        queue.release(second);
        assert!(begin(&queue, Kind::Message).0.is_empty());
        let (changes, third) = begin(&queue, Kind::Change);
        assert_eq!(changes, [3]);
        queue.release(third);
        assert_eq!(begin(&queue, Kind::Message).0, [4]);
    }

    #[test]
    fn a_flow_is_busy_with_one_transaction_that_posts_to_it() {
        let queue = JobQueue::new(64 << 20, true);
        push_all(&queue, &[(1, 1, None)]);
        let (one, busy) = begin(&queue, Kind::Message);
        assert_eq!(one, [1]);
        push_all(&queue, &[(2, 1, None), (3, 2, None), (2, 2, None), (4, 1, None)]);
        // The jobs of the second user keep their order.
        let (two, other) = begin(&queue, Kind::Message);
        assert_eq!(two, [2]);
        queue.release(other);
        assert!(begin(&queue, Kind::Message).0.is_empty());
        queue.release(busy);
        let (three, _) = begin(&queue, Kind::Message);
        assert_eq!(three.iter().copied().collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_transaction_has_at_most_one_message_of_a_user_with_a_key() {
        let queue = JobQueue::new(64 << 20, true);
        let (a, b) = (Some("a"), Some("b"));
        push_all(&queue, &[(1, 1, a), (1, 1, b), (1, 1, a), (1, 1, None), (2, 1, a)]);
        let (first, busy) = begin(&queue, Kind::Message);
        assert_eq!(first, [1, 2, 5]);
        queue.release(busy);
        assert_eq!(begin(&queue, Kind::Message).0, [3, 4]);
    }

    #[test]
    fn writers_of_both_kinds_end_when_a_closed_queue_is_empty() {
        let queue = JobQueue::new(64 << 20, true);
        push_all(&queue, &[(1, 1, None), (1, 0, None)]);
        queue.close();
        let mut waiting = Box::pin(queue.ready(Kind::Change));
        assert!(waiting.as_mut().now_or_never().is_none(), "a change follows the message");
        let (messages, busy) = begin(&queue, Kind::Message);
        assert_eq!(messages, [1]);
        let mut idle = Box::pin(queue.ready(Kind::Message));
        assert!(idle.as_mut().now_or_never().is_none());
        queue.release(busy);
        assert_eq!(waiting.now_or_never(), Some(true));
        assert_eq!(begin(&queue, Kind::Change).0, [2]);
        assert_eq!(idle.now_or_never(), Some(false));
        assert_eq!(queue.ready(Kind::Change).now_or_never(), Some(false));
    }
}
