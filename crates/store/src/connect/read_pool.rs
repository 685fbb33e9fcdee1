//! Connections that read.
//!
//! A connection is taken by one call after another and costs nothing between them. A pool of the
//! driver's tests each connection whenever a call returns it: for each statement that is another
//! round trip to SQLite's thread, and two to a server. Here a connection is tested only where its
//! state is unknown: after a call that failed or was cancelled, and on a server after some seconds
//! without use.

use super::postgres::MAX_LIFETIME;
use super::read_connection::{ReadConnection, Source};
use crate::error::{is_outdated, query_error};
use async_trait::async_trait;
use sea_orm::sqlx;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The time after which a connection that nobody has used is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Connections that read.
#[derive(Clone)]
pub(crate) struct ReadPool(Arc<Shared>);

struct Shared {
    source: Source,
    /// A permit for each connection that no call uses.
    free: Arc<Semaphore>,
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
        let pool = Self(Arc::new(Shared {
            source,
            free: Arc::new(Semaphore::new(connections.max(1) as usize)),
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

    /// Closes the connections. Those in use are closed after their call.
    pub(crate) async fn close(&self) {
        self.0.free.close();
        let idle = self.0.lock().take();
        for idle in idle.into_iter().flatten() {
            if timeout(self.0.patience, idle.connection.close()).await.is_err() {
                tracing::warn!("closing a connection timed out");
            }
        }
    }

    async fn take(&self) -> Result<Taken, DbErr> {
        let Self(shared) = self;
        let closed = |_| query_error(sqlx::Error::PoolClosed);
        let permit = shared.free.clone().acquire_owned().await.map_err(closed)?;
        let idle = shared.next_idle().await?;
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
            if is_tested || self.answers(&mut idle.connection).await {
                return Ok(idle);
            }
        }
        let late = |_| sqlx::Error::PoolTimedOut;
        let opened = timeout(3 * self.patience, self.source.open()).await.map_err(late);
        let connection = opened.flatten().map_err(query_error)?;
        let now = Instant::now();
        Ok(Idle { connection, opened: now, used: now })
    }

    async fn answers(&self, connection: &mut ReadConnection) -> bool {
        matches!(timeout(self.patience, connection.ping()).await, Ok(Ok(())))
    }

    /// Keeps a connection for the next call, unless it is old, or the pool closed.
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
            if matches!(timeout(pool.patience, restored).await, Ok(Ok(()))) {
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
    use super::super::read_limit::ReadLimit;
    use super::super::sqlite::File;
    use super::*;
    use crate::error::{is_fatal, store_error};
    use futures_util::FutureExt;
    use tempfile::TempDir;

    const ENDLESS: &str =
        "WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s) SELECT count(*) FROM s";

    /// Enough for any statement of these trials.
    const LIMIT: Duration = Duration::from_secs(60);

    async fn pool(connections: u32, limit: Option<ReadLimit>) -> (TempDir, ReadPool) {
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
        let (_folder, pool) = pool(4, None).await;
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
        let (_folder, pool) = pool(2, None).await;
        let (first, second) = (pool.hold().await.unwrap(), pool.hold().await.unwrap());
        let mut third = Box::pin(number(&pool, "SELECT 3"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert_eq!(third.await, Ok(3));
        drop(second);
    }

    #[tokio::test]
    async fn statements_of_a_transaction_see_one_state_and_later_ones_another() {
        let (folder, pool) = pool(1, None).await;
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
        let limit = ReadLimit::new();
        let (_folder, pool) = pool(1, Some(limit.clone())).await;
        for allowed in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(20)] {
            let held = pool.hold().await.unwrap();
            limit.begin(allowed);
            let error = store_error(number(&held, ENDLESS).await.unwrap_err());
            assert!(is_fatal(&error), "it may be tried again: {error:?}");
        }
        assert_eq!(number(&pool, "SELECT 1").await, Ok(1));
    }

    #[tokio::test]
    async fn an_abandoned_read_leaves_its_connection_to_the_next_one() {
        let limit = ReadLimit::new();
        let (_folder, pool) = pool(1, Some(limit.clone())).await;
        mark(&pool, 777).await;
        for in_transaction in [true, false, true, false] {
            let held = if in_transaction { pool.begin().await } else { pool.hold().await };
            let held = held.unwrap();
            limit.begin(Duration::MAX);
            let endless = timeout(Duration::ZERO, number(&held, ENDLESS)).await;
            assert!(endless.is_err());
            drop(held);
            limit.end();
            assert_eq!(mark_of(&pool).await, 777, "{in_transaction}");
        }
    }

    #[tokio::test]
    async fn a_closed_pool_gives_no_connection_and_keeps_none() {
        let (_folder, pool) = pool(2, None).await;
        let held = pool.hold().await.unwrap();
        pool.close().await;
        assert!(is_fatal(&store_error(pool.hold().await.err().unwrap())));
        assert_eq!(number(&held, "SELECT 1").await, Ok(1), "what has begun is done");
        drop(held);
        assert!(pool.0.lock().is_none());
        pool.close().await;
    }
}
