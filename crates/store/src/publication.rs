//! Publishing a commit, beside the next transaction.

use crate::job::{Answer, JobSpace};
use crate::job_queue::{Busy, JobQueue};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tolmach_domain::Event;
use tolmach_engine::ports::Bus;

/// A commit that is being published and answered.
pub(crate) struct Publication {
    /// Resolves when the events are published, before the callers are answered.
    pub(crate) published: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

impl Publication {
    /// Publishes the events, lets other transactions take jobs of the same users, then answers the
    /// callers, then releases the space of their jobs.
    pub(crate) fn begin(
        queue: Arc<JobQueue>,
        bus: Arc<dyn Bus>,
        events: Vec<Arc<Event>>,
        busy: Busy,
        answers: Vec<Answer>,
        space: Vec<JobSpace>,
    ) -> Self {
        let (sender, published) = oneshot::channel();
        let task = tokio::spawn(async move {
            if !events.is_empty() {
                bus.publish(&events).await;
            }
            queue.release(busy);
            // The writer has no receiver while it runs a transaction.
            let _ = sender.send(());
            for answer in answers {
                answer(Ok(()));
            }
            drop(space);
        });
        Self { published, task }
    }

    /// Waits until the callers are answered.
    pub(crate) async fn finished(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "publishing a commit panicked");
        }
    }
}
