//! Events to the send queues of many subscribers.

use super::subscriber::Subscriber;
use crate::broadcast::Broadcast;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::yield_now;

/// The subscribers that one task writes to: enough that the task costs little beside its writes,
/// and few enough that other tasks need not wait long, and that all cores share a large flow.
const BATCH: usize = 16;
/// The time after which such a task yields, where each write is large.
const MAX_TURN: Duration = Duration::from_micros(500);

/// Delivers events to subscribers: to those whose task waits by tasks of its own, to the others by
/// waking them.
pub(super) fn fan_out<'a>(
    subscribers: impl IntoIterator<Item = &'a Arc<Subscriber>>,
    events: &[Arc<Broadcast>],
) {
    let (mut batch, mut subscribers) = (FanOutBatch::default(), subscribers.into_iter());
    while let Some(subscriber) = subscribers.next() {
        let left = subscribers.size_hint().0;
        if subscriber.queue.push(events) {
            if batch.0.is_empty() {
                batch.0.reserve_exact((left + 1).min(BATCH));
            }
            batch.0.push(subscriber.clone());
            if batch.0.len() >= BATCH {
                std::mem::take(&mut batch).spawn();
            }
        }
    }
    if !batch.0.is_empty() {
        batch.spawn();
    }
}

/// Subscribers whose sending halves are parked. When it is dropped, those that were not written to
/// are woken.
#[derive(Default)]
struct FanOutBatch(Vec<Arc<Subscriber>>);

impl FanOutBatch {
    fn spawn(mut self) {
        // Without a runtime, no connection is open any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let mut began = Instant::now();
                while let Some(subscriber) = self.0.pop() {
                    subscriber.queue.flush_inline();
                    if began.elapsed() > MAX_TURN {
                        yield_now().await;
                        began = Instant::now();
                    }
                }
            });
        }
    }
}

impl Drop for FanOutBatch {
    fn drop(&mut self) {
        self.0.iter().for_each(|subscriber| subscriber.queue.wake());
    }
}
