//! The bus of several nodes, by the Pub/Sub of Redis.
//!
//! Events that this node publishes go to its own receivers as in [`InProcess`], and to a queue from
//! which one task publishes them to Redis. Messages from Redis go to another queue, from which a
//! second task passes them to the receivers. A publisher therefore never waits for Redis, and
//! reading from Redis never waits for a receiver: a full queue drops its oldest events, and
//! receivers that need them read the store.

use crate::in_process::InProcess;
use crate::options::{Options, Stats};
use crate::target::{OpenError, Target};
use crate::worker::Worker;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tolmach_domain::Event;
use tolmach_engine::ports::{Bus, BusReceiver, Topic};

/// The longest wait of closing for events published before.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A bus for several nodes.
///
/// It opens and works without Redis too: this node's receivers get this node's events, and
/// [`Bus::last_error`] names the reason. A background task connects and reconnects; after each
/// connection every receiver gets [`Signal::Missed`](tolmach_engine::ports::Signal::Missed).
///
/// A node receives events of other nodes on the topics that it subscribed to; an event that
/// concerns many users goes to every node.
pub struct RedisBus {
    local: Arc<InProcess>,
    worker: Arc<Worker>,
    tasks: Mutex<JoinSet<()>>,
}

impl RedisBus {
    /// A bus by the Redis at `url`, such as `redis://user:password@host:6379/0`; with sharded
    /// channels by the Redis Cluster whose nodes `url` names, separated by commas. Connects in the
    /// background, on the current runtime.
    ///
    /// # Errors
    /// [`OpenError`] if the URL is wrong.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let target = Target::parse(url, options.sharded)?;
        let local = Arc::new(InProcess::new(options.capacity));
        let worker = Arc::new(Worker::new(target, options));
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.clone().reconnect_loop(local.clone()));
        tasks.spawn(worker.clone().receive_loop(local.clone()));
        Ok(Self { local, worker, tasks: Mutex::new(tasks) })
    }

    /// The addresses that [`Self::open`] would connect to, without users and passwords.
    ///
    /// # Errors
    /// [`OpenError`] if the URL is wrong.
    pub fn servers(url: &str, sharded: bool) -> Result<String, OpenError> {
        Target::parse(url, sharded).map(|target| target.to_string())
    }

    /// Statistics since the bus was opened.
    pub fn stats(&self) -> Stats {
        self.worker.stats()
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, events: &[Arc<Event>]) {
        self.worker.publish(events);
        self.local.publish(events).await;
    }

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        self.local.receivers(shards)
    }

    fn subscribe(&self, topics: &[Topic]) {
        self.worker.subscribe(topics);
    }

    fn unsubscribe(&self, topics: &[Topic]) {
        self.worker.unsubscribe(topics);
    }

    fn last_error(&self) -> Option<String> {
        self.worker.last_error()
    }

    async fn close(&self) {
        // An operator's command publishes right after opening, before the connection is made.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.worker.published()).await;
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        self.worker.set_closed();
    }
}
