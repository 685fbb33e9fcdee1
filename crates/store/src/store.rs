//! The store: a queue of changes to one writer, and a pool of readers.

use crate::batch::Batch;
use crate::connect::{self, HeldConnection, ReadPool, Reads, Target, Use};
use crate::deadline::Deadline;
use crate::error::store_error;
use crate::job::{Change, Work};
use crate::job_queue::{JobQueue, Owner, closed};
use crate::known_objects::KnownObjects;
use crate::message_indexes::{self, MessageIndexes};
use crate::options::{Counters, Options, ReadConnections, Stats};
use crate::read_turns::{ReadClass, ReadTurn, ReadTurns, TurnConnections};
use crate::scope::Scope;
use crate::sql;
use crate::writer::Writer;
use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tolmach_domain::UserId;
use tolmach_engine::ports::{Bus, Store, StoreError};

/// Brings a database up to date and returns the names of the migrations that were applied. Safe
/// beside a running gateway and beside another migration.
pub async fn migrate(url: &str) -> Result<Vec<String>, StoreError> {
    let (target, timeout) = (Target::parse(url)?, Options::default().timeout);
    let applied = connect::migrate(&target, timeout).await?;
    message_indexes::make_missing(&target, timeout).await?;
    Ok(applied)
}

/// Describes the database that a URL names, without secrets, after checking that its server answers
/// and is usable. Creates and changes nothing.
pub async fn probe(url: &str) -> Result<String, StoreError> {
    let target = Target::parse(url)?;
    if let Target::Postgres(_) = target {
        connect::close(target.connect(Use::Maintain, Options::default().timeout).await?).await;
    }
    Ok(target.describe())
}

/// A [`Store`] in a SQL database.
///
/// ```
/// use std::sync::Arc;
/// use tolmach_engine::memory::MemoryBus;
/// use tolmach_engine::ports::{AccountKey, Store, UserStore};
/// use tolmach_store::{Options, SqlStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let url = format!("sqlite://{}?mode=rwc", folder.path().join("tolmach.db").display());
/// let store = SqlStore::open(&url, Arc::new(MemoryBus::new()), Options::default()).await?;
/// assert!(store.account(AccountKey::Login("anna")).await?.is_none());
/// store.close().await;
/// # Ok(())
/// # }
/// ```
pub struct SqlStore {
    pub(crate) readers: ReadPool,
    read_turns: ReadTurns,
    /// The connections of the turns.
    turn_readers: Vec<ReadPool>,
    /// The writer's queue.
    queue: Arc<JobQueue>,
    /// Resolves when the writer has ended.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    closed: AtomicBool,
    counters: Arc<Counters>,
    options: Options,
    /// Those of a store that imports.
    pub(crate) message_indexes: Option<MessageIndexes>,
    /// Those of imports through this store.
    pub(crate) known_objects: Arc<KnownObjects>,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A snapshot of the database, and the turn to read it.
pub(crate) struct Snapshot {
    // Dropped first, so that the next turn finds the connection.
    pub(crate) transaction: HeldConnection,
    _turn: ReadTurn,
}

/// The size of a job without its payload, in bytes.
pub(crate) const JOB_SIZE: usize = 512;

impl SqlStore {
    /// Opens the database that a URL names, brings it up to date and starts the writer. Events are
    /// published to `bus`.
    ///
    /// - `sqlite://path?mode=rwc` creates the file and its folder.
    /// - `postgres://user:password@host/database` names an existing database.
    /// - Another scheme is [`StoreError::Failed`], which names these two.
    pub async fn open(
        url: &str,
        bus: Arc<dyn Bus>,
        options: Options,
    ) -> Result<Arc<Self>, StoreError> {
        let target = Target::parse(url)?;
        for name in connect::migrate(&target, options.timeout).await? {
            tracing::info!(name, "a migration was applied");
        }
        let message_indexes = if options.is_import {
            Some(MessageIndexes::for_import(&target, &options).await?)
        } else {
            None
        };
        let ReadConnections { points, pages, scans } = options.split_read_connections();
        let readers = target.connect_readers(Reads::Any, points, options.timeout).await?;
        if message_indexes.is_none() && message_indexes::are_missing(&readers).await? {
            message_indexes::make_missing(&target, options.timeout).await?;
        }
        let pages = connect_each(&target, Reads::Pages, pages, options.timeout).await?;
        let scans = connect_each(&target, Reads::Any, scans, options.timeout).await?;
        let turn_readers: Vec<ReadPool> = pages.iter().chain(&scans).cloned().collect();
        let read_turns = ReadTurns::new(TurnConnections { points, pages, scans }, options.timeout);
        let concurrent = sql::is_concurrent(readers.get_database_backend());
        let queue = Arc::new(JobQueue::new(options.queue_bytes, concurrent));
        let counters = Arc::new(Counters::default());
        let writer = Writer::start(
            target,
            readers.clone(),
            queue.clone(),
            bus,
            options.clone(),
            counters.clone(),
        )
        .await?;
        Ok(Arc::new(Self {
            readers,
            read_turns,
            turn_readers,
            queue,
            writer: Mutex::new(Some(writer)),
            closed: AtomicBool::new(false),
            counters,
            options,
            message_indexes,
            known_objects: Arc::default(),
        }))
    }

    /// Statistics since the store was opened.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    /// Queues work for the writer, for one owner in the order of the calls; the future that it
    /// returns waits for the answer.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        owner: Owner,
        size: usize,
        work: Work,
        answered: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<impl Future<Output = Result<T, StoreError>> + Send + use<T>, StoreError> {
        let deadline = Deadline::after(self.options.timeout);
        deadline.bound(self.queue.push(owner, size, work)).await?;
        let gone = |_| StoreError::unavailable("the transaction was abandoned");
        Ok(async move { deadline.bound(async { answered.await.map_err(gone)? }).await })
    }

    /// Queues a change of a user and waits for its answer.
    pub(crate) async fn write_of<T, F>(
        &self,
        user: UserId,
        size: usize,
        change: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        self.write_in(Some(user), Scope::All, size, change).await
    }

    /// Queues a change without a user and waits for its answer.
    pub(crate) async fn write<T, F>(&self, size: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        self.write_in(None, Scope::All, size, change).await
    }

    /// Queues a change of a scope and waits for its answer.
    pub(crate) async fn write_in<T, F>(
        &self,
        owner: Owner,
        scope: Scope,
        size: usize,
        change: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work = Work::Other(Box::new(Change { change, answer }), scope);
        self.submit(owner, size + JOB_SIZE, work, answered).await?.await
    }

    /// Reads a record or a few, found by their keys, in their turn.
    pub(crate) async fn read<T, F>(
        &self,
        work: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        self.read_in_turn(|| async {
            let _turn = self.read_turns.take_short().await?;
            work().await
        })
        .await
    }

    /// Reads in a turn that `work` takes, again for each connection that turns out to be dead:
    /// after an outage of the server all connections of the pool are.
    pub(crate) async fn read_in_turn<T, F>(
        &self,
        work: impl Fn() -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let reading = async {
            for _ in 0..self.options.read_connections {
                match work().await {
                    Err(StoreError::Unavailable(_)) => {}
                    outcome => return outcome,
                }
            }
            work().await
        };
        Deadline::after(self.options.timeout).bound(reading).await
    }

    /// Reads a page by one statement on the connection that `work` is given.
    pub(crate) async fn read_page<T, F>(
        &self,
        user: UserId,
        work: impl Fn(HeldConnection) -> F + Send + Sync,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        self.read_in_turn(|| async {
            let turn = self.read_turns.take(ReadClass::Page, Some(user)).await?;
            work(turn.reader()?.hold().await.map_err(store_error)?).await
        })
        .await
    }

    /// A transaction that reads one snapshot of the database, for a page that this user wants.
    pub(crate) async fn snapshot(&self, user: Option<UserId>) -> Result<Snapshot, StoreError> {
        self.snapshot_for(ReadClass::Page, user).await
    }

    /// A transaction that reads one snapshot of the database.
    pub(crate) async fn snapshot_for(
        &self,
        class: ReadClass,
        user: Option<UserId>,
    ) -> Result<Snapshot, StoreError> {
        // Waiting for it can be cancelled, and leaves nothing that waits for a connection.
        let turn = self.read_turns.take(class, user).await?;
        let transaction = turn.reader()?.begin().await.map_err(store_error)?;
        Ok(Snapshot { transaction, _turn: turn })
    }
}

impl Drop for SqlStore {
    fn drop(&mut self) {
        // The writer ends once the jobs are done.
        self.queue.close();
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn ping(&self) -> Result<(), StoreError> {
        // Without a turn, so that it does not wait behind the reads that do for theirs.
        self.read_in_turn(|| async { self.readers.ping().await.map_err(store_error) }).await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.queue.close();
        // The lock is held until the writer has ended, so that a second caller waits as well.
        let mut writer = self.writer.lock().await;
        if let Some(writer) = writer.take()
            && writer.await.is_err()
        {
            tracing::error!("the writer panicked");
        }
        for readers in self.turn_readers.iter().chain([&self.readers]) {
            readers.close().await;
        }
    }
}

/// Opens connections that one read at a time uses.
async fn connect_each(
    target: &Target,
    reads: Reads,
    connections: u32,
    timeout: Duration,
) -> Result<Vec<ReadPool>, StoreError> {
    let mut readers = Vec::new();
    for _ in 0..connections {
        readers.push(target.connect_readers(reads, 1, timeout).await?);
    }
    Ok(readers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tolmach_engine::memory::MemoryBus;
    use tolmach_engine::ports::UserStore;

    #[tokio::test]
    async fn a_store_whose_short_reads_wait_answers_a_ping() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("ping.db").display());
        let options = Options { read_connections: 3, ..Options::default() };
        let store = SqlStore::open(&url, Arc::new(MemoryBus::new()), options).await.unwrap();
        let held = store.read_turns.take_short().await.unwrap();
        let mut reading = store.user(UserId::new(1).unwrap());
        assert!((&mut reading).now_or_never().is_none(), "it waits for its turn");
        store.ping().await.unwrap();
        drop(held);
        assert_eq!(reading.await, Ok(None));
        store.close().await;
    }
}
