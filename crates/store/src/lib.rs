//! The durable store: sea-orm on SQLite or PostgreSQL.
//!
//! One task writes. It drains the queue of changes into one transaction and commits; then the
//! events are published, and then the callers answered, while the next transaction may be under
//! way: so an acknowledged change is committed, events go out in the order of the commits, and many
//! writers share the cost of one. Other processes may write the same database, one of them at a
//! time; versions, ids and moments come from it inside the transaction, never from memory.
//!
//! # When a call times out
//!
//! A caller waits for [`Options::timeout`] and is then told [`StoreError::Unavailable`]. A change
//! that had not begun by then is left out. One whose transaction was under way may still be
//! committed, and its events published: the caller cannot know, as with any lost acknowledgement. A
//! message with a key may be posted again in safety.

mod batch;
mod connect;
mod copy;
mod entities;
mod error;
mod journal;
mod migrations;
#[cfg(test)]
mod plans;
mod read;
mod rows;
mod sql;
mod writer;

pub use copy::{CopiedTable, CopyError, Progress, copy};

use crate::batch::Batch;
use crate::connect::{Target, Use};
use crate::error::refuse;
use crate::writer::{Change, Job, Post, Work, Writer};
use async_trait::async_trait;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tolmach_domain::{
    Changes, Flow, FlowId, FlowKindFilter, FlowSummary, HistoryRange, Message, MessagePage, Origin,
    SessionId, Timestamp, User, UserId, Version,
};
use tolmach_engine::ports::{
    Account, AccountKey, Bus, ChangesPage, Counter, CounterKey, CreateFlow, DeleteMessages,
    Deleted, EditMessage, EventLog, FlowCreation, FlowStore, FlowSummaryQuery, HistoryQuery,
    LoginCounterStore, MessageStore, NewSession, NewUser, PendingMessage, PortError, PostMessage,
    Rotation, Session, SessionStore, Store, StoreError, TokenHash, UserChange, UserStore,
};
use tolmach_engine::{check_message, check_storable};

/// How a store goes about its work.
#[derive(Debug, Clone)]
pub struct Options {
    /// For how long a call waits for its answer.
    pub timeout: Duration,
    /// How many changes may wait.
    pub queue_jobs: usize,
    /// How many bytes the changes that wait may hold; one alone may hold more.
    pub queue_bytes: usize,
    /// How many changes share a transaction at most.
    pub batch_jobs: usize,
    /// After how many bytes a transaction takes no further change.
    pub batch_bytes: usize,
    /// How many connections read.
    pub read_connections: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            queue_jobs: 4096,
            queue_bytes: 64 << 20,
            batch_jobs: 512,
            batch_bytes: 8 << 20,
            read_connections: 4,
        }
    }
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Transactions committed.
    pub transactions: u64,
    /// Changes answered after these commits, refused ones too.
    pub jobs: u64,
    /// Transactions that failed and left nothing.
    pub failures: u64,
}

#[derive(Default)]
struct Counters {
    transactions: AtomicU64,
    jobs: AtomicU64,
    failures: AtomicU64,
}

/// Brings a database up to date and returns the names of the migrations that were applied. Safe
/// beside a running gateway and beside another migration.
pub async fn migrate(url: &str) -> Result<Vec<String>, StoreError> {
    connect::migrate(&Target::parse(url)?, Options::default().timeout).await
}

/// Says in words what a URL names, without secrets, and tries whether a server is there and its
/// database fits. Nothing is made or changed.
pub async fn probe(url: &str) -> Result<String, StoreError> {
    let target = Target::parse(url)?;
    if let Target::Postgres(_) = target {
        connect::close(target.connect(Use::Maintain, Options::default().timeout).await?).await;
    }
    Ok(target.describe())
}

/// A [`Store`] in a SQL database.
pub struct SqlStore {
    readers: DatabaseConnection,
    /// None once it is closed.
    jobs: RwLock<Option<mpsc::Sender<Job>>>,
    /// Resolves when the writer has ended.
    writer: Mutex<Option<oneshot::Receiver<()>>>,
    closed: AtomicBool,
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
    options: Options,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The room of jobs is counted in units of so many bytes.
const ROOM_UNIT: usize = 1024;

/// What a job holds beside what its message says.
const JOB_SIZE: usize = 512;

impl SqlStore {
    /// Opens the database that a URL names (`sqlite://path?mode=rwc` makes the file and its folder,
    /// `postgres://user:password@host/database` names what is there already), brings it up to date
    /// and starts writing. Events go to `bus`. An unknown scheme is [`StoreError::Failed`] and
    /// names what is served.
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
        let (sender, receiver) = mpsc::channel(options.queue_jobs.max(1));
        let counters = Arc::new(Counters::default());
        let writer =
            Writer::start(target, receiver, bus, options.clone(), counters.clone()).await?;
        Ok(Arc::new(Self {
            readers,
            jobs: RwLock::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
            closed: AtomicBool::new(false),
            room: Arc::new(Semaphore::new(units(options.queue_bytes))),
            counters,
            options,
        }))
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            transactions: self.counters.transactions.load(Ordering::Relaxed),
            jobs: self.counters.jobs.load(Ordering::Relaxed),
            failures: self.counters.failures.load(Ordering::Relaxed),
        }
    }

    /// Hands work to the writer, in the order of the calls; what is returned waits for its answer.
    async fn submit<T: Send + 'static>(
        &self,
        size: usize,
        work: Work,
        answered: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<impl Future<Output = Result<T, StoreError>> + Send + use<T>, StoreError> {
        let jobs =
            self.jobs.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let time = Time::begin(self.options.timeout);
        time.bound(async {
            let units = units(size).min(units(self.options.queue_bytes));
            let room = self
                .room
                .clone()
                .acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX))
                .await
                .map_err(|_| closed())?;
            // The sender goes, or closing would wait for the answer and the answer for nothing.
            jobs.send(Job { work, size, room }).await.map_err(|_| closed())
        })
        .await?;
        let gone = |_| StoreError::unavailable("the transaction was abandoned");
        Ok(async move { time.bound(async { answered.await.map_err(gone)? }).await })
    }

    async fn write<T, F>(&self, size: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Batch) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.submit(size + JOB_SIZE, Work::Other(Box::new(Change { change, answer })), answered)
            .await?
            .await
    }

    /// Reads, and again while connections turn out to be dead: a server that was away leaves as
    /// many behind as the pool has.
    async fn read<T, F>(&self, work: impl Fn() -> F + Send + Sync) -> Result<T, StoreError>
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
        Time::begin(self.options.timeout).bound(reading).await
    }

    /// A transaction that sees one moment of the database.
    async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let readers = self.readers.clone();
        // In a task of its own, so that it is never given up: a BEGIN of PostgreSQL's that nobody
        // waits for leaves its connection in a transaction that the driver does not know of, and
        // whoever got it next would see the world as it was then.
        let begun = tokio::spawn(async move { readers.begin().await }).await;
        let panicked = |error| {
            StoreError::Failed(PortError::caused_by("the task that begins a snapshot", error))
        };
        begun.map_err(panicked)?.map_err(refuse)
    }
}

/// The time that a call has.
#[derive(Clone, Copy)]
struct Time {
    began: Instant,
    allowed: Duration,
}

impl Time {
    fn begin(allowed: Duration) -> Self {
        Self { began: Instant::now(), allowed }
    }

    async fn bound<T>(
        self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Self { began, allowed } = self;
        let late =
            |_| StoreError::unavailable(format!("no answer within {} ms", allowed.as_millis()));
        tokio::time::timeout(allowed.saturating_sub(began.elapsed()), work).await.map_err(late)?
    }
}

fn units(bytes: usize) -> usize {
    (bytes.div_ceil(ROOM_UNIT)).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

fn closed() -> StoreError {
    StoreError::unavailable("the store is closed")
}

#[async_trait]
impl Store for SqlStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|| async { self.readers.ping().await.map_err(refuse) }).await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).take();
        // The lock is held until the writer is done, so that whoever closes second waits as well.
        let mut writer = self.writer.lock().await;
        if let Some(writer) = writer.take()
            && writer.await.is_err()
        {
            tracing::error!("the writer did not end in order");
        }
        connect::close(self.readers.clone()).await;
    }
}

#[async_trait]
impl UserStore for SqlStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        let size = user.avatar.as_ref().map_or(0, String::len) + user.bio.len();
        self.write(size, move |batch| Box::pin(batch.create_user(user, now))).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(|| read::user(&self.readers, id)).await
    }

    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError> {
        self.read(|| read::account(&self.readers, key)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let size = change.bio.as_ref().map_or(0, String::len);
        self.write(size, move |batch| Box::pin(batch.update_user(id, change, now))).await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.delete_user(id, now))).await
    }

    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|| read::search_users(&self.readers, query, limit)).await
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|| read::list_users(&self.readers, after, limit)).await
    }
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError> {
        self.write(0, move |batch| Box::pin(batch.open_session(session))).await
    }

    async fn session_by_token(&self, token: TokenHash) -> Result<Option<Session>, StoreError> {
        self.read(|| read::session_by_token(&self.readers, token)).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(|| read::session(&self.readers, id)).await
    }

    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.renew_session(id, expires_at))).await
    }

    async fn rotate_refresh(
        &self,
        spent: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.write(0, move |batch| Box::pin(batch.rotate_refresh(spent, next, now, expires_at)))
            .await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.end_session(id, now))).await
    }

    async fn put_recovery_token(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.put_recovery_token(token, user, expires_at)))
            .await
    }

    async fn spend_recovery_token(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.write(0, move |batch| Box::pin(batch.spend_recovery_token(token, password_hash, now)))
            .await
    }

    async fn is_recovery_token_valid(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.read(|| read::is_recovery_token_valid(&self.readers, token, now)).await
    }
}

#[async_trait]
impl LoginCounterStore for SqlStore {
    async fn login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError> {
        self.read(|| read::login_counters(&self.readers, keys, now)).await
    }

    async fn increment_login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError> {
        let keys = keys.to_vec();
        self.write(0, move |batch| {
            Box::pin(async move { batch.increment_login_counters(&keys, now, expires_at).await })
        })
        .await
    }

    async fn clear_login_counters(&self, keys: &[CounterKey]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.write(0, move |batch| Box::pin(async move { batch.clear_login_counters(&keys).await }))
            .await
    }
}

#[async_trait]
impl FlowStore for SqlStore {
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.write(0, move |batch| Box::pin(batch.open_chat(by, with, origin, now))).await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let size = flow.info.len() + flow.members.len() * 64;
        self.write(size, move |batch| Box::pin(batch.create_flow(flow, origin, now))).await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|| read::flow(&self.readers, id)).await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|| read::is_member(&self.readers, flow, user)).await
    }

    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError> {
        self.read(|| async {
            Ok(read::members(&self.readers, &[flow.get()])
                .await?
                .remove(&flow.get())
                .unwrap_or_default())
        })
        .await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read(|| async {
            read::flow_summary(&self.snapshot().await?, flow, viewer, members).await
        })
        .await
    }

    async fn flow_summaries(
        &self,
        query: FlowSummaryQuery,
    ) -> Result<Vec<FlowSummary>, StoreError> {
        self.read(|| async { read::flow_summaries(&self.snapshot().await?, &query).await }).await
    }

    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError> {
        self.read(|| read::flow_versions(&self.readers, user)).await
    }

    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let users = users.to_vec();
        self.write(users.len() * 64, move |batch| {
            Box::pin(batch.add_members(flow, by, users, origin, now))
        })
        .await
    }

    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let users = users.to_vec();
        self.write(users.len() * 64, move |batch| {
            Box::pin(batch.remove_members(flow, by, users, origin, now))
        })
        .await
    }

    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, move |batch| Box::pin(batch.delete_flow(flow, by, kinds, origin, now))).await
    }
}

#[async_trait]
impl MessageStore for SqlStore {
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError> {
        check_message(&message)?;
        let size = message.content.size() + JOB_SIZE;
        let (answer, answered) = oneshot::channel();
        Ok(Box::pin(
            self.submit(size, Work::Post(Box::new(Post { message, now, answer })), answered)
                .await?,
        ))
    }

    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError> {
        check_storable("text", &edit.text)?;
        self.write(edit.text.len(), move |batch| Box::pin(batch.edit(edit, now))).await
    }

    async fn delete(
        &self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        self.write(deletion.messages.len() * 64, move |batch| Box::pin(batch.delete(deletion, now)))
            .await
    }

    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError> {
        let history =
            self.read(|| async { read::history(&self.snapshot().await?, &query).await }).await?;
        let HistoryQuery { flow, viewer, range, limit, .. } = query;
        if range == HistoryRange::Unread && !history.page.messages.is_empty() {
            // Read again in the transaction that moves the mark, so that of two concurrent requests
            // each gets its own messages.
            return self
                .write(0, move |batch| Box::pin(batch.read_unread(flow, viewer, limit)))
                .await;
        }
        if let Some(mark) = history.next_mark {
            self.write(0, move |batch| Box::pin(batch.move_read_mark(flow, viewer, mark))).await?;
        }
        Ok(history.page)
    }

    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
    ) -> Result<Changes, StoreError> {
        self.read(|| async {
            read::changes(&self.snapshot().await?, user, since, flow, limit).await
        })
        .await
    }

    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|| read::messages_after(&self.readers, flow, after, limit)).await
    }
}

#[async_trait]
impl EventLog for SqlStore {
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.read(|| batch::last_moment(&self.readers)).await
    }

    async fn changes_after(&self, after: Timestamp, limit: u32) -> Result<ChangesPage, StoreError> {
        self.read(|| async { read::changes_after(&self.snapshot().await?, after, limit).await })
            .await
    }
}
