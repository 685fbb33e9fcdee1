//! The one that writes: it drains what waits into one transaction and commits. What was committed
//! is published and then answered, in the order of the commits, by a task of its own wherever the
//! next transaction can begin meanwhile.

use crate::batch::{Batch, Committed, PostOutcome, last_moment};
use crate::connect::{Target, Use, close};
use crate::error::is_fatal;
use crate::{Counters, Options};
use async_trait::async_trait;
use sea_orm::DatabaseConnection;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tolmach_domain::{Event, Timestamp};
use tolmach_engine::ports::{Bus, PortError, PostMessage, Posted, StoreError};

/// A transaction that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_millis(250);

/// A connection that fails sooner than this was lost before; later, the database is in trouble.
const AT_ONCE: Duration = Duration::from_millis(200);

/// After so long in `now`s the housekeeping are looked at again.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(600);

/// One change in the queue.
pub(crate) struct Job {
    pub(crate) work: Work,
    /// Roughly how many bytes it holds.
    pub(crate) size: usize,
    /// Its room in the queue, given back when it is answered.
    pub(crate) room: OwnedSemaphorePermit,
}

/// What a job does.
pub(crate) enum Work {
    /// Posts a message: several in a row are posted together.
    Post(Box<Post>),
    /// Anything else.
    Other(Box<dyn Task>),
}

/// A message to post and whoever waits for it.
pub(crate) struct Post {
    pub(crate) message: PostMessage,
    pub(crate) now: Timestamp,
    pub(crate) answer: oneshot::Sender<Result<Posted, StoreError>>,
}

/// A change of any kind, with whoever waits for it.
#[async_trait]
pub(crate) trait Task: Send {
    /// Makes the change. The problem, if any, is told apart so that the writer can undo it.
    async fn apply(self: Box<Self>, batch: &mut Batch) -> (Answer, Option<StoreError>);
    /// Says that it was not made.
    fn fail(self: Box<Self>, error: StoreError);
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

/// Tells a caller what came of its change, once it is known whether the transaction was committed.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Task`] out of a closure.
pub(crate) struct Change<T, F> {
    pub(crate) change: F,
    pub(crate) answer: oneshot::Sender<Result<T, StoreError>>,
}

#[async_trait]
impl<T, F> Task for Change<T, F>
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
{
    async fn apply(self: Box<Self>, batch: &mut Batch) -> (Answer, Option<StoreError>) {
        let outcome = (self.change)(batch).await;
        let problem = outcome.as_ref().err().cloned();
        (answer(self.answer, outcome), problem)
    }

    fn fail(self: Box<Self>, error: StoreError) {
        answer(self.answer, Err(error))(Ok(()));
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

fn answer<T: Send + 'static>(
    caller: oneshot::Sender<Result<T, StoreError>>,
    outcome: Result<T, StoreError>,
) -> Answer {
    Box::new(move |committed| {
        // A caller that stopped waiting has been told what that means.
        let _ = caller.send(committed.and(outcome));
    })
}

impl Work {
    fn fail(self, error: StoreError) {
        match self {
            Work::Post(post) => answer(post.answer, Err(error))(Ok(())),
            Work::Other(task) => task.fail(error),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Work::Post(post) => post.answer.is_closed(),
            Work::Other(task) => task.is_abandoned(),
        }
    }
}

/// What was committed, while it is published and answered.
struct Publication {
    published: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

pub(crate) struct Writer {
    target: Target,
    /// None after a failure: the next transaction gets a new connection.
    database: Option<DatabaseConnection>,
    jobs: mpsc::Receiver<Job>,
    bus: Arc<dyn Bus>,
    options: Options,
    counters: Arc<Counters>,
    /// The last transaction that was committed, while it is published and answered.
    publication: Option<Publication>,
    /// The newest `now` that was told, and the one at which the housekeeping were last done.
    now: Timestamp,
    housekeeping_done: Timestamp,
    housekeeping_due: bool,
}

impl Writer {
    /// Connects and begins to write, in a thread of its own: however busy the others are with what
    /// was committed, the next transaction goes on meanwhile. What is returned resolves when every
    /// job is answered and the connection closed; it fails if the writer panicked.
    pub(crate) async fn start(
        target: Target,
        jobs: mpsc::Receiver<Job>,
        bus: Arc<dyn Bus>,
        options: Options,
        counters: Arc<Counters>,
    ) -> Result<oneshot::Receiver<()>, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let ((begin, begun), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let now = Timestamp::default();
        // Flows that were deleted before the last stop may still have messages.
        let mut writer = Self {
            target,
            database: None,
            jobs,
            bus,
            options,
            counters,
            publication: None,
            now,
            housekeeping_done: now,
            housekeeping_due: true,
        };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            runtime.block_on(async move {
                match writer.connect().await {
                    Ok(()) => {
                        // Whoever opened the store may have given up.
                        let _ = begin.send(Ok(()));
                        writer.run().await;
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

    /// Connects, to a database that is whole.
    async fn connect(&mut self) -> Result<(), StoreError> {
        let database = self.connection().await?;
        last_moment(&database).await?;
        self.database = Some(database);
        Ok(())
    }

    /// Writes until every sender of jobs is gone and every job is answered.
    async fn run(mut self) {
        loop {
            let first = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(mpsc::error::TryRecvError::Empty) if self.housekeeping_due => {
                    self.housekeeping().await;
                    continue;
                }
                Err(_) => match self.next().await {
                    Some(job) => job,
                    None => break,
                },
            };
            self.write(first).await;
        }
        self.told().await;
        if let Some(database) = self.database.take() {
            close(database).await;
        }
    }

    /// Waits for a change.
    async fn next(&mut self) -> Option<Job> {
        if let Some(publication) = &mut self.publication {
            tokio::select! {
                biased;
                // Those who are answered now come back with their next changes, which share a
                // commit then.
                _ = &mut publication.published => self.told().await,
                // A bus that is slow holds nobody up who comes meanwhile.
                job = self.jobs.recv() => return job,
            }
        }
        self.jobs.recv().await
    }

    /// Waits until the last transaction is published and answered.
    async fn told(&mut self) {
        if let Some(publication) = self.publication.take()
            && let Err(error) = publication.task.await
        {
            tracing::error!(%error, "what was committed was not published in order");
        }
    }

    /// Takes what waits, to the bounds of a batch, and hands on what came of it.
    async fn write(&mut self, first: Job) {
        let (mut bytes, mut work, mut room) = (0, VecDeque::new(), Vec::new());
        let mut next = Some(first);
        // Those who were just answered get a turn to come back with their next change, and to share
        // this commit.
        tokio::task::yield_now().await;
        while let Some(job) = next {
            bytes += job.size;
            // Nobody waits for it and nothing of it has begun: leaving it out is what the caller
            // was told.
            if !job.work.is_abandoned() {
                work.push_back(job.work);
                room.push(job.room);
            }
            let full = work.len() >= self.options.batch_jobs || bytes >= self.options.batch_bytes;
            next = if full { None } else { self.jobs.try_recv().ok() };
        }
        if work.is_empty() {
            return;
        }
        let (started, count) = (Instant::now(), work.len());
        let mut answers = Vec::with_capacity(count);
        let outcome = self.transact(&mut work, &mut answers).await;
        if started.elapsed() > SLOW {
            let elapsed = started.elapsed().as_millis();
            tracing::warn!(
                jobs = count,
                bytes,
                elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX),
                "a slow transaction"
            );
        }
        match outcome {
            Ok(committed) => {
                self.counters.transactions.fetch_add(1, Ordering::Relaxed);
                self.counters.jobs.fetch_add(count as u64, Ordering::Relaxed);
                self.now = self.now.max(committed.now);
                self.housekeeping_due |= committed.deleted_flow
                    || self.now > self.housekeeping_done.after(HOUSEKEEPING_INTERVAL);
                // While one is told the next may be under way, and no more: a slow bus must not
                // fill the memory.
                self.told().await;
                self.publication =
                    Some(Publication::begin(self.bus.clone(), committed.events, answers, room));
            }
            Err(error) => {
                tracing::error!(%error, jobs = count, "a transaction failed; nothing of it was kept");
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                for answer in answers {
                    answer(Err(error.clone()));
                }
                for work in work {
                    work.fail(error.clone());
                }
            }
        }
    }

    /// Does the work in one transaction. What was not begun when it fails stays in `work`.
    async fn transact(
        &mut self,
        work: &mut VecDeque<Work>,
        answers: &mut Vec<Answer>,
    ) -> Result<Committed, StoreError> {
        let (waiting, kept, started) = (work.len(), self.database.is_some(), Instant::now());
        let outcome = self.attempt(work, answers).await;
        // Only by beginning it is found out that a connection was lost meanwhile. Nothing was done
        // then, and a new one may serve.
        if outcome.is_err() && kept && work.len() == waiting && started.elapsed() < AT_ONCE {
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
        let outcome = self
            .within_limit(async {
                let mut batch = Batch::begin(&database).await?;
                match apply(&mut batch, work, answers).await {
                    Ok(()) => batch.commit().await,
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

    /// Gives a transaction up that takes too long. If it was being committed, whether it was is not
    /// known.
    async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Some(limit) = self.target.write_limit(self.options.timeout) else { return work.await };
        let late = || {
            StoreError::unavailable(format!(
                "the transaction was not over within {} ms",
                limit.as_millis()
            ))
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connection(&mut self) -> Result<DatabaseConnection, StoreError> {
        match self.database.take() {
            Some(database) => Ok(database),
            None => self.target.connect(Use::Write, self.options.timeout).await,
        }
    }

    /// After a failure the database may have ended the transaction by itself, so the connection's
    /// state is not known: it goes, and nobody waits for that.
    fn keep(&mut self, database: DatabaseConnection, sound: bool) {
        if sound {
            self.database = Some(database);
        } else {
            tokio::spawn(close(database));
        }
    }

    async fn housekeeping(&mut self) {
        let outcome = match self.connection().await {
            Ok(database) => {
                let outcome = self
                    .within_limit(async {
                        let mut batch = Batch::begin(&database).await?;
                        match batch.housekeeping(self.now).await {
                            Ok(more) => batch.commit().await.map(|_| more),
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
            Err(error) => Err(error),
        };
        self.housekeeping_done = self.now;
        // After a failure they wait for the next occasion instead of trying again at once.
        self.housekeeping_due = outcome.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is no longer needed could not be removed");
            false
        });
    }
}

impl Publication {
    /// Publishes what was committed, then answers, then gives back the room that the changes had in
    /// the queue.
    fn begin(
        bus: Arc<dyn Bus>,
        events: Vec<Arc<Event>>,
        answers: Vec<Answer>,
        room: Vec<OwnedSemaphorePermit>,
    ) -> Self {
        let (sender, published) = oneshot::channel();
        let task = tokio::spawn(async move {
            if !events.is_empty() {
                bus.publish(&events).await;
            }
            // The writer does not listen if it is at work.
            let _ = sender.send(());
            for answer in answers {
                answer(Ok(()));
            }
            drop(room);
        });
        Self { published, task }
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Failed(PortError::caused_by("the writer's thread did not start", error))
}

/// Applies the work in order. A refused job, or one that hit a rule of the database, is undone
/// alone; the error returned is one of the database as a whole.
async fn apply(
    batch: &mut Batch,
    work: &mut VecDeque<Work>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
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
            Work::Other(task) => {
                let mark = batch.mark().await?;
                let (answer, problem) = task.apply(batch).await;
                answers.push(answer);
                match problem {
                    None => batch.keep(mark).await?,
                    Some(error) if is_fatal(&error) => return Err(error),
                    Some(_) => batch.undo(mark).await?,
                }
            }
        }
    }
    Ok(())
}

/// Posts a run. One that is `alone` in its transaction needs no mark: what undoes it undoes nothing
/// else.
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
    let mark = if alone { None } else { Some(batch.mark().await?) };
    match batch.post(messages).await {
        Ok(outcomes) => {
            if let Some(mark) = mark {
                batch.keep(mark).await?;
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
            match mark {
                Some(mark) if !is_fatal(&error) => batch.undo(mark).await,
                _ => Err(error),
            }
        }
    }
}
