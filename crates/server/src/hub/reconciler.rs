//! Reads from the store what the bus may have lost: at intervals, and when the hub misses
//! something.

use super::hub::{Hub, Repair};
use crate::metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::{Bus, StoreError};
use tolmach_engine::{Engine, ErrorChain};

/// The most repairs that read from the store at once.
const MAX_REPAIRS: usize = 8;
/// The most flows and events of one page of changes.
const PAGE: u32 = 10_000;
/// The most flows that a page of changes is read for by their names. Looking up as many costs the
/// database some milliseconds. A node with more of them reads all flows that have changed.
const MAX_NAMED_FLOWS: usize = 4_096;
/// The most messages that one read fills a gap with.
const MAX_MESSAGES: u32 = 256;
/// The messages of the first read.
const FIRST_MESSAGES: u32 = 32;
/// The time that a committed event may take to arrive before it counts as lost. The bus brings it
/// with its origin, which the store does not keep.
const IN_TRANSIT: Duration = Duration::from_millis(250);
/// The same for an event that a later one has overtaken.
const OVERTAKEN: Duration = Duration::from_millis(30);
/// The pause after the store could not be read.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The shortest time between two reconciliations.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Reads from the store what the bus may have lost.
pub(crate) struct Reconciler {
    hub: Arc<Hub>,
    engine: Arc<Engine>,
    /// Bounds the repairs that read at once.
    readers: Arc<Semaphore>,
    repairs: mpsc::UnboundedReceiver<Repair>,
}

impl Reconciler {
    /// A hub that receives what is committed after `now`, the newest commit of the store, with its
    /// reconciler. `send_queue_bytes` bounds what may wait for one connection.
    pub(crate) fn new(
        engine: Arc<Engine>,
        bus: Arc<dyn Bus>,
        now: Timestamp,
        send_queue_bytes: usize,
    ) -> (Arc<Hub>, Self) {
        let (hub, repairs) = Hub::new(engine.clone(), bus, now, send_queue_bytes);
        let readers = Arc::new(Semaphore::new(MAX_REPAIRS));
        (hub.clone(), Self { hub, engine, readers, repairs })
    }

    /// Repairs what the hub asks for, and reconciles it with the store at intervals and soon after
    /// the bus may have lost something. Never returns.
    pub(crate) async fn run(self, interval: Duration) {
        let Self { hub, engine, readers, mut repairs } = self;
        let repairing = async {
            while let Some(repair) = repairs.recv().await {
                let store = StoreReader { hub: hub.clone(), engine: engine.clone() };
                let readers = readers.clone();
                tokio::spawn(async move {
                    match repair {
                        Repair::Gap(flow) => store.fill_gap(flow, &readers).await,
                        Repair::Summary(flow) => store.refresh_summary(flow, &readers).await,
                    }
                });
            }
        };
        let store = StoreReader { hub: hub.clone(), engine: engine.clone() };
        tokio::join!(repairing, store.reconcile_at_intervals(interval));
    }
}

/// A hub, and the engine that reads the store for it.
struct StoreReader {
    hub: Arc<Hub>,
    engine: Arc<Engine>,
}

impl StoreReader {
    async fn reconcile_at_intervals(&self, interval: Duration) {
        let mut failing = false;
        loop {
            let next = Instant::now() + interval;
            sleep(MIN_INTERVAL.min(interval)).await;
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.hub.missed() => {}
            }
            let outcome = self.reconcile().await;
            metrics::reconciled(outcome.is_ok());
            match &outcome {
                Err(error) if !failing => {
                    let error = ErrorChain(error);
                    tracing::warn!(%error, "event reconciliation failed, retrying");
                }
                Ok(()) if failing => tracing::info!("event reconciliation succeeds again"),
                _ => {}
            }
            failing = outcome.is_err();
        }
    }

    async fn reconcile(&self) -> Result<(), StoreError> {
        loop {
            let flows = self.hub.subscribed_flows(MAX_NAMED_FLOWS);
            let (after, of_all_flows) = (self.hub.read_after(), flows.is_none());
            let page = self.engine.changes_after(after, flows.as_deref(), PAGE).await?;
            let more = page.more;
            if !page.flows.is_empty() || !page.events.is_empty() || more {
                // Recent commits are most likely in transit.
                sleep(IN_TRANSIT).await;
                self.hub.load_external_ids(page.events.iter()).await;
            }
            self.hub.reconcile(page, of_all_flows);
            if !more {
                return Ok(());
            }
        }
    }

    /// Reads what a flow lacks, unless it arrives within a moment, until it lacks nothing or has no
    /// subscribers any more.
    async fn fill_gap(&self, flow: FlowId, readers: &Semaphore) {
        sleep(OVERTAKEN).await;
        let mut limit = FIRST_MESSAGES;
        loop {
            // While delivery lags, reading more would only add to the backlog.
            let Some(backlog) = self.hub.backlog(flow) else { return };
            backlog.wait_until_drained().await;
            let messages = {
                let Ok(_permit) = readers.acquire().await else { return };
                let Some(position) = self.hub.begin_read(flow) else { return };
                self.engine.messages_after(flow, position, limit).await
            };
            match messages {
                Err(_) => sleep(RETRY_PAUSE).await,
                Ok(messages) => {
                    let complete = messages.len() < limit as usize;
                    let bytes: usize = messages.iter().map(|message| message.content.size()).sum();
                    self.hub.load_external_ids_of_messages(&messages).await;
                    if self.hub.fill_gap(flow, messages, complete) {
                        return;
                    }
                    // Pages are as long as one step of delivery has room for.
                    limit = if bytes > backlog.limit() / 2 {
                        (limit / 2).max(1)
                    } else {
                        (limit * 2).min(MAX_MESSAGES)
                    };
                    // The store has no more, and a later event is here: what is between is being
                    // committed.
                    if complete {
                        sleep(OVERTAKEN).await;
                    }
                }
            }
        }
    }

    async fn refresh_summary(&self, flow: FlowId, readers: &Semaphore) {
        loop {
            let again = match readers.acquire().await {
                Ok(_permit) => self.hub.refresh_summary(flow).await,
                Err(_) => return,
            };
            if !again {
                return;
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}
