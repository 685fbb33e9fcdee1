//! The store: a queue of changes to one writer, and a pool of readers.

use crate::batch::Batch;
use crate::connect::{self, Target, Use};
use crate::deadline::Deadline;
use crate::error::store_error;
use crate::job::{Change, Work};
use crate::job_queue::{JobQueue, Owner, closed};
use crate::options::{Counters, Options, Stats};
use crate::read_turns::{ReadTurn, ReadTurns};
use crate::writer::Writer;
use async_trait::async_trait;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, oneshot};
use tolmach_domain::UserId;
use tolmach_engine::ports::{Bus, PortError, Store, StoreError};

/// Brings a database up to date and returns the names of the migrations that were applied. Safe
/// beside a running gateway and beside another migration.
pub async fn migrate(url: &str) -> Result<Vec<String>, StoreError> {
    connect::migrate(&Target::parse(url)?, Options::default().timeout).await
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
    pub(crate) readers: DatabaseConnection,
    read_turns: ReadTurns,
    /// The writer's queue.
    queue: Arc<JobQueue>,
    /// Resolves when the writer has ended.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    closed: AtomicBool,
    counters: Arc<Counters>,
    options: Options,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A snapshot of the database, and the turn to read it.
pub(crate) struct Snapshot {
    // Dropped first, so that the next turn finds the connection.
    pub(crate) transaction: DatabaseTransaction,
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
        let readers = target
            .connect(Use::Read { connections: options.read_connections }, options.timeout)
            .await?;
        let read_turns = ReadTurns::new(options.read_connections);
        let queue = Arc::new(JobQueue::new(options.queue_bytes));
        let counters = Arc::new(Counters::default());
        let writer =
            Writer::start(target, queue.clone(), bus, options.clone(), counters.clone()).await?;
        Ok(Arc::new(Self {
            readers,
            read_turns,
            queue,
            writer: Mutex::new(Some(writer)),
            closed: AtomicBool::new(false),
            counters,
            options,
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
        self.change(Some(user), size, change).await
    }

    /// Queues a change without a user and waits for its answer.
    pub(crate) async fn write<T, F>(&self, size: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        self.change(None, size, change).await
    }

    async fn change<T, F>(&self, owner: Owner, size: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work = Work::Other(Box::new(Change { change, answer }));
        self.submit(owner, size + JOB_SIZE, work, answered).await?.await
    }

    /// Reads, again for each connection that turns out to be dead: after an outage of the server
    /// all connections of the pool are.
    pub(crate) async fn read<T, F>(
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

    /// A transaction that reads one snapshot of the database, for a request of this user.
    pub(crate) async fn snapshot(&self, user: Option<UserId>) -> Result<Snapshot, StoreError> {
        // Waiting for it can be cancelled, and leaves nothing that waits for a connection.
        let turn = self.read_turns.take(user).await?;
        let readers = self.readers.clone();
        // In a task of its own, so that it is never cancelled: a cancelled BEGIN of PostgreSQL's
        // leaves the connection in a transaction that the driver does not know of, and the next
        // user of the connection would read that old snapshot.
        let begun = tokio::spawn(async move {
            let transaction = readers.begin().await?;
            Ok(Snapshot { transaction, _turn: turn })
        });
        let begun = begun.await;
        let panicked = |error| {
            StoreError::Failed(PortError::caused_by(
                "the task that begins a snapshot panicked",
                error,
            ))
        };
        begun.map_err(panicked)?.map_err(store_error)
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
        self.read(|| async { self.readers.ping().await.map_err(store_error) }).await
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
        connect::close(self.readers.clone()).await;
    }
}
