//! Connections that read.
//!
//! A connection is taken by one call after another and costs nothing between them. A pool of the
//! driver's tests each connection whenever a call returns it: for each statement that is another
//! round trip to SQLite's thread, and two to a server. Here a connection is tested only where its
//! state is unknown: after a call that failed or was cancelled, and on a server after some seconds
//! without use.

use super::postgres::{IDLE_TIMEOUT, MAX_LIFETIME, within};
use super::read_connection::{ReadConnection, Source};
use crate::error::{is_outdated, query_error};
use async_trait::async_trait;
use sea_orm::sqlx;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Connections that read.
#[derive(Clone)]
pub(crate) struct ReadPool(Arc<Shared>);

struct Shared {
    source: Source,
    /// The most connections.
    connections: u32,
    /// A permit for each connection that no call uses.
    free: Arc<Semaphore>,
    /// True once no further call may wait for a connection.
    is_closing: AtomicBool,
    /// The connections that no call uses, the one that was used last at the end. `None` once the
    /// pool is closed.
    idle: Mutex<Option<VecDeque<Idle>>>,
    /// The longest time that a connection may take to open, or to answer when it is tested.
    patience: Duration,
}

struct Idle {
    connection: ReadConnection,
    opened: Instant,
    used: Instant,
}

/// A connection that one read holds. Its transaction, if it has one, ends when this is dropped.
pub(crate) struct HeldConnection {
    backend: DbBackend,
    taken: AsyncMutex<Taken>,
}

/// A connection that one call uses.
struct Taken {
    /// Present until this is dropped.
    idle: Option<Idle>,
    state: State,
    pool: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
}

/// The state of a connection that a call has used, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next call may use it.
    Ready,
    /// A statement may be running, or has failed.
    Unknown,
    /// The same in a transaction, which has to be ended.
    InTransaction,
    /// A migration has made a prepared statement useless: only a new connection prepares another.
    Outdated,
}

impl ReadPool {
    /// At most this many connections, of which one is opened now. `limit` is the time limit of a
    /// call of the store.
    pub(super) async fn open(
        source: Source,
        connections: u32,
        limit: Duration,
    ) -> Result<Self, DbErr> {
        let connections = connections.max(1);
        let pool = Self(Arc::new(Shared {
            source,
            connections,
            free: Arc::new(Semaphore::new(connections as usize)),
            is_closing: AtomicBool::new(false),
            idle: Mutex::new(Some(VecDeque::new())),
            // A call has time for one more after the first.
            patience: limit / 4,
        }));
        // Taken, and kept.
        drop(pool.take().await?);
        Ok(pool)
    }

    /// Succeeds if the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        let mut taken = self.take().await?;
        taken.begin_statement();
        taken.connection().ping().await.map_err(query_error)?;
        taken.state = State::Ready;
        Ok(())
    }

    /// Takes a connection, once what it did before has ended.
    pub(crate) async fn hold(&self) -> Result<HeldConnection, DbErr> {
        let taken = self.take().await?;
        let backend = self.0.source.backend();
        Ok(HeldConnection { backend, taken: AsyncMutex::new(taken) })
    }

    /// The same, in a transaction whose statements read one state of the database.
    pub(crate) async fn begin(&self) -> Result<HeldConnection, DbErr> {
        let mut taken = self.take().await?;
        taken.state = State::InTransaction;
        taken.connection().begin().await.map_err(query_error)?;
        let backend = self.0.source.backend();
        Ok(HeldConnection { backend, taken: AsyncMutex::new(taken) })
    }

    /// Closes the connections, once the calls have ended that use them or wait for one. A call that
    /// takes longer than a connection may to answer keeps its own, which is closed after it.
    pub(crate) async fn close(&self) {
        let Self(shared) = self;
        shared.is_closing.store(true, Ordering::Release);
        if timeout(shared.patience, shared.free.acquire_many(shared.connections)).await.is_err() {
            tracing::warn!("a connection is still in use: it is closed after its call");
        }
        shared.free.close();
        let idle = shared.lock().take();
        for idle in idle.into_iter().flatten() {
            if timeout(shared.patience, idle.connection.close()).await.is_err() {
                tracing::warn!("closing a connection timed out");
            }
        }
    }

    async fn take(&self) -> Result<Taken, DbErr> {
        let Self(shared) = self;
        let closed = || query_error(sqlx::Error::PoolClosed);
        if shared.is_closing.load(Ordering::Acquire) {
            return Err(closed());
        }
        let permit = shared.free.clone().acquire_owned().await.map_err(|_| closed())?;
        let idle = shared.next_idle().await?;
        shared.source.begin(&idle.connection);
        let pool = shared.clone();
        Ok(Taken { idle: Some(idle), state: State::Ready, pool, permit: Some(permit) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that answers.
    async fn next_idle(&self) -> Result<Idle, DbErr> {
        loop {
            let idle = self.lock().as_mut().and_then(VecDeque::pop_back);
            let Some(mut idle) = idle else { break };
            let is_tested = idle.used.elapsed() < self.source.trusted_for();
            if is_tested || within(self.patience, idle.connection.ping()).await.is_ok() {
                return Ok(idle);
            }
        }
        let late = |_| sqlx::Error::PoolTimedOut;
        let opened = timeout(3 * self.patience, self.source.open()).await.map_err(late);
        let connection = opened.flatten().map_err(query_error)?;
        let now = Instant::now();
        Ok(Idle { connection, opened: now, used: now })
    }

    /// Keeps a connection for the next call, unless it is old, or the pool closed. Closes those
    /// that have been idle for long.
    fn keep(&self, mut idle: Idle) {
        let now = Instant::now();
        idle.used = now;
        let mut unused = Vec::new();
        if let Some(kept) = &mut *self.lock() {
            while kept.front().is_some_and(|idle| now - idle.used > IDLE_TIMEOUT) {
                unused.extend(kept.pop_front());
            }
            if now - idle.opened < MAX_LIFETIME {
                kept.push_back(idle);
            } else {
                unused.push(idle);
            }
        } else {
            unused.push(idle);
        }
        if unused.is_empty() {
            return;
        }
        // Without a runtime they are dropped, which the server notices.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                for idle in unused {
                    idle.connection.close().await;
                }
            });
        }
    }
}

impl Taken {
    fn connection(&mut self) -> &mut ReadConnection {
        let idle = self.idle.as_mut().expect("it is taken only when this is dropped");
        &mut idle.connection
    }

    /// Notes that a statement begins. Returns the state after it.
    fn begin_statement(&mut self) -> State {
        let after = self.state;
        if after == State::Ready {
            self.state = State::Unknown;
        }
        after
    }

    async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        let after = self.begin_statement();
        let done = self.connection().execute(statement).await;
        self.finish_statement(after, done)
    }

    async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let after = self.begin_statement();
        let rows = self.connection().query_all(statement).await;
        self.finish_statement(after, rows)
    }

    fn finish_statement<T>(
        &mut self,
        after: State,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, DbErr> {
        match &result {
            Ok(_) => self.state = after,
            Err(error) if is_outdated(error) => self.state = State::Outdated,
            Err(_) => {}
        }
        result.map_err(query_error)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(mut idle) = self.idle.take() else { return };
        idle.connection.end();
        match self.state {
            State::Ready => return self.pool.keep(idle),
            State::Outdated => return,
            State::Unknown | State::InTransaction => {}
        }
        // Without a runtime the connection is dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        let (pool, permit, state) = (self.pool.clone(), self.permit.take(), self.state);
        runtime.spawn(async move {
            let restored = async {
                // Both wait for the end of the statement that may be running.
                if state == State::InTransaction {
                    idle.connection.roll_back().await
                } else {
                    idle.connection.ping().await
                }
            };
            if within(pool.patience, restored).await.is_ok() {
                pool.keep(idle);
            }
            drop(permit);
        });
    }
}

#[async_trait]
impl ConnectionTrait for ReadPool {
    fn get_database_backend(&self) -> DbBackend {
        self.0.source.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.take().await?.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.get_database_backend(), sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.take().await?.query_all(statement).await
    }
}

#[async_trait]
impl ConnectionTrait for HeldConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.taken.lock().await.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.backend, sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.taken.lock().await.query_all(statement).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::sqlite::File;
    use super::*;
    use crate::error::{is_fatal, store_error};
    use futures_util::FutureExt;
    use tempfile::TempDir;

    const ENDLESS: &str =
        "WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s) SELECT count(*) FROM s";

    /// Enough for any statement of these trials.
    const LIMIT: Duration = Duration::from_secs(60);

    async fn pool(connections: u32, limit: Duration) -> (TempDir, ReadPool) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("pool.db").display());
        let source = Source::Sqlite(File::parse(&url).unwrap(), limit);
        (folder, ReadPool::open(source, connections, LIMIT).await.unwrap())
    }

    async fn number(database: &impl ConnectionTrait, sql: &str) -> Result<i64, DbErr> {
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        let row = database.query_one_raw(statement).await?.expect("the statement has a row");
        row.try_get_by_index(0)
    }

    /// Marks the connection that runs it.
    async fn mark(database: &impl ConnectionTrait, mark: i64) {
        let sql = format!("PRAGMA cache_size = {mark}");
        database.execute_unprepared(&sql).await.unwrap();
    }

    async fn mark_of(database: &impl ConnectionTrait) -> i64 {
        number(database, "PRAGMA cache_size").await.unwrap()
    }

    #[tokio::test]
    async fn calls_one_after_another_use_one_connection_also_after_one_that_failed() {
        let (_folder, pool) = pool(4, LIMIT).await;
        mark(&pool, 777).await;
        assert_eq!(mark_of(&pool).await, 777);
        number(&pool, "SELECT missing FROM nothing").await.unwrap_err();
        // The connection that failed is tested meanwhile.
        let all = [pool.hold().await, pool.hold().await, pool.hold().await, pool.hold().await];
        let mut marks = Vec::new();
        for held in &all {
            marks.push(mark_of(held.as_ref().unwrap()).await);
        }
        assert_eq!(marks.iter().filter(|mark| **mark == 777).count(), 1, "{marks:?}");
    }

    #[tokio::test]
    async fn a_call_waits_while_all_connections_are_held() {
        let (_folder, pool) = pool(2, LIMIT).await;
        let (first, second) = (pool.hold().await.unwrap(), pool.hold().await.unwrap());
        let mut third = Box::pin(number(&pool, "SELECT 3"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert_eq!(third.await, Ok(3));
        drop(second);
    }

    #[tokio::test]
    async fn statements_of_a_transaction_see_one_state_and_later_ones_another() {
        let (folder, pool) = pool(1, LIMIT).await;
        let file = folder.path().join("pool.db");
        let url = format!("sqlite://{}", file.display());
        let writer = sea_orm::Database::connect(url).await.unwrap();
        writer.execute_unprepared("CREATE TABLE t (n INTEGER)").await.unwrap();
        let count = "SELECT count(*) FROM t";
        for before in 0..3 {
            let snapshot = pool.begin().await.unwrap();
            assert_eq!(number(&snapshot, count).await, Ok(before));
            writer.execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
            assert_eq!(number(&snapshot, count).await, Ok(before));
            drop(snapshot);
            assert_eq!(number(&pool, count).await, Ok(before + 1));
        }
    }

    #[tokio::test]
    async fn a_statement_is_interrupted_when_the_limit_is_over() {
        for limit in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(20)] {
            let (_folder, pool) = pool(1, limit).await;
            let of_pool = number(&pool, ENDLESS).await;
            let held = pool.hold().await.unwrap();
            let of_held = number(&held, ENDLESS).await;
            drop(held);
            let snapshot = pool.begin().await.unwrap();
            for read in [of_pool, of_held, number(&snapshot, ENDLESS).await] {
                let error = store_error(read.unwrap_err());
                assert!(is_fatal(&error), "it may be tried again: {error:?}");
            }
            drop(snapshot);
            assert_eq!(number(&pool, "SELECT 1").await, Ok(1));
        }
    }

    #[tokio::test]
    async fn an_abandoned_read_is_interrupted_and_leaves_its_connection_to_the_next_one() {
        let (_folder, pool) = pool(1, LIMIT).await;
        mark(&pool, 777).await;
        for _ in 0..2 {
            let snapshot = pool.begin().await.unwrap();
            assert!(timeout(Duration::ZERO, number(&snapshot, ENDLESS)).await.is_err());
            drop(snapshot);
            assert_eq!(mark_of(&pool).await, 777);
            let held = pool.hold().await.unwrap();
            assert!(timeout(Duration::ZERO, number(&held, ENDLESS)).await.is_err());
            drop(held);
            assert_eq!(mark_of(&pool).await, 777);
            assert!(timeout(Duration::ZERO, number(&pool, ENDLESS)).await.is_err());
            assert_eq!(mark_of(&pool).await, 777);
        }
    }

    #[tokio::test]
    async fn a_pool_that_closes_waits_for_the_connections_in_use_and_gives_no_other() {
        let (_folder, pool) = pool(2, LIMIT).await;
        let held = pool.hold().await.unwrap();
        let mut closing = Box::pin(pool.close());
        assert!((&mut closing).now_or_never().is_none(), "a connection is in use");
        assert!(is_fatal(&store_error(pool.hold().await.err().unwrap())));
        assert_eq!(number(&held, "SELECT 1").await, Ok(1), "what has begun is done");
        // Its end takes a moment.
        assert!(timeout(Duration::ZERO, number(&held, ENDLESS)).await.is_err());
        drop(held);
        closing.await;
        assert!(pool.0.lock().is_none());
        assert_eq!(Arc::strong_count(&pool.0), 1, "nothing is left to be done");
        pool.close().await;
        assert!(is_fatal(&store_error(pool.hold().await.err().unwrap())));
    }
}
