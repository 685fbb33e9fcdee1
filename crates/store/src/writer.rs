//! The writer: runs jobs in transactions, one after another.

use crate::batch::{Batch, Committed, PostOutcome};
use crate::commit_time::last_commit_time;
use crate::connect::{ReadPool, Target, Use, close};
use crate::deadline::transaction_within;
use crate::error::is_fatal;
use crate::housekeeper::{Housekeeper, Part, Step};
use crate::job::{Answer, Post, Work, answer};
use crate::job_queue::{JobBatch, JobQueue, Kind};
use crate::options::{Counters, Options};
use crate::post_writer::{POST_WRITERS, PostWriter};
use crate::publication::Publication;
use crate::read::GRACE;
use crate::scope::LockedFlows;
use crate::slow_log::log_if_slow;
use sea_orm::DatabaseConnection;
use std::collections::VecDeque;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::{Bus, PortError, PruneCount, PruneStep, StoreError};

/// Duration within which a transaction on a lost connection fails; a later failure has another
/// cause.
const LOST_CONNECTION: Duration = Duration::from_millis(200);

/// The next act of the writer.
enum Next {
    Job,
    Housekeeping,
    End,
}

pub(crate) struct Writer {
    target: Target,
    /// `None` after a failure: the next transaction gets a new connection.
    database: Option<DatabaseConnection>,
    queue: Arc<JobQueue>,
    bus: Arc<dyn Bus>,
    options: Options,
    counters: Arc<Counters>,
    /// The last commit, while it is being published and answered.
    publication: Option<Publication>,
    housekeeper: Housekeeper,
    /// The records that housekeeping has removed since it was due.
    removed: Vec<PruneCount>,
}

impl Writer {
    /// Connects and starts the writer in a thread of its own, so that publishing on the runtime's
    /// threads does not delay the next transaction. The receiver resolves when every job is
    /// answered and the connection closed; it fails if the writer panicked. On PostgreSQL other
    /// writers post the messages meanwhile, in the same thread; they read by `readers`.
    pub(crate) async fn start(
        target: Target,
        readers: ReadPool,
        queue: Arc<JobQueue>,
        bus: Arc<dyn Bus>,
        options: Options,
        counters: Arc<Counters>,
    ) -> Result<oneshot::Receiver<()>, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let ((begin, begun), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let post_writers = match &target {
            Target::Sqlite(_) => Vec::new(),
            Target::Postgres(server) => (0..POST_WRITERS)
                .map(|_| PostWriter {
                    server: server.clone(),
                    session: None,
                    readers: readers.clone(),
                    queue: queue.clone(),
                    bus: bus.clone(),
                    options: options.clone(),
                    counters: counters.clone(),
                })
                .collect(),
        };
        let mut writer = Self {
            target,
            database: None,
            queue,
            bus,
            options,
            counters,
            publication: None,
            housekeeper: Housekeeper::new(),
            removed: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            runtime.block_on(async move {
                match writer.connect().await {
                    Ok(()) => {
                        // The caller that opens the store may have been cancelled.
                        let _ = begin.send(Ok(()));
                        let posting: Vec<_> = post_writers
                            .into_iter()
                            .map(|writer| tokio::spawn(writer.run()))
                            .collect();
                        writer.run().await;
                        for task in posting {
                            if let Err(error) = task.await
                                && error.is_panic()
                            {
                                std::panic::resume_unwind(error.into_panic());
                            }
                        }
                    }
                    Err(error) => {
                        let _ = begin.send(Err(error));
                    }
                }
            });
            drop(runtime);
            let _ = end.send(());
        });
        thread.map_err(failed)?;
        begun.await.map_err(failed)??;
        Ok(ended)
    }

    /// Connects. Fails if the database is an incomplete copy.
    async fn connect(&mut self) -> Result<(), StoreError> {
        let database = self.connection().await?;
        last_commit_time(&database).await?;
        self.database = Some(database);
        Ok(())
    }

    /// Writes until the queue is closed and every job is answered.
    async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Job => self.write().await,
                Next::Housekeeping => self.housekeeping().await,
                Next::End => break,
            }
        }
        self.finish_publication().await;
        if let Some(database) = self.database.take() {
            if self.options.is_import
                && let Err(error) = self.target.sync(&database).await
            {
                tracing::error!(error = %ErrorChain(&error), "an import may not be durable yet");
            }
            close(database).await;
        }
    }

    /// Waits for a job or for a step of housekeeping, until the queue is closed and empty.
    async fn next(&mut self) -> Next {
        let step = self.housekeeper.next_step(self.queue.is_idle());
        let step = step.filter(|_| !self.queue.is_closed());
        if step.is_some_and(|time| time <= Instant::now()) {
            return Next::Housekeeping;
        }
        let next = |ready| if ready { Next::Job } else { Next::End };
        if let Some(publication) = &mut self.publication {
            tokio::select! {
                biased;
                // The callers that are being answered submit their next changes, which then share a
                // commit.
                _ = &mut publication.published => self.finish_publication().await,
                // A slow bus does not delay jobs that arrive meanwhile.
                ready = self.queue.ready(Kind::Change) => return next(ready),
            }
        }
        let ready = self.queue.ready(Kind::Change);
        match step {
            None => next(ready.await),
            Some(time) => {
                tokio::time::timeout_at(time, ready).await.map_or(Next::Housekeeping, next)
            }
        }
    }

    /// Waits until the last commit is published and answered.
    async fn finish_publication(&mut self) {
        if let Some(publication) = self.publication.take() {
            publication.finished().await;
        }
    }

    /// Takes jobs up to the limits of a batch, runs them in one transaction and begins to publish
    /// it.
    async fn write(&mut self) {
        // The callers that were just answered get a turn to submit their next change, which then
        // shares this commit.
        tokio::task::yield_now().await;
        let JobBatch { jobs, bytes, busy } = self.queue.take(Kind::Change, &self.options);
        let (mut work, mut space) = (VecDeque::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            // A job that timed out before it began is not run: see the crate's documentation.
            if !job.work.is_abandoned() {
                work.push_back(job.work);
                space.push(job.space);
            }
        }
        if work.is_empty() {
            self.queue.release(busy);
            return;
        }
        let (started, count) = (Instant::now(), work.len());
        let mut answers = Vec::with_capacity(count);
        let outcome = self.transact(&mut work, &mut answers).await;
        log_if_slow(started.into_std(), count, bytes, self.options.is_import);
        match outcome {
            Ok(committed) => {
                self.counters.transactions.fetch_add(1, Ordering::Relaxed);
                self.counters.jobs.fetch_add(count as u64, Ordering::Relaxed);
                self.housekeeper.committed(committed.now, committed.deleted_flow);
                // At most one commit is being published, so that a slow bus does not fill the
                // memory.
                self.finish_publication().await;
                let (queue, bus, events) = (self.queue.clone(), self.bus.clone(), committed.events);
                self.publication =
                    Some(Publication::begin(queue, bus, events, busy, answers, space));
            }
            Err(error) => {
                tracing::error!(
                    error = %ErrorChain(&error),
                    jobs = count,
                    "a transaction failed and was rolled back"
                );
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                self.queue.release(busy);
                for answer in answers {
                    answer(Err(error.clone()));
                }
                for work in work {
                    work.fail(error.clone());
                }
            }
        }
    }

    /// Runs the work in one transaction. Work that had not begun when it fails stays in `work`.
    async fn transact(
        &mut self,
        work: &mut VecDeque<Work>,
        answers: &mut Vec<Answer>,
    ) -> Result<Committed, StoreError> {
        let (waiting, reused, started) = (work.len(), self.database.is_some(), Instant::now());
        let outcome = self.attempt(work, answers).await;
        // A lost connection shows when a transaction begins on it. Nothing was done then, and a new
        // connection may work.
        if outcome.is_err()
            && reused
            && work.len() == waiting
            && started.elapsed() < LOST_CONNECTION
        {
            return self.attempt(work, answers).await;
        }
        outcome
    }

    async fn attempt(
        &mut self,
        work: &mut VecDeque<Work>,
        answers: &mut Vec<Answer>,
    ) -> Result<Committed, StoreError> {
        let database = self.connection().await?;
        let mut flows = LockedFlows::default();
        for next in work.iter() {
            if let Work::Other(_, scope) = next {
                flows.add(scope);
            }
        }
        let outcome = self
            .within_limit(async {
                let mut batch = Batch::begin(&database, &flows).await?;
                match apply(&mut batch, work, answers).await {
                    Ok(Applied::Changes) => batch.commit().await,
                    Ok(Applied::Nothing) => batch.end_without_changes().await,
                    Err(error) => {
                        batch.roll_back().await;
                        Err(error)
                    }
                }
            })
            .await;
        self.keep(database, outcome.is_ok());
        outcome
    }

    /// Abandons a transaction that takes too long, unless the target has no limit.
    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.target.write_limit(self.options.timeout) {
            Some(limit) => transaction_within(limit, work).await,
            None => work.await,
        }
    }

    async fn connection(&mut self) -> Result<DatabaseConnection, StoreError> {
        match self.database.take() {
            Some(database) => Ok(database),
            None => {
                let usage = if self.options.is_import { Use::Import } else { Use::Write };
                self.target.connect(usage, self.options.timeout).await
            }
        }
    }

    /// Keeps a connection for the next transaction. After a failure its state is unknown, because
    /// the database may have ended the transaction by itself: it is closed in the background.
    fn keep(&mut self, database: DatabaseConnection, sound: bool) {
        if sound {
            self.database = Some(database);
        } else {
            tokio::spawn(close(database));
        }
    }

    /// Runs one step of housekeeping.
    async fn housekeeping(&mut self) {
        let (step, started) = (self.housekeeper.step(), Instant::now());
        let outcome = match self.connection().await {
            Ok(database) => {
                let outcome = self.within_limit(self.housekeeping_step(&database, step)).await;
                self.keep(database, outcome.is_ok());
                outcome
            }
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let jobs = self.counters.jobs.load(Ordering::Relaxed);
        match outcome {
            Ok((work, done)) => {
                match done {
                    HousekeepingDone::Flows { more } => self.housekeeper.removed_flows(more),
                    HousekeepingDone::Claim { is_claimed } => self.housekeeper.claimed(is_claimed),
                    HousekeepingDone::Records(step) => self.pruned(step),
                }
                self.housekeeper.pace(work, now - started, jobs, now);
            }
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "housekeeping failed");
                self.housekeeper.failed(now);
            }
        }
    }

    /// Notes a step over old records. The last one reports what was removed.
    fn pruned(&mut self, step: PruneStep) {
        self.housekeeper.pruned(&step);
        step.removed.into_iter().for_each(|count| count.add_to(&mut self.removed));
        if !step.more {
            for PruneCount { kind, records, bytes } in self.removed.drain(..) {
                tracing::info!(kind, records, bytes, "housekeeping removed old records");
            }
        }
    }

    /// Runs one step of housekeeping in a transaction of its own. Returns the duration without
    /// beginning and commit.
    async fn housekeeping_step(
        &self,
        database: &DatabaseConnection,
        Step { rows, part, now }: Step,
    ) -> Result<(Duration, HousekeepingDone), StoreError> {
        let flows = match part {
            Part::DeletedFlows => LockedFlows::all(),
            Part::ClaimSweep { .. } | Part::OldRecords(_) => LockedFlows::default(),
        };
        let mut batch = Batch::begin(database, &flows).await?;
        let started = Instant::now();
        let done = match part {
            Part::DeletedFlows => {
                batch.remove_deleted_flow(rows).await.map(|more| HousekeepingDone::Flows { more })
            }
            Part::ClaimSweep { since } => batch
                .claim_sweep(now, since)
                .await
                .map(|is_claimed| HousekeepingDone::Claim { is_claimed }),
            Part::OldRecords(extent) => batch
                .prune(&self.options.retention, extent, now, GRACE, rows)
                .await
                .map(HousekeepingDone::Records),
        };
        let work = started.elapsed();
        match done {
            Ok(done) => batch.commit().await.map(|_| (work, done)),
            Err(error) => {
                batch.roll_back().await;
                Err(error)
            }
        }
    }
}

/// The result of a step of housekeeping.
enum HousekeepingDone {
    /// Of one over deleted flows.
    Flows {
        /// True if there may be more.
        more: bool,
    },
    /// Of the beginning of a sweep.
    Claim {
        /// False if another node has begun it.
        is_claimed: bool,
    },
    /// Of one over old records.
    Records(PruneStep),
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a panic no job is done any more.
        self.queue.abandon();
    }
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Failed(PortError::caused_by("the writer's thread did not start", error))
}

/// The result of work.
enum Applied {
    /// There may be changes to commit.
    Changes,
    /// The only job was refused, and what it changed has to be undone.
    Nothing,
}

/// Runs the work in order. A job that is refused, or that violates a rule of the database, is
/// undone alone; the error that is returned is one that aborts the transaction.
async fn apply(
    batch: &mut Batch,
    work: &mut VecDeque<Work>,
    answers: &mut Vec<Answer>,
) -> Result<Applied, StoreError> {
    while let Some(next) = work.pop_front() {
        match next {
            Work::Post(post) => {
                let mut run = vec![*post];
                while let Some(Work::Post(post)) =
                    work.pop_front_if(|next| matches!(next, Work::Post(_)))
                {
                    run.push(*post);
                }
                let alone = answers.is_empty() && work.is_empty();
                post_run(batch, run, answers, alone).await?;
            }
            // The only job needs no savepoint, for which SQLite copies each page that changes.
            Work::Other(task, _) if answers.is_empty() && work.is_empty() => {
                let (answer, error) = task.apply(batch).await;
                answers.push(answer);
                match error {
                    None => {}
                    Some(error) if is_fatal(&error) => return Err(error),
                    Some(_) => return Ok(Applied::Nothing),
                }
            }
            Work::Other(task, _) => {
                let savepoint = batch.savepoint().await?;
                let (answer, error) = task.apply(batch).await;
                answers.push(answer);
                match error {
                    None => batch.release(savepoint).await?,
                    Some(error) if is_fatal(&error) => return Err(error),
                    Some(_) => batch.undo(savepoint).await?,
                }
            }
        }
    }
    Ok(Applied::Changes)
}

/// Posts a run of messages. A run that is `alone` in its transaction needs no savepoint, because
/// rolling back the transaction undoes nothing else.
async fn post_run(
    batch: &mut Batch,
    run: Vec<Post>,
    answers: &mut Vec<Answer>,
    alone: bool,
) -> Result<(), StoreError> {
    let (mut messages, mut callers) =
        (Vec::with_capacity(run.len()), Vec::with_capacity(run.len()));
    for post in run {
        messages.push((post.message, post.now));
        callers.push(post.answer);
    }
    let savepoint = if alone { None } else { Some(batch.savepoint().await?) };
    match batch.post(messages).await {
        Ok(outcomes) => {
            if let Some(savepoint) = savepoint {
                batch.release(savepoint).await?;
            }
            let outcomes =
                outcomes.into_iter().map(|outcome: PostOutcome| outcome.map_err(StoreError::from));
            answers.extend(
                callers.into_iter().zip(outcomes).map(|(caller, outcome)| answer(caller, outcome)),
            );
            Ok(())
        }
        Err(error) => {
            answers.extend(callers.into_iter().map(|caller| answer(caller, Err(error.clone()))));
            match savepoint {
                Some(savepoint) if !is_fatal(&error) => batch.undo(savepoint).await,
                _ => Err(error),
            }
        }
    }
}
